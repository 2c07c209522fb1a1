//! How copies stand, in the words of `Get-StorageGroupCopyStatus`.
//!
//! Facts: the cmdlet's page (Exchange 2007 SP1) for names and order of the fields. Everything is taken from the state, so
//! that it can be asked while the service works.

use crate::config::{CopyConfig, Service};
use crate::lag::Lag;
use crate::proofs::{Proofs, ProvedRange};
use crate::state::{Activation, CopyState, ReachedLog, Resync, Seeding, Suspension, Trouble};
use crate::target_view::TargetView;
use ese_format::Generation;
use jiff::Timestamp;
use serde::Serialize;
use std::fmt;

/// The state of a copy in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Summary {
    /// Nothing keeps it from going on.
    Healthy,
    /// An administrator has stopped it.
    Suspended,
    /// Something keeps it from going on.
    Failed,
    /// The database is being copied.
    Seeding,
    /// Logs that the source has lost and written anew are being fetched again.
    Resynchronizing,
    /// It was activated: nothing is replicated any more.
    Disabled,
    /// It could not be activated yet: no log has been inspected, or logs that its database requires are still to come.
    Initializing,
    /// Nothing is wrong with it but that no service looks after it.
    ServiceDown,
}

impl Summary {
    /// All of them.
    pub const ALL: [Summary; 8] = [
        Summary::Healthy,
        Summary::Suspended,
        Summary::Failed,
        Summary::Seeding,
        Summary::Resynchronizing,
        Summary::Disabled,
        Summary::Initializing,
        Summary::ServiceDown,
    ];

    /// Whether a person should look: it is not well, and does not become so by itself.
    pub fn is_finding(self) -> bool {
        matches!(
            self,
            Summary::Failed | Summary::Suspended | Summary::ServiceDown
        )
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Summary::Healthy => "Healthy",
            Summary::Suspended => "Suspended",
            Summary::Failed => "Failed",
            Summary::Seeding => "Seeding",
            Summary::Resynchronizing => "Resynchronizing",
            Summary::Disabled => "Disabled",
            Summary::Initializing => "Initializing",
            Summary::ServiceDown => "ServiceDown",
        })
    }
}

/// How one copy stands.
#[derive(Debug, Clone, Serialize)]
pub struct CopyStatus {
    /// Its name.
    pub name: String,
    /// The storage group that it is of.
    pub storage_group: String,
    /// The server that is copied.
    pub source: String,
    /// The server with the copy.
    pub target: String,
    /// In one word.
    pub summary: Summary,
    /// What is wrong; the worse one where neither logs come nor replay goes on.
    pub trouble: Option<Trouble>,
    /// The seeding under way.
    pub seeding: Option<Seeding>,
    /// Logs that are being fetched again because the source lost them.
    pub resync: Option<Resync>,
    /// The activation, begun or done.
    pub activation: Option<Activation>,
    /// The order to rest.
    pub suspended: Option<Suspension>,
    /// Closed logs that were not inspected yet.
    pub copy_queue_length: u32,
    /// Inspected logs that were not replayed yet.
    pub replay_queue_length: u32,
    /// The newest closed log at the source.
    pub generated: Option<ReachedLog>,
    /// The newest log that was fetched.
    pub copied: Option<ReachedLog>,
    /// The newest log that was inspected.
    pub inspected: Option<ReachedLog>,
    /// The newest log that was replayed.
    pub replayed: Option<ReachedLog>,
    /// The oldest log in the log folder of the copy.
    pub oldest: Option<Generation>,
    /// The newest log that may be deleted at the source.
    pub truncatable: Option<Generation>,
    /// How old a log must be to be replayed.
    pub replay_lag: Lag,
    /// How much older to be deleted.
    pub truncation_lag: Lag,
    /// What it waits for.
    pub waits: Option<String>,
    /// What replay waits for.
    pub replay_waits: Option<String>,
    /// Whether the logs that came were whole.
    pub proofs: Proofs,
    /// When the service last looked after it.
    pub served: Option<Timestamp>,
    /// Whether the service did so lately.
    pub is_served: bool,
}

