//! A database of any size for measurements: the pages of a small one over and over, each sealed under its new number.
//!
//! Every page is a good page to a checksum scan. Its trees lead nowhere, so only whole-file commands can use it.

use ese_checksum::{is_blank, seal_page};
use ese_testkit::fixtures;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

const PAGE_SIZE: usize = 8192;

/// Writes a database of `mebibytes` MiB to `path`, which must not exist.
pub(crate) fn write(path: &Path, mebibytes: &str) -> Result<(), String> {
    let mebibytes: u64 = mebibytes
        .parse()
        .map_err(|error| format!("{mebibytes:?}: {error}"))?;
    write_pages(path, (mebibytes << 20) / PAGE_SIZE as u64)
        .map_err(|error| format!("{}: {error}", path.display()))
}

fn write_pages(path: &Path, pages: u64) -> std::io::Result<()> {
    let small = fixtures::testdata_set("crash-p8k").join("recovered/db.edb");
    let small = std::fs::read(small)?;
    let (headers, patterns) = small.split_at(2 * PAGE_SIZE);
    let patterns: Vec<&[u8]> = patterns
        .chunks_exact(PAGE_SIZE)
        .filter(|page| !is_blank(page))
        .collect();
    let mut file = BufWriter::with_capacity(1 << 20, File::create_new(path)?);
    file.write_all(headers)?;
    let mut page = vec![0; PAGE_SIZE];
    for pgno in 1..=u32::try_from(pages.saturating_sub(2)).unwrap_or(u32::MAX) {
        page.copy_from_slice(patterns[pgno as usize % patterns.len()]);
        seal_page(&mut page, pgno);
        file.write_all(&page)?;
    }
    file.into_inner()?.sync_all()
}
