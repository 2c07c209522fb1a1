//! What came of a timeline, and why there is none.

use crate::summary::TimelineSummary;
use ese_format::explain::{advice_on, advise, jet_of};
use ese_format::{Class, Explain, JetError, Signature};
use ese_log::LogError;
use ese_replay::recovery::RecoveryError;
use std::borrow::Cow;
use std::io;
use std::path::PathBuf;
use thiserror::Error;

/// What came of a timeline.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Told {
    /// What was told.
    pub summary: TimelineSummary,
    /// Why the logs do not suffice for the databases, in sentences.
    pub reasons: Vec<String>,
    /// Logs that could not be read to their ends; what they hold after that was not told.
    pub log_problems: Vec<LogError>,
    /// How often two accounts of the same bytes contradicted each other, so that both were given up.
    pub contradictions: u64,
    /// Changes that were made after what the databases hold; they were not told.
    pub not_reached: u64,
    /// Records of databases that neither a log header nor a record names, so that nobody knows whose they are; they were
    /// not told.
    pub of_unnamed_databases: u64,
    /// Changes of rows that were made along with a split or merge which is not whole in these logs; they were not told.
    pub in_partial_macros: u64,
    /// Databases that neither a log header nor a record names: the logs say nothing of them.
    pub unnamed: Vec<Signature>,
    /// Records that could not be decoded.
    pub undecoded: u64,
    /// Why a recovery ended early; what was told stands.
    pub problem: Option<RecoveryError>,
}

impl Told {
    /// What is missing from the account or wrong with it, in sentences: all that the changes do not say by themselves.
    pub fn findings(&self) -> Vec<String> {
        let summary = &self.summary;
        let missing = summary.missing.iter().map(|(first, last)| match first == last {
            true => format!("generation {first} ({first:#x}) is missing: what it held is not told"),
            false => format!(
                "generations {first} to {last} ({first:#x} to {last:#x}) are missing: what they held is not told"
            ),
        });
        let counts = [
            (
                self.contradictions,
                "contradictions between the logs and the database: what they say there was given up",
            ),
            (
                self.not_reached,
                "changes were made after what the database holds, and were left out",
            ),
            (
                self.undecoded,
                "records cannot be decoded, and were left out; `logchain records` shows where they are",
            ),
            (
                self.of_unnamed_databases,
                "records are of a database that no log header and no record names: whose they are is not known, and they were left out",
            ),
            (
                self.in_partial_macros,
                "changes of rows were made along with a split that is not whole in these logs, and were left out",
            ),
            (
                summary.of_unknown_objects,
                "changes of the schema, of which is not known what they were about, were left out",
            ),
            (
                summary.of_unknown_trees,
                "changes of trees that the catalog does not know were left out",
            ),
            (
                summary.long_values_without_row,
                "changes of long values came without a change of the row that owns them, and were left out",
            ),
        ];
        let counts = counts.iter().filter(|(count, _)| *count > 0);
        let catalogs = summary.catalogs.iter();
        let catalogs = catalogs.map(|(name, problem)| format!("the catalog of {name}: {problem}"));
        let reasons = self.reasons.iter().cloned();
        reasons
            .chain(catalogs)
            .chain(self.log_problems.iter().map(ToString::to_string))
            .chain(missing)
            .chain(counts.map(|(count, what)| format!("{count} {what}")))
            .collect()
    }

    /// Refuses names of tables and columns that nothing has: without changes, an answer would look as if nothing had happened.
    pub fn check_names(&self) -> Result<(), TellError> {
        let quoted = |names: &[String]| {
            let names: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
            names.join(" or ")
        };
        let summary = &self.summary;
        if !summary.tables_not_met.is_empty() {
            let names = quoted(&summary.tables_not_met);
            return Err(TellError::NoTable { names });
        }
        if !summary.columns_not_met.is_empty() {
            let names = quoted(&summary.columns_not_met);
            return Err(TellError::NoColumn { names });
        }
        Ok(())
    }
}

/// Why there is no timeline, or only a part of it.
#[derive(Debug, Error)]
pub enum TellError {
    /// Logs or databases cannot be read.
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
    /// Changes cannot be written, or kept until they are.
    #[error("writing changes: {0}")]
    Io(#[from] io::Error),
    /// Times are asked for that the logs do not have.
    #[error("a time is asked for, and these logs have local times of a zone that they do not say")]
    LocalTimes,
    /// Pages are asked for where databases are followed backwards.
    #[error(
        "pages are known only where logs bring a database forward; this one has changes of the logs in it already"
    )]
    NoPages,
    /// What is given as an older copy is not one.
    #[error("{}: it is not a copy of a database that is given: its signature is another", path.display())]
    NotACopy {
        /// The file.
        path: PathBuf,
    },
    /// No database of the logs has such a table.
    #[error("no table of these logs is called {names}")]
    NoTable {
        /// As they were asked for.
        names: String,
    },
    /// No table that is meant has such a column.
    #[error("no column of the tables meant is called {names}")]
    NoColumn {
        /// As they were asked for.
        names: String,
    },
}

impl Explain for TellError {
    fn class(&self) -> Class {
        match self {
            TellError::Recovery(error) => error.class(),
            TellError::Io(_) => Class::Io,
            TellError::LocalTimes | TellError::NoPages | TellError::NotACopy { .. } => {
                Class::Refused
            }
            TellError::NoTable { .. } | TellError::NoColumn { .. } => Class::Usage,
        }
    }

    fn jet(&self) -> Option<JetError> {
        match self {
            TellError::Recovery(error) => error.jet(),
            TellError::Io(error) => Some(jet_of(error.kind())),
            TellError::LocalTimes | TellError::NoPages | TellError::NotACopy { .. } => None,
            TellError::NoTable { .. } => Some(JetError::OBJECT_NOT_FOUND),
            TellError::NoColumn { .. } => Some(JetError::COLUMN_NOT_FOUND),
        }
    }

    fn advice(&self) -> Option<Cow<'static, str>> {
        match self {
            TellError::Recovery(error) => error.advice(),
            TellError::Io(error) => advice_on(error.kind()),
            TellError::LocalTimes => advise(
                "name positions with --since and --until: generations, or as in 0000002A:0010:01F4",
            ),
            TellError::NoPages => advise(
                "`logchain records --page N` lists what happened to a page; `edbtool page` shows it",
            ),
            TellError::NotACopy { .. } => advise(
                "`edbtool header` shows signatures; name the database that it is a copy of first",
            ),
            TellError::NoTable { .. } => advise(
                "`logchain timeline --stats` lists the tables that changed, `edbtool tables` all",
            ),
            TellError::NoColumn { .. } => advise("`edbtool schema` lists the columns of a table"),
        }
    }
}
