//! Long values: values too long for their record, in a tree of the table's own.
//!
//! ```text
//! key: id (4 bytes, or 8 when the top bit is set), big-endian     data: references u32, size u32, (flags u8)
//! key: id, offset u32 big-endian                                  data: the piece of the value at that offset
//! ```
//!
//! All pieces except the last have the same size. A piece that is shorter than its place is compressed: nothing else
//! says so. Values with flag 1 are encrypted. Source: `LVKEY32`, `LVKEY64` (`inc/lv.hxx`), `LVROOT`, `LVROOT2`
//! (`inc/rec.hxx`), `FLVCompressedChunk` (`ese/lv.cxx`).

use crate::btree::Tree;
use crate::catalog::Table;
use crate::compression::{self, CompressionScheme};
use crate::{Database, DbError, Page};
use byteorder::{ByteOrder, LittleEndian};
use ese_format::Pgno;
use ese_format::page::{Key, PageSize};
use std::sync::OnceLock;

const WIDE_ID: u64 = 1 << 63;
const ENCRYPTED: u8 = 1;

/// Reads the long values of one table.
#[derive(Debug)]
pub struct LongValues {
    db: Database,
    tree: Tree,
    chunk_size: usize,
    /// First key and number of every leaf: made when the way down is damaged.
    leaves: OnceLock<Vec<(Vec<u8>, Pgno)>>,
}

impl LongValues {
    /// The long values of `table`; `None` when it has no tree for them.
    pub fn new(db: &Database, table: &Table) -> Option<Self> {
        let tree = table.long_values?;
        Some(LongValues {
            db: db.clone(),
            tree: Tree::new(tree.root, tree.objid),
            chunk_size: chunk_size(table, db.page_size()),
            leaves: OnceLock::new(),
        })
    }

    /// The value that a record refers to by these bytes, piece by piece.
    pub fn pieces_of(&self, reference: &[u8]) -> Result<Pieces<'_>, DbError> {
        self.pieces(id_of(reference)?)
    }

    /// The value `id`, piece by piece.
    pub fn pieces(&self, id: u64) -> Result<Pieces<'_>, DbError> {
        Pieces::open(self, id)
    }

    /// The leaf on which the value starts: by the upper levels, or among all leaves when these are damaged.
    fn leaf_of(&self, key: &[u8]) -> Result<Page, DbError> {
        let direct = self.tree.find_leaf(&self.db, Key::from(key));
        let Err(error) = direct else { return direct };
        let leaves = self.leaves.get_or_init(|| {
            let first_key = |page: Page| {
                let key = page.view().node(0).ok()?.key().to_vec();
                Some((key, page.pgno()))
            };
            self.tree.leaves(&self.db).filter_map(first_key).collect()
        });
        let behind = leaves.partition_point(|(first, _)| first.as_slice() <= key);
        match behind.checked_sub(1).and_then(|index| leaves.get(index)) {
            Some((_, pgno)) => self.tree.load(&self.db, *pgno),
            None => Err(error),
        }
    }
}

/// Size of the pieces of a table's long values.
pub fn chunk_size(table: &Table, page_size: PageSize) -> usize {
    let size = table.chunk_size;
    size.map_or_else(|| default_chunk_size(page_size), |size| size as usize)
}

/// Size of the pieces where the catalog does not say (`InitVariablesWithPageSize`, `ese/jetapi.cxx`). Formats before
/// 0x620,11 have longer ones on large pages; where pieces follow each other their offsets show it.
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

/// The pieces of one long value in order, each unpacked; made by [`LongValues::pieces`].
///
/// At any time no more than two pieces are in memory. After the first thing that is wrong, pieces come as they are
/// stored, so that no byte is lost; [`Pieces::problem`] says so at the end.
pub struct Pieces<'v> {
    nodes: Nodes<'v>,
    chunk_size: usize,
    size: u32,
    encrypted: bool,
    /// A piece that was read to see where it starts.
    pending: Option<Piece>,
    /// Bytes given so far.
    given: u64,
    /// No further node belongs to the value, or none can be reached.
    ended: bool,
    problem: Option<String>,
    /// Why the walk ended early; nothing is lost by that if the value is whole already.
    broken: Option<String>,
}

