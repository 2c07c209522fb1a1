//! Whether recovery of a database would succeed with the logs that are there.

use super::advice::{PLACES, nearby};
use super::ranges::{LogNeed, Reach, Stop, first_position, reach, redo_start};
use super::{ChainReport, LogReport};
use crate::name::FileRole;
use ese_format::database::State;
use ese_format::{DatabaseHeader, Generation, JetError, Lgpos, LogTime};
use serde::Serialize;
use std::fmt;
use std::path::PathBuf;

/// Whether a database can be activated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Readiness {
    /// It is consistent as it is.
    ReadyWithoutReplay,
    /// Recovery would succeed and nothing that was committed is lost.
    Ready,
    /// Recovery would succeed if the loss of committed work is accepted (`eseutil /r ... /a`).
    ReadyWithLoss,
    /// Recovery would fail.
    NotReady,
}

/// As printed: `READY WITH LOSS`.
impl fmt::Display for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Readiness::ReadyWithoutReplay => "READY (no replay needed)",
            Readiness::Ready => "READY",
            Readiness::ReadyWithLoss => "READY WITH LOSS",
            Readiness::NotReady => "NOT READY",
        })
    }
}

/// Committed work that recovery would give up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Loss {
    /// First generation that is lost.
    pub first: Generation,
    /// Last generation that is lost.
    pub last: Generation,
    /// When the last log that is kept was last written to, as far as it says: nothing before is lost.
    pub after: LogTime,
    /// When the last of the lost logs was begun, if the database or the log itself says so.
    pub until: LogTime,
}

/// What recovery of one database would come to.
#[derive(Debug, Clone, Serialize)]
pub struct DatabaseVerdict {
    /// Whether it would succeed.
    pub readiness: Readiness,
    /// The state in the header, in words.
    pub state: String,
    /// The logs that the database needs; none if it needs none.
    pub need: Option<LogNeed>,
    /// The names of their files.
    pub needed_files: Option<String>,
    /// How far recovery would come; none if there is nothing to recover or no log.
    pub reach: Option<Reach>,
    /// What would be given up.
    pub loss: Option<Loss>,
    /// The error that the engine would end with.
    pub jet: Option<JetError>,
    /// Closed logs, by name, that recovery goes through and that the log after them does not prove complete.
    pub not_proved: Vec<String>,
    /// Why, one sentence each.
    pub reasons: Vec<String>,
    /// What to do, one sentence each.
    pub advice: Vec<String>,
    /// Whether all that the database needs is replayed, and only what stops recovery after that is in the way.
    #[serde(skip)]
    is_stopped_later: bool,
}

/// The verdict on the engine's recovery for the database with this header.
pub fn verdict(report: &ChainReport, header: &DatabaseHeader) -> DatabaseVerdict {
    let start = redo_start(report, LogNeed::of(header));
    verdict_from(report, header, start)
}

/// The verdict on a recovery that starts at `start`.
pub fn verdict_from(
    report: &ChainReport,
    header: &DatabaseHeader,
    start: Option<Lgpos>,
) -> DatabaseVerdict {
    let mut verdict = DatabaseVerdict {
        readiness: Readiness::NotReady,
        state: header.state.name().to_owned(),
        need: LogNeed::of(header),
        needed_files: None,
        reach: None,
        loss: None,
        jet: None,
        not_proved: Vec::new(),
        reasons: Vec::new(),
        advice: Vec::new(),
        is_stopped_later: false,
    };
    verdict.explain_repair(header);
    if header.state == State::CLEAN_SHUTDOWN {
        verdict.clean(report, header);
        return verdict;
    }
    match verdict.need {
        Some(need) => verdict.dirty(report, header, need, start),
        None => {
            verdict.refuse(
                format!("the database is in the state \"{}\"", verdict.state),
                JetError::DATABASE_CORRUPTED,
            );
            verdict
                .advice
                .push("finish the operation that left this state, or use another copy".to_owned());
        }
    }
    verdict
}

impl DatabaseVerdict {
    /// Leaves out what lies after a limit: what stops recovery there is not in the way, and nothing is lost by it.
    pub fn limit_to(&mut self, limit: Generation) {
        let last = self.reach.as_ref().and_then(|reach| reach.last);
        if self.is_stopped_later && Some(limit) <= last {
            self.readiness = Readiness::Ready;
            self.jet = None;
            self.loss = None;
        }
    }

