//! Folders: names and the records of what has them.

use super::attribute::utf16;
use super::record::{Reference, whole};
use super::volume::missing;
use crate::cache::Cache;
use crate::numbers::Bytes;
use evidence::wrong;
use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::io;

/// What is in a folder, in the order of [`folded`] names.
#[derive(Debug)]
pub(crate) struct Folder(Vec<Entry>);

/// Folders of all volumes of an image that were read last, each with the volume and its record.
pub(crate) type Folders = Cache<(VolumeId, u64), Folder>;
/// The partition and the shadow copy that a volume is; 0 if it is none.
pub(crate) type VolumeId = (u32, usize);

/// So many folders are kept, and about so many bytes of them.
pub(crate) fn folders() -> Folders {
    Cache::of_weight(64, 64 << 20, Folder::weight)
}

/// What has a name.
#[derive(Debug)]
pub(crate) struct Entry {
    folded: String,
    pub(crate) name: OsString,
    pub(crate) reference: Reference,
    is_folder: bool,
}

/// Of the flags of an entry: more names lie before it in another node.
const HAS_CHILD: u16 = 1;
/// Likewise: it has no name, and ends its node.
const LAST: u16 = 2;
/// Of the flags of a name: a folder has it.
const FOLDER: u32 = 0x1000_0000;
/// A name that another one of the same file is the short form of.
const DOS: u8 = 2;
/// Where the header of a node is in an index record.
const NODE: usize = 24;

/// The index of a folder, as it lies in the attributes of its record.
#[derive(Debug)]
pub(crate) struct Index {
    pub(crate) root: Vec<u8>,
    /// Its nodes, in records of `size` bytes.
    pub(crate) allocation: Vec<u8>,
    /// Which of them are in use.
    pub(crate) bitmap: Vec<u8>,
    pub(crate) size: usize,
    /// Nodes are named by where they begin, in steps of so many bytes.
    pub(crate) step: u64,
}

/// What is read of an index.
struct Names {
    /// The record of the folder.
    folder: u64,
    entries: Vec<Entry>,
    /// Short names: of no interest where the file has another name.
    short: Vec<Entry>,
    /// Nodes that others lead to.
    children: Vec<u64>,
}

impl Folder {
    /// Reads the index of a folder. Each node in use is read once, in the order in which they lie, and a loop leads nowhere. All that
    /// another one leads to have to be among them.
    pub(crate) fn of(folder: u64, mut index: Index) -> io::Result<Self> {
        let mut names = Names {
            folder,
            entries: Vec::new(),
            short: Vec::new(),
            children: Vec::new(),
        };
        names.add(
            index.root.get(16..).unwrap_or_default(),
            "the root of the folder's index",
        )?;
        if !index.allocation.len().is_multiple_of(index.size) {
            return Err(wrong(format!(
                "the index of the folder has {} bytes, and its records {} each: it is damaged",
                index.allocation.len(),
                index.size
            )));
        }
        let mut known = HashSet::new();
        for (number, record) in index.allocation.chunks_exact_mut(index.size).enumerate() {
            let bits = index.bitmap.get(number / 8);
            if bits.is_some_and(|bits| bits >> (number % 8) & 1 != 0) {
                let what = format!("index record {number} of the folder");
                whole(record, b"INDX", &what)?;
                let node = number as u64 * index.size as u64 / index.step;
                if record.u64(16) != Some(node) {
                    return Err(wrong(format!(
                        "{what} should say that it is at {node:#x}, and says {:#x?}: it is damaged, or of another folder",
                        record.u64(16).unwrap_or_default()
                    )));
                }
                known.insert(node);
                names.add(record.get(NODE..).unwrap_or_default(), &what)?;
            }
        }
        let lost = names.children.iter().find(|child| !known.contains(child));
        match lost {
            Some(lost) => Err(wrong(format!(
                "the folder's index goes on at {lost:#x} of itself, where none of its {} records is in use: a part of the folder's names cannot be read",
                known.len()
            ))),
            None => names.folder(),
        }
    }

    /// About how many bytes it has in memory.
    fn weight(&self) -> usize {
        let entries = self.0.iter();
        let names = entries.map(|entry| entry.folded.len() + entry.name.len());
        names.sum::<usize>() + self.0.len() * size_of::<Entry>()
    }

    /// Names, and whether each is a file's.
    pub(crate) fn names(&self) -> Vec<(OsString, bool)> {
        let names = self.0.iter();
        let names = names.map(|entry| (entry.name.clone(), !entry.is_folder));
        let mut names: Vec<_> = names.collect();
        names.sort_unstable();
        names
    }

    /// What has a name: as it is written, or else but for case, as Windows does.
    pub(crate) fn child(&self, name: &OsStr) -> io::Result<&Entry> {
        let name = plain(&name.to_string_lossy());
        let folded = folded(&name);
        let start = self.0.partition_point(|entry| entry.folded < folded);
        let alike = self.0[start..].iter();
        let alike = alike.take_while(|entry| entry.folded == folded);
        let exact = alike.clone().find(|entry| *entry.name == *name);
        let mut alike = exact.is_none().then_some(alike).into_iter().flatten();
        match (exact.or_else(|| alike.next()), alike.next()) {
            (Some(entry), None) => Ok(entry),
            (Some(_), Some(_)) => Err(wrong(
                "the folder has several files of this name but for case: write it as it is",
            )),
            (None, _) => Err(missing()),
        }
    }
}

