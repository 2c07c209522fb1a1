//! Batches hold what the cells of each row come to, whichever way its values took.

use arrow_array::RecordBatch;
use ese_arrow::{CellBuilder, ScanOptions, Tables};
use ese_columns::{Before, Cell, ColumnViews, Origin, OutColumn, columns};
use ese_db::{Database, TableReader};
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
