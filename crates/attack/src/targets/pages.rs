//! One page, one record of a table, one compressed value.

use super::choice;
use ese_db::ColumnType;
use ese_db::compression;
use ese_db::record::{DataRecord, TaggedFlags};
use ese_db::value::decode;
use ese_format::Pgno;
use ese_format::page::{Extent, PageSize, PageView};

const SIZES: [u32; 5] = [2048, 4096, 8192, 16_384, 32_768];

/// A page of any size: its header, tags, nodes, and what root pages and space trees hold.
pub(crate) fn page(bytes: &[u8]) {
    let (choice, rest) = choice(bytes);
    let size = SIZES[usize::from(choice) % SIZES.len()] as usize;
    // The end of the bytes is the end of the page: that is where tags are.
    let mut page = vec![0; size];
    let half = rest.len().min(size) / 2;
    page[..half].copy_from_slice(&rest[..half]);
    let end = &rest[half..rest.len().min(size)];
    page[size - end.len()..].copy_from_slice(end);
    let Ok(view) = PageView::new(Pgno(u32::from(choice)), &page) else {
        return;
    };
    let _ = (view.own_pgno(), view.is_blank(), view.external_header());
    let _ = (view.root_header(), view.split_buffer(), view.data_area());
    for itag in 0..view.tag_count() {
        let _ = (view.tag(itag), view.tag_bytes(itag));
    }
    for node in view.nodes().flatten() {
        let _ = (node.key().to_vec(), node.child(), Extent::read(&node));
    }
}

/// A record, read column by column as every type.
pub(crate) fn row(bytes: &[u8]) {
    let (choice, bytes) = choice(bytes);
    let size = PageSize::new(SIZES[usize::from(choice) % SIZES.len()]).expect("a page size");
    let Ok(record) = DataRecord::parse(bytes, size) else {
        return;
    };
    for id in 0..=256 {
        let _ = (
            record.fixed(id, usize::from(id) * 3, 8),
            record.variable(id),
        );
    }
    for tagged in record.tagged().into_iter().flatten() {
        let _ = (tagged.field(), tagged.flags.contains(TaggedFlags::NULL));
    }
    for number in 0..20 {
        for code_page in [0, 1200, 1252, 65_001, u32::from(choice)] {
            let _ = decode(bytes.into(), ColumnType::from_number(number), code_page);
        }
    }
}

/// A compressed value.
pub(crate) fn decompress(bytes: &[u8]) {
    if let Ok(value) = compression::decompress(bytes) {
        assert!(
            value.len() <= 64 << 20,
            "{} bytes out of {}",
            value.len(),
            bytes.len()
        );
    }
}
