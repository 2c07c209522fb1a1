//! The files of an export hold the rows that the engine reads, in every format, and the manifest tells the truth.

use ese_db::{Column, ColumnType, Database};
use ese_export::{
    ExportManifest, ExportOptions, FileEntry, Format, SourceEntry, TableEntry, export,
};
use ese_format::hex;
use ese_testkit::fixtures;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use serde_json::{Map, Value as Json, json};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs::{self, File};
use std::path::Path;

fn options(to: &Path, format: Format) -> ExportOptions {
    ExportOptions {
        source: String::new(),
        tables: Vec::new(),
        format,
        to: to.to_owned(),
        force: false,
        inline_limit: usize::MAX,
        deleted: false,
        decoded: false,
        source_column: None,
    }
}

fn run(database: &Path, options: &ExportOptions) -> ExportManifest {
    let db = Database::open(database).unwrap();
    let source = SourceEntry {
        file: FileEntry::new(database.to_owned(), fs::metadata(database).unwrap().len()),
        page_size: db.page_size().bytes(),
        last_page: db.last_page(),
        dirty: false,
        header: None,
    };
    export(&db, || Ok(source.into()), options, &()).unwrap()
}

/// A shipped set with long values of many pages.
const LONG_VALUES: &str = "exchange-standby-p8k";

#[test]
fn any_number_of_threads_writes_the_same_files() {
    let set = fixtures::engine_set(fixtures::either("big-p8k", LONG_VALUES));
    let hashes = |threads, format| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        let folder = tempfile::tempdir().unwrap();
        let options = ExportOptions {
            inline_limit: 4096,
            ..options(folder.path(), format)
        };
        let database = set.join("recovered/db.edb");
        let export = || run(&database, &options);
        let manifest = pool.build().unwrap().install(export);
        assert!(manifest.rows > 64 && manifest.blob_files > 0);
        let tables = manifest.tables.into_iter();
        tables
            .map(|table| (table.name, table.sha256))
            .collect::<Vec<_>>()
    };
    for format in [Format::Csv, Format::Jsonl, Format::Parquet] {
        assert_eq!(hashes(1, format), hashes(5, format));
    }
}

/// The rows of a table file as JSON objects without nulls.
fn rows(path: &Path, format: Format, columns: &[&Column]) -> Vec<Map<String, Json>> {
    match format {
        Format::Jsonl => fs::read_to_string(path)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect(),
        Format::Csv => csv_rows(path, columns),
        Format::Parquet => parquet_rows(path),
    }
}

fn csv_rows(path: &Path, columns: &[&Column]) -> Vec<Map<String, Json>> {
    let mut reader = csv::Reader::from_path(path).unwrap();
    let names = reader.headers().unwrap().clone();
    let typed = |name: &str, text: &str| {
        let column = columns.iter().find(|column| column.name == name);
        let is_text = !text.starts_with('[')
            && column.is_none_or(|column| {
                use ColumnType::*;
                let quoted = [Text, LongText, Guid, Binary, LongBinary, DateTime];
                quoted.contains(&column.column_type)
            });
        match is_text {
            true => json!(text),
            false => serde_json::from_str(text).unwrap(),
        }
    };
    let records = reader.records().map(|record| {
        let record = record.unwrap();
        let cells = names
            .iter()
            .zip(&record)
            .filter(|(_, text)| !text.is_empty());
        cells
            .map(|(name, text)| (name.to_owned(), typed(name, text)))
            .collect()
    });
    records.collect()
}

fn parquet_rows(path: &Path) -> Vec<Map<String, Json>> {
    let reader = SerializedFileReader::new(File::open(path).unwrap()).unwrap();
    let rows = reader.get_row_iter(None).unwrap().map(|row| {
        let row = row.unwrap();
        let cells = row
            .get_column_iter()
            .filter(|(_, field)| **field != Field::Null);
        cells
            .map(|(name, field)| (name.clone(), parquet_json(field)))
            .collect()
    });
    rows.collect()
}

