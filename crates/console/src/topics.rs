//! What `PROGRAM help TOPIC` shows: the pages of `docs`, which are part of every program, so that an installed program
//! explains itself where the repository is not at hand.

use crate::markdown::{self, Links};

/// A page, or a section of one.
pub(crate) struct Topic {
    /// What it is called on the command line.
    pub(crate) name: &'static str,
    /// One line about it.
    pub(crate) about: &'static str,
    /// The page below the root of the repository.
    path: &'static str,
    page: &'static str,
    /// The heading of the section that is meant; the whole page where there is none.
    section: Option<&'static str>,
}

macro_rules! topics {
    ($($name:literal: $path:literal $([$section:literal])?, $about:literal;)*) => {
        &[$(Topic {
            name: $name,
            about: $about,
            path: $path,
            page: include_str!(concat!("../../../", $path)),
            section: topics!(@section $($section)?),
        }),*]
    };
    (@section $section:literal) => { Some($section) };
    (@section) => { None };
}

/// All topics, in the order in which they are listed.
pub(crate) const TOPICS: &[Topic] = topics! {
    "concepts": "docs/concepts.md", "what dbtime, lgpos, generation, the required range and others mean";
    "eseutil": "docs/coming-from-eseutil.md", "each switch of eseutil, and what to type here";
    "exit-codes": "docs/exit-codes.md", "what a program ends with, in every situation";
    "json": "docs/json/README.md", "the documents that --json prints";
    "addresses": "docs/addresses.md", "sources on a network";
    "recovery": "docs/recovery.md", "how logs are replayed, and what is refused";
    "finding": "docs/find.md", "how edbtool find puts databases and their logs together";
    "exported-files": "docs/export.md", "the files that edbtool export writes";
    "cases": "docs/collect.md", "the dataset that edbtool collect makes of many databases";
    "timelines": "docs/timeline.md", "what happened to rows: every change that logs hold";
    "differences": "docs/diff.md", "how edbtool diff compares two databases";
    "python": "docs/python.md", "the Python package: DuckDB, Polars, pandas, Spark";
    "edbcopy": "docs/edbcopy.md", "copies that go on, over links that fail";
    "scr": "docs/scr.md", "standby copies: shipping, replay, activation, failback";
    "configuration": "docs/scr.md"["Configuration"], "the file scr.toml";
    "runbooks": "docs/scr-runbooks.md", "failover and failback for an Exchange administrator";
    "limits": "README.md"["Honest limits"], "what these programs cannot do";
    "readers": "docs/readers.md", "where readers of ESE disagree, and who is right";
    "reliability": "docs/reliability.md", "what was done to break them";
    "performance": "docs/performance.md", "how fast they are, and what limits them";
    "format": "docs/format/README.md", "an index of the pages on the on-disk format";
    "format/database-header": "docs/format/database-header.md", "the header of a database, field by field";
    "format/page": "docs/format/page.md", "a page";
    "format/checksums": "docs/format/checksums.md", "the three checksums";
    "format/btree": "docs/format/btree.md", "trees of pages";
    "format/catalog": "docs/format/catalog.md", "tables, columns and indexes";
    "format/record": "docs/format/record.md", "a row";
    "format/long-values": "docs/format/long-values.md", "values outside of their row";
    "format/space": "docs/format/space.md", "owned and free pages";
    "format/log-files": "docs/format/log-files.md", "transaction logs";
    "format/log-records": "docs/format/log-records.md", "the records of a log";
    "format/checkpoint": "docs/format/checkpoint.md", "the checkpoint file";
    "format/flush-map": "docs/format/flush-map.md", "the flush map (.jfm)";
    "format/copy-journal": "docs/format/copy-journal.md", "the journal of edbcopy";
    "format/shadow-copies": "docs/format/shadow-copies.md", "shadow copies of a volume";
};

/// The topic of that name.
pub(crate) fn find(name: &str) -> Option<&'static Topic> {
    TOPICS.iter().find(|topic| topic.name == name)
}

/// The list of topics that ends the help of `program`. The pages on the format share a line.
pub(crate) fn list(program: &str) -> String {
    let mut list = format!("Topics (`{program} help TOPIC`):");
    let (format, others): (Vec<_>, Vec<_>) = TOPICS
        .iter()
        .partition(|topic| topic.name.starts_with("format/"));
    for topic in others {
        list.push_str(&format!("\n  {:15} {}", topic.name, topic.about));
    }
    let names: Vec<&str> = format
        .iter()
        .map(|topic| topic.name.trim_start_matches("format/"))
        .collect();
    let names = markdown::wrapped(&names.join(", "), 70);
    list.push_str("\n  format/PAGE     the on-disk format; PAGE is one of");
    for line in names {
        list.push_str(&format!("\n    {line}"));
    }
    list
}

impl Topic {
    /// The text for a terminal of so many columns, as `program` shows it.
    pub(crate) fn text(&self, program: &str, columns: usize) -> String {
        let page = match self.section {
            Some(heading) => section(self.page, heading),
            None => self.page,
        };
        let links = Links {
            page: self.path,
            to: &|path| {
                let topic = TOPICS
                    .iter()
                    .find(|topic| topic.path == path && topic.section.is_none())?;
                Some(format!("`{program} help {}`", topic.name))
            },
        };
        markdown::plain(page, columns, &links)
    }
}

/// The part of a page that the heading `## HEADING` begins.
fn section<'a>(page: &'a str, heading: &str) -> &'a str {
    let line = format!("\n## {heading}\n");
    let Some(start) = page.find(&line) else {
        return page;
    };
    let body = &page[start + 1..];
    let end = body[line.len() - 1..].find("\n## ");
    end.map_or(body, |end| &body[..line.len() - 1 + end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_topic_is_a_text_of_its_own() {
        for topic in TOPICS {
            let text = topic.text("edbtool", 80);
            assert!(text.lines().count() > 5, "{}", topic.name);
            if let Some(heading) = topic.section {
                assert!(text.starts_with(heading), "{}: {text}", topic.name);
                assert!(section(topic.page, heading).len() < topic.page.len() / 2);
            }
        }
    }

    /// What only contributors read is left out.
    #[test]
    fn every_page_for_users_is_a_topic() {
        let root = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
        for folder in ["docs", "docs/format", "docs/json"] {
            for entry in std::fs::read_dir(root.join(folder)).unwrap() {
                let name = entry.unwrap().file_name().into_string().unwrap();
                let path = format!("{folder}/{name}");
                if name.ends_with(".md") && path != "docs/dependencies.md" {
                    assert!(TOPICS.iter().any(|topic| topic.path == path), "{path}");
                }
            }
        }
    }

    #[test]
    fn nothing_but_code_and_addresses_is_wider_than_the_terminal() {
        for topic in TOPICS {
            for columns in [60, 80, 100] {
                for line in topic.text("edbtool", columns).lines() {
                    let fits = line.chars().count() <= columns;
                    let one_word = line.split_whitespace().count() <= 2;
                    assert!(
                        fits || one_word || line.starts_with("    "),
                        "{} at {columns}: {line}",
                        topic.name
                    );
                }
            }
        }
    }
}
