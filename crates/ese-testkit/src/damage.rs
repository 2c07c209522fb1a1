//! The damaged variants of one set, as `../shared/fixtures/damage/damage.py` makes them.
//!
//! The reference engine's words on each variant are in `../shared/fixtures/damage/expected/NAME`. Offsets are those
//! of the script, so that both speak of the same bytes. The base is the folder `state` of the set `crash-p8k`.

use crate::fixtures;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const PAGE: usize = 8192;
const SEGMENT: usize = 4096;

/// A variant: its name, and what makes it out of a copy of the state.
pub struct Variant {
    /// Name of its folder below `expected`.
    pub name: &'static str,
    make: fn(&WorkingCopy),
}

/// A copy of a state folder that a test may change. It is removed with this value.
pub struct WorkingCopy {
    folder: TempDir,
}

impl WorkingCopy {
    /// A copy of the files of `folder`.
    pub fn of(folder: &Path) -> Self {
        let copy = TempDir::new().expect("a temporary folder can be made");
        for entry in fs::read_dir(folder).expect("a fixture folder can be listed") {
            let path = entry.expect("a directory entry").path();
            if path.is_file() {
                let name = path.file_name().expect("a file has a name");
                fs::copy(&path, copy.path().join(name)).expect("a fixture can be copied");
            }
        }
        WorkingCopy { folder: copy }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Content of a file.
    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path().join(name)).expect("a copied file can be read")
    }

    /// Replaces a file.
    pub fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path().join(name), bytes).expect("a copied file can be written");
    }

    /// Removes a file.
    pub fn remove(&self, name: &str) {
        fs::remove_file(self.path().join(name)).expect("a copied file can be removed");
    }

    /// Changes the content of a file in place.
    pub fn edit(&self, name: &str, edit: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = self.read(name);
        edit(&mut bytes);
        self.write(name, &bytes);
    }

    /// Flips bit 3 of `count` bytes from `offset` on, 97 bytes apart.
    pub fn flip(&self, name: &str, offset: usize, count: usize) {
        self.edit(name, |bytes| {
            for index in 0..count {
                bytes[offset + 97 * index] ^= 8;
            }
        });
    }

    fn swap(&self, one: &str, other: &str) {
        let (a, b) = (self.read(one), self.read(other));
        self.write(one, &b);
        self.write(other, &a);
    }

    fn zero(&self, name: &str, start: usize, length: usize) {
        self.edit(name, |bytes| bytes[start..start + length].fill(0));
    }

    fn truncate(&self, name: &str, length: impl FnOnce(usize) -> usize) {
        self.edit(name, |bytes| bytes.truncate(length(bytes.len())));
    }
}

fn page(pgno: usize) -> usize {
    (pgno + 1) * PAGE
}

/// The last segment of a log that does not begin with zeroes.
fn last_used_segment(log: &[u8]) -> usize {
    let used = log
        .chunks(SEGMENT)
        .rposition(|segment| segment[..64] != [0; 64]);
    used.expect("a log has a header")
}

