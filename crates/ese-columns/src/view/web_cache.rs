//! WebCache, the history and cache of Internet Explorer and Edge: `WebCacheV01.dat`.

use super::{ColumnView, Explained, forms};
use ese_db::{Catalog, Database};

pub(super) fn views(_: &Database, catalog: &Catalog) -> Option<Vec<Explained>> {
    catalog.table("Containers")?;
    Some(vec![Explained::new(
        |_, column| forms::is_64_bits(column) && column.name.ends_with("Time"),
        vec![ColumnView::filetime("time", forms::filetime)],
    )])
}
