//! The inputs from the field that stand in `../shared/cases`, made here as `derive.py` makes them there.
//!
//! Each has a README beside the script: what happened, what the programs once said, and what is right.

use crate::fixtures;
use ese_checksum::seal_page;
use ese_format::log::fill_pattern;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// An input. It is removed with this value.
pub struct Case {
    folder: TempDir,
}

/// A case and what makes it.
struct Recipe {
    name: &'static str,
    make: fn() -> Case,
}

const RECIPES: [Recipe; 24] = [
    Recipe {
        name: "e00-missing",
        make: || standby(|name| name != "E00.log"),
    },
    Recipe {
        name: "e00-renamed-closed",
        make: || {
            let case = standby(|_| true);
            case.rename("E00.log", "E000000000B.log");
            case
        },
    },
    Recipe {
        name: "last-closed-copied-as-e00",
        make: || {
            let case = Case::of(&state(STANDBY), |name| {
                !matches!(name, "E00.log" | "db.edb" | "E00.chk")
            });
            case.rename("db.edb.old1", "db.edb");
            case.write("E00.log", &case.read("E000000000A.log"));
            case
        },
    },
    Recipe {
        name: "e00tmp-as-e00",
        make: || {
            let case = standby(|name| name != "E00.log");
            case.rename("E00tmp.log", "E00.log");
            case
        },
    },
    Recipe {
        name: "only-required",
        make: || {
            standby(|name| {
                let required = name > "E0000000003.log" && name < "E00000000FF.log";
                matches!(name, "db.edb" | "E00.log") || (name.len() == 15 && required)
            })
        },
    },
    Recipe {
        name: "prefix-renamed",
        make: || {
            let case = standby(|_| true);
            for name in case.names() {
                if let Some(rest) = name.strip_prefix("E00") {
                    case.rename(&name, &format!("R00{rest}"));
                }
            }
            case
        },
    },
    Recipe {
        name: "upper-case",
        make: || {
            let case = standby(|_| true);
            for name in case.names() {
                if name.starts_with("E00") {
                    let even = name.rsplit('.').nth(1).and_then(|stem| stem.chars().last());
                    let renamed = match even.is_some_and(|last| "02468A".contains(last)) {
                        true => name.to_lowercase(),
                        false => name.to_uppercase(),
                    };
                    case.rename(&name, &renamed);
                }
            }
            case
        },
    },
    Recipe {
        name: "two-streams",
        make: || {
            let case = standby(|_| true);
            case.add(&state("crash-p8k"), |name| name.starts_with("edb"));
            case
        },
    },
    Recipe {
        name: "missing-in-subfolder",
        make: || {
            let case = standby(|_| true);
            fs::create_dir(case.path().join("inspector")).expect("the folder is writable");
            case.rename("E0000000007.log", "inspector/E0000000007.log");
            case
        },
    },
    Recipe {
        name: "missing-db-1216",
        make: || Case::of(&state("multidb-p8k"), |name| !name.starts_with("dbb.")),
    },
    Recipe {
        name: "lost-flush-566",
        make: lost_flush,
    },
    Recipe {
        name: "leaf-loop",
        make: leaf_loop,
    },
    Recipe {
        name: "truncated-db",
        make: || {
            let case = Case::of(&state("oldcopy-clean-p8k"), |name| name == "db.edb");
            case.edit("db.edb", |bytes| bytes.truncate(bytes.len() / 2 + 1000));
            case
        },
    },
    Recipe {
        name: "zeros-in-closed-log",
        make: || {
            let case = standby(|_| true);
            case.edit("E0000000008.log", |bytes| {
                let half = bytes.len() / 2;
                bytes[half..].fill(0);
            });
            case
        },
    },
    Recipe {
        name: "reserved-tags",
        make: reserved_tags,
    },
    Recipe {
        name: "db-only",
        make: || standby(|name| name == "db.edb"),
    },
    Recipe {
        name: "collected-names",
        make: || {
            let case = standby(|_| true);
            case.write("E00.log.idx", br#"{"ranges":[]}"#);
            case.write("desktop.ini", b"x");
            let (five, six) = (case.read("E0000000005.log"), case.read("E0000000006.log"));
            case.write("E0000000005.log.bak", &five);
            case.write("Copy of E0000000005.log", &five);
            case.write("E0000000005 (1).log", &six);
            case
        },
    },
    Recipe {
        name: "chk-other-stream",
        make: || {
            let case = standby(|_| true);
            case.add(&state("exchange-p8k"), |name| name == "E00.chk");
            case
        },
    },
    Recipe {
        name: "xp-closed-log-torn",
        make: || {
            let real = fixtures::real().expect("the fixtures are there");
            let case = Case::of(&real.join("xp-catroot2"), |_| true);
            case.edit("edb00080.log", |bytes| {
                for sector in bytes[0x41 * SECTOR..].chunks_exact_mut(SECTOR) {
                    sector.copy_from_slice(&fill_pattern());
                }
            });
            case
        },
    },
    Recipe {
        name: "folder-of-ruins",
        make: || {
            let case = Case::of(&state("oldcopy-clean-p8k"), |name| name == "db.edb");
            case.rename("db.edb", "MBX1.edb");
            case.edit("MBX1.edb", |bytes| bytes[..16384].fill(0x5a));
            case.write("MBX2.edb", &vec![0; 1 << 20]);
            case.write("MBX3.edb", &[]);
            case
        },
    },
    Recipe {
        name: "scr-source-without-e00",
        make: || Case::of(&state(STANDBY), |name| name != "E00.log"),
    },
    Recipe {
        name: "clean-copy-logs-gone",
        make: || {
            let case = Case::of(&state(STANDBY), |name| {
                let gone = ["E0000000001.log", "E0000000002.log", "E0000000003.log"];
                !gone.contains(&name) && !matches!(name, "db.edb" | "db.jfm")
            });
            case.rename("db.edb.old1", "db.edb");
            case
        },
    },
    Recipe {
        name: "silent-loss-v43",
        make: || stored("silent-loss-v43"),
    },
    Recipe {
        name: "dirty-closed-tail-v43",
        make: || stored("dirty-closed-tail-v43"),
    },
];

const STANDBY: &str = "exchange-standby-p8k";
const SECTOR: usize = 512;

/// Names of all cases.
pub fn names() -> impl Iterator<Item = &'static str> {
    RECIPES.iter().map(|recipe| recipe.name)
}

