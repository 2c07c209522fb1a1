//! Which stream a command line means, and errors in the words of the program.

use console::{Exit, Failure, Output, interrupted};
use ese_log::{LogError, LogStream, StreamFiles};
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
        LogStream::open(&self.folder, self.base.as_deref()).map_err(|error| failure(&error))
    }

    /// The streams that are meant: all of the folder, if no base name is given.
    pub(crate) fn all(&self) -> Result<Vec<StreamFiles>, Failure> {
        let found = match &self.base {
            Some(base) => StreamFiles::find(&self.folder, Some(base)).map(|files| vec![files]),
            None => StreamFiles::find_all(&self.folder),
        };
        match found {
            Ok(streams) if streams.is_empty() => Err(no_stream(format!(
                "{}: no log stream",
                self.folder.display()
            ))),
            Ok(streams) => Ok(streams),
            Err(error) => Err(failure(&error)),
        }
    }
}

fn no_stream(message: String) -> Failure {
    Failure::new(Exit::NotEse, message).advise(
        "name the folder that holds the logs, as in E0000000001.log; --base takes unusual names",
    )
}

/// An error of the library, as the program reports it.
pub(crate) fn failure(error: &LogError) -> Failure {
    let message = error.to_string();
    let failure = match error {
        LogError::Io { path, source } if path.is_file() => {
            let failure = Failure::new(Exit::Io, format!("{}: {source}", path.display()));
            return failure.advise("name the folder that holds the logs, not a file in it");
        }
        LogError::Io { path, source } => return Failure::io(path, source),
        LogError::File(error) => return Failure::unreadable(error),
        LogError::TooLarge { .. } => {
            Failure::new(Exit::NotEse, message).advise("this is no transaction log")
        }
        LogError::NoStream { .. } => no_stream(message),
        LogError::SeveralStreams { .. } => {
            Failure::new(Exit::Usage, message).advise("choose one with --base")
        }
        LogError::Header { .. } => Failure::new(Exit::Finding, message)
            .advise("look for another copy of the log; `logchain verify` shows what else is wrong"),
        LogError::Sequence { .. }
        | LogError::Damaged { .. }
        | LogError::Incomplete { .. }
        | LogError::Record { .. } => Failure::new(Exit::Finding, message)
            .advise("what stands before is complete; `logchain verify` shows what follows"),
    };
    match error.jet() {
        Some(jet) => failure.jet(jet),
        None => failure,
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
