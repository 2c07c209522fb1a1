//! The members of an archive as files in folders.

use jiff::Timestamp;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

/// A file of an archive.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Member {
    /// Which one it is, as the archive counts them.
    pub(crate) number: usize,
    /// When it was last modified, if the archive knows that in UTC.
    pub(crate) modified: Option<Timestamp>,
}

/// What has a name in a folder. An archive may hold several members of one name.
#[derive(Debug, Default)]
pub(crate) struct Node {
    /// Files of this name.
    pub(crate) files: Vec<Member>,
    /// The folder of this name: what is in it.
    pub(crate) folder: Option<BTreeMap<OsString, Node>>,
}

/// Why a name leads nowhere.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Nowhere {
    /// Nothing has it.
    Missing,
    /// Several have it, but for case.
    Ambiguous,
}

impl Node {
    /// Adds a file under its name in the archive.
    pub(crate) fn add_file(&mut self, name: &[u8], member: Member) {
        self.below(name).files.push(member);
    }

    /// Adds a folder, which may have nothing in it.
    pub(crate) fn add_folder(&mut self, name: &[u8]) {
        self.below(name).folder.get_or_insert_default();
    }

    fn below(&mut self, name: &[u8]) -> &mut Node {
        let parts = parts(name).into_iter();
        parts.fold(self, |node, part| {
            let folder = node.folder.get_or_insert_default();
            folder.entry(part).or_default()
        })
    }

    /// What a name leads to; an empty one to this itself.
    pub(crate) fn find(&self, name: &OsStr) -> Result<&Node, Nowhere> {
        let mut parts = parts(&bytes_of(name)).into_iter();
        parts.try_fold(self, |node, part| node.child(&part))
    }

    fn child(&self, name: &OsStr) -> Result<&Node, Nowhere> {
        let folder = self.folder.as_ref().ok_or(Nowhere::Missing)?;
        if let Some(node) = folder.get(name) {
            return Ok(node);
        }
        let mut others = folder.iter();
        let mut others = others
            .by_ref()
            .filter(|(other, _)| other.eq_ignore_ascii_case(name));
        match (others.next(), others.next()) {
            (Some((_, node)), None) => Ok(node),
            (Some(_), Some(_)) => Err(Nowhere::Ambiguous),
            (None, _) => Err(Nowhere::Missing),
        }
    }
}

/// The parts of a name; empty ones and `.` say nothing, `..` is a part like any other.
fn parts(name: &[u8]) -> Vec<OsString> {
    let separator = if name.contains(&b'/') { b'/' } else { b'\\' };
    let parts = name.split(|byte| *byte == separator);
    parts
        .filter(|part| !part.is_empty() && *part != b".")
        .map(os_string)
        .collect()
}

#[cfg(unix)]
fn os_string(bytes: &[u8]) -> OsString {
    use std::os::unix::ffi::OsStrExt;
    OsStr::from_bytes(bytes).to_owned()
}

#[cfg(not(unix))]
fn os_string(bytes: &[u8]) -> OsString {
    String::from_utf8_lossy(bytes).into_owned().into()
}

#[cfg(unix)]
fn bytes_of(name: &OsStr) -> Vec<u8> {
    use std::os::unix::ffi::OsStrExt;
    name.as_bytes().to_vec()
}

#[cfg(not(unix))]
fn bytes_of(name: &OsStr) -> Vec<u8> {
    name.to_string_lossy().into_owned().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_where_they_lead_in_the_archive_alone() {
        let member = |number| Member {
            number,
            modified: None,
        };
        let mut root = Node::default();
        for (number, name) in [
            &b"C/Windows/sru/SRUDB.dat"[..],
            b"C\\Windows\\x.log",
            b"../../etc/passwd",
            b"/abs/file",
            b"Case/a",
            b"case/a",
            b"twice",
            b"twice",
            b"\xff/y",
        ]
        .into_iter()
        .enumerate()
        {
            root.add_file(name, member(number));
        }
        let number = |name: &str| {
            let found = root.find(OsStr::new(name))?;
            Ok(found
                .files
                .iter()
                .map(|file| file.number)
                .collect::<Vec<_>>())
        };
        assert_eq!(number("C/Windows/sru/SRUDB.dat"), Ok(vec![0]));
        assert_eq!(number("c/windows/SRU/srudb.DAT"), Ok(vec![0]));
        assert_eq!(number("C\\Windows\\X.log"), Ok(vec![1]));
        assert_eq!(number("../../etc/passwd"), Ok(vec![2]));
        assert_eq!(number("abs//./file"), Ok(vec![3]));
        assert_eq!(number("CASE/a"), Err(Nowhere::Ambiguous));
        assert_eq!(number("Case/a"), Ok(vec![4]));
        assert_eq!(number("twice"), Ok(vec![6, 7]));
        assert_eq!(number("C/Windows/sru/SRUDB.dat/x"), Err(Nowhere::Missing));
        assert_eq!(number("etc/passwd"), Err(Nowhere::Missing));
        assert!(root.find(OsStr::new("C/Windows")).unwrap().folder.is_some());
        assert_eq!(root.folder.as_ref().unwrap().len(), 7);
    }
}
