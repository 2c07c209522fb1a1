//! The damaged variants: `edbtool header` and `edbtool verify` find what the engine's `/mh` and `/k` find, and more.

mod common;

use common::{edbtool, stdout};
use ese_testkit::{damage, fixtures};
use rayon::prelude::*;
use std::collections::HashSet;
use std::fs;
use std::path::Path;

/// What `edbtool verify` must find in the folder of a variant: the file, and a piece of what is said about it.
fn expected_of_verify(variant: &str) -> &'static [(&'static str, &'static str)] {
    match variant {
        "log-header-bit" => &[("edb00010.log", "header checksum")],
        "log-segment-bit-middle" => &[("edb00010.log", "was flipped (recovery puts it right)")],
        "log-segment-many-bits-middle" => &[("edb00010.log", "checksum of 4096 bytes")],
        "log-segment-zeroed-middle" => &[("edb00010.log", "blank")],
        "log-truncated-named" => &[("edb00010.log", "its header says 131072")],
        "log-all-zero" => &[("edb00010.log", "nothing but zeros")],
        "log-zero-length" => &[("edb00010.log", "empty")],
        "log-current-last-segment-bits" => &[("edb.log", "")],
        "log-current-first-segment-bits" => &[("edb.log", "checksum of 4096 bytes")],
        "log-current-truncated" => &[("edb.log", "its header says 131072")],
        "checkpoint-primary-bit" => &[("edb.chk", "the first copy failed its checksum")],
        "checkpoint-both-bits" => &[
            ("edb.chk", "the first copy failed its checksum"),
            ("edb.chk", "the second copy failed its checksum"),
        ],
        "db-header-primary-bit" => &[("db.edb", "\"header\"")],
        "db-header-shadow-bit" => &[("db.edb", "\"shadow_header\"")],
        "db-header-both-bits" => &[
            ("db.edb", "\"header\""),
            ("db.edb", "\"shadow_header\""),
            ("db.edb", "neither copy of the header can be trusted"),
        ],
        "db-page-one-bit" => &[("db.edb", "\"bits\":[32003]")],
        "db-page-many-bits" | "db-page-checksum-field-bit" => &[("db.edb", "{\"page\":34}")],
        "db-pages-swapped" => &[("db.edb", "\"is_page\":35"), ("db.edb", "\"is_page\":34")],
        "db-truncated-page" => &[("db.edb", "the database owns pages up to")],
        "db-truncated-inside-page" => &[("db.edb", "ends inside a page")],
        _ => &[],
    }
}

/// Variants in which the folder as a whole shows nothing, and why.
const UNSEEN: [&str; 4] = [
    "undamaged",
    // A folder of logs alone is as good as any; a flush map can be missing.
    "db-missing",
    "flush-map-missing",
    // A blank page is what an unused page looks like; reading the table reports it.
    "db-page-zeroed",
];

/// `eseutil /k` found the database damaged, or could not read it.
fn engine_objects(expected: &Path) -> bool {
    let text = fs::read(expected.join("k-db.txt")).unwrap();
    let text = String::from_utf8_lossy(&text).into_owned();
    text.contains("ERROR:") || text.contains("WARNING:") || text.contains("-1206")
}

#[test]
fn each_damaged_file_is_reported_and_no_other() {
    damage::VARIANTS.par_iter().for_each(|variant| {
        let name = variant.name;
        let copy = variant.make();
        let expected = expected_of_verify(name);
        let mut reported = HashSet::new();
        for file in fixtures::files_below(copy.path()) {
            let output = edbtool(["verify".as_ref(), "--json".as_ref(), file.as_os_str()]);
            let text = stdout(&output);
            let file = file.file_name().unwrap().to_str().unwrap();
            for (_, words) in expected.iter().filter(|(named, _)| *named == file) {
                assert!(text.contains(words), "{name}: {words} of {file}: {text}");
            }
            if output.status.code() != Some(0) {
                reported.insert(file.to_owned());
            }
        }
        let damaged: HashSet<String> = expected.iter().map(|(file, _)| (*file).into()).collect();
        assert_eq!(reported, damaged, "{name}");

        let whole = edbtool(["verify".as_ref(), copy.path().as_os_str()]);
        let exit = i32::from(!UNSEEN.contains(&name));
        assert_eq!(
            whole.status.code(),
            Some(exit),
            "{name}: {}",
            stdout(&whole)
        );

        if engine_objects(&fixtures::damage_expected().join(name)) && name != "db-missing" {
            assert!(reported.contains("db.edb"), "{name}");
        }
    });
}

#[test]
fn the_header_command_sees_what_the_engine_sees() {
    damage::VARIANTS.par_iter().for_each(|variant| {
        let name = variant.name;
        let copy = variant.make();
        let expected = fixtures::damage_expected().join(name);
        let text =
            String::from_utf8_lossy(&fs::read(expected.join("mh.txt")).unwrap()).into_owned();
        let database = copy.path().join("db.edb");
        let output = edbtool(["header".as_ref(), database.as_os_str()]);
        let ours = stdout(&output);
        if text.contains("JET_errFileNotFound") || !database.exists() {
            assert_eq!(output.status.code(), Some(3), "{name}");
            return;
        }
        if text.contains("-1206") {
            assert!(
                ours.contains("neither primary nor shadow can be trusted"),
                "{name}: {ours}"
            );
        }
        for warning in [
            "primary header has a checksum error",
            "shadow header has a checksum error",
        ] {
            let copy = warning.split(' ').next().unwrap();
            let found = ours.contains(&format!("WARNING: the {copy} header at offset"));
            assert_eq!(
                found,
                text.contains(warning) || text.contains("-1206"),
                "{name}: {warning}"
            );
        }
        assert_eq!(
            output.status.code(),
            Some(1),
            "{name}: the database is dirty at least"
        );
    });
}
