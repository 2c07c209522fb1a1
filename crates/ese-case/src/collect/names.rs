//! Names as parts of paths that say what they mean: `table=NAME/host=NAME`.
//!
//! A name is data: nothing of it may steer where a file goes. Letters, digits, `_`, `-` and dots stay, braces are left out
//! (SRUM's tables are GUIDs in braces), and every other byte becomes `%XX`: DuckDB, Spark and Arrow turn that back.

use ese_format::hex;
use sha2::{Digest, Sha256};
use std::collections::HashSet;

/// The host of a database of which none is known.
pub(super) const UNKNOWN_HOST: &str = "__unknown__";
/// The table of what could not be read.
pub(super) const PROBLEMS: &str = "_problems";
/// The table of the databases.
pub(super) const SOURCES: &str = "_sources";

/// No part of a path gets longer: file systems take 255 bytes, and `table=` and a number come to it.
const LONGEST: usize = 160;
/// What is left of a longer one, before a digest of all of it.
const KEPT: usize = 120;

/// A name as the value of a partition.
pub(super) fn partition(name: &str) -> String {
    let mut value = String::new();
    for byte in name.bytes().filter(|byte| !matches!(byte, b'{' | b'}')) {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' | b'.' => {
                value.push(char::from(byte));
            }
            _ => value.push_str(&format!("%{byte:02X}")),
        }
    }
    // Windows drops a dot at the end.
    if value.ends_with('.') {
        value.pop();
        value.push_str("%2E");
    }
    if value.is_empty() {
        return "_".to_owned();
    }
    if value.len() > LONGEST {
        let digest = hex::encode(Sha256::digest(name));
        // Not within a `%XX`.
        let cut = (KEPT - 2..=KEPT).find(|at| !value[at.saturating_sub(2)..*at].contains('%'));
        value.truncate(cut.unwrap_or(KEPT));
        value.push('-');
        value.push_str(&digest[..16]);
    }
    value
}

/// Gives each table of one database a partition of its own.
#[derive(Debug)]
pub(super) struct TablePartitions(HashSet<String>);

impl TablePartitions {
    pub(super) fn new() -> Self {
        TablePartitions([PROBLEMS, SOURCES].map(str::to_owned).into())
    }

    /// The partition of a table: that of its name, or with the first number that makes it one of its own, in any case.
    pub(super) fn give(&mut self, name: &str) -> String {
        let value = partition(name);
        let mut given = value.clone();
        let mut number = 2;
        while !self.0.insert(given.to_lowercase()) {
            given = format!("{value}_{number}");
            number += 1;
        }
        given
    }
}

/// What distinguishes a source from all others, in a form that can be part of a file name.
pub(super) fn id_of(source: &std::path::Path) -> String {
    let digest = hex::encode(Sha256::digest(source.as_os_str().as_encoded_bytes()));
    digest[..32].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leads_elsewhere() {
        for (name, value) in [
            ("Items", "Items"),
            ("{0F-1}LT", "0F-1LT"),
            ("../../etc", "..%2F..%2Fetc"),
            ("a=b c", "a%3Db%20c"),
            ("C:\\x", "C%3A%5Cx"),
            ("Tabellä", "Tabell%C3%A4"),
            ("end.", "end%2E"),
            ("..", ".%2E"),
            ("", "_"),
        ] {
            assert_eq!(partition(name), value);
        }
        let long = partition(&"ä".repeat(64));
        assert!(long.len() < LONGEST, "{long}");
        assert!(long.is_ascii() && long.contains("%A4-"), "{long}");
        assert_ne!(long, partition(&format!("{}x", "ä".repeat(63))));
    }

    #[test]
    fn tables_of_a_database_have_partitions_of_their_own() {
        let mut tables = TablePartitions::new();
        assert_eq!(tables.give("Log"), "Log");
        assert_eq!(tables.give("LOG"), "LOG_2");
        assert_eq!(tables.give("{Log}"), "Log_3");
        assert_eq!(tables.give("_problems"), "_problems_2");
    }
}
