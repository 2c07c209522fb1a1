//! `edbtool page`: everything that one page holds.

use crate::database::{DatabaseArgument, failure};
use console::values::number;
use console::{Exit, Failure, Output};
use ese_checksum::ChecksumVerdict;
use ese_db::space::{SpaceMap, trees};
use ese_db::{Catalog, Database, DbError};
use ese_format::hex::{self, Hex};
use ese_format::page::{
    Extent, FlushType, Node, NodeFlags, PageFlags, PageView, RootHeader, SpaceLayout, SplitBuffer,
};
use ese_format::{Dbtime, ObjId, Pgno};
use serde::Serialize;
use std::fmt::{self, Display, Formatter};
use std::io::Write;
use std::path::Path;

/// Print one page: header, checksum, owner, tags, nodes with their keys and data
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  edbtool page mailbox.edb 1234\n  edbtool page mailbox.edb 1234 --raw > page.bin"
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    database: DatabaseArgument,
    /// Number of the page, as in 42 or 0x2A; the first page after both headers is 1
    #[arg(value_parser = number::<u32>)]
    page: u32,
    /// Write the bytes of the page as they are to standard output
    #[arg(long, conflicts_with = "json")]
    raw: bool,
    /// Print whole keys and data instead of their first bytes
    #[arg(long)]
    full: bool,
}

/// Runs the command.
pub(crate) fn run(arguments: &Arguments, output: &mut Output) -> Result<Exit, Failure> {
    let opened = arguments.database.open(output)?;
    let db = &opened.database;
    let pgno = Pgno(arguments.page);
    let bytes = db
        .raw_page(pgno)
        .map_err(|error| no_page(&arguments.database.path, &error))?;
    if arguments.raw {
        write_raw(&bytes, output)?;
        return Ok(opened.found);
    }
    let view = PageView::new(pgno, &bytes)
        .map_err(|error| failure(&arguments.database.path, &error.into()))?;
    let most = if arguments.full { usize::MAX } else { 24 };
    let report = Report::of(db, &view, most);
    output.answer("edbkit.page/1", &opened.document(&report), &report)?;
    Ok(match report.problems.is_empty() {
        true => opened.found,
        false => Exit::Finding,
    })
}

/// A number that is too high is the caller's mistake, not a finding.
fn no_page(path: &Path, error: &DbError) -> Failure {
    match error {
        DbError::NoSuchPage { .. } => {
            Failure::new(Exit::Usage, format!("{}: {error}", path.display()))
        }
        _ => failure(path, error),
    }
}

fn write_raw(bytes: &[u8], output: &mut Output) -> Result<(), Failure> {
    output.flush()?;
    let mut stdout = std::io::stdout().lock();
    let written = stdout.write_all(bytes).and_then(|()| stdout.flush());
    written.map_err(|error| Failure::io("standard output".as_ref(), &error))
}

#[derive(Debug, Serialize)]
struct Report {
    pgno: Pgno,
    offset: u64,
    blank: bool,
    checksum: String,
    stored_checksum: u64,
    /// The number that the page itself holds, where it does.
    own_pgno: Option<Pgno>,
    dbtime: Dbtime,
    previous: Pgno,
    next: Pgno,
    objid: ObjId,
    free_bytes: u16,
    uncommitted_free_bytes: u16,
    first_free_offset: u16,
    tags: usize,
    reserved_tags: usize,
    flags: PageFlags,
    flags_raw: u32,
    flush_type: FlushType,
    /// The tree with the page's object id.
    tree: Option<String>,
    /// The tree that owns the page by its extents.
    owner: Option<String>,
    /// Whether that tree has it as free.
    free: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    root: Option<RootHeader>,
    #[serde(skip_serializing_if = "Option::is_none")]
    split_buffer: Option<SplitBuffer>,
    /// The external header as it is, in hexadecimal.
    external_header: String,
    nodes: Vec<NodeReport>,
    problems: Vec<String>,
}

#[derive(Debug, Serialize)]
struct NodeReport {
    line: usize,
    offset: usize,
    size: usize,
    flags: NodeFlags,
    prefix_size: usize,
    key_size: usize,
    key: String,
    data_size: usize,
    data: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    child: Option<Pgno>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extent: Option<Extent>,
}

