//! A page as the writer keeps it: lines of keys and data, and how large they are as bytes. It is composed to bytes only
//! when somebody wants to see it, without the page editor of the replay.

use byteorder::{ByteOrder, LittleEndian};
use ese_checksum::seal_page;
use ese_format::Pgno;
use ese_format::page::{NodeFlags, PageFlags, PageSize, PageView};

/// Keys share less than this with the page's prefix: it is not worth leaving out.
const MIN_PREFIX: usize = 3;
const TAG: usize = 4;
const SIZE_WORD: usize = 2;

/// A node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The whole key.
    pub key: Vec<u8>,
    /// The data.
    pub data: Vec<u8>,
    /// Whether it is flagged as deleted.
    pub deleted: bool,
    /// Bytes of the key that are left to the page's prefix.
    pub prefix: usize,
}

impl Line {
    /// Key and data in one piece: where the line is in a tree without unique keys.
    pub fn whole(&self) -> Vec<u8> {
        [&self.key[..], &self.data].concat()
    }

    /// The page that a line above the leaves points to.
    pub fn child(&self) -> u32 {
        u32::from_le_bytes(self.data[..].try_into().expect("a pointer has four bytes"))
    }

    /// Bytes that it takes of a page, its tag included.
    pub fn size(&self) -> usize {
        let words = if self.prefix > 0 { 2 } else { 1 };
        TAG + words * SIZE_WORD + self.key.len() - self.prefix + self.data.len()
    }
}

/// A page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Its number.
    pub pgno: u32,
    /// The tree that it belongs to.
    pub objid: u32,
    /// When it was last changed.
    pub dbtime: u64,
    /// The left sibling.
    pub previous: u32,
    /// The right sibling.
    pub next: u32,
    /// What it is.
    pub flags: PageFlags,
    /// The external header: what the root says of its tree, the common prefix of keys elsewhere.
    pub header: Vec<u8>,
    /// The nodes.
    pub lines: Vec<Line>,
    size: PageSize,
}

impl Page {
    /// An empty page.
    pub fn new(size: PageSize, pgno: u32, objid: u32, flags: PageFlags) -> Self {
        Page {
            pgno,
            objid,
            dbtime: 0,
            previous: 0,
            next: 0,
            flags: flags | PageFlags::NEW_RECORD_FORMAT,
            header: Vec::new(),
            lines: Vec::new(),
            size,
        }
    }

    /// A page of a file.
    pub fn read(pgno: u32, bytes: &[u8]) -> Self {
        let view = PageView::new(Pgno(pgno), bytes).expect("a page");
        let header = view.header();
        let nodes = view.nodes().map(|node| {
            let node = node.expect("a node");
            Line {
                key: node.key().to_vec(),
                data: node.data.to_vec(),
                deleted: node.is_deleted(),
                prefix: node.prefix.len(),
            }
        });
        Page {
            pgno,
            objid: header.objid().0,
            dbtime: header.dbtime().0,
            previous: header.previous().0,
            next: header.next().0,
            flags: header.flags(),
            header: view.external_header().expect("a header").to_vec(),
            lines: nodes.collect(),
            size: view.size(),
        }
    }

    /// Whether it is a tree's root.
    pub fn is_root(&self) -> bool {
        self.flags.contains(PageFlags::ROOT)
    }

    /// Whether it is a leaf.
    pub fn is_leaf(&self) -> bool {
        self.flags.contains(PageFlags::LEAF)
    }

    /// The prefix that its keys may share.
    pub fn prefix(&self) -> &[u8] {
        if self.is_root() { &[] } else { &self.header }
    }

    /// A line as it would be on this page.
    pub fn line(&self, key: &[u8], data: &[u8], deleted: bool) -> Line {
        line_under(self.prefix(), key, data, deleted)
    }

    /// Bytes after the page's header.
    fn room(&self) -> usize {
        self.size.as_usize() - self.size.header_size()
    }

    fn taken(&self) -> usize {
        let used: usize = self.lines.iter().map(Line::size).sum();
        TAG + self.header.len() + used
    }

    /// Free bytes.
    pub fn free(&self) -> usize {
        let free = self.room().checked_sub(self.taken());
        free.expect("a page holds its lines")
    }

    /// Whether it has this many free bytes.
    pub fn has_free(&self, bytes: usize) -> bool {
        self.taken() + bytes <= self.room()
    }

    /// Whether these lines fit under this prefix, with `reserve` bytes to spare.
    pub fn would_hold(&self, prefix: &[u8], lines: &[Line], reserve: usize) -> bool {
        let size = |line: &Line| line_under(prefix, &line.key, &line.data, false).size();
        let used: usize = lines.iter().map(size).sum();
        TAG + prefix.len() + used + reserve <= self.room()
    }

