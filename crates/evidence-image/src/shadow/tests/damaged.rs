//! Damage: what cannot be right is an error that says what and where, and nothing hangs or panics.

use super::craft::{
    BLOCKS, Craft, Descriptor, FORWARDER, Memory, OVERLAY, Store, block_of, byte_of, copies_of,
    entry,
};
use crate::shadow::ShadowCopies;
use crate::shadow::blocks::{BLOCK, STEP};
use evidence::{ReadError, ReadErrorKind, SourceFile, Stamp};
use proptest::prelude::*;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A volume in which other bytes stand at some places.
#[derive(Debug)]
pub(super) struct Flipped {
    pub(super) volume: Arc<dyn SourceFile>,
    pub(super) flips: Vec<(u64, u8)>,
}

impl SourceFile for Flipped {
    fn name(&self) -> String {
        self.volume.name()
    }

    fn stamp(&self) -> Stamp {
        self.volume.stamp()
    }

    fn stamp_now(&self) -> io::Result<Stamp> {
        self.volume.stamp_now()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let read = self.volume.read_at(buffer, offset)?;
        for (at, byte) in &self.flips {
            let within = at.checked_sub(offset).map(usize::try_from);
            if let Some(Ok(within)) = within
                && within < read
            {
                buffer[within] ^= byte;
            }
        }
        Ok(read)
    }
}

/// Reads these places of all that can be read.
pub(super) fn read_all(volume: Arc<dyn SourceFile>, offsets: &[u64]) {
    let Ok(Some(copies)) = ShadowCopies::of(volume) else {
        return;
    };
    for index in 0..copies.copies().len() {
        let Ok(file) = copies.open(index) else {
            continue;
        };
        let mut buffer = vec![0; 3 * BLOCK];
        for offset in offsets {
            let _ = file.read_at(&mut buffer, *offset);
        }
    }
}

/// Two copies with something of everything; structures from block 100 on.
fn volume() -> Craft {
    let mut craft = Craft::new();
    craft.store(&Store {
        created: 1,
        descriptors: vec![
            Descriptor::saved(5, 70),
            Descriptor::moved(6, 20),
            Descriptor::overlay(7, 71, 0xf0),
            Descriptor::moved(8, 21),
            Descriptor::moved(21, 8),
        ],
        unused: vec![20, 21, 22],
        ..Store::default()
    });
    craft.store(&Store {
        created: 2,
        descriptors: vec![
            Descriptor::saved(20, 72),
            Descriptor::moved(9, 22),
            Descriptor::saved(22, 73),
            Descriptor::overlay(5, 74, 1),
        ],
        unused: vec![23, 24],
        unused_before: Some(vec![20, 24]),
        ..Store::default()
    });
    craft
}

/// What is said when a block of a copy is read.
fn error_of(copies: &ShadowCopies, index: usize, block: u64) -> String {
    block_of(copies, index, block).unwrap_err().to_string()
}

/// What is said when the copies of a volume are looked for.
fn refusal(bytes: Vec<u8>) -> String {
    copies_of(bytes).unwrap_err().to_string()
}

/// Where chains of this kind begin.
fn blocks_of(bytes: &[u8], kind: u8) -> Vec<usize> {
    let blocks = (64 * BLOCK..bytes.len()).step_by(BLOCK);
    let found = blocks.filter(|at| {
        bytes[*at..].starts_with(&crate::shadow::blocks::IDENTIFIER) && bytes[at + 20] == kind
    });
    found.collect()
}

fn set(bytes: &mut [u8], at: usize, value: u64) {
    bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn flipped_bytes_are_read_or_refused(
        flips in prop::collection::vec((0..13_u64, 0..400_u64, 1..=255_u8), 1..5)
    ) {
        let bytes = volume().bytes();
        let structures: Vec<_> = (2..=6)
            .flat_map(|kind| blocks_of(&bytes, kind))
            .map(|at| at as u64)
            .chain([0x1e00])
            .collect();
        let flips = flips.into_iter().map(|(structure, at, byte)| {
            let structure = usize::try_from(structure).unwrap() % structures.len();
            (structures[structure] + at, byte)
        });
        let volume = Arc::new(Flipped { volume: Arc::new(Memory(bytes)), flips: flips.collect() });
        let offsets: Vec<_> = (0..BLOCKS).step_by(3).map(|block| block * STEP).collect();
        read_all(volume, &offsets);
    }
}

#[test]
fn a_chain_without_an_end_is_refused() {
    let bytes = volume().bytes();
    for kind in [2, 3, 6] {
        for at in blocks_of(&bytes, kind) {
            let mut bytes = bytes.clone();
            set(&mut bytes, at + 40, at as u64);
            let error = match copies_of(bytes) {
                Err(error) => error.to_string(),
                Ok(copies) => {
                    let copies = copies.unwrap();
                    (0..2)
                        .find_map(|index| block_of(&copies, index, 30).err())
                        .map_or_else(String::new, |error| error.to_string())
                }
            };
            // The bitmap of a copy that is not the newest is never read.
            let is_read = kind != 6 || Some(&at) != blocks_of(&volume().bytes(), 6).last();
            assert_eq!(error.contains("without an end"), is_read, "{kind} {error}");
        }
    }
}

