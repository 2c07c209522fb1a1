//! Addresses of members: the archive, `::`, and the member.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// What stands between an archive and its member.
const BETWEEN: &str = "::";

/// A member of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// The archive.
    pub(crate) archive: PathBuf,
    /// The member, or a folder of it.
    pub(crate) member: OsString,
}

impl Address {
    /// What `path` names in an archive, if it does: a file that has the whole name is that file.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let (archive, member) = split(path.as_os_str())?;
        let archive = PathBuf::from(archive);
        let is_there = archive.is_file() || evidence::is_address(&archive);
        (is_there && path.symlink_metadata().is_err()).then_some(Address { archive, member })
    }
}

/// Where a `::` may be one of ours: in an address not before the path, a host may have it in its name (`[::1]`).
fn path_starts(text: &OsStr) -> usize {
    let path = Path::new(text);
    let address = path.to_str().filter(|_| evidence::is_address(path));
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

/// The address of a member. One that lies in no folder has a `/` before its name, so that its path ends with the name alone.
pub(crate) fn join(archive: &Path, member: &OsStr) -> PathBuf {
    if let Some((inner, member)) = split(member) {
        return join(&join(archive, &inner), &member);
    }
    let mut address = archive.as_os_str().to_owned();
    address.push(BETWEEN);
    let is_name = Path::new(member).components().count() == 1;
    if is_name && !Path::new(member).has_root() {
        address.push("/");
    }
    address.push(member);
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
