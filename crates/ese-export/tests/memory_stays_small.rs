//! A long value larger than the memory that an export may use is written whole, and a size that is only claimed takes
//! no memory. One test alone in its program, since it measures the program's memory.

use ese_db::rows::{Content, Contents};
use ese_db::{Database, DbError, MemorySource, PageSource, Table, TableReader};
use ese_export::{ExportOptions, FileEntry, Format, INLINE_LIMIT, SourceEntry, export};
use ese_format::page::{Key, PageSize};
use ese_format::{ObjId, Pgno, hex};
use ese_testkit::fixtures;
use serde_json::Value as Json;
use sha2::{Digest, Sha256};
use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io::Read;
use std::path::PathBuf;

const PIECE: u32 = 8110;
const PIECES: u32 = 50_000;
const HEADER: usize = 40;

/// A database with a long value in pages that are made when they are read.
struct Grown {
    base: MemorySource<Vec<u8>>,
    changed: HashMap<Pgno, Vec<u8>>,
    tree: ObjId,
    id: Vec<u8>,
}

impl Grown {
    /// Page of the piece with this number.
    fn made(&self, number: u32) -> Vec<u8> {
        let mut node = (self.id.len() as u16 + 4).to_le_bytes().to_vec();
        node.extend(&self.id);
        node.extend((number * PIECE).to_be_bytes());
        node.extend(piece(number));
        let next = match number + 1 {
            PIECES => 0,
            next => self.base.last_page().0 + 1 + next,
        };
        leaf(self.tree, Pgno(next), &[node])
    }
}

/// Content of a piece: differs from piece to piece.
fn piece(number: u32) -> Vec<u8> {
    number
        .to_le_bytes()
        .into_iter()
        .cycle()
        .take(PIECE as usize)
        .collect()
}

/// A leaf page of 8 KiB; pages that are known to be good need no checksum.
fn leaf(tree: ObjId, next: Pgno, nodes: &[Vec<u8>]) -> Vec<u8> {
    const LEAF: u32 = 2;
    let mut page = vec![0; 8192];
    page[20..24].copy_from_slice(&next.0.to_le_bytes());
    page[24..28].copy_from_slice(&tree.0.to_le_bytes());
    page[34..36].copy_from_slice(&(nodes.len() as u16 + 1).to_le_bytes());
    page[36..40].copy_from_slice(&LEAF.to_le_bytes());
    let mut at = 0;
    for (index, node) in nodes.iter().enumerate() {
        page[HEADER + at..][..node.len()].copy_from_slice(node);
        let tag = 8192 - 4 * (index + 2);
        page[tag..][..2].copy_from_slice(&(node.len() as u16).to_le_bytes());
        page[tag + 2..][..2].copy_from_slice(&(at as u16).to_le_bytes());
        at += node.len();
    }
    page
}

impl PageSource for Grown {
    fn page_size(&self) -> PageSize {
        self.base.page_size()
    }

    fn last_page(&self) -> Pgno {
        Pgno(self.base.last_page().0 + PIECES)
    }

    fn read(&self, pgno: Pgno, buffer: &mut [u8]) -> Result<(), DbError> {
        match (
            self.changed.get(&pgno),
            pgno.0.checked_sub(self.base.last_page().0 + 1),
        ) {
            (Some(page), _) => buffer.copy_from_slice(page),
            (None, Some(number)) => buffer.copy_from_slice(&self.made(number)),
            (None, None) => return self.base.read(pgno, buffer),
        }
        Ok(())
    }

    fn is_trusted(&self, pgno: Pgno) -> bool {
        self.changed.contains_key(&pgno) || pgno > self.base.last_page()
    }
}

/// Ids, as in keys, of the first and the last long value that rows of `table` refer to. No other value is after
/// the last one, so it can grow.
fn first_and_last_id(db: &Database, table: &Table) -> Option<[Vec<u8>; 2]> {
    let reader = TableReader::new(db, table);
    let mut ids = BTreeSet::new();
    for row in reader.rows() {
        let fields = row.fields().unwrap();
        for column in reader.columns() {
            if let Contents::One(Content::Separated(long)) = fields.contents(column) {
                ids.insert(long.reference().iter().rev().copied().collect::<Vec<u8>>());
            }
        }
    }
    Some([ids.first()?.clone(), ids.last()?.clone()])
}

