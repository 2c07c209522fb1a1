//! Images of pages in records: a page as it was, for when neither the disk nor redo has it any more.
//!
//! A split, merge or page move copies nodes from one page to another. If only the receiving page needs the record, the
//! giving one has moved on; its image in the record brings it back, and both are redone. Images are logged after the
//! page got its new dbtime, which is set back. They may be *dehydrated* (the gap between data and tags left out,
//! `CPAGE::RehydratePage`) and compressed with Xpress (`ErrLGIDecompressPreimage`, `ese/_log/logredo.cxx`).

use crate::error::Problem;
use crate::page_edit::PageBuffer;
use ese_format::page::{PageSize, PageView, Tag};
use ese_format::record::{self, PageImageFlags};
use ese_format::{Dbtime, Pgno};

/// The page that a record's image holds, at the dbtime `before`.
pub fn unpack(
    image: &record::PageImage<'_>,
    pgno: Pgno,
    size: PageSize,
    before: Dbtime,
) -> Result<PageBuffer, Problem> {
    let problem = |what| Problem::PageImage { pgno, what };
    if image.bytes.is_empty() {
        return Err(Problem::NoPageImage { pgno });
    }
    let mut bytes = image.bytes.to_vec();
    if image.flags.contains(PageImageFlags::XPRESS) {
        let unpacked = ese_db::compression::decompress(&bytes);
        bytes = unpacked.map_err(|_| problem("it does not decompress"))?;
    }
    if image.flags.contains(PageImageFlags::DEHYDRATED) {
        bytes = rehydrate(&bytes, size).ok_or(problem("its tags do not fit"))?;
    }
    if bytes.len() != size.as_usize() {
        return Err(problem("it is not one page long"));
    }
    restore(bytes, pgno, before)
}

/// The page that header and trailer of a page move hold, at the dbtime `before`.
pub fn join(
    header: &[u8],
    trailer: &[u8],
    pgno: Pgno,
    size: PageSize,
    before: Dbtime,
) -> Result<PageBuffer, Problem> {
    let gap = size.as_usize().checked_sub(header.len() + trailer.len());
    let what = "it is longer than a page";
    let gap = gap.ok_or(Problem::PageImage { pgno, what })?;
    restore([header, &vec![0; gap], trailer].concat(), pgno, before)
}

fn restore(bytes: Vec<u8>, pgno: Pgno, before: Dbtime) -> Result<PageBuffer, Problem> {
    let page = PageBuffer::from_bytes(bytes.into_boxed_slice(), pgno);
    let mut page = page.map_err(|error| Problem::Edit(error.into()))?;
    page.set_dbtime(before);
    Ok(page)
}

/// Moves the tag array back to the end of the page and gives the page back its free bytes.
fn rehydrate(bytes: &[u8], size: PageSize) -> Option<Vec<u8>> {
    let growth = size.as_usize().checked_sub(bytes.len())?;
    let mut page = vec![0; size.as_usize()];
    page.get_mut(..bytes.len())?.copy_from_slice(bytes);
    let view = PageView::new(Pgno::NULL, &page).ok()?;
    let tags = view.tag_count() * Tag::SIZE;
    let free = usize::from(view.header().free()) + growth;
    let start = bytes
        .len()
        .checked_sub(tags)
        .filter(|start| *start >= size.header_size())?;
    page.copy_within(start..bytes.len(), size.as_usize() - tags);
    let gap = page.get_mut(start..size.as_usize() - tags)?;
    gap.fill(0);
    let mut image = PageBuffer::from_bytes(page.into_boxed_slice(), Pgno::NULL).ok()?;
    image.set_free(free);
    Some(image.into_bytes().into_vec())
}
