//! Splits: one macro operation, with a record for each level from the highest to the leaf.

use super::page::common;
use super::rows::{Change, Kind};
use super::{Line, Page, Tree, Writer};
use ese_format::page::PageFlags;
use ese_format::record::{
    PageImage, PageImageFlags, PageOpFlags, Record, Split, SplitFields, SplitOperation, SplitType,
};
use ese_format::{Dbtime, ObjId, Pgno};

/// A page that is cut in two.
struct Cut {
    pgno: u32,
    kind: SplitType,
    operation: SplitOperation,
    /// Where the operation is among all lines.
    at: usize,
    /// The first line that goes to the new page.
    split_at: usize,
    lines: Vec<Line>,
    left_prefix: Vec<u8>,
    right_prefix: Prefix,
    /// Key of the pointer to the page that was split.
    separator: Vec<u8>,
    needs_image: bool,
}

/// A prefix, and the line whose key it is.
type Prefix = (Option<usize>, Vec<u8>);

/// What happens on one level.
enum Level {
    /// A page takes a pointer.
    Pointer {
        pgno: u32,
        at: usize,
    },
    Cut(Cut),
}

impl Level {
    fn pgno(&self) -> u32 {
        match self {
            Level::Pointer { pgno, .. } => *pgno,
            Level::Cut(cut) => cut.pgno,
        }
    }
}

impl Writer {
    /// Splits the page that is too full for the change; whether the change is done with that.
    pub(super) fn split(&mut self, session: u16, tree: usize, change: &Change) -> bool {
        let path = self.path(tree, &change.key, &change.data);
        let Some(levels) = self.plan(tree, &path, change) else {
            let change = (path.len() == 1).then_some(change);
            return self.split_root(session, tree, change);
        };
        let objid = self.trees[tree].objid;
        let cuts = levels
            .iter()
            .filter(|level| matches!(level, Level::Cut(_)))
            .count();
        let new: Vec<u32> = (0..cuts).map(|_| self.allocate(session, objid)).collect();
        self.perform(session, tree, &levels, &new, Some(change));
        true
    }

    /// Cuts from the leaf up to a page with room for a pointer; `None` if it is the root that has none.
    fn plan(&self, tree: usize, path: &[u32], change: &Change) -> Option<Vec<Level>> {
        let (&leaf, above) = path.split_last()?;
        if above.is_empty() {
            return None;
        }
        let (_, at) = self.place_of(tree, change);
        let cut = self.cut_leaf(tree, leaf, at, change);
        let mut separator = cut.separator.clone();
        let mut child = leaf;
        let mut levels = vec![Level::Cut(cut)];
        for &pgno in above.iter().rev() {
            let page = &self.pages[&pgno];
            let at = page.lines.iter().position(|line| line.child() == child);
            let at = at.expect("a parent points to its child");
            let pointer = page.line(&separator, &child.to_le_bytes(), false);
            if page.has_free(pointer.size()) {
                levels.push(Level::Pointer { pgno, at });
                return Some(levels);
            }
            if page.is_root() {
                return None;
            }
            let cut = self.cut_parent(page, at, pointer);
            separator.clone_from(&cut.separator);
            child = pgno;
            levels.push(Level::Cut(cut));
        }
        None
    }

    fn cut_leaf(&self, tree: usize, pgno: u32, at: usize, change: &Change) -> Cut {
        let page = &self.pages[&pgno];
        let mut lines = page.lines.clone();
        change.apply(&mut lines, at);
        let count = lines.len();
        let last = change.kind == Kind::Insert && at + 1 == count;
        let appends = last && page.next == 0;
        let (split_at, left_prefix, right_prefix) = if appends || last && at.is_multiple_of(3) {
            (at, page.header.clone(), (None, Vec::new()))
        } else {
            let reserve = |lines: &[Line]| self.reserve(tree, lines);
            place_to_cut(page, &lines, reserve)
        };
        let unique = self.trees[tree].unique;
        Cut {
            pgno,
            kind: if appends {
                SplitType::Append
            } else {
                SplitType::Right
            },
            operation: change.operation(),
            at,
            split_at,
            separator: separator(&lines[split_at - 1], &lines[split_at], unique),
            needs_image: !(last && split_at == at),
            lines,
            left_prefix,
            right_prefix,
        }
    }

