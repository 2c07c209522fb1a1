//! Damaged streams: everything that the reference engine's check reports is among our findings, and the verdict on the
//! database agrees with what its recovery came to.

use ese_format::database::HeaderCopies;
use ese_format::{DatabaseHeader, Signature};
use ese_log::StreamFiles;
use ese_log::chain::{
    ChainFinding, ChainFindingKind, ChainReport, DatabaseVerdict, Readiness, Severity, verdict,
    verify,
};
use ese_testkit::damage::{VARIANTS, Variant};
use std::fs;
use std::path::Path;

fn report(folder: &Path) -> ChainReport {
    let files = StreamFiles::find(folder, None).unwrap();
    verify(&files, None, &()).unwrap().unwrap()
}

fn header(database: &Path) -> Option<DatabaseHeader> {
    let bytes = fs::read(database).ok()?;
    let copies = HeaderCopies::read(&bytes);
    copies.good().map(|copy| copy.fields.clone())
}

/// What the engine said of a log: `(file, line)`, or of missing ones with their names.
fn complaints(text: &str) -> Vec<(String, String)> {
    let mut file = String::new();
    let mut found = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(path) = line.strip_prefix("Log file: ") {
            let name = path.rsplit('\\').next().unwrap();
            file = name.split(" - ").next().unwrap().trim().to_owned();
        } else if let Some(error) = line.strip_prefix("ERROR: ") {
            found.push((file.clone(), error.to_owned()));
        } else if line.starts_with("Missing log file") {
            found.push((String::new(), line.to_owned()));
        }
    }
    found
}

/// Whether one of our findings is what the engine complained about.
fn is_among(findings: &[ChainFinding], file: &str, complaint: &str) -> bool {
    findings.iter().any(|finding| {
        let same_file = finding.file.as_deref() == Some(file);
        let found = match &finding.kind {
            ChainFindingKind::Header { .. } | ChainFindingKind::Blank => {
                complaint.ends_with("header. Error -501.") && same_file
            }
            ChainFindingKind::Empty => complaint.ends_with("header. Error -4001.") && same_file,
            ChainFindingKind::FileSize { .. } => {
                complaint.ends_with("header. Error -541.") && same_file
            }
            // The engine finds the log after a damaged one wrong as well, since that keeps a checksum of it. We name
            // the damaged one alone.
            ChainFindingKind::Damage { fatal: true, .. } => {
                complaint.starts_with("Log damaged (unusable)") && same_file
                    || complaint.contains("accumulated segment checksum") && follows(finding, file)
            }
            ChainFindingKind::NameMismatch { named, found, .. } => {
                let missing = format!("is generation {found} ({found:#X})").replace("0X", "0x");
                let named = format!("Expected generation {named} ");
                same_file && (complaint.contains(&missing) || complaint.contains(&named))
            }
            ChainFindingKind::Gap { first, last, .. } => {
                let one = format!("edb{first:05X}.log");
                let several = format!("edb{{{first:05X} - {last:05X}}}.log");
                let expected = format!("expected generation is {first} ");
                complaint.ends_with(&one)
                    || complaint.ends_with(&several)
                    || complaint.contains(&expected)
            }
            _ => false,
        };
        found && finding.severity == Severity::Error
    })
}

/// Whether `file` is the log after the one that the finding is about.
fn follows(finding: &ChainFinding, file: &str) -> bool {
    let next = finding.generation.map(|generation| generation.0 + 1);
    next.is_some_and(|next| file == format!("edb{next:05X}.log"))
}

/// The error that the engine's recovery ended with.
fn recovery_error(text: &str) -> Option<i32> {
    let (_, rest) = text.split_once("terminated with error ")?;
    rest.split(' ').next()?.parse().ok()
}

/// Recovery fails in these because of the database itself, which a look at the logs cannot tell.
fn is_about_pages(variant: &Variant) -> bool {
    ["db-page", "db-truncated", "db-missing"]
        .iter()
        .any(|start| variant.name.starts_with(start))
}

fn check_verdict(variant: &Variant, verdict: &DatabaseVerdict) {
    let engine = recovery_error(&variant.expected("recovery").unwrap());
    let ours = verdict.jet.map(|jet| jet.code);
    assert_eq!(ours, engine, "{}: {verdict:#?}", variant.name);
    let readiness = match engine {
        None => Readiness::Ready,
        Some(-582 | -586) => Readiness::ReadyWithLoss,
        Some(_) => Readiness::NotReady,
    };
    assert_eq!(verdict.readiness, readiness, "{}", variant.name);
}

#[test]
fn nothing_that_the_engine_reports_is_missed_and_the_verdict_is_its_recovery() {
    let (mut reported, mut verdicts) = (0, 0);
    for variant in &VARIANTS {
        let copy = variant.make();
        let report = report(copy.path());
        let said = ["ml", "k-logs"].map(|what| complaints(&variant.expected(what).unwrap()));
        for (file, complaint) in said.concat() {
            assert!(
                is_among(&report.findings, &file, &complaint),
                "{}: {file}: {complaint}\n{:#?}",
                variant.name,
                report.findings
            );
            reported += 1;
        }
        if is_about_pages(variant) {
            continue;
        }
        let Some(header) = header(&copy.path().join("db.edb")) else {
            assert_eq!(variant.name, "db-header-both-bits");
            continue;
        };
        check_verdict(variant, &verdict(&report, &header));
        verdicts += 1;
    }
    assert_eq!((reported, verdicts), (38, 24));
}

#[test]
fn an_undamaged_stream_has_nothing_but_notes() {
    let undamaged = VARIANTS.iter().find(|variant| variant.name == "undamaged");
    let copy = undamaged.unwrap().make();
    let report = report(copy.path());
    assert_eq!(report.count(Severity::Warning), 0, "{:#?}", report.findings);
}

#[test]
fn a_flipped_bit_is_corrected_and_reported() {
    let variant = VARIANTS
        .iter()
        .find(|variant| variant.name == "log-segment-bit-middle");
    let copy = variant.unwrap().make();
    let report = report(copy.path());
    let worst: Vec<_> = report
        .findings
        .iter()
        .filter(|finding| finding.severity > Severity::Note)
        .map(ToString::to_string)
        .collect();
    let bit = (600 * 8) + 3;
    assert_eq!(
        worst,
        [format!(
            "edb00010.log: 00000010:000A:0000: bit {bit} of the segment was flipped"
        )]
    );
}

#[test]
fn a_database_of_another_stream_or_unknown_to_this_one_is_refused() {
    let undamaged = VARIANTS.iter().find(|variant| variant.name == "undamaged");
    let copy = undamaged.unwrap().make();
    let report = report(copy.path());
    let own = header(&copy.path().join("db.edb")).unwrap();
    let other = Signature::new(7, own.signature.created);
    let mut foreign_stream = own.clone();
    foreign_stream.log_signature = other;
    let mut unknown = own.clone();
    unknown.signature = other;
    let mut other_last_log = own;
    other_last_log.max_required_created = other_last_log.signature.created;
    for (header, jet) in [
        (foreign_stream, -530),
        (unknown, -1216),
        (other_last_log, -543),
    ] {
        let verdict = verdict(&report, &header);
        assert_eq!(verdict.readiness, Readiness::NotReady);
        assert_eq!(verdict.jet.map(|jet| jet.code), Some(jet), "{verdict:?}");
    }
}
