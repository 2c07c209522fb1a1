//! Batches hold what the cells of each row come to, whichever way its values took.

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_select::concat::concat_batches;
use ese_arrow::{CellBuilder, Comparison, Condition, KeyValue, ScanOptions, Tables};
use ese_columns::{Before, Cell, ColumnViews, Origin, OutColumn, columns};
use ese_db::{Database, Table, TableReader, Value};
use ese_testkit::fixtures;
use std::path::PathBuf;

fn databases() -> Vec<PathBuf> {
    let sets = ["clean-p4k", "clean-p16k", "clean-p32k", "crash-p8k"];
    let sets = sets.map(|set| fixtures::testdata_set(set).join("state/db.edb"));
    let real = [
        "museum/SRUM/Win10/APTSimulatorVM/Clean/SRUDB.dat",
        "go-ese/testdata/Sample_UAL/HyperV-PC/Current.mdb",
        "artemis/win10/qmgr.db",
        "plaso/test_data/Catalog1.edb",
        "pypi_dissect.database-1.0/tests/_data/ese/tools/CertLog.edb",
        "secedit/pragyajhaa_CIS_Benchmarks_Enforcement/secedit.sdb",
    ];
    let real = real.map(|name| fixtures::real().join(name));
    sets.into_iter().chain(real).collect()
}

