//! Small files that a program keeps up to date.

use std::io::{self, Write};
use std::path::Path;

/// Replaces a file as a whole, so that it is never half written. Its mode is what the umask makes of a new file.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    as_any_file(&mut builder);
    let mut file = builder.tempfile_in(folder)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

/// Temporary files are for their owner alone.
#[cfg(unix)]
fn as_any_file(builder: &mut tempfile::Builder<'_, '_>) {
    use std::os::unix::fs::PermissionsExt;
    builder.permissions(std::fs::Permissions::from_mode(0o666));
}

#[cfg(not(unix))]
fn as_any_file(_builder: &mut tempfile::Builder<'_, '_>) {}
