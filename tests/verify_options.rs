//! What `edbtool verify` can be asked besides checksums: lost writes, owners, digests, a part of the pages.

mod common;

use common::{edbtool, stdout};
use ese_checksum::seal_page;
use ese_format::hex;
use ese_testkit::fixtures;
use rayon::prelude::*;
use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const PAGE: usize = 8192;

fn verify(arguments: &[&OsStr]) -> (Option<i32>, Value) {
    let fixed = ["verify".as_ref(), "--json".as_ref()];
    let output = edbtool(fixed.iter().chain(arguments));
    (
        output.status.code(),
        serde_json::from_str(stdout(&output)).unwrap(),
    )
}

/// A recovered database with its flush map, in a folder that may be changed.
fn clean_copy(folder: &TempDir) -> PathBuf {
    let recovered = fixtures::testdata_set("crash-p8k").join("recovered");
    for name in ["db.edb", "db.jfm"] {
        fs::copy(recovered.join(name), folder.path().join(name)).unwrap();
    }
    folder.path().join("db.edb")
}

fn edit_page(database: &Path, pgno: u32, edit: impl FnOnce(&mut [u8])) {
    let mut bytes = fs::read(database).unwrap();
    let start = (pgno as usize + 1) * PAGE;
    let page = &mut bytes[start..start + PAGE];
    edit(page);
    fs::write(database, bytes).unwrap();
}

#[test]
fn a_lost_write_is_found_by_the_flush_map_alone() {
    let folder = TempDir::new().unwrap();
    let database = clean_copy(&folder);
    let arguments = [database.as_os_str(), "--flush-map".as_ref()];
    let (exit, intact) = verify(&arguments);
    assert_eq!(
        (exit, &intact["remarks"]),
        (Some(0), &serde_json::json!([]))
    );

    // The page as its write before might have left it: good in itself, of another flush type.
    edit_page(&database, 34, |page| {
        let flags = u32::from_le_bytes(page[36..40].try_into().unwrap());
        let flush_type = flags >> 15 & 3;
        let before = if flush_type == 1 { 3 } else { flush_type - 1 };
        let flags = flags & !(3 << 15) | before << 15;
        page[36..40].copy_from_slice(&flags.to_le_bytes());
        assert!(seal_page(page, 34));
    });
    assert_eq!(verify(&arguments[..1]).0, Some(0), "its checksum is good");
    let (exit, found) = verify(&arguments);
    assert_eq!(exit, Some(1));
    assert_eq!(found["pages"]["lost_flushes"], 1);
    assert_eq!(found["findings"][0]["kind"], "lost_flush");
    assert_eq!(found["findings"][0]["position"]["page"], 34);
}

/// A check that was asked for and could not be made is not passed.
#[test]
fn a_flush_map_that_says_nothing_is_a_finding() {
    let folder = TempDir::new().unwrap();
    let database = clean_copy(&folder);
    let map = database.with_extension("jfm");
    let intact = fs::read(&map).unwrap();
    let verdict = |bytes: &[u8]| {
        fs::write(&map, bytes).unwrap();
        let (exit, report) = verify(&[database.as_os_str(), "--flush-map".as_ref()]);
        let problem = report["problems"][0].as_str().unwrap_or_default();
        (exit, problem.to_owned())
    };
    let mut flipped = intact.clone();
    flipped[PAGE + 100] ^= 1;
    for (bytes, said) in [
        (&flipped[..], "page 0 of the flush map is damaged"),
        (&intact[..PAGE], "0 of the 1 pages that it needs"),
        (&intact[..100], "takes 8192 bytes, the file has 100"),
        (&intact[PAGE..], "its checksum does not fit"),
    ] {
        let (exit, problem) = verdict(bytes);
        assert_eq!(exit, Some(1), "{problem}");
        assert!(problem.contains(said), "{problem}");
    }
    assert_eq!(verdict(&intact), (Some(0), String::new()));
}

#[test]
fn no_clean_database_has_a_lost_write() {
    let judged = fixtures::engine_set_names().into_par_iter().map(|set| {
        let folder = fixtures::engine_set(&set);
        let mut judged = 0;
        for file in fixtures::files_below(&folder.join("recovered")) {
            if file.extension() != Some("edb".as_ref()) || !file.with_extension("jfm").exists() {
                continue;
            }
            let (exit, report) = verify(&[file.as_os_str(), "--flush-map".as_ref()]);
            assert_eq!(exit, Some(0), "{}: {report}", file.display());
            judged += u32::from(report["remarks"] == serde_json::json!([]));
        }
        judged
    });
    println!(
        "{} databases judged by their flush map",
        judged.sum::<u32>()
    );
}

#[test]
fn a_bad_page_is_given_back_to_its_owner() {
    let folder = TempDir::new().unwrap();
    let database = clean_copy(&folder);
    edit_page(&database, 34, |page| page[4000..4100].fill(0xee));
    let (exit, report) = verify(&[database.as_os_str(), "--owners".as_ref()]);
    assert_eq!(exit, Some(1));
    let owner = report["owners"]["34"].as_str().unwrap();
    assert!(owner.starts_with("table "), "{owner}");
}

#[test]
fn digests_are_those_of_the_file_as_it_is() {
    let folder = TempDir::new().unwrap();
    let database = clean_copy(&folder);
    // A flipped bit is corrected for reading, not for the digest.
    edit_page(&database, 34, |page| page[4000] ^= 8);
    let (exit, report) = verify(&[
        database.as_os_str(),
        "--hash".as_ref(),
        "sha256,blake3".as_ref(),
    ]);
    assert_eq!(exit, Some(1));
    let bytes = fs::read(&database).unwrap();
    let sha256 = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(&bytes));
    assert_eq!(report["digests"][0]["hex"], sha256);
    assert_eq!(
        report["digests"][1]["hex"],
        blake3::hash(&bytes).to_string()
    );
}

#[test]
fn a_part_of_the_pages_can_be_checked() {
    let folder = TempDir::new().unwrap();
    let database = clean_copy(&folder);
    edit_page(&database, 34, |page| page[4000..4100].fill(0xee));
    let part = |pages: &str| verify(&[database.as_os_str(), "--pages".as_ref(), pages.as_ref()]);
    let (exit, report) = part("1-33");
    assert_eq!(
        (exit, report["pages"]["pages_seen"].as_u64()),
        (Some(0), Some(33))
    );
    let (exit, report) = part("34-34");
    assert_eq!(
        (exit, report["pages"]["pages_seen"].as_u64()),
        (Some(1), Some(1))
    );
    assert_eq!(part("35-1000000").0, Some(2), "pages that are not there");
}
