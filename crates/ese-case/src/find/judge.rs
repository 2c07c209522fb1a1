//! What a recovery of a database that was found would come to: the plan of the only recovery that there is.

use super::{DatabaseLogs, FindOptions, FoundFile, Verdict};
use ese_format::{DatabaseHeader, Explain, Generation, JetError, Progress, Signature};
use ese_log::chain::{DatabaseVerdict, Readiness};
use ese_log::{StreamFiles, Until};
use ese_replay::output::InPlace;
use ese_replay::recovery::{
    DatabaseFile, RecoverOptions, RecoveryError, RecoveryPlan, plan, try_out,
};
use std::ops::RangeInclusive;
use std::path::PathBuf;

/// A database that others may have to be recovered with.
pub(super) struct Known<'f> {
    pub(super) file: &'f FoundFile,
    pub(super) signature: Signature,
}

/// Judges the database in `file`. None if `progress` asked to stop.
pub(super) fn judge(
    file: &FoundFile,
    header: Option<&DatabaseHeader>,
    logs: &DatabaseLogs,
    known: &[Known<'_>],
    options: &FindOptions,
    progress: &dyn Progress,
) -> Option<Verdict> {
    if header.is_some_and(DatabaseHeader::is_temporary) {
        return Some(Verdict {
            words: "temporary: the engine makes it anew".to_owned(),
            readiness: None,
            plan: None,
            tried: false,
            together_with: Vec::new(),
            problem: None,
            jet: None,
        });
    }
    match plan_for(file, logs, known, options, progress) {
        Ok(planned) => Some(planned.verdict(logs)),
        Err(RecoveryError::Interrupted) => None,
        Err(error) => Some(no_plan(error.to_string(), error.jet())),
    }
}

fn no_plan(problem: String, jet: Option<JetError>) -> Verdict {
    Verdict {
        words: "NOT READY".to_owned(),
        readiness: Some(Readiness::NotReady),
        plan: None,
        tried: false,
        together_with: Vec::new(),
        problem: Some(problem),
        jet,
    }
}

struct Planned {
    plan: RecoveryPlan,
    tried: bool,
    together_with: Vec<PathBuf>,
}

fn plan_for(
    file: &FoundFile,
    logs: &DatabaseLogs,
    known: &[Known<'_>],
    options: &FindOptions,
    progress: &dyn Progress,
) -> Result<Planned, RecoveryError> {
    if let Err(interrupted) = InPlace::refuse_interrupted(&file.path) {
        return Err(RecoveryError::NotADatabase {
            path: file.path.clone(),
            reason: interrupted.to_string(),
            jet: JetError::READ_VERIFY_FAILURE,
        });
    }
    let mut databases = vec![DatabaseFile::open(&file.path)?];
    let none = || StreamFiles::none(&file.folder, None);
    let stream = logs.stream.clone().unwrap_or_else(none);
    let until = Until::default();
    let mut planned = plan(&stream, None, &databases, &until, progress)?;
    // What the logs leave attached has to be recovered together, where it was found.
    let missing = planned.needed().iter().filter(|one| one.attached_at_end);
    let missing: Vec<Signature> = missing
        .map(|one| one.signature)
        .chain(planned.created().iter().map(|one| one.signature))
        .collect();
    let mates = missing
        .into_iter()
        .filter_map(|signature| mate(file, signature, known));
    let mates: Vec<DatabaseFile> = mates
        .filter(|mate| InPlace::refuse_interrupted(&mate.path).is_ok())
        .filter_map(|mate| DatabaseFile::open(&mate.path).ok())
        .collect();
    let together_with: Vec<PathBuf> = mates.iter().map(|mate| mate.path().to_owned()).collect();
    if !mates.is_empty() {
        databases.extend(mates);
        planned = plan(&stream, None, &databases, &until, progress)?;
    }
    planned.refuse_missing();
    let mut tried = false;
    let has_work = |plan: &RecoveryPlan| {
        let first = plan.databases.first();
        first.is_some_and(|first| first.verdict.reach.is_some() && !first.is_blocked())
    };
    if let Some(memory) = options.trial_memory.filter(|_| has_work(&planned)) {
        let recover = RecoverOptions {
            read_ahead: options.threads > 1,
            ..RecoverOptions::default()
        };
        try_out(&mut planned, &databases, memory, recover, progress)?;
        tried = true;
    }
    Ok(Planned {
        plan: planned,
        tried,
        together_with,
    })
}

/// The database of this signature that was there at the same time, the one in the same folder first.
fn mate<'f>(file: &FoundFile, signature: Signature, known: &[Known<'f>]) -> Option<&'f FoundFile> {
    let mates = known
        .iter()
        .filter(|other| other.signature == signature && other.file.path != file.path)
        .filter(|other| other.file.origin.state == file.origin.state);
    let distance = |other: &&Known<'_>| {
        let shared = (other.file.path.components())
            .zip(file.path.components())
            .take_while(|(one, other)| one == other)
            .count();
        (other.file.folder != file.folder, usize::MAX - shared)
    };
    mates.min_by_key(distance).map(|mate| mate.file)
}

impl Planned {
    fn verdict(mut self, logs: &DatabaseLogs) -> Verdict {
        let plan = self.plan.databases.swap_remove(0);
        Verdict {
            words: words(&plan.verdict, logs, self.tried),
            readiness: Some(plan.verdict.readiness),
            jet: plan.verdict.jet,
            plan: Some(plan),
            tried: self.tried,
            together_with: self.together_with,
            problem: None,
        }
    }
}

fn words(verdict: &DatabaseVerdict, logs: &DatabaseLogs, tried: bool) -> String {
    let readiness = match verdict.readiness {
        Readiness::ReadyWithoutReplay => return "clean".to_owned(),
        Readiness::NotReady if !logs.missing.is_empty() => {
            let missing: Vec<String> = logs.missing.iter().take(3).map(range).collect();
            let more = if logs.missing.len() > 3 { " ..." } else { "" };
            return format!("NOT READY: no log {}{more}", missing.join(", "));
        }
        readiness => readiness.to_string(),
    };
    match tried {
        true => format!("{readiness} (tried)"),
        false => readiness,
    }
}

/// Generations in hexadecimal, as the names of logs have them.
pub(super) fn range(range: &RangeInclusive<Generation>) -> String {
    match range.start() == range.end() {
        true => format!("{:#x}", range.start()),
        false => format!("{:#x}-{:#x}", range.start(), range.end()),
    }
}
