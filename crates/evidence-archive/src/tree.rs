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

/// The names of an archive.
#[derive(Debug)]
pub(crate) struct Names {
    /// All of it, a folder.
    pub(crate) root: Node,
    /// How many names and files there are in it.
    count: usize,
    /// Why more may have been in the archive than is here.
    pub(crate) omitted: Option<String>,
}

/// So many folders may lie in each other: a name of a few hundred kilobytes may have a hundred thousand parts.
const DEEPEST: usize = 256;
/// So many names are kept, folders included: an archive of a few kilobytes may have more than fit into memory.
pub(crate) const MOST: usize = if cfg!(test) { 1 << 12 } else { 1 << 21 };

impl Names {
    pub(crate) fn new() -> Self {
        let root = Node {
            files: Vec::new(),
            folder: Some(BTreeMap::new()),
        };
        Names {
            root,
            count: 0,
            omitted: None,
        }
    }

    /// Adds a file under its name in the archive; whether there was room for it.
    pub(crate) fn add_file(&mut self, name: &[u8], member: Member) -> bool {
        let Some(node) = self.below(name) else {
            return false;
        };
        node.files.push(member);
        self.count += 1;
        true
    }

    /// Adds a folder, which may have nothing in it.
    pub(crate) fn add_folder(&mut self, name: &[u8]) {
        if let Some(node) = self.below(name) {
            node.folder.get_or_insert_default();
        }
    }

    /// Says why more may have been in the archive. The first reason counts.
    pub(crate) fn omit(&mut self, why: impl Into<String>) {
        self.omitted.get_or_insert_with(|| why.into());
    }

    /// Says that there are more names than are kept.
    pub(crate) fn omit_rest(&mut self) {
        self.omit(format!(
            "the archive has more than {MOST} names, and the others are not read"
        ));
    }

    fn below(&mut self, name: &[u8]) -> Option<&mut Node> {
        if self.count >= MOST {
            self.omit_rest();
            return None;
        }
        let parts = parts(name);
        if parts.len() > DEEPEST {
            self.omit(format!(
                "the archive has a name with {} parts, and more than {DEEPEST} folders in each other are not read",
                parts.len()
            ));
            return None;
        }
        let mut node = &mut self.root;
        for part in parts {
            let folder = node.folder.get_or_insert_default();
            node = folder.entry(part).or_insert_with(|| {
                self.count += 1;
                Node::default()
            });
        }
        Some(node)
    }
}

impl Node {
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
        let mut names = Names::new();
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
            assert!(names.add_file(name, member(number)));
        }
        let root = &names.root;
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
        assert!(names.omitted.is_none());
    }

    #[test]
    fn what_is_too_deep_or_too_much_is_said_and_not_kept() {
        let member = Member {
            number: 0,
            modified: None,
        };
        let mut deep = Names::new();
        assert!(deep.add_file(&b"a/".repeat(DEEPEST), member));
        assert!(!deep.add_file(&b"a/".repeat(400_000), member));
        assert!(deep.omitted.unwrap().contains("400000 parts"));
        let mut many = Names::new();
        assert!((0..MOST).all(|_| many.add_file(b"", member)));
        assert!(!many.add_file(b"", member));
        assert!(many.omitted.unwrap().contains("more than 4096 names"));
    }
}
