//! Long values at the moment of a record, and as they were before their session changed them.

use crate::change::RowChange;
use crate::layout::{LongValue, LongValues, LongWriter, TableLayout};
use crate::trees::Trees;
use ese_db::DbError;
use ese_db::long_value::{OwnNode, Pieces, id_of, key_of};
use ese_format::{Dbtime, ObjId};
use ese_replay::redo::NodeChangeKind;
use std::collections::BTreeMap;

/// What a node of a long value held before.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Before {
    /// It was not there.
    Nothing,
    /// This.
    Data(Vec<u8>),
    /// It was there, and what it held is not known.
    Unknown,
}

/// What a session has overwritten of long values since its last row.
#[derive(Debug, Default)]
pub(crate) struct Overwritten {
    nodes: BTreeMap<(u8, ObjId, Vec<u8>), Before>,
    /// Nodes that came or changed, and so belong to a row that is to come.
    made: u64,
}

impl Overwritten {
    /// Takes note of a change of a node.
    pub(crate) fn note(&mut self, change: &RowChange<'_>) {
        let Some(key) = change.key else { return };
        let before = match (change.kind, change.before) {
            (NodeChangeKind::Insert, _) => Before::Nothing,
            _ if change.was_deleted => return,
            (_, Some(data)) if data.is_complete() => Before::Data(data.bytes().to_vec()),
            _ => Before::Unknown,
        };
        let is_root = key.len() == 4 || key.len() == 8 && key[0] & 0x80 != 0;
        let makes = matches!(
            change.kind,
            NodeChangeKind::Insert | NodeChangeKind::Replace
        );
        self.made += u64::from(!is_root && makes);
        let place = (change.page.dbid, change.node.objid, key.to_vec());
        self.nodes.entry(place).or_insert(before);
    }

    /// How many pieces were made or changed for a row that did not come.
    pub(crate) fn without_row(&self) -> u64 {
        self.made
    }
}

/// The long value that a row refers to: as it is now, or with `earlier` as it was
/// before that. It must be in leaves that are no newer than `dbtime`.
pub(crate) fn fetch(
    (dbid, database): (u8, &mut dyn Trees),
    table: &TableLayout,
    reference: &[u8],
    earlier: Option<&Overwritten>,
    dbtime: Dbtime,
    values: &LongValues,
) -> LongValue {
    let read = read((dbid, database), table, reference, earlier, dbtime, values);
    read.unwrap_or_else(LongValue::Unknown)
}

fn read(
    (dbid, database): (u8, &mut dyn Trees),
    table: &TableLayout,
    reference: &[u8],
    earlier: Option<&Overwritten>,
    dbtime: Dbtime,
    values: &LongValues,
) -> Result<LongValue, String> {
    let id = id_of(reference).map_err(|error| error.to_string())?;
    let key = key_of(id);
    let Some((root, objid)) = table.long_values else {
        return Err("the table has no tree of long values".into());
    };
    let mut walk = database.nodes((root, objid), &key)?;
    let first = (dbid, objid, key.clone());
    let own = earlier.map(|earlier| earlier.nodes.range(first..));
    let mut own = own.into_iter().flatten().peekable();
    let broken = |what: String| DbError::LongValue { lid: id, what };
    let mut waiting: Option<OwnNode> = None;
    let mut is_over = false;
    let mut newer = false;
    // What is in the tree, and what was in it, both in the order of keys.
    let mut next = || -> Result<Option<OwnNode>, DbError> {
        loop {
            while waiting.is_none() && !is_over {
                let node = walk.next_node().map_err(&broken)?;
                newer |= walk.newest() > dbtime;
                match node.and_then(|node| {
                    let rest = node.key.strip_prefix(key.as_slice())?.to_vec();
                    Some((rest, node.is_deleted, node.data))
                }) {
                    Some((_, true, _)) => {}
                    Some((rest, false, data)) => waiting = Some((rest, data)),
                    None => is_over = true,
                }
            }
            let before = own.peek().and_then(|((of, tree, whole), before)| {
                let is_own = *of == dbid && *tree == objid;
                let rest = whole.strip_prefix(key.as_slice()).filter(|_| is_own)?;
                Some((rest.to_vec(), (*before).clone()))
            });
            let Some((rest, before)) = before else {
                return Ok(waiting.take());
            };
            match &waiting {
                Some((there, _)) if *there < rest => return Ok(waiting.take()),
                Some((there, _)) if *there == rest => waiting = None,
                _ => {}
            }
            own.next();
            match before {
                Before::Nothing => {}
                Before::Data(data) => return Ok(Some((rest, data))),
                Before::Unknown => return Err(broken("a piece of it is not known".into())),
            }
        }
    };
    let value = gather(id, table.chunk_size, &mut next, values)?;
    match newer {
        true => Err("its pages are of a later moment".into()),
        false => Ok(value),
    }
}

fn gather(
    id: u64,
    chunk_size: usize,
    next: &mut dyn FnMut() -> Result<Option<OwnNode>, DbError>,
    values: &LongValues,
) -> Result<LongValue, String> {
    let mut pieces =
        Pieces::of_nodes(id, chunk_size, Box::new(next)).map_err(|error| error.to_string())?;
    let mut writer = LongWriter::new(values);
    for piece in &mut pieces {
        writer.add(&piece)?;
    }
    match pieces.problem() {
        Some(problem) => Err(problem),
        None => writer.finish(),
    }
}
