//! What an activation would come to with the logs that can be had, and whether it is to be done.

use super::report::Gap;
use super::stream::Fetched;
use super::{ActivateError, ActivateOptions, Basis, Loss, Refusal, Replayed, Report, SourceLook};
use crate::clock::Clock;
use crate::config::CopyConfig;
use crate::replay::first_needed;
use crate::source::header_of;
use crate::state::State;
use ese_format::database::DatabaseHeader;
use ese_format::{Generation, JetError, Progress};
use ese_log::chain::verify;
use ese_log::{FileRole, StreamFiles};
use ese_replay::recovery::{DatabaseFile, Plan, RecoveryError, Until, plan};
use std::collections::BTreeSet;

/// Finds out what a recovery with these logs comes to, and whether it is to be done.
pub(super) fn judge(
    config: &CopyConfig,
    state: &State,
    files: &StreamFiles,
    fetched: Fetched,
    options: &ActivateOptions,
    clock: &dyn Clock,
    progress: &dyn Progress,
) -> Result<Basis, ActivateError> {
    let database = DatabaseFile::open(&config.target.database)?;
    let until = Until::default();
    let databases = [database];
    let plan = plan(files, None, &databases, &until, progress)?;
    let [database] = databases;
    let rolled_back = plan.open_at_end();
    let Fetched { look, there, .. } = &fetched;
    let gap = gap(files, &plan, &database.header, there);
    let refusal = refusal(config, &database.header, &plan, look, gap.as_ref(), options);
    let last = plan.last();
    let reach = plan.reach.as_ref();
    let report = Report {
        copy: config.name.clone(),
        source: config.source.machine.clone(),
        target: config.target.machine.clone(),
        dry_run: false,
        mountable: refusal.is_none(),
        refusal,
        reasons: plan
            .databases
            .iter()
            .flat_map(|plan| plan.verdict.reasons.clone())
            .collect(),
        database: options
            .to
            .clone()
            .unwrap_or_else(|| config.target.database.clone()),
        fetched: fetched.count,
        replayed: Replayed {
            first: reach.map(|reach| reach.start.generation),
            last,
            end: reach.and_then(|reach| reach.end).map(|end| end.to_string()),
            last_commit: None,
        },
        loss: loss(
            files,
            &plan,
            &database.header,
            look,
            state,
            clock,
            progress,
        )?,
        rolled_back,
        proof: None,
        source_look: look.clone(),
        gap,
        activated_before: None,
    };
    Ok(Basis {
        database,
        plan,
        report,
    })
}

/// Why the activation is not done.
fn refusal(
    config: &CopyConfig,
    header: &DatabaseHeader,
    plan: &Plan,
    look: &SourceLook,
    gap: Option<&Gap>,
    options: &ActivateOptions,
) -> Option<Refusal> {
    if let Some(blocked) = plan.obstacle(options.force) {
        let advice = match (!blocked.is_lossy, owed(header, plan, look)) {
            (true, Some(owed)) => advice_on_owed(config, owed),
            (true, None) if !blocked.advice.is_empty() => blocked.advice.join("; "),
            (true, None) => "the database cannot become consistent with these logs: look for those that are missing".to_owned(),
            (false, _) => "look for the lost logs first; --force gives up what they hold".to_owned(),
        };
        let reasons = gap.map(|gap| format!("{gap}; ")).unwrap_or_default() + &blocked.reasons;
        return Some(Refusal {
            reason: reasons,
            jet: Some(blocked.jet.into()),
            advice,
        });
    }
    if let Some(refusal) = gap.and_then(|gap| not_given_up(gap, options)) {
        return Some(refusal);
    }
    let problem = look.problem.as_ref().filter(|_| !options.force)?;
    Some(Refusal {
        reason: format!("not all logs of the source could be had: {problem}"),
        jet: None,
        advice: "bring the source back; if it is lost, --force does without it, and --force --try-source takes what can be had".to_owned(),
    })
}

/// Later logs are useless only because of one: to give them up needs an order that names the first of them.
fn not_given_up(gap: &Gap, options: &ActivateOptions) -> Option<Refusal> {
    let missing = gap.missing;
    let advice = match options.give_up {
        Some(named) if named == missing => return None,
        Some(named) => format!(
            "--give-up {named} does not name the first log that would be given up: that is {missing}"
        ),
        None => format!(
            "find {}, in a backup, on another copy or at the source; --force --give-up {missing} gives up it and all after it",
            gap.file
        ),
    };
    Some(Refusal {
        reason: gap.to_string(),
        jet: gap.jet.clone(),
        advice,
    })
}

/// The log at which recovery would end though later ones are here or at the source.
fn gap(
    files: &StreamFiles,
    plan: &Plan,
    header: &DatabaseHeader,
    there: &BTreeSet<Generation>,
) -> Option<Gap> {
    let reach = plan.reach.as_ref();
    let missing = match plan.last() {
        Some(last) => Generation(last.0.saturating_add(1)),
        None => reach.map_or(first_needed(header), |reach| reach.start.generation),
    };
    let current = files.current.iter().filter_map(|file| Some(header_of(&file.path)?.generation));
    let named = files.logs.iter().filter_map(|file| match file.role {
        FileRole::Generation { generation, .. } => Some(generation),
        _ => None,
    });
    let later = |generation: &Generation| *generation > missing;
    let here: BTreeSet<Generation> = named.chain(current).filter(later).collect();
    let at_source: BTreeSet<Generation> =
        there.iter().copied().filter(later).filter(|at| !here.contains(at)).collect();
    let mut saves = missing;
    while let Some(next) = saves.0.checked_add(1).map(Generation)
        && (here.contains(&next) || at_source.contains(&next))
    {
        saves = next;
    }
    if saves == missing {
        return None;
    }
    let stop = reach.and_then(|reach| reach.stop.as_ref());
    let stop = stop.filter(|stop| stop.generation == missing);
    let range = |found: &BTreeSet<Generation>| Some((*found.first()?, *found.last()?));
    Some(Gap {
        missing,
        file: files.naming.generation(missing),
        reason: stop.map_or_else(|| "it is not here".to_owned(), |stop| stop.reason.clone()),
        jet: Some(stop.map_or(JetError::MISSING_LOG_FILE, |stop| stop.jet).into()),
        here: range(&here),
        at_source: range(&at_source),
        saves,
    })
}

/// The log that a seeding left at the source ([`crate::seed::Owed`]): the last one that the database requires, if it is
/// all that is missing and was never seen closed.
fn owed(header: &DatabaseHeader, plan: &Plan, look: &SourceLook) -> Option<Generation> {
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
    plan: &Plan,
    header: &DatabaseHeader,
    look: &SourceLook,
    state: &State,
    clock: &dyn Clock,
    progress: &dyn Progress,
) -> Result<Option<Loss>, ActivateError> {
    let last = plan.last();
    if look.current.is_some() && look.current == last {
        return Ok(None);
    }
    // Without a log that can be replayed, all that was written since the database was shut down is lost.
    let first = last.map_or(first_needed(header), |last| {
        Generation(last.0.saturating_add(1))
    });
    let kept = last.unwrap_or_default();
    let begun = state.activation.as_ref().map(|activation| activation.begun);
    Ok(Some(Loss {
        first,
        // After the newest closed log there was a current one.
        last_known: look.newest_closed.map(|closed| {
            Generation(closed.0.saturating_add(1)).max(look.current.unwrap_or_default())
        }),
        after: last_write(files, kept, progress)?,
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
