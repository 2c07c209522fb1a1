//! Addresses of files within files: the outer file, `::`, and the name in it.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// What stands between a file and the name of what is in it.
const BETWEEN: &str = "::";

/// A place within a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// The file that holds others.
    pub(crate) outer: PathBuf,
    /// The name of a file or folder in it; nothing for all of it.
    pub(crate) name: OsString,
}

impl Address {
    /// What `path` names within a file, if it does: a file that has the whole name is that file. A file of this machine may have
    /// `::` in its name, and what is before the last one of it need not be there.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let (mut outer, mut name) = split(path.as_os_str())?;
        if path.symlink_metadata().is_ok() {
            return None;
        }
        while !is_outer(Path::new(&outer)) {
            let (more, rest) = split(&name)?;
            outer.push(BETWEEN);
            outer.push(more);
            name = rest;
        }
        Some(Address {
            outer: outer.into(),
            name,
        })
    }
}

/// Whether there is something at a path that may hold files.
fn is_outer(path: &Path) -> bool {
    crate::is_address(path)
        || (path.metadata()).is_ok_and(|found| found.is_file() || is_block_device(&found))
}

#[cfg(unix)]
pub(crate) fn is_block_device(found: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt;
    found.file_type().is_block_device()
}

#[cfg(not(unix))]
pub(crate) fn is_block_device(_found: &std::fs::Metadata) -> bool {
    false
}

/// Where a `::` may be one of ours: in an address not before the path, a host may have it in its name (`[::1]`).
fn path_starts(text: &OsStr) -> usize {
    let path = Path::new(text);
    let address = path.to_str().filter(|_| crate::is_address(path));
    let rest = address.and_then(|address| address.split_once("://"));
    rest.map_or(0, |(scheme, rest)| {
        scheme.len() + "://".len() + rest.find('/').unwrap_or(rest.len())
    })
}

/// What is before the first `::`, and after it.
#[cfg(unix)]
pub(crate) fn split(text: &OsStr) -> Option<(OsString, OsString)> {
    use std::os::unix::ffi::OsStrExt;
    let (bytes, from) = (text.as_bytes(), path_starts(text));
    let mut pairs = bytes[from..].windows(BETWEEN.len());
    let at = from + pairs.position(|pair| pair == BETWEEN.as_bytes())?;
    let part = |bytes| OsStr::from_bytes(bytes).to_owned();
    Some((part(&bytes[..at]), part(&bytes[at + BETWEEN.len()..])))
}

/// What is before the first `::`, and after it.
#[cfg(not(unix))]
pub(crate) fn split(text: &OsStr) -> Option<(OsString, OsString)> {
    let from = path_starts(text);
    let text = text.to_str()?;
    let at = from + text[from..].find(BETWEEN)?;
    Some((text[..at].into(), text[at + BETWEEN.len()..].into()))
}

/// The address of a name within a file. One that lies in no folder has a `/` before its name, so that its path ends with the name alone.
pub fn join(outer: &Path, name: &OsStr) -> PathBuf {
    if let Some((inner, name)) = split(name) {
        return join(&join(outer, &inner), &name);
    }
    let mut address = outer.as_os_str().to_owned();
    address.push(BETWEEN);
    let is_name = Path::new(name).components().count() == 1;
    if is_name && !Path::new(name).has_root() {
        address.push("/");
    }
    address.push(name);
    address.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_members_are_paths_that_end_with_their_names() {
        for (member, address) in [
            ("", "a.zip::"),
            ("x.edb", "a.zip::/x.edb"),
            ("/x.edb", "a.zip::/x.edb"),
            ("C/x.edb", "a.zip::C/x.edb"),
            ("b.zip::x.edb", "a.zip::/b.zip::/x.edb"),
        ] {
            let joined = join(Path::new("a.zip"), OsStr::new(member));
            assert_eq!(joined, Path::new(address));
            let parts = split(joined.as_os_str()).unwrap();
            assert_eq!(parts.0, OsStr::new("a.zip"));
        }
        for (text, archive) in [
            ("a:b", None),
            ("sftp://[::1]/x.edb", None),
            ("sftp://[::1]", None),
            ("sftp://[::1]/x.zip::m", Some("sftp://[::1]/x.zip")),
            ("a.zip::b.zip::c", Some("a.zip")),
        ] {
            let found = split(OsStr::new(text)).map(|(archive, _)| archive);
            assert_eq!(found.as_deref(), archive.map(OsStr::new), "{text}");
        }
    }
}
