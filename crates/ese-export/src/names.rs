//! File names made of table names. A table name is data from the database: nothing of it may steer where a file goes.

use std::collections::HashSet;

const LONGEST: usize = 100;

/// Gives every table a file name of its own.
#[derive(Debug, Default)]
pub(crate) struct FileNames(HashSet<String>);

impl FileNames {
    /// A name that is safe on every system and was not given before, regardless of case.
    pub(crate) fn give(&mut self, table: &str, extension: &str) -> String {
        let safe: String = table
            .chars()
            .map(|c| match c {
                'a'..='z' | 'A'..='Z' | '0'..='9' | '_' | '-' | '{' | '}' => c,
                _ => '_',
            })
            .take(LONGEST)
            .collect();
        let safe = if safe.is_empty() || is_reserved(&safe) {
            format!("{safe}_")
        } else {
            safe
        };
        let mut name = format!("{safe}.{extension}");
        let mut number = 1;
        while !self.0.insert(name.to_ascii_lowercase()) {
            number += 1;
            name = format!("{safe}~{number}.{extension}");
        }
        name
    }
}

/// Names that Windows keeps for devices, and those of the export's own files.
fn is_reserved(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let numbered = |prefix| {
        name.strip_prefix(prefix)
            .is_some_and(|rest| rest.len() == 1)
    };
    ["con", "prn", "aux", "nul", "manifest", "problems", "blobs"].contains(&name.as_str())
        || numbered("com")
        || numbered("lpt")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_table_name_leads_out_of_the_folder_or_onto_another() {
        let mut names = FileNames::default();
        assert_eq!(
            names.give("../../etc/passwd", "csv"),
            "______etc_passwd.csv"
        );
        assert_eq!(names.give("Log", "csv"), "Log.csv");
        assert_eq!(names.give("LOG", "csv"), "LOG~2.csv");
        assert_eq!(names.give("nul", "csv"), "nul_.csv");
        assert_eq!(names.give("manifest", "json"), "manifest_.json");
        assert_eq!(names.give("", "csv"), "_.csv");
        assert_eq!(names.give("a\u{202e}b", "csv"), "a_b.csv");
    }
}
