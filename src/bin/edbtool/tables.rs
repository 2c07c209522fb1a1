//! `edbtool tables`: which tables a database has, where they are and how large.

use crate::choice::TableChoice;
use crate::columns::Columns;
use crate::database::{DatabaseArgument, catalog, exit_of, tell_losses};
use console::{Exit, Failure, Output};
use ese_db::space::{CutOff, TreeSpace};
use ese_db::{Catalog, Database, Losses, Table, TableReader};
use ese_format::text::Escaped;
use ese_format::{ObjId, Pgno};
use serde::Serialize;
use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};

/// List the tables of a database: object id, root page, pages owned and free, columns, indexes, long values
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  edbtool tables --count SRUDB.dat\n  edbtool tables --names SRUDB.dat"
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    database: DatabaseArgument,
    #[command(flatten)]
    tables: TableChoice,
    /// Count the rows of every table (reads all of them)
    #[arg(long)]
    count: bool,
    /// Leave out the engine's own tables
    #[arg(long)]
    user: bool,
    /// Print just the names, one per line
    #[arg(long, conflicts_with = "count")]
    names: bool,
}

/// Runs the command.
pub(crate) fn run(arguments: &Arguments, output: &mut Output) -> Result<Exit, Failure> {
    let opened = arguments.database.open(output)?;
    let catalog = catalog(&arguments.database.path, &opened.database)?;
    let mut tables = arguments.tables.of(&catalog)?;
    tables.retain(|table| !arguments.user || !table.is_system());
    if arguments.names {
        let names = Names {
            path: &arguments.database.path,
            names: tables.iter().map(|table| table.name.as_str()).collect(),
        };
        output.answer("edbkit.table-names/1", &opened.document(&names), &names)?;
        output.flush()?;
        tell_losses(&catalog.losses, output);
        return Ok(exit_of(&catalog.losses).and(opened.found));
    }
    let mut report = Report::of(arguments, &opened.database, &catalog, &tables);
    report.cut_off = opened.cut_off;
    output.answer("edbkit.tables/1", &opened.document(&report), &report)?;
    output.flush()?;
    tell_losses(&report.losses, output);
    Ok(exit_of(&report.losses).and(opened.found))
}

/// Just the names.
#[derive(Debug, Serialize)]
struct Names<'c> {
    path: &'c Path,
    names: Vec<&'c str>,
}

impl Display for Names<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut names = self.names.iter();
        names.try_for_each(|name| writeln!(f, "{}", Escaped(name)))
    }
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
    /// What people call it, where its own name is a GUID.
    known_as: Option<&'static str>,
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
    fn of(arguments: &Arguments, db: &Database, catalog: &Catalog, tables: &[&Table]) -> Self {
        let mut report = Report {
            path: arguments.database.path.clone(),
            page_size: db.page_size().bytes(),
            tables: Vec::new(),
            shadow_catalog_used: catalog.shadow_used,
            cut_off: None,
            losses: catalog.losses.clone(),
        };
        for table in tables {
            let rows = arguments.count.then(|| report.count(db, table));
            let space = report.space(db, table);
            let deleted = table.columns.iter().filter(|column| column.is_deleted());
            report.tables.push(Line {
                name: table.name.clone(),
                known_as: catalog.known_as(table),
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
        let counted = self.tables.iter().any(|line| line.rows.is_some());
        let mut names = vec!["Name", "Objid#", "Root#"];
        names.extend(counted.then_some("Rows#"));
        names.extend(["Owned#", "Avail#", "Cols#", "Idx#", "LV#"]);
        let mut columns = Columns::new(&names);
        let number = |pages: Option<u64>| pages.map_or("-".into(), |pages| pages.to_string());
        for line in &self.tables {
            let mut cells = vec![
                Escaped(&line.name).to_string(),
                line.objid.to_string(),
                line.root.to_string(),
            ];
            cells.extend(counted.then(|| number(line.rows)));
            cells.extend([
                number(line.owned_pages),
                number(line.available_pages),
                line.columns.to_string(),
                line.indexes.to_string(),
                line.long_values.map_or("-".into(), |root| root.to_string()),
            ]);
            columns.line(cells);
        }
        write!(f, "{columns}")?;
        writeln!(f, "{} tables", self.tables.len())
    }
}
