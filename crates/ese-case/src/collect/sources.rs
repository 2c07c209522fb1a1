//! The table of sources: every database that was found, where its rows are, and which others equal it.

use super::CollectError;
use super::folder::CaseFolder;
use super::names::SOURCES;
use super::record::{DatabaseRecord, PartRecord};
use ese_export::{Format, PlainKind, PlainTable, PlainValue};
use std::collections::BTreeMap;

const COLUMNS: [(&str, PlainKind); 18] = [
    ("_source", PlainKind::Text),
    ("_state", PlainKind::Text),
    ("_snapshot", PlainKind::Text),
    ("same_as", PlainKind::Text),
    ("kind", PlainKind::Text),
    ("container", PlainKind::Text),
    ("bytes", PlainKind::Number),
    ("modified", PlainKind::Time),
    ("sha256", PlainKind::Text),
    ("header_state", PlainKind::Text),
    ("verdict", PlainKind::Text),
    ("logs", PlainKind::Number),
    ("as_of", PlainKind::Text),
    ("tables", PlainKind::Number),
    ("rows", PlainKind::Number),
    ("rows_lost", PlainKind::Number),
    ("values_lost", PlainKind::Number),
    ("problems", PlainKind::Number),
];

/// Writes it, one part for each host.
pub(super) fn write(
    case: &CaseFolder,
    format: Format,
    databases: &[DatabaseRecord],
) -> Result<Vec<PartRecord>, CollectError> {
    let mut hosts: BTreeMap<&str, Vec<&DatabaseRecord>> = BTreeMap::new();
    for record in databases {
        hosts.entry(&record.host).or_default().push(record);
    }
    let parts = hosts.into_iter().map(|(host, records)| {
        let prefix = case.work_prefix("sources");
        let work = case.path().join(format!("{prefix}0.partial"));
        let mut table = PlainTable::create(format, &**case.disk(), &work, &COLUMNS)?;
        for record in &records {
            table.row(&row(record))?;
        }
        let (bytes, sha256) = table.finish()?;
        let extension = format.extension();
        let part = PartRecord {
            file: format!("table={SOURCES}/host={host}/part-sources.{extension}"),
            rows: records.len() as u64,
            bytes,
            sha256,
        };
        case.publish(&work, &part.file)?;
        Ok(part)
    });
    parts.collect()
}

fn row(record: &DatabaseRecord) -> Vec<PlainValue> {
    let text = |text: &Option<String>| PlainValue::Text(text.clone());
    let number = |number: u64| PlainValue::Number(Some(number));
    let problems = record.problems.as_ref();
    vec![
        PlainValue::from(record.source.as_str()),
        PlainValue::from(record.state.words()),
        text(&record.snapshot),
        text(&record.same_as),
        text(&record.kind),
        text(&record.container),
        number(record.bytes),
        PlainValue::Time(record.modified),
        text(&record.sha256),
        PlainValue::from(record.header_state.as_str()),
        PlainValue::from(record.verdict.as_str()),
        number(record.logs.len() as u64),
        text(&record.as_of),
        number(record.tables.len() as u64),
        number(record.rows),
        number(record.rows_lost),
        number(record.values_lost),
        number(problems.map_or(0, |part| part.rows)),
    ]
}
