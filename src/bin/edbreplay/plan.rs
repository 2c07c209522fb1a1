//! `edbreplay plan`: what a recovery would do, and what keeps it from being done. Nothing is written.

use crate::input::{Input, failure};
use console::{Exit, Failure, Output};
use ese_format::Progress;
use ese_format::database::DatabaseHeader;
use ese_log::chain::Readiness;
use ese_replay::recovery::{DatabasePlan, Plan, RecoveryError, Survey, plan, survey};
use serde::Serialize;
use std::fmt::{self, Display, Formatter};

/// Say what a recovery would replay, roll back and lose, and what keeps it from being done
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  edbreplay plan state/db.edb --logs state\n  edbreplay plan state/db.edb --logs state --until 42"
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    input: Input,
}

#[derive(Debug, Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    plan: &'a Plan,
    /// What the logs hold; none if they cannot all be read.
    survey: Option<Survey>,
    /// What keeps the logs from being read, or a limit from being kept.
    problem: Option<String>,
    /// Which of the databases need nothing.
    clean: Vec<bool>,
}

/// Runs the command.
pub(crate) fn run(arguments: &Arguments, output: &mut Output) -> Result<Exit, Failure> {
    let input = &arguments.input;
    let databases = input.open()?;
    let stream = input.stream()?;
    let until = input.until();
    let bar = output.bar(0, "Reading logs");
    let plan = plan(
        &stream,
        input.checkpoint.as_deref(),
        &databases,
        &until,
        &bar,
    );
    let plan = plan.map_err(|error| failure(&error))?;
    bar.begin(plan.log_bytes, 0);
    let surveyed = survey(&mut plan.records(), &until, &bar);
    drop(bar);
    let (survey, problem) = match surveyed {
        Ok(survey) => {
            let early = input.too_early(&databases, &survey.ran);
            (Some(survey), early.map(|error| told(&error)))
        }
        Err(error @ RecoveryError::Interrupted) => return Err(failure(&error)),
        Err(error) => (None, Some(told(&error))),
    };
    let is_clean = |header: &DatabaseHeader| !header.state.needs_recovery();
    let report = Report {
        clean: databases
            .iter()
            .map(|database| is_clean(&database.header))
            .collect(),
        plan: &plan,
        survey,
        problem,
    };
    output.answer("edbkit.replay-plan/1", &report, &report)?;
    let troubled = |plan: &DatabasePlan| plan.is_blocked() || plan.is_lossy();
    Ok(
        match plan.databases.iter().any(troubled) || report.problem.is_some() {
            true => Exit::Finding,
            false => Exit::Clean,
        },
    )
}

/// An error with the engine's number, where it has one.
fn told(error: &RecoveryError) -> String {
    match error.jet() {
        Some(jet) => format!("{error} [JET {jet}]"),
        None => error.to_string(),
    }
}

impl Display for Report<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (database, clean) in self.plan.databases.iter().zip(&self.clean) {
            write_database(f, database, *clean)?;
        }
        let Some(survey) = &self.survey else {
            let problem = self.problem.as_deref().unwrap_or("no log is there");
            return writeln!(f, "The logs cannot be replayed: {problem}");
        };
        let ran = &survey.ran;
        if ran.logs == 0 {
            writeln!(f, "No logs are to be replayed.")?;
            return self.write_limit(f);
        }
        writeln!(
            f,
            "Logs: generations {}-{} (0x{0:X}-0x{1:X}), {} files, {} bytes, up to {}",
            ran.first, ran.last, ran.logs, ran.log_bytes, ran.end
        )?;
        writeln!(
            f,
            "Records: {}; transactions: {} committed, {} rolled back in the logs",
            ran.records, survey.committed, survey.rolled_back
        )?;
        writeln!(
            f,
            "Open at the end, to be rolled back: {}",
            survey.open.len()
        )?;
        for open in &survey.open {
            writeln!(f, "  session {} since {}", open.procid, open.began)?;
        }
        if let Some(limit) = ran.limited_before {
            writeln!(f, "The limit leaves out what comes from {limit} on.")?;
        }
        self.write_limit(f)
    }
}

impl Report<'_> {
    fn write_limit(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.problem {
            Some(problem) => writeln!(f, "NOT with this limit: {problem}"),
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
            "  needs generations {}-{} (0x{0:X}-0x{1:X}), committed to {} (0x{2:X})",
            need.min_required, need.max_required, need.max_committed
        )?;
    }
    if let Some(reach) = &verdict.reach {
        writeln!(f, "  {reach}")?;
    }
    for reason in &verdict.reasons {
        writeln!(f, "  {reason}")?;
    }
    if let Some(loss) = &verdict.loss {
        writeln!(
            f,
            "  lost: generations {}-{}, written between {} and {}",
            loss.first, loss.last, loss.after, loss.until
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
