//! Folders: names and the records of what has them.

use super::attribute::utf16;
use super::record::{Reference, whole};
use super::volume::missing;
use crate::numbers::Bytes;
use evidence::wrong;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;

/// What is in a folder.
#[derive(Debug)]
pub(crate) struct Folder(BTreeMap<OsString, Entry>);

#[derive(Debug, Clone, Copy)]
struct Entry {
    reference: Reference,
    is_folder: bool,
}

const LAST: u16 = 2;
/// Of the flags of a name: a folder has it.
const FOLDER: u32 = 0x1000_0000;
/// A name that another one of the same file is the short form of.
const DOS: u8 = 2;

impl Folder {
    /// Reads an index: its root, and the records of `size` bytes that `bitmap` says are in use. Each is read once, in the order
    /// in which they lie: which leads to which need not be known, and a loop leads nowhere.
    pub(crate) fn of(
        root: &[u8],
        mut allocation: Vec<u8>,
        bitmap: &[u8],
        size: usize,
    ) -> io::Result<Self> {
        let mut folder = Folder(BTreeMap::new());
        folder.add(
            root.get(16..).unwrap_or_default(),
            "the root of the folder's index",
        )?;
        for (number, record) in allocation.chunks_mut(size).enumerate() {
            let is_used = bitmap
                .get(number / 8)
                .is_some_and(|byte| byte >> (number % 8) & 1 != 0);
            if is_used {
                let what = format!("index record {number} of the folder");
                whole(record, b"INDX", &what)?;
                folder.add(&record[24..], &what)?;
            }
        }
        Ok(folder)
    }

    /// Adds the entries of a node, from its header on.
    fn add(&mut self, node: &[u8], what: &str) -> io::Result<()> {
        let damaged = || {
            wrong(format!(
                "{what} is damaged: a part of the folder's names cannot be read"
            ))
        };
        let mut at = node.u32(0).ok_or_else(damaged)? as usize;
        let end = node.u32(4).ok_or_else(damaged)? as usize;
        let node = node.get(..end).ok_or_else(damaged)?;
        loop {
            let length = usize::from(node.u16(at + 8).ok_or_else(damaged)?);
            let entry = at.checked_add(length).and_then(|end| node.get(at..end));
            let entry = entry
                .filter(|entry| entry.len() >= 16)
                .ok_or_else(damaged)?;
            if entry.u16(12).is_some_and(|flags| flags & LAST != 0) {
                return Ok(());
            }
            self.add_name(entry).ok_or_else(damaged)?;
            at += length;
        }
    }

    fn add_name(&mut self, entry: &[u8]) -> Option<()> {
        let length = usize::from(entry.u16(10)?);
        let name = entry.get(16..16 + length)?;
        let (units, space) = (usize::from(*name.get(64)?), *name.get(65)?);
        if space == DOS {
            return Some(());
        }
        let units = utf16(name.get(66..66 + 2 * units)?);
        let entry = Entry {
            reference: Reference::of(entry.u64(0)?),
            is_folder: name.u32(56)? & FOLDER != 0,
        };
        let name = os_string(&units);
        // The root is in itself.
        if name != "." {
            self.0.insert(name, entry);
        }
        Some(())
    }

    /// Names, and whether each is a file's.
    pub(crate) fn names(&self) -> Vec<(OsString, bool)> {
        let names = self.0.iter();
        names
            .map(|(name, entry)| (name.clone(), !entry.is_folder))
            .collect()
    }

    /// What has a name: as it is written, or else but for case, as Windows does.
    pub(crate) fn child(&self, name: &OsStr) -> io::Result<Reference> {
        if let Some(entry) = self.0.get(name) {
            return Ok(entry.reference);
        }
        let folded = folded(name);
        let mut others = self
            .0
            .iter()
            .filter(|(other, _)| self::folded(other) == folded);
        match (others.next(), others.next()) {
            (Some((_, entry)), None) => Ok(entry.reference),
            (Some(_), Some(_)) => Err(wrong(
                "the folder has several files of this name but for case: write it as it is",
            )),
            (None, _) => Err(missing()),
        }
    }
}

fn folded(name: &OsStr) -> String {
    name.to_string_lossy().to_uppercase()
}

/// A name; units that are no text are kept apart from each other.
fn os_string(units: &[u16]) -> OsString {
    let mut name = String::new();
    for unit in char::decode_utf16(units.iter().copied()) {
        match unit {
            Ok(letter) => name.push(letter),
            Err(alone) => name.push_str(&format!("\u{fffd}{:04x}", alone.unpaired_surrogate())),
        }
    }
    name.into()
}
