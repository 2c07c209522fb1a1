//! What a recovery would do, and what keeps it from being done. Nothing is written.
//!
//! A plan is not only read from headers and logs: it is tried, and its result thrown away. So what it calls READY,
//! `edbreplay run` does.

use super::Input;
use super::Subjects;
use super::report::{write_last_commit, write_records};
use console::{Exit, Failure, shell_word};
use ese_format::database::DatabaseHeader;
use ese_format::{Explain, JetSuffix, Progress};
use ese_log::chain::Readiness;
use ese_log::transactions::OpenTransaction;
use ese_replay::recovery::{
    CreatedDatabase, DatabasePlan, NeededDatabase, RecoverOptions, Recovered, RecoveryError,
    RecoveryPlan, ReplaySummary, TrialResult, plan, try_out,
};
use ese_replay::redo::RedoCounts;
use serde::Serialize;
use std::fmt::{self, Display, Formatter};

/// The schema of a [`Report`].
pub const SCHEMA: &str = "edbkit.replay-plan/1";

/// How a recovery is planned.
#[derive(Debug, Clone)]
pub struct PlanOptions {
    /// Databases that the logs change and that are not named are left out.
    pub ignore_missing: bool,
    /// Only headers and logs are read: it is not tried.
    pub quick: bool,
    /// So much of the databases is held in memory.
    pub memory: usize,
    /// Whether a second thread reads ahead.
    pub read_ahead: bool,
}

impl Default for PlanOptions {
    fn default() -> Self {
        PlanOptions {
            ignore_missing: false,
            quick: false,
            memory: 512 << 20,
            read_ahead: true,
        }
    }
}

/// What a recovery would do, and whether it would bring all databases to their end.
#[derive(Debug, Serialize)]
pub struct Report {
    #[serde(flatten)]
    plan: RecoveryPlan,
    /// Whether the recovery was tried, pages and all.
    tried: bool,
    /// What it did; none if it was not tried or failed.
    survey: Option<TrialSummary>,
    /// What keeps it from being done, where that is about no single database.
    problem: Option<String>,
    /// What to do about that.
    advice: Vec<String>,
    /// Which of the databases need nothing.
    clean: Vec<bool>,
    /// The command that does it.
    next: Option<String>,
    /// What the logs would come to without the databases that were found beside them.
    #[serde(skip_serializing_if = "Option::is_none")]
    logs_alone: Option<Names>,
    /// Whether it would bring all databases to their end without loss.
    #[serde(skip)]
    is_ready: bool,
}

/// The databases that logs create, and those that they need.
#[derive(Debug, Serialize)]
struct Names {
    created: Vec<CreatedDatabase>,
    needed: Vec<NeededDatabase>,
}

impl Names {
    fn of(plan: &RecoveryPlan) -> Self {
        Names {
            created: plan.created().to_vec(),
            needed: plan.needed().to_vec(),
        }
    }
}

/// What a recovery that was tried did.
#[derive(Debug, Serialize)]
struct TrialSummary {
    /// How far it went.
    #[serde(flatten)]
    summary: ReplaySummary,
    /// Transactions that committed.
    committed: u64,
    /// Transactions that the engine rolled back itself.
    rolled_back: u64,
    /// Commits of transactions that began before the first log.
    began_before: u64,
    /// Transactions that a recovery rolls back.
    open: Vec<OpenTransaction>,
    #[serde(skip)]
    counts: RedoCounts,
}

impl TrialSummary {
    fn of(recovered: Recovered) -> Self {
        let transactions = &recovered.counts.transactions;
        TrialSummary {
            committed: transactions.committed,
            rolled_back: transactions.rolled_back,
            began_before: transactions.began_before,
            open: transactions.open().copied().collect(),
            summary: recovered.summary,
            counts: recovered.counts,
        }
    }
}

