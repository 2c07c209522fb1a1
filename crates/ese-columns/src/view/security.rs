//! Security templates: `secedit.sdb`, of which local security policies are made.
//!
//! Names and values are UTF-16 in binary columns; the section that a setting is of is a number, in a column of floats.

use super::{ColumnView, Explained, Meaning, forms};
use ese_db::{Catalog, ColumnType, Database, Value};

pub(super) fn views(db: &Database, catalog: &Catalog) -> Option<Vec<Explained>> {
    let sections = catalog.table("SmTblSection")?;
    catalog.table("SmTblSmp")?;
    let sections = forms::entries(db, sections, ["SectionID", "Name"], |fields, [id, name]| {
        let id = forms::number(&fields.value(id))?;
        let name = Value::Binary(forms::short(fields, name)?);
        Some((id, forms::wide_text(&name)?))
    });
    let sections = sections.into_iter().collect();
    Some(vec![
        Explained::new(
            |_, column| column.name == "SectionID" && column.column_type == ColumnType::Double,
            vec![ColumnView::new("name", Meaning::Names(sections))],
        ),
        Explained::new(
            |table, column| {
                let is_text = match table.name.as_str() {
                    "SmTblSection" => column.name == "Name",
                    "SmTblSmp" | "SmTblScp" | "SmTblScp2" => {
                        matches!(column.name.as_str(), "Name" | "Value")
                    }
                    _ => false,
                };
                is_text && forms::is_binary(column)
            },
            vec![ColumnView::text("text", forms::wide_text)],
        ),
        Explained::new(
            |table, column| {
                let is_time =
                    matches!(column.name.as_str(), "AnalyzeTimeStamp" | "ConfigTimeStamp");
                table.name == "SmTblVersion" && is_time && column.column_type == ColumnType::Binary
            },
            vec![ColumnView::filetime("time", forms::filetime)],
        ),
    ])
}
