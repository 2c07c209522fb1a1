//! `docs/format` says of every fixed layout what the code says: which field is where.

use ese_format::database::DatabaseHeader;
use ese_format::{LayoutTable, layouts};
use ese_testkit::fixtures;
use std::fs;

fn page(name: &str) -> String {
    let path = fixtures::repository().join("docs/format").join(name);
    fs::read_to_string(path).unwrap()
}

/// All pages, one after the other.
fn pages() -> String {
    let folder = fixtures::repository().join("docs/format");
    let mut pages: Vec<_> = fs::read_dir(folder).unwrap().map(Result::unwrap).collect();
    pages.sort_by_key(fs::DirEntry::path);
    let texts = pages
        .iter()
        .map(|page| fs::read_to_string(page.path()).unwrap());
    texts.collect()
}

/// The row of a layout in the tables of structures: each field after its offset, and where the last one ends.
fn row(table: &LayoutTable) -> String {
    let mut fields: Vec<_> = table.fields.to_vec();
    fields.retain(|field| field.size > 0);
    fields.sort_by_key(|field| field.offset);
    let end = fields
        .last()
        .map_or(table.bytes.1, |last| last.offset + last.size);
    let fields = fields
        .iter()
        .map(|field| format!("{} {}, ", field.offset, field.name));
    format!("| `{}` | {}{end} |", table.name, fields.collect::<String>())
}

#[test]
fn every_field_of_a_database_header_stands_in_the_document_at_its_offset() {
    let text = page("database-header.md");
    for field in DatabaseHeader::LAYOUT.fields {
        let start = format!("| {} |", field.offset);
        let row = text.lines().find(|line| line.starts_with(&start));
        let name = format!("`{}`", field.name);
        assert!(
            row.is_some_and(|row| row.contains(&name)),
            "{field:?}: {row:?}"
        );
    }
}

#[test]
fn every_layout_has_its_row_and_every_row_its_layout() {
    let pages = pages();
    let mut layouts = layouts();
    layouts.retain(|table| *table != DatabaseHeader::LAYOUT);
    let expected: Vec<String> = layouts.iter().map(row).collect();
    let missing = expected.iter().filter(|row| !pages.contains(*row));
    let missing: Vec<&String> = missing.collect();
    assert!(missing.is_empty(), "not in docs/format: {missing:#?}");
    let is_row = |line: &&str| {
        let cells = line
            .strip_prefix("| `")
            .and_then(|rest| rest.split_once("` | "));
        cells.is_some_and(|(name, rest)| {
            name.chars().all(char::is_alphanumeric)
                && rest.starts_with(|first: char| first.is_ascii_digit())
        })
    };
    for line in pages.lines().filter(is_row) {
        assert!(
            expected.iter().any(|row| row == line),
            "of no layout: {line}"
        );
    }
}

/// A table by hand may put fields together, or leave some out; where a row begins, a field does.
#[test]
fn the_tables_of_offsets_begin_their_rows_where_fields_begin() {
    let layouts = layouts();
    for (name, tables) in [
        ("log-files.md", vec!["RawLogHeader", "RawSegmentHeader"]),
        ("checkpoint.md", vec!["RawCheckpoint"]),
        ("flush-map.md", vec!["FlushMapHeader"]),
        ("page.md", vec!["PageHeader LargePageExtension"]),
        ("log-records.md", vec!["SplitFields", "MergeFields"]),
        ("space.md", vec!["RawSpaceHeader"]),
    ] {
        let text = page(name);
        let found = text.split("\n| offset | ").skip(1);
        let found: Vec<&str> = found.collect();
        assert_eq!(found.len(), tables.len(), "{name}");
        for (text, names) in found.into_iter().zip(tables) {
            let layouts = layouts
                .iter()
                .filter(|table| names.split(' ').any(|name| name == table.name));
            let fields: Vec<_> = layouts.flat_map(|table| table.fields).collect();
            let rows = text
                .lines()
                .skip(2)
                .take_while(|line| line.starts_with("| "));
            let mut count = 0;
            for line in rows {
                let offset = line
                    .split(' ')
                    .nth(1)
                    .and_then(|offset| offset.parse().ok());
                let offset: usize = offset.unwrap_or_else(|| panic!("{name}: {line}"));
                let begins = fields.iter().any(|field| field.offset == offset);
                let ends = fields
                    .iter()
                    .all(|field| field.offset + field.size <= offset);
                assert!(begins || ends, "{name}: {line}");
                count += 1;
            }
            assert!(count > 3, "{name}: {names}");
        }
    }
}

/// A table that is in no list would not be compared.
#[test]
fn every_table_of_the_source_is_compared() {
    let source = fixtures::repository().join("crates/ese-format/src");
    let mut count = 0;
    for path in fixtures::files_below(&source) {
        let text = fs::read_to_string(&path).unwrap();
        let starts = ["layout! {", "record! {"];
        let lines = text.lines().map(str::trim_start);
        count += lines.filter(|line| starts.contains(line)).count();
    }
    assert_eq!(layouts().len(), count);
}
