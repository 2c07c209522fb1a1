//! A table as rows of it are read: its columns with their JSON names, its key, its long values.

use crate::event::{RowImage, RowState};
use crate::masked::Masked;
use ese_db::catalog::{Column, ColumnFlags};
use ese_db::long_value::chunk_size;
use ese_db::record::DataRecord;
use ese_db::rows::{Content, Contents, Fields};
use ese_db::value::decode;
use ese_db::{ColumnType, Table, Value};
use ese_export::blobs::{Blob, Blobs};
use ese_export::json::{Unreadable, write_raw_dates, write_text, write_value};
use ese_format::page::PageSize;
use ese_format::{ObjId, Pgno, hex};
use sha2::{Digest, Sha256};
use std::ops::Range;

/// A column on its way out.
#[derive(Debug)]
struct OutColumn {
    column: Column,
    /// `"name":`
    label: Vec<u8>,
    /// `"name_raw":` of a date.
    raw_label: Option<Vec<u8>>,
}

/// A table at one moment.
#[derive(Debug)]
pub struct TableLayout {
    /// Its name.
    pub name: String,
    /// Whether it belongs to the engine.
    pub is_system: bool,
    columns: Vec<OutColumn>,
    /// Places of the primary key's columns.
    key: Vec<usize>,
    /// Root and object id of its long values.
    pub(crate) long_values: Option<(Pgno, ObjId)>,
    pub(crate) chunk_size: usize,
    page_size: PageSize,
}

/// A long value that a row refers to.
pub(crate) enum LongValue {
    /// All of it.
    Whole(Vec<u8>),
    /// It is too long for a row, and perhaps in a file.
    Long {
        length: u64,
        sha256: String,
        file: Option<String>,
    },
    /// It is not known, and why.
    Unknown(String),
}

/// Gives the long value of a reference.
pub(crate) type FetchLong<'f> = dyn FnMut(&[u8]) -> LongValue + 'f;

/// What becomes of values that are too long for a row.
#[derive(Debug)]
pub struct LongValues {
    /// Those of more bytes than this are.
    pub inline_limit: usize,
    /// Where they are written to; without it, only their lengths and hashes are given.
    pub blobs: Option<Blobs>,
}

impl Default for LongValues {
    /// What is longer than 4 KiB is given by its length and hash.
    fn default() -> Self {
        LongValues {
            inline_limit: 4 << 10,
            blobs: None,
        }
    }
}

/// A value that comes piece by piece.
pub(crate) struct LongWriter<'l> {
    values: &'l LongValues,
    length: u64,
    /// As long as it fits into a row.
    whole: Option<Vec<u8>>,
    hasher: Sha256,
    blob: Option<Blob<'l>>,
}

impl<'l> LongWriter<'l> {
    pub(crate) fn new(values: &'l LongValues) -> Self {
        LongWriter {
            values,
            length: 0,
            whole: Some(Vec::new()),
            hasher: Sha256::new(),
            blob: None,
        }
    }

    pub(crate) fn add(&mut self, piece: &[u8]) -> Result<(), String> {
        self.length += piece.len() as u64;
        if let Some(whole) = &mut self.whole
            && whole.len() + piece.len() <= self.values.inline_limit
        {
            whole.extend_from_slice(piece);
            return Ok(());
        }
        let before = self.whole.take();
        if before.is_some()
            && let Some(blobs) = &self.values.blobs
        {
            self.blob = Some(blobs.create().map_err(|error| error.to_string())?);
        }
        for bytes in [before.as_deref().unwrap_or_default(), piece] {
            self.hasher.update(bytes);
            if let Some(blob) = &mut self.blob {
                blob.write(bytes).map_err(|error| error.to_string())?;
            }
        }
        Ok(())
    }

