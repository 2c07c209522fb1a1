//! Small files that a program keeps up to date.

use std::io;
use std::path::Path;
use target_disk::{Disk, LocalDisk};

/// Replaces a file as a whole: readers and a crash see the old content or the new one. Its mode is what the umask makes
/// of a new file.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    LocalDisk.replace(path, content, ".edbkit-")
}