    fn refuse(&mut self, reason: String, jet: JetError) {
        self.readiness = Readiness::NotReady;
        self.reasons.push(reason);
        self.jet = self.jet.or(Some(jet));
    }

    fn explain_repair(&mut self, header: &DatabaseHeader) {
        if header.repair_count > 0 {
            let count = header.repair_count;
            let time = header.repair_time;
            self.reasons.push(format!(
                "the database was repaired {count} time(s), last {time}: what its logs held then was not applied and may be lost"
            ));
        }
        if header.log_signature.is_null() {
            self.reasons.push(
                "the log signature is zeroed, as repair leaves it: the database belongs to no log stream".to_owned(),
            );
        }
    }

    /// A clean database needs no log. Later logs of its stream can still bring it forward.
    fn clean(&mut self, report: &ChainReport, header: &DatabaseHeader) {
        self.readiness = Readiness::ReadyWithoutReplay;
        let signatures = || report.logs.iter().filter_map(LogReport::header);
        if header.log_signature.is_null() {
            return;
        }
        if !signatures().any(|log| log.signature == header.log_signature) {
            self.reasons
                .push("the logs here belong to another stream than the database".to_owned());
            return;
        }
        let consistent = header.last_consistent;
        let end = signatures().map(|log| log.generation).max();
        if end.is_some_and(|end| end > consistent.generation) {
            self.reasons.push(format!(
                "the database was last consistent at {consistent}; the logs go on to generation {0} ({0:#x})",
                end.unwrap_or_default()
            ));
            self.advice.push(
                "if this is an older copy, the later logs can bring it forward (edbreplay)"
                    .to_owned(),
            );
        }
    }

    fn dirty(
        &mut self,
        report: &ChainReport,
        header: &DatabaseHeader,
        need: LogNeed,
        start: Option<Lgpos>,
    ) {
        let files = report.files_needed(need);
        self.needed_files = Some(files.clone());
        let Some(start) = start else {
            self.refuse(
                format!("no log is there; the database needs {files}"),
                JetError::REQUIRED_LOG_FILES_MISSING,
            );
            self.advise_on_missing(report, need, None);
            self.advice.push(
                "edbtool export reads the database as it is, without what stands in the logs"
                    .to_owned(),
            );
            return;
        };
        let reach = reach(report, start);
        self.belongs(report, header, need);
        self.remark_checkpoint(report, need);
        if self.jet.is_none() {
            self.judge_reach(report, header, need, &reach);
        }
        if self.readiness == Readiness::NotReady {
            let stop = reach.stop.as_ref().filter(|stop| stop.advice.is_some());
            self.advise_on_missing(report, need, stop.map(|stop| stop.generation));
            self.advise_on_detour(report, need, &reach);
        }
        self.remark_unproved(report, need, &reach);
        self.reach = Some(reach);
    }

    /// Says which of the logs that recovery goes through nothing proves complete.
    fn remark_unproved(&mut self, report: &ChainReport, need: LogNeed, reach: &Reach) {
        let Some(last) = reach.last else { return };
        let first = need.min_required.max(reach.start.generation);
        for (log, why) in report.not_proved(first, last) {
            self.not_proved.push(log.name.clone());
            let remark = format!("not proved complete: {}: {why}", log.name);
            self.reasons.push(remark);
        }
    }

    /// Recovery that fails before it comes to what the database needs may succeed if it starts there.
    fn advise_on_detour(&mut self, report: &ChainReport, need: LogNeed, failed: &Reach) {
        if failed.start.generation < need.min_required
            && failed.last < Some(need.min_required)
            && reach(report, first_position(report, need.min_required)).last
                >= Some(need.max_required)
        {
            let names = report.naming.generation(need.min_required);
            self.advice.push(format!(
                "all that the database needs is there: recovery from {names} on succeeds (edbreplay, or move the logs before it away)"
            ));
        }
    }

