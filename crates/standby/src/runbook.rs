//! Runbooks: the complete procedure of a failover or a failback, with the names and paths of one installation.
//!
//! A runbook is a row of steps, each on one machine, with commands of the Exchange Management Shell and of this toolkit.
//! It is written as Markdown for people and as a script for PowerShell; both come from the same steps.
//!
//! Facts: "Standby Continuous Replication: Database Portability" and the pages of the cmdlets (Exchange 2007 SP1).
//!
//! Whatever a name or a path holds, it reaches the shell as one literal ([`quote::literal`]): a name is data.

mod quote;
mod steps;
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
    /// What it is for.
    pub title: String,
    /// What to know before.
    pub notes: Vec<String>,
    /// What to do, in this order.
    pub steps: Vec<Step>,
}

/// A step of a procedure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// What is done.
    pub title: String,
    /// The machine on which.
    pub machine: String,
    /// What to know of it, and what to look for.
    pub text: String,
    /// The commands.
    pub commands: Vec<Command>,
}

/// A command of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Command {
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
    },
}

impl Command {
    /// The line as it is typed.
    pub fn line(&self) -> &str {
        match self {
            Command::Shell { line } | Command::Program { line, .. } => line,
        }
    }
}

/// The procedure after the first server's storage group failed: the standby takes over.
pub fn failover(facts: &Facts) -> Runbook {
    Runbook {
        title: format!(
            "Failover of {} from {} to {}",
            facts.storage_group, facts.copy.source.machine, facts.copy.target.machine
        ),
        notes: notes(facts),
        steps: steps::failover(facts),
    }
}

/// The procedure by which the database goes back to the first server.
pub fn failback(facts: &Facts) -> Runbook {
    Runbook {
        title: format!(
            "Failback of {} from {} to {}",
            facts.storage_group, facts.copy.target.machine, facts.copy.source.machine
        ),
        notes: notes(facts),
        steps: steps::failback(facts),
    }
}

fn notes(facts: &Facts) -> Vec<String> {
    let mut notes = vec![
        "Cmdlets are those of the Exchange Management Shell (Exchange 2007 SP1); scr, edbtool and logchain run where \
         their paths are reached."
            .to_owned(),
        "Read all of it before the first step. Stop at the first step that does not say what it should.".to_owned(),
    ];
    let foreign = facts.foreign_paths();
    if !foreign.is_empty() {
        notes.push(format!(
            "These paths are as this machine sees them; give the servers' own with --map FROM=TO: {}",
            foreign.join(", ")
        ));
    }
    notes
}
