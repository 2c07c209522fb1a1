//! Long values: values too long for their record, in a tree of the table's own.
//!
//! ```text
//! key: id (4 bytes, or 8 when the top bit is set), big-endian     data: references u32, size u32, (flags u8)
//! key: id, offset u32 big-endian                                  data: the piece of the value at that offset
//! ```
//!
//! Pieces are of equal size but the last. A piece that is shorter than its place is compressed: nothing else says so.
//! Values with flag 1 are encrypted. Source: `LVKEY32`, `LVKEY64` (`inc/lv.hxx`), `LVROOT`, `LVROOT2`
//! (`inc/rec.hxx`), `FLVCompressedChunk` (`ese/lv.cxx`).

use crate::btree::Tree;
use crate::catalog::Table;
use crate::{Database, DbError, Page, compression};
use ese_format::Pgno;
use ese_format::page::{Key, Node, PageSize};
use std::sync::OnceLock;

const WIDE_ID: u64 = 1 << 63;
const ENCRYPTED: u8 = 1;

/// A long value as far as it could be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LongValue {
    /// The bytes; as stored when the value is encrypted.
    pub bytes: Vec<u8>,
    /// The size that the value's root claims.
    pub size: u32,
    /// How many records hold it.
    pub references: u32,
    /// Why the bytes are not the value, when they are not.
    pub problem: Option<String>,
}

/// Reads the long values of one table.
#[derive(Debug)]
pub struct LongValues<'d> {
    db: &'d Database,
    tree: Tree,
    chunk_size: usize,
    /// First key and number of every leaf: made when the way down is damaged.
    leaves: OnceLock<Vec<(Vec<u8>, Pgno)>>,
}

impl<'d> LongValues<'d> {
    /// The long values of `table`; `None` when it has no tree for them.
    pub fn new(db: &'d Database, table: &Table) -> Option<Self> {
        let tree = table.long_values?;
        let size = table
            .chunk_size
            .map_or_else(|| default_chunk_size(db.page_size()), |size| size as usize);
        Some(LongValues {
            db,
            tree: Tree::new(tree.root, tree.objid),
            chunk_size: size,
            leaves: OnceLock::new(),
        })
    }

    /// The value that a record refers to by these bytes.
    pub fn read_reference(&self, reference: &[u8]) -> Result<LongValue, DbError> {
        let id = match *reference {
            [a, b, c, d] => u64::from(u32::from_le_bytes([a, b, c, d])),
            [a, b, c, d, e, f, g, h] => u64::from_le_bytes([a, b, c, d, e, f, g, h]),
            _ => {
                return Err(DbError::Record {
                    what: "id of a long value",
                    offset: 0,
                    needed: 4,
                    found: reference.len(),
                });
            }
        };
        self.read(id)
    }

    /// The value `id`.
    pub fn read(&self, id: u64) -> Result<LongValue, DbError> {
        let wide = id.to_be_bytes();
        let key = if id & WIDE_ID == 0 {
            &wide[4..]
        } else {
            &wide[..]
        };
        let mut page = self.leaf_of(key)?;
        let mut reading: Option<Reading> = None;
        let mut pages_left = self.db.last_page().0;
        'pages: loop {
            let view = page.view();
            for line in first_at_or_after(&page, key)?..view.node_count() {
                let node = view.node(line)?;
                let whole_key = node.key().to_vec();
                let Some(rest) = whole_key.strip_prefix(key) else {
                    break 'pages;
                };
                match (&mut reading, rest) {
                    _ if node.is_deleted() => {}
                    (None, []) => reading = Some(Reading::start(id, &node, self.chunk_size)?),
                    (Some(reading), &[a, b, c, d]) => {
                        reading.piece(u32::from_be_bytes([a, b, c, d]), node.data);
                    }
                    _ => break 'pages,
                }
            }
            if reading.as_ref().is_some_and(Reading::is_complete) {
                break;
            }
            let next = view.header().next();
            if next.is_null() || pages_left == 0 {
                break;
            }
            pages_left -= 1;
            match self.tree.load(self.db, next) {
                Ok(loaded) => page = loaded,
                Err(error) => match &mut reading {
                    Some(reading) => {
                        reading.lose(&error);
                        break;
                    }
                    None => return Err(error),
                },
            }
        }
        reading
            .map(Reading::finish)
            .ok_or_else(|| DbError::LongValue {
                lid: id,
                what: "it is not in the tree".into(),
            })
    }

    /// The leaf on which the value starts: by the upper levels, or among all leaves when these are damaged.
    fn leaf_of(&self, key: &[u8]) -> Result<Page, DbError> {
        let direct = self.tree.find_leaf(self.db, Key::from(key));
        let Err(error) = direct else { return direct };
        let leaves = self.leaves.get_or_init(|| {
            let first_key = |page: Page| {
                let key = page.view().node(0).ok()?.key().to_vec();
                Some((key, page.pgno()))
            };
            self.tree.leaves(self.db).filter_map(first_key).collect()
        });
        let behind = leaves.partition_point(|(first, _)| first.as_slice() <= key);
        match behind.checked_sub(1).and_then(|index| leaves.get(index)) {
            Some((_, pgno)) => self.tree.load(self.db, *pgno),
            None => Err(error),
        }
    }
}

