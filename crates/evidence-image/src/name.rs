//! Names in an image: `p2:vss3:/PATH`.

use evidence::wrong;
use std::ffi::{OsStr, OsString};
use std::io;

/// Which shadow copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Copies {
    /// One, counted from 1.
    One(usize),
    All,
}

/// A name in an image.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Name {
    /// As it was written.
    pub(crate) text: OsString,
    pub(crate) partition: Option<u32>,
    pub(crate) copies: Option<Copies>,
    /// The path on the volume.
    pub(crate) path: Vec<OsString>,
}

/// What a word before the path says.
enum Word {
    Partition(u32),
    Copies(Copies),
}

impl Word {
    /// The word before the first `:` of a text, and what is after it.
    fn first(text: &str) -> Option<(Word, &str)> {
        let (word, rest) = text.trim_start_matches('/').split_once(':')?;
        let word = if word == "vss*" {
            Word::Copies(Copies::All)
        } else if let Some(number) = word.strip_prefix("vss") {
            Word::Copies(Copies::One(number.parse().ok()?))
        } else {
            Word::Partition(word.strip_prefix('p')?.parse().ok()?)
        };
        Some((word, rest))
    }
}

impl Name {
    /// Reads a name.
    pub(crate) fn of(text: &OsStr) -> io::Result<Self> {
        let mut name = Name {
            text: text.to_owned(),
            partition: None,
            copies: None,
            path: Vec::new(),
        };
        let text = text.to_string_lossy();
        let mut rest = &*text;
        while let Some((word, after)) = Word::first(rest) {
            match word {
                Word::Partition(number) if name.partition.is_none() && name.copies.is_none() => {
                    name.partition = Some(number);
                }
                Word::Copies(copies) if name.copies.is_none() => name.copies = Some(copies),
                _ => {
                    return Err(wrong(format!(
                        "{text} names more than one partition or shadow copy: one of each, as in p2:vss3:/PATH"
                    )));
                }
            }
            rest = after;
        }
        name.path = parts(rest);
        Ok(name)
    }

    /// Whether a name says only which volume or copy, and no path on it.
    pub(crate) fn is_place(text: &OsStr) -> bool {
        Name::of(text).is_ok_and(|name| name.path.is_empty())
    }

    /// What stands before `vss*:` of a name; none if it has not that.
    pub(crate) fn before_all_copies(text: &OsStr) -> Option<String> {
        let name = Name::of(text).ok()?;
        let partition = name.partition.map(|number| format!("p{number}:"));
        (name.copies == Some(Copies::All)).then(|| partition.unwrap_or_default())
    }
}

/// The parts of a path, as Windows separates them; empty ones and `.` say nothing.
fn parts(path: &str) -> Vec<OsString> {
    let parts = path.split(['/', '\\']);
    parts
        .filter(|part| !part.is_empty() && *part != ".")
        .map(OsString::from)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_which_volume_and_which_copy() {
        for (text, partition, copies, path) in [
            ("", None, None, &[][..]),
            ("/Windows/System32", None, None, &["Windows", "System32"]),
            (
                "Windows\\System32/sru",
                None,
                None,
                &["Windows", "System32", "sru"],
            ),
            ("p2:/a", Some(2), None, &["a"]),
            ("/p2:/a", Some(2), None, &["a"]),
            ("p2:", Some(2), None, &[]),
            ("vss3:/a", None, Some(Copies::One(3)), &["a"]),
            ("p12:vss*:/a/b", Some(12), Some(Copies::All), &["a", "b"]),
            ("p2:/vss1:/a", Some(2), Some(Copies::One(1)), &["a"]),
            ("/a/p2:/b", None, None, &["a", "p2:", "b"]),
            ("px:/a", None, None, &["px:", "a"]),
        ] {
            let name = Name::of(OsStr::new(text)).unwrap();
            assert_eq!((name.partition, name.copies), (partition, copies), "{text}");
            assert_eq!(name.path, path, "{text}");
        }
        assert!(Name::of(OsStr::new("p1:p2:/a")).is_err());
        assert!(Name::of(OsStr::new("vss1:p2:/a")).is_err());
    }
}
