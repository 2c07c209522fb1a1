//! Comma-separated values.

use super::jsonl::write_json;
use ese_columns::{Cell, rfc3339};
use ese_columns::{Kind, OutColumn};
use ese_format::hex;
use std::borrow::Cow;
use std::io::{self, Write};

/// Kind of each column, and whether it holds lists.
pub(crate) struct CsvRows {
    columns: Vec<(Kind, bool)>,
}

impl CsvRows {
    /// Writes the line of names.
    pub(super) fn begin(out: &mut dyn Write, columns: &[OutColumn<'_>]) -> io::Result<Self> {
        if !columns.is_empty() {
            let mut names = csv::Writer::from_writer(out);
            for column in columns {
                names.write_field(without_nul(&column.name).as_bytes())?;
            }
            names.write_record(None::<&[u8]>)?;
            names.flush()?;
        }
        let columns = columns.iter().map(|column| (column.kind, column.list));
        Ok(CsvRows {
            columns: columns.collect(),
        })
    }

    /// Text without rows.
    pub(super) fn text() -> csv::Writer<Vec<u8>> {
        csv::Writer::from_writer(Vec::new())
    }

    /// Adds a row to `text`.
    pub(super) fn row(
        &self,
        cells: &[Cell<'_>],
        text: &mut csv::Writer<Vec<u8>>,
    ) -> io::Result<()> {
        for (place, cell) in cells.iter().enumerate() {
            self.cell(place, cell, text)?;
        }
        Self::end_row(text)
    }

    /// Adds the next cell of a row, that of the column at `place`.
    pub(super) fn cell(
        &self,
        place: usize,
        cell: &Cell<'_>,
        text: &mut csv::Writer<Vec<u8>>,
    ) -> io::Result<()> {
        let (kind, list) = self.columns[place];
        match cell {
            Cell::Null => text.write_field(b"")?,
            Cell::Integer(number) if !list => {
                text.write_field(itoa::Buffer::new().format(*number))?;
            }
            Cell::Unsigned(number) if !list && kind != Kind::Bits => {
                text.write_field(itoa::Buffer::new().format(*number))?;
            }
            cell => text.write_field(field(cell, kind, list).as_bytes())?,
        }
        Ok(())
    }

    /// Ends a row.
    pub(super) fn end_row(text: &mut csv::Writer<Vec<u8>>) -> io::Result<()> {
        text.write_record(None::<&[u8]>)?;
        Ok(())
    }
}

/// The text of one cell. It never holds a NUL, which ends a text for many a reader: those at the end of a text are left
/// out, others are written as `\0`.
pub(crate) fn field<'c>(cell: &'c Cell<'_>, kind: Kind, list: bool) -> Cow<'c, str> {
    let several = matches!(cell, Cell::List(_));
    if several || list && *cell != Cell::Null {
        let mut json = Vec::new();
        write_json(&mut json, cell, kind);
        let json = String::from_utf8(json).unwrap_or_default();
        return Cow::Owned(if several { json } else { format!("[{json}]") });
    }
    Cow::Owned(match cell {
        Cell::Null | Cell::List(_) => String::new(),
        Cell::Bool(value) => value.to_string(),
        Cell::Integer(value) => value.to_string(),
        Cell::Unsigned(value) if kind == Kind::Bits => format!("{value:#018x}"),
        Cell::Unsigned(value) => value.to_string(),
        Cell::Single(value) => value.to_string(),
        Cell::Double(value) => value.to_string(),
        Cell::Time(value) => rfc3339(*value).unwrap_or_default(),
        Cell::Text(text) => return without_nul(text),
        Cell::Bytes(bytes) => hex::encode(bytes),
    })
}

fn without_nul(text: &str) -> Cow<'_, str> {
    let text = text.trim_end_matches('\0');
    match text.contains('\0') {
        true => Cow::Owned(text.replace('\0', "\\0")),
        false => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_nul_stands_in_a_field() {
        let text = |text: &'static str| {
            let cell = Cell::Text(text.into());
            field(&cell, Kind::Text, false).into_owned()
        };
        assert_eq!(text("svchost\0\0"), "svchost");
        assert_eq!(text("a\0b\0"), "a\\0b");
        assert_eq!(text("\0"), "");
        let list = Cell::List(vec![Cell::Text("a\0".into())]);
        assert_eq!(field(&list, Kind::Text, true), r#"["a\u0000"]"#);
    }
}