/// Plans a recovery, and tries it unless that was declined. Nothing is written.
pub fn report(
    input: &Input,
    subjects: &Subjects,
    options: &PlanOptions,
    progress: &dyn Progress,
) -> Result<Report, Failure> {
    let Subjects {
        databases, stream, ..
    } = subjects;
    let checkpoint = input.checkpoint.as_deref();
    let logs_alone = match subjects.found && !databases.is_empty() {
        true => {
            let alone = plan(stream, checkpoint, &[], &input.until, progress);
            Some(Names::of(&alone.map_err(|error| Failure::of(&error))?))
        }
        false => None,
    };
    let plan = plan(stream, checkpoint, databases, &input.until, progress);
    let mut plan = plan.map_err(|error| Failure::of(&error).as_finding())?;
    let tried = match options.quick {
        true => {
            plan.refuse_early_limit(databases);
            if !options.ignore_missing {
                plan.refuse_missing();
            }
            None
        }
        false => {
            let how = RecoverOptions {
                ignore_missing: options.ignore_missing,
                read_ahead: options.read_ahead,
                ..RecoverOptions::default()
            };
            let tried = try_out(&mut plan, databases, options.memory, how, progress);
            Some(tried.map_err(|error| Failure::of(&error).as_finding())?)
        }
    };
    let is_tried = tried.is_some();
    let TrialResult { recovered, problem } = tried.unwrap_or(TrialResult {
        recovered: None,
        problem: None,
    });
    let troubled = |plan: &DatabasePlan| plan.is_blocked() || plan.is_lossy();
    // Without a database there is no verdict that says what the logs cannot be replayed past.
    let stopped = plan.obstacle(false).filter(|_| databases.is_empty());
    let (stopped, advice) = stopped
        .map(|stopped| {
            let problem = format!("{}{}", stopped.reasons, JetSuffix(Some(stopped.jet)));
            (problem, stopped.advice)
        })
        .unzip();
    let is_ready = !plan.databases.iter().any(troubled) && problem.is_none() && stopped.is_none();
    let is_clean = |header: &DatabaseHeader| !header.state.needs_recovery();
    let next = next(input, options, subjects, &plan).filter(|_| is_ready);
    Ok(Report {
        clean: databases
            .iter()
            .map(|database| is_clean(&database.header))
            .collect(),
        tried: is_tried,
        survey: recovered.map(TrialSummary::of),
        problem: problem.as_ref().and_then(about_all).or(stopped),
        advice: advice.unwrap_or_default(),
        next,
        plan,
        logs_alone,
        is_ready,
    })
}

/// An error that no database's verdict says already, with the engine's number.
fn about_all(error: &RecoveryError) -> Option<String> {
    if matches!(error, RecoveryError::Refused(_)) {
        return None;
    }
    Some(format!("{error}{}", JetSuffix(error.jet())))
}

/// The command that carries the plan out.
fn next(
    input: &Input,
    options: &PlanOptions,
    subjects: &Subjects,
    plan: &RecoveryPlan,
) -> Option<String> {
    let replays = |plan: &DatabasePlan| plan.verdict.reach.is_some();
    if !plan.databases.iter().any(replays) && !plan.databases.is_empty() {
        return None;
    }
    let mut words = vec!["edbreplay run".to_owned()];
    words.extend(
        subjects
            .databases
            .iter()
            .map(|database| shell_word(database.path())),
    );
    for place in &subjects.places {
        words.push("--logs".to_owned());
        words.push(shell_word(place));
    }
    words.extend(input.limits());
    if options.ignore_missing {
        words.push("--ignore-missing".to_owned());
    }
    words.push(match subjects.databases.len() {
        1 => "--to NEW.edb".to_owned(),
        _ => "--to FOLDER/".to_owned(),
    });
    Some(words.join(" "))
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (database, clean) in self.plan.databases.iter().zip(&self.clean) {
            write_database(f, database, *clean)?;
        }
        self.write_names(f)?;
        match (&self.survey, &self.problem) {
            (Some(survey), None) => survey.fmt(f)?,
            (Some(survey), Some(problem)) => {
                survey.fmt(f)?;
                writeln!(f, "NOT READY: {problem}")?;
            }
            (None, Some(problem)) if self.plan.databases.is_empty() => {
                writeln!(f, "The logs cannot be replayed: {problem}")?;
                for advice in &self.advice {
                    writeln!(f, "  advice: {advice}")?;
                }
            }
            (None, _) if !self.tried => {
                writeln!(f, "Not tried: no page of the databases was looked at.")?;
            }
            (None, _) => {}
        }
        match &self.next {
            Some(next) => writeln!(f, "Next: {next}"),
            None => Ok(()),
        }
    }
}