fn parquet_json(field: &Field) -> Json {
    match field {
        Field::Null => Json::Null,
        Field::Bool(value) => json!(value),
        Field::Short(value) => json!(value),
        Field::Int(value) => json!(value),
        Field::Long(value) => json!(value),
        Field::UByte(value) => json!(value),
        Field::UShort(value) => json!(value),
        Field::UInt(value) => json!(value),
        Field::ULong(value) => json!(value),
        Field::Float(value) => json!(value),
        Field::Double(value) => json!(value),
        Field::Str(value) => json!(value),
        Field::Bytes(value) => json!(hex::encode(value.data())),
        Field::TimestampMicros(value) => json!(value),
        Field::ListInternal(list) => list.elements().iter().map(parquet_json).collect(),
        other => panic!("{other:?}"),
    }
}

/// The fixtures' canonical form of an exported cell; dates come from the column of raw bits.
fn canonical(cell: &Json, column: &Column) -> Json {
    if let Json::Array(cells) = cell {
        return cells.iter().map(|cell| canonical(cell, column)).collect();
    }
    let bytes = match column.column_type {
        ColumnType::Single => (cell.as_f64().unwrap() as f32).to_le_bytes().to_vec(),
        ColumnType::Double => cell.as_f64().unwrap().to_le_bytes().to_vec(),
        ColumnType::DateTime => match cell.as_str() {
            Some(bits) => u64::from_str_radix(&bits[2..], 16)
                .unwrap()
                .to_le_bytes()
                .to_vec(),
            None => cell.as_u64().unwrap().to_le_bytes().to_vec(),
        },
        ColumnType::Guid => guid(cell.as_str().unwrap()),
        ColumnType::Binary | ColumnType::LongBinary => hex::decode(cell.as_str().unwrap()).unwrap(),
        ColumnType::Text | ColumnType::LongText => {
            let text = cell.as_str().unwrap();
            if column.code_page != 1200 {
                if text.len() <= 300 {
                    return cell.clone();
                }
                text.as_bytes().to_vec()
            } else {
                text.encode_utf16().flat_map(u16::to_le_bytes).collect()
            }
        }
        _ => return cell.clone(),
    };
    of_bytes(&bytes)
}

fn of_bytes(bytes: &[u8]) -> Json {
    match bytes.len() {
        ..=300 => json!(format!("x:{}", hex::encode(bytes))),
        length => json!({"len": length, "sha256": hex::encode(Sha256::digest(bytes))}),
    }
}

/// The canonical form of a value that is in a row or in a file: `file` is what the row says of files.
fn of_row_or_file(cell: &Json, file: &Json, column: &Column, folder: &Path) -> Json {
    match (cell, file) {
        (_, Json::String(name)) => of_bytes(&fs::read(folder.join(name)).unwrap()),
        (Json::Array(cells), Json::Array(files)) => cells
            .iter()
            .zip(files)
            .map(|(cell, file)| of_row_or_file(cell, file, column, folder))
            .collect(),
        (Json::Null, Json::Array(files)) => files
            .iter()
            .map(|file| of_row_or_file(&Json::Null, file, column, folder))
            .collect(),
        (Json::Null, _) => Json::Null,
        _ => canonical(cell, column),
    }
}

fn guid(text: &str) -> Vec<u8> {
    let parts: Vec<Vec<u8>> = text
        .split('-')
        .map(|part| hex::decode(part).unwrap())
        .collect();
    let reversed = parts[..3].iter().flat_map(|part| part.iter().rev());
    reversed
        .chain(parts[3..].iter().flatten())
        .copied()
        .collect()
}

/// A text as CSV has it.
fn without_nul(text: &str) -> String {
    text.trim_end_matches('\0').replace('\0', "\\0")
}

