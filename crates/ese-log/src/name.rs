//! File names of a log stream.
//!
//! A stream has a base name of three characters (`E00`, `edb`, `SRU`); its files are distinguished by what follows
//! (`ese/_log/logstream.cxx`, `inc/daeconst.hxx`):
//!
//! | name | what |
//! |---|---|
//! | `E0000001A2B.log`, `E0001A2B.log` | a generation, in 8 or 5 hexadecimal digits |
//! | `E00.log` | the current log |
//! | `E00tmp.log` | the log that is being prepared to become the current one |
//! | `E00res00001.jrs`, `res1.log` | space reserved for a full disk |
//! | `E00.chk` | the checkpoint |
//!
//! `.jtx` and `.jcp` are newer spellings of `.log` and `.chk`. Names do not depend on case.

use ese_format::Generation;
use serde::Serialize;

/// Characters of a base name.
pub const BASE_NAME_LENGTH: usize = 3;

/// What a file is to its stream, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FileRole {
    /// A finished log.
    Generation {
        /// The number in the name.
        generation: Generation,
        /// How many digits it has: 5 or 8.
        digits: u8,
    },
    /// The log being written.
    Current,
    /// The log being prepared.
    Temporary,
    /// Reserved space.
    Reserve,
    /// The checkpoint.
    Checkpoint,
}

/// The name of a file of a log stream, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFileName {
    /// Base name as written; empty for reserve logs of old engines, which serve every stream.
    pub base: String,
    /// What the file is.
    pub role: FileRole,
}

impl LogFileName {
    /// Takes a file name apart; `None` if no file of a stream is called so.
    pub fn parse(name: &str) -> Option<Self> {
        let (stem, extension) = name.rsplit_once('.')?;
        let extension = extension.to_ascii_lowercase();
        let base_end = stem.char_indices().nth(BASE_NAME_LENGTH);
        let (base, rest) = match base_end {
            Some((end, _)) => stem.split_at(end),
            None if stem.chars().count() == BASE_NAME_LENGTH => (stem, ""),
            None => return None,
        };
        let rest = rest.to_ascii_lowercase();
        let role = match extension.as_str() {
            "log" if matches!(stem.to_ascii_lowercase().as_str(), "res1" | "res2") => {
                return Some(LogFileName {
                    base: String::new(),
                    role: FileRole::Reserve,
                });
            }
            "log" | "jtx" => log_role(&rest)?,
            "jrs" if rest.starts_with("res") => FileRole::Reserve,
            "chk" | "jcp" if rest.is_empty() => FileRole::Checkpoint,
            _ => return None,
        };
        Some(LogFileName {
            base: base.to_owned(),
            role,
        })
    }
}

fn log_role(rest: &str) -> Option<FileRole> {
    match rest {
        "" => Some(FileRole::Current),
        "tmp" => Some(FileRole::Temporary),
        digits if matches!(digits.len(), 5 | 8) => {
            if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return None;
            }
            let generation = Generation(u32::from_str_radix(digits, 16).ok()?);
            Some(FileRole::Generation {
                generation,
                digits: digits.len() as u8,
            })
        }
        _ => None,
    }
}

/// How a stream spells the names of its logs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Naming {
    /// Base name.
    pub base: String,
    /// Digits of a generation: 5 or 8. From generation 0x100000 on, 8 are written whatever this says.
    pub digits: u8,
    /// Extension with its dot, as found.
    pub extension: String,
}

impl Naming {
    /// The file name of a finished generation.
    pub fn generation(&self, generation: Generation) -> String {
        let Naming {
            base, extension, ..
        } = self;
        if self.digits == 8 || generation.0 > 0xf_ffff {
            format!("{base}{generation:08X}{extension}")
        } else {
            format!("{base}{generation:05X}{extension}")
        }
    }

    /// The file name of the current log.
    pub fn current(&self) -> String {
        format!("{}{}", self.base, self.extension)
    }

    /// A range of generations as file names: one name, or the first and the last.
    pub fn range(&self, first: Generation, last: Generation) -> String {
        if first == last {
            self.generation(first)
        } else {
            format!("{} to {}", self.generation(first), self.generation(last))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(name: &str) -> Option<(String, FileRole)> {
        LogFileName::parse(name).map(|name| (name.base, name.role))
    }

    #[test]
    fn names_of_both_lengths_and_any_case() {
        let generation = |generation, digits| FileRole::Generation {
            generation: Generation(generation),
            digits,
        };
        assert_eq!(
            role("E0000001A2B.log"),
            Some(("E00".into(), generation(0x1a2b, 8)))
        );
        assert_eq!(
            role("edb0001f.JTX"),
            Some(("edb".into(), generation(0x1f, 5)))
        );
        assert_eq!(role("SRU.log"), Some(("SRU".into(), FileRole::Current)));
        assert_eq!(
            role("SRUTMP.LOG"),
            Some(("SRU".into(), FileRole::Temporary))
        );
        assert_eq!(
            role("edbres00002.jrs"),
            Some(("edb".into(), FileRole::Reserve))
        );
        assert_eq!(role("res1.log"), Some((String::new(), FileRole::Reserve)));
        assert_eq!(role("E00.chk"), Some(("E00".into(), FileRole::Checkpoint)));
        assert_eq!(role("äöü.jcp"), Some(("äöü".into(), FileRole::Checkpoint)));
        for other in [
            "edb.edb",
            "ab.log",
            "setup.log",
            "edb0000G.log",
            "edb+0001.log",
            ".log",
            "",
        ] {
            assert_eq!(role(other), None, "{other}");
        }
    }

    #[test]
    fn names_grow_to_eight_digits() {
        let naming = Naming {
            base: "E00".into(),
            digits: 5,
            extension: ".log".into(),
        };
        assert_eq!(naming.generation(Generation(0x1f)), "E000001F.log");
        assert_eq!(naming.generation(Generation(0x10_0000)), "E0000100000.log");
    }
}