    pub(crate) fn finish(self) -> Result<LongValue, String> {
        if let Some(whole) = self.whole {
            return Ok(LongValue::Whole(whole));
        }
        let file = self.blob.map(Blob::finish).transpose();
        Ok(LongValue::Long {
            length: self.length,
            sha256: hex::encode(self.hasher.finalize()),
            file: file.map_err(|error| error.to_string())?,
        })
    }
}

/// A row as JSON.
#[derive(Debug, Default)]
pub(crate) struct RowText {
    json: Vec<u8>,
    /// Where each column's value is; none of a null.
    places: Vec<Option<Range<usize>>>,
    unknown: Vec<(usize, String)>,
}

impl TableLayout {
    /// The layout of `table`.
    pub(crate) fn new(table: &Table, page_size: PageSize) -> Self {
        let label = |name: &str| {
            let mut label = Vec::new();
            write_text(&mut label, name);
            label.push(b':');
            label
        };
        let columns = table.columns.iter().filter(|column| !column.is_deleted());
        let columns: Vec<OutColumn> = columns
            .map(|column| OutColumn {
                label: label(&column.name),
                raw_label: (column.column_type == ColumnType::DateTime)
                    .then(|| label(&format!("{}_raw", column.name))),
                column: column.clone(),
            })
            .collect();
        let key = table.primary_index().map(|index| &index.columns);
        let place = |part: &ese_db::catalog::IndexColumn| {
            let name = part.name.as_ref()?;
            columns.iter().position(|own| own.column.name == *name)
        };
        TableLayout {
            name: table.name.clone(),
            is_system: table.is_system() || table.name.starts_with("MSys"),
            key: key.into_iter().flatten().filter_map(place).collect(),
            columns,
            long_values: table.long_values.map(|tree| (tree.root, tree.objid)),
            chunk_size: chunk_size(table, page_size),
            page_size,
        }
    }

    /// A layout without columns, for what is known by its number only.
    pub(crate) fn nameless(name: String, page_size: PageSize) -> Self {
        TableLayout {
            is_system: name.starts_with("MSys"),
            name,
            columns: Vec::new(),
            key: Vec::new(),
            long_values: None,
            chunk_size: 0,
            page_size,
        }
    }

    /// Whether it has a column of this name, compared without case.
    pub(crate) fn has(&self, column: &str) -> bool {
        let mut names = self.columns.iter().map(|own| &own.column.name);
        names.any(|name| name.eq_ignore_ascii_case(column))
    }

    /// The row with this data. An error says why it is no row.
    pub(crate) fn row(
        &self,
        data: &Masked,
        long_values: &LongValues,
        fetch: &mut FetchLong<'_>,
    ) -> Result<RowText, String> {
        if !data.knows(&(0..RECORD_HEADER.min(data.bytes().len()))) {
            return Err(UNKNOWN_BYTES.into());
        }
        let fields = Fields::of_record(&[], data.bytes(), self.page_size);
        let fields = fields.map_err(|error| error.to_string())?;
        let record = DataRecord::parse(data.bytes(), self.page_size);
        let record = record.map_err(|error| error.to_string())?;
        let mut row = RowText::default();
        row.json.push(b'{');
        for (place, out) in self.columns.iter().enumerate() {
            if !data.is_complete() && !is_decided(&record, &out.column, data) {
                row.unknown.push((place, UNKNOWN_BYTES.into()));
                row.places.push(None);
                continue;
            }
            let contents = fields.contents(&out.column);
            if matches!(contents, Contents::Null) {
                row.places.push(None);
                continue;
            }
            if row.json.len() > 1 {
                row.json.push(b',');
            }
            row.json.extend_from_slice(&out.label);
            let start = row.json.len();
            let holds_several = out.column.flags.contains(ColumnFlags::MULTI_VALUED);
            let contents = match contents {
                // One value of several that there may be is a list, too.
                Contents::One(content) if holds_several => Contents::Several(vec![content]),
                contents => contents,
            };
            match contents {
                Contents::Null => {}
                Contents::One(content) => row.add(place, &out.column, content, long_values, fetch),
                Contents::Several(contents) => {
                    row.json.push(b'[');
                    for (index, content) in contents.into_iter().enumerate() {
                        if index > 0 {
                            row.json.push(b',');
                        }
                        row.add(place, &out.column, content, long_values, fetch);
                    }
                    row.json.push(b']');
                }
            }
            row.places.push(Some(start..row.json.len()));
            if let Some(label) = &out.raw_label {
                row.json.push(b',');
                row.json.extend_from_slice(label);
                write_raw_dates(&mut row.json, &fields.value(&out.column));
            }
        }
        row.json.push(b'}');
        Ok(row)
    }