/// The next rows of a table, by their cells.
fn expected(
    rows: &mut impl Iterator<Item = ese_db::Row>,
    count: usize,
    out: &[OutColumn<'_>],
) -> RecordBatch {
    let mut builder = CellBuilder::new(out);
    for row in rows.take(count) {
        let fields = row.fields().unwrap();
        let values: Vec<_> = out
            .iter()
            .map(|column| fields.value(column.of.unwrap()))
            .collect();
        let cells: Vec<Cell<'_>> = (out.iter().zip(&values))
            .map(|(column, value)| match column.origin {
                Origin::RawDate => Cell::raw_dates(value),
                Origin::View(view) => view.cell(value),
                _ => match Cell::of(value, &mut Vec::new()) {
                    // One of several values where there is no place for them.
                    Cell::List(_) if !column.list => Cell::Null,
                    cell => cell,
                },
            })
            .collect();
        builder.row(&cells).unwrap();
    }
    builder.finish().unwrap()
}

#[test]
fn batches_hold_the_cells_of_all_rows() {
    let (mut tables, mut all) = (0, 0);
    for path in databases() {
        let db = Database::open(&path).unwrap();
        let scanned = Tables::new(&db, true).unwrap();
        let views = ColumnViews::for_database(&db, scanned.catalog());
        for table in &scanned.catalog().tables {
            let mut out = columns(table, &views, Before::default());
            out.retain(|column| !matches!(column.origin, Origin::File));
            let mut rows = TableReader::new(&db, table).rows();
            let scan = scanned.scan(table, ScanOptions::default()).unwrap();
            for batch in scan {
                let batch = batch.unwrap();
                let expected = expected(&mut rows, batch.num_rows(), &out);
                assert_eq!(batch, expected, "{}: {}", path.display(), table.name);
                all += batch.num_rows();
            }
            assert!(rows.next().is_none(), "{}", table.name);
            // Some columns, some rows: the same values.
            let Some(last) = out.last() else { continue };
            let mut options = ScanOptions::default();
            (options.columns, options.rows) = (Some(vec![last.name.clone()]), Some(3));
            let mut rows = TableReader::new(&db, table).rows();
            let mut few = 0;
            for batch in scanned.scan(table, options).unwrap() {
                let batch = batch.unwrap();
                let column = expected(&mut rows, batch.num_rows(), &out);
                assert_eq!(batch.column(0), column.column(out.len() - 1));
                few += batch.num_rows();
            }
            assert!(few <= 3);
            tables += 1;
        }
    }
    println!("{all} rows of {tables} tables");
    assert!(tables > 50 && all > 5000);
}

/// The rows of a table that meet `conditions`, as one batch of all.
fn rows_of(scanned: &Tables, table: &Table, options: ScanOptions) -> Vec<RecordBatch> {
    let batches = scanned.scan(table, options).unwrap();
    batches.map(Result::unwrap).collect()
}

fn together(scanned: &Tables, table: &Table, batches: &[RecordBatch]) -> RecordBatch {
    let schema = scanned
        .scan(table, ScanOptions::default())
        .unwrap()
        .schema();
    concat_batches(&schema, batches).unwrap()
}

#[test]
fn rows_are_found_by_their_guid() {
    let mut found = 0;
    for path in databases() {
        let db = Database::open(&path).unwrap();
        let scanned = Tables::new(&db, true).unwrap();
        for table in &scanned.catalog().tables {
            let Some(column) = scanned.leading_column(table) else {
                continue;
            };
            let rows = TableReader::new(&db, table).rows();
            let guids: Vec<[u8; 16]> = rows
                .filter_map(|row| match row.fields().unwrap().value(column) {
                    Value::Guid(guid) => Some(guid),
                    _ => None,
                })
                .collect();
            for guid in &guids {
                let mut options = ScanOptions::default();
                options.conditions = vec![Condition {
                    column: column.name.clone(),
                    comparison: Comparison::Equal,
                    value: KeyValue::Guid(*guid),
                }];
                let rows = rows_of(&scanned, table, options);
                let rows: usize = rows.iter().map(RecordBatch::num_rows).sum();
                assert_eq!(rows, guids.iter().filter(|other| *other == guid).count());
                found += rows;
            }
        }
    }
    assert!(found > 1, "{found} rows by their GUID");
}

#[test]
fn parts_hold_all_rows_in_order_and_conditions_are_met() {
    let (mut parts, mut narrowed) = (0, 0);
    for path in databases() {
        let db = Database::open(&path).unwrap();
        let scanned = Tables::new(&db, true).unwrap();
        for table in &scanned.catalog().tables {
            let whole = rows_of(&scanned, table, ScanOptions::default());
            let whole = together(&scanned, table, &whole);
            let mut in_parts = Vec::new();
            for partition in scanned.partitions(table, 5) {
                let text = serde_json::to_string(&partition).unwrap();
                let mut options = ScanOptions::default();
                options.partition = serde_json::from_str(&text).unwrap();
                in_parts.extend(rows_of(&scanned, table, options));
                parts += 1;
            }
            assert_eq!(
                together(&scanned, table, &in_parts),
                whole,
                "{}",
                table.name
            );
            let Some(column) = scanned.leading_column(table) else {
                continue;
            };
            let rows = TableReader::new(&db, table).rows().enumerate();
            let numbers: Vec<(usize, Option<i128>)> = rows
                .map(|(at, row)| match row.fields().unwrap().value(column) {
                    Value::Integer(number) => (at, Some(number.into())),
                    Value::Unsigned(number) => (at, Some(number.into())),
                    Value::Bit(bit) => (at, Some(i128::from(bit))),
                    _ => (at, None),
                })
                .collect();
            let Some((_, Some(middle))) = numbers.get(numbers.len() / 2) else {
                continue;
            };
            for value in [*middle, middle + 1, i128::from(i64::MIN) * 4, 1 << 70] {
                use Comparison::*;
                for comparison in [Equal, Less, LessOrEqual, Greater, GreaterOrEqual] {
                    let meets = |number: i128| match comparison {
                        Equal => number == value,
                        Less => number < value,
                        LessOrEqual => number <= value,
                        Greater => number > value,
                        GreaterOrEqual => number >= value,
                    };
                    let mut options = ScanOptions::default();
                    options.conditions = vec![Condition {
                        column: column.name.clone(),
                        comparison,
                        value: KeyValue::Integer(value),
                    }];
                    let found = rows_of(&scanned, table, options.clone());
                    let found = together(&scanned, table, &found);
                    let expected: Vec<RecordBatch> = numbers
                        .iter()
                        .filter(|(_, number)| number.is_some_and(meets))
                        .map(|(at, _)| whole.slice(*at, 1))
                        .collect();
                    let expected = together(&scanned, table, &expected);
                    assert_eq!(found, expected, "{}: {comparison:?} {value}", table.name);
                    // The same in parts.
                    let in_parts = scanned
                        .partitions(table, 3)
                        .into_iter()
                        .flat_map(|partition| {
                            let mut options = options.clone();
                            options.partition = partition;
                            rows_of(&scanned, table, options)
                        });
                    let in_parts: Vec<RecordBatch> = in_parts.collect();
                    assert_eq!(together(&scanned, table, &in_parts), expected);
                    narrowed += 1;
                }
            }
        }
    }
    assert!(
        parts > 100 && narrowed > 200,
        "{parts} parts, {narrowed} conditions"
    );
}
