//! Whether recovery of a database would succeed with the logs that are there.

use super::advice::{PLACES, nearby};
use super::attached::{known_place, lost_attach};
use super::proof::Proof;
use super::ranges::{
    LogNeed, Reach, Stop, engine_start, find, left_out, logs_of, reach, reach_for, replay_start,
};
use super::{ChainReport, LogReport};
use crate::limit::Until;
use crate::name::FileRole;
use ese_format::database::DatabaseState;
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
#[non_exhaustive]
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
}

/// The verdict on a recovery of the database with this header. It is read from headers and logs alone: no page of the
/// database is looked at.
pub fn verdict(report: &ChainReport, header: &DatabaseHeader) -> DatabaseVerdict {
    verdict_until(report, header, &Until::default())
}

/// The same up to a limit.
pub fn verdict_until(
    report: &ChainReport,
    header: &DatabaseHeader,
    until: &Until,
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
    };
    verdict.explain_repair(header);
    let start = replay_start(report, header);
    match (header.state == DatabaseState::CLEAN_SHUTDOWN, verdict.need) {
        (true, _) => verdict.clean(report, header, start, until),
        (false, Some(need)) => verdict.dirty(report, header, need, start, until),
        (false, None) => {
            verdict.refuse(
                format!("the database is in the state \"{}\"", verdict.state),
                JetError::DATABASE_CORRUPTED,
            );
            let advice = "finish the operation that left this state, or use another copy";
            verdict.advice.push(advice.to_owned());
        }
    }
    if verdict.readiness != Readiness::NotReady {
        verdict.refuse_lost_attach(report, header, until);
    }
    if verdict.readiness <= Readiness::Ready {
        verdict.remark_on_copy(report, header);
    }
    verdict
}

impl DatabaseVerdict {
    /// Says that recovery fails, for the reason that trying it gave.
    pub fn fail(&mut self, reason: String) {
        self.readiness = Readiness::NotReady;
        self.loss = None;
        self.reasons.push(reason);
    }

    /// Says that recovery fails where a replay for several databases stops before it comes to this one.
    pub fn stop_at(&mut self, report: &ChainReport, stop: &Stop) {
        let starts_later = |reach: &Reach| reach.start.generation > stop.generation;
        if self.readiness != Readiness::NotReady && self.reach.as_ref().is_some_and(starts_later) {
            self.jet = None;
            self.refuse(stop.to_string(), stop.jet);
            self.advise_on_stop(report, stop);
        }
    }

    /// Says that recovery would fail, and with which error; the first error counts.
    fn refuse(&mut self, reason: String, jet: JetError) {
        self.readiness = Readiness::NotReady;
        self.reasons.push(reason);
        self.jet = self.jet.or(Some(jet));
        self.loss = None;
    }

