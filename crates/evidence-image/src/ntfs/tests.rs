//! Crafted indexes, and a small volume that is damaged.

use super::attribute::{kind, utf16};
use super::boot::Boot;
use super::folder::{Folder, Index, folders};
use super::record::whole;
use super::runs;
use super::{Found, NtfsVolume};
use crate::numbers::{u16_at, u32_at};
use crate::shadow::tests::craft::Memory;
use evidence::SourceFile;
use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

/// The record of the folder whose index is crafted.
const FOLDER: u64 = 70;
const WIN32: u8 = 1;
const DOS: u8 = 2;
/// Bytes of an index record.
const SIZE: usize = 4096;

/// An entry of an index.
fn entry(record: u64, folder: u64, name: &str, space: u8, child: Option<u64>) -> Vec<u8> {
    let units: Vec<_> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut key = vec![0; 66];
    key[..8].copy_from_slice(&folder.to_le_bytes());
    key[64..].copy_from_slice(&[(units.len() / 2) as u8, space]);
    key.extend(units);
    let mut entry = vec![0; 16];
    entry[..8].copy_from_slice(&record.to_le_bytes());
    entry[10..12].copy_from_slice(&(key.len() as u16).to_le_bytes());
    entry.extend(key);
    sealed(entry, 0, child)
}

/// The entry that ends a node.
fn last(child: Option<u64>) -> Vec<u8> {
    sealed(vec![0; 16], 2, child)
}

fn sealed(mut entry: Vec<u8>, flags: u8, child: Option<u64>) -> Vec<u8> {
    entry.resize(entry.len().next_multiple_of(8), 0);
    entry.extend(child.iter().flat_map(|child| child.to_le_bytes()));
    let length = entry.len() as u16;
    entry[8..10].copy_from_slice(&length.to_le_bytes());
    entry[12] = flags | u8::from(child.is_some());
    entry
}

/// A node, with its entries `at` bytes after its header.
fn node(at: usize, entries: &[Vec<u8>]) -> Vec<u8> {
    let mut node = vec![0; at];
    node.extend(entries.concat());
    let end = node.len() as u32;
    node[..4].copy_from_slice(&(at as u32).to_le_bytes());
    node[4..8].copy_from_slice(&end.to_le_bytes());
    node
}

/// A node in a record of its own.
fn record(number: u64, entries: &[Vec<u8>]) -> Vec<u8> {
    let mut record = b"INDX\x28\0\x09\0".to_vec();
    record.resize(24, 0);
    record[16..24].copy_from_slice(&number.to_le_bytes());
    record.extend(node(40, entries));
    record.resize(SIZE, 0);
    record
}

fn index(root: &[Vec<u8>], records: &[Vec<u8>]) -> Index {
    Index {
        root: [vec![0; 16], node(16, root)].concat(),
        allocation: records.concat(),
        bitmap: vec![(1 << records.len()) - 1],
        size: SIZE,
        step: SIZE as u64,
    }
}

/// Three files in the root and in two records.
fn three() -> Index {
    let file = |record, name, child| entry(record, FOLDER, name, WIN32, child);
    let root = [file(91, "b", Some(0)), last(Some(1))];
    let nodes = [
        [file(90, "a", None), last(None)],
        [file(92, "c", None), last(None)],
    ];
    index(&root, &[record(0, &nodes[0]), record(1, &nodes[1])])
}

fn names(index: Index) -> io::Result<Vec<String>> {
    let names = Folder::of(FOLDER, index)?.names().into_iter();
    Ok(names.map(|(name, _)| name.into_string().unwrap()).collect())
}

