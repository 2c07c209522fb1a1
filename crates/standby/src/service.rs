//! The service: every copy of a configuration, round after round.
//!
//! It has two halves, so that a long step of replay keeps no log waiting at its source: [`Shipping`] brings logs,
//! [`Replaying`] replays them and deletes old ones. `scr run` drives each on a thread of its own. Whoever drives them says
//! what the time is, how sources are reached, and when to stop.

use crate::clock::{Clock, age};
use crate::config::{Configuration, CopyConfig};
use crate::copy::StandbyCopy;
use crate::error::StandbyError;
use crate::replay::Replayer;
use crate::source::LogSource;
use crate::status::{CopyStatus, status};
use crate::target_view::TargetView;
use crate::truncate;
use ese_format::Progress;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tracing::{error, info};

/// A replayer that both halves hold.
pub type SharedReplayer = Arc<Mutex<Replayer>>;

/// How the logs that a copy is made of are reached.
pub type Connect<'a> = dyn Fn(&Configuration, &CopyConfig) -> Box<dyn LogSource> + Sync + 'a;

/// The half that brings logs.
#[derive(Default)]
pub struct Shipping {
    copies: BTreeMap<String, ServedCopy>,
    once: bool,
}

/// Both halves of a copy.
struct ServedCopy {
    copy: StandbyCopy,
    replayer: SharedReplayer,
    /// When its state was last told that it is served.
    told: Timestamp,
}

/// How often the state of a copy is told that it is served, whatever the service is busy with.
const TOLD_EVERY: SignedDuration = SignedDuration::from_mins(1);

impl Shipping {
    /// A service that goes on until it is stopped.
    pub fn new() -> Self {
        Self::default()
    }

    /// One that brings every copy as far as possible now, and ends with the first that cannot be served.
    pub fn once() -> Self {
        Shipping {
            once: true,
            ..Self::default()
        }
    }

    /// One pass for every copy of the configuration; whether there is more to do at once.
    pub fn round(
        &mut self,
        configuration: &Configuration,
        clock: &dyn Clock,
        connect: &Connect<'_>,
        progress: &dyn Progress,
    ) -> Result<bool, StandbyError> {
        self.let_go(configuration);
        let mut more = false;
        for config in &configuration.copies {
            if progress.should_stop() {
                break;
            }
            self.tell(clock.now());
            match self.serve(configuration, config, clock, connect) {
                Ok(has_more) => more |= has_more,
                // One copy that cannot be served is no reason to leave the others alone.
                Err(problem) if !self.once => error!(copy = config.name, "{problem}"),
                Err(problem) => return Err(problem),
            }
        }
        Ok(more)
    }

    /// The other halves of the copies that are served.
    pub fn replayers(&self) -> Vec<SharedReplayer> {
        let served = self.copies.values();
        served.map(|served| Arc::clone(&served.replayer)).collect()
    }

    /// Gives back copies that were disabled or are configured in another way now.
    fn let_go(&mut self, configuration: &Configuration) {
        self.copies.retain(|name, served| {
            let mut copies = configuration.copies.iter();
            copies.find(|config| config.name == *name) == Some(served.copy.config())
        });
    }

    /// Tells the copies that wait for their turn. One that cannot be told is not.
    fn tell(&mut self, now: Timestamp) {
        let waiting = self.copies.values_mut();
        for served in waiting.filter(|served| age(served.told, now) >= TOLD_EVERY) {
            if served.copy.tell(now).is_ok() {
                served.told = now;
            }
        }
    }

