//! A record may hold several values in a column that the catalog says has one. JSON Lines gives them all; Parquet has
//! no room for them, so each is kept among the problems.

use ese_db::catalog::ColumnFlags;
use ese_db::record::Field;
use ese_db::rows::{Content, Contents};
use ese_db::{Database, MemorySource, OverlaySource, TableReader, Value};
use ese_export::{ExportManifest, ExportOptions, FileEntry, Format, SourceEntry, export};
use ese_format::hex;
use ese_testkit::fixtures;
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The database with the flag for several values taken from every column in the catalog.
fn without_the_flag(bytes: Vec<u8>) -> Database {
    let base = MemorySource::new(bytes).unwrap();
    let whole = Database::new(base.clone());
    let catalog = whole.catalog().unwrap();
    let mut overlay = OverlaySource::new(base);
    let mut pages: BTreeMap<_, Vec<u8>> = BTreeMap::new();
    for name in ["MSysObjects", "MSysObjectsShadow"] {
        let reader = TableReader::new(&whole, catalog.table(name).unwrap());
        let column = |name: &str| reader.columns().find(|column| column.name == name).unwrap();
        for row in reader.rows() {
            const COLUMN: i64 = 2;
            let fields = row.fields().unwrap();
            if fields.value(column("Type")) != Value::Integer(COLUMN) {
                continue;
            }
            let Ok(Field::Single(flags)) = fields.stored(column("Flags")) else {
                continue;
            };
            let record = row.node().unwrap().data;
            let inside = flags.bytes.as_ptr() as usize - record.as_ptr() as usize;
            let pgno = row.place().0;
            let page = pages
                .entry(pgno)
                .or_insert_with(|| whole.raw_page(pgno).unwrap());
            let at = page.windows(record.len()).position(|bytes| bytes == record);
            page[at.unwrap() + inside] &= !(ColumnFlags::MULTI_VALUED.bits() as u8);
        }
    }
    for (pgno, page) in pages {
        assert!(overlay.put(pgno, page.into()));
    }
    Database::new(overlay)
}

fn run(db: &Database, to: &Path, format: Format) -> ExportManifest {
    let options = ExportOptions {
        source: String::new(),
        tables: vec!["Items".into()],
        format,
        to: to.to_owned(),
        force: false,
        inline_limit: 1000,
        deleted: false,
        decoded: false,
        source_column: None,
    };
    let source = SourceEntry {
        file: FileEntry::new(PathBuf::new(), 0),
        page_size: db.page_size().bytes(),
        last_page: db.last_page(),
        dirty: false,
        header: None,
    };
    export(db, || Ok(source.into()), &options, &()).unwrap()
}

/// The bytes of every one of several values, in hexadecimal, by row and column.
fn several(db: &Database) -> BTreeMap<(String, String), Vec<String>> {
    let catalog = db.catalog().unwrap();
    let reader = TableReader::new(db, catalog.table("Items").unwrap());
    let mut all = BTreeMap::new();
    for row in reader.rows() {
        let fields = row.fields().unwrap();
        for column in reader.columns() {
            if let Contents::Several(contents) = fields.contents(column) {
                let bytes = contents.into_iter().map(|content| match content {
                    Content::Bytes(bytes) => hex::encode(&bytes),
                    Content::Separated(long) => {
                        hex::encode(long.pieces().unwrap().flatten().collect::<Vec<_>>())
                    }
                    Content::Undecoded(_, reason) => panic!("{reason}"),
                });
                all.insert(
                    (hex::encode(fields.key()), column.name.clone()),
                    bytes.collect(),
                );
            }
        }
    }
    all
}

#[test]
fn parquet_keeps_them_among_the_problems() {
    let set = fixtures::engine_set("exchange-standby-p8k");
    let db = without_the_flag(fs::read(set.join("recovered/db.edb")).unwrap());
    let expected = several(&db);
    let count: usize = expected.values().map(Vec::len).sum();
    eprintln!("{count} values in {} cells", expected.len());
    assert!(expected.len() > 10);

    let folder = tempfile::tempdir().unwrap();
    let manifest = run(&db, &folder.path().join("jsonl"), Format::Jsonl);
    assert!(manifest.is_complete(), "JSON Lines has room for them");

    let to = folder.path().join("parquet");
    let manifest = run(&db, &to, Format::Parquet);
    assert_eq!(manifest.values_lost, count as u64);
    assert!(!manifest.tables[0].columns.iter().any(|column| column.list));
    let mut found: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for line in fs::read_to_string(to.join("problems.jsonl"))
        .unwrap()
        .lines()
    {
        let line: Json = serde_json::from_str(line).unwrap();
        let text = |name: &str| line[name].as_str().map(str::to_owned);
        let bytes = text("bytes")
            .unwrap_or_else(|| hex::encode(fs::read(to.join(text("file").unwrap())).unwrap()));
        let cell = (text("key").unwrap(), text("column").unwrap());
        found.entry(cell).or_default().push(bytes);
    }
    assert_eq!(found, expected);
}