/// A node of one value: its key after the id, and its data.
pub type OwnNode = (Vec<u8>, Vec<u8>);
/// The nodes of one value that are not deleted, in order, and `None` after the last.
pub type Nodes<'v> = Box<dyn FnMut() -> Result<Option<OwnNode>, DbError> + 'v>;

/// Goes through the nodes of one value in its tree.
struct Walk<'v> {
    values: &'v LongValues,
    key: Vec<u8>,
    page: Page,
    line: usize,
    pages_left: u32,
}

/// The bytes that the key of each node of the value `id` begins with.
pub fn key_of(id: u64) -> Vec<u8> {
    let wide = id.to_be_bytes();
    match id & WIDE_ID {
        0 => wide[4..].to_vec(),
        _ => wide.to_vec(),
    }
}

/// The id of a long value by the bytes that a record holds.
pub fn id_of(reference: &[u8]) -> Result<u64, DbError> {
    match reference.len() {
        size @ (4 | 8) => Ok(LittleEndian::read_uint(reference, size)),
        found => Err(DbError::Record {
            what: "id of a long value",
            offset: 0,
            needed: 4,
            found,
        }),
    }
}

impl Walk<'_> {
    fn next_node(&mut self) -> Result<Option<OwnNode>, DbError> {
        loop {
            let view = self.page.view();
            while self.line < view.node_count() {
                let node = view.node(self.line)?;
                self.line += 1;
                let key = node.key().to_vec();
                let Some(rest) = key.strip_prefix(self.key.as_slice()) else {
                    return Ok(None);
                };
                if !node.is_deleted() {
                    return Ok(Some((rest.to_vec(), node.data.to_vec())));
                }
            }
            let next = view.header().next();
            if next.is_null() || self.pages_left == 0 {
                return Ok(None);
            }
            self.pages_left -= 1;
            self.page = self.values.tree.load(&self.values.db, next)?;
            self.line = 0;
        }
    }
}

/// A piece as stored.
#[derive(Debug)]
struct Piece {
    offset: u32,
    data: Vec<u8>,
}

impl Piece {
    fn end(&self) -> u64 {
        u64::from(self.offset) + self.data.len() as u64
    }
}

impl std::fmt::Debug for Pieces<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pieces")
            .field("size", &self.size)
            .field("given", &self.given)
            .finish_non_exhaustive()
    }
}

impl<'v> Pieces<'v> {
    fn open(values: &'v LongValues, id: u64) -> Result<Self, DbError> {
        let key = key_of(id);
        let page = values.leaf_of(&key)?;
        let mut walk = Walk {
            values,
            line: first_at_or_after(&page, &key)?,
            key,
            page,
            pages_left: values.db.last_page().0,
        };
        let nodes = Box::new(move || walk.next_node());
        Pieces::of_nodes(id, values.chunk_size, nodes)
    }

    /// The value `id` whose nodes these are; pieces of a whole value are no longer than `chunk_size`.
    pub fn of_nodes(id: u64, chunk_size: usize, nodes: Nodes<'v>) -> Result<Self, DbError> {
        let fail = |what: String| DbError::LongValue { lid: id, what };
        let mut pieces = Pieces {
            nodes,
            chunk_size,
            size: 0,
            encrypted: false,
            pending: None,
            given: 0,
            ended: false,
            problem: None,
            broken: None,
        };
        let root = match (pieces.nodes)()? {
            Some((rest, data)) if rest.is_empty() => data,
            _ => return Err(fail("it is not in the tree".into())),
        };
        let &[_, _, _, _, a, b, c, d, ref rest @ ..] = root.as_slice() else {
            let found = root.len();
            return Err(fail(format!(
                "its root has {found} bytes, 8 or 9 are needed"
            )));
        };
        pieces.size = u32::from_le_bytes([a, b, c, d]);
        pieces.encrypted = rest.first().is_some_and(|flags| flags & ENCRYPTED != 0);
        Ok(pieces)
    }