    fn serve(
        &mut self,
        configuration: &Configuration,
        config: &CopyConfig,
        clock: &dyn Clock,
        connect: &Connect<'_>,
    ) -> Result<bool, StandbyError> {
        if configuration.state_of(config).read()?.is_out_of_service() {
            self.copies.remove(&config.name);
            return Ok(false);
        }
        let served = match self.copies.remove(&config.name) {
            Some(served) => served,
            None => self.open(configuration, config, clock, connect)?,
        };
        let served = self.copies.entry(config.name.clone()).or_insert(served);
        match served.copy.pass(&configuration.service, clock) {
            Ok(pass) => {
                served.told = clock.now();
                Ok(pass.more)
            }
            Err(problem) => {
                // It may have done more than the state says. The next round finds out from the files.
                self.copies.remove(&config.name);
                Err(problem)
            }
        }
    }

    fn open(
        &self,
        configuration: &Configuration,
        config: &CopyConfig,
        clock: &dyn Clock,
        connect: &Connect<'_>,
    ) -> Result<ServedCopy, StandbyError> {
        let source = connect(configuration, config);
        let copy = StandbyCopy::open(config, configuration.state_of(config), source, clock)?;
        let copy = if self.once { copy.once() } else { copy };
        info!(copy = config.name, source = %config.source.logs.display(), "served");
        let replayer = Arc::new(Mutex::new(copy.replayer()));
        let told = clock.now();
        Ok(ServedCopy {
            copy,
            replayer,
            told,
        })
    }
}

/// The half that replays logs and deletes those that are not needed any more.
#[derive(Debug, Default)]
pub struct Replaying {
    /// Whether logs are deleted at the sources, too.
    truncates_source: bool,
    /// When the logs at the sources were last looked at.
    looked: Option<Timestamp>,
}

impl Replaying {
    /// It deletes logs at the sources only if it `truncates_source`.
    pub fn new(truncates_source: bool) -> Self {
        Replaying {
            truncates_source,
            looked: None,
        }
    }

    /// A step for every copy; whether there is more to do at once. What goes wrong with one copy does not keep the
    /// others waiting.
    pub fn round(
        &mut self,
        configuration: &Configuration,
        replayers: &[SharedReplayer],
        clock: &dyn Clock,
        progress: &dyn Progress,
    ) -> Result<bool, StandbyError> {
        let mut more = false;
        let mut problem = None;
        for replayer in replayers {
            if progress.should_stop() {
                return Ok(false);
            }
            match step(configuration, replayer, clock, progress) {
                Ok(again) => more |= again,
                Err(error) => problem = Some(error),
            }
        }
        self.look_at_sources(configuration, clock.now())?;
        problem.map_or(Ok(more), Err)
    }

    fn look_at_sources(
        &mut self,
        configuration: &Configuration,
        now: Timestamp,
    ) -> Result<(), StandbyError> {
        let interval = configuration.service.truncate.duration();
        let due = |last: Timestamp| now < last || now.duration_since(last) >= interval;
        if self.looked.is_none_or(due) {
            self.looked = Some(now);
            let deleted = truncate::sources(configuration, self.truncates_source)?;
            if deleted > 0 {
                info!(logs = deleted, "logs deleted at the sources");
            }
        }
        Ok(())
    }
}

fn step(
    configuration: &Configuration,
    replayer: &SharedReplayer,
    clock: &dyn Clock,
    progress: &dyn Progress,
) -> Result<bool, StandbyError> {
    let mut replayer = replayer.lock().unwrap_or_else(PoisonError::into_inner);
    let config = replayer.config();
    let exported =
        truncate::inspected_by_all(configuration, &config.target.logs, &config.source.base)?;
    let step = replayer.step(&configuration.service, clock, exported, progress)?;
    Ok(step.more)
}

/// How these copies of the configuration stand.
pub fn statuses<'a>(
    configuration: &Configuration,
    copies: impl IntoIterator<Item = &'a CopyConfig>,
    now: Timestamp,
) -> Result<Vec<CopyStatus>, StandbyError> {
    let one = |copy: &CopyConfig| {
        let file = configuration.state_of(copy);
        let state = file.read()?;
        let here = TargetView::look(copy, &file);
        Ok(status(copy, state, &here, &configuration.service, now))
    };
    copies.into_iter().map(one).collect()
}
