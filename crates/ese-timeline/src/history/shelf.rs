//! Things by their keys: those that were used last in memory, the others in a temporary file.

use super::spool::Parser;
use crate::spill::{Place, Spill};
use rustc_hash::FxHashMap;
use std::hash::Hash;
use std::io;

/// What can be put into a file and taken out again.
pub(super) trait Kept: Sized {
    /// About how much memory it takes.
    fn weight(&self) -> usize;

    /// Adds its bytes.
    fn write(&self, bytes: &mut Vec<u8>);

    /// Reads what was written.
    fn read(bytes: &mut Parser<'_>) -> Option<Self>;
}

struct Hot<V> {
    value: V,
    weight: usize,
    used: u64,
}

/// Things by their keys.
pub(super) struct Shelf<K, V> {
    hot: FxHashMap<K, Hot<V>>,
    cold: FxHashMap<K, Place>,
    file: Spill,
    weight: usize,
    limit: usize,
    clock: u64,
}

impl<K: Hash + Eq + Copy + Ord, V: Kept> Shelf<K, V> {
    /// A shelf that keeps about `limit` bytes in memory.
    pub(super) fn new(limit: usize) -> Self {
        Shelf {
            hot: FxHashMap::default(),
            cold: FxHashMap::default(),
            file: Spill::default(),
            weight: 0,
            limit,
            clock: 0,
        }
    }

    /// Puts a thing in place of what had its key.
    pub(super) fn put(&mut self, key: K, value: V) -> io::Result<()> {
        self.clock += 1;
        let weight = value.weight();
        self.weight += weight;
        let used = self.clock;
        let hot = Hot {
            value,
            weight,
            used,
        };
        if let Some(old) = self.hot.insert(key, hot) {
            self.weight -= old.weight;
        }
        self.cold.remove(&key);
        match self.weight > self.limit {
            true => self.make_room(),
            false => Ok(()),
        }
    }

    /// Takes a thing out.
    pub(super) fn take(&mut self, key: K) -> io::Result<Option<V>> {
        if let Some(hot) = self.hot.remove(&key) {
            self.weight -= hot.weight;
            return Ok(Some(hot.value));
        }
        let Some(place) = self.cold.remove(&key) else {
            return Ok(None);
        };
        let bytes = self.file.get(place)?;
        let value = V::read(&mut Parser::new(&bytes));
        value.map(Some).ok_or(io::ErrorKind::InvalidData.into())
    }

    /// Lets go of what has keys that are not wanted.
    pub(super) fn retain(&mut self, wanted: impl Fn(&K) -> bool) {
        self.cold.retain(|key, _| wanted(key));
        self.hot.retain(|key, _| wanted(key));
        self.weight = self.hot.values().map(|hot| hot.weight).sum();
    }

    /// Puts the half that was not used for longest into the file.
    fn make_room(&mut self) -> io::Result<()> {
        let mut ages: Vec<(u64, K)> = self.hot.iter().map(|(key, hot)| (hot.used, *key)).collect();
        ages.sort_unstable();
        let mut bytes = Vec::new();
        let mut parts = Vec::with_capacity(ages.len() / 2);
        for (_, key) in &ages[..ages.len() / 2] {
            let Some(hot) = self.hot.remove(key) else {
                continue;
            };
            self.weight -= hot.weight;
            let from = bytes.len();
            hot.value.write(&mut bytes);
            parts.push((*key, from..bytes.len()));
        }
        let place = self.file.put(&bytes)?;
        let parts = parts.into_iter().map(|(key, part)| (key, place.part(part)));
        self.cold.extend(parts);
        let used: usize = self.cold.values().map(|place| place.length).sum();
        match self.file.length() > 4 * (used + self.limit) as u64 {
            true => self.tidy(),
            false => Ok(()),
        }
    }

    /// Begins a new file, without what was taken out.
    fn tidy(&mut self) -> io::Result<()> {
        let mut tidy = Spill::default();
        for place in self.cold.values_mut() {
            *place = tidy.put(&self.file.get(*place)?)?;
        }
        self.file = tidy;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::masked::Masked;

    impl Kept for Masked {
        fn weight(&self) -> usize {
            self.bytes().len()
        }

        fn write(&self, bytes: &mut Vec<u8>) {
            super::super::spool::push_masked(bytes, Some(self));
        }

        fn read(bytes: &mut Parser<'_>) -> Option<Self> {
            bytes.masked()?
        }
    }

    #[test]
    fn what_was_put_is_there_whatever_the_room() {
        let mut shelf = Shelf::new(1000);
        for round in 0..30 {
            for key in 0..100u32 {
                shelf
                    .put(key, Masked::of_length(key as usize + round))
                    .unwrap();
            }
            assert!(shelf.weight <= 1000 && shelf.cold.len() > 80);
            assert!(shelf.file.length() < 100_000);
        }
        shelf.retain(|key| *key != 7);
        for key in 0..100u32 {
            let found = shelf.take(key).unwrap();
            let expected = (key != 7).then(|| Masked::of_length(key as usize + 29));
            assert_eq!(found, expected);
        }
        assert!(shelf.take(5).unwrap().is_none());
    }
}
