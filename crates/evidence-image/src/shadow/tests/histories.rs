//! Volumes whose whole history is known: written, moved and copied as Windows does it, with what every copy must hold.

use super::craft::{Craft, Descriptor, STORES, Store, block_of};
use crate::shadow::blocks::{BLOCK, STEP};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// Blocks that a history touches.
const BLOCKS: u64 = 16;

#[derive(Debug, Clone)]
enum Event {
    Copy,
    Write(u64),
    Move(u64, u64),
    /// Sectors of a block of the newest copy.
    WriteToCopy(u64, u32),
}

fn event() -> impl Strategy<Value = Event> {
    let block = || 1..=BLOCKS;
    prop_oneof![
        1 => Just(Event::Copy),
        4 => block().prop_map(Event::Write),
        3 => (block(), block()).prop_map(|(from, to)| Event::Move(from, to)),
        1 => (block(), any::<u32>()).prop_map(|(block, sectors)| Event::WriteToCopy(block, sectors)),
    ]
}

/// A copy: what is in it, and what its store has saved.
#[derive(Default)]
struct Copy {
    /// Blocks in use when it was made.
    holds: BTreeMap<u64, Vec<u8>>,
    /// Blocks of these whose bytes are still in the volume, by where they are now.
    live: BTreeMap<u64, u64>,
    /// Moves that ended where they had begun.
    moved_back: BTreeSet<u64>,
    overlays: BTreeMap<u64, u64>,
    store: Store,
}

/// A volume as it comes to be.
struct History {
    craft: Craft,
    in_use: BTreeSet<u64>,
    copies: Vec<Copy>,
    /// The next block for what is saved.
    free: u64,
    /// What is written next.
    byte: u8,
}

impl History {
    fn new() -> Self {
        History {
            craft: Craft::new(),
            in_use: (1..=BLOCKS / 2).collect(),
            copies: Vec::new(),
            free: STORES,
            byte: 0x80,
        }
    }

    fn block(&self, block: u64) -> Vec<u8> {
        let at = usize::try_from(block).unwrap() * BLOCK;
        self.craft.bytes[at..at + BLOCK].to_vec()
    }

    fn has_room(&self) -> bool {
        // Each store needs a few blocks for what describes it.
        self.free + 5 * self.copies.len() as u64 + 3 < super::craft::BLOCKS
    }

    /// Before a block changes: the newest store saves what is in it, if its copy still needs that.
    fn save(&mut self, block: u64) {
        let bytes = self.block(block);
        let Some(copy) = self.copies.last_mut() else {
            return;
        };
        if copy.live.remove(&block).is_some() {
            let saved = Descriptor::saved(block, self.free);
            copy.store.descriptors.push(saved);
            self.craft.put(self.free * STEP, &bytes);
            self.free += 1;
        }
    }

    fn play(&mut self, event: &Event) {
        match *event {
            Event::Copy => self.copy(),
            Event::Write(block) => {
                self.save(block);
                self.byte = self.byte.wrapping_add(1);
                self.craft.fill(block, self.byte);
                self.in_use.insert(block);
            }
            Event::Move(from, to) => self.move_block(from, to),
            Event::WriteToCopy(block, sectors) => self.write_to_copy(block, sectors),
        }
    }

    fn copy(&mut self) {
        let blocks = 1..=BLOCKS;
        let unused = blocks.filter(|block| !self.in_use.contains(block));
        let store = Store {
            created: self.copies.len() as u64,
            unused: unused.collect(),
            ..Store::default()
        };
        let holds = self.in_use.iter().map(|block| (*block, self.block(*block)));
        self.copies.push(Copy {
            holds: holds.collect(),
            live: self.in_use.iter().map(|block| (*block, *block)).collect(),
            store,
            ..Copy::default()
        });
    }

    /// Moves a block that is in use to one that is not, and leaves the old bytes behind.
    fn move_block(&mut self, from: u64, to: u64) {
        if !self.in_use.contains(&from) || self.in_use.contains(&to) {
            return;
        }
        let bytes = self.block(from);
        self.in_use.remove(&from);
        self.in_use.insert(to);
        if let Some(copy) = self.copies.last_mut()
            && let Some(original) = copy.live.remove(&from)
        {
            copy.live.insert(to, original);
            copy.store.descriptors.push(Descriptor::moved(from, to));
            match to == original {
                true => copy.moved_back.insert(original),
                false => copy.moved_back.remove(&original),
            };
        }
        self.craft.put(to * STEP, &bytes);
    }

    fn write_to_copy(&mut self, block: u64, sectors: u32) {
        self.byte = self.byte.wrapping_add(1);
        let Some(copy) = self.copies.last_mut() else {
            return;
        };
        let Some(bytes) = copy.holds.get_mut(&block) else {
            return;
        };
        let known = copy.overlays.get(&block).copied();
        let place = known.unwrap_or(self.free);
        if known.is_none() {
            self.free += 1;
            copy.overlays.insert(block, place);
        }
        let mut overlay = Descriptor::overlay(block, place, sectors);
        if known.is_some() {
            overlay.relative = 1;
        }
        copy.store.descriptors.push(overlay);
        for sector in (0..32).filter(|sector| sectors & (1 << sector) != 0) {
            let at = sector * 512;
            bytes[at..at + 512].fill(self.byte);
            self.craft.put(place * STEP + at as u64, &[self.byte; 512]);
        }
    }

    /// Holds what is read of every copy against what it must be.
    fn check(mut self) {
        for copy in &self.copies {
            self.craft.store(&copy.store);
        }
        if self.copies.is_empty() {
            return;
        }
        let read = self.craft.copies();
        for (index, copy) in self.copies.iter().enumerate() {
            for (block, bytes) in &copy.holds {
                let moved_back = |copy: &Copy| !copy.moved_back.is_empty();
                match block_of(&read, index, *block) {
                    Ok(found) => assert!(found == *bytes, "copy {index}, block {block}"),
                    Err(error) => {
                        let may_fail = self.copies[index..].iter().any(moved_back);
                        assert!(may_fail, "copy {index}, block {block}: {error}");
                    }
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn every_copy_holds_what_the_volume_held(events in prop::collection::vec(event(), 1..60)) {
        let mut history = History::new();
        for event in &events {
            if !history.has_room() {
                break;
            }
            history.play(event);
        }
        history.check();
    }
}
