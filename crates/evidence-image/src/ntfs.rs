//! NTFS: folders and files of a volume, as they lie on it.
//!
//! ```text
//! boot sector -> $MFT (record 0) -> record n -> attributes -> runs -> clusters of the volume
//!                                      |
//!                                      +-- $ATTRIBUTE_LIST: the attribute goes on in other records
//! ```
//!
//! Invariant: what is not known is an error. A record that does not hold, a run that leads out of the volume, a folder of
//! which a part cannot be read: never zeros, never a shorter list.
//!
//! The layouts are those of the Linux-NTFS project's documentation and of what mkntfs writes.

mod attribute;
mod boot;
mod file;
mod folder;
mod record;
mod runs;
#[cfg(test)]
mod tests;
mod volume;

pub(crate) use folder::{Folders, VolumeId, folders};
pub(crate) use volume::{Elsewhere, Found, NtfsVolume};
