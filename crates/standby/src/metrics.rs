//! The same as the status, as a Prometheus text file for the textfile collector of a node exporter.
//!
//! Format: "Exposition formats" of the Prometheus documentation, text format 0.0.4.

use crate::error::StandbyError;
use crate::state::{ReachedLog, replace_file};
use crate::status::{CopyStatus, Summary};
use std::fmt::{self, Display, Formatter};
use std::path::Path;
use target_disk::Disk;

/// Writes the metrics of all copies to `path`, as a whole.
pub fn write(disk: &dyn Disk, path: &Path, copies: &[CopyStatus]) -> Result<(), StandbyError> {
    replace_file(disk, path, Metrics(copies).to_string().as_bytes())
}

/// The metrics of these copies.
#[derive(Debug, Clone, Copy)]
pub struct Metrics<'a>(pub &'a [CopyStatus]);

type Value = fn(&CopyStatus) -> Option<f64>;

const GAUGES: [(&str, &str, Value); 10] = [
    (
        "scr_copy_queue_length",
        "Closed logs at the source that were not inspected yet.",
        |copy| Some(copy.copy_queue_length.into()),
    ),
    (
        "scr_replay_queue_length",
        "Inspected logs that were not replayed yet.",
        |copy| Some(copy.replay_queue_length.into()),
    ),
    (
        "scr_generated_generation",
        "Newest closed log at the source.",
        |copy| generation(copy.generated),
    ),
    (
        "scr_inspected_generation",
        "Newest inspected log.",
        |copy| generation(copy.inspected),
    ),
    (
        "scr_inspected_timestamp_seconds",
        "When the newest log was inspected.",
        |copy| time(copy.inspected),
    ),
    ("scr_replayed_generation", "Newest replayed log.", |copy| {
        generation(copy.replayed)
    }),
    (
        "scr_replayed_timestamp_seconds",
        "When the newest log was replayed.",
        |copy| time(copy.replayed),
    ),
    (
        "scr_replay_lag_seconds",
        "How old a log must be to be replayed.",
        |copy| Some(copy.replay_lag.duration().as_secs_f64()),
    ),
    (
        "scr_served_timestamp_seconds",
        "When the service last looked after the copy.",
        |copy| Some(copy.served?.as_second() as f64),
    ),
    (
        "scr_trouble_attempts",
        "How often the step that fails was tried; 0 if none fails.",
        |copy| {
            Some(
                copy.trouble
                    .as_ref()
                    .map_or(0, |trouble| trouble.attempts)
                    .into(),
            )
        },
    ),
];

fn generation(progress: Option<ReachedLog>) -> Option<f64> {
    Some(progress?.generation.0.into())
}

fn time(progress: Option<ReachedLog>) -> Option<f64> {
    Some(progress?.at.as_millisecond() as f64 / 1000.0)
}

impl Display for Metrics<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (name, help, value) in GAUGES {
            writeln!(f, "# HELP {name} {help}\n# TYPE {name} gauge")?;
            for copy in self.0 {
                if let Some(value) = value(copy) {
                    writeln!(f, "{name}{{{}}} {value}", Labels(copy))?;
                }
            }
        }
        let name = "scr_status";
        writeln!(
            f,
            "# HELP {name} 1 for the SummaryCopyStatus that the copy has.\n# TYPE {name} gauge"
        )?;
        for copy in self.0 {
            for summary in Summary::ALL {
                let value = u8::from(copy.summary == summary);
                writeln!(f, "{name}{{{},status=\"{summary}\"}} {value}", Labels(copy))?;
            }
        }
        Ok(())
    }
}

struct Labels<'a>(&'a CopyStatus);

impl Display for Labels<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let CopyStatus {
            name,
            source,
            target,
            ..
        } = self.0;
        write!(
            f,
            "copy=\"{}\",source=\"{}\",target=\"{}\"",
            Quoted(name),
            Quoted(source),
            Quoted(target)
        )
    }
}

struct Quoted<'a>(&'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|char| match char {
            '\\' => f.write_str("\\\\"),
            '"' => f.write_str("\\\""),
            '\n' => f.write_str("\\n"),
            other => write!(f, "{other}"),
        })
    }
}
