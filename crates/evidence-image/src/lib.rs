//! Files in disk images, as they arrive: `IMAGE::/Windows/System32/sru/SRUDB.dat`.
//!
//! ```text
//! IMAGE :: /PATH                the one volume, or the one of several that has it
//! IMAGE :: p2:/PATH             the second partition
//! IMAGE :: vss3:/PATH           the third shadow copy; p2:vss3:/PATH that of a partition
//!
//! container::open               raw, E01, VMDK, VHD, VHDX, QCOW2: a file of the disk's bytes
//! shadow::ShadowCopies          the bytes of a volume as they were when a shadow copy was made
//! ```

#![forbid(unsafe_code)]

pub mod container;
pub mod lznt1;
pub mod shadow;

use evidence::{Container, Contents, EvidenceError, EvidenceFile};
use std::sync::Arc;

/// Disk images, as a kind of files that hold files.
#[derive(Debug)]
pub struct Images;

impl Container for Images {
    fn kind(&self) -> &'static str {
        "a disk image that is read here (raw, E01, VMDK, VHD, VHDX, QCOW2)"
    }

    fn is_likely(&self, _file: &EvidenceFile) -> Result<bool, EvidenceError> {
        Ok(false)
    }

    fn open(&self, _file: &EvidenceFile) -> Result<Option<Arc<dyn Contents>>, EvidenceError> {
        Ok(None)
    }
}
