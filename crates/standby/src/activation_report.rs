//! The result of an activation, or what it would be.

use crate::lost_rows::LostRows;
use crate::trouble::Jet;
use ese_format::{Explain, Generation};
use ese_replay::recovery::{RecoveryError, ReplaySummary};
use ese_scan::{Counts, PageFinding};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt::{self, Display, Formatter};
use std::path::PathBuf;

/// The answer of `scr restore`: `edbkit.scr-restore/1`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActivateReport {
    /// Name of the copy.
    pub copy: String,
    /// The server that was copied.
    pub source: String,
    /// The server with the copy.
    pub target: String,
    /// Whether this only says what would be done.
    pub dry_run: bool,
    /// Whether the database can be mounted; in a dry run, whether it could be.
    pub mountable: bool,
    /// Why it is not done, if it is not.
    pub refusal: Option<ActivateRefusal>,
    /// What is remarkable about logs and database, one sentence each.
    pub reasons: Vec<String>,
    /// Where the database is, or will be.
    pub database: PathBuf,
    /// What was found at the source.
    pub source_look: SourceLook,
    /// Logs that were fetched now; in a dry run, those that would be.
    pub fetched: u32,
    /// The logs that were replayed.
    pub replayed: ReplayedLogs,
    /// What is lost; none if nothing is.
    pub loss: Option<LostLogs>,
    /// Transactions that were open at the end of the logs and were rolled back.
    pub rolled_back: usize,
    /// Where the oldest of them began.
    #[serde(default)]
    pub rolled_back_since: Option<String>,
    /// What they had done; none if there are none.
    #[serde(default)]
    pub rolled_back_rows: Option<LostRows>,
    /// What committed in logs that are here and useless, because one before them is missing; none if there are none.
    #[serde(default)]
    pub given_up_rows: Option<LostRows>,
    /// The database as it was read again from disk afterwards.
    pub proof: Option<DatabaseProof>,
}

/// Why an activation is not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActivateRefusal {
    /// Why.
    pub reason: String,
    /// The error that the engine would end with.
    pub jet: Option<Jet>,
    /// What to do.
    pub advice: String,
}

/// What was found at the source.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceLook {
    /// Whether it was looked at.
    pub asked: bool,
    /// Whether its logs could be listed.
    pub reached: bool,
    /// What was wrong, if not all of its logs could be obtained.
    pub problem: Option<String>,
    /// The newest closed log there; where it could not be reached, the newest one that was ever seen there.
    pub newest_closed: Option<Generation>,
    /// The generation of its current log, if that could be obtained.
    pub current: Option<Generation>,
}

/// The logs that bring the database to its last state.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayedLogs {
    /// The first one.
    pub first: Option<Generation>,
    /// The last one.
    pub last: Option<Generation>,
    /// Where that ends.
    pub end: Option<String>,
    /// The last transaction that committed in them; none before they are replayed.
    #[serde(default)]
    pub last_commit: Option<LastCommit>,
}

/// The last transaction of the logs that committed: nothing after it is in the database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastCommit {
    /// Where its commit stands.
    pub lgpos: String,
    /// It committed at this time or later, as far as the logs show.
    pub from: Option<String>,
    /// And before this time.
    pub until: Option<String>,
}

impl LastCommit {
    /// The last commit of a replay.
    pub(crate) fn of(summary: &ReplaySummary) -> Option<Self> {
        Some(LastCommit {
            lgpos: summary.last_commit?.to_string(),
            from: summary.committed_at.from.rfc3339(),
            until: summary.committed_at.until.rfc3339(),
        })
    }
}

impl ActivateReport {
    /// Says that the recovery failed, or would fail.
    pub(crate) fn refuse(&mut self, problem: &RecoveryError) {
        self.mountable = false;
        self.refusal = Some(ActivateRefusal {
            reason: problem.to_string(),
            jet: problem.jet().map(Into::into),
            advice: problem.advice().map_or_else(
                || "look for other logs, or another copy of the database".to_owned(),
                Cow::into_owned,
            ),
        });
    }
}

/// What is lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostLogs {
    /// The first generation that is lost.
    pub first: Generation,
    /// The newest generation that is known to have been at the source, closed or not.
    pub last_known: Option<Generation>,
    /// When the last kept log was last written to, as it says: nothing before is lost.
    pub after: Option<String>,
    /// When the activation was begun: what was written until then may be lost.
    pub until: Timestamp,
    /// When a new log was last seen at the source.
    pub last_seen: Option<Timestamp>,
}