#[test]
fn a_part_of_an_index_that_is_not_read_is_an_error() {
    assert_eq!(names(three()).unwrap(), ["a", "b", "c"]);
    type Damage = fn(&mut Index);
    // The first entry of a record is at 64 of it, and that of the root at 32.
    let damages: [(Damage, &str); 9] = [
        (
            |index| index.allocation.truncate(SIZE + 8),
            "has 4104 bytes",
        ),
        (
            |index| index.bitmap[0] = 1,
            "none of its 1 records is in use",
        ),
        (
            |index| index.bitmap.clear(),
            "none of its 0 records is in use",
        ),
        (
            |index| index.allocation.clear(),
            "none of its 0 records is in use",
        ),
        // The first entry of the root, and of a record, as if it were the last; a flag that nothing has.
        (
            |index| index.root[32 + 12] |= 2,
            "the root of the folder's index is damaged",
        ),
        (
            |index| index.allocation[64 + 12] |= 2,
            "index record 0 of the folder is damaged",
        ),
        (
            |index| index.allocation[64 + 12] |= 4,
            "index record 0 of the folder is damaged",
        ),
        (|index| index.allocation[16] = 1, "says 0x1"),
        // The folder of the name.
        (
            |index| index.allocation[64 + 16] = 5,
            "index record 0 of the folder is damaged",
        ),
    ];
    for (damage, said) in damages {
        let mut index = three();
        damage(&mut index);
        let error = names(index).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn no_name_hides_another_one() {
    let here = |record, name, space| entry(record, FOLDER, name, space, None);
    let folder = |entries: &[Vec<u8>]| {
        let entries = [entries, &[last(None)]].concat();
        Folder::of(FOLDER, index(&entries, &[]))
    };
    let found = |folder: &Folder, name: &str| {
        let found = folder.child(OsStr::new(name));
        found.map(|entry| entry.reference.number)
    };
    let twice = folder(&[here(90, "a", WIN32), here(91, "a", WIN32)]);
    let error = twice.unwrap_err().to_string();
    assert!(
        error.contains("a twice, for the file records 90 and 91"),
        "{error}"
    );

    // A short name counts where its file has no other one.
    let short = folder(&[
        here(90, "LONG~1", DOS),
        here(90, "long name", WIN32),
        here(91, "X~1", DOS),
    ]);
    let short = short.unwrap();
    let names: Vec<_> = short.names().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["X~1", "long name"]);

    // Letters are alike one by one, as they are for Windows.
    let alike = folder(&[
        here(90, "Straße", WIN32),
        here(91, "ſystem", WIN32),
        here(92, "Ärger", WIN32),
        here(93, "both", WIN32),
        here(94, "Both", WIN32),
    ]);
    let alike = alike.unwrap();
    assert_eq!(found(&alike, "STRAßE").unwrap(), 90);
    assert_eq!(found(&alike, "äRGER").unwrap(), 92);
    assert_eq!(found(&alike, "Both").unwrap(), 94);
    for (name, why) in [
        ("STRASSE", "nothing of this name"),
        ("System", "nothing of this name"),
        ("BOTH", "several files of this name"),
    ] {
        let error = found(&alike, name).unwrap_err().to_string();
        assert!(error.contains(why), "{name}: {error}");
    }

    // What has another meaning in a path is written as its number.
    let odd = folder(&[
        here(90, "p1:x", 0),
        here(91, "a\\b", 0),
        here(92, ".", 0),
        here(93, "a/b", 0),
    ]);
    let odd = odd.unwrap();
    for (name, _) in odd.names() {
        let name = name.to_str().unwrap();
        assert!(!name.contains(['/', '\\', ':']) && name != ".", "{name}");
        found(&odd, name).unwrap();
    }
    assert_eq!(found(&odd, "p1:x").unwrap(), 90);
}

/// The small volume that is shipped.
struct Craft {
    bytes: Vec<u8>,
    boot: Boot,
}

impl Craft {
    fn new() -> Self {
        let packed =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/images/small.raw.zst");
        let packed = std::fs::read(packed).unwrap();
        let mut bytes = Vec::new();
        let unpacked = ruzstd::decoding::StreamingDecoder::new(&packed[..]);
        unpacked.unwrap().read_to_end(&mut bytes).unwrap();
        let boot = Boot::of(&bytes[..512]).unwrap();
        Craft { bytes, boot }
    }

    /// Where a file record is; those of this volume lie one after the other.
    fn place(&self, number: usize) -> usize {
        (self.boot.mft * self.boot.cluster) as usize + number * self.boot.record
    }

    /// A file record, whole.
    fn record(&self, number: usize) -> Vec<u8> {
        let mut record = self.bytes[self.place(number)..][..self.boot.record].to_vec();
        match whole(&mut record, b"FILE", "it") {
            Ok(()) => record,
            Err(_) => Vec::new(),
        }
    }

    /// The number of a file record of this name.
    fn number(&self, name: &str) -> usize {
        let name: Vec<_> = name.encode_utf16().collect();
        let has_name = |number: &usize| {
            let record = self.record(*number);
            attributes(&record).iter().any(|(at, found)| {
                let units = at + 24 + 66;
                *found == kind::FILE_NAME
                    && utf16(&record[units..units + 2 * name.len()]) == name
                    && usize::from(record[units - 2]) == name.len()
            })
        };
        (16..140).find(has_name).unwrap()
    }

    /// Where the entry of a name is in the index that has it, which is one of those that fit into a record.
    fn entry(&self, name: &str) -> usize {
        let units: Vec<_> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let reference = self.number(name) as u32;
        let is_entry = |at: &usize| {
            self.bytes[at + 82..].starts_with(&units) && u32_at(&self.bytes, *at) == reference
        };
        (0..self.bytes.len() - 1024)
            .step_by(8)
            .find(is_entry)
            .unwrap()
    }

    /// Where the first bytes of a compressed file are.
    fn packed(&self) -> usize {
        let lcn = (16..140).rev().find_map(|number| {
            let record = self.record(number);
            let is_packed = |at: usize| record[at + 8] == 1 && record[at + 12] == 1;
            let found = attributes(&record).into_iter();
            let (at, _) = found
                .filter(|found| found.1 == kind::DATA)
                .find(|found| is_packed(found.0))?;
            let runs = &record[at + usize::from(u16_at(&record, at + 32))..];
            runs::read(runs, 0, &self.boot).unwrap()[0].lcn
        });
        (lcn.unwrap() * self.boot.cluster) as usize
    }

    fn look(&self, path: &str) -> io::Result<Found> {
        let bytes: Arc<dyn SourceFile> = Arc::new(Memory(self.bytes.clone()));
        let volume = NtfsVolume::of(bytes, (0, 0), Arc::new(folders()))?;
        let path: Vec<OsString> = path.split_terminator('/').map(OsString::from).collect();
        volume.find(&path, Path::new("it"))
    }

    fn error(&self, path: &str) -> String {
        match self.look(path) {
            Err(error) => error.to_string(),
            Ok(Found::File(file)) => {
                let mut bytes = vec![0; file.stamp().length as usize];
                file.read_at(&mut bytes, 0).unwrap_err().to_string()
            }
            Ok(found) => panic!("{found:?}"),
        }
    }
}

/// Where the attributes of a record are, and their kinds.
fn attributes(record: &[u8]) -> Vec<(usize, u32)> {
    let mut found = Vec::new();
    let mut at = record.get(20).map_or(0, |at| usize::from(*at));
    while !record.is_empty() && u32_at(record, at) != u32::MAX {
        found.push((at, u32_at(record, at)));
        at += u32_at(record, at + 4) as usize;
    }
    found
}

#[test]
fn sizes_that_no_volume_has_are_refused() {
    let mut sector = Craft::new().bytes[..512].to_vec();
    sector[40..48].copy_from_slice(&(1_u64 << 62).to_le_bytes());
    assert!(Boot::of(&sector).is_err());
}

#[test]
fn records_and_folders_are_what_they_say_themselves() {
    let sound = Craft::new();
    assert!(matches!(
        sound.look("packed/db.edb").unwrap(),
        Found::File(_)
    ));

    let said = sound.error(&"a/".repeat(1001));
    assert!(said.contains("it lies in 1000 folders"), "{said}");

    // The record of a file in the place of another one.
    let mut other = Craft::new();
    let name = |number| format!("a file with a name of some length, number {number}");
    let [from, to] = [7, 8].map(|number| other.place(other.number(&name(number))));
    let copy = other.bytes[from..from + other.boot.record].to_vec();
    other.bytes[to..to + copy.len()].copy_from_slice(&copy);
    let said = other.error(&format!("many/{}", name(8)));
    assert!(said.contains("says that it is file record"), "{said}");

    // What is packed begins with zeros: a unit that has a place and holds nothing.
    let mut empty = Craft::new();
    let first = empty.packed();
    empty.bytes[first..first + empty.boot.cluster as usize].fill(0);
    let said = empty.error("packed/db.edb");
    assert!(said.contains("there is nothing to unpack"), "{said}");

    // A folder that leads to the root, and one that leads to another one.
    for to in [5, sound.number("links") as u32] {
        let mut circle = Craft::new();
        let at = circle.entry("packed");
        let sequence = match to {
            5 => 5,
            _ => u16_at(&circle.bytes, circle.place(to as usize) + 16),
        };
        circle.bytes[at..at + 4].copy_from_slice(&to.to_le_bytes());
        circle.bytes[at + 6..at + 8].copy_from_slice(&sequence.to_le_bytes());
        let said = circle.error("packed");
        assert!(
            said.contains("does not say that it has this name"),
            "{said}"
        );
    }
}
