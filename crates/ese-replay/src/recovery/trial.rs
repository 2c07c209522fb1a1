//! A recovery whose result is thrown away: the only way to know that one will succeed.
//!
//! A plan reads headers and logs. Whether every page is what the records expect, which databases the logs leave attached,
//! and up to what moment the result would reach, only redo and undo themselves show. Changed pages stay in memory,
//! above a limit in a temporary file without a name.

use super::recover::{EmptyFile, GivenDatabase, RecoverOptions, Recovered, recover};
use super::{DatabaseFile, RecoveryError, RecoveryPlan};
use crate::output::over;
use crate::page_files::{DirectFile, Shared};
use crate::redo::NewDatabase;
use ese_format::{Explain, Progress};
use ese_log::chain::Readiness;
use tempfile::SpooledTempFile;

/// Carries out `plan` for `databases` without a result. At most `memory` bytes of changed pages, and about as many of
/// pages in use, stay in memory.
pub fn trial(
    plan: &RecoveryPlan,
    databases: &[DatabaseFile],
    memory: usize,
    mut options: RecoverOptions<'_>,
    progress: &dyn Progress,
) -> Result<Recovered, RecoveryError> {
    let mut given = Vec::new();
    for database in databases {
        let disk = Box::new(SpooledTempFile::new(memory));
        let overlay = over(database, disk).map_err(RecoveryError::Temporary)?;
        given.push(GivenDatabase {
            database,
            pages: Box::new(Shared::new(overlay)),
        });
    }
    let mut created = Vec::new();
    // Where databases are given, others are made only where a place for them is named.
    for creation in plan.created().iter().filter(|_| databases.is_empty()) {
        let Some(page_size) = plan.page_size() else {
            break;
        };
        let disk = Box::new(SpooledTempFile::new(memory));
        created.push(EmptyFile {
            signature: creation.signature,
            file: NewDatabase {
                file: Box::new(DirectFile::new(disk, page_size.bytes())),
                page_size,
                cache_pages: usize::MAX,
            },
        });
    }
    options.memory.get_or_insert(memory as u64);
    recover(plan, given, created, options, progress)
}

/// What a plan comes to when it is tried.
pub struct TrialResult {
    /// The recovery, if it passed; its databases are let go.
    pub recovered: Option<Recovered>,
    /// Why it did not.
    pub problem: Option<RecoveryError>,
}

/// Tries `plan` and makes its verdicts say the result. A plan that is refused is not tried.
///
/// Only an order to stop is an error.
pub fn try_out(
    plan: &mut RecoveryPlan,
    databases: &[DatabaseFile],
    memory: usize,
    options: RecoverOptions<'_>,
    progress: &dyn Progress,
) -> Result<TrialResult, RecoveryError> {
    let options = RecoverOptions {
        lossy: true,
        ..options
    };
    let tried = match trial(plan, databases, memory, options, progress) {
        Ok(mut recovered) => {
            recovered.databases.clear();
            TrialResult {
                recovered: Some(recovered),
                problem: None,
            }
        }
        Err(RecoveryError::Interrupted) => return Err(RecoveryError::Interrupted),
        Err(problem) => TrialResult {
            recovered: None,
            problem: Some(problem),
        },
    };
    if let Some(problem) = &tried.problem
        && !matches!(problem, RecoveryError::Refused(_))
    {
        plan.refuse(problem);
    }
    Ok(tried)
}

impl RecoveryPlan {
    /// Makes the verdicts say that the recovery fails. What concerns one database keeps all from being recovered.
    pub(super) fn refuse(&mut self, problem: &RecoveryError) {
        let advice = problem.advice();
        for database in &mut self.databases {
            let verdict = &mut database.verdict;
            if verdict.readiness == Readiness::NotReady {
                continue;
            }
            // Where work would be given up, that is refused first.
            if verdict.readiness != Readiness::ReadyWithLoss {
                verdict.advice.clear();
                verdict.jet = problem.jet();
            }
            verdict.fail(problem.to_string());
            verdict.advice.extend(advice.as_deref().map(str::to_owned));
        }
    }
}
