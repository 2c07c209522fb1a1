//! What redo does to single nodes, shown to whoever asks for it.
//!
//! Redo itself forgets what a node held before a change, and most records do not say it: a delete names a line, a
//! difference only new bytes. An observer gets both states, taken from the page on either side of the record. Records of a
//! macro operation are shown when that commits: a split applies the node operation that made it necessary.

use super::{Redo, RedoOutcome};
use crate::database::ReplayDatabase;
use crate::error::Problem;
use crate::page_edit::PageBuffer;
use crate::pages::PageContent;
use ese_checksum::seal_page;
use ese_format::record::{NodeOp, PageOp, Record, RecordFormat};
use ese_format::{Lgpos, LogTime, ObjId};
use ese_log::LogImage;

/// What a record does to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeChangeKind {
    /// It comes into being, or a deleted one becomes it.
    Insert,
    /// Its data changes.
    Replace,
    /// It is flagged as deleted.
    FlagDelete,
    /// It goes from its page.
    Remove,
    /// An earlier operation on it is taken back: the one with this record's rceid.
    Undo,
}

/// What a record adds to a number in a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddedNumber {
    /// Where in the data the number is.
    pub offset: u16,
    /// What is added.
    pub amount: i64,
    /// Bytes of the number.
    pub width: usize,
}

/// A change of one node.
#[derive(Debug)]
pub struct NodeChange<'a> {
    /// The record.
    pub lgpos: Lgpos,
    /// The page, and who changed it.
    pub page: PageOp,
    /// The tree.
    pub node: NodeOp,
    /// What was done.
    pub kind: NodeChangeKind,
    /// For a record that adds to a number: others may add to it at the same time.
    pub added: Option<AddedNumber>,
    /// Bytes that its record takes.
    pub bytes: usize,
    /// Whether redo made the change; otherwise the page had it already, or is not there.
    pub is_applied: bool,
    /// The whole key, as far as it is known.
    pub key: Option<&'a [u8]>,
    /// Whether the node was flagged as deleted before, so that no row changes; only known of what redo does.
    pub was_deleted: bool,
    /// The data before, if the node was there and not deleted, and if it is known.
    pub before: Option<&'a [u8]>,
    /// The data after, likewise.
    pub after: Option<&'a [u8]>,
    /// The page before and after, with their checksums, if the observer asks for pages and redo made the change.
    pub pages: Option<(&'a [u8], &'a [u8])>,
}

/// What an observer asks of the changes of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    /// They are not shown.
    Nothing,
    /// They are shown without keys and data.
    ThatItChanged,
    /// They are shown with all that is known.
    Data,
}

/// Sees what redo does, record by record.
pub trait RedoObserver: Send {
    /// A log begins.
    fn log_begins(&mut self, image: &LogImage);

    /// A segment begins, which was begun at this time; in the older layout the time is that of the log.
    fn segment_begins(&mut self, lgpos: Lgpos, time: LogTime);

    /// A record comes, before anything is done about it. Those of macro operations come too, whatever becomes of them.
    fn record(&mut self, lgpos: Lgpos, record: &Record<'_>);

    /// Whether the pages of changes are to be shown, too.
    fn asks_for_pages(&self) -> bool {
        false
    }

    /// What is to be shown of this tree's changes.
    fn wants(&self, dbid: u8, objid: ObjId) -> Interest;

    /// A node was changed; the database is as it is after the change.
    fn changed(
        &mut self,
        change: &NodeChange<'_>,
        database: &mut ReplayDatabase,
    ) -> Result<(), Problem>;

    /// A database was attached or created under this number; `name` is its path on the machine that wrote the logs.
    fn attached(&mut self, dbid: u8, name: &str, database: &mut ReplayDatabase);
}

/// A change that is about to be made.
pub(super) struct Coming {
    lgpos: Lgpos,
    page: PageOp,
    node: NodeOp,
    kind: NodeChangeKind,
    added: Option<AddedNumber>,
    bytes: usize,
    /// Whether the page is as the record expects it.
    is_due: bool,
    key: Option<Vec<u8>>,
    was_deleted: bool,
    before: Option<Vec<u8>>,
    after: After,
    page_before: Option<Vec<u8>>,
}

/// Where the data after the change is found.
enum After {
    Known(Vec<u8>),
    OnPage,
    Nothing,
}

/// The bytes of a page with its checksum.
fn sealed(page: &PageBuffer) -> Vec<u8> {
    let mut bytes = page.bytes().to_vec();
    seal_page(&mut bytes, page.pgno().0);
    bytes
}

impl Redo {
    /// Shows everything to `observer` from now on.
    pub fn show_to(&mut self, observer: Box<dyn RedoObserver>) {
        self.observer = Some(observer);
    }

