//! Changes of the catalog: tables, columns and indexes that come and go.

use super::Timeline;
use crate::change::RowChange;
use crate::event::Operation;
use crate::layout::TableLayout;
use crate::masked::Masked;
use crate::trees::Trees;
use ese_db::catalog::{CatalogRecord, ObjectKind};
use ese_replay::redo::NodeChangeKind;

impl Timeline {
    /// A record of the catalog.
    pub(super) fn catalog_changed(&mut self, change: &RowChange<'_>, database: &mut dyn Trees) {
        if change.kind == NodeChangeKind::Undo {
            self.open.undo(change.page.procid, change.node.rceid);
            if let Some(schema) = self.schemas.get_mut(&change.page.dbid) {
                schema.follow(None, None);
            }
            return;
        }
        if change.was_deleted || change.kind == NodeChangeKind::Remove {
            return;
        }
        let page_size = database.page_size();
        let read = |data: Option<&Masked>| {
            let data = data.filter(|data| data.is_complete())?;
            CatalogRecord::read(data.bytes(), page_size).ok()
        };
        let (before, after) = (read(change.before), read(change.after));
        let told = told(change.kind, before.as_ref(), after.as_ref());
        let of = after.as_ref().or(before.as_ref());
        let layout = of.map(|record| self.layout_for(change.page.dbid, record, database));
        if let Some(schema) = self.schemas.get_mut(&change.page.dbid) {
            schema.follow(before.as_ref(), after.as_ref());
        }
        if of.is_none() {
            self.summary.of_unknown_objects += 1;
        }
        let (Some((operation, record)), Some(layout)) = (told, layout) else {
            return;
        };
        let page = &change.page;
        let filter = &self.options.filter;
        if self.layouts[layout].is_system && !filter.with_system {
            return;
        }
        if !filter.takes_place(change.lgpos, page) {
            return self.add(change, None);
        }
        let mut event = self.event(change, operation, layout);
        let name_before = before.as_ref().map(|record| record.name().to_owned());
        let renamed = name_before.filter(|name| name != record.name());
        event.bookmark = None;
        event.object = match (operation, &before) {
            // A column that is deleted loses its name.
            (Operation::DeleteColumn, Some(before)) => Some((before.name().to_owned(), None)),
            _ => Some((record.name().to_owned(), renamed)),
        };
        self.keep(change, Some(event));
    }

    /// The layout of the table that a record of the catalog is about, or one with its name alone.
    fn layout_for(&mut self, dbid: u8, record: &CatalogRecord, database: &mut dyn Trees) -> usize {
        let known = self.schemas.get(&dbid);
        let known = known.and_then(|schema| schema.table(record.table()));
        let name = match record.kind() {
            ObjectKind::Table => Some(record.name().to_owned()),
            _ => None,
        };
        match (known, name) {
            (Some(layout), None) => layout,
            (Some(layout), Some(name)) if self.layouts[layout].name == name => layout,
            (None, None) => {
                if let Some(schema) = self.schemas.get_mut(&dbid) {
                    schema.refresh(database, &mut self.layouts);
                    if let Some(layout) = schema.table(record.table()) {
                        return layout;
                    }
                }
                self.nameless(format!("objid {}", record.table()), database)
            }
            (_, Some(name)) => self.nameless(name, database),
        }
    }

    fn nameless(&mut self, name: String, database: &dyn Trees) -> usize {
        let page_size = database.page_size();
        self.layouts.push(TableLayout::nameless(name, page_size));
        self.layouts.len() - 1
    }
}

/// What a change of the catalog means, and the record that says of what.
fn told<'r>(
    kind: NodeChangeKind,
    before: Option<&'r CatalogRecord>,
    after: Option<&'r CatalogRecord>,
) -> Option<(Operation, &'r CatalogRecord)> {
    use Operation::{
        AddColumn, CreateIndex, CreateTable, DeleteColumn, DropIndex, DropTable, RenameColumn,
        RenameTable,
    };
    let operations = match kind {
        NodeChangeKind::Insert => (CreateTable, AddColumn, CreateIndex),
        NodeChangeKind::FlagDelete | NodeChangeKind::Remove => (DropTable, DeleteColumn, DropIndex),
        NodeChangeKind::Replace => {
            let (before, after) = (before?, after?);
            return match after.kind() {
                ObjectKind::Column if after.is_deleted_column() && !before.is_deleted_column() => {
                    Some((DeleteColumn, after))
                }
                ObjectKind::Column if before.name() != after.name() => Some((RenameColumn, after)),
                ObjectKind::Table if before.name() != after.name() => Some((RenameTable, after)),
                _ => None,
            };
        }
        NodeChangeKind::Undo => return None,
    };
    let record = after.or(before)?;
    let operation = match record.kind() {
        ObjectKind::Table => operations.0,
        ObjectKind::Column => operations.1,
        ObjectKind::Index => operations.2,
        ObjectKind::LongValues | ObjectKind::Callback => return None,
    };
    Some((operation, record))
}
