//! Which stream a command line means, and errors in the words of the program.

use answers::chain::streams_of;
use console::{Exit, Failure, Output, interrupted};
use ese_log::{LogStream, StreamFiles};
use std::path::PathBuf;

/// A stream on the command line.
#[derive(Debug, clap::Args)]
pub(crate) struct StreamArguments {
    /// Folder of the logs
    pub(crate) folder: PathBuf,
    /// Base name of the logs, as in E00; needed only if the folder holds several streams
    #[arg(long, value_name = "NAME")]
    pub(crate) base: Option<String>,
}

impl StreamArguments {
    /// The one stream that is meant.
    pub(crate) fn open(&self) -> Result<LogStream, Failure> {
        LogStream::open(&self.folder, self.base.as_deref()).map_err(|error| Failure::of(&error))
    }

    /// The streams that are meant: all of the folder, if no base name is given.
    pub(crate) fn all(&self) -> Result<Vec<StreamFiles>, Failure> {
        streams_of(&self.folder, self.base.as_deref())
    }
}

/// Ends a long answer between two of its parts when Ctrl-C was pressed.
pub(crate) fn check_interrupt(output: &mut Output) -> Result<(), Failure> {
    if !interrupted() {
        return Ok(());
    }
    output.flush()?;
    Err(
        Failure::new(Exit::Interrupted, "interrupted; the answer is not complete")
            .advise("run the same command again"),
    )
}
