//! What a pass has seen and done, and how it comes into the state.

use crate::config::{CopyConfig, Service};
use crate::inspect::LogLink;
use crate::obstacle::Obstacle;
use crate::source::view::SourceView;
use crate::state::{CopyState, ReachedLog, Trouble};
use ese_format::{Generation, Signature};
use ese_log::chain::Proof;
use jiff::Timestamp;

/// What a pass has seen and done, to be written into the state at its end.
#[derive(Default)]
pub(crate) struct PassReport {
    pub(crate) generated: Option<Generation>,
    /// Generations of the closed logs that were at the source.
    pub(crate) closed: Option<Vec<Generation>>,
    pub(crate) copied: Option<Generation>,
    pub(crate) inspected: Option<Generation>,
    /// Logs that were written, of this stream.
    pub(crate) placed: Option<(Signature, Vec<Generation>)>,
    pub(crate) obstacle: Option<Obstacle>,
    /// What is wrong at the source though its closed logs come; none if it was not looked at.
    pub(crate) at_source: Option<Option<Obstacle>>,
    /// What was found out about logs: whether they are whole.
    pub(crate) proofs: Vec<(Generation, Proof)>,
    pub(crate) shipped: u32,
    /// Whether this service looks once and ends.
    pub(crate) once: bool,
    pub(crate) more: bool,
    pub(crate) waits: Option<String>,
}

/// A log that is in the log folder though the state does not know it yet.
pub(crate) fn adopt(state: &mut CopyState, generation: Generation, at: Timestamp) {
    for progress in [&mut state.copied, &mut state.inspected] {
        if progress.is_none_or(|known| known.generation != generation) {
            *progress = Some(ReachedLog { generation, at });
        }
    }
}

impl PassReport {
    /// What a log that passed says about itself and about the one before it.
    pub(crate) fn prove(&mut self, link: &LogLink) {
        if let (Some(proof), Some(before)) = (link.proof_before, link.generation.0.checked_sub(1)) {
            self.proofs.push((Generation(before), proof));
        }
        self.proofs.push((link.generation, link.proof));
    }

    /// What was seen at the source.
    pub(crate) fn see(&mut self, view: &SourceView, config: &CopyConfig) {
        self.generated = view.newest_closed;
        self.closed = Some(view.closed());
        let current = view.without_current();
        let is_due = !config.source.closed_logs_only && !view.is_empty() && !view.moves;
        let current = current.filter(|_| is_due);
        self.at_source = Some(view.stranger().or(current));
    }

    /// What a resynchronization came to: there is more to do at once, or an obstacle; nothing if the source did not go
    /// another way.
    pub(crate) fn follow(&mut self, resynchronized: Result<bool, Obstacle>) {
        match resynchronized {
            Ok(false) => {}
            Ok(true) => {
                self.obstacle = None;
                self.more = true;
                // The state has been updated already.
                (self.copied, self.inspected) = (None, None);
            }
            Err(obstacle) => self.obstacle = Some(obstacle),
        }
    }

    pub(crate) fn write(
        &self,
        state: &mut CopyState,
        service: &Service,
        now: Timestamp,
        retried: bool,
    ) {
        self.progress(state, now);
        state.served = Some(now);
        state.served_once = self.once;
        state.waits = self.waits.clone();
        if self.waits.is_some() {
            state.resync = None;
        }
        if let Some(obstacle) = &self.obstacle {
            state.trouble = Some(obstacle.trouble(state.trouble.as_ref(), service, now));
        } else if retried && (self.shipped > 0 || self.waits.is_some()) {
            state.trouble = None;
        }
        if let Some(at_source) = &self.at_source {
            let before = state.source_trouble.take();
            let trouble = |obstacle: &Obstacle| {
                let trouble = obstacle.trouble(before.as_ref(), service, now);
                // It is looked at with every pass, whoever acts: a try is nothing new.
                let known = before
                    .as_ref()
                    .filter(|known| known.reason == trouble.reason);
                known.cloned().unwrap_or(Trouble {
                    next_try: Some(now),
                    ..trouble
                })
            };
            state.source_trouble = at_source.as_ref().map(trouble);
        }
    }

    pub(crate) fn progress(&self, state: &mut CopyState, now: Timestamp) {
        let reached = |generation: Generation| ReachedLog {
            generation,
            at: now,
        };
        if let Some(generation) = self.generated
            && state
                .generated
                .is_none_or(|known| known.generation != generation)
        {
            state.generated = Some(reached(generation));
        }
        for (generation, proof) in &self.proofs {
            state.proofs.enter(*generation, proof);
        }
        if let Some((stream, placed)) = &self.placed {
            state.made.placed(*stream, placed);
        }
        state.copied = self.copied.map(reached).or(state.copied);
        state.inspected = self.inspected.map(reached).or(state.inspected);
        if let Some(closed) = &self.closed {
            let inspected = state.inspected.map(|inspected| inspected.generation);
            let waiting = closed.iter().filter(|closed| Some(**closed) > inspected);
            state.queued = Some(u32::try_from(waiting.count()).unwrap_or(u32::MAX));
        }
    }
}