    /// A log begins, whose records come next.
    pub(crate) fn log_begins(&mut self, image: &LogImage) {
        if let Some(observer) = &mut self.observer {
            observer.log_begins(image);
        }
    }

    /// What is to be shown of a record, as far as only the state before it tells.
    pub(super) fn coming(
        &mut self,
        record: &Record<'_>,
        bytes: usize,
    ) -> Result<Option<Coming>, Problem> {
        if self.observer.is_none() {
            return Ok(None);
        }
        let Record::MacroCommit(commit) = record else {
            // What belongs to a macro operation is shown when that commits.
            if let Some(page) = record.page_op()
                && self
                    .session(page.procid)
                    .macro_records(page.dbtime)
                    .is_some()
            {
                return Ok(None);
            }
            return self.coming_of(record, bytes, None);
        };
        let format = self.format.unwrap_or(RecordFormat::NEWEST);
        let session = self.session(commit.procid);
        let Some(stored) = session.macro_records(commit.dbtime).map(std::mem::take) else {
            return Ok(None);
        };
        let coming = self.coming_of_macro(&stored, format);
        if let Some(records) = self.session(commit.procid).macro_records(commit.dbtime) {
            *records = stored;
        }
        coming
    }

    fn coming_of_macro(
        &mut self,
        stored: &[(Lgpos, Vec<u8>)],
        format: RecordFormat,
    ) -> Result<Option<Coming>, Problem> {
        let mut records = Vec::with_capacity(stored.len());
        for (_, bytes) in stored {
            let (record, _) = Record::decode(bytes, 0, format).map_err(Problem::Record)?;
            records.push(record);
        }
        // Of several levels that are split, the leaf comes last.
        let split = records.iter().rev().find_map(|record| match record {
            Record::Split2(record) => Some((record.page, record.split.iline_operation)),
            _ => None,
        });
        for (record, (lgpos, bytes)) in records.iter().zip(stored).filter(|_| split.is_some()) {
            if let Some(coming) = self.coming_of(record, bytes.len(), split)? {
                return Ok(Some(Coming {
                    lgpos: *lgpos,
                    ..coming
                }));
            }
        }
        Ok(None)
    }