/// Size of the pieces where the catalog does not say (`InitVariablesWithPageSize`, `ese/jetapi.cxx`). Formats before
/// 0x620,11 have longer ones on large pages; where pieces follow each other their offsets tell.
fn default_chunk_size(page_size: PageSize) -> usize {
    const OVERHEAD: usize = 42;
    match page_size.bytes() {
        32_768 => 8150,
        16_384 => 4050,
        small => small as usize - OVERHEAD - page_size.header_size(),
    }
}

fn first_at_or_after(page: &Page, key: &[u8]) -> Result<usize, DbError> {
    let view = page.view();
    let (mut low, mut high) = (0, view.node_count());
    while low < high {
        let middle = (low + high) / 2;
        if view.node(middle)?.key() < Key::from(key) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low)
}

/// A value while its pieces come in.
struct Reading {
    value: LongValue,
    encrypted: bool,
    chunk_size: usize,
    /// The piece read last: how long it should be depends on where the next one starts.
    pending: Option<(u32, Vec<u8>)>,
}

impl Reading {
    fn start(id: u64, root: &Node<'_>, chunk_size: usize) -> Result<Self, DbError> {
        let &[a, b, c, d, e, f, g, h, ref rest @ ..] = root.data else {
            return Err(DbError::LongValue {
                lid: id,
                what: format!("its root has {} bytes, 8 or 9 are needed", root.data.len()),
            });
        };
        Ok(Reading {
            value: LongValue {
                bytes: Vec::new(),
                references: u32::from_le_bytes([a, b, c, d]),
                size: u32::from_le_bytes([e, f, g, h]),
                problem: None,
            },
            encrypted: rest.first().is_some_and(|flags| flags & ENCRYPTED != 0),
            chunk_size,
            pending: None,
        })
    }

    fn is_complete(&self) -> bool {
        self.pending.is_none() && self.value.bytes.len() >= self.value.size as usize
    }

    fn lose(&mut self, error: &DbError) {
        self.flush(None);
        self.value
            .problem
            .get_or_insert_with(|| format!("a piece is lost: {error}"));
    }

    fn piece(&mut self, offset: u32, data: &[u8]) {
        self.flush(Some(offset));
        if self.encrypted {
            self.value.bytes.extend_from_slice(data);
            return;
        }
        self.pending = Some((offset, data.to_vec()));
        if offset as usize + data.len() >= self.value.size as usize {
            self.flush(None);
        }
    }

    /// Takes the pending piece in; the next one starts at `next`.
    fn flush(&mut self, next: Option<u32>) {
        let Some((offset, data)) = self.pending.take() else {
            return;
        };
        if self.value.problem.is_some() {
            return;
        }
        let have = self.value.bytes.len();
        if offset as usize != have {
            let lost = format!("the piece at offset {have} is missing");
            self.value.problem = Some(lost);
            return;
        }
        let end = next.unwrap_or(self.value.size).min(self.value.size);
        let place = (end.saturating_sub(offset) as usize).min(self.chunk_size.max(data.len()));
        if data.len() >= place {
            self.value.bytes.extend_from_slice(&data);
            return;
        }
        match compression::decompress(&data) {
            Ok(unpacked) if unpacked.len() <= place => self.value.bytes.extend(unpacked),
            Ok(unpacked) => {
                let found = unpacked.len();
                self.value.problem = Some(format!(
                    "the piece at offset {offset} unpacks to {found} bytes, its place has {place}"
                ));
            }
            Err(error) => {
                self.value.problem = Some(format!("the piece at offset {offset}: {error}"));
                self.value.bytes.extend_from_slice(&data);
            }
        }
    }

    fn finish(mut self) -> LongValue {
        self.flush(None);
        let (have, size) = (self.value.bytes.len(), self.value.size as usize);
        if self.encrypted {
            self.value.problem = Some("the value is encrypted".into());
        } else if have != size && self.value.problem.is_none() {
            let problem = format!("it has {have} bytes, its root claims {size}");
            self.value.problem = Some(problem);
        }
        self.value
    }
}