impl Report {
    fn of(db: &Database, view: &PageView<'_>, most: usize) -> Self {
        let header = view.header();
        let mut problems = Vec::new();
        let checksum = checksum(view, &mut problems);
        let mut report = Report {
            pgno: view.pgno(),
            offset: view.pgno().file_offset(view.size().bytes()),
            blank: view.is_blank(),
            checksum,
            stored_checksum: header.checksum(),
            own_pgno: view.own_pgno(),
            dbtime: header.dbtime(),
            previous: header.previous(),
            next: header.next(),
            objid: header.objid(),
            free_bytes: header.free(),
            uncommitted_free_bytes: header.uncommitted_free(),
            first_free_offset: header.mic_free(),
            tags: view.tag_count(),
            reserved_tags: view.reserved_tag_count(),
            flags: header.flags(),
            flags_raw: header.flags().bits(),
            flush_type: header.flush_type(),
            tree: None,
            owner: None,
            free: false,
            root: None,
            split_buffer: None,
            external_header: String::new(),
            nodes: Vec::new(),
            problems,
        };
        if let Ok(catalog) = db.catalog() {
            report.add_owner(db, &catalog);
        }
        if !report.blank {
            report.add_content(view, most);
        }
        report
    }

    fn add_owner(&mut self, db: &Database, catalog: &Catalog) {
        let map = SpaceMap::read(db, catalog);
        let all = trees(catalog);
        let tree = all.iter().find(|tree| tree.objid == self.objid);
        self.tree = tree.map(ToString::to_string);
        self.owner = map.owner(self.pgno).map(ToString::to_string);
        self.free = map.is_free(self.pgno);
    }

    fn add_content(&mut self, view: &PageView<'_>, most: usize) {
        match view.external_header() {
            Ok(bytes) => self.external_header = digits(bytes, most),
            Err(error) => self.problems.push(error.to_string()),
        }
        if view.flags().is_fdp() {
            match view.root_header() {
                Ok(root) => self.root = Some(root),
                Err(error) => self.problems.push(error.to_string()),
            }
        } else if view.flags().contains(PageFlags::ROOT) {
            match view.split_buffer() {
                Ok(buffer) => self.split_buffer = buffer,
                Err(error) => self.problems.push(error.to_string()),
            }
        }
        for line in 0..view.node_count() {
            match view.node(line) {
                Ok(node) => self.nodes.push(NodeReport::of(view, line, &node, most)),
                Err(error) => self.problems.push(error.to_string()),
            }
        }
    }
}

impl NodeReport {
    fn of(view: &PageView<'_>, line: usize, node: &Node<'_>, most: usize) -> Self {
        let tag = view.tag(node.itag).ok();
        let internal = view.flags().is_internal();
        let extent = view.flags().contains(PageFlags::SPACE_TREE) && !internal;
        NodeReport {
            line,
            offset: tag.map_or(0, |tag| tag.offset + view.size().header_size()),
            size: tag.map_or(0, |tag| tag.size),
            flags: node.flags,
            prefix_size: node.prefix.len(),
            key_size: node.key().len(),
            key: digits(&node.key().to_vec(), most),
            data_size: node.data.len(),
            data: digits(node.data, most),
            child: internal.then(|| node.child().ok()).flatten(),
            extent: extent.then(|| Extent::read(node).ok()).flatten(),
        }
    }
}

fn checksum(view: &PageView<'_>, problems: &mut Vec<String>) -> String {
    let Some(page) = ese_checksum::PageBytes::new(view.bytes()) else {
        return "none".into();
    };
    if view.is_blank() {
        return "none: the page is blank".into();
    }
    match ese_checksum::verify_page(page, view.pgno().0) {
        ChecksumVerdict::Good => "good".into(),
        ChecksumVerdict::Correctable { bits, .. } => {
            problems.push(format!("flipped bits at {bits:?} (they can be corrected)"));
            "correctable".into()
        }
        ChecksumVerdict::Bad {
            stored, computed, ..
        } => {
            problems.push(format!(
                "checksum: stored {:#018x}, computed {:#018x}",
                stored.0[0], computed.0[0]
            ));
            "bad".into()
        }
    }
}

