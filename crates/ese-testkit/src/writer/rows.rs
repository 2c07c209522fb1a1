//! Changes of rows, what a rollback needs of them, and the rollback.

use super::page::common;
use super::{Before, Held, Line, Page, SYSTEM, Version, Writer};
use byteorder::{ByteOrder, LittleEndian};
use ese_format::Dbtime;
use ese_format::record::{
    Delete, Delta, Diff, FlagDelete, FlagInsert, FlagInsertAndReplaceData, Insert, NodeOp,
    Operation, PageOp, PageOpFlags, Record, Replace, ReplaceDelta, Undo, UndoInfo,
};

/// A change that may make a page too full.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub(super) kind: Kind,
    pub(super) key: Vec<u8>,
    pub(super) data: Vec<u8>,
    rceid: u32,
    rceid_replace: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Insert,
    Replace,
    /// A row that was flagged as deleted lives again with other data.
    Revive,
}

impl Change {
    /// Does it to the line at `at`, or puts a new one there.
    pub(super) fn apply(&self, lines: &mut Vec<Line>, at: usize) {
        let line = Line {
            key: self.key.clone(),
            data: self.data.clone(),
            deleted: false,
            prefix: lines.get(at).map_or(0, |line| line.prefix),
        };
        match self.kind {
            Kind::Insert => lines.insert(at, Line { prefix: 0, ..line }),
            _ => lines[at] = line,
        }
    }
}

impl Writer {
    /// What a row is found by.
    fn bookmark(&self, tree: usize, key: &[u8], data: &[u8]) -> Vec<u8> {
        if self.trees[tree].unique {
            key.to_vec()
        } else {
            [key, data].concat()
        }
    }

    /// The pages from the root to the leaf on which the row is, or would be.
    pub(super) fn path(&self, tree: usize, key: &[u8], data: &[u8]) -> Vec<u32> {
        let bookmark = self.bookmark(tree, key, data);
        let mut path = vec![self.trees[tree].root];
        loop {
            let page = &self.pages[&path[path.len() - 1]];
            if page.is_leaf() {
                return path;
            }
            let leads = |line: &Line| line.key.is_empty() || bookmark < line.key;
            let found = page.lines.iter().find(|line| leads(line));
            path.push(found.or(page.lines.last()).expect("a pointer").child());
        }
    }

    /// The row's leaf and its place there: `Ok` if it is there.
    fn place(&self, tree: usize, key: &[u8], data: &[u8]) -> (u32, Result<usize, usize>) {
        let path = self.path(tree, key, data);
        let leaf = path[path.len() - 1];
        let bookmark = self.bookmark(tree, key, data);
        let name = |line: &Line| self.bookmark(tree, &line.key, &line.data);
        let lines = &self.pages[&leaf].lines;
        (
            leaf,
            lines.binary_search_by(|line| name(line).cmp(&bookmark)),
        )
    }

    /// The row as it is in its tree, deleted or not.
    pub fn row(&self, tree: usize, key: &[u8], data: &[u8]) -> Option<&Line> {
        let (leaf, at) = self.place(tree, key, data);
        at.ok().map(|at| &self.pages[&leaf].lines[at])
    }

    /// Bytes that rollbacks may want back for these lines.
    pub(super) fn reserve(&self, tree: usize, lines: &[Line]) -> usize {
        let of_line = |line: &Line| {
            let row = (tree, self.bookmark(tree, &line.key, &line.data));
            let most = self
                .held
                .get(&row)
                .and_then(|held| held.sizes.iter().max().copied());
            most.map_or(0, |most| most.saturating_sub(line.data.len()))
        };
        lines.iter().map(of_line).sum()
    }

    /// Whether an open transaction may still change what the row is.
    pub(super) fn is_held(&self, tree: usize, line: &Line) -> bool {
        let row = (tree, self.bookmark(tree, &line.key, &line.data));
        self.held.contains_key(&row)
    }

    fn remember(
        &mut self,
        session: u16,
        tree: usize,
        rceid: u32,
        key: &[u8],
        data: &[u8],
        before: Before,
    ) {
        let row = (tree, self.bookmark(tree, key, data));
        let held = self.held.entry(row).or_default();
        held.versions += 1;
        if let Before::Replace(old) = &before {
            held.sizes.push(old.len());
        }
        let level = self.level(session);
        let unique = self.trees[tree].unique;
        self.session(session).versions.push(Version {
            rceid,
            level,
            tree,
            key: key.to_vec(),
            data: if unique { Vec::new() } else { data.to_vec() },
            before,
            logged: false,
            page: 0,
        });
    }