    fn cut_parent(&self, page: &Page, at: usize, pointer: Line) -> Cut {
        let mut lines = page.lines.clone();
        lines.insert(at, pointer);
        let (split_at, left_prefix, right_prefix) = place_to_cut(page, &lines, |_| 0);
        Cut {
            pgno: page.pgno,
            kind: SplitType::Right,
            operation: SplitOperation::Insert,
            at,
            split_at,
            separator: lines[split_at - 1].key.clone(),
            needs_image: true,
            lines,
            left_prefix,
            right_prefix,
        }
    }

    /// The lines of a root go down to a new page, with the change if there is room; whether it is done.
    fn split_root(&mut self, session: u16, tree: usize, change: Option<&Change>) -> bool {
        let Tree { root, objid, .. } = self.trees[tree];
        let new = self.allocate(session, objid);
        let page = self.pages[&root].clone();
        let mut cut = Cut {
            pgno: root,
            kind: SplitType::Vertical,
            operation: SplitOperation::None,
            at: 0,
            split_at: 0,
            lines: page.lines.clone(),
            left_prefix: Vec::new(),
            right_prefix: (None, Vec::new()),
            separator: Vec::new(),
            needs_image: true,
        };
        if let Some(change) = change {
            let (_, at) = self.place_of(tree, change);
            let mut lines = page.lines.clone();
            change.apply(&mut lines, at);
            let reserve = self.reserve(tree, &lines);
            if let Some(prefix) = fitting(&page, &lines, reserve) {
                (cut.operation, cut.at, cut.lines, cut.right_prefix) =
                    (change.operation(), at, lines, prefix);
            }
        }
        let done = cut.operation != SplitOperation::None;
        let change = change.filter(|_| done);
        self.perform(session, tree, &[Level::Cut(cut)], &[new], change);
        done
    }

    /// Logs the levels, which are given from the leaf up, and changes the pages.
    fn perform(
        &mut self,
        session: u16,
        tree: usize,
        levels: &[Level],
        new: &[u32],
        change: Option<&Change>,
    ) {
        let dbtime = self.next_dbtime();
        self.macro_begin(session, dbtime);
        for (index, level) in levels.iter().enumerate().rev() {
            let parent = levels.get(index + 1).map(Level::pgno);
            let new = new.get(index).copied().unwrap_or(0);
            self.log_level(session, tree, level, new, parent, dbtime);
        }
        if let (Some(change), Some(Level::Cut(cut))) = (change, levels.first()) {
            let flags = self.flags_of(tree) | PageOpFlags::VERSIONED;
            let mut page = self.page_op(session, cut.pgno, dbtime, flags);
            page.iline = cut.at as u16;
            let shared = common(self.pages[&cut.pgno].prefix(), &change.key);
            self.log_change(tree, page, change, shared);
        }
        self.macro_commit(session, dbtime);
        let mut below: Option<(u32, u32, Vec<u8>)> = None;
        for (index, level) in levels.iter().enumerate() {
            let new = new.get(index).copied().unwrap_or(0);
            below = match level {
                Level::Pointer { pgno, at } => {
                    self.take_pointer(session, *pgno, *at, below, dbtime)
                }
                Level::Cut(cut) => Some(self.cut(session, cut, new, below, dbtime)),
            };
        }
    }

