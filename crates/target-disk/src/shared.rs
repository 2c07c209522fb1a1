//! A disk that many hold.

use crate::{Disk, LocalDisk};
use std::fmt::{self, Debug, Formatter};
use std::ops::Deref;
use std::sync::{Arc, LazyLock};

static LOCAL: LazyLock<Arc<dyn Disk>> = LazyLock::new(|| Arc::new(LocalDisk));

/// A disk that many hold: that of this machine, unless a test gives another one.
#[derive(Clone)]
pub struct SharedDisk(Arc<dyn Disk>);

impl SharedDisk {
    /// This disk.
    pub fn new(disk: impl Disk + 'static) -> Self {
        SharedDisk(Arc::new(disk))
    }
}

impl Default for SharedDisk {
    fn default() -> Self {
        SharedDisk(Arc::clone(&LOCAL))
    }
}

impl Deref for SharedDisk {
    type Target = dyn Disk;

    fn deref(&self) -> &(dyn Disk + 'static) {
        &*self.0
    }
}

impl Debug for SharedDisk {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("SharedDisk")
    }
}

/// Whether it is the same disk.
impl PartialEq for SharedDisk {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for SharedDisk {}
