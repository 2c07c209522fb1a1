//! VHD, of Virtual PC and Hyper-V, fixed and dynamic.
//!
//! ```text
//! fixed      the disk, then a footer of 512 bytes
//! dynamic    copy of the footer | header at the offset that the footer says | table of blocks | blocks | footer
//! block      bitmap of its sectors, in whole sectors | its bytes
//! ```
//!
//! Numbers are big-endian. Source: "Virtual Hard Disk Image Format Specification", Microsoft, 2006.

use super::disk::{Blocks, Run};
use super::parts::{Part, Tables};
use evidence::{SourceFile, wrong};
use std::io;
use std::sync::Arc;

pub(super) const COOKIE: &[u8; 8] = b"conectix";
pub(super) const FOOTER: usize = 512;
const NOT_THERE: u32 = u32::MAX;
/// The format ends at 2040 GiB; more blocks than these bytes say are not believed.
const MOST: u64 = 1 << 42;

#[derive(Debug)]
pub(super) struct Vhd {
    tables: Tables,
    length: u64,
    layout: Layout,
}

#[derive(Debug)]
enum Layout {
    Fixed,
    Dynamic {
        table: u64,
        block: u64,
        /// Bytes of the bitmap before each block.
        bitmap: u64,
    },
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(std::array::from_fn(|index| bytes[at + index]))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_be_bytes(std::array::from_fn(|index| bytes[at + index]))
}

/// Whether the checksum at `at` fits.
fn is_whole(bytes: &[u8], at: usize) -> bool {
    let sum = |bytes: &[u8]| bytes.iter().map(|byte| u32::from(*byte)).sum::<u32>();
    let rest = sum(&bytes[..at]) + sum(&bytes[at + 4..]);
    !rest == u32_at(bytes, at)
}

impl Vhd {
    pub(super) fn open(file: &Arc<dyn SourceFile>) -> io::Result<Self> {
        let part = Part::of(Arc::clone(file));
        let last = part.length().checked_sub(FOOTER as u64);
        let places = [Some(0), last];
        let mut footer = None;
        for at in places.into_iter().flatten() {
            let found: [u8; FOOTER] = part.bytes(at, "the footer")?;
            if found.starts_with(COOKIE) && is_whole(&found, 64) {
                footer = Some(found);
                break;
            }
        }
        let footer = footer.ok_or_else(|| {
            wrong("the checksum of the footer of this VHD does not fit: it is damaged")
        })?;
        let version = u32_at(&footer, 12);
        if version >> 16 != 1 {
            return Err(wrong(format!(
                "this VHD is of version {version:#x}, and only 1 is read here"
            )));
        }
        let length = u64_at(&footer, 48);
        if length == 0 || length > MOST {
            return Err(wrong(format!(
                "this VHD says that its disk has {length} bytes"
            )));
        }
        let layout = match u32_at(&footer, 60) {
            2 => {
                let there = last.unwrap_or(0);
                if there < length {
                    return Err(wrong(format!(
                        "the footer of this VHD says that the disk has {length} bytes, and {there} are before it: it is cut off"
                    )));
                }
                Layout::Fixed
            }
            3 => dynamic(&part, u64_at(&footer, 16), length)?,
            4 => {
                return Err(wrong(
                    "this VHD is a differencing disk: it holds only what changed since its parent; merge it with its parent first",
                ));
            }
            other => {
                return Err(wrong(format!(
                    "this VHD is of type {other}, and only fixed (2) and dynamic (3) ones are read here"
                )));
            }
        };
        Ok(Vhd {
            tables: Tables::of(part),
            length,
            layout,
        })
    }
}

/// Reads the header of a dynamic disk.
fn dynamic(part: &Part, at: u64, length: u64) -> io::Result<Layout> {
    let header: [u8; 1024] = part.bytes(at, "the header of a dynamic VHD")?;
    if !header.starts_with(b"cxsparse") || !is_whole(&header, 36) {
        return Err(wrong(format!(
            "the header at offset {at:#x} of this VHD is damaged"
        )));
    }
    let (table, blocks) = (u64_at(&header, 16), u64::from(u32_at(&header, 28)));
    let block = u64::from(u32_at(&header, 32));
    if !block.is_power_of_two() || block < 512 {
        return Err(wrong(format!(
            "this VHD says that its blocks have {block} bytes"
        )));
    }
    let needed = length.div_ceil(block);
    if blocks < needed {
        return Err(wrong(format!(
            "this VHD has a table of {blocks} blocks, and its disk needs {needed}"
        )));
    }
    part.expect(table, needed * 4, "the table of blocks")?;
    Ok(Layout::Dynamic {
        table,
        block,
        bitmap: (block / 512).div_ceil(8).next_multiple_of(512),
    })
}

impl Blocks for Vhd {
    fn length(&self) -> u64 {
        self.length
    }

    fn parts(&self) -> &[Part] {
        std::slice::from_ref(self.tables.part())
    }

    fn run(&self, offset: u64) -> io::Result<(Run, u64)> {
        let Layout::Dynamic {
            table,
            block,
            bitmap,
        } = self.layout
        else {
            return Ok((Run::At(0, offset), self.length - offset));
        };
        let (number, within) = (offset / block, offset % block);
        let entry = self
            .tables
            .entry(table + number * 4, "the table of blocks")?;
        let run = match u32::from_be_bytes(entry) {
            NOT_THERE => Run::Zeros,
            sector => Run::At(0, u64::from(sector) * 512 + bitmap + within),
        };
        Ok((run, block - within))
    }
}
