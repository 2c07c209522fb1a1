//! Verifying a database.

use super::VerifyOptions;
use super::report::{Checked, Report};
use super::resume::Place;
use crate::view::{OpenedDatabase, half_written};
use console::{Exit, Failure};
use ese_db::Database;
use ese_db::space::{CutOff, SpaceMap};
use ese_format::database::HeaderCopies;
use ese_format::{FileKind, Pgno, Progress};
use ese_scan::{
    FlushMap, FlushMapError, PageChecker, PageFinding, PageFindings, Position, RateLimit,
    ScanOptions, ScanOutcome, scan,
};
use ese_text::size_findings;
use evidence::{EvidenceError, EvidenceFile};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

/// Verifies the pages of a database as its file holds them.
pub fn verify(
    file: &EvidenceFile,
    headers: &HeaderCopies,
    options: &VerifyOptions,
    rate: Option<&RateLimit>,
    threads: usize,
    progress: &dyn Progress,
) -> Result<Report, Failure> {
    let (mut remarks, mut problems) = (Vec::new(), Vec::new());
    let flush_map = flush_map(file, headers, options, &mut problems, &mut remarks)?;
    let place = match &options.resume {
        Some(path) => Place::load(path, file, headers, options.pages.clone())?,
        None => Place::start(file, headers, options.pages.clone()),
    };
    if place.next_offset > 0 {
        remarks.push(format!(
            "went on at offset {:#x}, where an earlier scan was interrupted; counts and findings include it",
            place.next_offset
        ));
    }
    let how = ScanOptions {
        pages: options.pages.clone(),
        resume_at: place.next_offset,
        digests: &options.digests,
        flush_map: flush_map.as_ref(),
        rate,
        threads,
        keep_findings: options.max_findings.saturating_sub(place.findings.len()),
    };
    let outcome = scan(file, headers, &how, progress).map_err(|error| Failure::of(&error))?;
    let place = place.advanced(&outcome);
    let mut structure = Structure::default();
    if outcome.interrupted_at.is_none() && headers.good().is_some() {
        structure.read(file, options, &place.findings, &mut remarks);
    }
    remarks.extend(options.pages.as_ref().map(only_pages));
    let temporary = headers
        .good()
        .is_some_and(|copy| copy.fields.is_temporary());
    remarks.extend(temporary.then(|| TEMPORARY.to_owned()));
    if let Some(path) = &options.resume {
        place.save_or_finish(path, outcome.interrupted_at)?;
    }
    let mut report = report(file, headers, structure, place, outcome, remarks);
    report.problems.extend(problems);
    report.temporary = temporary;
    report.checked = checked(options, flush_map.is_some());
    Ok(report)
}

/// Said once of a temporary database.
const TEMPORARY: &str = "it is a temporary database: the engine makes it again each time it starts, and needs nothing that it holds";

fn only_pages(pages: &RangeInclusive<u32>) -> String {
    format!(
        "only pages {} to {} were checked",
        pages.start(),
        pages.end()
    )
}

/// What a scan looks at.
fn checked(options: &VerifyOptions, with_flush_map: bool) -> Vec<Checked> {
    let mut checked = vec![Checked::Headers, Checked::Checksums, Checked::PageNumbers];
    checked.push(Checked::Size);
    if options.pages.is_some() {
        checked.retain(|what| *what != Checked::Headers);
    }
    if with_flush_map {
        checked.push(Checked::LostWrites);
    }
    checked
}

fn report(
    file: &EvidenceFile,
    headers: &HeaderCopies,
    structure: Structure,
    place: Place,
    outcome: ScanOutcome,
    remarks: Vec<String>,
) -> Report {
    let mut problems = Vec::new();
    if headers.good().is_none() {
        problems.push(format!(
            "neither copy of the header can be trusted; pages were read with a page size of {} bytes, which is a guess",
            headers.page_size
        ));
    }
    if !headers.differences.is_empty()
        && headers.primary.fault.is_none()
        && headers.shadow.fault.is_none()
        && headers.shadow_expected()
    {
        problems.push("primary and shadow header are both intact but differ".into());
    }
    problems.extend(size_findings(file.length(), headers.page_size));
    problems.extend(half_written(file.path()));
    problems.extend(structure.cut_off.map(|cut_off| cut_off.to_string()));
    Report {
        path: file.path().to_owned(),
        kind: FileKind::Database,
        file_size: file.length(),
        page_size: Some(headers.page_size),
        pages: Some(place.counts),
        temporary: false,
        checked: Vec::new(),
        problems,
        owners: structure.owners,
        findings: place.findings,
        findings_omitted: place.findings_omitted,
        digests: outcome.digests,
        remarks,
        interrupted_at: outcome.interrupted_at,
    }
}

