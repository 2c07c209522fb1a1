//! When two images of a page are the same page.
//!
//! Two runs of the engine on the same input differ in these, and so may we:
//! - checksum and the flag of its format: made when the page is written;
//! - flush type: changes with every write;
//! - uncommitted free bytes: a hint of the version store, corrected lazily and without a record;
//! - the versioned flag of a node: cleared lazily, without a record;
//! - end of data, place of data in the page, bytes that no tag refers to: a matter of when a page was reorganised;
//! - whether one reserved tag is stored as 1 or as 0: the writer counts it at the first change after the database got
//!   the format that counts, which need not be a logged change.

use ese_format::Pgno;
use ese_format::page::{NodeFlags, PageFlags, PageView};
use ese_replay::pages::Pages;

/// How the page `ours` differs from the engine's; `None` if it is the same page.
pub(crate) fn difference(pgno: Pgno, ours: &[u8], engine: &[u8]) -> Option<String> {
    let ours = PageView::new(pgno, ours).expect("a page");
    let engine = PageView::new(pgno, engine).expect("a page");
    header_difference(ours, engine).or_else(|| content_difference(ours, engine))
}

fn header_difference(ours: PageView<'_>, engine: PageView<'_>) -> Option<String> {
    let fields = |page: PageView<'_>| {
        let header = page.header();
        [
            ("dbtime", header.dbtime().0),
            ("previous", header.previous().0.into()),
            ("next", header.next().0.into()),
            ("objid", header.objid().0.into()),
            ("free", header.free().into()),
            ("tags", header.tag_count().into()),
            ("reserved tags", header.reserved_tag_count().max(1).into()),
            ("flags", flags(page).bits().into()),
            (
                "own number",
                page.extension()
                    .map_or(0, |extension| extension.pgno().0.into()),
            ),
        ]
    };
    fields(ours)
        .into_iter()
        .zip(fields(engine))
        .find(|(ours, engine)| ours != engine)
        .map(|((name, ours), (_, engine))| format!("{name} {ours:#x}, the engine has {engine:#x}"))
}

fn flags(page: PageView<'_>) -> PageFlags {
    page.flags() - PageFlags::FLUSH_TYPE - PageFlags::NEW_CHECKSUM_FORMAT
}

fn content_difference(ours: PageView<'_>, engine: PageView<'_>) -> Option<String> {
    for itag in 0..engine.reserved_tag_count().min(engine.tag_count()) {
        let (left, right) = (
            ours.tag_bytes(itag).unwrap(),
            engine.tag_bytes(itag).unwrap(),
        );
        if left != right {
            return Some(format!(
                "reserved tag {itag} {left:02x?}, the engine has {right:02x?}"
            ));
        }
    }
    for line in 0..engine.node_count() {
        let (left, right) = (ours.node(line).unwrap(), engine.node(line).unwrap());
        let flags = |flags: NodeFlags| flags - NodeFlags::VERSIONED;
        if flags(left.flags) != flags(right.flags) {
            return Some(format!(
                "node {line} flags {:?}, the engine has {:?}",
                left.flags, right.flags
            ));
        }
        if (left.prefix, left.suffix) != (right.prefix, right.suffix) {
            let (left, right) = (left.key().to_vec(), right.key().to_vec());
            return Some(format!(
                "node {line} key {left:02x?}, the engine has {right:02x?}"
            ));
        }
        if left.data != right.data {
            return Some(format!(
                "node {line} data {:02x?}, the engine has {:02x?}",
                left.data, right.data
            ));
        }
    }
    None
}

/// Compares all pages of a database with those in the engine's file, and their number: how many there are, and what
/// differs.
pub(crate) fn compare_files(pages: &mut Pages, engine: &[u8]) -> (usize, Vec<String>) {
    let size = pages.size().as_usize();
    let mut found = Vec::new();
    let mut compared = 0;
    let (ours, last) = (pages.last(), Pgno((engine.len() / size) as u32 - 2));
    if ours != last {
        found.push(format!("last page {ours}, the engine has {last}"));
    }
    for (index, engine) in engine.chunks_exact(size).enumerate().skip(2) {
        let pgno = Pgno(index as u32 - 1);
        compared += 1;
        let blank = engine.iter().all(|byte| *byte == 0);
        match pages.get(pgno) {
            Ok(page) if !blank => found.extend(
                difference(pgno, page.bytes(), engine)
                    .map(|what| format!("end, page {pgno}: {what}")),
            ),
            Ok(_) => found.push(format!("end, page {pgno}: the engine's is blank")),
            Err(error) if !blank => found.push(format!("end, page {pgno}: {error}")),
            Err(_) => {}
        }
    }
    (compared, found)
}