/// How the copy with this configuration and this state stands, with what is at its target.
pub fn status(
    config: &CopyConfig,
    state: CopyState,
    here: &TargetView,
    service: &Service,
    now: Timestamp,
) -> CopyStatus {
    // What was activated is not a copy any more: nothing of it waits, and nothing of it fails.
    let is_copy = state.activation.is_none();
    let found = here.trouble(config, &state, now);
    let found = found.filter(|_| is_copy && state.seeding.is_none());
    let trouble = state.worst_trouble().cloned().or(found);
    let trouble = trouble.filter(|_| is_copy);
    let is_served = here.is_served(&state, service, now);
    let failed = state.worst_trouble().is_some();
    let summary = match summary(&state, here, failed, is_served) {
        // By order: what is wrong is told with it.
        ordered @ (Summary::Suspended | Summary::Seeding) => ordered,
        _ if trouble.is_some() => Summary::Failed,
        other => other,
    };
    let number =
        |progress: Option<ReachedLog>| progress.map_or(0, |progress| progress.generation.0);
    let oldest = state.oldest.map_or(0, |oldest| oldest.0);
    let inspected = number(state.inspected);
    let unreplayed = match state.replayed {
        Some(replayed) => inspected.saturating_sub(replayed.generation.0),
        None if oldest > 0 => (inspected + 1).saturating_sub(oldest),
        None => 0,
    };
    CopyStatus {
        name: config.name.clone(),
        storage_group: config.group().to_owned(),
        source: config.source.machine.clone(),
        target: config.target.machine.clone(),
        summary,
        copy_queue_length: if is_copy { copy_queue(&state) } else { 0 },
        replay_queue_length: if is_copy { unreplayed } else { 0 },
        generated: state.generated,
        copied: state.copied,
        inspected: state.inspected,
        replayed: state.replayed,
        oldest: state.oldest,
        replay_lag: config.replay_lag,
        truncation_lag: config.truncation_lag,
        waits: waits(&state),
        is_served,
        served: state.served,
        trouble,
        seeding: state.seeding,
        resync: state.resync,
        activation: state.activation,
        truncatable: state.truncatable,
        replay_waits: state.replay_waits,
        suspended: state.suspended,
        proofs: state.proofs,
    }
}

fn summary(state: &CopyState, here: &TargetView, failed: bool, is_served: bool) -> Summary {
    if state.activation.is_some() {
        Summary::Disabled
    } else if state.seeding.is_some() {
        Summary::Seeding
    } else if failed {
        Summary::Failed
    } else if state.suspended.is_some() {
        Summary::Suspended
    } else if state.served.is_some() && !is_served {
        Summary::ServiceDown
    } else if state.resync.is_some() {
        Summary::Resynchronizing
    } else if state.inspected.is_none() || here.waits_for_logs() {
        Summary::Initializing
    } else if !is_served {
        Summary::ServiceDown
    } else {
        Summary::Healthy
    }
}

/// Closed logs at the source that are not here. Before the first is here, it is not known which is the first: then one is
/// missing.
fn copy_queue(state: &CopyState) -> u32 {
    match (state.generated, state.inspected) {
        (Some(_), None) => state.queued.unwrap_or(1).min(1),
        (Some(generated), Some(inspected)) => state.queued.unwrap_or_else(|| {
            let (generated, inspected) = (generated.generation.0, inspected.generation.0);
            generated.saturating_sub(inspected)
        }),
        (None, _) => 0,
    }
}

fn waits(state: &CopyState) -> Option<String> {
    match &state.activation {
        Some(Activation { finished: None, .. }) => {
            return Some("`scr restore`, which was begun and did not finish".to_owned());
        }
        Some(_) => return None,
        None => {}
    }
    if let Some(Seeding {
        arrived, length, ..
    }) = &state.seeding
    {
        return Some(format!(
            "the seeding: {arrived} of {length} bytes have arrived (`scr update` goes on if it was interrupted)"
        ));
    }
    if let Some(suspended) = &state.suspended {
        return Some(format!("`scr resume`, since {:.0}", suspended.since));
    }
    let keeps_waiting = [&state.trouble, &state.replay_trouble];
    let mut keeps_waiting = keeps_waiting.into_iter().flatten();
    match keeps_waiting.next() {
        Some(Trouble {
            next_try: Some(next),
            ..
        }) => Some(format!("the next try, at {next:.0}")),
        Some(_) => Some("an administrator: put right what is wrong, then `scr resume`".to_owned()),
        None => state.waits.clone(),
    }
}

