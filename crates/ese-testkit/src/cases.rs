//! Inputs from the field that are in `../shared/cases`, made here as `derive.py` makes them there.
//!
//! Each has a README beside the script: what happened, what the programs once said, and what is right.

use crate::fixtures;
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

const RECIPES: [Recipe; 13] = [
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
            case.add(&state("names8-log-p32k"), |name| name == "E00.chk");
            case
        },
    },
];

const STANDBY: &str = "exchange-standby-p8k";

/// Makes the case of this name.
pub fn case(name: &str) -> Case {
    let recipe = RECIPES.iter().find(|recipe| recipe.name == name);
    let recipe = recipe.unwrap_or_else(|| panic!("there is no case {name}"));
    (recipe.make)()
}

impl Case {
    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
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
    fixtures::engine_set(set).join("state")
}

/// The files of a storage group whose database needs generations 4 to 11; without the old copy of the database.
fn standby(wanted: impl Fn(&str) -> bool) -> Case {
    Case::of(&state(STANDBY), |name| {
        name != "db.edb.old1" && wanted(name)
    })
}

/// A case that is not derived but kept as a whole, if it is there.
pub fn stored(name: &str) -> Option<Case> {
    let archive = fixtures::shared()?
        .with_file_name("cases")
        .join(name)
        .join("in.tar.zst");
    let bytes = fixtures::read_zst(&archive);
    let unpacked = TempDir::new().expect("a temporary folder can be made");
    tar::Archive::new(&*bytes)
        .unpack(unpacked.path())
        .expect("an archive");
    Some(Case::of(&unpacked.path().join("in"), |_| true))
}

/// A stream of version 8.4000.4.3, whose headers keep nothing of the log before, with the second half of one log gone.
pub fn half_lost(log: &str) -> Case {
    let case = Case::of(&state("efv8020-p8k"), |_| true);
    case.edit(log, |bytes| {
        let half = bytes.len() / 2;
        bytes[half..].fill(0);
    });
    case
}
