//! States of one database: that of a volume today, and those of its shadow copies.
//!
//! A row that several states have is written once, by the newest of them, with the times between which it was there. So each
//! state's part has the rows that no newer state has: that of today has all of its own, and the others what is gone since.

use crate::find::FoundDatabase;
use ese_export::{RowDigest, SeenBetween, SeenRows};
use jiff::Timestamp;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

/// Memory for what is known of a row, with room to spare in the map.
const ROW_BYTES: usize = 64;

/// The states of one database.
#[derive(Debug)]
pub(super) struct States {
    /// Databases by their numbers in the search, the oldest first.
    pub(super) members: Vec<usize>,
    /// When each was there; none for that of today.
    pub(super) times: Vec<Option<Timestamp>>,
    /// What was found out once, for all.
    pub(super) known: Mutex<Option<Arc<KnownRows>>>,
}

/// Which states have which rows.
#[derive(Debug, Default)]
pub(super) struct KnownRows {
    /// The first and the last state of each row.
    rows: HashMap<RowDigest, (u16, u16)>,
    /// Which state writes the rows of each: itself, unless it equals another one, byte for byte.
    pub(super) writers: Vec<u16>,
    /// Whether there were more rows than there is memory for.
    pub(super) is_full: bool,
}

impl KnownRows {
    /// Notes which rows a state has; states come the oldest first.
    pub(super) fn add(&mut self, state: u16, rows: Vec<RowDigest>, memory: usize) {
        for row in rows {
            self.rows.entry(row).or_insert((state, state)).1 = state;
            if self.is_full || self.rows.len() > memory / ROW_BYTES {
                self.is_full = true;
                self.rows = HashMap::new();
                return;
            }
        }
    }
}

/// The rows of one state.
#[derive(Debug)]
pub(super) struct StateRows {
    pub(super) known: Arc<KnownRows>,
    pub(super) own: u16,
    pub(super) times: Vec<Option<Timestamp>>,
}

impl SeenRows for StateRows {
    fn seen(&self, row: RowDigest) -> Option<SeenBetween> {
        let own = (self.own, self.own);
        let (first, last) = self.known.rows.get(&row).copied().unwrap_or(own);
        let time = |state: u16| self.times.get(usize::from(state)).copied().flatten();
        let writer = self.known.writers.get(usize::from(last)).copied();
        (writer.unwrap_or(last) == self.own).then(|| SeenBetween {
            first: time(first),
            last: time(last),
        })
    }
}

/// All databases of which there are several states.
#[derive(Debug, Default)]
pub(super) struct AllStates {
    all: Vec<States>,
    of: HashMap<usize, (usize, u16)>,
}

impl AllStates {
    /// Puts together what lies at the same place of the same volume.
    pub(super) fn of(found: &[&FoundDatabase]) -> Self {
        let mut places: BTreeMap<(String, String), Vec<usize>> = BTreeMap::new();
        for (number, found) in found.iter().enumerate() {
            if let Some(place) = place_of(found) {
                places.entry(place).or_default().push(number);
            }
        }
        let mut states = AllStates::default();
        for mut members in places.into_values().filter(|members| members.len() > 1) {
            let origin = |number: usize| &found[number].file.origin;
            if !members.iter().any(|number| origin(*number).is_shadow_copy) {
                continue;
            }
            // That of today is the newest. Copies whose time is not known are as they are numbered.
            members.sort_by_cached_key(|number| {
                let origin = origin(*number);
                let name = origin.state.to_string_lossy().into_owned();
                (!origin.is_shadow_copy, origin.moment, name.len(), name)
            });
            members.truncate(usize::from(u16::MAX));
            for (state, number) in (0..).zip(&members) {
                states.of.insert(*number, (states.all.len(), state));
            }
            states.all.push(States {
                times: members
                    .iter()
                    .map(|number| origin(*number).moment)
                    .collect(),
                members,
                known: Mutex::default(),
            });
        }
        states
    }

    /// The states of a database, and which of them it is; none if it is alone.
    pub(super) fn states_of(&self, number: usize) -> Option<(&States, u16)> {
        let (states, own) = self.of.get(&number)?;
        Some((&self.all[*states], *own))
    }
}

/// The volume, and the path on it, of what lies in an image.
fn place_of(found: &FoundDatabase) -> Option<(String, String)> {
    let origin = &found.file.origin;
    origin.container.as_ref()?;
    let (state, path) = (origin.state.to_str()?, found.file.path.to_str()?);
    let rest = path.strip_prefix(state)?.to_lowercase();
    let volume = match origin.is_shadow_copy {
        true => &state[..state.rfind("vss")?],
        false => state,
    };
    Some((volume.to_owned(), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_is_written_once_by_the_newest_state_that_has_it() {
        let row = |number| RowDigest(number);
        let time = |second| Some(Timestamp::from_second(second).unwrap());
        let mut known = KnownRows {
            // The second state equals the first, byte for byte, and is not read.
            writers: vec![0, 0, 2],
            ..KnownRows::default()
        };
        for (state, rows) in [(0, &[1, 2][..]), (1, &[1, 2]), (2, &[2, 3])] {
            known.add(state, rows.iter().copied().map(row).collect(), 1 << 20);
        }
        let known = Arc::new(known);
        let seen = |own, number| {
            let rows = StateRows {
                known: Arc::clone(&known),
                own,
                times: vec![time(10), time(20), None],
            };
            let between = rows.seen(row(number));
            between.map(|between| (between.first, between.last))
        };
        assert_eq!(seen(0, 1), Some((time(10), time(20))));
        assert_eq!(seen(1, 1), None);
        assert_eq!(seen(0, 2), None);
        assert_eq!(seen(2, 2), Some((time(10), None)));
        assert_eq!(seen(2, 3), Some((None, None)));
    }

    #[test]
    fn more_rows_than_memory_holds_are_not_put_together() {
        let mut known = KnownRows::default();
        known.add(0, (0..100).map(RowDigest).collect(), 10 * ROW_BYTES);
        known.add(1, vec![RowDigest(1)], 10 * ROW_BYTES);
        assert!(known.is_full);
        assert!(known.rows.is_empty());
    }
}
