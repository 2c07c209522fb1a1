//! The rows of one table to standard output: `--to -`.

use super::Arguments;
use crate::database::{is_dirty, stream_failure};
use crate::rows::{bar, ending};
use console::{Exit, Failure, Output};
use ese_export::{Form, Format, Selection, look, user_tables};
use std::io::IsTerminal;

/// Runs the command.
pub(super) fn run(arguments: &Arguments, output: &mut Output) -> Result<Exit, Failure> {
    let refuse = |message: &str, advice: &str| {
        Err(Failure::new(Exit::Usage, format!("--to -: {message}")).advise(advice))
    };
    let ([path], false) = (arguments.databases.as_slice(), arguments.recursive) else {
        return refuse(
            "standard output takes the rows of one database",
            "name one, or a folder with --to",
        );
    };
    if output.is_json() {
        return refuse(
            "rows go where a JSON document would",
            "`edbtool rows --json` gives both",
        );
    }
    let format = Format::from(arguments.format);
    if format == Format::Parquet && std::io::stdout().is_terminal() {
        return refuse(
            "a terminal cannot show Parquet",
            "redirect it to a file, or choose another --format",
        );
    }
    let opened = arguments.view.look_at(path, output)?;
    let db = &opened.database;
    let table = match arguments.tables.as_slice() {
        [table] => table.clone(),
        [] => {
            let catalog = crate::database::catalog(path, db)?;
            let mut tables = user_tables(&catalog);
            match (tables.next(), tables.next()) {
                (Some(table), None) => table.name.clone(),
                _ => {
                    return refuse(
                        "standard output takes the rows of one table",
                        "name it with --table; `edbtool tables --names` lists them",
                    );
                }
            }
        }
        _ => {
            return refuse(
                "standard output takes the rows of one table",
                "name one, or a folder with --to",
            );
        }
    };
    let selection = Selection {
        table,
        columns: Vec::new(),
        conditions: Vec::new(),
        limit: None,
        inline_limit: arguments.inline_limit,
        deleted: arguments.deleted,
        decoded: arguments.decoded,
    };
    let bar = bar(output);
    let stream = Box::new(output.stream()?);
    let given = look(db, &selection, Form::File(format), stream, &bar)
        .map_err(|error| stream_failure(path, &error))?;
    drop(bar);
    Ok(ending(&given, is_dirty(db), output).and(opened.found))
}
