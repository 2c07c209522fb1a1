//! Rows that an activation loses or a failback finds, by table.

use crate::listing::header_of;
use ese_format::{Generation, Lgpos, Progress};
use ese_log::{FileRole, StreamFile, StreamFiles};
use ese_replay::recovery::DatabaseFile;
use ese_timeline::{RowTally, Tally, tally};
use serde::{Deserialize, Serialize};
use std::fmt::{self, Display, Formatter};
use std::ops::RangeBounds;

/// Pages of the catalog that stay in memory.
const CATALOG_PAGES: usize = 1000;

/// Changes of rows, by table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostRows {
    /// How many.
    #[serde(flatten)]
    pub tally: Tally,
    /// Why something is not in the counts, in sentences.
    pub problems: Vec<String>,
}

impl LostRows {
    /// What transactions did that are open where a replay of these logs ends, and that began at `since` or later.
    pub(crate) fn rolled_back(
        files: &StreamFiles,
        database: &DatabaseFile,
        since: Lgpos,
        end: Option<Lgpos>,
        progress: &dyn Progress,
    ) -> Self {
        let files = of_generations(files, since.generation..);
        let tally = count(&files, database, Lgpos::NULL, end, progress);
        LostRows {
            tally: tally.open,
            problems: tally.problems,
        }
    }

    /// What transactions did that committed at `from` or later, in logs of these generations.
    pub(crate) fn committed(
        files: &StreamFiles,
        database: &DatabaseFile,
        generations: impl RangeBounds<Generation>,
        from: Lgpos,
        progress: &dyn Progress,
    ) -> Self {
        let files = of_generations(files, generations);
        let tally = count(&files, database, from, None, progress);
        LostRows {
            tally: tally.committed,
            problems: tally.problems,
        }
    }
}

fn count(
    files: &[StreamFile],
    database: &DatabaseFile,
    from: Lgpos,
    until: Option<Lgpos>,
    progress: &dyn Progress,
) -> RowTally {
    let mut database = database.database(Box::new(database.pages()), CATALOG_PAGES);
    tally(files, &mut database, from, until, progress)
}

/// The logs of these generations, in order; of a damaged one, its name says which it is.
fn of_generations(
    files: &StreamFiles,
    generations: impl RangeBounds<Generation>,
) -> Vec<StreamFile> {
    let is_meant = |file: &&StreamFile| {
        let header = header_of(&file.path);
        let generation = match (file.role, header) {
            (_, Some(header)) => Some(header.generation),
            (FileRole::Generation { generation, .. }, None) => Some(generation),
            _ => None,
        };
        generation.is_some_and(|generation| generations.contains(&generation))
    };
    files.in_order().filter(is_meant).cloned().collect()
}

impl Display for LostRows {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let tables = self.tally.tables.iter().map(ToString::to_string);
        let unknown = self.tally.of_unknown_tables;
        let unknown = (unknown > 0)
            .then(|| format!("{unknown} changes in tables of which the name is not known"));
        let parts: Vec<String> = tables.chain(unknown).collect();
        let problems = self.problems.join("; ");
        match (parts.is_empty(), problems.is_empty()) {
            (true, true) => f.write_str("none"),
            (true, false) => write!(f, "not known: {problems}"),
            (false, true) => f.write_str(&parts.join(", ")),
            (false, false) => write!(f, "{}; not all is counted: {problems}", parts.join(", ")),
        }
    }
}