/// Compares all rows of an export with the engine's dump of the same database.
fn compare(database: &Path, dump: &str, format: Format, inline_limit: usize) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let options = ExportOptions {
        inline_limit,
        ..options(folder.path(), format)
    };
    let manifest = run(database, &options);
    assert!(manifest.is_complete(), "{}", database.display());
    let with_nul = (format == Format::Csv).then(|| {
        let folder = tempfile::tempdir().unwrap();
        let options = ExportOptions {
            format: Format::Jsonl,
            to: folder.path().to_owned(),
            ..options.clone()
        };
        let manifest = run(database, &options);
        (folder, manifest)
    });
    let db = Database::open(database).unwrap();
    let catalog = db.catalog().unwrap();
    let mut compared = 0;
    for entry in &manifest.tables {
        let table = catalog.table(&entry.name).unwrap();
        let path = folder.path().join(&entry.file);
        let bytes = fs::read(&path).unwrap();
        assert_eq!(entry.bytes, bytes.len() as u64);
        assert_eq!(entry.sha256, hex::encode(Sha256::digest(&bytes)));
        let columns: Vec<&Column> = table.columns.iter().collect();
        let found = rows(&path, format, &columns);
        assert_eq!(entry.rows, found.len() as u64);
        let expected = dump
            .lines()
            .map(|line| serde_json::from_str::<Json>(line).unwrap())
            .filter(|line| line["table"] == entry.name.as_str() && line["bm"].is_string());
        let expected: Vec<Json> = expected.map(|mut line| line["row"].take()).collect();
        assert_eq!(found.len(), expected.len(), "{}", entry.name);
        let whole = with_nul.as_ref().map(|(folder, manifest)| {
            let same = |other: &&TableEntry| other.name == entry.name;
            let entry = manifest.tables.iter().find(same).unwrap();
            let rows = rows(&folder.path().join(&entry.file), Format::Jsonl, &columns);
            rows.into_iter().map(Json::Object).collect::<Vec<_>>()
        });
        for (number, (row, expected)) in found.iter().zip(&expected).enumerate() {
            for column in &columns {
                let name = match column.column_type {
                    ColumnType::DateTime => format!("{}_raw", column.name),
                    _ => column.name.clone(),
                };
                let file = row.get(&format!("{}_file", column.name));
                let mut found = of_row_or_file(
                    row.get(&name).unwrap_or(&Json::Null),
                    file.unwrap_or(&Json::Null),
                    column,
                    folder.path(),
                );
                // Where CSV may not have what the engine has, it has what JSON Lines has but for that.
                if let Some(text) = whole.as_ref().and_then(|rows| rows[number][&name].as_str())
                    && text.contains('\0')
                {
                    let found = row.get(&name).and_then(Json::as_str);
                    assert_eq!(found.unwrap_or(""), without_nul(text), "{}", column.name);
                    continue;
                }
                let expected = &expected[&column.name];
                // A column of several values is always an array on the way out.
                if let (Json::Array(cells), false) = (&found, expected.is_array()) {
                    assert_eq!(cells.len(), 1);
                    found = cells[0].clone();
                }
                let empty = format == Format::Csv && found.is_null();
                if empty && (*expected == json!("") || *expected == json!("x:")) {
                    continue;
                }
                assert_eq!(&found, expected, "{}, {}", entry.name, column.name);
            }
        }
        compared += found.len();
    }
    compared
}

fn every_format(database: &Path, dump: &str) {
    for format in [Format::Jsonl, Format::Csv, Format::Parquet] {
        let rows = compare(database, dump, format, usize::MAX);
        eprintln!("{}: {rows} rows as {format:?}", database.display());
        assert!(rows > 0);
    }
}

#[test]
fn engine_sets_in_every_format() {
    for name in fixtures::either(
        ["crash-p8k", "lv-p32k", "exchange-p8k"],
        ["crash-p8k", "names8-log-p32k", "exchange-standby-p8k"],
    ) {
        let set = fixtures::engine_set(name);
        let dump = fs::read_to_string(set.join("recovered-rows.jsonl")).unwrap();
        every_format(&set.join("recovered/db.edb"), &dump);
    }
}

#[test]
fn real_databases_in_every_format() {
    let real = fixtures::real();
    for place in [
        "museum/SRUM/Win10/APTSimulatorVM/Clean/SRUDB.dat",
        "pypi_dissect.database-1.0/tests/_data/ese/multi.edb",
        "go-ese/testdata/Sample_UAL/HyperV-PC/SystemIdentity.mdb",
    ] {
        let dump = fixtures::read_zst(&real.join("expected").join(place).join("dump.jsonl.zst"));
        every_format(&real.join(place), &String::from_utf8(dump).unwrap());
    }
}

