//! Decoded views of well-known schemas: further columns after the one that they explain. The raw column stays as it is.
//!
//! | schema | known by | views |
//! |---|---|---|
//! | [SRUM](srum) | table `SruDbIdMapTable` | ids as program, service or SID; FILETIMEs as time; network interfaces |
//! | [WebCache](web_cache) | table `Containers` | FILETIMEs of containers and their entries as time |
//! | [UAL, SUM](ual) | tables `CLIENTS` or `ROLE_IDS` | addresses; names of roles |
//! | [Windows Search](search) | tables `SystemIndex_...` | FILETIMEs in eight bytes as time; sizes, texts, paths of scopes |
//! | [BITS](bits) | tables `Jobs` and `Files` | the fields of the blob that a job or a file is |
//! | [Certificate Services](certificates) | tables `Certificates`, `CRLs` and `Requests` | dispositions, error codes, names of OIDs |
//! | [File History](file_history) | tables `backupset`, `namespace` and `library` | ids as names and times; FILETIMEs as time |
//! | [Security templates](security) | tables `SmTblSection` and `SmTblSmp` | text in binary columns, names of sections, FILETIMEs as time |
//!
//! Columns are recognised by name and type together, and only in a database of the schema, so that a view never replaces what a
//! column does not hold. A value that does not have the expected form gives null. Every layout that is read here is proved by a
//! real file in `testdata/real` or in the fixtures beside the project; what those files do not prove is left out.

mod bits;
mod certificates;
mod file_history;
mod forms;
mod search;
mod security;
mod srum;
mod ual;
mod web_cache;

use crate::cell::Cell;
use crate::layout::Kind;
use ese_db::{Catalog, Column, Database, Table, Value};
use std::collections::HashMap;

/// A column that explains another one.
#[derive(Debug)]
pub struct ColumnView {
    suffix: &'static str,
    meaning: Meaning,
}

/// How the values of a column are explained.
#[derive(Debug)]
enum Meaning {
    /// A number that names an entry of a map.
    Names(HashMap<i64, String>),
    /// A number that stands for a moment, in microseconds since 1970.
    Moments(HashMap<i64, i64>),
    /// A GUID that has a name.
    Guids(HashMap<[u8; 16], String>),
    /// A number that names a folder of a tree.
    Path(forms::Paths),
    /// Text that follows from the value alone.
    Text(fn(&Value<'_>) -> Option<String>),
    /// A number that follows from the value alone.
    Number(fn(&Value<'_>) -> Option<u64>),
    /// A FILETIME that follows from the value alone: 100 ns since 1601.
    Filetime(fn(&Value<'_>) -> Option<i64>),
}

impl ColumnView {
    fn new(suffix: &'static str, meaning: Meaning) -> Self {
        ColumnView { suffix, meaning }
    }

    fn text(suffix: &'static str, of: fn(&Value<'_>) -> Option<String>) -> Self {
        ColumnView::new(suffix, Meaning::Text(of))
    }

    fn filetime(suffix: &'static str, of: fn(&Value<'_>) -> Option<i64>) -> Self {
        ColumnView::new(suffix, Meaning::Filetime(of))
    }

    /// What the name of the view's column ends with.
    pub fn suffix(&self) -> &'static str {
        self.suffix
    }

    /// The type of the view's column.
    pub fn kind(&self) -> Kind {
        match self.meaning {
            Meaning::Moments(_) | Meaning::Filetime(_) => Kind::Time,
            Meaning::Number(_) => Kind::U64,
            Meaning::Names(_) | Meaning::Guids(_) | Meaning::Path(_) | Meaning::Text(_) => {
                Kind::Text
            }
        }
    }

    /// The names of numbers, if that is all that the view is.
    pub fn names(&self) -> Option<&HashMap<i64, String>> {
        match &self.meaning {
            Meaning::Names(names) => Some(names),
            _ => None,
        }
    }

    /// The decoded cell; null where the value is not of the expected form.
    pub fn cell<'a>(&'a self, value: &Value<'_>) -> Cell<'a> {
        if let Value::Multi(values) = value {
            return Cell::List(values.iter().map(|value| self.cell(value)).collect());
        }
        let known = |name: Option<&'a String>| name.map(|name| Cell::Text(name.into()));
        let owned = |text: Option<String>| text.map(|text| Cell::Text(text.into()));
        let cell = match &self.meaning {
            Meaning::Names(names) => known(forms::number(value).and_then(|id| names.get(&id))),
            Meaning::Moments(moments) => {
                let moment = forms::number(value).and_then(|id| moments.get(&id));
                moment.map(|micros| Cell::Time(*micros))
            }
            Meaning::Guids(names) => match value {
                Value::Guid(guid) => known(names.get(guid)),
                _ => None,
            },
            Meaning::Path(paths) => owned(forms::number(value).and_then(|id| paths.of(id))),
            Meaning::Text(of) => owned(of(value)),
            Meaning::Number(of) => of(value).map(Cell::Unsigned),
            Meaning::Filetime(of) => of(value).and_then(forms::time).map(Cell::Time),
        };
        cell.unwrap_or(Cell::Null)
    }
}

/// Columns of a schema, and the views that explain them.
#[derive(Debug)]
struct Explained {
    is: fn(&Table, &Column) -> bool,
    views: Vec<ColumnView>,
}

impl Explained {
    fn new(is: fn(&Table, &Column) -> bool, views: Vec<ColumnView>) -> Self {
        Explained { is, views }
    }
}

/// The views that fit one database.
#[derive(Debug)]
pub struct ColumnViews(Vec<Explained>);

impl ColumnViews {
    /// No views: everything as it is stored.
    pub fn none() -> Self {
        ColumnViews(Vec::new())
    }

    /// The views for a database with these tables.
    pub fn for_database(db: &Database, catalog: &Catalog) -> Self {
        let schemas = [
            srum::views,
            web_cache::views,
            ual::views,
            search::views,
            bits::views,
            certificates::views,
            file_history::views,
            security::views,
        ];
        let views = schemas.iter().filter_map(|views| views(db, catalog));
        ColumnViews(views.flatten().collect())
    }

    /// The views that explain `column` of `table`, in their order.
    pub fn of(&self, table: &Table, column: &Column) -> &[ColumnView] {
        let mut all = self.0.iter();
        let first = all.find(|explained| (explained.is)(table, column));
        first.map_or(&[], |explained| &explained.views)
    }
}