/// Verifies the pages of a database that is read as recovery will leave it.
pub fn verify_view(
    path: &Path,
    opened: &OpenedDatabase,
    options: &VerifyOptions,
) -> Result<Report, Failure> {
    let database = &opened.database;
    let page_size = database.page_size().bytes();
    let last = database.last_page();
    let length = last.file_offset(page_size) + u64::from(page_size);
    let headers = database
        .headers()
        .ok_or_else(|| Failure::new(Exit::NotEse, format!("{}: no header", path.display())))?;
    let checker = PageChecker::new(headers, length, None);
    let pages = options.pages.clone().unwrap_or(1..=last.0);
    let mut found = PageFindings::default();
    let mut blank =
        (u64::from(*pages.end().min(&last.0)) + 1).saturating_sub((*pages.start()).into());
    for pgno in database
        .written_pages()
        .filter(|pgno| pages.contains(&pgno.0))
    {
        let page = database
            .raw_page(pgno)
            .map_err(|error| crate::view::failure(path, &error))?;
        checker.check(&page, pgno.file_offset(page_size), &mut found);
        blank -= 1;
    }
    found.counts.pages_seen += blank;
    found.counts.uninitialized_pages += blank;
    let pages_are = match opened.as_of() {
        Some(_) => "these are the pages as they were at that moment, recovered",
        None => "these are the pages as recovery will leave them",
    };
    let remark =
        format!("{pages_are}; the file as it is now was not checked, its headers not at all");
    Ok(Report {
        path: path.to_owned(),
        kind: FileKind::Database,
        file_size: length,
        page_size: Some(page_size),
        pages: Some(found.counts),
        temporary: false,
        checked: vec![Checked::Checksums, Checked::PageNumbers, Checked::Size],
        problems: Vec::from_iter(CutOff::of(database).map(|cut_off| cut_off.to_string())),
        findings_omitted: found.findings.len().saturating_sub(options.max_findings) as u64,
        owners: BTreeMap::new(),
        findings: {
            found.findings.truncate(options.max_findings);
            found.findings
        },
        digests: Vec::new(),
        remarks: options
            .pages
            .iter()
            .map(only_pages)
            .chain([remark])
            .collect(),
        interrupted_at: None,
    })
}

/// What the trees of the database say about its pages, beyond what each page says itself.
#[derive(Default)]
struct Structure {
    /// Pages that the database owns and the file does not have.
    cut_off: Option<CutOff>,
    /// The owners of damaged pages, by page number.
    owners: BTreeMap<u32, String>,
}

impl Structure {
    fn read(
        &mut self,
        file: &EvidenceFile,
        options: &VerifyOptions,
        findings: &[PageFinding],
        remarks: &mut Vec<String>,
    ) {
        let Ok(database) = Database::open(file.path()) else {
            return;
        };
        self.cut_off = CutOff::of(&database);
        if !options.owners || findings.is_empty() {
            return;
        }
        match database.catalog() {
            Ok(catalog) => {
                let map = SpaceMap::read(&database, &catalog);
                let pages = findings
                    .iter()
                    .filter_map(|finding| match finding.position {
                        Position::Page(pgno) => Some(pgno),
                        _ => None,
                    });
                self.owners = pages
                    .map(|pgno| {
                        let owner = map.owner(Pgno(pgno));
                        (
                            pgno,
                            owner.map_or_else(|| "nobody".into(), ToString::to_string),
                        )
                    })
                    .collect();
            }
            Err(error) => remarks.push(format!(
                "owners of damaged pages are not known: the catalog cannot be read: {error}"
            )),
        }
    }
}

/// The flush map, if it was asked for and can be used. That one lags behind or goes with another state is not damage,
/// but has to be said.
fn flush_map(
    file: &EvidenceFile,
    headers: &HeaderCopies,
    options: &VerifyOptions,
    problems: &mut Vec<String>,
    remarks: &mut Vec<String>,
) -> Result<Option<FlushMap>, Failure> {
    let Some(asked) = &options.flush_map else {
        return Ok(None);
    };
    let path = asked.clone().unwrap_or_else(|| beside(file.path()));
    let Some(header) = headers.good() else {
        remarks.push(
            "lost writes were not looked for: the database's header cannot be trusted".into(),
        );
        return Ok(None);
    };
    let last_page = Pgno::at_file_offset(file.length(), headers.page_size);
    let opened = EvidenceFile::open(&path)
        .map_err(FlushMapError::from)
        .and_then(|map| FlushMap::open(&map, &header.fields, last_page));
    match opened {
        Ok(map) => {
            problems.extend(damage_of(&map));
            Ok(Some(map))
        }
        Err(FlushMapError::Unreadable(error @ EvidenceError::Io { .. })) => {
            Err(Failure::of(&error))
        }
        Err(error) => {
            let text = format!(
                "lost writes were not looked for: {}: {error}",
                path.display()
            );
            match error {
                FlushMapError::NotClean | FlushMapError::Foreign => remarks.push(text),
                _ => problems.push(text),
            }
            Ok(None)
        }
    }
}

/// Pages of the map that say nothing.
fn damage_of(map: &FlushMap) -> Vec<String> {
    let unnoticed = "lost writes of the pages that it covers go unnoticed";
    let damaged = map.damaged_pages().iter();
    let mut problems: Vec<String> = damaged
        .map(|number| format!("page {number} of the flush map is damaged: {unnoticed}"))
        .collect();
    let missing = map.missing_pages();
    if !missing.is_empty() {
        problems.push(format!(
            "the flush map is cut off: {} of the {} pages that it needs for this database are there; lost writes of what the \
             missing ones cover go unnoticed",
            missing.start, missing.end
        ));
    }
    problems
}

/// The flush map's usual place: beside the database, with the extension `jfm`.
fn beside(database: &Path) -> PathBuf {
    database.with_extension("jfm")
}