/// All fields, as the cmdlet's list form shows them.
impl fmt::Display for CopyStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |label: &str, value: &dyn fmt::Display| writeln!(f, "{label:<29} : {value}");
        let time = |progress: Option<ReachedLog>| {
            progress.map_or_else(String::new, |progress| format!("{:.0}", progress.at))
        };
        let generation =
            |progress: Option<ReachedLog>| progress.map_or(0, |progress| progress.generation.0);
        let trouble = self.trouble.as_ref();
        line(
            "Identity",
            &format!("{}\\{}", self.source, self.storage_group),
        )?;
        line("StorageGroupName", &self.storage_group)?;
        line("StandbyMachine", &self.target)?;
        line("SummaryCopyStatus", &self.summary)?;
        line("ServiceDown", &flag(!self.is_served))?;
        line("Failed", &flag(trouble.is_some()))?;
        line(
            "FailedMessage",
            &trouble.map_or("", |trouble| &trouble.reason),
        )?;
        line("Initializing", &flag(self.summary == Summary::Initializing))?;
        line("Seeding", &flag(self.seeding.is_some()))?;
        line("Suspend", &flag(self.suspended.is_some()))?;
        let comment = self
            .suspended
            .as_ref()
            .and_then(|suspended| suspended.comment.as_deref());
        line("SuspendComment", &comment.unwrap_or_default())?;
        line("CopyQueueLength", &self.copy_queue_length)?;
        line("ReplayQueueLength", &self.replay_queue_length)?;
        line("LatestAvailableLogTime", &time(self.generated))?;
        line("LastCopiedLogTime", &time(self.copied))?;
        line("LastInspectedLogTime", &time(self.inspected))?;
        line("LastReplayedLogTime", &time(self.replayed))?;
        line("LastLogGenerated", &generation(self.generated))?;
        line("LastLogCopied", &generation(self.copied))?;
        line("LastLogInspected", &generation(self.inspected))?;
        line("LastLogReplayed", &generation(self.replayed))?;
        line("ReplayLagTime", &self.replay_lag)?;
        line("TruncationLagTime", &self.truncation_lag)?;
        line(
            "LastLogTruncatableAtSource",
            &self.truncatable.map_or(0, |generation| generation.0),
        )?;
        let not_proved: Vec<String> = self.proofs.not_proved().map(ProvedRange::span).collect();
        line("LogsNotProvedComplete", &not_proved.join(", "))?;
        line("WaitsFor", &self.waits.as_deref().unwrap_or_default())?;
        line(
            "ReplayWaitsFor",
            &self.replay_waits.as_deref().unwrap_or_default(),
        )
    }
}

/// As PowerShell writes it.
fn flag(value: bool) -> &'static str {
    if value { "True" } else { "False" }
}

/// One line per copy, in the columns that the cmdlet shows by itself, with its two lines of headings.
#[derive(Debug, Clone, Copy)]
pub struct StatusTable<'a>(pub &'a [CopyStatus]);

impl fmt::Display for StatusTable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self
            .0
            .iter()
            .map(|copy| copy.name.chars().count())
            .max()
            .unwrap_or_default()
            .max(4);
        writeln!(
            f,
            "{:width$} SummaryCopy     CopyQueue ReplayQueue LastInspected\n{:width$} Status          Length    Length      LogTime",
            "Name", ""
        )?;
        for copy in self.0 {
            let time = copy
                .inspected
                .map_or_else(String::new, |inspected| format!("{:.0}", inspected.at));
            let line = format!(
                "{:width$} {:15} {:9} {:11} {time}",
                copy.name, copy.summary, copy.copy_queue_length, copy.replay_queue_length
            );
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}