    /// The key columns of a row, as a JSON object; nothing if one of them is not known.
    pub(crate) fn key_of(&self, row: &RowText) -> String {
        let is_unknown = |place: &usize| row.unknown.iter().any(|(of, _)| of == place);
        if self.key.iter().any(is_unknown) {
            return String::new();
        }
        let mut key = vec![b'{'];
        for place in &self.key {
            if key.len() > 1 {
                key.push(b',');
            }
            key.extend_from_slice(&self.columns[*place].label);
            key.extend_from_slice(row.value(*place).unwrap_or(b"null"));
        }
        key.push(b'}');
        text(key)
    }

    /// Names of the columns in which two rows are known to differ.
    pub(crate) fn changed(&self, before: &RowText, after: &RowText) -> Vec<String> {
        let differ = |place: &usize| {
            let unknown = |row: &RowText| row.unknown.iter().any(|(of, _)| of == place);
            before.value(*place) != after.value(*place) && !unknown(before) && !unknown(after)
        };
        let places = (0..self.columns.len()).filter(differ);
        places
            .map(|place| self.columns[place].column.name.clone())
            .collect()
    }

    /// The row as events hold it.
    pub(crate) fn image(&self, row: RowText) -> RowImage {
        let name = |place: usize| self.columns[place].column.name.clone();
        let unknown: Vec<(String, String)> = (row.unknown.into_iter())
            .map(|(place, why)| (name(place), why))
            .collect();
        RowImage {
            state: match unknown.is_empty() {
                true => RowState::Complete,
                false => RowState::Partial,
            },
            json: text(row.json),
            unknown,
        }
    }
}

/// Why a column is not known.
const UNKNOWN_BYTES: &str = "the logs and the database do not hold its bytes";
/// Bytes by which everything else in a record is found (`REC`, `inc/rec.hxx`).
const RECORD_HEADER: usize = 4;

/// Whether all bytes are known that decide what a record says of a column.
fn is_decided(record: &DataRecord<'_>, column: &Column, data: &Masked) -> bool {
    let derived = column.of_template && column.flags.contains(ColumnFlags::TEMPLATE);
    let place = match column.is_fixed() {
        true => (usize::from(column.record_offset), column.fixed_size()),
        false => (0, 0),
    };
    let deciding = record.deciding((derived, column.id), place);
    deciding.iter().all(|range| data.knows(range))
}

impl RowText {
    fn value(&self, place: usize) -> Option<&[u8]> {
        let place = self.places.get(place)?.clone()?;
        self.json.get(place)
    }

    fn add(
        &mut self,
        place: usize,
        column: &Column,
        content: Content<'_>,
        long_values: &LongValues,
        fetch: &mut FetchLong<'_>,
    ) {
        let is_long = matches!(
            column.column_type,
            ColumnType::LongBinary | ColumnType::LongText
        );
        let long = match content {
            Content::Bytes(bytes) if is_long && bytes.len() > long_values.inline_limit => {
                let mut writer = LongWriter::new(long_values);
                let written = writer.add(&bytes).and_then(|()| writer.finish());
                written.unwrap_or_else(LongValue::Unknown)
            }
            Content::Bytes(bytes) => LongValue::Whole(bytes.into_owned()),
            Content::Undecoded(bytes, reason) => {
                return self.add_value(place, &Value::Undecoded { bytes, reason });
            }
            Content::Separated(long) => fetch(long.reference()),
        };
        let value = match long {
            LongValue::Whole(bytes) => decode(bytes.into(), column.column_type, column.code_page),
            LongValue::Long {
                length,
                sha256,
                file,
            } => return self.add_long(length, &sha256, file.as_deref()),
            LongValue::Unknown(reason) => Value::Undecoded {
                bytes: Vec::new().into(),
                reason,
            },
        };
        self.add_value(place, &value);
    }

