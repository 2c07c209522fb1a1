//! Any bytes give an answer: pages are changed behind the back of their checksums, and everything is read.

use ese_db::space::SpaceMap;
use ese_db::{Database, MemorySource, OverlaySource, TableReader};
use ese_format::Pgno;
use ese_testkit::fixtures;
use proptest::prelude::*;
use std::sync::{Arc, OnceLock};

/// Reads all there is; returns the number of rows.
fn read_everything(db: &Database) -> usize {
    let Ok(catalog) = db.catalog() else { return 0 };
    let map = SpaceMap::read(db, &catalog);
    let _ = (map.leaked(db), map.first_unused(), map.owner(Pgno(7)));
    let mut rows = 0;
    for table in &catalog.tables {
        let reader = TableReader::new(db, table);
        for row in reader.rows_with_deleted() {
            let Ok(fields) = row.fields() else { continue };
            for column in reader.columns() {
                let _ = fields.value(column);
            }
            rows += 1;
        }
    }
    rows
}

fn databases() -> &'static [Arc<Vec<u8>>] {
    static DATABASES: OnceLock<Vec<Arc<Vec<u8>>>> = OnceLock::new();
    DATABASES.get_or_init(|| {
        let first = fixtures::either("merge-p4k", "crash-p8k");
        let sets = [first, "esc64-cctx-p4k", "clean-p32k"];
        let read = |name| {
            let set = fixtures::engine_set(name);
            let recovered = set.join("recovered/db.edb");
            let state = set.join("state/db.edb");
            let path = if recovered.exists() { recovered } else { state };
            Arc::new(std::fs::read(path).unwrap())
        };
        sets.into_iter().map(read).collect()
    })
}

#[derive(Debug, Clone)]
struct Change {
    page: prop::sample::Index,
    at: prop::sample::Index,
    bytes: Vec<u8>,
    from_end: bool,
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let bytes = prop_oneof![
        prop::collection::vec(any::<u8>(), 1..4),
        Just(vec![0xff, 0xff]),
        Just(vec![0, 0, 0, 0]),
    ];
    let change = (
        any::<prop::sample::Index>(),
        any::<prop::sample::Index>(),
        bytes,
        any::<bool>(),
    );
    let change = change.prop_map(|(page, at, bytes, from_end)| Change {
        page,
        at,
        bytes,
        from_end,
    });
    prop::collection::vec(change, 1..30)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn changed_pages_never_panic(which in any::<prop::sample::Index>(), changes in changes()) {
        let databases = databases();
        let bytes = databases[which.index(databases.len())].clone();
        let base = MemorySource::new(SharedBytes(bytes)).unwrap();
        let mut overlay = OverlaySource::new(base);
        let whole = Database::new(overlay.clone());
        for change in &changes {
            let pgno = Pgno(change.page.index(whole.last_page().0 as usize) as u32 + 1);
            let mut page = whole.raw_page(pgno).unwrap();
            // Headers and tags are at both ends of a page; most of what steers a reader is there.
            let reach = 160.min(page.len());
            let at = change.at.index(reach);
            let at = if change.from_end { page.len() - reach + at } else { at };
            for (place, byte) in page[at..].iter_mut().zip(&change.bytes) {
                *place = *byte;
            }
            prop_assert!(overlay.put(pgno, page.into()));
        }
        read_everything(&Database::new(overlay));
    }
}

#[test]
fn cycles_and_wild_links_are_findings_and_cost_no_row() {
    let set = fixtures::engine_set("esc64-cctx-p4k");
    let base = MemorySource::new(std::fs::read(set.join("recovered/db.edb")).unwrap()).unwrap();
    let whole = Database::new(base.clone());
    let catalog = whole.catalog().unwrap();
    let table = catalog.table("Items").unwrap();
    let rows = TableReader::new(&whole, table).rows().count();
    let root = whole.page(table.root).unwrap();
    assert!(root.view().flags().is_internal() && root.view().node_count() > 4);
    for target in [table.root.0, table.root.0 + 1, 0, 2, 0xffff_fff0] {
        let mut page = whole.raw_page(table.root).unwrap();
        let tag = root
            .view()
            .tag(root.view().reserved_tag_count() + 2)
            .unwrap();
        // The number of the child is the end of the node.
        let end = whole.page_size().header_size() + tag.offset + tag.size;
        page[end - 4..end].copy_from_slice(&target.to_le_bytes());
        let mut overlay = OverlaySource::new(base.clone());
        assert!(overlay.put(table.root, page.into()));
        let db = Database::new(overlay);
        let reader = TableReader::new(&db, table);
        let mut found = reader.rows();
        assert_eq!(found.by_ref().count(), rows, "link to {target}");
        let losses = found.losses();
        assert!(
            losses.pages.contains_key(&Pgno(target)),
            "{target}: {losses:?}"
        );
        assert_eq!(losses.leaves_off_path, 1, "its siblings lead to the leaf");
    }
}

#[derive(Clone)]
struct SharedBytes(Arc<Vec<u8>>);

impl AsRef<[u8]> for SharedBytes {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

#[test]
fn a_file_cut_anywhere_gives_an_answer() {
    for bytes in databases() {
        let whole = MemorySource::new(SharedBytes(bytes.clone())).unwrap();
        assert!(
            read_everything(&Database::new(whole)) > 40,
            "there is something to read"
        );
        for length in [
            0,
            1,
            4095,
            4096,
            8192,
            12_288,
            20_000,
            bytes.len() / 2,
            bytes.len() - 1,
        ] {
            let cut = bytes[..length.min(bytes.len())].to_vec();
            if let Ok(source) = MemorySource::new(cut) {
                read_everything(&Database::new(source));
            }
        }
    }
}