impl Report {
    /// The exit code that follows: that a recovery is not possible is an answer, too.
    pub fn exit(&self) -> Exit {
        match self.is_ready {
            true => Exit::Clean,
            false => Exit::Finding,
        }
    }

    /// Databases that the logs need or create, beside those that are given.
    fn write_names(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (needed, created) = match &self.logs_alone {
            Some(names) => (&names.needed[..], &names.created[..]),
            None => (self.plan.needed(), self.plan.created()),
        };
        for needed in needed {
            let still = match needed.attached_at_end {
                true => "attached at the end",
                false => "detached before the end",
            };
            writeln!(
                f,
                "The logs need: {} ({still}; {})",
                needed.path,
                needed.signature.shown()
            )?;
        }
        for creation in created {
            let deleted = match creation.replaced {
                true => ", and replace it by another one later",
                false => "",
            };
            writeln!(
                f,
                "The logs create: {} at {}{deleted} ({})",
                creation.path,
                creation.lgpos,
                creation.signature.shown()
            )?;
        }
        Ok(())
    }
}

impl Display for TrialSummary {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let summary = &self.summary;
        if summary.logs == 0 {
            return writeln!(f, "No logs are to be replayed.");
        }
        writeln!(
            f,
            "Logs: generations {}-{} ({0:#x}-{1:#x}), {} files, {} bytes, up to {}",
            summary.first, summary.last, summary.logs, summary.log_bytes, summary.end
        )?;
        write_records(f, summary, &self.counts.total())?;
        write!(
            f,
            "Transactions: {} committed, {} rolled back in the logs",
            self.committed, self.rolled_back
        )?;
        match self.began_before {
            0 => writeln!(f)?,
            before => writeln!(f, "; {before} more began before these logs")?,
        }
        writeln!(f, "Open at the end, to be rolled back: {}", self.open.len())?;
        for open in &self.open {
            writeln!(
                f,
                "  session {}, transaction {:#x}, since {}",
                open.procid, open.trx, open.began
            )?;
        }
        write_last_commit(f, summary)?;
        match summary.limited_before {
            Some(limit) => writeln!(f, "The limit leaves out what comes from {limit} on."),
            None => Ok(()),
        }
    }
}

fn write_database(f: &mut Formatter<'_>, plan: &DatabasePlan, clean: bool) -> fmt::Result {
    let verdict = &plan.verdict;
    let readiness = match (verdict.readiness, &verdict.reach) {
        (Readiness::ReadyWithoutReplay, Some(_)) if clean => "READY".to_owned(),
        (readiness, _) => readiness.to_string(),
    };
    writeln!(
        f,
        "{}: {readiness} ({})",
        plan.path.display(),
        verdict.state
    )?;
    if let Some(need) = &verdict.need {
        writeln!(
            f,
            "  needs generations {}-{} ({0:#x}-{1:#x}), committed to {} ({2:#x})",
            need.min_required, need.max_required, need.max_committed
        )?;
    }
    if let Some(files) = &verdict.needed_files {
        writeln!(f, "  files: {files}")?;
    }
    if let Some(reach) = verdict.reach.as_ref().filter(|reach| reach.end.is_some()) {
        writeln!(f, "  {reach}")?;
    }
    for reason in &verdict.reasons {
        writeln!(f, "  {reason}")?;
    }
    if let Some(loss) = &verdict.loss {
        let begun = match loss.until.rfc3339() {
            Some(time) => format!(", the last of them begun {time}"),
            None => String::new(),
        };
        writeln!(
            f,
            "  lost: generations {}-{}{begun}; kept up to {}",
            loss.first,
            loss.last,
            loss.after.shown()
        )?;
    }
    if let Some(jet) = verdict.jet {
        writeln!(f, "  the engine would end with {jet}")?;
    }
    for advice in &verdict.advice {
        writeln!(f, "  advice: {advice}")?;
    }
    Ok(())
}
