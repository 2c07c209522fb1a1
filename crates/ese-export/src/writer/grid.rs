//! A table for a person at a terminal: lines of columns where they fit into its width, else a block for each row.
//!
//! The first rows decide which of the two it is, and how wide the columns are. What does not fit is cut, ends with
//! `...`, and is counted.

use super::csv::field;
use ese_columns::Cell;
use ese_columns::{Kind, OutColumn};
use ese_format::text::Escaped;
use std::io::{self, Write};

/// Characters of a line.
pub(crate) const WIDTH: usize = 80;
/// Characters of the widest column of a line.
const WIDEST: usize = 40;
/// Cells that are looked at before the first line is written.
const LOOKED_AT: usize = 10_000;
/// Characters of a text that are kept at most: no screen shows more.
const KEPT: usize = 4 * WIDTH;

/// A table on its way to a terminal.
pub(crate) struct Grid {
    columns: Vec<Column>,
    /// Rows that wait for the decision.
    waiting: Vec<Vec<String>>,
    form: Option<Form>,
    rows: u64,
    /// Values that were cut.
    pub cut: u64,
}

struct Column {
    name: String,
    kind: Kind,
    list: bool,
}

/// How rows are written.
enum Form {
    /// In lines, with the width of each column.
    Lines(Vec<usize>),
    /// A block for each row, with the width of the names.
    Blocks(usize),
}

impl Grid {
    pub(crate) fn new<'c>(columns: impl Iterator<Item = &'c OutColumn<'c>>) -> Self {
        let columns = columns.map(|column| Column {
            name: Escaped(&column.name).to_string(),
            kind: column.kind,
            list: column.list,
        });
        Grid {
            columns: columns.collect(),
            waiting: Vec::new(),
            form: None,
            rows: 0,
            cut: 0,
        }
    }

    /// Adds a row: a cell for each column.
    pub(crate) fn row<'c>(
        &mut self,
        cells: impl Iterator<Item = &'c Cell<'c>>,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let texts = cells.zip(&self.columns).map(|(cell, column)| {
            let text = field(cell, column.kind, column.list);
            let start: String = text.chars().take(KEPT + 1).collect();
            Escaped(&start).to_string()
        });
        let row: Vec<String> = texts.collect();
        if self.form.is_some() {
            return self.write(&row, out);
        }
        self.waiting.push(row);
        match self.waiting.len() * self.columns.len() >= LOOKED_AT {
            true => self.decide(out),
            false => Ok(()),
        }
    }

    /// Writes what is still waiting.
    pub(crate) fn finish(&mut self, out: &mut dyn Write) -> io::Result<()> {
        match self.form {
            Some(_) => Ok(()),
            None => self.decide(out),
        }
    }

    fn decide(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let widths = self.columns.iter().enumerate().map(|(number, column)| {
            let cells = self.waiting.iter().map(|row| length(&row[number]));
            let widest = cells.max().unwrap_or(0).min(WIDEST);
            widest.max(length(&column.name))
        });
        let widths: Vec<usize> = widths.collect();
        let line = widths.iter().map(|width| width + 2).sum::<usize>();
        let form = match line <= WIDTH + 2 {
            true => Form::Lines(widths),
            false => {
                let names = self.columns.iter().map(|column| length(&column.name));
                Form::Blocks(names.max().unwrap_or(0).min(WIDEST))
            }
        };
        if let Form::Lines(widths) = &form {
            let names = self
                .columns
                .iter()
                .zip(widths)
                .map(|(column, width)| aligned(&column.name, *width, is_number(column)));
            write_line(names, out)?;
        }
        self.form = Some(form);
        for row in std::mem::take(&mut self.waiting) {
            self.write(&row, out)?;
        }
        Ok(())
    }

    fn write(&mut self, row: &[String], out: &mut dyn Write) -> io::Result<()> {
        self.rows += 1;
        let mut fit = |text: &str, width: usize| {
            let (text, cut) = shortened(text, width);
            self.cut += u64::from(cut);
            text
        };
        match &self.form {
            Some(Form::Lines(widths)) => {
                let mut line = Vec::with_capacity(row.len());
                for ((text, column), width) in row.iter().zip(&self.columns).zip(widths) {
                    line.push(aligned(&fit(text, *width), *width, is_number(column)));
                }
                write_line(line.into_iter(), out)
            }
            Some(Form::Blocks(width)) => {
                writeln!(out, "row {}", self.rows)?;
                for (text, column) in row.iter().zip(&self.columns) {
                    if text.is_empty() {
                        continue;
                    }
                    let name = shortened(&column.name, *width).0;
                    let text = fit(text, WIDTH.saturating_sub(width + 4));
                    writeln!(out, "  {name:width$}  {text}")?;
                }
                Ok(())
            }
            None => Ok(()),
        }
    }
}

fn is_number(column: &Column) -> bool {
    use Kind::*;
    !column.list
        && matches!(
            column.kind,
            I16 | I32 | I64 | U8 | U16 | U32 | U64 | F32 | F64
        )
}

fn length(text: &str) -> usize {
    text.chars().count()
}

fn aligned(text: &str, width: usize, right: bool) -> String {
    match right {
        true => format!("{text:>width$}"),
        false => format!("{text:width$}"),
    }
}

/// `text` in `width` characters, and whether it was cut for that.
pub(crate) fn shortened(text: &str, width: usize) -> (String, bool) {
    if length(text) <= width {
        return (text.to_owned(), false);
    }
    let start: String = text.chars().take(width.saturating_sub(3)).collect();
    (format!("{start}..."), true)
}

fn write_line(cells: impl Iterator<Item = String>, out: &mut dyn Write) -> io::Result<()> {
    let line = cells.collect::<Vec<_>>().join("  ");
    writeln!(out, "{}", line.trim_end())
}
