//! Dirty databases, which the engine refuses to read: our rows are those of an independent reader, dissect.database,
//! and every difference is one that is understood.
//!
//! The comparison is a Python script. `EDBKIT_PYTHON` names an interpreter that has dissect.database.

use ese_testkit::fixtures;
use serde_json::Value;
use std::process::Command;

const DIRTY: [&str; 8] = [
    "artemis/win10/qmgr.db",
    "go-ese/testdata/Sample_UAL/HyperV-PC/Current.mdb",
    "go-ese/testdata/Sample_UAL/Nondomain-User/Current.mdb",
    "go-ese/testdata/Samples/qmgr.db",
    "museum/SRUM/Win11/RathbunVM/Dirty/SRUDB.dat",
    "museum/SUM/Win2012R2/StolenSzechuan/Current.mdb",
    "stroz_ese_parser/lib/testdata/Current.mdb",
    "pypi_dissect.database-1.0/tests/_data/ese/Windows.edb",
];

/// Differences, most that there may be of them in one database, and why they are no fault of ours.
const EXPLAINED: [(&str, u64, &str); 5] = [
    (
        "text without its trailing zeros",
        100,
        "dissect strips zeros from text; the engine returns them (its dump of stroz_ese_parser/test.edb has \
         \"Default value.\\0\"), and so do we",
    ),
    (
        "bytes with one zero character more",
        119,
        "7-bit compressed text: the header counts the bits of the last byte, dissect decodes the seven bits after \
         them as one more character; our reading equals the engine's dumps in every set with such columns",
    ),
    (
        "LongBinary fails: value / value",
        3,
        "dissect adds up the offsets of pieces (`chunk_offset += next_chunk_offset`), so that from the third piece \
         on it takes pieces for compressed ones and finds no such scheme",
    ),
    (
        "LongBinary differs: value / value",
        7,
        "the same: their bytes differ from byte 16300 on, where the third piece of 8150 bytes starts, and are not as \
         many as the value's root says, while ours are",
    ),
    (
        "text whose last character is cut",
        1,
        "the text ends inside a surrogate pair: dissect escapes the half, we give U+FFFD and keep the bytes in \
         problems.jsonl",
    ),
];

#[test]
#[ignore = "needs Python with dissect.database"]
fn dirty_databases_read_as_dissect_reads_them() {
    let real = fixtures::real();
    let dirty = DIRTY.map(|place| real.join(place)).into_iter();
    let dirty: Vec<_> = dirty.filter(|path| path.is_file()).collect();
    assert_eq!(dirty.len(), fixtures::either(8, 7));
    let python = std::env::var("EDBKIT_PYTHON").unwrap_or_else(|_| "python3".into());
    let script = fixtures::repository().join("tests/independent_reader.py");
    let output = Command::new(python)
        .arg(script)
        .arg(env!("CARGO_BIN_EXE_edbtool"))
        .args(&dirty)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let reports: Vec<Value> = output
        .stdout
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    assert_eq!(reports.len(), dirty.len());
    let (mut rows, mut values) = (0, 0);
    for report in &reports {
        let name = &report["database"];
        rows += report["rows"].as_u64().unwrap();
        values += report["values"].as_u64().unwrap();
        assert_eq!(report["lost"]["rows_lost"], 0, "{name}");
        assert_eq!(
            report["lost"]["pages_lost"],
            serde_json::json!([]),
            "{name}"
        );
        for (what, difference) in report["differences"].as_object().unwrap() {
            let explained = EXPLAINED.iter().find(|(known, _, _)| known == what);
            let (_, most, _) = explained.unwrap_or_else(|| panic!("{name}: {what}: {difference}"));
            let count = difference["count"].as_u64().unwrap();
            assert!(
                count <= *most,
                "{name}: {count} times {what}, explained are {most}"
            );
        }
    }
    eprintln!("{rows} rows and {values} values of dirty databases compared with dissect.database");
    let least = fixtures::either((7000, 800_000), (1000, 10_000));
    assert!(rows >= least.0 && values >= least.1);
}