    /// The same for a node operation, which a split does to a line of the page that it splits.
    fn coming_of(
        &mut self,
        record: &Record<'_>,
        bytes: usize,
        split: Option<(PageOp, u16)>,
    ) -> Result<Option<Coming>, Problem> {
        use NodeChangeKind::{FlagDelete, Insert, Remove, Replace, Undo};
        let kind = match record {
            Record::Insert(_) | Record::FlagInsert(_) | Record::FlagInsertAndReplaceData(_) => {
                Insert
            }
            Record::Replace(_)
            | Record::ReplaceDelta(_)
            | Record::Delta(_)
            | Record::Delta64(_) => Replace,
            Record::FlagDelete(_) => FlagDelete,
            Record::Delete(_) => Remove,
            Record::Undo(_) => Undo,
            _ => return Ok(None),
        };
        let Some((page, node)) = record.node_op() else {
            return Ok(None);
        };
        let (page, node) = (*page, *node);
        let observer = self.observer.as_ref();
        let interest = observer.map_or(Interest::Nothing, |observer| {
            observer.wants(page.dbid, node.objid)
        });
        if page.is_space() || interest == Interest::Nothing {
            return Ok(None);
        }
        let (key, after) = match record {
            _ if interest == Interest::ThatItChanged => (None, After::Nothing),
            Record::Insert(record) => {
                let key = [record.key_prefix, record.key_suffix].concat();
                (Some(key), After::Known(record.data.to_vec()))
            }
            Record::FlagInsert(record) => (
                Some(record.key.to_vec()),
                After::Known(record.data.to_vec()),
            ),
            Record::FlagInsertAndReplaceData(record) => (
                Some(record.key.to_vec()),
                After::Known(record.data.to_vec()),
            ),
            Record::Replace(record) => (None, After::Known(record.data.to_vec())),
            Record::ReplaceDelta(_) => (None, After::OnPage),
            Record::Delta(record) | Record::Delta64(record) => {
                (Some(record.bookmark_key.to_vec()), After::OnPage)
            }
            _ => (None, After::Nothing),
        };
        let added = match record {
            Record::Delta(record) => Some((record, 4)),
            Record::Delta64(record) => Some((record, 8)),
            _ => None,
        };
        let added = added.map(|(record, width)| AddedNumber {
            offset: record.offset,
            amount: record.delta,
            width,
        });
        let mut coming = Coming {
            lgpos: self.lgpos,
            page,
            node,
            kind,
            added,
            bytes,
            is_due: false,
            key,
            was_deleted: false,
            before: None,
            after,
            page_before: None,
        };
        let (at, line) = match split {
            Some((split, line)) => (split, line),
            None => (page, page.iline),
        };
        let Some(database) = self.databases.get_mut(&page.dbid) else {
            return Ok(Some(coming));
        };
        if database.is_gone(at.pgno) {
            return Ok(Some(coming));
        }
        match database.look(at.pgno)? {
            PageContent::Page(found) if found == at.dbtime_before => {}
            _ => return Ok(Some(coming)),
        }
        coming.is_due = true;
        let image = database.pages.get(at.pgno)?;
        let asks = self
            .observer
            .as_ref()
            .is_some_and(|own| own.asks_for_pages());
        coming.page_before = asks.then(|| sealed(image));
        if kind != Insert
            && let Ok(there) = image.node(usize::from(line))
        {
            coming.was_deleted = there.is_deleted();
            if interest == Interest::Data {
                coming.key = Some(there.key().to_vec());
                coming.before = (!there.is_deleted()).then(|| there.data.to_vec());
            }
        }
        Ok(Some(coming))
    }

    /// Shows a change, after redo has seen to its record.
    pub(super) fn show(&mut self, coming: Coming, outcome: RedoOutcome) -> Result<(), Problem> {
        let Some(mut observer) = self.observer.take() else {
            return Ok(());
        };
        let shown = self.show_change(&mut *observer, coming, outcome);
        self.observer = Some(observer);
        shown
    }

    fn show_change(
        &mut self,
        observer: &mut dyn RedoObserver,
        coming: Coming,
        outcome: RedoOutcome,
    ) -> Result<(), Problem> {
        let is_applied = outcome == RedoOutcome::Applied && coming.is_due;
        let Some(database) = self.databases.get_mut(&coming.page.dbid) else {
            return Ok(());
        };
        let after = match coming.after {
            After::Known(data) => Some(data),
            After::OnPage if is_applied => {
                let image = database.pages.get(coming.page.pgno)?;
                let there = image.node(usize::from(coming.page.iline));
                there.ok().map(|there| there.data.to_vec())
            }
            After::OnPage | After::Nothing => None,
        };
        let page_after = match &coming.page_before {
            Some(_) if is_applied => Some(sealed(database.pages.get(coming.page.pgno)?)),
            _ => None,
        };
        let change = NodeChange {
            pages: coming.page_before.as_deref().zip(page_after.as_deref()),
            lgpos: coming.lgpos,
            page: coming.page,
            node: coming.node,
            kind: coming.kind,
            added: coming.added,
            bytes: coming.bytes,
            is_applied,
            key: coming.key.as_deref(),
            was_deleted: coming.was_deleted && is_applied,
            before: coming.before.as_deref().filter(|_| is_applied),
            after: after.as_deref(),
        };
        observer.changed(&change, database)
    }

    /// A segment begins, whose records come next.
    pub(crate) fn segment_begins(&mut self, lgpos: Lgpos, time: LogTime) {
        if let Some(observer) = &mut self.observer {
            observer.segment_begins(lgpos, time);
        }
    }

    /// Shows a database that has come.
    pub(super) fn show_attached(&mut self, dbid: u8, name: &str) {
        if let (Some(observer), Some(database)) =
            (&mut self.observer, self.databases.get_mut(&dbid))
        {
            observer.attached(dbid, name, database);
        }
    }
}
