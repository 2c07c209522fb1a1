//! Which changes are wanted.

use crate::event::{Operation, RowImage, Status};
use crate::layout::TableLayout;
use ese_db::may_mean;
use ese_format::record::PageOp;
use ese_format::{Lgpos, LogTime, Pgno, ProcId, hex};
use jiff::Timestamp;
use serde_json::Value;

/// Which changes are wanted: those that pass all that is set.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Of these tables, compared without case.
    pub tables: Vec<String>,
    /// With this in a column: name and value, as the value's JSON or its text; before or after.
    pub conditions: Vec<(String, String)>,
    /// Of the row with this bookmark.
    pub bookmark: Option<Vec<u8>>,
    /// These operations.
    pub operations: Vec<Operation>,
    /// Of this session.
    pub session: Option<ProcId>,
    /// Of the transaction with this id.
    pub transaction: Option<u32>,
    /// On this page.
    pub page: Option<Pgno>,
    /// From this record on.
    pub since: Option<Lgpos>,
    /// Up to this record.
    pub until: Option<Lgpos>,
    /// Those that may have been made at this time or later.
    pub since_time: Option<Timestamp>,
    /// Those that may have been made at this time or earlier.
    pub until_time: Option<Timestamp>,
    /// Only those that ended so.
    pub status: Option<Status>,
    /// Tables of the engine too.
    pub with_system: bool,
}

impl Filter {
    /// Wants the row with this key: `COLUMN=VALUE`, of which there may be several, or its bookmark in hexadecimal. Says what is
    /// wrong with it, if anything.
    pub fn add_key(&mut self, key: &str) -> Result<(), String> {
        if let Some((column, value)) = key.split_once('=') {
            self.conditions.push((column.to_owned(), value.to_owned()));
            return Ok(());
        }
        let digits = key.strip_prefix("0x").unwrap_or(key);
        let bookmark = hex::decode(digits).ok_or_else(|| {
            format!("{key:?} is neither COLUMN=VALUE nor a bookmark in hexadecimal")
        })?;
        match self.bookmark.replace(bookmark) {
            None => Ok(()),
            Some(_) => Err("a row has one bookmark; --key names several".to_owned()),
        }
    }

    /// Whether a record at this place, with this change of a page, may be wanted.
    pub(crate) fn takes_place(&self, lgpos: Lgpos, page: &PageOp) -> bool {
        self.since.is_none_or(|since| lgpos >= since)
            && self.until.is_none_or(|until| lgpos <= until)
            && self.page.is_none_or(|wanted| wanted == page.pgno)
            && self.session.is_none_or(|wanted| wanted == page.procid)
            && self.transaction.is_none_or(|wanted| wanted == page.trx)
    }

    /// Whether a change that was made between these times, as far as they are known, may be wanted.
    pub(crate) fn takes_time(&self, earliest: LogTime, latest: LogTime) -> bool {
        let earliest = earliest.timestamp().zip(self.until_time);
        let latest = latest.timestamp().zip(self.since_time);
        earliest.is_none_or(|(earliest, until)| earliest <= until)
            && latest.is_none_or(|(latest, since)| latest >= since)
    }

    /// Whether changes of this kind to this table are wanted.
    pub(crate) fn takes(&self, table: &str, operation: Operation) -> bool {
        let is_named = |name: &String| may_mean(name, table);
        (self.tables.is_empty() || self.tables.iter().any(is_named))
            && (self.operations.is_empty() || self.operations.contains(&operation))
    }

    /// Whether it depends on what is in a row whether a change is wanted.
    pub(crate) fn asks_for_rows(&self) -> bool {
        !self.conditions.is_empty() || self.bookmark.is_some()
    }

    /// Whether the row, before or after, has what is asked for.
    pub(crate) fn takes_row(
        &self,
        bookmark: Option<&[u8]>,
        before: &RowImage,
        after: &RowImage,
    ) -> bool {
        if (self.bookmark.is_some()) && self.bookmark.as_deref() != bookmark {
            return false;
        }
        if self.conditions.is_empty() {
            return true;
        }
        [before, after].into_iter().any(|image| {
            let Ok(row) = serde_json::from_str::<Value>(&image.json) else {
                return false;
            };
            let mut conditions = self.conditions.iter();
            conditions.all(|(column, wanted)| {
                let is_it = |(name, _): &(String, String)| name.eq_ignore_ascii_case(column);
                !image.unknown.iter().any(is_it) && has(&row, column, wanted)
            })
        })
    }

    /// Tables that none of these layouts is of, and columns that none of the tables meant has.
    pub(crate) fn not_met(&self, layouts: &[TableLayout]) -> (Vec<String>, Vec<String>) {
        let is_meant = |layout: &&TableLayout| {
            self.tables.is_empty() || self.tables.iter().any(|name| may_mean(name, &layout.name))
        };
        let met: Vec<&TableLayout> = layouts.iter().filter(is_meant).collect();
        let tables = self.tables.iter();
        let tables = tables.filter(|name| !met.iter().any(|layout| may_mean(name, &layout.name)));
        let tables: Vec<String> = tables.cloned().collect();
        let columns = self.conditions.iter().map(|(column, _)| column);
        let columns = columns.filter(|column| !met.iter().any(|layout| layout.has(column)));
        let columns = match tables.is_empty() {
            true => columns.cloned().collect(),
            false => Vec::new(),
        };
        (tables, columns)
    }
}

/// Whether a column of `row`, found without case, or one of its values, is `wanted`. A null is the empty text.
fn has(row: &Value, column: &str, wanted: &str) -> bool {
    let Some(row) = row.as_object() else {
        return false;
    };
    let mut columns = row.iter();
    let found = columns.find(|(name, _)| name.eq_ignore_ascii_case(column));
    let Some((_, value)) = found else {
        return wanted.is_empty();
    };
    let is = |value: &Value| match value {
        Value::String(text) => text == wanted,
        other => {
            let other = other.to_string();
            other == wanted
        }
    };
    match value {
        Value::Array(values) => values.iter().any(is),
        value => is(value),
    }
}
