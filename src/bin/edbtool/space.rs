//! `edbtool space`: who owns the pages of a database, and which are free.

use crate::choice::TableChoice;
use crate::columns::Columns;
use crate::database::{DatabaseArgument, catalog, exit_of, tell_losses};
use console::{Exit, Failure, Output};
use ese_db::space::{CutOff, Owner, SpaceMap, TreeKind, TreeSpace};
use ese_db::{Database, Losses};
use ese_format::page::{Extent, SpacePool};
use ese_format::text::Escaped;
use ese_format::{ObjId, Pgno};
use serde::Serialize;
use std::fmt::{self, Display, Formatter};

/// Show the space of every table, index and long-value tree: owned, free and used pages, pages that nobody owns
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  edbtool space mailbox.edb\n  edbtool space mailbox.edb Msg --extents"
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    database: DatabaseArgument,
    #[command(flatten)]
    tables: TableChoice,
    /// List the extents, too
    #[arg(long)]
    extents: bool,
}

/// Runs the command.
pub(crate) fn run(arguments: &Arguments, output: &mut Output) -> Result<Exit, Failure> {
    let opened = arguments.database.open(output)?;
    let db = &opened.database;
    let catalog = catalog(&arguments.database.path, db)?;
    let map = SpaceMap::read(db, &catalog);
    let mut report = Report::of(db, &map, arguments.extents);
    report.cut_off = opened.cut_off;
    if arguments.tables.names().next().is_some() {
        let chosen = arguments.tables.of(&catalog)?;
        let is_chosen = |tree: &Line| chosen.iter().any(|table| table.name == tree.table);
        report.trees.retain(is_chosen);
    }
    report.losses.add(&catalog.losses);
    output.answer("edbkit.space/1", &opened.document(&report), &report)?;
    output.flush()?;
    if !report.leaked.is_empty() {
        output.remark(&LEAKED);
    }
    tell_losses(&report.losses, output);
    Ok(exit_of(&report.losses).and(opened.found))
}

/// Said where pages are owned by nobody.
const LEAKED: &str = "pages that nobody owns are lost space, not damage: a crash leaves them behind, offline defragmentation takes them back";

#[derive(Debug, Serialize)]
struct Report {
    page_size: u32,
    last_page: Pgno,
    trees: Vec<Line>,
    owned_pages: u64,
    available_pages: u64,
    shelved_pages: u64,
    /// Runs of pages that were given away and that no tree owns.
    leaked: Vec<(Pgno, Pgno)>,
    /// The first page of the file that was not taken into use yet.
    first_unused: Option<Pgno>,
    /// What the file does not hold.
    cut_off: Option<CutOff>,
    losses: Losses,
}

#[derive(Debug, Serialize)]
struct Line {
    kind: TreeKind,
    table: String,
    index: Option<String>,
    objid: ObjId,
    root: Pgno,
    owned_pages: u64,
    available_pages: u64,
    /// Pages kept for splits of the space trees.
    reserved_pages: u64,
    autoincrement: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extents: Option<Extents>,
}

#[derive(Debug, Serialize)]
struct Extents {
    owned: Vec<Extent>,
    available: Vec<Extent>,
    reserved: Vec<Extent>,
}

impl Report {
    fn of(db: &Database, map: &SpaceMap, with_extents: bool) -> Self {
        let mut report = Report {
            page_size: db.page_size().bytes(),
            last_page: db.last_page(),
            trees: Vec::new(),
            owned_pages: 0,
            available_pages: 0,
            shelved_pages: 0,
            leaked: runs(map.leaked(db).into_iter()),
            first_unused: map.first_unused(),
            cut_off: None,
            losses: Losses::default(),
        };
        for (owner, space) in &map.trees {
            match space {
                Ok(space) => report.add(owner, space, with_extents),
                Err(error) => report.losses.page(owner.root, error),
            }
        }
        report
    }

    fn add(&mut self, owner: &Owner, space: &TreeSpace, with_extents: bool) {
        if owner.kind == TreeKind::Database {
            self.owned_pages = space.owned_pages();
            let shelved = space.available.iter();
            let shelved = shelved.filter(|extent| extent.pool == SpacePool::Shelved);
            self.shelved_pages = shelved.map(|extent| u64::from(extent.pages)).sum();
        }
        self.available_pages += space.available_pages();
        self.losses.add(&space.losses);
        self.trees.push(Line {
            kind: owner.kind,
            table: owner.table.clone(),
            index: owner.index.clone(),
            objid: owner.objid,
            root: owner.root,
            owned_pages: space.owned_pages(),
            available_pages: space.available_pages(),
            reserved_pages: space
                .reserved
                .iter()
                .map(|extent| u64::from(extent.pages))
                .sum(),
            autoincrement: space.root.autoincrement,
            extents: with_extents.then(|| Extents {
                owned: space.owned.clone(),
                available: space.available.clone(),
                reserved: space.reserved.clone(),
            }),
        });
    }
}

/// Neighbouring pages as runs of first and last.
fn runs(pages: impl Iterator<Item = Pgno>) -> Vec<(Pgno, Pgno)> {
    let mut runs: Vec<(Pgno, Pgno)> = Vec::new();
    for page in pages {
        match runs.last_mut() {
            Some((_, last)) if last.0 + 1 == page.0 => *last = page,
            _ => runs.push((page, page)),
        }
    }
    runs
}

impl Line {
    /// Its name and kind in the table.
    fn shown(&self) -> (String, &'static str) {
        let (name, kind) = match self.kind {
            TreeKind::Database => ("(database)".to_owned(), "Db"),
            TreeKind::Table => (self.table.clone(), "Tbl"),
            TreeKind::LongValues => ("  [Long Values]".to_owned(), "LV"),
            TreeKind::Index => (
                format!("  {}", self.index.as_deref().unwrap_or_default()),
                "Idx",
            ),
        };
        (Escaped(&name).to_string(), kind)
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut columns = Columns::new(&[
            "Name", "Type", "Objid#", "Root#", "Owned#", "Avail#", "Used#",
        ]);
        for line in &self.trees {
            let (name, kind) = line.shown();
            columns.line(vec![
                name,
                kind.to_owned(),
                line.objid.to_string(),
                line.root.to_string(),
                line.owned_pages.to_string(),
                line.available_pages.to_string(),
                line.owned_pages
                    .saturating_sub(line.available_pages)
                    .to_string(),
            ]);
            for (what, extents) in line.extents.iter().flat_map(Extents::named) {
                for extent in extents {
                    columns.below(&format!(
                        "{what} {} - {} ({})",
                        extent.first(),
                        extent.last,
                        extent.pool.number()
                    ));
                }
            }
        }
        write!(f, "{columns}")?;
        writeln!(
            f,
            "Pages {} ( {} Used, {} Available ) + {} Shelved; last page {}",
            self.owned_pages,
            self.owned_pages.saturating_sub(self.available_pages),
            self.available_pages,
            self.shelved_pages,
            self.last_page,
        )?;
        if let Some(first) = self.first_unused {
            writeln!(f, "not in use yet: {first} - {}", self.last_page)?;
        }
        for (first, last) in &self.leaked {
            writeln!(f, "owned by nobody: {first} - {last}")?;
        }
        Ok(())
    }
}

impl Extents {
    fn named(&self) -> [(&'static str, &[Extent]); 3] {
        [
            ("owned", &self.owned),
            ("available", &self.available),
            ("reserved", &self.reserved),
        ]
    }
}
