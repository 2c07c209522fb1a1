//! States of one database: that of a volume today, and those of its shadow copies.
//!
//! A row that several states have is written once, by the newest of them, with the times between which it was there. So each
//! state's part has the rows that no newer state has: that of today has all of its own, and the others what is gone since.

use super::record::ProblemRecord;
use crate::find::FoundDatabase;
use ese_export::{RowDigest, SeenBetween, SeenRows};
use ese_format::hex;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Memory for what is known of a row, with room to spare in the map.
const ROW_BYTES: usize = 64;
/// Memory for the rows of one database: which rows are put together must not depend on the machine.
const ROWS_MEMORY: usize = 256 << 20;

/// The states of one database: a series.
#[derive(Debug)]
pub(super) struct States {
    /// Databases by their numbers, the oldest first.
    pub(super) members: Vec<usize>,
    /// When each was there; none for that of today.
    pub(super) times: Vec<Option<Timestamp>>,
    /// What tells this series from all others, and from itself with another member.
    pub(super) name: String,
    /// What was found out once, for all; nothing any more when all are done.
    pub(super) known: Mutex<Option<Arc<KnownRows>>>,
    /// How many are not done.
    left: AtomicUsize,
}

/// Which states have which rows.
#[derive(Debug)]
pub(super) struct KnownRows {
    /// The first and the last state of each row.
    rows: HashMap<RowDigest, (u16, u16)>,
    /// Which state writes the rows of each: itself, unless it equals another one, byte for byte.
    pub(super) writers: Vec<u16>,
    /// Why the rows of some states are not among these: they must not be written, either.
    pub(super) unread: HashMap<u16, ProblemRecord>,
    /// How many rows there is memory for.
    most: usize,
    /// Whether there were more.
    pub(super) is_full: bool,
}

impl KnownRows {
    pub(super) fn new() -> Self {
        Self::of_at_most(ROWS_MEMORY / ROW_BYTES)
    }

    fn of_at_most(most: usize) -> Self {
        KnownRows {
            rows: HashMap::new(),
            writers: Vec::new(),
            unread: HashMap::new(),
            most,
            is_full: false,
        }
    }

    /// Notes that a state has a row; states come the oldest first.
    pub(super) fn add(&mut self, state: u16, row: RowDigest) {
        if self.is_full {
            return;
        }
        self.rows.entry(row).or_insert((state, state)).1 = state;
        if self.rows.len() > self.most {
            self.is_full = true;
            self.rows = HashMap::new();
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

/// Databases in the order in which they are read: those of which there are several states first, those of one series together.
/// So of equal ones it is one of a series that is read, and few series are in memory at a time.
pub(super) fn in_order(found: Vec<&FoundDatabase>) -> Vec<&FoundDatabase> {
    let mut series = series_of(&found);
    let mut order: Vec<usize> = Vec::new();
    let mut is_member = vec![false; found.len()];
    series
        .iter_mut()
        .for_each(|members| members.sort_unstable());
    series.sort_unstable();
    for number in series.into_iter().flatten() {
        is_member[number] = true;
        order.push(number);
    }
    order.extend((0..found.len()).filter(|number| !is_member[*number]));
    order.into_iter().map(|number| found[number]).collect()
}

/// The members of each series, the oldest first.
fn series_of(found: &[&FoundDatabase]) -> Vec<Vec<usize>> {
    let mut places: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (number, found) in found.iter().enumerate() {
        if let Some(place) = place_of(found) {
            places.entry(place).or_default().push(number);
        }
    }
    let origin = |number: &usize| &found[*number].file.origin;
    let mut series: Vec<Vec<usize>> = places.into_values().collect();
    series.retain(|members| members.len() > 1 && members.iter().any(|m| origin(m).is_shadow_copy));
    for members in &mut series {
        // That of today is the newest. Copies whose time is not known are as they are numbered.
        members.sort_by_cached_key(|number| {
            let origin = origin(number);
            let name = origin.state.to_string_lossy().into_owned();
            (!origin.is_shadow_copy, origin.moment, name.len(), name)
        });
        members.truncate(usize::from(u16::MAX));
    }
    series
}

impl AllStates {
    /// Puts together what lies at the same place of the same volume.
    pub(super) fn of(found: &[&FoundDatabase]) -> Self {
        let mut states = AllStates::default();
        for members in series_of(found) {
            let mut name = Sha256::new();
            for (state, number) in (0..).zip(&members) {
                states.of.insert(*number, (states.all.len(), state));
                let file = &found[*number].file;
                name.update(super::names::id_of(&file.path));
                name.update(
                    file.origin
                        .moment
                        .map(|made| made.to_string())
                        .unwrap_or_default(),
                );
            }
            let times = members
                .iter()
                .map(|number| found[*number].file.origin.moment);
            states.all.push(States {
                times: times.collect(),
                left: AtomicUsize::new(members.len()),
                members,
                name: hex::encode(name.finalize()),
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

    /// Notes that a database is done: what is known of the rows of a series goes with the last of it.
    pub(super) fn done(&self, number: usize) {
        if let Some((states, _)) = self.states_of(number)
            && states.left.fetch_sub(1, Ordering::Relaxed) == 1
        {
            *states.known.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }
}

/// Where something lies in a file: its address, without the shadow copies that are named in it.
fn place_of(found: &FoundDatabase) -> Option<String> {
    let container = found.file.origin.container.as_ref()?.to_str()?;
    let within = found.file.path.to_str()?.strip_prefix(container)?;
    Some(format!("{container}{}", without_copies(within)))
}

/// An address without `vss3:`, which stands before a path and after the number of a partition.
fn without_copies(address: &str) -> String {
    let mut parts = address.split("::");
    let mut place = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        place.push_str("::");
        let mut rest = part.trim_start_matches('/');
        while let Some((word, after)) = rest.split_once(':') {
            if is_numbered(word, "p") {
                place.push_str(word);
                place.push(':');
            } else if !is_numbered(word, "vss") {
                break;
            }
            rest = after.trim_start_matches('/');
        }
        place.push('/');
        place.push_str(rest);
    }
    place
}

fn is_numbered(word: &str, kind: &str) -> bool {
    let number = word.strip_prefix(kind);
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
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
            ..KnownRows::new()
        };
        for (state, rows) in [(0, &[1, 2][..]), (1, &[1, 2]), (2, &[2, 3])] {
            for number in rows {
                known.add(state, row(*number));
            }
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
        let mut known = KnownRows::of_at_most(10);
        (0..100).for_each(|number| known.add(0, RowDigest(number)));
        known.add(1, RowDigest(1));
        assert!(known.is_full);
        assert!(known.rows.is_empty());
    }

    #[test]
    fn only_the_shadow_copy_is_left_out_of_a_place() {
        for (one, other) in [
            ("::/Windows/x.edb", "::vss1:/Windows/x.edb"),
            ("::p2:/x.edb", "::p2:vss3:/x.edb"),
            ("::p2:/x.edb", "::p2:/vss3:/x.edb"),
            ("::p1:/a.zip::/x.edb", "::p1:vss2:/a.zip::x.edb"),
        ] {
            assert_eq!(without_copies(one), without_copies(other));
        }
        for (one, other) in [
            ("::vss1:/a.zip::/x.edb", "::vss1:/b.zip::/x.edb"),
            ("::p1:/x.edb", "::p2:vss1:/x.edb"),
            ("::/vss/x.edb", "::/x.edb"),
            ("::/a/vss1:/x.edb", "::/a/x.edb"),
        ] {
            assert_ne!(without_copies(one), without_copies(other));
        }
    }
}