#[test]
fn what_a_chain_leads_to_must_be_a_block_of_it() {
    let past = BLOCKS * STEP - 100;
    for (value, why) in [
        (
            past,
            "16384 bytes should be at offset 0x1fff9c of the volume, 100 are there",
        ),
        (u64::MAX, "0xffffffffffffffff of the volume, 0 are there"),
        (30 * STEP, "something else is there"),
    ] {
        let mut bytes = volume().bytes();
        let lists = blocks_of(&bytes, 3);
        // Structures were put from the end on: the first is of the newest.
        set(&mut bytes, lists[0] + 40, value);
        let copies = copies_of(bytes).unwrap().unwrap();
        for index in [0, 1] {
            let error = error_of(&copies, index, 30);
            assert!(error.contains(why), "{error}");
            assert!(error.contains("shadow copy 2: the block list"), "{error}");
        }
    }
}

#[test]
fn headers_are_held_against_what_they_must_say() {
    for (field, why) in [
        (0, "something else is there"),
        (20, "something else is there"),
        (32, "something else is there"),
        (16, "only 1 is known"),
    ] {
        let mut bytes = volume().bytes();
        let catalog = blocks_of(&bytes, 2)[0];
        bytes[catalog + field] ^= 0x40;
        let error = refusal(bytes);
        assert!(error.contains(why), "{field} {error}");
    }
    for field in [16, 20] {
        let mut bytes = volume().bytes();
        bytes[0x1e00 + field] ^= 0x40;
        assert!(refusal(bytes).contains("volume header"));
    }
    let mut bytes = volume().bytes();
    bytes[0x1e00] ^= 0x40;
    assert!(refusal(bytes).contains("has not the identifier"));
}

#[test]
fn a_list_is_of_one_copy_and_has_no_more_blocks_than_the_volume() {
    // The list of the older copy goes on in that of the newer one.
    let mut bytes = volume().bytes();
    let lists = blocks_of(&bytes, 3);
    set(&mut bytes, lists[1] + 40, lists[0] as u64);
    let copies = copies_of(bytes).unwrap().unwrap();
    let error = error_of(&copies, 0, 30);
    assert!(error.contains("which is in that of shadow copy"), "{error}");
    let mut craft = Craft::new();
    craft.store(&Store {
        descriptors: (0..=BLOCKS)
            .map(|block| Descriptor::saved(block, 70))
            .collect(),
        size: 2 * BLOCKS * STEP,
        ..Store::default()
    });
    let error = error_of(&craft.copies(), 0, 30);
    assert!(error.contains("says where 129 blocks are"), "{error}");
}

#[test]
fn a_damaged_store_header_cuts_off_its_copy_and_older_ones() {
    let bytes = volume().bytes();
    let headers = blocks_of(&bytes, 4);
    for (header, damaged) in [(headers[0], 1), (headers[1], 0)] {
        // The first two bytes of a name are its length.
        for field in [0, 16, 20, 32, 128 + 65] {
            let mut bytes = bytes.clone();
            bytes[header + field] ^= 0x80;
            let copies = copies_of(bytes).unwrap().unwrap();
            for (index, copy) in copies.copies().iter().enumerate() {
                assert_eq!(copy.problem.is_some(), index == damaged);
                assert_eq!(copies.open(index).is_ok(), index > damaged);
            }
            let error = copies.open(0).unwrap_err().to_string();
            let of = format!("shadow copy {}: ", damaged + 1);
            assert!(error.starts_with(&of), "{error}");
        }
    }
}

#[test]
fn a_catalog_that_does_not_tell_the_order_is_not_used() {
    let opened = |craft: Craft| {
        let copies = craft.copies();
        copies.open(0).unwrap_err().to_string()
    };
    let mut craft = volume();
    craft.entries().remove(0);
    assert!(opened(craft).contains("not when that was created"));
    let mut craft = volume();
    craft.entries().pop();
    assert!(opened(craft).contains("does not say where its store is"));
    let mut craft = volume();
    let twice = craft.entries()[3].clone();
    craft.entries().push(twice);
    assert!(opened(craft).contains("twice"));
    let mut craft = volume();
    let time = craft.entries()[0][48..56].to_vec();
    craft.entries()[2][48..56].copy_from_slice(&time);
    assert!(opened(craft).contains("at the same time"));
    let mut craft = volume();
    let list = craft.entries()[1][8..16].to_vec();
    craft.entries()[3][8..16].copy_from_slice(&list);
    assert!(opened(craft).contains("the same block list"));
    let mut craft = volume();
    craft.entries().remove(2);
    craft.entries().remove(0);
    assert!(refusal(craft.bytes()).contains("not when that was created"));
    let mut craft = volume();
    craft.entries().push(entry(4, 0, [0; 16], &[]));
    let error = refusal(craft.bytes());
    assert!(error.contains("type 0x4 at offset 0x"), "{error}");
    let mut craft = volume();
    craft.entries()[0][48..56].fill(0xff);
    assert!(refusal(craft.bytes()).contains("not a time"));
    let mut craft = volume();
    craft.entries()[0][8..16].fill(0);
    assert!(opened(craft).contains("0 bytes"));
    let mut craft = Craft::new();
    for number in 0..513_u64 {
        let time = [(48, number)];
        craft.entries().push(entry(2, 1, [0; 16], &time));
    }
    assert!(refusal(craft.bytes()).contains("more than 512"));
}