    /// Nothing is replayed into a copy whose attachment is not among the records.
    fn refuse_lost_attach(&mut self, report: &ChainReport, header: &DatabaseHeader, until: &Until) {
        let Some(reach) = &self.reach else { return };
        let lost = lost_attach(logs_of(report, reach), header, until);
        let lost = lost.or_else(|| {
            // The engine goes past a log that only ends early, and comes to those after it; past one that is missing
            // nothing can be brought forward either. Damage is its own matter.
            let stop = reach.stop.as_ref()?;
            let log = find(&report.logs, stop.generation);
            let is_silent = log.is_none_or(|log| matches!(log.proof, Proof::Incomplete { .. }));
            let later = report.logs.iter();
            let later = later.filter(|log| log.generation() >= Some(stop.generation));
            let later = later.filter(|_| is_silent && self.need.is_none() && !stop.is_mendable);
            lost_attach(logs_of(report, reach).chain(later), header, until)
        });
        let Some(lost) = lost else { return };
        let first = known_generation(header);
        let names = match lost.attach.generation.max(first) {
            last if last == first => report.naming.generation(first),
            last => report.naming.range(first, last),
        };
        self.jet = None;
        self.refuse(lost.to_string(), lost.jet);
        self.advice.push(match lost.jet == JetError::ATTACHED_DATABASE_MISMATCH {
            true => format!("find {names} undamaged, or use a newer copy of the database"),
            false => format!(
                "this is not the copy that the logs continue: use one that was last consistent at {}, or find {names}",
                lost.consistent
            ),
        });
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

    /// A clean database needs no log. Later logs of its stream bring it forward.
    fn clean(
        &mut self,
        report: &ChainReport,
        header: &DatabaseHeader,
        start: Option<Lgpos>,
        until: &Until,
    ) {
        self.readiness = Readiness::ReadyWithoutReplay;
        if header.log_signature.is_null() {
            return;
        }
        let own = report.logs.iter().filter_map(LogReport::header);
        let own = own.filter(|log| log.signature == header.log_signature);
        let newest = own.map(|log| log.generation).max();
        let (Some(newest), Some(start)) = (newest, start) else {
            if !report.logs.is_empty() {
                self.reasons
                    .push("the logs here belong to another stream than the database".to_owned());
            }
            return;
        };
        let consistent = header.last_consistent;
        if newest < consistent.generation {
            self.reasons.push(format!(
                "the database is newer than the logs: it was last consistent at {consistent}, they end with generation \
                 {newest} ({newest:#x})"
            ));
            return;
        }
        let mut reach = reach_for(report, start, Some(header.log_signature));
        let engines = reach.stop.as_ref().map(|stop| stop.jet);
        reach.stop = reach.stop.take().or_else(|| left_out(report, &reach));
        let stop = reach.stop.as_ref();
        let stop = stop.filter(|stop| !until.leaves_out(stop.generation));
        if let Some(stop) = stop {
            self.jet = engines;
            // What need not be given up is not: the advice mends it.
            self.readiness = match stop.is_mendable {
                true => Readiness::NotReady,
                false => Readiness::ReadyWithLoss,
            };
            self.reasons.push(stop.to_string());
            if !stop.is_mendable {
                self.loss = loss(report, reach.last, None);
            }
            self.advise_on_stop(report, stop);
        }
        let ends_there = reach.last == Some(consistent.generation) && !until.is_limited();
        if let Some(end) = reach.end.filter(|end| ends_there && *end < consistent) {
            self.reasons.push(format!(
                "the database is newer than the logs: it was last consistent at {consistent}, they end at {end}"
            ));
        }
        self.remark_unproved(report, consistent.generation, &reach);
        self.reach = Some(reach);
    }

    /// Whether the logs bring a clean copy forward.
    fn remark_on_copy(&mut self, report: &ChainReport, header: &DatabaseHeader) {
        let Some(reach) = self.reach.as_ref().filter(|_| self.need.is_none()) else {
            return;
        };
        let known = known_place(header);
        let contents = logs_of(report, reach).filter_map(|log| log.content.as_ref().ok());
        let mut events = contents.flat_map(|content| &content.databases);
        let attaches = events
            .any(|event| event.lgpos > known && event.kind.signature() == Some(header.signature));
        if attaches {
            self.reasons.push(format!(
                "an older copy: it was last consistent at {known}; the logs bring it forward"
            ));
        } else if reach.last > Some(known.generation) {
            self.reasons.push(format!(
                "the database was last consistent at {known}; the later logs do not attach it again and hold nothing for it"
            ));
        }
    }

    /// What to do about a log that recovery cannot get past.
    fn advise_on_stop(&mut self, report: &ChainReport, stop: &Stop) {
        let name = report.naming.generation(stop.generation);
        let advice = stop.advice.clone();
        self.advice
            .push(advice.unwrap_or_else(|| format!("find {name}: {PLACES}")));
    }

    fn dirty(
        &mut self,
        report: &ChainReport,
        header: &DatabaseHeader,
        need: LogNeed,
        start: Option<Lgpos>,
        until: &Until,
    ) {
        let files = report.files_needed(need);
        self.needed_files = Some(files.clone());
        let Some(start) = start else {
            self.refuse(
                format!("there is no log; the database needs {files}"),
                JetError::REQUIRED_LOG_FILES_MISSING,
            );
            self.advise_on_missing(report, need, None);
            self.advice.push(
                "edbtool export reads the database as it is, without what is in the logs"
                    .to_owned(),
            );
            return;
        };
        let reach = reach_for(report, start, Some(header.log_signature));
        self.belongs(report, header, need);
        self.remark_checkpoint(report, need);
        if self.jet.is_none() {
            self.judge_reach(report, header, need, &reach, until);
        }
        if self.readiness == Readiness::NotReady {
            let stop = reach.stop.as_ref().filter(|stop| stop.advice.is_some());
            self.advise_on_missing(report, need, stop.map(|stop| stop.generation));
        } else {
            self.remark_on_engine(report, need);
        }
        self.remark_unproved(report, need.min_required, &reach);
        self.reach = Some(reach);
    }

    /// Says which of the logs that recovery goes through nothing proves complete.
    fn remark_unproved(&mut self, report: &ChainReport, first: Generation, reach: &Reach) {
        let Some(last) = reach.last else { return };
        let first = first.max(reach.start.generation);
        for (log, why) in report.not_proved(first, last) {
            self.not_proved.push(log.name.clone());
            let remark = format!("not proved complete: {}: {why}", log.name);
            self.reasons.push(remark);
        }
    }

    /// The engine starts at the checkpoint or at the lowest log that is there. It may fail before it comes to what the
    /// database needs.
    fn remark_on_engine(&mut self, report: &ChainReport, need: LogNeed) {
        let Some(start) = engine_start(report, Some(need)) else {
            return;
        };
        let engine = reach(report, start);
        if engine.last < Some(need.max_required)
            && let Some(stop) = engine.stop
        {
            let first = report.naming.generation(need.min_required);
            self.advice.push(format!(
                "eseutil would begin with generation {0} ({0:#x}) and end with {1}: move the logs before {first} away first",
                start.generation, stop.jet
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
        let expected = header.last_required_log_created();
        if let (Some(log), Some(expected)) = (exact, expected)
            && log.created != expected
        {
            let (found, expected) = (log.created.shown(), expected.shown());
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
        until: &Until,
    ) {
        let shortfall = need.shortfall(reach.last);
        let next = reach.last.unwrap_or_default().next();
        let is_complete = reach.start.generation <= need.min_required
            && shortfall != Some(JetError::REQUIRED_LOG_FILES_MISSING);
        // What follows a limit is not lost but left out.
        if is_complete && until.leaves_out(next) {
            self.readiness = Readiness::Ready;
            return;
        }
        let stop = reach.stop.as_ref();
        if let Some(stop) = stop {
            self.reasons.push(stop.to_string());
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
        if let Some(stop) = stop.filter(is_final) {
            self.jet = Some(stop.jet);
            self.readiness = Readiness::NotReady;
            return;
        }
        if shortfall.is_some() {
            self.reasons.push(format!(
                "committed logs are missing: {}",
                report.files_of(next, need.max_committed)
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
        self.loss = loss(report, reach.last, Some(header));
        self.advice.push(
            "look for the lost logs first; what eseutil /r ... /a accepts cannot be undone"
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

/// The generation in which a copy has to be attached again at the earliest.
fn known_generation(header: &DatabaseHeader) -> Generation {
    known_place(header).generation
}

/// What is given up if replay ends with `kept`. `header` is that of a database that knows which logs were committed.
fn loss(
    report: &ChainReport,
    kept: Option<Generation>,
    header: Option<&DatabaseHeader>,
) -> Option<Loss> {
    let kept = kept?;
    let committed = header.map_or(Generation(0), |header| {
        header.max_committed.max(header.max_required)
    });
    let highest = report.logs.iter().filter_map(LogReport::generation).max();
    let last = highest.unwrap_or_default().max(committed).max(kept.next());
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
        None => (header.filter(|_| last == committed))
            .map_or(LogTime::default(), |header| header.max_committed_created),
    };
    Some(Loss {
        first: kept.next(),
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
