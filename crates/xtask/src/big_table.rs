//! A database of any size whose rows can be read: the rows of one table over and over, in a tree built anew.
//!
//! ```text
//! pages of the old database | leaves, in order | parents of leaves | ... | (the root keeps its place)
//! ```
//!
//! A number is put before each key, so that keys rise through all copies. Space trees and other indexes know nothing of
//! the new pages: good for reading tables, not for `space`.

use ese_checksum::seal_page;
use ese_db::{Database, FileSource, Page, TableReader};
use ese_format::Pgno;
use ese_format::page::{NodeFlags, PageFlags};
use ese_replay::page_edit::PageBuffer;
use std::error::Error;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

type Failed = Box<dyn Error>;

/// Writes a database of about `mebibytes` MiB to `path`, which must not exist: `table` of `original` grown to fill it.
pub(crate) fn write(
    path: &Path,
    mebibytes: &str,
    original: &Path,
    table: &str,
) -> Result<(), String> {
    let mebibytes: u64 = mebibytes
        .parse()
        .map_err(|error| format!("{mebibytes:?}: {error}"))?;
    grow(path, mebibytes << 20, original, table)
        .map_err(|error| format!("{}: {error}", path.display()))
}

fn grow(path: &Path, bytes: u64, original: &Path, table: &str) -> Result<(), Failed> {
    let db = Database::new(FileSource::open(original)?);
    let catalog = db.catalog()?;
    let table = catalog.table(table).ok_or("no such table")?;
    let rows = rows(&TableReader::new(&db, table))?;
    let root = table.tree().load(&db, table.tree().root)?;

    let mut file = BufWriter::with_capacity(1 << 20, File::create_new(path)?);
    file.write_all(&fs::read(original)?)?;
    let mut writer = Writer {
        file,
        root,
        next: Pgno(db.last_page().0 + 1),
    };
    let pages = bytes / u64::from(db.page_size().bytes());
    let mut level = writer.leaves(&rows, pages)?;
    let mut kind = PageFlags::PARENT_OF_LEAF;
    // A root holds its space header beside its nodes, and nodes here are small.
    while level.len() > 50 {
        level = writer.parents(level, kind)?;
        kind = PageFlags::empty();
    }
    let root = writer.new_root(&level, kind)?;
    let at = (u64::from(root.pgno().0) + 1) * root.bytes().len() as u64;
    let file = writer.file.into_inner()?;
    file.write_all_at(root.bytes(), at)?;
    Ok(file.sync_all()?)
}

/// A row as its node holds it: key, record.
type Row = (Vec<u8>, Vec<u8>);

fn rows(reader: &TableReader) -> Result<Vec<Row>, Failed> {
    let mut found = Vec::new();
    for row in reader.rows() {
        let node = row.node()?;
        found.push((node.key().to_vec(), node.data.to_vec()));
    }
    if found.is_empty() {
        return Err("the table has no rows".into());
    }
    Ok(found)
}

/// A page that has its place: the first key that may be on it, and its number.
type Child = (Vec<u8>, Pgno);

struct Writer {
    file: BufWriter<File>,
    /// The tree's root, whose header new pages take after.
    root: Page,
    /// The number of the page to be written next.
    next: Pgno,
}

impl Writer {
    /// An empty page of the tree.
    fn page(&self, kind: PageFlags) -> Result<PageBuffer, Failed> {
        let view = self.root.view();
        let header = view.header();
        let mut page = PageBuffer::new_preinit(view.bytes().len(), self.next, header.objid())?;
        let inherited = header.flags() & (PageFlags::NON_UNIQUE_KEYS | PageFlags::FLUSH_TYPE);
        page.consume(kind | inherited);
        page.set_dbtime(header.dbtime());
        Ok(page)
    }

    fn put_leaf(&mut self, mut page: PageBuffer, first: bool, last: bool) -> Result<(), Failed> {
        let own = page.pgno().0;
        page.set_previous(Pgno(if first { 0 } else { own - 1 }));
        page.set_next(Pgno(if last { 0 } else { own + 1 }));
        self.put(page)
    }

    fn put(&mut self, page: PageBuffer) -> Result<(), Failed> {
        let own = page.pgno().0;
        let mut bytes = page.into_bytes();
        seal_page(&mut bytes, own);
        self.file.write_all(&bytes)?;
        self.next = Pgno(own + 1);
        Ok(())
    }

    /// The rows over and over, until there are `pages`.
    fn leaves(&mut self, rows: &[Row], pages: u64) -> Result<Vec<Child>, Failed> {
        let mut children = Vec::new();
        let mut page = self.page(PageFlags::LEAF)?;
        for copy in 0_u32.. {
            for (key, record) in rows {
                let key = [&copy.to_be_bytes()[..], key].concat();
                let line = page.node_count();
                if page
                    .insert_node_compressed(line, &key, record, NodeFlags::empty())
                    .is_ok()
                {
                    if line == 0 {
                        children.push((key, page.pgno()));
                    }
                    continue;
                }
                if u64::from(self.next.0) >= pages {
                    self.put_leaf(page, children.len() == 1, true)?;
                    return Ok(children);
                }
                self.put_leaf(page, children.len() == 1, false)?;
                page = self.page(PageFlags::LEAF)?;
                // All keys of this page begin with the number of the copy, or the next one.
                page.set_external_header(&key[..key.len().min(8)])?;
                page.insert_node_compressed(0, &key, record, NodeFlags::empty())?;
                children.push((key, page.pgno()));
            }
        }
        Err("more rows than keys can be told apart".into())
    }

    /// The level above `children`. Such pages have no siblings.
    fn parents(&mut self, children: Vec<Child>, kind: PageFlags) -> Result<Vec<Child>, Failed> {
        let mut parents: Vec<Child> = Vec::new();
        let per_page = self.root.view().bytes().len() / 40;
        for (number, group) in children.chunks(per_page).enumerate() {
            let mut page = self.page(kind)?;
            let behind = children.get((number + 1) * per_page);
            append(&mut page, group, behind)?;
            parents.push((group[0].0.clone(), page.pgno()));
            self.put(page)?;
        }
        Ok(parents)
    }

    /// The root with `children` instead of what it had.
    fn new_root(&self, children: &[Child], kind: PageFlags) -> Result<PageBuffer, Failed> {
        let view = self.root.view();
        let pgno = self.root.pgno();
        let mut root = PageBuffer::from_bytes(view.bytes().into(), pgno)?;
        root.delete_all_nodes()?;
        let level = PageFlags::LEAF | PageFlags::PARENT_OF_LEAF;
        root.set_flags((root.flags() - level) | kind);
        append(&mut root, children, None)?;
        let mut bytes = root.into_bytes();
        seal_page(&mut bytes, pgno.0);
        Ok(PageBuffer::from_bytes(bytes, pgno)?)
    }
}

/// Puts a node for each child: the keys of a child are below the key of its node; the last node of a level has none.
fn append(page: &mut PageBuffer, children: &[Child], behind: Option<&Child>) -> Result<(), Failed> {
    let bounds = children[1..].iter().chain(behind).map(|(key, _)| &key[..]);
    let bounds = bounds.chain([&[][..]]);
    for ((_, pgno), bound) in children.iter().zip(bounds) {
        let line = page.node_count();
        let data = pgno.0.to_le_bytes();
        page.insert_node(line, 0, bound, &data, NodeFlags::empty())?;
    }
    Ok(())
}