#[test]
fn long_values_go_to_files_that_are_named_by_their_hash() {
    let set = fixtures::engine_set(LONG_VALUES);
    let folder = tempfile::tempdir().unwrap();
    let options = ExportOptions {
        inline_limit: 1000,
        ..options(folder.path(), Format::Jsonl)
    };
    let manifest = run(&set.join("recovered/db.edb"), &options);
    let files = fixtures::files_below(&folder.path().join("blobs"));
    assert_eq!(manifest.blob_files, files.len() as u64);
    assert!(files.len() > 50);
    for file in &files {
        let bytes = fs::read(file).unwrap();
        assert!(bytes.len() > 1000);
        assert_eq!(
            file.file_name().unwrap().to_str().unwrap(),
            hex::encode(Sha256::digest(&bytes))
        );
    }
    let text = fs::read_to_string(folder.path().join("Items.jsonl")).unwrap();
    assert!(text.contains("\"lb_file\":\"blobs/"));
    assert!(text.lines().all(|line| line.len() < 20_000));
}

#[test]
fn values_in_files_are_the_engines_byte_for_byte() {
    for name in fixtures::either(
        ["lv-p4k", "lv-p8k", "lv-p32k"],
        ["esc64-cctx-p4k", LONG_VALUES, "names8-log-p32k"],
    ) {
        let set = fixtures::engine_set(name);
        let dump = fs::read_to_string(set.join("recovered-rows.jsonl")).unwrap();
        for format in [Format::Jsonl, Format::Csv, Format::Parquet] {
            let rows = compare(&set.join("recovered/db.edb"), &dump, format, 1000);
            assert!(rows > 0);
        }
    }
}

#[test]
fn deleted_rows_are_those_that_the_engine_marks() {
    for name in fixtures::either(
        ["crash-p8k", "merge-p32k", "big-p8k"],
        ["crash-p8k", "names8-log-p32k", LONG_VALUES],
    ) {
        let set = fixtures::engine_set(name);
        let folder = tempfile::tempdir().unwrap();
        let options = ExportOptions {
            deleted: true,
            ..options(folder.path(), Format::Jsonl)
        };
        let manifest = run(&set.join("recovered/db.edb"), &options);
        let nodes = fs::read_to_string(set.join("expected/recovered/mn-db.edb.txt")).unwrap();
        for table in &manifest.tables {
            // Records are after the space of their table, before its first index.
            let heading = format!(" {} (Table)", table.name);
            let own = nodes.lines().skip_while(|line| !line.ends_with(&heading));
            let own = own
                .skip(1)
                .skip_while(|line| !line.starts_with("\t\tNODES"));
            let own = own.skip(1).take_while(|line| line.starts_with("\t\t\t"));
            let deleted = own.filter(|line| {
                line.split('|')
                    .nth(2)
                    .is_some_and(|flags| flags.contains('d'))
            });
            let found = table.deleted_rows + table.losses.deleted_without_data;
            assert_eq!(found, deleted.count() as u64, "{name}: {}", table.name);
        }
        assert!(
            manifest.tables.iter().any(|table| table.deleted_rows > 0),
            "{name}"
        );
    }
}

/// The rows of every table of a real database, with decoded views.
fn decoded(place: &str) -> Map<String, Json> {
    let database = fixtures::real().join(place);
    let folder = tempfile::tempdir().unwrap();
    let options = ExportOptions {
        decoded: true,
        ..options(folder.path(), Format::Jsonl)
    };
    let manifest = run(&database, &options);
    let tables = manifest.tables.iter().map(|table| {
        let rows = rows(&folder.path().join(&table.file), Format::Jsonl, &[]);
        (
            table.name.clone(),
            rows.into_iter().map(Json::Object).collect(),
        )
    });
    tables.collect()
}

