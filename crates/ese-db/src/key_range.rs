//! Ranges of keys: parts of a tree that can be walked each by itself.
//!
//! ```text
//!    parents of leaves     | a  b  c | d  e  f | g  h  -|      separators: keys of a child are below that of its node
//!    leaves                 L1 L2 L3   L4 L5 L6   L7 L8 L9
//!    in three               ......until c|.....until f|....    the same number of leaves in each, give or take one
//! ```
//!
//! Invariant: the ranges that a tree is split into follow each other without a gap, and every leaf is in exactly one of them,
//! since they end at separators.

use crate::btree::Tree;
use crate::{Database, DbError};
use ese_format::page::{Key, PageFlags};
use ese_format::{Pgno, hex};
use serde::{Deserialize, Serialize};

/// Keys from one on, up to another one; as JSON `{"from", "until"}` in hexadecimal digits. The default is all keys.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(into = "Digits", try_from = "Digits")]
pub struct KeyRange {
    /// The first key; none for the beginning.
    pub from: Option<Vec<u8>>,
    /// The first key after the range; none for the end.
    pub until: Option<Vec<u8>>,
}

#[derive(Serialize, Deserialize)]
struct Digits {
    from: Option<String>,
    until: Option<String>,
}

impl From<KeyRange> for Digits {
    fn from(range: KeyRange) -> Self {
        Digits {
            from: range.from.map(hex::encode),
            until: range.until.map(hex::encode),
        }
    }
}

impl TryFrom<Digits> for KeyRange {
    type Error = String;

    fn try_from(digits: Digits) -> Result<Self, String> {
        let key = |digits: Option<String>| match digits {
            None => Ok(None),
            Some(digits) => match hex::decode(&digits) {
                Some(key) => Ok(Some(key)),
                None => Err(format!("{digits:?} is no key in hexadecimal digits")),
            },
        };
        Ok(KeyRange {
            from: key(digits.from)?,
            until: key(digits.until)?,
        })
    }
}

impl KeyRange {
    /// Whether all keys are in it.
    pub fn is_all(&self) -> bool {
        self.from.is_none() && self.until.is_none()
    }

    /// Whether the key is in it.
    pub fn contains(&self, key: Key<'_>) -> bool {
        self.begins_by(key) && !self.ends_by(key)
    }

    /// Whether it begins with this key or before.
    pub(crate) fn begins_by(&self, key: Key<'_>) -> bool {
        (self.from.as_deref()).is_none_or(|from| Key::from(from) <= key)
    }

    /// Whether it ends before this key.
    pub(crate) fn ends_by(&self, key: Key<'_>) -> bool {
        (self.until.as_deref()).is_some_and(|until| Key::from(until) <= key)
    }

    /// Whether it begins with this key or after it.
    pub(crate) fn is_after(&self, key: Key<'_>) -> bool {
        (self.from.as_deref()).is_some_and(|from| Key::from(from) >= key)
    }

    /// The keys that are in both.
    pub fn and(&self, other: &KeyRange) -> KeyRange {
        let from = self.from.iter().chain(&other.from).max();
        let until = self.until.iter().chain(&other.until).min();
        KeyRange {
            from: from.cloned(),
            until: until.cloned(),
        }
    }
}

impl Tree {
    /// Ranges of keys that are even by their number of leaves: `count` of them, or fewer where there are not that many leaves.
    /// Only one if not all of the upper levels can be read: then a leaf may be found from any side.
    pub fn split(self, db: &Database, count: usize) -> Vec<KeyRange> {
        let whole = vec![KeyRange::default()];
        match self.parents_of_leaves(db) {
            Ok(parents) => self.cut(db, &parents, count).unwrap_or(whole),
            Err(_) => whole,
        }
    }

    /// How many leaves there are, as far as the upper levels tell.
    pub(crate) fn leaf_count(self, db: &Database) -> u64 {
        let parents = self.parents_of_leaves(db).unwrap_or_default();
        let leaves = parents
            .iter()
            .map(|(_, leaves)| *leaves as u64)
            .sum::<u64>();
        leaves.max(1)
    }

    /// The lowest pages above the leaves in their order, each with the number of leaves.
    fn parents_of_leaves(self, db: &Database) -> Result<Vec<(Pgno, usize)>, DbError> {
        let mut parents = Vec::new();
        let mut path = vec![self.root];
        let mut left = u64::from(db.last_page().0) + 1;
        while let Some(pgno) = path.pop() {
            let page = self.load(db, pgno)?;
            let view = page.view();
            if !view.flags().is_internal() {
                // The root is the only leaf.
                return Ok(Vec::new());
            }
            left = left.checked_sub(1).ok_or(DbError::Cycle {
                pgno,
                objid: self.objid,
            })?;
            let nodes = view.node_count();
            if view.flags().contains(PageFlags::PARENT_OF_LEAF) {
                parents.push((pgno, nodes));
                continue;
            }
            for line in (0..nodes).rev() {
                path.push(view.node(line)?.child()?);
            }
        }
        Ok(parents)
    }

    fn cut(
        self,
        db: &Database,
        parents: &[(Pgno, usize)],
        count: usize,
    ) -> Result<Vec<KeyRange>, DbError> {
        let leaves: usize = parents.iter().map(|(_, leaves)| leaves).sum();
        let mut ranges = Vec::new();
        let mut last = KeyRange::default();
        let (mut before, mut parents) = (0, parents.iter());
        let mut parent = parents.next();
        for part in 1..count {
            let end = (leaves as u128 * part as u128 / count as u128) as usize;
            while let Some((_, nodes)) = parent.filter(|(_, nodes)| before + nodes < end) {
                before += nodes;
                parent = parents.next();
            }
            let Some(&(pgno, nodes)) = parent else { break };
            // The last node of a page does not say where its child ends: the range ends a leaf earlier.
            let line = (end - before).min(nodes.saturating_sub(1));
            let Some(line) = line.checked_sub(1) else {
                continue;
            };
            let page = self.load(db, pgno)?;
            let separator = page.view().node(line)?.key().to_vec();
            if last.from.as_ref() >= Some(&separator) || separator.is_empty() {
                continue;
            }
            last.until = Some(separator.clone());
            ranges.push(std::mem::take(&mut last));
            last.from = Some(separator);
        }
        ranges.push(last);
        Ok(ranges)
    }
}
