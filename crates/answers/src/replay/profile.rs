//! Where the time of a recovery goes: by step, and within redo by type of record.

use ese_replay::recovery::Timing;
use ese_replay::redo::RedoCounts;
use serde::Serialize;
use std::fmt::{self, Formatter};
use std::time::{Duration, Instant};

/// A part of a recovery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Logs are checked; what is needed is found out.
    Plan,
    /// A new file becomes a copy of the database.
    Copy,
    /// Logs are read; with a thread that reads ahead, redo waits for it.
    Logs,
    /// Records are applied.
    Redo,
    /// Transactions are rolled back, changed pages written.
    Finish,
    /// All of the result gets on disk, its header last.
    Commit,
    /// Digests of databases, and of logs that were not read.
    Digests,
}

impl Step {
    fn in_words(self) -> &'static str {
        match self {
            Step::Plan => "checking the logs",
            Step::Copy => "copying the database",
            Step::Logs => "reading the logs, or waiting for them",
            Step::Redo => "redo",
            Step::Finish => "undo, writing of pages",
            Step::Commit => "getting the result on disk",
            Step::Digests => "digests",
        }
    }
}

/// How long a step took.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Lap {
    step: Step,
    seconds: f64,
}

/// Takes the time of one step after the other.
#[derive(Debug)]
pub(crate) struct Stopwatch {
    since: Instant,
    laps: Vec<Lap>,
}

impl Stopwatch {
    /// The first step begins.
    pub(crate) fn start() -> Self {
        Stopwatch {
            since: Instant::now(),
            laps: Vec::new(),
        }
    }

    /// A step ends and the next one begins.
    pub(crate) fn lap(&mut self, step: Step) {
        let seconds = self.since.elapsed().as_secs_f64();
        self.laps.push(Lap { step, seconds });
        self.since = Instant::now();
    }

    /// Three steps end, which took this long.
    pub(crate) fn recovered(&mut self, timing: Timing) {
        let steps = [
            (Step::Logs, timing.logs),
            (Step::Redo, timing.redo),
            (Step::Finish, timing.finish),
        ];
        self.laps.extend(steps.map(|(step, time)| Lap {
            step,
            seconds: time.as_secs_f64(),
        }));
        self.since = Instant::now();
    }

    /// The steps in their order.
    pub(crate) fn laps(&mut self) -> Vec<Lap> {
        std::mem::take(&mut self.laps)
    }
}

/// Writes both tables.
pub(crate) fn write(f: &mut Formatter<'_>, laps: &[Lap], redo: &RedoCounts) -> fmt::Result {
    let total: f64 = laps.iter().map(|lap| lap.seconds).sum();
    let share = |seconds: f64, of: f64| 100.0 * seconds / of.max(1e-9);
    writeln!(f, "Time by step:")?;
    for lap in laps {
        let (words, part) = (lap.step.in_words(), share(lap.seconds, total));
        writeln!(f, "  {words:<38}{:>9.3} s {part:>5.1} %", lap.seconds)?;
    }
    let seconds = |time: Option<Duration>| time.unwrap_or_default().as_secs_f64();
    let total = seconds(redo.total().time);
    let mut types: Vec<_> = redo.types.iter().collect();
    types.sort_by_key(|(_, counts)| std::cmp::Reverse(counts.time));
    writeln!(f, "Time of redo by type of record:")?;
    for (record_type, counts) in types {
        let time = seconds(counts.time);
        writeln!(
            f,
            "  {:<12}{:>12} records{:>9.3} s {:>5.1} %{:>8.0} ns each",
            record_type.dump_name(),
            counts.read,
            time,
            share(time, total),
            1e9 * time / counts.read as f64
        )?;
    }
    Ok(())
}