    /// Forgets what a version held of its row.
    pub(super) fn let_go(&mut self, version: &Version) {
        let row = (
            version.tree,
            self.bookmark(version.tree, &version.key, &version.data),
        );
        let held = self.held.entry(row.clone()).or_default();
        held.versions -= 1;
        if let Before::Replace(old) = &version.before {
            let place = held.sizes.iter().position(|size| *size == old.len());
            held.sizes.remove(place.expect("it was held"));
        }
        if matches!(held, Held { versions: 0, .. }) {
            self.held.remove(&row);
        }
    }

    /// Inserts a row. One of this name may be there, if it is flagged as deleted.
    pub fn insert(&mut self, session: u16, tree: usize, key: &[u8], data: &[u8]) {
        match self.row(tree, key, data).cloned() {
            None => self.make(session, tree, Kind::Insert, key, data, None),
            Some(old) => {
                assert!(old.deleted, "the row is there already");
                match old.data == data {
                    true => self.revive(session, tree, key, data),
                    false => self.make(session, tree, Kind::Revive, key, data, Some(old.data)),
                }
            }
        }
    }

    /// Replaces the data of a row of a tree with unique keys.
    pub fn replace(&mut self, session: u16, tree: usize, key: &[u8], data: &[u8]) {
        let old = self.row(tree, key, data).expect("the row is there").clone();
        assert!(!old.deleted && self.trees[tree].unique);
        self.make(session, tree, Kind::Replace, key, data, Some(old.data));
    }

    /// Makes a change that may need room.
    fn make(
        &mut self,
        session: u16,
        tree: usize,
        kind: Kind,
        key: &[u8],
        data: &[u8],
        old: Option<Vec<u8>>,
    ) {
        let change = Change {
            kind,
            key: key.to_vec(),
            data: data.to_vec(),
            rceid: self.next_rceid(),
            rceid_replace: self.next_rceid(),
        };
        if kind != Kind::Replace {
            self.remember(session, tree, change.rceid, key, data, Before::Insert);
        }
        if let Some(old) = old {
            let rceid = match kind {
                Kind::Revive => change.rceid_replace,
                _ => change.rceid,
            };
            self.remember(session, tree, rceid, key, data, Before::Replace(old));
        }
        while !self.change_page(session, tree, &change) && !self.split(session, tree, &change) {}
        let (leaf, _) = self.place(tree, key, data);
        let versions = self.session(session).versions.iter_mut().rev().take(2);
        for version in
            versions.filter(|version| version.rceid >= change.rceid && version.key == change.key)
        {
            version.page = leaf;
        }
    }

    /// Where the change goes.
    pub(super) fn place_of(&self, tree: usize, change: &Change) -> (u32, usize) {
        let (leaf, at) = self.place(tree, &change.key, &change.data);
        (leaf, at.unwrap_or_else(|at| at))
    }

    /// Makes the change on its page, if there is room.
    fn change_page(&mut self, session: u16, tree: usize, change: &Change) -> bool {
        let (leaf, at) = self.place_of(tree, change);
        let old = self.pages[&leaf].clone();
        let mut new = old.clone();
        change.apply(&mut new.lines, at);
        if change.kind == Kind::Insert {
            new.lines[at] = old.line(&change.key, &change.data, false);
        }
        let reserve = self.reserve(tree, &new.lines);
        if !new.has_free(reserve) {
            return false;
        }
        new.dbtime = self.next_dbtime();
        let flags = self.flags_of(tree) | PageOpFlags::VERSIONED;
        let mut page = self.page_op(session, leaf, new.dbtime, flags);
        page.iline = at as u16;
        let line = &new.lines[at];
        let delta = (change.kind == Kind::Replace && new.dbtime.is_multiple_of(2))
            .then(|| difference(&old.lines[at].data, &line.data, !self.size.is_small()));
        match delta {
            Some(bytes) => {
                let record = ReplaceDelta {
                    page,
                    node: self.node_op(tree, change.rceid),
                    old_data_len: old.lines[at].data.len() as u16,
                    new_data_len: line.data.len() as u16,
                    diff: Diff {
                        wide: !self.size.is_small(),
                        bytes: &bytes,
                    },
                };
                self.log(&Record::ReplaceDelta(record));
            }
            None => self.log_change(tree, page, change, line.prefix),
        }
        self.put(session, new);
        true
    }

