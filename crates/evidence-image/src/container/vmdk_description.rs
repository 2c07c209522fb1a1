//! The text that describes a VMDK: which extents it has, and whether it is a disk by itself.

use evidence::wrong;
use std::borrow::Cow;
use std::io;

/// More extents than this are not believed: they are of up to 2 GiB each.
const MOST_EXTENTS: usize = 1 << 16;

/// What the text says.
#[derive(Debug)]
pub(super) struct Description {
    /// The lines of extents.
    lines: Vec<String>,
}

/// A piece of the disk.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) sectors: u64,
    pub(super) kind: Kind,
}

/// Where the bytes of an extent are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Zeros,
    /// In a file as they are, from this sector on.
    Flat {
        file: String,
        offset: u64,
    },
    /// In a file with tables.
    Sparse {
        file: String,
    },
}

/// The text up to its end; what is not UTF-8 is taken for Latin 1.
pub(super) fn text(bytes: &[u8]) -> Cow<'_, str> {
    let bytes = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    match str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(bytes.iter().map(|byte| char::from(*byte)).collect()),
    }
}

impl Description {
    pub(super) fn read(bytes: &[u8]) -> io::Result<Self> {
        let text = text(bytes);
        let mut lines = Vec::new();
        for line in text.lines() {
            let line = line.trim();
            let pair = line.split_once('=');
            let pair = pair.map(|(key, value)| (key.trim(), value.trim().trim_matches('"')));
            let pair = pair.filter(|(key, _)| !key.contains(char::is_whitespace));
            match (line.split_whitespace().next(), pair) {
                (Some("RW" | "RDONLY" | "NOACCESS"), _) => lines.push(line.to_owned()),
                (None, _) => {}
                (Some(word), _) if word.starts_with('#') => {}
                (_, Some((key, value))) => {
                    if key.eq_ignore_ascii_case("parentCID")
                        && !value.eq_ignore_ascii_case("ffffffff")
                    {
                        return Err(wrong(
                            "this VMDK is a snapshot: it holds only what changed since its parent; merge them first",
                        ));
                    }
                }
                // It may be an extent: without it, all that follows would be in a wrong place.
                _ => {
                    return Err(wrong(format!(
                        "the description of this VMDK has a line that is not known here: {:?}",
                        line.chars().take(100).collect::<String>()
                    )));
                }
            }
            if lines.len() > MOST_EXTENTS {
                return Err(wrong(format!(
                    "this VMDK has more than {MOST_EXTENTS} extents"
                )));
            }
        }
        Ok(Description { lines })
    }

    /// How many extents there are.
    pub(super) fn count(&self) -> usize {
        self.lines.len()
    }

    /// The extents, in the order of the disk.
    pub(super) fn extents(&self) -> io::Result<Vec<Extent>> {
        self.lines.iter().map(|line| extent(line)).collect()
    }
}

/// Reads a line `RW SECTORS KIND "FILE" OFFSET`.
fn extent(line: &str) -> io::Result<Extent> {
    let not_read = |why: &str| {
        wrong(format!(
            "an extent of this VMDK is not read here, {why}: {}",
            line.escape_debug()
        ))
    };
    let mut words = line.splitn(4, char::is_whitespace);
    let (access, sectors, kind) = (words.next(), words.next(), words.next());
    let sectors = sectors.and_then(|sectors| sectors.parse().ok());
    let sectors = sectors.ok_or_else(|| not_read("its length is not a number"))?;
    if access == Some("NOACCESS") {
        return Err(not_read("it says that nobody may read it"));
    }
    let rest = words.next().unwrap_or_default().trim();
    let (file, after) = match rest.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
        None => rest.split_once(char::is_whitespace).unwrap_or((rest, "")),
    };
    let kind = match kind.unwrap_or_default() {
        "ZERO" => Kind::Zeros,
        kind @ ("FLAT" | "VMFS" | "SPARSE") => {
            let is_plain = !file.is_empty()
                && !matches!(file, "." | "..")
                && !file.contains(|letter: char| "/\\:".contains(letter) || letter.is_control());
            if !is_plain {
                return Err(not_read("since only files in the same folder are opened"));
            }
            let file = file.to_owned();
            let offset = after.split_whitespace().next();
            match kind {
                "SPARSE" => Kind::Sparse { file },
                _ => Kind::Flat {
                    file,
                    offset: offset
                        .map_or(Ok(0), str::parse)
                        .map_err(|_| not_read("its offset is not a number"))?,
                },
            }
        }
        "VMFSSPARSE" | "SESPARSE" => {
            return Err(not_read("since it belongs to a snapshot of ESXi"));
        }
        _ => return Err(not_read("since it is of another kind")),
    };
    Ok(Extent { sectors, kind })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extents_are_read_and_names_lead_nowhere_else() {
        let line = extent(r#"RW 8388608 SPARSE "my disk-s001.vmdk""#).unwrap();
        let file = "my disk-s001.vmdk".to_owned();
        assert_eq!(line.sectors, 8_388_608);
        assert_eq!(line.kind, Kind::Sparse { file });
        let line = extent(r#"RW 100 FLAT "a-f001.vmdk" 63"#).unwrap();
        let (file, offset) = ("a-f001.vmdk".to_owned(), 63);
        assert_eq!(line.kind, Kind::Flat { file, offset });
        let line = extent(r#"RW 100 VMFS "esx-flat.vmdk""#).unwrap();
        let (file, offset) = ("esx-flat.vmdk".to_owned(), 0);
        assert_eq!(line.kind, Kind::Flat { file, offset });
        for name in [
            "../a.vmdk",
            "/etc/passwd",
            "..",
            "",
            "C:\\x",
            "a.zip::b",
            "\\\\.\\PhysicalDrive0",
        ] {
            let line = format!("RW 100 FLAT \"{name}\" 0");
            let error = extent(&line).unwrap_err().to_string();
            assert!(error.contains("only files in the same folder"), "{error}");
        }
        for line in [
            "RW x FLAT \"a\" 0",
            "NOACCESS 5 FLAT \"a\" 0",
            "RW 5 VMFSRDM \"a\"",
            "RW",
        ] {
            extent(line).unwrap_err();
        }
        let snapshot = "CID=12345678\nparentCID=1234abcd\nRW 5 SPARSE \"a\"";
        let error = Description::read(snapshot.as_bytes()).unwrap_err();
        assert!(error.to_string().contains("only what changed"), "{error}");
        for (line, is_known) in [
            ("  # ddb", true),
            ("ddb.comment = \"RW 5 and more\"", true),
            ("RW 5 FLAT \"a=b\" 0", true),
            ("SW 5 FLAT \"a\" 0", false),
            ("SW 5 FLAT \"a=b\" 0", false),
        ] {
            let text = format!("CID=1\n\n{line}\nparentCID=ffffffff\nRW 5 ZERO");
            assert_eq!(
                Description::read(text.as_bytes()).is_ok(),
                is_known,
                "{line}"
            );
        }
    }
}