/// Makes the case of this name; `None`, said aloud, when the fixtures are missing.
pub fn case(name: &str) -> Option<Case> {
    fixtures::shared()?;
    let recipe = RECIPES.iter().find(|recipe| recipe.name == name);
    let recipe = recipe.unwrap_or_else(|| panic!("there is no case {name}"));
    Some((recipe.make)())
}

impl Case {
    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Its database.
    pub fn database(&self) -> PathBuf {
        self.path().join("db.edb")
    }

    /// A copy of the files of `folder` whose names are wanted.
    fn of(folder: &Path, wanted: impl Fn(&str) -> bool) -> Self {
        let case = Case {
            folder: TempDir::new().expect("a temporary folder can be made"),
        };
        case.add(folder, wanted);
        case
    }

    fn add(&self, folder: &Path, wanted: impl Fn(&str) -> bool) {
        for entry in fs::read_dir(folder).expect("a fixture folder can be listed") {
            let path = entry.expect("a directory entry").path();
            let name = path.file_name().and_then(|name| name.to_str());
            let name = name.expect("fixtures have plain names");
            if path.is_file() && wanted(name) {
                fs::copy(&path, self.path().join(name)).expect("a fixture can be copied");
            }
        }
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path()).expect("a folder can be listed");
        let names = entries.map(|entry| entry.expect("a directory entry").file_name());
        names
            .map(|name| name.into_string().expect("fixtures have plain names"))
            .collect()
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path().join(name)).expect("a copied file can be read")
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path().join(name), bytes).expect("a copied file can be written");
    }

    fn edit(&self, name: &str, edit: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = self.read(name);
        edit(&mut bytes);
        self.write(name, &bytes);
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path().join(from), self.path().join(to)).expect("a file can be renamed");
    }
}

fn state(set: &str) -> PathBuf {
    let set = fixtures::engine_set(set).expect("the fixtures are there");
    set.join("state")
}