/// All variants, in the order of the script.
pub const VARIANTS: [Variant; 33] = [
    Variant {
        name: "log-gap-middle",
        make: |copy| copy.remove("edb00010.log"),
    },
    Variant {
        name: "log-gap-two",
        make: |copy| {
            copy.remove("edb00010.log");
            copy.remove("edb00011.log");
        },
    },
    Variant {
        name: "log-gap-not-required",
        make: |copy| copy.remove("edb00003.log"),
    },
    Variant {
        name: "log-current-missing",
        make: |copy| copy.remove("edb.log"),
    },
    Variant {
        name: "log-last-named-missing",
        make: |copy| copy.remove("edb00016.log"),
    },
    Variant {
        name: "log-names-swapped",
        make: |copy| copy.swap("edb0000E.log", "edb0000F.log"),
    },
    Variant {
        name: "log-header-bit",
        make: |copy| copy.flip("edb00010.log", 20, 1),
    },
    Variant {
        name: "log-segment-bit-middle",
        make: |copy| copy.flip("edb00010.log", 10 * SEGMENT + 600, 1),
    },
    Variant {
        name: "log-segment-many-bits-middle",
        make: |copy| copy.flip("edb00010.log", 10 * SEGMENT + 600, 20),
    },
    Variant {
        name: "log-segment-zeroed-middle",
        make: |copy| copy.zero("edb00010.log", 10 * SEGMENT, SEGMENT),
    },
    Variant {
        name: "log-truncated-named",
        make: |copy| copy.truncate("edb00010.log", |length| length / 2),
    },
    Variant {
        name: "log-zero-length",
        make: |copy| copy.write("edb00010.log", &[]),
    },
    Variant {
        name: "log-all-zero",
        make: |copy| copy.edit("edb00010.log", |bytes| bytes.fill(0)),
    },
    Variant {
        name: "log-current-last-segment-bits",
        make: |copy| {
            let segment = last_used_segment(&copy.read("edb.log"));
            copy.flip("edb.log", segment * SEGMENT + 200, 20);
        },
    },
    Variant {
        name: "log-current-first-segment-bits",
        make: |copy| copy.flip("edb.log", SEGMENT + 200, 20),
    },
    Variant {
        name: "log-current-truncated",
        make: |copy| copy.truncate("edb.log", |_| 5 * SEGMENT),
    },
    Variant {
        name: "log-duplicate-generation",
        make: |copy| copy.write("edb00030.log", &copy.read("edb00010.log")),
    },
    Variant {
        name: "checkpoint-missing",
        make: |copy| copy.remove("edb.chk"),
    },
    Variant {
        name: "checkpoint-primary-bit",
        make: |copy| copy.flip("edb.chk", 300, 1),
    },
    Variant {
        name: "checkpoint-both-bits",
        make: |copy| {
            copy.flip("edb.chk", 300, 1);
            copy.flip("edb.chk", 4096 + 300, 1);
        },
    },
    Variant {
        name: "db-header-primary-bit",
        make: |copy| copy.flip("db.edb", 60, 1),
    },
    Variant {
        name: "db-header-shadow-bit",
        make: |copy| copy.flip("db.edb", PAGE + 60, 1),
    },
    Variant {
        name: "db-header-both-bits",
        make: |copy| {
            copy.flip("db.edb", 60, 1);
            copy.flip("db.edb", PAGE + 60, 1);
        },
    },
    Variant {
        name: "db-page-one-bit",
        make: |copy| copy.flip("db.edb", page(34) + 4000, 1),
    },
    Variant {
        name: "db-page-many-bits",
        make: |copy| copy.flip("db.edb", page(34) + 4000, 20),
    },
    Variant {
        name: "db-page-checksum-field-bit",
        make: |copy| copy.flip("db.edb", page(34) + 2, 1),
    },
    Variant {
        name: "db-page-zeroed",
        make: |copy| copy.zero("db.edb", page(34), PAGE),
    },
    Variant {
        name: "db-pages-swapped",
        make: |copy| {
            copy.edit("db.edb", |bytes| {
                let (first, second) = bytes.split_at_mut(page(35));
                first[page(34)..].swap_with_slice(&mut second[..PAGE]);
            });
        },
    },
    Variant {
        name: "db-truncated-page",
        make: |copy| copy.truncate("db.edb", |_| page(100)),
    },
    Variant {
        name: "db-truncated-inside-page",
        make: |copy| copy.truncate("db.edb", |_| page(100) + 5000),
    },
    Variant {
        name: "db-missing",
        make: |copy| copy.remove("db.edb"),
    },
    Variant {
        name: "flush-map-missing",
        make: |copy| copy.remove("db.jfm"),
    },
    Variant {
        name: "undamaged",
        make: |_| {},
    },
];

impl Variant {
    /// Makes the variant.
    pub fn make(&self) -> WorkingCopy {
        let copy = WorkingCopy::of(&fixtures::engine_set("crash-p8k").join("state"));
        (self.make)(&copy);
        copy
    }

    /// The reference engine's words on it: the text `what` (`ml`, `mk`, `recovery`, ...), if it is there.
    pub fn expected(&self, what: &str) -> Option<String> {
        let path: PathBuf = fixtures::damage_expected().join(self.name);
        let bytes = fs::read(path.join(format!("{what}.txt"))).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }
}
