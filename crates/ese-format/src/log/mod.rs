//! Log files and the checkpoint file: headers, attach lists, segments.
//!
//! A log stream is a row of files of equal size, one per *generation*. Each begins with a header of 4096 bytes
//! ([`LogHeader`]); after it come log records, in one of two layouts ([`Layout`]). The checkpoint file
//! ([`CheckpointFile`]) says from where in the stream recovery would start. Facts: `inc/log.hxx`, `inc/daedef.hxx`.

mod attach_list;
mod checkpoint;
mod checksum_record;
mod header;
mod segment;
mod system_parameters;
mod unverified;

pub use attach_list::{AttachList, Attachment, RawAttachment};
pub use checkpoint::{
    Checkpoint, CheckpointCopy, CheckpointFile, CheckpointProblem, RawCheckpoint,
};
pub use checksum_record::{ChecksumRecord, fill_pattern, is_fill_pattern};
pub use header::{
    DiskSectorSize, Layout, LogFlags, LogHeader, LogVersion, NEWEST_LOG_VERSION, PreviousChecksum,
    RawLogHeader,
};
pub use segment::{
    RawSegmentHeader, SEGMENT_HEADER_SIZE, SEGMENT_SIZE, SegmentCheck, SegmentHeader, check_segment,
};
pub use system_parameters::{RawSystemParameters, SystemParameters};
pub use unverified::Unverified;

/// Bytes that a log header takes, whatever the sector size (`cbLogFileHeader`, `inc/log.hxx`).
pub const HEADER_SIZE: usize = 4096;

/// Where log header and checkpoint say which kind of file they are (`le_filetype`).
pub const FILE_TYPE_OFFSET: usize = 667;

/// File type of a log (`JET_filetypeLog`, `published/inc/jethdr.w`).
pub const FILE_TYPE_LOG: u32 = 3;

/// File type of a checkpoint (`JET_filetypeCheckpoint`).
pub const FILE_TYPE_CHECKPOINT: u32 = 4;

/// The fixed fields at the start of a header and the attach list after them.
fn header_and_attach_list<const N: usize>(header: &[u8; HEADER_SIZE]) -> (&[u8; N], &[u8]) {
    const {
        assert!(N + AttachList::SIZE <= HEADER_SIZE);
    }
    let (fields, rest) = header.split_at(N);
    let fields = fields.first_chunk().unwrap_or(&[0; N]);
    (fields, &rest[..AttachList::SIZE])
}

/// Text of a fixed field: up to its first zero byte. The engine stores these paths for information only, in an
/// unknown code page, so bytes outside printable ASCII are escaped.
fn fixed_text(bytes: &[u8]) -> String {
    let text = bytes.split(|byte| *byte == 0).next().unwrap_or(&[]);
    let mut out = String::with_capacity(text.len());
    for &byte in text {
        if byte.is_ascii_graphic() || byte == b' ' {
            out.push(char::from(byte));
        } else {
            out.extend(std::ascii::escape_default(byte).map(char::from));
        }
    }
    out
}