    /// Whether stream and database belong together.
    fn belongs(&mut self, report: &ChainReport, header: &DatabaseHeader, need: LogNeed) {
        let log = |generation| {
            let mut headers = report.logs.iter().filter_map(LogReport::header);
            headers.find(|log| log.generation == generation)
        };
        let reference = log(need.max_required).or_else(|| log(need.min_required));
        let Some(log) = reference.or_else(|| report.logs.iter().find_map(LogReport::header)) else {
            return;
        };
        if log.signature != header.log_signature {
            let (logs, own) = (log.signature, header.log_signature);
            self.refuse(
                format!("the logs belong to another stream: {logs}; the database needs {own}"),
                JetError::BAD_LOG_SIGNATURE,
            );
            self.advice.push(format!(
                "look for the logs of the stream of this database: generations {}-{} with its signature",
                need.min_required, need.max_required
            ));
            return;
        }
        if log.page_size() != header.page_size() {
            let (logs, own) = (log.page_size(), header.page_size());
            self.refuse(
                format!("the logs are for pages of {logs} bytes, the database has {own}"),
                JetError::PAGE_SIZE_MISMATCH,
            );
        }
        let mut lists = report.logs.iter().filter_map(LogReport::header);
        let is_listed = lists.any(|log| {
            let databases = log.attachments.databases.iter();
            let mut signatures = databases.map(|database| database.database_signature);
            signatures.any(|signature| signature == header.signature)
        });
        let should_be_listed = reference.is_some_and(|log| {
            log.generation > header.last_attach.generation && !log.attachments.databases.is_empty()
        });
        if should_be_listed && !is_listed && log.signature == header.log_signature {
            let own = header.signature;
            self.refuse(
                format!("no log has the database attached: its signature is {own}"),
                JetError::ATTACHED_DATABASE_MISMATCH,
            );
        }
        // The engine compares the creation time of the last required log with the one that the header remembers.
        let exact = reference.filter(|log| log.generation == need.max_required);
        let expected = match header.max_required_created {
            time if time.is_null() && need.max_required == need.max_committed => {
                header.max_committed_created
            }
            time => time,
        };
        if let Some(log) = exact.filter(|log| !expected.is_null() && log.created != expected) {
            let found = log.created;
            self.refuse(
                format!(
                    "generation {0} ({0:#x}) was created {found}; the database needs the one created {expected}",
                    need.max_required
                ),
                JetError::REQUIRED_LOG_FILES_MISSING,
            );
        }
    }

    fn remark_checkpoint(&mut self, report: &ChainReport, need: LogNeed) {
        let ahead = report
            .trusted_checkpoint()
            .filter(|_| self.jet != Some(JetError::BAD_LOG_SIGNATURE))
            .filter(|checkpoint| checkpoint.checkpoint.generation > need.min_required);
        if let Some(checkpoint) = ahead {
            self.reasons.push(format!(
                "the checkpoint {} is past the first log that the database needs: it belongs to a newer copy",
                checkpoint.checkpoint
            ));
            self.advice.push(
                "recover without the checkpoint file (move it away on the working copy)".to_owned(),
            );
        }
    }

