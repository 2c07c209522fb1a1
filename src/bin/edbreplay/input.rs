//! What both commands take: databases, logs and limits.

use answers::replay;
use console::values::number;
use ese_format::{Generation, Lgpos};
use ese_replay::recovery::Until;
use jiff::Timestamp;
use std::path::PathBuf;

/// Databases and the log stream that serves them.
#[derive(Debug, clap::Args)]
pub(crate) struct Input {
    /// Databases to recover; without any, those that the logs need or create
    #[arg(value_name = "DATABASE")]
    databases: Vec<PathBuf>,
    /// Folder with the logs, or one log; may be given several times. The folder of the first database if not given
    #[arg(long, value_name = "PLACE")]
    logs: Vec<PathBuf>,
    /// Base name of the logs, as in E00; needed only if there are several streams and no database says which
    #[arg(long, value_name = "NAME")]
    base: Option<String>,
    /// Checkpoint file in place of the one beside the logs
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// Replay no generation after this one, as in 42 or 0x2A
    #[arg(long, value_name = "GENERATION", value_parser = parse_generation)]
    until: Option<Generation>,
    /// Replay no record after this position, as in 0000002A:0010:01F4
    #[arg(long, value_name = "LGPOS")]
    until_lgpos: Option<Lgpos>,
    /// Replay nothing that was logged after this time, as in 2024-05-01T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    until_time: Option<Timestamp>,
}

fn parse_generation(text: &str) -> Result<Generation, String> {
    number(text).map(Generation)
}

fn parse_time(text: &str) -> Result<Timestamp, String> {
    let said = "is not a time with a zone; write it as 2024-05-01T12:00:00Z";
    text.parse().map_err(|_| format!("{text:?} {said}"))
}

impl From<&Input> for replay::Input {
    fn from(input: &Input) -> Self {
        replay::Input {
            databases: input.databases.clone(),
            logs: input.logs.clone(),
            base: input.base.clone(),
            checkpoint: input.checkpoint.clone(),
            until: Until {
                generation: input.until,
                lgpos: input.until_lgpos,
                before: None,
                time: input.until_time,
            },
        }
    }
}