    /// Logs the change, whole.
    pub(super) fn log_change(&mut self, tree: usize, page: PageOp, change: &Change, prefix: usize) {
        let node = self.node_op(tree, change.rceid);
        let (key, data) = (&change.key[..], &change.data[..]);
        let (key_prefix, key_suffix) = key.split_at(prefix);
        let record = match change.kind {
            Kind::Insert => Record::Insert(Insert {
                page,
                node,
                key_prefix,
                key_suffix,
                data,
            }),
            Kind::Replace => Record::Replace(Replace {
                page,
                node,
                old_data_len: 0,
                new_data_len: data.len() as u16,
                data,
            }),
            Kind::Revive => Record::FlagInsertAndReplaceData(FlagInsertAndReplaceData {
                page,
                node,
                rceid_replace: change.rceid_replace,
                key,
                data,
            }),
        };
        self.log(&record);
    }

    /// Changes the line of a row that is there, and logs what `record` makes of the heads.
    fn change_line(
        &mut self,
        session: u16,
        tree: usize,
        row: (&[u8], &[u8]),
        rceid: u32,
        change: impl FnOnce(&mut Page, usize),
        record: impl FnOnce(PageOp, NodeOp) -> Record<'static>,
    ) -> u32 {
        let (leaf, at) = self.place(tree, row.0, row.1);
        let at = at.expect("the row is there");
        let mut new = self.pages[&leaf].clone();
        new.dbtime = self.next_dbtime();
        let mut page = self.page_op(session, leaf, new.dbtime, self.flags_of(tree));
        page.iline = at as u16;
        let record = record(page, self.node_op(tree, rceid));
        self.log(&record);
        change(&mut new, at);
        self.put(session, new);
        leaf
    }

    fn revive(&mut self, session: u16, tree: usize, key: &[u8], data: &[u8]) {
        let rceid = self.next_rceid();
        let (leaf, at) = self.place(tree, key, data);
        let mut new = self.pages[&leaf].clone();
        new.dbtime = self.next_dbtime();
        let flags = self.flags_of(tree) | PageOpFlags::VERSIONED;
        let mut page = self.page_op(session, leaf, new.dbtime, flags);
        page.iline = at.expect("the row is there") as u16;
        new.lines[usize::from(page.iline)].deleted = false;
        let node = self.node_op(tree, rceid);
        let record = FlagInsert {
            page,
            node,
            key,
            data,
        };
        self.log(&Record::FlagInsert(record));
        self.put(session, new);
        self.remember(session, tree, rceid, key, data, Before::Insert);
    }

    /// Flags a row as deleted.
    pub fn delete(&mut self, session: u16, tree: usize, key: &[u8], data: &[u8]) {
        let rceid = self.next_rceid();
        let flag = |page: &mut Page, at: usize| page.lines[at].deleted = true;
        let leaf = self.change_line(session, tree, (key, data), rceid, flag, |mut page, node| {
            page.flags |= PageOpFlags::VERSIONED;
            Record::FlagDelete(FlagDelete { page, node })
        });
        self.remember(session, tree, rceid, key, data, Before::Delete);
        let versions = &mut self.session(session).versions;
        versions.last_mut().expect("just remembered").page = leaf;
    }

    /// Adds to the number at `offset` of a row's data, which several transactions may do side by side.
    pub fn add(
        &mut self,
        session: u16,
        tree: usize,
        key: &[u8],
        (offset, delta, wide): (u16, i64, bool),
    ) {
        let rceid = self.next_rceid();
        let (leaf, at) = self.place(tree, key, &[]);
        let at = at.expect("the row is there");
        let mut new = self.pages[&leaf].clone();
        new.dbtime = self.next_dbtime();
        let flags = self.flags_of(tree) | PageOpFlags::VERSIONED;
        let mut page = self.page_op(session, leaf, new.dbtime, flags);
        page.iline = at as u16;
        let record = Delta {
            page,
            node: self.node_op(tree, rceid),
            delta,
            offset,
            bookmark_key: key,
            bookmark_data: &[],
        };
        self.log(&match wide {
            true => Record::Delta64(record),
            false => Record::Delta(record),
        });
        add_to(&mut new.lines[at].data, offset, delta, wide);
        self.put(session, new);
        let before = Before::Add {
            delta,
            offset,
            wide,
        };
        self.remember(session, tree, rceid, key, &[], before);
    }

    /// Removes a row that is flagged as deleted and that no open transaction holds; whether there was one.
    pub fn clean_up(&mut self, tree: usize, key: &[u8], data: &[u8]) -> bool {
        let row = self.row(tree, key, data);
        if !row.is_some_and(|line| line.deleted && !self.is_held(tree, line)) {
            return false;
        }
        self.begin(SYSTEM);
        let remove = |page: &mut Page, at: usize| drop(page.lines.remove(at));
        self.change_line(SYSTEM, tree, (key, data), 0, remove, |page, node| {
            Record::Delete(Delete { page, node })
        });
        self.commit(SYSTEM);
        true
    }

