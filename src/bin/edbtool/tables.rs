//! `edbtool tables`: which tables a database has, where they are and how large.

use crate::database::{Lost, Subject, catalog, exit_of};
use console::{Exit, Failure, Output};
use ese_db::space::{CutOff, TreeSpace};
use ese_db::{Catalog, Database, Losses, Table, TableReader};
use ese_format::text::Escaped;
use ese_format::{ObjId, Pgno};
use serde::Serialize;
use std::fmt::{self, Display, Formatter};
use std::path::PathBuf;

/// List the tables of a database: object id, root page, pages owned and free, columns, indexes, long values
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  edbtool tables --count SRUDB.dat")]
pub(crate) struct Arguments {
    #[command(flatten)]
    database: Subject,
    /// Count the rows of every table (reads all of them)
    #[arg(long)]
    count: bool,
    /// Leave out the engine's own tables
    #[arg(long)]
    user: bool,
}

/// Runs the command.
pub(crate) fn run(arguments: &Arguments, output: &mut Output) -> Result<Exit, Failure> {
    let opened = arguments.database.open(output)?;
    let catalog = catalog(&arguments.database.path, &opened.database)?;
    let mut report = Report::of(arguments, &opened.database, &catalog);
    report.cut_off = opened.cut_off;
    output.answer("edbkit.tables/1", &report, &report)?;
    output.flush()?;
    output.remark(&format_args!("{}", Lost(&report.losses)));
    Ok(exit_of(&report.losses).and(opened.found))
}

#[derive(Debug, Serialize)]
struct Report {
    path: PathBuf,
    page_size: u32,
    tables: Vec<Line>,
    shadow_catalog_used: bool,
    /// What the file does not hold.
    cut_off: Option<CutOff>,
    losses: Losses,
}

#[derive(Debug, Serialize)]
struct Line {
    name: String,
    objid: ObjId,
    root: Pgno,
    /// `None` unless they were counted.
    rows: Option<u64>,
    /// `None` when the table's space cannot be read.
    owned_pages: Option<u64>,
    available_pages: Option<u64>,
    columns: usize,
    indexes: usize,
    long_values: Option<Pgno>,
    template: Option<String>,
    system: bool,
}

impl Report {
    fn of(arguments: &Arguments, db: &Database, catalog: &Catalog) -> Self {
        let mut report = Report {
            path: arguments.database.path.clone(),
            page_size: db.page_size().bytes(),
            tables: Vec::new(),
            shadow_catalog_used: catalog.shadow_used,
            cut_off: None,
            losses: catalog.losses.clone(),
        };
        for table in &catalog.tables {
            if arguments.user && table.is_system() {
                continue;
            }
            let rows = arguments.count.then(|| report.count(db, table));
            let space = report.space(db, table);
            let deleted = table.columns.iter().filter(|column| column.is_deleted());
            report.tables.push(Line {
                name: table.name.clone(),
                objid: table.objid,
                root: table.root,
                rows,
                owned_pages: space.as_ref().map(TreeSpace::owned_pages),
                available_pages: space.as_ref().map(TreeSpace::available_pages),
                columns: table.columns.len() - deleted.count(),
                indexes: table.indexes.len(),
                long_values: table.long_values.map(|tree| tree.root),
                template: table.template.clone(),
                system: table.is_system(),
            });
        }
        report
    }

    fn count(&mut self, db: &Database, table: &Table) -> u64 {
        let reader = TableReader::new(db, table);
        let mut rows = reader.rows();
        let count = rows.by_ref().count();
        self.losses.add(rows.losses());
        count as u64
    }

    fn space(&mut self, db: &Database, table: &Table) -> Option<TreeSpace> {
        match TreeSpace::read(db, table.root, table.objid) {
            Ok(space) => {
                self.losses.add(&space.losses);
                Some(space)
            }
            Err(error) => {
                self.losses.page(table.root, &error);
                None
            }
        }
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let names = self
            .tables
            .iter()
            .map(|line| Escaped(&line.name).to_string());
        let longest = names.map(|name| name.chars().count());
        let width = longest.max().unwrap_or(0).clamp(4, 64);
        let counted = self.tables.iter().any(|line| line.rows.is_some());
        write!(f, "{:width$} {:>8} {:>8}", "Name", "ObjidFDP", "PgnoFDP")?;
        if counted {
            write!(f, " {:>10}", "Rows")?;
        }
        writeln!(
            f,
            " {:>8} {:>9} {:>7} {:>7} {:>10}",
            "Owned", "Available", "Columns", "Indexes", "LongValues"
        )?;
        let number = |pages: Option<u64>| pages.map_or("-".into(), |pages| pages.to_string());
        for line in &self.tables {
            let name = Escaped(&line.name);
            write!(f, "{name:width$} {:>8} {:>8}", line.objid, line.root)?;
            if counted {
                write!(f, " {:>10}", number(line.rows))?;
            }
            writeln!(
                f,
                " {:>8} {:>9} {:>7} {:>7} {:>10}",
                number(line.owned_pages),
                number(line.available_pages),
                line.columns,
                line.indexes,
                line.long_values.map_or("-".into(), |root| root.to_string()),
            )?;
        }
        writeln!(f, "{} tables", self.tables.len())
    }
}
