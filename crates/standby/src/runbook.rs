//! Runbooks: complete procedures around a failover, with the names and paths of one installation.
//!
//! A runbook is a row of steps with commands of the Exchange Management Shell and of this toolkit. It is written as Markdown
//! for people and as a script for PowerShell; both come from the same steps.
//!
//! Every step may be done again, and the whole may be begun again at any time: a step looks before it acts, and a step that
//! must not be repeated has a condition ([`RunbookStep::when`]). Conditions ask what lasts: where a database of the directory points,
//! and whether a folder is there. All file cmdlets are for the standby's server, where a script is run.
//!
//! Facts: "Standby Continuous Replication: Database Portability" and the pages of the cmdlets (Exchange 2007 SP1).
//!
//! Whatever a name or a path holds, it reaches the shell as one literal ([`quote::literal`]): a name is data.

mod commands;
mod failback;
mod failover;
mod prepare;
mod quote;
mod reverse;
mod write;

use crate::config::CopyConfig;
use serde::Serialize;
use std::path::{Path, PathBuf};

pub use quote::literal;

/// What a runbook is made from.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The configuration file.
    pub config: PathBuf,
    /// The copy.
    pub copy: CopyConfig,
    /// The activated database at the standby, or the one that will be.
    pub activated: PathBuf,
    /// The storage group at the first server.
    pub storage_group: String,
    /// Its database.
    pub database: String,
    /// The storage group that takes the database at the standby.
    pub standby_storage_group: String,
    /// The database there.
    pub standby_database: String,
    /// The first server is lost.
    pub source_lost: bool,
    /// Our programs are run at another machine than the cmdlets: a script shows their lines, and asks for their
    /// results.
    pub station: bool,
    /// Paths of this machine (what they begin with) and what they are called on the servers.
    pub map: Vec<(String, String)>,
}

impl Facts {
    /// A path as the Exchange server calls it.
    fn on_server(&self, path: &Path) -> String {
        let text = path.to_string_lossy();
        let rest = |from: &str| {
            let rest = text.strip_prefix(from)?;
            let whole =
                from.ends_with(['/', '\\']) || rest.is_empty() || rest.starts_with(['/', '\\']);
            whole.then(|| rest.trim_start_matches(['/', '\\']).replace('/', "\\"))
        };
        let mapped = self
            .map
            .iter()
            .find_map(|(from, to)| Some((to, rest(from)?)));
        match mapped {
            Some((to, rest)) if rest.is_empty() => to.clone(),
            Some((to, rest)) => format!("{}\\{rest}", to.trim_end_matches('\\')),
            None => text.into_owned(),
        }
    }

    /// Paths that do not look like those of a server: neither a drive nor a share.
    fn foreign_paths(&self) -> Vec<String> {
        let (source, target) = (&self.copy.source, &self.copy.target);
        let paths = [
            &source.logs,
            &source.system,
            &source.database,
            &target.logs,
            &target.system,
            &self.activated,
        ];
        let mut found: Vec<String> = paths.iter().map(|path| self.on_server(path)).collect();
        found.retain(|path| path.chars().nth(1) != Some(':') && !path.starts_with("\\\\"));
        found.dedup();
        found
    }
}

/// A procedure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Runbook {
    #[serde(skip)]
    station: bool,
    /// What it is for.
    pub title: String,
    /// What to know before.
    pub notes: Vec<String>,
    /// What to do, in this order.
    pub steps: Vec<RunbookStep>,
}

/// A step of a procedure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunbookStep {
    /// What is done.
    pub title: String,
    /// The machine that it is about.
    pub machine: String,
    /// What to know of it, and what to look for.
    pub text: String,
    /// A condition of the shell: where it does not hold, the step is passed over: it was done before, or its turn has not come.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// The commands.
    pub commands: Vec<RunbookCommand>,
}

/// A command of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum RunbookCommand {
    /// A line of the Exchange Management Shell.
    Shell {
        /// The line, quoted.
        line: String,
    },
    /// A program of this toolkit.
    Program {
        /// The line, quoted.
        line: String,
        /// The highest exit code with which the procedure goes on.
        accept: u8,
        /// What its output has to say, too: a pattern of the shell's `-match`.
        #[serde(skip_serializing_if = "Option::is_none")]
        says: Option<String>,
        /// The line in its place if it was refused (5) and a person has read why.
        #[serde(skip_serializing_if = "Option::is_none")]
        refused: Option<String>,
    },
}

impl RunbookCommand {
    /// The line as it is typed.
    pub fn line(&self) -> &str {
        match self {
            RunbookCommand::Shell { line } | RunbookCommand::Program { line, .. } => line,
        }
    }
}

/// What is done at the standby before anything has happened.
pub fn prepare(facts: &Facts) -> Runbook {
    let (group, target) = (&facts.storage_group, &facts.copy.target.machine);
    let title = format!("Preparing {target} for {group}");
    runbook(facts, title, prepare::steps(facts))
}

/// The procedure after the first server's storage group failed: the standby takes over.
pub fn failover(facts: &Facts) -> Runbook {
    runbook(facts, way("Failover", facts, true), failover::steps(facts))
}

/// The procedure by which the database goes back to the first server.
pub fn failback(facts: &Facts) -> Runbook {
    runbook(facts, way("Failback", facts, false), failback::steps(facts))
}

/// The procedure by which the standby stays the primary and the first server becomes its standby.
pub fn reverse(facts: &Facts) -> Runbook {
    let title = way("Replication", facts, false);
    runbook(facts, title, reverse::steps(facts))
}

fn way(what: &str, facts: &Facts, forth: bool) -> String {
    let (source, target) = (&facts.copy.source.machine, &facts.copy.target.machine);
    let group = &facts.storage_group;
    match forth {
        true => format!("{what} of {group} from {source} to {target}"),
        false => format!("{what} of {group} from {target} to {source}"),
    }
}

fn runbook(facts: &Facts, title: String, steps: Vec<RunbookStep>) -> Runbook {
    Runbook {
        station: facts.station,
        title,
        notes: notes(facts),
        steps,
    }
}

fn notes(facts: &Facts) -> Vec<String> {
    let (source, target) = (&facts.copy.source, &facts.copy.target);
    let mut notes = vec![
        format!(
            "Cmdlets are those of the Exchange Management Shell (Exchange 2007 SP1), at {}: they look at its folders. scr, \
             edbtool and logchain run where their paths are reached.",
            target.machine
        ),
        "Read all of it before the first step. Stop at the first step that does not say what it should. Every step may be \
         done again, and the whole begun again: what was done before is passed over."
            .to_owned(),
    ];
    if facts.station {
        notes.push(
            "scr, edbtool and logchain run at the station. Their lines are quoted as PowerShell reads them: in another shell, \
             write '\\'' for two quotes in a name. $prefix is what the cmdlets have said before."
                .to_owned(),
        );
    }
    let foreign = facts.foreign_paths();
    if !foreign.is_empty() {
        notes.push(format!(
            "These paths are as this machine sees them; give the servers' own with --map LOCAL=SERVER: {}",
            foreign.join(", ")
        ));
    }
    let pairs = [
        (&source.logs, &target.logs),
        (&source.system, &target.system),
        (&source.database, &target.database),
    ];
    let differ =
        |(one, other): &(&PathBuf, &PathBuf)| facts.on_server(one) != facts.on_server(other);
    if foreign.is_empty() && pairs.iter().any(differ) {
        notes.push(format!(
            "The paths at {} and {} are not the same: the product's own replication demands it, scr does not.",
            source.machine, target.machine
        ));
    }
    notes
}
