//! Names that other tools can take. A name in a database is data: nothing of it may steer where a file goes, and what
//! shells, Spark and SQL give a meaning of their own (braces, dots) is not in the names that an export gives.

use std::collections::HashMap;

const LONGEST: usize = 100;

/// Names that were given, in lower case, each with the number that the next of the same name begins with.
#[derive(Debug, Default)]
struct UsedNames(HashMap<String, u32>);

impl UsedNames {
    /// `name` with `ending`, or with the first number between them that makes it a name of its own.
    fn give(&mut self, name: &str, ending: &str) -> String {
        let first = format!("{name}{ending}");
        let key = first.to_lowercase();
        let Some(mut number) = self.0.get(&key).copied() else {
            self.0.insert(key, 2);
            return first;
        };
        loop {
            let next = format!("{name}_{number}{ending}");
            number += 1;
            if !self.0.contains_key(&next.to_lowercase()) {
                self.0.insert(key, number);
                self.0.insert(next.to_lowercase(), 2);
                return next;
            }
        }
    }
}

/// Gives every table a file name of its own, or every database a folder.
#[derive(Debug, Default)]
pub struct FileNames(UsedNames);

impl FileNames {
    /// A name that is safe on every system and was not given before, regardless of case. Without an extension it is one for a
    /// folder.
    pub fn give(&mut self, name: &str, extension: &str) -> String {
        let safe: String = name
            .chars()
            .filter(|c| !matches!(c, '{' | '}'))
            .map(|c| match c {
                'a'..='z' | 'A'..='Z' | '0'..='9' | '_' | '-' => c,
                '.' if extension.is_empty() => c,
                _ => '_',
            })
            .take(LONGEST)
            .collect();
        // Dots at the ends lead elsewhere, are hidden, or are dropped by Windows.
        let safe = safe.trim_matches('.').to_owned();
        let safe = match safe.contains('.') {
            _ if !safe.is_empty() && !is_reserved(&safe) => safe,
            true => format!("_{safe}"),
            false => format!("{safe}_"),
        };
        let ending = match extension {
            "" => String::new(),
            extension => format!(".{extension}"),
        };
        self.0.give(&safe, &ending)
    }
}

/// Gives every column of a file a name of its own.
#[derive(Debug, Default)]
pub struct ColumnNames(UsedNames);

impl ColumnNames {
    /// A name without dots that was not given before, regardless of case.
    pub fn give(&mut self, name: &str) -> String {
        let safe = name.replace('.', "_");
        self.0.give(&safe, "")
    }
}

/// Names that Windows keeps for devices, and those of the export's own files.
fn is_reserved(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let stem = name.split('.').next().unwrap_or_default();
    let numbered = |prefix| {
        stem.strip_prefix(prefix)
            .is_some_and(|rest| rest.len() == 1)
    };
    ["manifest", "problems", "unfinished", "blobs"].contains(&name.as_str())
        || ["con", "prn", "aux", "nul"].contains(&stem)
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
        assert_eq!(names.give("LOG", "csv"), "LOG_2.csv");
        assert_eq!(names.give("log_2", "csv"), "log_2_2.csv");
        assert_eq!(names.give("{0F-1}LT", "csv"), "0F-1LT.csv");
        assert_eq!(names.give("nul", "csv"), "nul_.csv");
        assert_eq!(names.give("manifest", "json"), "manifest_.json");
        assert_eq!(names.give("", "csv"), "_.csv");
        assert_eq!(names.give("a\u{202e}b", "csv"), "a_b.csv");
        assert_eq!(names.give("..", ""), "_");
        assert_eq!(names.give("SRUDB.dat", ""), "SRUDB.dat");
        assert_eq!(names.give("nul.dat", ""), "_nul.dat");
    }

    #[test]
    fn columns_have_names_of_their_own_without_dots() {
        let mut names = ColumnNames::default();
        assert_eq!(names.give("AppId.name"), "AppId_name");
        assert_eq!(names.give("appid_name"), "appid_name_2");
    }
}