    fn add_value(&mut self, place: usize, value: &Value<'_>) {
        for Unreadable { bytes, reason } in write_value(&mut self.json, value) {
            let why = match bytes.is_empty() {
                true => reason,
                false => format!("{reason}: {}", hex::encode(bytes)),
            };
            self.unknown.push((place, why));
        }
    }

    /// Of a value that is too long for a row, what tells it from others.
    fn add_long(&mut self, length: u64, sha256: &str, file: Option<&str>) {
        let mut value = format!("{{\"length\":{length},\"sha256\":\"{sha256}\"");
        if let Some(file) = file {
            value += &format!(",\"file\":\"{file}\"");
        }
        value.push('}');
        self.json.extend_from_slice(value.as_bytes());
    }
}

/// JSON that was put together here is text.
fn text(json: Vec<u8>) -> String {
    String::from_utf8(json)
        .unwrap_or_else(|bad| String::from_utf8_lossy(bad.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ese_db::{Database, TableReader};
    use ese_testkit::fixtures;
    use ese_testkit::random::Random;

    /// Some bytes of each row are lost, and others stand in their place: every column that is said to be known is what it was.
    #[test]
    fn what_is_said_to_be_known_does_not_depend_on_lost_bytes() {
        let long_values = LongValues {
            inline_limit: usize::MAX,
            blobs: None,
        };
        let mut fetch = |_: &[u8]| LongValue::Unknown("it is elsewhere".into());
        let mut random = Random(7);
        let (mut known, mut unknown) = (0, 0);
        for set in ["crash-p8k", "names8-log-p32k", "clean-p4k"] {
            let set = fixtures::testdata_set(set);
            let database = Database::open(set.join("state/db.edb")).unwrap();
            for table in &database.catalog().unwrap().tables {
                let layout = TableLayout::new(table, database.page_size());
                for row in TableReader::new(&database, table).rows() {
                    let data = row.node().unwrap().data.to_vec();
                    let whole = Masked::known(data.clone());
                    let truth = layout.row(&whole, &long_values, &mut fetch).unwrap();
                    for _ in 0..20 {
                        let mut lost = data.clone();
                        let mut gaps = Vec::new();
                        let mut at = random.below(data.len());
                        while at < data.len() {
                            let end = (at + 1 + random.below(12)).min(data.len());
                            let zeros = random.below(2) == 0;
                            for byte in &mut lost[at..end] {
                                *byte = if zeros { 0 } else { random.below(256) as u8 };
                            }
                            gaps.push(at..end);
                            at = end + 1 + random.below(data.len());
                        }
                        let lost = Masked::with_gaps(lost, gaps);
                        let Ok(found) = layout.row(&lost, &long_values, &mut fetch) else {
                            continue;
                        };
                        for place in 0..layout.columns.len() {
                            if found.unknown.iter().any(|(of, _)| *of == place) {
                                unknown += 1;
                                continue;
                            }
                            let name = &layout.columns[place].column.name;
                            let of = format!("{}.{name}: {lost:?}", layout.name);
                            assert_eq!(found.value(place), truth.value(place), "{of}");
                            known += 1;
                        }
                    }
                }
            }
        }
        assert!(
            known > 10_000 && unknown > 10_000,
            "{known} known, {unknown} unknown"
        );
    }
}