/// The files of a storage group whose database needs generations 4 to 11; without the old copy of the database.
fn standby(wanted: impl Fn(&str) -> bool) -> Case {
    Case::of(&state(STANDBY), |name| {
        name != "db.edb.old1" && wanted(name)
    })
}

/// A case that is not derived but kept as a whole.
fn stored(name: &str) -> Case {
    let cases = fixtures::shared().expect("the fixtures are there");
    let cases = cases.parent().expect("it lies in a folder").join("cases");
    let bytes = fixtures::read_zst(&cases.join(name).join("in.tar.zst"));
    let unpacked = TempDir::new().expect("a temporary folder can be made");
    tar::Archive::new(&*bytes)
        .unpack(unpacked.path())
        .expect("an archive");
    Case::of(&unpacked.path().join("in"), |_| true)
}

/// The pages of a database, by number.
struct Pages {
    bytes: Vec<u8>,
    size: usize,
}

impl Pages {
    fn new(bytes: Vec<u8>) -> Self {
        let size = u32::from_le_bytes(bytes[236..240].try_into().expect("four bytes"));
        let size = if size == 0 { 4096 } else { size as usize };
        Pages { bytes, size }
    }

    fn count(&self) -> usize {
        self.bytes.len() / self.size - 2
    }

    fn page(&self, number: usize) -> &[u8] {
        &self.bytes[(number + 1) * self.size..][..self.size]
    }

    fn page_mut(&mut self, number: usize) -> &mut [u8] {
        &mut self.bytes[(number + 1) * self.size..][..self.size]
    }

    fn seal(&mut self, number: usize) {
        let page = self.page_mut(number);
        assert!(seal_page(page, number as u32), "a page has a page's size");
    }
}

fn u32_at(page: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(page[at..at + 4].try_into().expect("four bytes"))
}

/// One page is as it was in the old copy.
fn lost_flush() -> Case {
    let case = Case::of(&state(STANDBY), |_| true);
    let old = Pages::new(case.read("db.edb.old1"));
    let mut new = Pages::new(case.read("db.edb"));
    let dbtime = 8..16;
    let stale = (4..=old.count()).rev().find(|number| {
        let (before, after) = (old.page(*number), new.page(*number));
        before[dbtime.clone()] != after[dbtime.clone()] && before[dbtime.clone()] != [0; 8]
    });
    let stale = stale.expect("pages were changed since");
    new.page_mut(stale).copy_from_slice(old.page(stale));
    case.write("db.edb", &new.bytes);
    fs::remove_file(case.path().join("db.edb.old1")).expect("a copied file can be removed");
    case
}

/// Two leaves are linked to each other as if they were a ring.
fn leaf_loop() -> Case {
    const NEXT: usize = 20;
    const FLAGS: usize = 36;
    let case = Case::of(&state("oldcopy-clean-p8k"), |name| name == "db.edb");
    let mut pages = Pages::new(case.read("db.edb"));
    let leaf = (4..pages.count()).find(|number| {
        let flags = u32_at(pages.page(*number), FLAGS);
        flags & 0xe3 == 2 && u32_at(pages.page(*number), NEXT) != 0
    });
    let leaf = leaf.expect("a tree has two leaves");
    let next = u32_at(pages.page(leaf), NEXT) as usize;
    pages.page_mut(next)[NEXT..NEXT + 4].copy_from_slice(&(leaf as u32).to_le_bytes());
    pages.seal(next);
    case.write("db.edb", &pages.bytes);
    case
}

/// Pages that count their reserved tags, as Windows 11 25H2 writes them; `before.dat` is the database as it was.
fn reserved_tags() -> Case {
    const TAGS: usize = 34;
    let real = fixtures::real().expect("the fixtures are there");
    let clean = real.join("museum/SRUM/Win11/RathbunVM/Clean");
    let case = Case::of(&clean, |name| name == "SRUDB.dat");
    case.write("before.dat", &case.read("SRUDB.dat"));
    let mut pages = Pages::new(case.read("SRUDB.dat"));
    for number in 1..=pages.count() {
        if pages.page(number)[TAGS..TAGS + 2] != [0, 0] {
            pages.page_mut(number)[TAGS + 1] |= 0x10;
            pages.seal(number);
        }
    }
    case.write("SRUDB.dat", &pages.bytes);
    case
}
