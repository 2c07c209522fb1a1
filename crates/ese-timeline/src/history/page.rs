//! A leaf as it was at a moment, followed backwards: its lines with what is known of them.

use super::shelf::Kept;
use super::spool::{Parser, push_bytes, push_flag, push_masked, push_u32};
use crate::masked::Masked;
use ese_format::page::PageFlags;
use ese_format::{Dbtime, ObjId, Pgno};
use ese_replay::ReplayDatabase;
use ese_replay::page_edit::PageBuffer;
use ese_replay::pages::PageContent;

/// A node, through all its moves from page to page.
#[derive(Debug, Clone, Default)]
pub(super) struct Line {
    /// Its number in this timeline.
    pub(super) id: u64,
    /// Whether a later record was about it.
    pub(super) has_later: bool,
    /// Whether it was on a page of which nothing is known, so that nothing is known of what became of it.
    pub(super) is_lost: bool,
    /// Its key.
    pub(super) key: Option<Vec<u8>>,
    /// Whether it is flagged as deleted.
    pub(super) is_deleted: Option<bool>,
    /// Its data.
    pub(super) data: Option<Masked>,
}

/// Gives lines their numbers.
#[derive(Debug, Default)]
pub(super) struct Ids(u64);

impl Ids {
    /// A line that was not met yet.
    pub(super) fn line(&mut self) -> Line {
        self.0 += 1;
        Line {
            id: self.0,
            ..Line::default()
        }
    }

    fn lost(&mut self) -> Line {
        Line {
            is_lost: true,
            ..self.line()
        }
    }

    fn dead(&mut self) -> Line {
        Line {
            is_deleted: Some(true),
            ..self.line()
        }
    }

    /// The lines of a page; none if one of them cannot be read.
    pub(super) fn lines_of(&mut self, page: &PageBuffer) -> Option<Vec<Line>> {
        let nodes = page.view().nodes();
        let lines = nodes.map(|node| {
            let node = node.ok()?;
            Some(Line {
                key: Some(node.key().to_vec()),
                is_deleted: Some(node.is_deleted()),
                data: Some(Masked::known(node.data)),
                ..self.line()
            })
        });
        lines.collect()
    }
}

/// A leaf.
#[derive(Debug, Default)]
pub(super) struct Leaf {
    /// Its dbtime, if anything is known of it.
    pub(super) dbtime: Option<Dbtime>,
    /// Its lines, as far as they are known to be there.
    pub(super) lines: Vec<Line>,
    /// Whether there may be more lines after those.
    pub(super) is_open: bool,
    /// Whether all lines that are not known were deleted, so that nothing became of them.
    pub(super) is_dead: bool,
}

impl Leaf {
    /// A page of which nothing is known.
    pub(super) fn unknown(dbtime: Option<Dbtime>) -> Self {
        Leaf {
            dbtime,
            lines: Vec::new(),
            is_open: true,
            is_dead: false,
        }
    }

    /// A page that held nothing but deleted lines, of which nothing is known.
    pub(super) fn dead(dbtime: Dbtime) -> Self {
        Leaf {
            is_dead: true,
            ..Leaf::unknown(Some(dbtime))
        }
    }

    /// The page as a database has it, if it is a leaf of this tree there.
    pub(super) fn of(
        database: &mut ReplayDatabase,
        pgno: Pgno,
        objid: ObjId,
        ids: &mut Ids,
    ) -> Self {
        let looked = database.pages.look(pgno);
        let Ok(PageContent::Page(dbtime)) = looked else {
            return Leaf::unknown(None);
        };
        let Ok(page) = database.pages.get(pgno) else {
            return Leaf::unknown(None);
        };
        let is_own = page.objid() == objid
            && page.is_leaf()
            && !page.flags().contains(PageFlags::SPACE_TREE);
        match ids.lines_of(page).filter(|_| is_own) {
            Some(lines) => Leaf {
                dbtime: Some(dbtime),
                lines,
                is_open: false,
                is_dead: false,
            },
            None => Leaf::unknown(Some(dbtime)),
        }
    }

    /// Whether the page is as a record with this dbtime left it. If it is known not to be, the way back is lost: nothing is
    /// known of it before that record.
    pub(super) fn is_after(&mut self, dbtime: Dbtime) -> bool {
        match self.dbtime {
            None => true,
            Some(found) if found == dbtime => true,
            Some(found) if found < dbtime => false,
            Some(_) => {
                *self = Leaf::unknown(Some(dbtime));
                true
            }
        }
    }

    /// A line; on a page of which not all is known, lines before it are there, too.
    pub(super) fn line(&mut self, at: usize, ids: &mut Ids) -> Option<&mut Line> {
        if self.is_open {
            while self.lines.len() <= at {
                self.lines.push(match self.is_dead {
                    true => ids.dead(),
                    false => ids.lost(),
                });
            }
        }
        self.lines.get_mut(at)
    }

    /// Puts a line in; whether there is a place for it.
    pub(super) fn insert(&mut self, at: usize, line: Line, ids: &mut Ids) -> bool {
        if let Some(before) = at.checked_sub(1) {
            self.line(before, ids);
        }
        let is_place = at <= self.lines.len();
        if is_place {
            self.lines.insert(at, line);
        }
        is_place
    }

    /// Takes all lines, of which there must be `count`.
    pub(super) fn take(&mut self, count: usize, ids: &mut Ids) -> Option<Vec<Line>> {
        if self.is_open
            && let Some(last) = count.checked_sub(1)
        {
            self.line(last, ids);
        }
        let lines = std::mem::take(&mut self.lines);
        (lines.len() == count).then_some(lines)
    }
}

impl Kept for Leaf {
    fn weight(&self) -> usize {
        let of_line = |line: &Line| {
            let data = line.data.as_ref().map_or(0, |data| data.bytes().len());
            size_of::<Line>() + data + line.key.as_ref().map_or(0, Vec::len)
        };
        size_of::<Leaf>() + self.lines.iter().map(of_line).sum::<usize>()
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        let dbtime = self.dbtime.map(|dbtime| dbtime.0.to_le_bytes());
        push_bytes(bytes, dbtime.as_ref().map(<[u8; 8]>::as_slice));
        bytes.extend_from_slice(&[u8::from(self.is_open), u8::from(self.is_dead)]);
        push_u32(bytes, self.lines.len());
        for line in &self.lines {
            bytes.extend_from_slice(&line.id.to_le_bytes());
            bytes.extend_from_slice(&[u8::from(line.has_later), u8::from(line.is_lost)]);
            push_flag(bytes, line.is_deleted);
            push_bytes(bytes, line.key.as_deref());
            push_masked(bytes, line.data.as_ref());
        }
    }

    fn read(bytes: &mut Parser<'_>) -> Option<Self> {
        let number = |bytes: Vec<u8>| Some(u64::from_le_bytes(bytes.try_into().ok()?));
        let dbtime = match bytes.bytes()? {
            Some(dbtime) => Some(Dbtime(number(dbtime)?)),
            None => None,
        };
        let (is_open, is_dead) = (bytes.take(1)? == [1], bytes.take(1)? == [1]);
        let count = bytes.u32()?;
        let mut line = || {
            Some(Line {
                id: number(bytes.take(8)?)?,
                has_later: bytes.take(1)? == [1],
                is_lost: bytes.take(1)? == [1],
                is_deleted: bytes.flag()?,
                key: bytes.bytes()?,
                data: bytes.masked()?,
            })
        };
        let lines = (0..count).map(|_| line()).collect::<Option<Vec<_>>>()?;
        Some(Leaf {
            dbtime,
            lines,
            is_open,
            is_dead,
        })
    }
}