    fn log_level(
        &mut self,
        session: u16,
        tree: usize,
        level: &Level,
        new: u32,
        parent: Option<u32>,
        dbtime: u64,
    ) {
        let Tree { root, objid, .. } = self.trees[tree];
        let mut page = self.page_op(session, level.pgno(), dbtime, self.flags_of(tree));
        let before = |writer: &Writer, pgno: u32| {
            let page = writer.pages.get(&pgno);
            Dbtime(page.map_or(0, |page| page.dbtime))
        };
        let own = self.pages[&level.pgno()].clone();
        let parent = parent.unwrap_or(0);
        let mut fields = SplitFields {
            pgno_new: Pgno(new),
            pgno_right: Pgno(0),
            dbtime_right_before: Dbtime(0),
            pgno_parent: Pgno(parent),
            dbtime_parent_before: before(self, parent),
            pgno_fdp: Pgno(root),
            objid: ObjId(objid),
            split_type: SplitType::Right,
            operation: SplitOperation::Insert,
            iline_operation: 0,
            iline_split: 0,
            line_count: own.lines.len() as u16,
            new_page_flags: 0,
            split_page_flags: own.flags.bits(),
            uncommitted_free_source: 0,
            uncommitted_free_dest: 0,
            iline_prefix_split: -1,
            iline_prefix_new: -1,
        };
        let (mut prefix_before, mut prefix_after, mut image) = (vec![], vec![], vec![]);
        let mut separator = Vec::new();
        let mut image_flags = PageImageFlags::empty();
        match level {
            Level::Pointer { at, .. } => (page.iline, fields.pgno_new) = (*at as u16, Pgno(0)),
            Level::Cut(cut) => {
                page.iline = cut.at as u16;
                if own.is_leaf() && cut.kind != SplitType::Vertical {
                    fields.pgno_right = Pgno(own.next);
                    fields.dbtime_right_before = before(self, own.next);
                }
                fields.split_type = cut.kind;
                fields.operation = cut.operation;
                fields.iline_operation = cut.at as u16;
                fields.iline_split = cut.split_at as u16;
                fields.line_count = cut.lines.len() as u16;
                fields.new_page_flags = new_flags(&own).bits();
                fields.split_page_flags = split_flags(&own, cut.kind).bits();
                fields.iline_prefix_new = cut.right_prefix.0.map_or(-1, |line| line as i32);
                separator.clone_from(&cut.separator);
                prefix_before = own.prefix().to_vec();
                prefix_after.clone_from(&cut.left_prefix);
                if cut.needs_image {
                    (image_flags, image) = image_of(&own, dbtime);
                }
            }
        }
        self.log(&Record::Split2(Split {
            page,
            split: fields,
            parent_key: &separator,
            split_prefix_before: &prefix_before,
            split_prefix_after: &prefix_after,
            before_image: Some(PageImage {
                flags: image_flags,
                bytes: &image,
            }),
        }));
    }

    /// Cuts a page in two; gives what the level above takes: both pages and the key between them.
    fn cut(
        &mut self,
        session: u16,
        cut: &Cut,
        new: u32,
        below: Option<(u32, u32, Vec<u8>)>,
        dbtime: u64,
    ) -> (u32, u32, Vec<u8>) {
        let mut left = self.pages[&cut.pgno].clone();
        let mut right = Page::new(self.size, new, left.objid, new_flags(&left));
        let mut lines = cut.lines.clone();
        if let Some((_, below_new, _)) = below {
            lines[cut.at + 1].data = below_new.to_le_bytes().to_vec();
        }
        let (to_left, to_right) = lines.split_at(cut.split_at);
        right.header.clone_from(&cut.right_prefix.1);
        right.fill(to_right);
        match cut.kind {
            SplitType::Vertical => {
                left.flags = split_flags(&left, cut.kind);
                left.lines = vec![left.line(&[], &new.to_le_bytes(), false)];
            }
            SplitType::Append => {}
            _ => {
                left.header.clone_from(&cut.left_prefix);
                left.fill(to_left);
            }
        }
        if left.is_leaf() {
            right.previous = left.pgno;
            right.next = left.next;
            left.next = new;
            if let Some(mut sibling) = self.pages.get(&right.next).cloned() {
                sibling.previous = new;
                sibling.dbtime = dbtime;
                self.put(session, sibling);
            }
        }
        (left.dbtime, right.dbtime) = (dbtime, dbtime);
        self.put(session, left);
        self.put(session, right);
        (cut.pgno, new, cut.separator.clone())
    }