    fn judge_reach(
        &mut self,
        report: &ChainReport,
        header: &DatabaseHeader,
        need: LogNeed,
        reach: &Reach,
    ) {
        let stop = reach.stop.as_ref();
        if let Some(stop) = stop {
            let file = stop.file.clone().unwrap_or_default();
            let colon = if file.is_empty() { "" } else { ": " };
            self.reasons.push(format!(
                "recovery stops at generation {0} ({0:#x}): {file}{colon}{1}",
                stop.generation, stop.reason
            ));
            self.advice.extend(stop.advice.clone());
        }
        if reach.start.generation > need.min_required {
            let min = need.min_required;
            self.refuse(
                format!("the lowest log that is there comes after generation {min} ({min:#x})"),
                JetError::REQUIRED_LOG_FILES_MISSING,
            );
            return;
        }
        let shortfall = need.shortfall(reach.last);
        if shortfall == Some(JetError::REQUIRED_LOG_FILES_MISSING) {
            let jet = stop.map_or(JetError::REQUIRED_LOG_FILES_MISSING, |stop| stop.jet);
            self.refuse(
                format!(
                    "the database needs generations {}-{} ({0:#x}-{1:#x}): {2}",
                    need.min_required,
                    need.max_required,
                    report.files_needed(need)
                ),
                jet,
            );
            return;
        }
        if shortfall.is_none() && stop.is_none() {
            self.readiness = Readiness::Ready;
            return;
        }
        // What need not be given up is not: the advice mends it. And with a gap before later logs the engine stops
        // whatever it may give up.
        let is_final = |stop: &&Stop| stop.is_mendable || stop.jet == JetError::MISSING_LOG_FILE;
        self.is_stopped_later = true;
        if let Some(stop) = stop.filter(is_final) {
            self.jet = Some(stop.jet);
            self.readiness = Readiness::NotReady;
            return;
        }
        if shortfall.is_some() {
            let lost = Generation(reach.last.unwrap_or_default().0.saturating_add(1));
            self.reasons.push(format!(
                "committed logs are missing: {}",
                report.files_of(lost, need.max_committed)
            ));
        }
        self.readiness = Readiness::ReadyWithLoss;
        self.jet = Some(match (shortfall, stop) {
            // For this the engine knows no way on.
            (_, Some(stop)) if stop.jet == JetError::LOG_SEQUENCE_CHECKSUM_MISMATCH => stop.jet,
            (Some(_), Some(stop)) if stop.is_corruption => JetError::COMMITTED_LOG_FILE_CORRUPT,
            (Some(shortfall), _) => shortfall,
            (None, Some(stop)) => stop.jet,
            (None, None) => JetError::COMMITTED_LOG_FILES_MISSING,
        });
        self.loss = loss(report, header, need, reach);
        self.advice.push(
            "look for the lost logs first; what eseutil /r ... /a accepts, cannot be undone"
                .to_owned(),
        );
        if stop.is_some_and(|stop| stop.is_corruption) {
            self.advice.push(
                "the damaged log and all after it must be moved away before recovery".to_owned(),
            );
        }
    }

    /// Names the required logs that are not there; `said` has its advice already.
    fn advise_on_missing(&mut self, report: &ChainReport, need: LogNeed, said: Option<Generation>) {
        let (mut missing, more) = report.missing(need.min_required, need.max_required);
        missing.retain(|range| said.is_none_or(|said| *range != (said..=said)));
        let Some(newest) = missing.last().map(|range| *range.end()) else {
            return;
        };
        let names = missing.iter();
        let names: Vec<String> = names
            .map(|range| report.naming.range(*range.start(), *range.end()))
            .collect();
        let more = if more { " and more" } else { "" };
        let current = match report.may_be_current(newest, need.max_committed) {
            true => format!(", or still as {} on the source", report.naming.current()),
            false => String::new(),
        };
        let found = report.nearby.iter().filter(|file| match file.role {
            FileRole::Generation { generation, .. } => {
                missing.iter().any(|range| range.contains(&generation))
            }
            FileRole::Current => !current.is_empty(),
            _ => false,
        });
        let found: Vec<PathBuf> = found
            .map(|file| file.path.clone())
            .take(FILES_MAX)
            .collect();
        let nearby = nearby(&found).map_or_else(String::new, |nearby| format!("; {nearby}"));
        self.advice.push(format!(
            "find {}{more}: {PLACES}{current}{nearby}",
            names.join(", ")
        ));
    }
}

/// The most files in other folders that are named.
const FILES_MAX: usize = 20;

fn loss(
    report: &ChainReport,
    header: &DatabaseHeader,
    need: LogNeed,
    reach: &Reach,
) -> Option<Loss> {
    let kept = reach.last?;
    let highest = report.logs.iter().filter_map(LogReport::generation).max();
    let last = highest.unwrap_or_default().max(need.max_committed);
    let content = |generation| {
        let contents = report
            .logs
            .iter()
            .filter_map(|log| log.content.as_ref().ok());
        let mut contents = contents.filter(move |content| content.header.generation == generation);
        contents.next()
    };
    let until = match content(last) {
        Some(content) => content.header.created,
        None if last == need.max_committed => header.max_committed_created,
        None => LogTime::default(),
    };
    Some(Loss {
        first: Generation(kept.0.saturating_add(1)),
        last,
        after: content(kept)
            .map(|content| content.last_write)
            .unwrap_or_default(),
        until,
    })
}

/// Where redo starts and ends, for people.
impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.end {
            Some(end) => write!(f, "redo from {} to {end}", self.start),
            None => write!(f, "redo cannot start at {}", self.start),
        }
    }
}
