//! The end of an activation: the recovery in place, the new name, and the proof.

use super::{
    ActivateError, ActivateOptions, ActivateReport, CACHE_BYTES, DatabaseProof, PreparedActivation,
};
use crate::config::CopyConfig;
use crate::error::at;
use crate::replay::ReplayFailure;
use ese_format::Progress;
use ese_format::database::{HEADERS_MAX, HeaderCopies};
use ese_replay::output::{InPlace, OutputError, RecoveryOutput, Target};
use ese_replay::recovery::{
    DatabaseFile, GivenDatabase, RecoverOptions, RecoveryError, RecoveryPlan, ReplaySummary,
    recover,
};
use ese_scan::{ScanOptions, scan};
use evidence::EvidenceFile;
use std::path::Path;
use target_disk::{Disk, SharedDisk};

/// Findings about pages that are kept for the report; all are counted.
const FINDINGS_KEPT: usize = 100;

/// Brings the database to Clean Shutdown, in its place or, across file systems, at the new one.
pub(super) fn bring_to_clean(
    disk: &SharedDisk,
    config: &CopyConfig,
    prepared: &PreparedActivation,
    options: &ActivateOptions,
    progress: &dyn Progress,
) -> Result<ReplaySummary, ActivateError> {
    let source = &prepared.database;
    let path = &config.target.database;
    let target = match &options.to {
        Some(to) if !disk.is_one_file_system(path, to) => Target::NewFile(to.clone()),
        _ => Target::InPlace,
    };
    let output = RecoveryOutput::begin(disk, source, &target, false, progress)
        .map_err(ReplayFailure::from)?;
    let recovered = run(source, output, &prepared.plan, options, progress);
    if recovered.is_err() && target == Target::InPlace {
        // The journal goes, unless the database has changed already: then this finishes what it holds, or tries to.
        let _ = InPlace::resume(&**disk, path);
    }
    recovered
}

fn run(
    source: &DatabaseFile,
    output: RecoveryOutput,
    plan: &RecoveryPlan,
    options: &ActivateOptions,
    progress: &dyn Progress,
) -> Result<ReplaySummary, ActivateError> {
    let given = GivenDatabase {
        database: source,
        pages: output.pages(),
    };
    let options = RecoverOptions {
        lossy: options.force,
        memory: Some(CACHE_BYTES),
        ..RecoverOptions::default()
    };
    let recovered = recover(plan, vec![given], Vec::new(), options, progress)?;
    if let Some(database) = recovered.databases.first() {
        output.commit(database).map_err(ReplayFailure::from)?;
    }
    Ok(recovered.summary)
}

/// Gives the database its name, and proves it.
pub(super) fn finish(
    disk: &dyn Disk,
    config: &CopyConfig,
    mut report: ActivateReport,
    options: &ActivateOptions,
    progress: &dyn Progress,
) -> Result<ActivateReport, ActivateError> {
    let (from, to) = (&config.target.database, &report.database);
    if from != to && from.exists() && disk.is_one_file_system(from, to) {
        if to.symlink_metadata().is_ok() {
            let path = to.clone();
            return Err(ReplayFailure::from(OutputError::Exists { path }).into());
        }
        let renamed = disk.rename(from, to);
        let renamed = renamed.and_then(|()| disk.sync_folder_of(to));
        renamed.map_err(at(to))?;
    }
    let proof = prove(to, options, progress)?;
    report.mountable = proof.holds();
    if !report.mountable {
        report
            .reasons
            .push("the database does not pass its proof".to_owned());
    }
    report.proof = Some(proof);
    Ok(report)
}

fn prove(
    path: &Path,
    options: &ActivateOptions,
    progress: &dyn Progress,
) -> Result<DatabaseProof, ActivateError> {
    let file = EvidenceFile::open(path).map_err(RecoveryError::from)?;
    let start = file.start(HEADERS_MAX).map_err(RecoveryError::from)?;
    let headers = HeaderCopies::read(&start);
    let state = headers
        .good()
        .map_or("Unreadable", |header| header.fields.state.name());
    let options = ScanOptions {
        threads: options.threads.max(1),
        keep_findings: FINDINGS_KEPT,
        ..ScanOptions::default()
    };
    let outcome = scan(&file, &headers, &options, progress)?;
    if outcome.interrupted_at.is_some() {
        return Err(ActivateError::Interrupted);
    }
    Ok(DatabaseProof {
        state: state.to_owned(),
        pages: outcome.counts,
        findings: outcome.findings,
    })
}