    fn take_pointer(
        &mut self,
        session: u16,
        pgno: u32,
        at: usize,
        below: Option<(u32, u32, Vec<u8>)>,
        dbtime: u64,
    ) -> Option<(u32, u32, Vec<u8>)> {
        let (split, new, separator) = below?;
        let mut page = self.pages[&pgno].clone();
        page.lines[at].data = new.to_le_bytes().to_vec();
        let pointer = page.line(&separator, &split.to_le_bytes(), false);
        page.lines.insert(at, pointer);
        page.dbtime = dbtime;
        self.put(session, page);
        None
    }
}

impl Change {
    fn operation(&self) -> SplitOperation {
        match self.kind {
            Kind::Insert => SplitOperation::Insert,
            Kind::Replace => SplitOperation::Replace,
            Kind::Revive => SplitOperation::FlagInsertAndReplaceData,
        }
    }
}

fn new_flags(page: &Page) -> PageFlags {
    page.flags - PageFlags::ROOT
}

fn split_flags(page: &Page, kind: SplitType) -> PageFlags {
    match (kind, page.is_leaf()) {
        (SplitType::Vertical, true) => (page.flags - PageFlags::LEAF) | PageFlags::PARENT_OF_LEAF,
        (SplitType::Vertical, false) => page.flags - PageFlags::PARENT_OF_LEAF,
        _ => page.flags,
    }
}

/// A page as a record holds it: with the new dbtime, now and then without the gap in its middle.
pub(super) fn image_of(page: &Page, dbtime: u64) -> (PageImageFlags, Vec<u8>) {
    let mut page = page.clone();
    page.dbtime = dbtime;
    match dbtime.is_multiple_of(2) {
        true => (PageImageFlags::DEHYDRATED, page.to_dehydrated()),
        false => (PageImageFlags::empty(), page.to_bytes()),
    }
}

/// The shortest key that lies above `left` and not above `right`.
pub(super) fn separator(left: &Line, right: &Line, unique: bool) -> Vec<u8> {
    let name = |line: &Line| {
        if unique {
            line.key.clone()
        } else {
            line.whole()
        }
    };
    let (left, right) = (name(left), name(right));
    right[..common(&left, &right) + 1].to_vec()
}

/// A prefix under which the page holds these lines: the key of one of them, or none.
fn fitting(page: &Page, lines: &[Line], reserve: usize) -> Option<Prefix> {
    let count = lines.len();
    let places = [
        count / 2,
        0,
        count.saturating_sub(1),
        count / 4,
        count * 3 / 4,
    ];
    let keys = places
        .into_iter()
        .filter_map(|place| Some((Some(place), lines.get(place)?.key.clone())));
    let mut choices = keys
        .filter(|(_, prefix)| prefix.len() > 2)
        .chain([(None, Vec::new())]);
    choices.find(|(_, prefix)| page.would_hold(prefix, lines, reserve))
}

/// Where to cut: as near to the middle as both halves fit, and under which prefixes.
fn place_to_cut(
    page: &Page,
    lines: &[Line],
    reserve: impl Fn(&[Line]) -> usize,
) -> (usize, Vec<u8>, Prefix) {
    let middle = lines.len() / 2;
    let mut places: Vec<usize> = (1..lines.len()).collect();
    places.sort_by_key(|place| place.abs_diff(middle));
    for place in places {
        let (left, right) = lines.split_at(place);
        let kept = page.would_hold(page.prefix(), left, reserve(left));
        let left_prefix = fitting(page, left, reserve(left)).map(|(_, prefix)| prefix);
        let left_prefix = left_prefix.or(kept.then(|| page.prefix().to_vec()));
        if let (Some(left_prefix), Some(right_prefix)) =
            (left_prefix, fitting(page, right, reserve(right)))
        {
            return (place, left_prefix, right_prefix);
        }
    }
    panic!("a page cannot be cut: its rows are too long");
}
