//! Which tables a command line means: the same way in every command.

use console::Failure;
use ese_db::{Catalog, Table};
use ese_export::table_meant;

/// Tables of one database: after it, or with `--table` as where there are several databases.
#[derive(Debug, clap::Args)]
pub(crate) struct TableChoice {
    /// Tables; all when none is named. Case does not matter, nor do the braces of a GUID, and what a table is known as (as
    /// in "Network Data Usage") is its name, too
    #[arg(value_name = "TABLE")]
    named: Vec<String>,
    /// A table, as `edbtool export` takes it; may be given several times
    #[arg(long = "table", short, value_name = "TABLE")]
    table: Vec<String>,
}

impl TableChoice {
    /// The names as they were given.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.named.iter().chain(&self.table).map(String::as_str)
    }

    /// The tables, in the order of the catalog.
    pub(crate) fn of<'c>(&self, catalog: &'c Catalog) -> Result<Vec<&'c Table>, Failure> {
        let mut chosen = Vec::new();
        for name in self.names() {
            let table = table_meant(catalog, name).map_err(|error| Failure::of(&error))?;
            chosen.push(table.objid);
        }
        let tables = catalog.tables.iter();
        let wanted = tables.filter(|table| chosen.is_empty() || chosen.contains(&table.objid));
        Ok(wanted.collect())
    }
}
