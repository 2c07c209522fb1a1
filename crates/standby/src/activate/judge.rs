//! What an activation would come to: whether it is done, what is lost, and what is doubtful.

use super::logs::newest;
use super::{
    ActivateError, ActivateOptions, ActivateRefusal, ActivateReport, LostLogs, PreparedActivation,
    ReplayedLogs, SourceLook,
};
use crate::clock::Clock;
use crate::config::CopyConfig;
use crate::listing::header_of;
use crate::lost_rows::LostRows;
use crate::proofs::ProvedRange;
use crate::state::CopyState;
use ese_format::database::DatabaseHeader;
use ese_format::{Generation, JetError, Lgpos, Progress};
use ese_log::chain::verify;
use ese_log::{FileRole, Moment, StreamFiles};
use ese_replay::recovery::{DatabaseFile, RecoveryError, RecoveryPlan, Until, plan};
use std::ops::Bound;

/// Finds out what a recovery with these logs comes to, and whether it is to be done.
pub(super) fn judge(
    config: &CopyConfig,
    state: &CopyState,
    files: &StreamFiles,
    look: SourceLook,
    options: &ActivateOptions,
    clock: &dyn Clock,
    progress: &dyn Progress,
) -> Result<PreparedActivation, ActivateError> {
    let database = DatabaseFile::open(&config.target.database)?;
    let databases = [database];
    let planned = |until: &Until| plan(files, None, &databases, until, progress);
    let mut plan = planned(&Until::default())?;
    let gap = Gap::of(files, &plan);
    // What the database requires cannot be given up.
    let required = databases[0].header.max_required;
    let gap = gap.filter(|gap| options.force && gap.missing > required);
    let is_ordered = |gap: &Gap| options.give_up == Some(gap.missing);
    if let Some(gap) = gap.as_ref().filter(|gap| is_ordered(gap)) {
        // A database that was shut down in the log that is given up stays as it is.
        let kept = Moment::Generation(gap.missing.previous()).last();
        plan = planned(&Until {
            lgpos: kept.max(Some(databases[0].header.last_consistent)),
            ..Until::default()
        })?;
    }
    let [database] = databases;
    let rolled_back = plan.open_at_end();
    let end = plan.reach.as_ref().and_then(|reach| reach.end);
    let since = plan.hold_at().filter(|_| rolled_back > 0);
    let rolled_back_rows =
        since.map(|since| LostRows::rolled_back(files, &database, since, end, progress));
    let given_up_rows = gap.as_ref().map(|gap| {
        let useless = (Bound::Excluded(gap.missing), Bound::Unbounded);
        LostRows::committed(files, &database, useless, Lgpos::NULL, progress)
    });
    let refusal = match gap.as_ref().filter(|gap| !is_ordered(gap)) {
        Some(gap) => Some(gap.refusal()),
        None => refusal(config, &database.header, &plan, &look, options),
    };
    let last = plan.last();
    let reach = plan.reach.as_ref();
    let report = ActivateReport {
        copy: config.name.clone(),
        source: config.source.machine.clone(),
        target: config.target.machine.clone(),
        dry_run: false,
        mountable: refusal.is_none(),
        refusal,
        reasons: {
            // What is given up on order comes first.
            let given_up = gap.map(|gap| gap.words());
            let reasons = plan.databases.iter().flat_map(|plan| &plan.verdict.reasons);
            let doubts = doubts(state, reach.map(|reach| reach.start.generation));
            given_up
                .into_iter()
                .chain(reasons.cloned())
                .chain(doubts)
                .collect()
        },
        database: options
            .to
            .clone()
            .unwrap_or_else(|| config.target.database.clone()),
        fetched: 0,
        replayed: ReplayedLogs {
            first: reach.map(|reach| reach.start.generation),
            last,
            end: reach.and_then(|reach| reach.end).map(|end| end.to_string()),
            last_commit: None,
        },
        loss: loss(
            files,
            &plan,
            &database.header,
            &look,
            state,
            clock,
            progress,
        )?,
        rolled_back,
        rolled_back_since: since.map(|since| since.to_string()),
        rolled_back_rows,
        given_up_rows,
        proof: None,
        source_look: look,
    };
    Ok(PreparedActivation {
        database,
        plan,
        report,
    })
}

/// Logs that were replayed before and that nothing proved complete.
fn doubts(state: &CopyState, first: Option<Generation>) -> Vec<String> {
    let replayed = state.proofs.not_proved().filter_map(|range| {
        // Of those that are replayed now, the verdict says it.
        let last = first.map_or(range.last, |first| range.last.min(first.previous()));
        let range = ProvedRange {
            last,
            ..range.clone()
        };
        (range.first <= last).then_some(range)
    });
    let words = |range: ProvedRange| {
        let because = range.because.as_deref().unwrap_or_default();
        format!("replayed before: generation {}: {because}", range.span())
    };
    replayed.map(words).collect()
}

/// Why the activation is not done.
fn refusal(
    config: &CopyConfig,
    header: &DatabaseHeader,
    plan: &RecoveryPlan,
    look: &SourceLook,
    options: &ActivateOptions,
) -> Option<ActivateRefusal> {
    if let Some(blocked) = plan.obstacle(options.force) {
        let advice = match (!blocked.is_lossy, owed(header, plan, look)) {
            (true, Some(owed)) => advice_on_owed(config, owed),
            (true, None) if !blocked.advice.is_empty() => blocked.advice.join("; "),
            (true, None) => "the database cannot become consistent with these logs: look for those that are missing".to_owned(),
            (false, _) => "look for the lost logs first; --force gives up what they hold".to_owned(),
        };
        return Some(ActivateRefusal {
            reason: blocked.reasons,
            jet: Some(blocked.jet.into()),
            advice,
        });
    }
    let problem = look.problem.as_ref().filter(|_| !options.force)?;
    Some(ActivateRefusal {
        reason: format!("not all logs of the source could be fetched: {problem}"),
        jet: None,
        advice: "bring the source back; if it is lost, --force does without it, and --force --try-source takes what it can get".to_owned(),
    })
}

