//! Files in disk images, as they arrive: `IMAGE::/Windows/System32/sru/SRUDB.dat`.
//!
//! ```text
//! IMAGE :: /PATH                the one volume, or the one of several that has it
//! IMAGE :: p2:/PATH             the second partition
//! IMAGE :: vss3:/PATH           the third shadow copy; p2:vss3:/PATH that of a partition
//! IMAGE :: vss*:/PATH           a folder of those copies that have it
//!
//! container     raw, E01, VMDK, VHD, VHDX, QCOW2: a file of the disk's bytes
//! partition     MBR, GPT: the volumes of a disk
//! ntfs          folders and files of a volume, compressed ones (lznt1) too
//! shadow        the bytes of a volume as they were when a shadow copy was made
//! image         what a name leads to
//! ```
//!
//! Invariant: what cannot be read is an error that says where, what was needed and what was there; never zeros, never a list
//! that is too short.

#![forbid(unsafe_code)]

mod cache;
pub mod container;
mod image;
pub mod lznt1;
mod name;
mod ntfs;
mod numbers;
mod partition;
pub mod shadow;

use evidence::{Container, Contents, EvidenceError, EvidenceFile};
use image::Image;
use std::sync::Arc;

/// Disk images, as a kind of files that hold files.
#[derive(Debug)]
pub struct Images;

impl Container for Images {
    fn kind(&self) -> &'static str {
        "a disk image that is read here (raw, E01, VMDK, VHD, VHDX, QCOW2)"
    }

    fn is_likely(&self, file: &EvidenceFile) -> Result<bool, EvidenceError> {
        Ok(container::is_likely(file)? && !container::is_later_part(file)?)
    }

    fn is_later_part(&self, file: &EvidenceFile) -> Result<bool, EvidenceError> {
        container::is_later_part(file)
    }

    fn open(&self, file: &EvidenceFile) -> Result<Option<Arc<dyn Contents>>, EvidenceError> {
        let image = Image::of(file)?;
        Ok(image.map(|image| image as Arc<dyn Contents>))
    }
}