#[test]
fn srum_names_are_those_of_its_map() {
    let tables = decoded("museum/SRUM/Win10/APTSimulatorVM/Clean/SRUDB.dat");
    // [MS-DTYP] 2.4.2.2: revision, count, authority of 6 bytes (big-endian), parts of 4 bytes (little-endian).
    let sid = |bytes: &[u8]| {
        let parts = bytes[8..].as_chunks::<4>().0.iter();
        let parts: String = parts
            .map(|part| format!("-{}", u32::from_le_bytes(*part)))
            .collect();
        format!("S-1-{}{parts}", bytes[7])
    };
    let text = |bytes: &[u8]| {
        let units = bytes
            .as_chunks::<2>()
            .0
            .iter()
            .map(|unit| u16::from_le_bytes(*unit));
        String::from_utf16(&units.collect::<Vec<_>>())
            .unwrap()
            .trim_end_matches('\0')
            .to_owned()
    };
    let mut map = HashMap::new();
    for row in tables["SruDbIdMapTable"].as_array().unwrap() {
        if let Some(blob) = row["IdBlob"].as_str() {
            let blob = hex::decode(blob).unwrap();
            let name = if row["IdType"] == 3 {
                sid(&blob)
            } else {
                text(&blob)
            };
            map.insert(row["IdIndex"].as_i64().unwrap(), name);
        }
    }
    assert_eq!(
        map[&4], "S-1-5-19",
        "0101000000000005 13000000 is LOCAL SERVICE"
    );
    let (mut names, mut sids) = (0, 0);
    for (table, rows) in &tables {
        for row in rows.as_array().unwrap() {
            for column in ["AppId", "UserId"] {
                let Some(id) = row[column].as_i64() else {
                    continue;
                };
                let known = map.get(&id).map_or(Json::Null, |name| json!(name));
                assert_eq!(row[format!("{column}_name")], known, "{table}");
                names += usize::from(known.is_string());
                sids += usize::from(
                    known
                        .as_str()
                        .is_some_and(|name| name.starts_with("S-1-5-")),
                );
            }
        }
    }
    eprintln!("{names} names, {sids} of them SIDs");
    assert!(sids > 100 && names > sids);
}

#[test]
fn ual_addresses_dates_and_roles_read_as_others_read_them() {
    let tables = decoded("go-ese/testdata/Sample_UAL/HyperV-PC/Current.mdb");
    let first = &tables["CLIENTS"][0];
    assert_eq!(first["Address"], "00000000000000000000000000000001");
    assert_eq!(first["Address_ip"], "::1");
    // go-ese gives 2021-06-12T23:47:21Z; the stored FILETIME holds the fraction.
    assert_eq!(first["InsertDate_raw"], "0x01d75fe54947fda3");
    assert_eq!(first["InsertDate"], "2021-06-12T23:47:21.232323Z");
    let tables = decoded("go-ese/testdata/Sample_UAL/HyperV-PC/SystemIdentity.mdb");
    let roles = tables["ROLE_IDS"].as_array().unwrap();
    for role in roles {
        let name = role["RoleName"].as_str().unwrap().trim_end_matches('\0');
        assert_eq!(role["RoleGuid_name"], name);
    }
    assert!(roles.len() > 10);
}

mod not_shipped {
    use super::*;

    #[test]
    #[ignore = "needs a Windows.edb that is too large to be shipped"]
    fn windows_search_gives_documents_the_times_of_its_gatherer() {
        let tables = decoded("pypi_dissect.database-1.0/tests/_data/ese/Windows.edb");
        let column = |table: &str, id: &str, name: &str| -> Vec<(u64, String)> {
            let rows = tables[table].as_array().unwrap().iter();
            let cells = rows.filter_map(|row| {
                let text = row.get(name)?.as_str()?;
                Some((row[id].as_u64()?, text.to_owned()))
            });
            cells.collect()
        };
        let gathered = column("SystemIndex_Gthr", "DocumentID", "LastModified_time");
        let stored = column("SystemIndex_Gthr", "DocumentID", "LastModified");
        // 1 stands for documents without a time.
        let times = stored.iter().filter(|(_, raw)| raw != "0000000000000001");
        assert_eq!(gathered.len(), times.count());
        let documents: HashMap<_, _> = column(
            "SystemIndex_PropertyStore",
            "WorkID",
            "15F-System_DateModified_time",
        )
        .into_iter()
        .collect();
        let same = gathered
            .iter()
            .filter(|(id, time)| documents.get(id) == Some(time));
        // To the microsecond; the others were modified between the two looks.
        assert_eq!((same.count(), gathered.len()), (541, 986));
    }
}

#[test]
fn a_table_with_the_most_columns_is_the_same_in_parquet() {
    let real = fixtures::real();
    let database = real.join("pypi_dissect.database-1.0/tests/_data/ese/large.edb");
    let folder = tempfile::tempdir().unwrap();
    let [lines, parquet] = [Format::Jsonl, Format::Parquet].map(|format| {
        let to = folder.path().join(format!("{format:?}"));
        let manifest = run(&database, &options(&to, format));
        assert_eq!(manifest.tables[0].columns.len(), 64_994);
        rows(&to.join(&manifest.tables[0].file), format, &[])
    });
    assert_eq!(lines.len(), 16);
    assert!(lines == parquet);
}
