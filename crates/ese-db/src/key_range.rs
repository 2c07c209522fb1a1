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
use ese_format::database::DatabaseState;
use ese_format::page::{Key, PageFlags};
use ese_format::{Pgno, hex};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

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

/// A page above leaves.
struct Parent {
    pgno: Pgno,
    /// The leaves that it leads to.
    leaves: Vec<Pgno>,
}

impl Tree {
    /// Ranges of keys that are even by their number of leaves: `count` of them, or fewer where there are not that many leaves.
    /// Only one if not all of the upper levels can be read, or if they do not fit together, and in a database that is not clean:
    /// then a leaf may be found from any side.
    pub fn split(self, db: &Database, count: usize) -> Vec<KeyRange> {
        let header = db.headers().and_then(|headers| headers.good());
        let is_clean =
            header.is_some_and(|header| header.fields.state == DatabaseState::CLEAN_SHUTDOWN);
        let parents = self.parents_of_leaves(db).ok().filter(|_| is_clean);
        let fitting = parents.filter(|(_, fit)| *fit).map(|(parents, _)| parents);
        let cut = fitting.and_then(|parents| self.cut(db, &parents, count).ok());
        cut.unwrap_or_else(|| vec![KeyRange::default()])
    }

    /// How many leaves there are, as far as the upper levels tell.
    pub(crate) fn leaf_count(self, db: &Database) -> u64 {
        let (parents, _) = self.parents_of_leaves(db).unwrap_or_default();
        let leaves = parents.iter().map(|parent| parent.leaves.len() as u64);
        leaves.sum::<u64>().max(1)
    }

    /// The leaves that parents lead to, as far as these can be read.
    pub(crate) fn on_path(self, db: &Database) -> HashSet<Pgno> {
        let (parents, _) = self.parents_of_leaves(db).unwrap_or_default();
        parents
            .into_iter()
            .flat_map(|parent| parent.leaves)
            .collect()
    }

    /// The lowest pages above the leaves in their order, and whether they fit together: each leaf has one parent, and all
    /// separators of the tree ascend.
    fn parents_of_leaves(self, db: &Database) -> Result<(Vec<Parent>, bool), DbError> {
        /// What is next on the way.
        enum Next {
            Page(Pgno),
            Separator(Vec<u8>),
        }
        let mut parents = Vec::new();
        let mut path = vec![Next::Page(self.root)];
        let mut left = u64::from(db.last_page().0) + 1;
        let (mut highest, mut ascend) = (Vec::new(), true);
        while let Some(next) = path.pop() {
            let pgno = match next {
                Next::Page(pgno) => pgno,
                Next::Separator(key) => {
                    ascend &= key > highest;
                    highest = key;
                    continue;
                }
            };
            let page = self.load(db, pgno)?;
            let view = page.view();
            if !view.flags().is_internal() {
                // The root is the only leaf, or the parent is not what it says.
                return Ok((Vec::new(), pgno == self.root));
            }
            left = left.checked_sub(1).ok_or(DbError::Cycle {
                pgno,
                objid: self.objid,
            })?;
            let is_parent = view.flags().contains(PageFlags::PARENT_OF_LEAF);
            let (mut leaves, mut way) = (Vec::new(), Vec::new());
            for line in 0..view.node_count() {
                let node = view.node(line)?;
                match is_parent {
                    true => leaves.push(node.child()?),
                    false => way.push(Next::Page(node.child()?)),
                }
                // The last child ends where the page does.
                if line + 1 < view.node_count() {
                    way.push(Next::Separator(node.key().to_vec()));
                }
            }
            path.extend(way.into_iter().rev());
            if is_parent {
                parents.push(Parent { pgno, leaves });
            }
        }
        let mut known = HashSet::new();
        let mut leaves = parents.iter().flat_map(|parent| &parent.leaves);
        let are_distinct = leaves.all(|leaf| known.insert(*leaf));
        Ok((parents, ascend && are_distinct))
    }

    fn cut(
        self,
        db: &Database,
        parents: &[Parent],
        count: usize,
    ) -> Result<Vec<KeyRange>, DbError> {
        let leaves: usize = parents.iter().map(|parent| parent.leaves.len()).sum();
        let mut ranges = Vec::new();
        let mut last = KeyRange::default();
        let (mut before, mut parents) = (0, parents.iter());
        let mut parent = parents.next();
        for part in 1..count {
            let end = (leaves as u128 * part as u128 / count as u128) as usize;
            while let Some(passed) = parent.filter(|parent| before + parent.leaves.len() < end) {
                before += passed.leaves.len();
                parent = parents.next();
            }
            let Some(Parent { pgno, leaves }) = parent else {
                break;
            };
            // The last node of a page does not say where its child ends: the range ends a leaf earlier.
            let line = (end - before).min(leaves.len().saturating_sub(1));
            let Some(line) = line.checked_sub(1) else {
                continue;
            };
            let page = self.load(db, *pgno)?;
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
