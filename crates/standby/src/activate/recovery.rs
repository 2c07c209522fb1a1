//! The recovery of an activation, for real or only tried, and the proof of what came of it.

use super::{ActivateError, ActivateOptions, Basis, Proof};
use crate::config::CopyConfig;
use crate::error::at;
use crate::limits::Rule;
use crate::replay::ReplayFailure;
use ese_format::database::{HEADERS_MAX, HeaderCopies};
use ese_format::{Pgno, Progress};
use ese_replay::output::{InPlace, Output, Target};
use ese_replay::page_files::Overlay;
use ese_replay::recovery::{Offer, Ran, RecoverOptions, RecoveryError, recover};
use ese_scan::{Finding, Position, ScanOptions, scan};
use evidence::EvidenceFile;
use std::collections::HashSet;
use std::fs;
use std::path::Path;

/// Memory for pages of the database.
const CACHE_BYTES: u64 = 256 << 20;
/// Findings about pages that are kept for the report; all are counted.
const FINDINGS_KEPT: usize = 100;

/// Brings the database to Clean Shutdown, in its place or, across file systems, at the new one.
pub(super) fn bring_to_clean(
    config: &CopyConfig,
    basis: &Basis,
    options: &ActivateOptions,
    progress: &dyn Progress,
) -> Result<Ran, ActivateError> {
    let path = &config.target.database;
    let target = match &options.to {
        Some(to) if !on_same_file_system(path, to) => Target::NewFile(to.clone()),
        _ => Target::InPlace,
    };
    let recovered = recover_to(&target, config, basis, options, progress);
    if recovered.is_err() && target == Target::InPlace {
        // The journal goes, unless the database has changed already: then this finishes what it holds, or tries to.
        let _ = InPlace::resume(path);
    }
    recovered
}

/// The same without a result: into an overlay in `folder`. Tells also whether the result would pass its proof: pages that
/// recovery writes do, and the others are what they are now.
pub(super) fn try_in(
    folder: &Path,
    config: &CopyConfig,
    basis: &Basis,
    options: &ActivateOptions,
    progress: &dyn Progress,
) -> Result<(Ran, bool), ActivateError> {
    let path = folder.join("overlay");
    let target = Target::Overlay(path.clone());
    let ran = recover_to(&target, config, basis, options, progress)?;
    let file = fs::File::open(&path).map_err(at(&path))?;
    let overlay = Overlay::open(Box::new(file)).map_err(|error| at(&path)(error.into()))?;
    let (written, last): (HashSet<Pgno>, Pgno) = (overlay.pages().collect(), overlay.last());
    let proof = prove(&config.target.database, options, progress)?;
    let counts = |finding: &&Finding| match finding.position {
        Position::Page(number) => !written.contains(&Pgno(number)) && Pgno(number) <= last,
        // Both headers are written.
        _ => false,
    };
    let kept = proof.findings.len() as u64;
    let all_known = kept < FINDINGS_KEPT as u64;
    Ok((ran, all_known && !proof.findings.iter().any(|finding| counts(&finding))))
}

fn recover_to(
    target: &Target,
    config: &CopyConfig,
    basis: &Basis,
    options: &ActivateOptions,
    progress: &dyn Progress,
) -> Result<Ran, ActivateError> {
    let source = &basis.database;
    let output = Output::begin(source, target, false, progress).map_err(ReplayFailure::from)?;
    let offer = Offer {
        database: source,
        pages: output.pages(),
    };
    let options = RecoverOptions {
        lossy: options.force,
        ignore_missing: config.allow.contains(&Rule::SeveralDatabases),
        memory: Some(CACHE_BYTES),
        ..RecoverOptions::default()
    };
    let recovered = recover(&basis.plan, vec![offer], Vec::new(), options, progress)?;
    if let Some(database) = recovered.databases.first() {
        output.commit(database).map_err(ReplayFailure::from)?;
    }
    Ok(recovered.ran)
}

/// Reads the database from disk, from its header to its last page.
pub(super) fn prove(path: &Path, options: &ActivateOptions, progress: &dyn Progress) -> Result<Proof, ActivateError> {
    let file = EvidenceFile::open(path).map_err(RecoveryError::from)?;
    let start = file.start(HEADERS_MAX).map_err(RecoveryError::from)?;
    let headers = HeaderCopies::read(&start);
    let state = headers
        .good()
        .map_or("Unreadable", |header| header.fields.state.name());
    let scanned = ScanOptions {
        threads: options.threads.max(1),
        keep_findings: FINDINGS_KEPT,
        ..ScanOptions::default()
    };
    let outcome = scan(&file, &headers, &scanned, progress)?;
    if outcome.interrupted_at.is_some() {
        return Err(ActivateError::Interrupted);
    }
    Ok(Proof {
        state: state.to_owned(),
        pages: outcome.counts,
        findings: outcome.findings,
    })
}

/// Whether a file can be renamed from one path to the other.
#[cfg(unix)]
pub(super) fn on_same_file_system(from: &Path, to: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let device = |path: &Path| Some(fs::metadata(path.parent()?).ok()?.dev());
    device(from).is_some() && device(from) == device(to)
}

#[cfg(not(unix))]
pub(super) fn on_same_file_system(from: &Path, to: &Path) -> bool {
    let drive = |path: &Path| {
        path.components()
            .next()
            .map(|first| first.as_os_str().to_owned())
    };
    drive(from) == drive(to)
}