    /// Takes back one change, on the page on which the row is now.
    pub(super) fn undo(&mut self, session: u16, version: &Version) {
        let Version { tree, rceid, .. } = *version;
        if version.needs_undo_info() {
            let trx = self.sessions[&session].trx;
            self.log_undo_info(session, trx, version);
        }
        let (key, data) = (&version.key[..], &version.data[..]);
        let (leaf, at) = self.place(tree, key, data);
        let at = at.expect("a row with versions stays in its tree");
        let mut new = self.pages[&leaf].clone();
        new.dbtime = self.next_dbtime();
        let line = &mut new.lines[at];
        match &version.before {
            Before::Insert => line.deleted = true,
            Before::Delete => line.deleted = false,
            Before::Replace(old) => line.data.clone_from(old),
            Before::Add {
                delta,
                offset,
                wide,
            } => add_to(&mut line.data, *offset, delta.wrapping_neg(), *wide),
        }
        assert!(new.has_free(0), "a rollback finds room");
        let mut page = self.page_op(session, leaf, new.dbtime, self.flags_of(tree));
        page.iline = at as u16;
        let record = Undo {
            page,
            node: self.node_op(tree, rceid),
            operation: version.before.operation(),
            operation_level: version.level,
            bookmark_key: key,
            bookmark_data: data,
        };
        self.log(&Record::Undo(record));
        self.put(session, new);
        self.let_go(version);
    }

    /// Writes a page to disk: before images of what is open on it go to the log first.
    pub fn flush(&mut self, pgno: u32) {
        let mut needed = Vec::new();
        for (session, open) in &mut self.sessions {
            let trx = open.trx;
            for version in &mut open.versions {
                if version.needs_undo_info() && version.page == pgno {
                    version.logged = true;
                    needed.push((*session, trx, version.clone()));
                }
            }
        }
        for (session, trx, version) in needed {
            self.log_undo_info(session, trx, &version);
        }
        self.flushed.push((self.records.len(), pgno));
    }

    fn log_undo_info(&mut self, session: u16, trx: u32, version: &Version) {
        let page = PageOp {
            trx,
            dbtime: Dbtime(0),
            dbtime_before: Dbtime(0),
            level: version.level,
            ..self.page_op(session, version.page, 0, self.flags_of(version.tree))
        };
        let data = match &version.before {
            Before::Replace(old) => &old[..],
            _ => &[],
        };
        let record = UndoInfo {
            page,
            node: self.node_op(version.tree, version.rceid),
            operation: version.before.operation(),
            max_size: 0,
            size_delta: 0,
            bookmark_key: &version.key,
            bookmark_data: &version.data,
            data,
        };
        self.log(&Record::UndoInfo(record));
    }
}

impl Version {
    /// Whether a before image is still to be logged, before the page of the change is written or the change undone.
    fn needs_undo_info(&self) -> bool {
        !self.logged && matches!(self.before, Before::Replace(_) | Before::Delete)
    }
}

impl Before {
    fn operation(&self) -> Operation {
        match self {
            Before::Insert => Operation::Insert,
            Before::Replace(_) => Operation::Replace,
            Before::Delete => Operation::FlagDelete,
            Before::Add { wide: true, .. } => Operation::Delta64,
            Before::Add { .. } => Operation::Delta,
        }
    }
}

fn add_to(data: &mut [u8], offset: u16, delta: i64, wide: bool) {
    let place = &mut data[usize::from(offset)..];
    if wide {
        let old = LittleEndian::read_i64(place);
        LittleEndian::write_i64(place, old.wrapping_add(delta));
    } else {
        let old = LittleEndian::read_i32(place);
        LittleEndian::write_i32(place, old.wrapping_add(delta as i32));
    }
}

/// The difference of two data as a record holds it: what lies between the bytes that both begin and end with.
fn difference(old: &[u8], new: &[u8], wide: bool) -> Vec<u8> {
    let start = common(old, new);
    let (old, new) = (&old[start..], &new[start..]);
    let reversed = |bytes: &[u8]| bytes.iter().rev().copied().collect::<Vec<u8>>();
    let end = common(&reversed(old), &reversed(new));
    let (old, new) = (&old[..old.len() - end], &new[..new.len() - end]);
    let mut flags = 0x80u16;
    if old.len() == new.len() {
        flags |= 0x20;
    } else if old.is_empty() {
        flags |= 0x40;
    }
    let mut bytes = match wide {
        true => vec![start as u8, (start >> 8) as u8, flags as u8],
        false => (start as u16 | flags << 8).to_le_bytes().to_vec(),
    };
    bytes.extend((new.len() as u16).to_le_bytes());
    if flags & 0x60 == 0 {
        bytes.extend((old.len() as u16).to_le_bytes());
    }
    bytes.extend(new);
    bytes
}