#[test]
fn lists_and_bitmaps_must_be_there() {
    for (field, why) in [
        (8, "block list"),
        (48, "bitmap of the shadow copy ends at block 0"),
    ] {
        let mut craft = volume();
        craft.entries()[1][field..field + 8].fill(0);
        let error = error_of(&craft.copies(), 1, 30);
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn descriptors_are_held_against_what_they_may_say() {
    let saved = Descriptor::saved(5, 70);
    for (descriptor, why) in [
        (
            Descriptor {
                original: 5 * STEP + 1,
                ..saved
            },
            "not the start of a block",
        ),
        (
            Descriptor {
                original: BLOCKS * STEP,
                ..saved
            },
            "the volume had 0x200000 bytes",
        ),
        (
            Descriptor {
                flags: FORWARDER,
                relative: 1,
                store: 0,
                ..saved
            },
            "not the start of a block",
        ),
        (
            Descriptor {
                flags: FORWARDER,
                relative: 6 * STEP,
                ..saved
            },
            "is a forwarder, and of what is saved",
        ),
        (
            Descriptor {
                flags: FORWARDER | OVERLAY,
                ..saved
            },
            "both a forwarder and an overlay",
        ),
    ] {
        let mut craft = Craft::new();
        craft.store(&Store {
            descriptors: vec![saved, descriptor],
            ..Store::default()
        });
        let error = error_of(&craft.copies(), 0, 30);
        assert!(error.contains(why), "{error}");
        assert!(error.contains("the descriptor at offset 0x"), "{error}");
    }
}

#[test]
fn a_block_that_is_said_to_be_past_the_end_is_not_read() {
    let mut craft = Craft::new();
    let places = [BLOCKS * STEP - 512, BLOCKS * STEP, u64::MAX];
    let descriptors = (5..).zip(places).map(|(block, store)| Descriptor {
        store,
        ..Descriptor::saved(block, 0)
    });
    let moved = Descriptor::moved(8, 1 << 49);
    craft.store(&Store {
        descriptors: descriptors.chain([moved]).collect(),
        ..Store::default()
    });
    let copies = craft.copies();
    for block in 5..=8 {
        let error = error_of(&copies, 0, block);
        let at = format!("offset {:#x} of memory (shadow copy 1): ", block * STEP);
        assert!(error.starts_with(&at), "{error}");
        assert!(error.contains("16384 bytes should be at offset"), "{error}");
    }
    assert_eq!(byte_of(&copies, 0, 9), 9);
}

/// A volume whose reads fail from some number on, until told otherwise.
#[derive(Debug)]
struct Failing {
    volume: Memory,
    left: AtomicUsize,
}

impl SourceFile for Failing {
    fn name(&self) -> String {
        self.volume.name()
    }

    fn stamp(&self) -> Stamp {
        self.volume.stamp()
    }

    fn stamp_now(&self) -> io::Result<Stamp> {
        self.volume.stamp_now()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let left = self.left.load(Ordering::Relaxed);
        self.left.store(left.saturating_sub(1), Ordering::Relaxed);
        match left {
            0 => Err(io::ErrorKind::TimedOut.into()),
            _ => self.volume.read_at(buffer, offset),
        }
    }
}

#[test]
fn a_read_that_may_succeed_later_is_no_damage() {
    let bytes = volume().bytes();
    let mut succeeded = 0;
    for reads in 0..12 {
        let volume = Arc::new(Failing {
            volume: Memory(bytes.clone()),
            left: AtomicUsize::new(reads),
        });
        let copies = match ShadowCopies::of(Arc::clone(&volume) as Arc<dyn SourceFile>) {
            Ok(copies) => copies.unwrap(),
            Err(error) => {
                assert_eq!(ReadError::from_io(&error).kind, ReadErrorKind::Passing);
                continue;
            }
        };
        assert!(copies.copies().iter().all(|copy| copy.problem.is_none()));
        let file = copies.open(1).unwrap();
        let mut block = [0; BLOCK];
        if let Err(error) = file.read_exact_at(&mut block, 20 * STEP) {
            assert_eq!(ReadError::from_io(&error).kind, ReadErrorKind::Passing);
            volume.left.store(usize::MAX, Ordering::Relaxed);
            file.read_exact_at(&mut block, 20 * STEP).unwrap();
            succeeded += 1;
        }
        assert_eq!(block, [72; BLOCK]);
    }
    assert!(succeeded > 2);
}