/// A log that recovery cannot get past though later ones are here.
struct Gap {
    missing: Generation,
    newest: Generation,
    stop: String,
    jet: JetError,
}

impl Gap {
    fn of(files: &StreamFiles, plan: &RecoveryPlan) -> Option<Self> {
        let stop = plan.reach.as_ref()?.stop.as_ref()?;
        let current = files.current.first().and_then(|file| header_of(&file.path));
        let current = current.map(|header| header.generation);
        let newest = newest(files).max(current)?;
        (newest > stop.generation).then(|| Gap {
            missing: stop.generation,
            newest,
            stop: stop.to_string(),
            jet: stop.jet,
        })
    }

    /// What is said of it, whether it is given up or not.
    fn words(&self) -> String {
        let (first, newest) = (Generation(self.missing.0 + 1), self.newest);
        format!(
            "{}; generations {first}-{newest} ({first:#x}-{newest:#x}) are here, and this alone makes them useless",
            self.stop
        )
    }

    fn refusal(&self) -> ActivateRefusal {
        let (missing, newest) = (self.missing, self.newest);
        ActivateRefusal {
            reason: self.words(),
            jet: Some(self.jet.into()),
            advice: format!(
                "find it first: that saves generations {missing} to {newest}; --give-up {missing} does without them"
            ),
        }
    }
}

/// The log that a seeding left at the source ([`crate::seed::OwedLog`]): the last one that the database requires, if it is
/// all that is missing and was never seen closed.
fn owed(header: &DatabaseHeader, plan: &RecoveryPlan, look: &SourceLook) -> Option<Generation> {
    let required = header.max_required;
    let stop = plan.reach.as_ref().and_then(|reach| reach.stop.as_ref());
    let only = stop.is_none_or(|stop| stop.generation == required && !stop.is_corruption);
    let open = look.newest_closed.is_some_and(|closed| closed < required);
    (only && open && plan.last() < Some(required)).then_some(required)
}

fn advice_on_owed(config: &CopyConfig, owed: Generation) -> String {
    format!(
        "generation {owed} ({owed:#x}) was the current log of {} when the copy was seeded, and never came here: bring the \
         source back, or put a copy of its {}.log into {}",
        config.source.machine,
        config.source.base,
        config.target.logs.display()
    )
}

/// What is lost: everything after the last log, unless that was the current log of the source.
fn loss(
    files: &StreamFiles,
    plan: &RecoveryPlan,
    header: &DatabaseHeader,
    look: &SourceLook,
    state: &CopyState,
    clock: &dyn Clock,
    progress: &dyn Progress,
) -> Result<Option<LostLogs>, ActivateError> {
    let last = plan.last();
    let dirty = header.state.needs_recovery();
    // Logs that end before the database was shut down know nothing of that: the source has lost that work and went on
    // without it, or the database is none of the source's.
    let end = plan.reach.as_ref().and_then(|reach| reach.end);
    let is_elsewhere = !dirty && end < Some(header.last_consistent);
    if look.current.is_some() && look.current == last && !is_elsewhere {
        return Ok(None);
    }
    // A log that is here and could not be used does not bring a database forward that was shut down.
    let last = last.or_else(|| newest(files).filter(|_| dirty));
    let current = files.current.first().and_then(|file| header_of(&file.path));
    // What was written after the database was shut down begins in that log, whatever older ones are here.
    let known = header.last_consistent.generation;
    let first = match last {
        None => known,
        // A current log that came here earlier: nothing shows how it went on.
        Some(last) if current.is_some_and(|current| current.generation == last) => last,
        Some(last) => last.next(),
    };
    let first = first.max(known);
    let kept = last.unwrap_or_default();
    // Of a database that was shut down later than that, its own header knows more.
    let after = match !dirty && kept < known {
        true => header.last_consistent_time.rfc3339(),
        false => last_write(files, kept, progress)?,
    };
    let begun = state.activation.as_ref().map(|activation| activation.begun);
    Ok(Some(LostLogs {
        first,
        // After the newest closed log there was a current one.
        last_known: look.newest_closed.map(|closed| {
            closed
                .next()
                .max(look.current.unwrap_or_default())
                .max(known)
        }),
        after,
        until: begun.unwrap_or_else(|| clock.now()),
        last_seen: state.generated.map(|generated| generated.at),
    }))
}

/// When the log of this generation was last written to, as it says; in the older layout, when it was begun.
fn last_write(
    files: &StreamFiles,
    generation: Generation,
    progress: &dyn Progress,
) -> Result<Option<String>, ActivateError> {
    let mut one = files.clone();
    one.current.clear();
    one.logs.retain(|file| {
        matches!(file.role, FileRole::Generation { generation: found, .. } if found == generation)
    });
    let report = verify(&one, None, progress).map_err(RecoveryError::Log)?;
    let content = report.and_then(|report| report.logs.into_iter().next()?.content.ok());
    Ok(content.and_then(|content| {
        let begun = || content.header.created.rfc3339();
        content.last_write.rfc3339().or_else(begun)
    }))
}