/// The most memory this program has had, in bytes.
fn peak_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib << 10)
}

#[test]
fn a_value_larger_than_memory_may_be_and_one_that_only_claims_to_be() {
    let set = fixtures::engine_set("crash-p8k");
    let base = MemorySource::new(fs::read(set.join("recovered/db.edb")).unwrap()).unwrap();
    let whole = Database::new(base.clone());
    let catalog = whole.catalog().unwrap();
    let table = catalog.table("Items").unwrap();
    let tree = table.long_values.unwrap();
    let [liar, giant] = first_and_last_id(&whole, table).unwrap();

    // Both roots claim another size; the leaf of the giant ends with its root and leads to the pages made for it.
    let mut changed: HashMap<Pgno, Vec<u8>> = HashMap::new();
    for (key, size) in [(&liar, u32::MAX), (&giant, PIECE * PIECES)] {
        let tree = ese_db::btree::Tree::new(tree.root, tree.objid);
        let page = tree.find_leaf(&whole, Key::from(key.as_slice())).unwrap();
        let view = page.view();
        let node = view
            .nodes()
            .map(Result::unwrap)
            .find(|node| node.key().to_vec() == *key);
        let node = node.unwrap();
        let tag = view.tag(node.itag).unwrap();
        let bytes = changed
            .entry(page.pgno())
            .or_insert_with(|| view.bytes().to_vec());
        let end = HEADER + tag.offset + tag.size;
        let claim = end - node.data.len() + 4;
        bytes[claim..claim + 4].copy_from_slice(&size.to_le_bytes());
        if *key == giant {
            bytes[20..24].copy_from_slice(&(whole.last_page().0 + 1).to_le_bytes());
            let tags = view.header().tag_state() & 0xf000 | (node.itag as u16 + 1);
            bytes[34..36].copy_from_slice(&tags.to_le_bytes());
        }
    }
    let db = Database::new(Grown {
        base,
        changed,
        tree: tree.objid,
        id: giant,
    });

    let folder = tempfile::tempdir().unwrap();
    let options = ExportOptions {
        source: String::new(),
        tables: vec!["Items".into()],
        format: Format::Jsonl,
        to: folder.path().to_owned(),
        force: false,
        inline_limit: INLINE_LIMIT,
        deleted: false,
        decoded: false,
        source_column: None,
    };
    let source = SourceEntry {
        file: FileEntry::new(PathBuf::new(), 0),
        page_size: 8192,
        last_page: db.last_page(),
        dirty: false,
        header: None,
    };
    let manifest = export(&db, || Ok(source.into()), &options, &()).unwrap();

    let mut expected = Sha256::new();
    (0..PIECES).for_each(|number| expected.update(piece(number)));
    let name = hex::encode(expected.finalize());
    let path = folder.path().join("blobs").join(&name[..2]).join(&name);
    assert_eq!(
        fs::metadata(&path).unwrap().len(),
        u64::from(PIECE * PIECES)
    );
    let mut start = vec![0; 3 * PIECE as usize];
    fs::File::open(&path)
        .unwrap()
        .read_exact(&mut start)
        .unwrap();
    assert_eq!(start, [piece(0), piece(1), piece(2)].concat());
    let rows = fs::read_to_string(folder.path().join("Items.jsonl")).unwrap();
    assert!(rows.contains(&format!("blobs/{}/{name}", &name[..2])));

    let problems = fs::read_to_string(folder.path().join("problems.jsonl")).unwrap();
    let problems: Vec<Json> = problems
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(problems.len() as u64, manifest.values_lost);
    let lies = problems.iter().filter(|line| {
        line["reason"]
            .as_str()
            .unwrap()
            .ends_with("its root claims 4294967295")
    });
    assert!(lies.count() > 0, "{problems:?}");

    match peak_memory() {
        Some(peak) => {
            eprintln!(
                "{} MiB in one value, {} MiB of memory",
                (u64::from(PIECE * PIECES)) >> 20,
                peak >> 20
            );
            assert!(peak < 256 << 20);
        }
        None => eprintln!("this system does not tell how much memory was used"),
    }
}