    /// Whether the value is encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.encrypted
    }

    /// The length that the root of the value claims.
    pub fn claimed_size(&self) -> u32 {
        self.size
    }

    /// Whether every piece that was given is a part of the value itself: nothing was wrong so far.
    pub fn is_sound(&self) -> bool {
        !self.encrypted && self.problem.is_none() && self.broken.is_none()
    }

    /// The next node of the value that is not deleted, as it is stored: who walks these nodes gets no pieces.
    pub fn next_node(&mut self) -> Result<Option<OwnNode>, DbError> {
        (self.nodes)()
    }

    /// Where `node`, as it is stored, ends if it is the whole piece that begins at `start`: as long as its place, or packed.
    /// Pieces of the longer kind that older formats have are not known by it.
    pub fn end_of_piece(&self, (key, data): &OwnNode, start: u32) -> Option<u32> {
        let end = (u64::from(start) + self.chunk_size as u64).min(self.size.into());
        let end = u32::try_from(end).ok().filter(|end| *end > start)?;
        let place = (end - start) as usize;
        let is_packed = || {
            let scheme = data.first().copied().and_then(CompressionScheme::of);
            data.len() < place && scheme.is_some()
        };
        let is_whole = self.encrypted || data.len() == place || is_packed();
        (is_whole && key.as_slice() == start.to_be_bytes()).then_some(end)
    }

    /// Why the bytes given are not the value, when they are not. Known when no piece is left.
    pub fn problem(&self) -> Option<String> {
        if self.encrypted {
            return Some("the value is encrypted".into());
        }
        let short = || {
            let (have, size) = (self.given, self.size);
            match &self.broken {
                Some(error) => format!("a piece is lost: {error}"),
                None => format!("it has {have} bytes, its root claims {size}"),
            }
        };
        let whole = self.given == u64::from(self.size);
        self.problem.clone().or_else(|| (!whole).then(short))
    }

    fn next_stored(&mut self) -> Option<Piece> {
        if self.ended {
            return None;
        }
        match (self.nodes)() {
            Ok(Some((rest, data))) => {
                if let Ok(offset) = rest.try_into() {
                    let offset = u32::from_be_bytes(offset);
                    return Some(Piece { offset, data });
                }
            }
            Ok(None) => {}
            Err(error) => self.broken = Some(error.to_string()),
        }
        self.ended = true;
        None
    }

    /// The bytes that a piece stands for; the one after it starts at `next`.
    fn unpack(&mut self, piece: Piece, next: Option<u32>) -> Vec<u8> {
        if self.encrypted || self.problem.is_some() {
            return piece.data;
        }
        let Piece { offset, data } = piece;
        if u64::from(offset) != self.given {
            self.problem = Some(format!("the piece at offset {} is missing", self.given));
            return data;
        }
        let end = next.unwrap_or(self.size).min(self.size);
        let longest = self.chunk_size.max(data.len());
        let place = (end.saturating_sub(offset) as usize).min(longest);
        if data.len() >= place {
            return data;
        }
        let what = match compression::decompress(&data) {
            Ok(unpacked) if unpacked.len() <= place => return unpacked,
            Ok(unpacked) => {
                let found = unpacked.len();
                format!(" unpacks to {found} bytes, its place has {place}")
            }
            Err(error) => format!(": {error}"),
        };
        self.problem = Some(format!("the piece at offset {offset}{what}"));
        data
    }
}

impl Iterator for Pieces<'_> {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let size = u64::from(self.size);
        let piece = match self.pending.take() {
            Some(piece) => piece,
            None if self.given >= size && self.problem().is_none() => return None,
            None => self.next_stored()?,
        };
        // How long the piece should be depends on where the next one starts, unless it reaches the end as it is.
        if piece.end() < size {
            self.pending = self.next_stored();
        }
        let next = self.pending.as_ref().map(|piece| piece.offset);
        let bytes = self.unpack(piece, next);
        self.given += bytes.len() as u64;
        Some(bytes)
    }
}
