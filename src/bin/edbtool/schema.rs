//! `edbtool schema`: columns, types and indexes of tables.

use crate::choice::TableChoice;
use crate::columns::wrapped;
use crate::database::{DatabaseArgument, catalog, exit_of, tell_losses};
use console::{Exit, Failure, Output};
use ese_db::catalog::{Index, IndexColumn};
use ese_db::{Catalog, Column, Table};
use ese_format::hex::Hex;
use ese_format::text::Escaped;
use serde::Serialize;
use std::fmt::{self, Display, Formatter, Write};

/// Print the columns and indexes of tables
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  edbtool schema SRUDB.dat SruDbIdMapTable")]
pub(crate) struct Arguments {
    #[command(flatten)]
    database: DatabaseArgument,
    #[command(flatten)]
    tables: TableChoice,
}

/// Runs the command.
pub(crate) fn run(arguments: &Arguments, output: &mut Output) -> Result<Exit, Failure> {
    let opened = arguments.database.open(output)?;
    let catalog = catalog(&arguments.database.path, &opened.database)?;
    let tables = arguments.tables.of(&catalog)?;
    let schema = Schema {
        tables,
        catalog: &catalog,
    };
    output.answer("edbkit.schema/1", &opened.document(&schema), &schema)?;
    output.flush()?;
    tell_losses(&catalog.losses, output);
    Ok(exit_of(&catalog.losses).and(opened.found))
}

#[derive(Debug, Serialize)]
struct Schema<'c> {
    tables: Vec<&'c Table>,
    #[serde(skip)]
    catalog: &'c Catalog,
}

impl Display for Schema<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (number, table) in self.tables.iter().enumerate() {
            if number > 0 {
                writeln!(f)?;
            }
            write_table(f, table, self.catalog.known_as(table))?;
        }
        Ok(())
    }
}

/// Writes what `line` writes, in lines that fit a terminal.
fn fitting(f: &mut Formatter<'_>, line: impl FnOnce(&mut String) -> fmt::Result) -> fmt::Result {
    let mut text = String::new();
    line(&mut text)?;
    let indent = text.len() - text.trim_start().len();
    f.write_str(&wrapped(text.trim(), indent, 8))
}

fn write_table(f: &mut Formatter<'_>, table: &Table, known_as: Option<&str>) -> fmt::Result {
    fitting(f, |f| write_head(f, table, known_as))?;
    for column in &table.columns {
        fitting(f, |f| write_column(f, column))?;
    }
    for index in &table.indexes {
        fitting(f, |f| write_index(f, index))?;
    }
    for callback in &table.callbacks {
        writeln!(f, "  callback {} ({:#x})", callback.function, callback.kind)?;
    }
    Ok(())
}

fn write_head(f: &mut String, table: &Table, known_as: Option<&str>) -> fmt::Result {
    write!(f, "{}", Escaped(&table.name))?;
    if let Some(known) = known_as {
        write!(f, ", {known}")?;
    }
    write!(f, " (objid {}, root page {}", table.objid, table.root)?;
    if let Some(tree) = table.long_values {
        write!(
            f,
            ", long values: objid {}, root page {}",
            tree.objid, tree.root
        )?;
    }
    if let Some(template) = &table.template {
        write!(f, ", derived from {template}")?;
    }
    let flags: Vec<_> = table
        .flags
        .iter_names()
        .map(|(name, _)| name.to_lowercase())
        .collect();
    if !flags.is_empty() {
        write!(f, ", {}", flags.join(" "))?;
    }
    write!(f, ")")
}

fn write_column(f: &mut String, column: &Column) -> fmt::Result {
    write!(
        f,
        "  {:>5} {:32} {}",
        column.id,
        Escaped(&column.name),
        column.column_type.name()
    )?;
    if column.max_size > 0 && column.column_type.fixed_size().is_none() {
        write!(f, "({})", column.max_size)?;
    }
    if column.column_type.is_text() {
        write!(f, " code page {}", column.code_page)?;
    }
    if column.of_template {
        write!(f, " of template")?;
    }
    for (name, _) in column.flags.iter_names() {
        write!(f, " {}", name.to_lowercase())?;
    }
    if let Some(default) = &column.default_value {
        let (first, more) = match default.get(..32) {
            Some(first) if first.len() < default.len() => (first, "..."),
            _ => (&default[..], ""),
        };
        write!(f, " = x'{}'{more}", Hex(first))?;
    }
    if let Some(callback) = &column.callback {
        write!(f, " callback {callback}")?;
    }
    writeln!(f)
}

fn write_index(f: &mut String, index: &Index) -> fmt::Result {
    let part = |part: &IndexColumn| {
        let name = part.name.clone();
        name.map_or_else(
            || format!("column {}", part.id),
            |name| Escaped(&name).to_string(),
        )
    };
    write!(
        f,
        "  index {} (objid {}, root page {})",
        Escaped(&index.name),
        index.objid,
        index.root
    )?;
    for column in &index.columns {
        let sign = if column.descending_or_null { '-' } else { '+' };
        write!(f, " {sign}{}", part(column))?;
    }
    for condition in &index.conditions {
        let must = if condition.descending_or_null {
            "null"
        } else {
            "not null"
        };
        write!(f, " if {} {must}", part(condition))?;
    }
    for (name, _) in index.flags.iter_names() {
        if name != "EXTENDED_COLUMNS" {
            write!(f, " {}", name.to_lowercase())?;
        }
    }
    match &index.locale_name {
        Some(locale) if !locale.is_empty() => write!(f, " locale {locale}")?,
        _ if index.locale_id != 0 => write!(f, " lcid {:#x}", index.locale_id)?,
        _ => {}
    }
    if let Some(tuples) = index.tuples {
        write!(
            f,
            " tuples of {} to {} characters",
            tuples.min_length, tuples.max_length
        )?;
    }
    writeln!(f)
}
