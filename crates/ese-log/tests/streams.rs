//! Whole streams that are in order: nothing is reported that is not there, and the verdict on each database is what the
//! reference engine's recovery came to.

use ese_format::database::HeaderCopies;
use ese_format::log::LogHeader;
use ese_log::StreamFiles;
use ese_log::chain::{ChainFindingKind, ChainReport, Readiness, Severity, verdict, verify};
use ese_testkit::damage::WorkingCopy;
use ese_testkit::fixtures;
use ese_testkit::logs::seal_header;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

fn report(folder: &Path) -> ChainReport {
    let files = StreamFiles::find(folder, None).unwrap();
    verify(&files, None, &()).unwrap().unwrap()
}

/// Findings above notes, as text.
fn worse_than_notes(report: &ChainReport) -> Vec<String> {
    let findings = report.findings.iter();
    let worse = findings.filter(|finding| finding.severity > Severity::Note);
    worse.map(ToString::to_string).collect()
}

/// Verdicts on the databases in a folder, by file name.
fn verdicts(folder: &Path, report: &ChainReport) -> BTreeMap<String, (Readiness, Option<i32>)> {
    let mut found = BTreeMap::new();
    for path in fixtures::files_below(folder) {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.parent() != Some(folder) || !(name.ends_with(".edb") || name.ends_with(".old1")) {
            continue;
        }
        let copies = HeaderCopies::read(&fs::read(&path).unwrap());
        let verdict = verdict(report, &copies.good().unwrap().fields);
        found.insert(name, (verdict.readiness, verdict.jet.map(|jet| jet.code)));
    }
    found
}

#[test]
fn the_engine_made_streams_are_in_order_and_ready() {
    let mut databases = 0;
    for set in fixtures::engine_set_names() {
        let folder = fixtures::engine_set(&set);
        let said = fs::read_to_string(folder.join("expected/ml-all.txt")).unwrap();
        assert!(said.contains("No damaged log files were found"), "{set}");
        let state = folder.join("state");
        let report = report(&state);
        let expected: &[&str] = match set.as_str() {
            // Its last logs were taken away.
            "lossy-p8k" => &["there is no current log edb.log"],
            _ => &[],
        };
        assert_eq!(worse_than_notes(&report), expected, "{set}");
        for (name, (readiness, jet)) in verdicts(&state, &report) {
            let expected = match (set.as_str(), name.as_str()) {
                ("lossy-p8k", _) => (Readiness::ReadyWithLoss, Some(-582)),
                (set, name) if name.ends_with(".old1") || set.contains("clean-") => {
                    (Readiness::ReadyWithoutReplay, None)
                }
                _ => (Readiness::Ready, None),
            };
            assert_eq!((readiness, jet), expected, "{set} {name}");
            databases += 1;
        }
    }
    assert!(databases >= fixtures::either(68, 20), "{databases}");
}

#[test]
fn the_streams_of_windows_are_in_order() {
    let real = fixtures::real();
    let stream = |folder: &str| report(&real.join(folder));
    let win10 = stream("museum/SRUM/Win10/APTSimulatorVM/Clean");
    let win11 = stream("museum/SRUM/Win11/RathbunVM/Dirty");
    let xp = fixtures::windows_xp().map(|folder| report(&folder));
    let xp = xp.as_ref().map(|report| (report, 6, 2));
    for (report, logs, leftovers) in [(&win10, 8, 3), (&win11, 4, 2)].into_iter().chain(xp) {
        assert_eq!(report.logs.len(), logs, "{}", report.folder.display());
        assert_eq!(
            worse_than_notes(report),
            [""; 0],
            "{}",
            report.folder.display()
        );
        let notes = report.findings.iter();
        let count =
            notes.filter(|finding| matches!(finding.kind, ChainFindingKind::Leftover { .. }));
        assert_eq!(count.count(), leftovers, "{}", report.folder.display());
    }
    let header = |folder: &str| {
        let copies = HeaderCopies::read(&fs::read(real.join(folder)).unwrap());
        copies.good().unwrap().fields.clone()
    };
    // A true replay case, and its neighbour that repair made clean without any log.
    let dirty = header("museum/SRUM/Win11/RathbunVM/Dirty/SRUDB.dat");
    assert_eq!(verdict(&win11, &dirty).readiness, Readiness::Ready);
    let repaired = header("museum/SRUM/Win11/RathbunVM/Clean/SRUDB.dat");
    let repaired = verdict(&win11, &repaired);
    assert_eq!(repaired.readiness, Readiness::ReadyWithoutReplay);
    assert_eq!(repaired.reasons.len(), 2, "{:?}", repaired.reasons);
}

#[test]
fn names_with_the_highest_numbers_are_reported_like_any_other() {
    let folder = tempfile::TempDir::new().unwrap();
    for name in [
        "E00FFFFFFFF.log",
        "E00FFFFFFFF.jtx",
        "E0000000001.log",
        "E00.log",
    ] {
        fs::write(folder.path().join(name), []).unwrap();
    }
    let report = report(folder.path());
    let gap = report
        .findings
        .iter()
        .find_map(|finding| match finding.kind {
            ChainFindingKind::Gap { first, last, .. } => Some((first.0, last.0)),
            _ => None,
        });
    assert_eq!(gap, Some((2, u32::MAX - 1)));
    let kinds = report.findings.iter();
    let duplicates =
        kinds.filter(|finding| matches!(finding.kind, ChainFindingKind::Duplicate { .. }));
    assert_eq!(duplicates.count(), 1);
}

/// Writes `text` into a path field of a log header, as another installation would have it.
fn set_path(header: &mut [u8], offset: usize, text: &str) {
    header[offset..offset + 261].fill(0);
    header[offset..offset + text.len()].copy_from_slice(text.as_bytes());
}

#[test]
fn a_log_of_another_machines_engine_is_called_foreign() {
    let folder = fixtures::testdata_set("crash-p8k").join("state");
    let copy = WorkingCopy::of(&folder);
    copy.edit("edb00010.log", |log| {
        let header = LogHeader::read(log).unwrap().into_trusted().unwrap();
        // The system path, then the log path, are at the start of the parameters.
        assert_eq!(header.parameters.system_path, r"C:\SG\crash-p8k\state\");
        set_path(log, 72, r"D:\Lab\");
        set_path(log, 72 + 261, r"D:\Lab\");
        seal_header(log);
    });
    let report = report(copy.path());
    let foreign: Vec<_> = report
        .findings
        .iter()
        .filter(|finding| matches!(finding.kind, ChainFindingKind::OtherEngine { .. }))
        .map(|finding| (finding.file.clone().unwrap(), finding.severity))
        .collect();
    // The log after it is at home again: it is not the one to be looked at.
    assert_eq!(foreign, [("edb00010.log".to_owned(), Severity::Warning)]);
}