/// The database, read from disk from its header to its last page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseProof {
    /// The state in its header.
    pub state: String,
    /// What its pages are like.
    pub pages: Counts,
    /// What is wrong with them; none if they are in order.
    pub findings: Vec<PageFinding>,
}

impl DatabaseProof {
    /// Whether it is clean and every page is in order.
    pub fn holds(&self) -> bool {
        self.state == ese_format::database::DatabaseState::CLEAN_SHUTDOWN.name()
            && self.pages.is_clean()
    }
}

impl Display for ActivateReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut line = |label: &str, value: &dyn Display| writeln!(f, "{label:<29} : {value}");
        line("Identity", &format!("{}\\{}", self.source, self.copy))?;
        line("StandbyMachine", &self.target)?;
        if self.dry_run {
            line("DryRun", &"True: nothing was changed")?;
        }
        line("Database", &self.database.display())?;
        line("Source", &self.source_look)?;
        line("LogsFetched", &self.fetched)?;
        line("LogsReplayed", &self.replayed)?;
        if let Some(commit) = &self.replayed.last_commit {
            line("LastCommit", commit)?;
        }
        line("TransactionsRolledBack", &self.rolled_back)?;
        if let Some(rows) = &self.rolled_back_rows {
            line("RowsRolledBack", rows)?;
        }
        if let Some(proof) = &self.proof {
            line("State", &proof.state)?;
            let (pages, bad) = (proof.pages.pages_seen, proof.findings.len());
            line("Pages", &format!("{pages} read, {bad} findings"))?;
            proof
                .findings
                .iter()
                .try_for_each(|finding| line("Finding", finding))?;
        }
        match &self.loss {
            None => line("Loss", &"none")?,
            Some(loss) => loss.lines(&mut line)?,
        }
        if let Some(rows) = &self.given_up_rows {
            line("RowsInUselessLogs", rows)?;
        }
        self.reasons
            .iter()
            .try_for_each(|reason| line("Remark", reason))?;
        if let Some(refusal) = &self.refusal {
            line("Refused", refusal)?;
            line("Advice", &refusal.advice)?;
        }
        line("Mountable", &if self.mountable { "Yes" } else { "No" })
    }
}

impl Display for ActivateRefusal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)?;
        match &self.jet {
            Some(jet) => write!(f, " [JET {} {}]", jet.code, jet.name),
            None => Ok(()),
        }
    }
}

impl LostLogs {
    fn lines(&self, line: &mut dyn FnMut(&str, &dyn Display) -> fmt::Result) -> fmt::Result {
        let first = self.first;
        line("FirstLostGeneration", &format!("{first} ({first:#x})"))?;
        let known = self.last_known.map(|last| format!("{last} ({last:#x})"));
        line(
            "LastGenerationAtSource",
            &known.as_deref().unwrap_or("unknown"),
        )?;
        let after = self.after.as_deref().unwrap_or("unknown");
        line("LostAfter", &after)?;
        line("LostUntil", &format!("{:.0}", self.until))?;
        let seen = self.last_seen.map(|seen| format!("{seen:.0}"));
        line("LastNewLogSeen", &seen.as_deref().unwrap_or("never"))
    }
}

impl Display for SourceLook {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let said = match (self.asked, self.reached) {
            (false, _) => "not asked",
            (true, false) => "not reached",
            (true, true) => "reached",
        };
        f.write_str(said)?;
        if let Some(current) = self.current {
            write!(f, ", current log {current} ({current:#x})")?;
        }
        match &self.problem {
            Some(problem) => write!(f, ": {problem}"),
            None => Ok(()),
        }
    }
}

impl Display for LastCommit {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lgpos)?;
        match (&self.from, &self.until) {
            (Some(from), Some(until)) => write!(f, ", between {from} and {until}"),
            (Some(from), None) => write!(f, ", at {from} or later"),
            (None, _) => f.write_str(", at an unknown time"),
        }
    }
}

impl Display for ReplayedLogs {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (Some(first), Some(last)) = (self.first, self.last) else {
            return f.write_str("none");
        };
        write!(f, "{first}-{last} ({first:#x}-{last:#x})")?;
        match &self.end {
            Some(end) => write!(f, ", to {end}"),
            None => Ok(()),
        }
    }
}
