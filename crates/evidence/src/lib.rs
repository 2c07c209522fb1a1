//! Where bytes come from: files and folders that are read and never changed.
//!
//! ```text
//! EvidenceFile::open(path), place(path)
//!        |
//!        +-- a path of this machine ------> LocalFile, LocalFolder
//!        +-- an address, if a volume that
//!            holds it is mounted ---------> SourceFile, SourceFolder of that volume
//! ```
//!
//! Every source file of edbkit is opened here, for reading only. What cannot be read at any position (a directory, a
//! FIFO, a device) is refused before it is opened, so that no command waits for a pipe that nobody writes to.
//! Reads are positioned: a file that shrinks meanwhile gives an error that says so, where a memory map would end the
//! process.
//!
//! Invariant: no name, path or message of this crate holds anything secret.
//!
//! ```
//! # let path = std::env::current_exe()?;
//! let file = evidence::EvidenceFile::open(path)?;
//! let start = file.start(4096)?;
//! assert_eq!(start.len() as u64, file.length().min(4096));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

mod address;
mod error;
mod file;
mod local;
mod mounted;
mod reading;
mod retry;
mod volume;
mod within;

pub use address::join;
pub use error::{EvidenceError, ReadError, ReadErrorKind, wrong};
pub use file::EvidenceFile;
pub use local::{LocalFile, LocalFolder, read_file_at};
pub(crate) use mounted::volume_of;
pub use mounted::{
    files_in, folder, folder_of, holds_files, is_address, is_elsewhere, is_folder, is_later_part,
    is_within_file, length_of, moment_of, mount, outermost_of, paths_in, place, shown,
};
pub use reading::Reading;
pub use retry::Retry;
pub use volume::{FileStart, FolderEntry, Glance, Place, SourceFile, SourceFolder, Stamp, Volume};
pub use within::{Container, Contents, FilesWithin};

/// What a directory is called.
const DIRECTORY: &str = "a directory";

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};

    #[test]
    fn a_file_that_shrinks_is_an_error_that_says_so() {
        let folder = std::env::temp_dir().join(format!("evidence-{}", std::process::id()));
        fs::write(&folder, vec![7; 10_000]).unwrap();
        let evidence = EvidenceFile::open(&folder).unwrap();
        let writer = File::options().write(true).open(&folder).unwrap();
        writer.set_len(5_000).unwrap();
        let mut buffer = [0; 4096];
        evidence.read_exact_at(&mut buffer, 0).unwrap();
        let error = evidence.read_exact_at(&mut buffer, 4096).unwrap_err();
        fs::remove_file(&folder).unwrap();
        assert!(
            matches!(
                error,
                EvidenceError::Shrank {
                    offset: 4096,
                    needed: 4096,
                    available: 904,
                    ..
                }
            ),
            "{error}"
        );
    }
}