/// The first `most` bytes.
fn digits(bytes: &[u8], most: usize) -> String {
    match bytes.get(..most) {
        Some(first) if first.len() < bytes.len() => format!("{}...", Hex(first)),
        _ => hex::encode(bytes),
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let flags: Vec<String> = self.flags.names().collect();
        let text = |name: &Option<String>| name.clone().unwrap_or_else(|| "nobody".into());
        writeln!(f, "page {} at offset {:#x}", self.pgno, self.offset)?;
        writeln!(
            f,
            "            checksum {:#018x} ({})",
            self.stored_checksum, self.checksum
        )?;
        if let Some(own) = self.own_pgno {
            writeln!(f, "                pgno {own}")?;
        }
        writeln!(
            f,
            "       dbtimeDirtied {} ({:#x})",
            self.dbtime, self.dbtime
        )?;
        writeln!(f, "            pgnoPrev {}", self.previous)?;
        writeln!(f, "            pgnoNext {}", self.next)?;
        let tree = self.tree.as_deref().unwrap_or("not in the catalog");
        writeln!(f, "            objidFDP {} ({tree})", self.objid)?;
        let free = if self.free { ", free there" } else { "" };
        writeln!(f, "               owner {}{free}", text(&self.owner))?;
        writeln!(f, "              cbFree {}", self.free_bytes)?;
        writeln!(f, "   cbUncommittedFree {}", self.uncommitted_free_bytes)?;
        writeln!(f, "           ibMicFree {}", self.first_free_offset)?;
        writeln!(f, "         itagMicFree {}", self.tags)?;
        writeln!(f, "        ctagReserved {}", self.reserved_tags)?;
        writeln!(
            f,
            "              fFlags {:#x} ({})",
            self.flags_raw,
            flags.join(" ")
        )?;
        writeln!(f, "          flush type {:?}", self.flush_type)?;
        if let Some(root) = self.root {
            let space = root.space;
            let primary = space.primary_pages;
            write!(f, "        space header parent page {}, ", space.parent)?;
            match space.layout {
                SpaceLayout::SingleExtent { available } => {
                    writeln!(f, "one extent of {primary} pages, free {available:#034b}")?;
                }
                SpaceLayout::MultipleExtents { owned, available } => writeln!(
                    f,
                    "{primary} pages at first, owned extents at page {owned}, available ones at page {available}"
                )?,
            }
            if let Some(autoincrement) = root.autoincrement {
                writeln!(f, "       autoincrement {autoincrement}")?;
            }
        }
        if let Some(buffer) = self.split_buffer {
            let held = buffer.extents.iter().filter(|(_, pages)| *pages > 0);
            let held: Vec<_> = held
                .map(|(last, pages)| format!("{pages} pages up to {last}"))
                .collect();
            let held = match held.is_empty() {
                true => "empty".to_owned(),
                false => held.join(", "),
            };
            writeln!(f, "        split buffer {held}")?;
        }
        if !self.external_header.is_empty() {
            writeln!(f, "     external header {}", self.external_header)?;
        }
        for node in &self.nodes {
            write_node(f, node)?;
        }
        for problem in &self.problems {
            writeln!(f, "problem: {problem}")?;
        }
        Ok(())
    }
}

fn write_node(f: &mut Formatter<'_>, node: &NodeReport) -> fmt::Result {
    let letter = |flag, letter| {
        if node.flags.contains(flag) {
            letter
        } else {
            ' '
        }
    };
    write!(
        f,
        "{:>5} {}{}{} at {:#06x} key {:>3} ({} shared) {} data {:>5} ",
        node.line,
        letter(NodeFlags::COMPRESSED, 'c'),
        letter(NodeFlags::DELETED, 'd'),
        letter(NodeFlags::VERSIONED, 'v'),
        node.offset,
        node.key_size,
        node.prefix_size,
        node.key,
        node.data_size,
    )?;
    match (node.child, node.extent) {
        (Some(child), _) => writeln!(f, "-> page {child}"),
        (_, Some(extent)) => writeln!(
            f,
            "pages {} - {} ({:?})",
            extent.first(),
            extent.last,
            extent.pool
        ),
        _ => writeln!(f, "{}", node.data),
    }
}
