//! What a command line names as a source, and how it is read.

use crate::rate::{ControlFile, Rate, parse_rate};
use console::values::{bytes, count, number};
use console::{Exit, Failure, interrupted};
use edb_copy::{CopyError, ReadPolicy};
use ese_format::Progress;
use ese_scan::RateLimit;
use evidence::{LocalFile, LocalFolder, Place, Retry, SourceFile, SourceFolder};
#[cfg(feature = "remote")]
use evidence_remote::RemotePlace;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How a source is read.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ReadArguments {
    /// Read at most this much a second, as in 50MiB/s
    #[arg(long, value_name = "BYTES", value_parser = parse_rate)]
    rate: Option<Rate>,
    /// Take the rate from this file too, whenever it changes: 50MiB/s, or unlimited
    #[arg(long, value_name = "FILE")]
    rate_file: Option<PathBuf>,
    /// Retry this often after an error that may pass, waiting longer each time
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = number::<u32>)]
    retries: u32,
    /// Treat a read without an answer for this many seconds as an error that may pass; 0 waits forever
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = number::<u64>)]
    timeout: u64,
    #[cfg(feature = "remote")]
    #[command(flatten)]
    remote: crate::remote::RemoteArguments,
    /// Work on this many chunks at once
    #[arg(long, value_name = "N", default_value = "4", value_parser = count)]
    jobs: NonZeroUsize,
}

impl ReadArguments {
    /// The policy, and what keeps its rate up to date as long as it lives.
    pub(crate) fn policy(&self) -> Result<(ReadPolicy, Option<ControlFile>), Failure> {
        let rate = Arc::new(RateLimit::unlimited());
        let given = self.rate.and_then(|Rate(rate)| rate);
        rate.set(given);
        let control = self
            .rate_file
            .as_ref()
            .map(|path| ControlFile::watch(path, Arc::clone(&rate)))
            .transpose()?;
        let policy = ReadPolicy {
            retry: Retry {
                retries: self.retries,
                ..Retry::default()
            },
            timeout: NonZeroU64::new(self.timeout)
                .map(|seconds| Duration::from_secs(seconds.get())),
            rate,
        };
        Ok((policy, control))
    }

    /// How many chunks are under way at once, such that they take no more than 192 MiB.
    pub(crate) fn jobs(&self, chunk_size: u64, buffers_of_a_job: u64) -> NonZeroUsize {
        let most = (192 << 20) / (chunk_size.max(1) * buffers_of_a_job);
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        NonZeroUsize::new(most).map_or(NonZeroUsize::MIN, |most| most.min(self.jobs))
    }
}

/// What a command line names.
pub(crate) enum NamedSource {
    File(Arc<dyn SourceFile>),
    Folder(Arc<dyn SourceFolder>),
}

impl NamedSource {
    /// Finds out what is there: on this machine, or at an address.
    pub(crate) fn open(
        named: &Path,
        read: &ReadArguments,
        policy: &ReadPolicy,
    ) -> Result<Self, Failure> {
        if evidence::is_within_file(named) {
            let place = evidence::place(named).map_err(|error| Failure::of(&error))?;
            return Ok(match place {
                Place::File(file) => NamedSource::File(Arc::clone(file.source())),
                Place::Folder(folder) => NamedSource::Folder(folder),
            });
        }
        #[cfg(feature = "remote")]
        if let Some(address) = named
            .to_str()
            .filter(|text| crate::remote::is_address(text))
        {
            return Ok(match read.remote.open(address, policy)? {
                RemotePlace::File(file) => NamedSource::File(Arc::new(file)),
                RemotePlace::Folder(folder) => NamedSource::Folder(Arc::new(folder)),
            });
        }
        let _ = (read, policy);
        if let Some((scheme, _)) = named.to_str().and_then(|text| text.split_once("://")) {
            let known = "sftp, s3, azblob, gcs, webdav, http and their secure forms are";
            let message =
                format!("{scheme}:// is not an address of a kind that can be read; {known}");
            return Err(Failure::new(Exit::Usage, message));
        }
        if named.is_dir() {
            return Ok(NamedSource::Folder(Arc::new(LocalFolder(named.to_owned()))));
        }
        open_local(named).map(NamedSource::File)
    }
}

/// Opens the file that a command line names.
pub(crate) fn open(
    named: &Path,
    read: &ReadArguments,
    policy: &ReadPolicy,
) -> Result<Arc<dyn SourceFile>, Failure> {
    match NamedSource::open(named, read, policy)? {
        NamedSource::File(file) => Ok(file),
        NamedSource::Folder(folder) => Err(Failure::new(
            Exit::Io,
            format!("{} is a directory", folder.name()),
        )
        .advise("name a file in it")),
    }
}

/// Opens a file of this machine.
pub(crate) fn open_local(path: &Path) -> Result<Arc<dyn SourceFile>, Failure> {
    if path.is_dir() {
        let message = format!("{} is a directory", path.display());
        return Err(Failure::new(Exit::Io, message).advise("name a file in it"));
    }
    let source = LocalFile::open(path).map_err(|error| {
        Failure::of(&CopyError::Source {
            name: path.display().to_string(),
            error: error.into(),
        })
    })?;
    Ok(Arc::new(source))
}

/// Work that shows no progress, and ends at Ctrl-C.
pub(crate) struct UntilInterrupted;

impl Progress for UntilInterrupted {
    fn advance(&self, _bytes: u64) {}

    fn should_stop(&self) -> bool {
        interrupted()
    }
}

/// A number of bytes that is the size of a block of a manifest.
pub(crate) fn parse_block(text: &str) -> Result<u64, String> {
    edb_copy::Chunks::blocks(0, bytes(text)?)
        .map(edb_copy::Chunks::size)
        .ok_or_else(|| "a block is a power of two from 4KiB to 64MiB".into())
}

/// A number of bytes that is a chunk size.
pub(crate) fn parse_chunk(text: &str) -> Result<u64, String> {
    edb_copy::Chunks::new(0, bytes(text)?)
        .map(edb_copy::Chunks::size)
        .ok_or_else(|| "a chunk is a power of two from 64KiB to 64MiB".into())
}