    /// Puts lines on the page in place of its own, under its prefix.
    pub fn fill(&mut self, lines: &[Line]) {
        let put = |line: &Line| self.line(&line.key, &line.data, line.deleted);
        self.lines = lines.iter().map(put).collect();
    }

    /// Takes everything off the page and marks it as left over.
    pub fn empty(&mut self) {
        if !self.is_root() {
            self.header.clear();
        }
        self.lines.clear();
        self.flags |= PageFlags::EMPTY;
    }

    /// The page as a file holds it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let (head, tail) = self.parts();
        let mut bytes = head;
        bytes.resize(self.size.as_usize() - tail.len(), 0);
        bytes.extend(tail);
        self.put_free(&mut bytes, self.free());
        seal_page(&mut bytes, self.pgno);
        bytes
    }

    /// The page without the gap in its middle, as records hold it; its free bytes are counted without it.
    pub fn to_dehydrated(&self) -> Vec<u8> {
        let (head, tail) = self.parts();
        let gap = self.size.as_usize() - head.len() - tail.len();
        let mut bytes = [head, tail].concat();
        self.put_free(&mut bytes, self.free() - gap);
        bytes
    }

    fn put_free(&self, bytes: &mut [u8], free: usize) {
        let free = if self.flags.contains(PageFlags::PRE_INIT) {
            self.room()
        } else {
            free
        };
        LittleEndian::write_u16(&mut bytes[28..], free as u16);
    }

    /// Header and data, and the tags.
    fn parts(&self) -> (Vec<u8>, Vec<u8>) {
        let mut data = self.header.clone();
        let mut tags = vec![self.tag(0, self.header.len(), NodeFlags::empty())];
        for line in &self.lines {
            let (bytes, flags) = self.line_bytes(line);
            tags.push(self.tag(data.len(), bytes.len(), flags));
            data.extend(bytes);
        }
        let (count, reserved) = match self.flags.contains(PageFlags::PRE_INIT) {
            true => (0, 0),
            false => (tags.len() as u16, 1u16),
        };
        let mut head = vec![0; self.size.header_size()];
        let fields: [(usize, &[u8]); 7] = [
            (8, &self.dbtime.to_le_bytes()),
            (16, &self.previous.to_le_bytes()),
            (20, &self.next.to_le_bytes()),
            (24, &self.objid.to_le_bytes()),
            (32, &(data.len() as u16).to_le_bytes()),
            (34, &(count | reserved << 12).to_le_bytes()),
            (36, &self.flags.bits().to_le_bytes()),
        ];
        for (at, bytes) in fields {
            head[at..at + bytes.len()].copy_from_slice(bytes);
        }
        if !self.size.is_small() {
            LittleEndian::write_u32(&mut head[64..], self.pgno);
        }
        head.extend(data);
        let tags = tags.into_iter().take(count.into()).rev().flatten();
        (head, tags.collect())
    }

    fn tag(&self, offset: usize, size: usize, flags: NodeFlags) -> [u8; TAG] {
        let flags = if self.size.is_small() {
            u16::from(flags.bits()) << 13
        } else {
            0
        };
        let ([a, b], [c, d]) = (
            (size as u16).to_le_bytes(),
            (offset as u16 | flags).to_le_bytes(),
        );
        [a, b, c, d]
    }

    fn line_bytes(&self, line: &Line) -> (Vec<u8>, NodeFlags) {
        let mut flags = NodeFlags::empty();
        flags.set(NodeFlags::DELETED, line.deleted);
        flags.set(NodeFlags::COMPRESSED, line.prefix > 0);
        let suffix = &line.key[line.prefix..];
        let mut words = vec![suffix.len() as u16];
        if line.prefix > 0 {
            words.insert(0, line.prefix as u16);
        }
        if !self.size.is_small() {
            words[0] |= u16::from(flags.bits()) << 13;
        }
        let words = words.into_iter().flat_map(u16::to_le_bytes);
        let bytes = words.chain(suffix.iter().copied()).chain(line.data.clone());
        (bytes.collect(), flags)
    }
}

/// How many bytes two keys begin with together.
pub fn common(left: &[u8], right: &[u8]) -> usize {
    let pairs = left.iter().zip(right);
    pairs.take_while(|(left, right)| left == right).count()
}

fn line_under(prefix: &[u8], key: &[u8], data: &[u8], deleted: bool) -> Line {
    let shared = common(prefix, key);
    Line {
        key: key.to_vec(),
        data: data.to_vec(),
        deleted,
        prefix: if shared < MIN_PREFIX { 0 } else { shared },
    }
}