impl Names {
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
            let end = at + length;
            let entry = node.get(at..end).filter(|entry| entry.len() >= 16);
            let entry = entry.ok_or_else(damaged)?;
            let flags = entry.u16(12).unwrap_or_default();
            let is_last = flags & LAST != 0;
            if flags & !(HAS_CHILD | LAST) != 0 || is_last != (end == node.len()) {
                return Err(damaged());
            }
            if flags & HAS_CHILD != 0 {
                let child = entry.len().checked_sub(8).filter(|at| *at >= 16);
                let child = child.and_then(|at| entry.u64(at));
                self.children.push(child.ok_or_else(damaged)?);
            }
            if is_last {
                return Ok(());
            }
            self.add_name(entry).ok_or_else(damaged)?;
            at = end;
        }
    }

    fn add_name(&mut self, entry: &[u8]) -> Option<()> {
        let length = usize::from(entry.u16(10)?);
        let name = FileName::of(entry.get(16..16 + length)?)?;
        let reference = Reference::of(entry.u64(0)?);
        if name.folder.number != self.folder || name.name.is_empty() {
            return None;
        }
        // The root is in itself.
        if reference.number == self.folder && name.is_root {
            return Some(());
        }
        let entry = Entry {
            folded: folded(&name.name),
            name: name.name.into(),
            reference,
            is_folder: name.is_folder,
        };
        match name.is_short {
            true => self.short.push(entry),
            false => self.entries.push(entry),
        }
        Some(())
    }

    fn folder(self) -> io::Result<Folder> {
        let (mut entries, mut short) = (self.entries, self.short);
        if !short.is_empty() {
            let known = entries.iter().map(|entry| entry.reference.number);
            let known: HashSet<_> = known.collect();
            short.retain(|entry| !known.contains(&entry.reference.number));
            entries.append(&mut short);
        }
        entries.sort_unstable_by(|a, b| (&a.folded, &a.name).cmp(&(&b.folded, &b.name)));
        // A node that is being split may have left its names in both halves.
        entries.dedup_by(|a, b| (&a.name, a.reference) == (&b.name, b.reference));
        let same = entries.windows(2).find(|pair| pair[0].name == pair[1].name);
        if let Some([one, other]) = same {
            return Err(wrong(format!(
                "the index of the folder has {} twice, for the file records {} and {}: it is damaged",
                one.name.display(),
                one.reference.number,
                other.reference.number
            )));
        }
        Ok(Folder(entries))
    }
}

/// A name of a file: a copy of it is in the index of its folder.
pub(crate) struct FileName {
    /// The folder that has it.
    pub(crate) folder: Reference,
    pub(crate) name: String,
    /// Whether it is the short form of another name.
    pub(crate) is_short: bool,
    is_folder: bool,
    is_root: bool,
}

impl FileName {
    /// Reads a name.
    pub(crate) fn of(bytes: &[u8]) -> Option<Self> {
        let units = usize::from(*bytes.get(64)?);
        let name = text(&utf16(bytes.get(66..66 + 2 * units)?));
        Some(FileName {
            folder: Reference::of(bytes.u64(0)?),
            is_short: *bytes.get(65)? == DOS,
            is_folder: bytes.u32(56)? & FOLDER != 0,
            is_root: name == ".",
            name: plain(&name),
        })
    }
}

/// The text of a name; units that are no text are kept apart from each other.
fn text(units: &[u16]) -> String {
    let units = char::decode_utf16(units.iter().copied());
    units.fold(String::new(), |mut name, unit| {
        match unit {
            Ok(letter) => name.push(letter),
            Err(alone) => name.push_str(&written(alone.unpaired_surrogate())),
        }
        name
    })
}

/// A name that a path can hold. Windows gives files no other ones, but whoever else wrote to the volume may have.
fn plain(name: &str) -> String {
    let letters = name.chars();
    let plain = letters.map(|letter| match letter {
        '/' | '\\' | ':' => written(letter as u16),
        '.' if name == "." => written(letter as u16),
        _ => letter.to_string(),
    });
    plain.collect()
}

/// A unit that stands in no name, as it is shown.
fn written(unit: u16) -> String {
    format!("\u{fffd}{unit:04x}")
}

/// A name but for case: letter by letter, as Windows does, and only letters that are each other's upper and lower case.
fn folded(name: &str) -> String {
    let fold = |letter: char| {
        let upper = only(letter.to_uppercase()).filter(|_| letter <= '\u{ffff}');
        let is_pair = |upper: &char| only(upper.to_lowercase()) == Some(letter);
        upper.filter(is_pair).unwrap_or(letter)
    };
    name.chars().map(fold).collect()
}

fn only(mut letters: impl Iterator<Item = char>) -> Option<char> {
    let first = letters.next();
    first.filter(|_| letters.next().is_none())
}
