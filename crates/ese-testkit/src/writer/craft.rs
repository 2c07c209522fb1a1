//! Records that the writer has no use for itself, as a test wants them.

use super::{DBID, OWNED, Page, SYSTEM, Tree, Writer};
use ese_format::record::{Delete, NodeOp, PageOp, PageOpFlags, Record, ShrinkDb, ShrinkDbFields};
use ese_format::{Dbtime, ObjId, Pgno};

impl Writer {
    /// Appends a record as it is.
    pub fn append(&mut self, record: Vec<u8>) {
        self.records.push(record);
    }

    /// Puts a record in place of one that was written.
    pub fn rewrite(&mut self, index: usize, record: Vec<u8>) {
        self.records[index] = record;
    }

    /// The last page of the file.
    pub fn last_page(&self) -> u32 {
        self.last
    }

    /// The head of a change of a tree's node.
    pub fn node(&self, tree: usize) -> NodeOp {
        self.node_op(tree, 0)
    }

    /// The leaf on which the row is.
    pub fn leaf_of(&self, tree: usize, key: &[u8]) -> u32 {
        let path = self.path(tree, key, &[]);
        path[path.len() - 1]
    }

    /// The dbtime that a page has now.
    pub fn dbtime_of(&self, pgno: u32) -> Dbtime {
        Dbtime(self.pages[&pgno].dbtime)
    }

    /// Changes pages together, the first of which is the one that the record is about, and logs what `record` makes of
    /// its head.
    pub fn craft<'a>(
        &mut self,
        tree: usize,
        pages: &[u32],
        change: impl FnOnce(&mut [Page]),
        record: impl FnOnce(PageOp, Tree) -> Record<'a>,
    ) {
        self.begin(SYSTEM);
        let dbtime = self.next_dbtime();
        let head = self.page_op(SYSTEM, pages[0], dbtime, self.flags_of(tree));
        let record = record(head, self.trees[tree]);
        self.log(&record);
        let pages = pages.iter().map(|pgno| self.pages[pgno].clone());
        let mut pages: Vec<Page> = pages.collect();
        change(&mut pages);
        for mut page in pages {
            page.dbtime = dbtime;
            self.put(SYSTEM, page);
        }
        self.commit(SYSTEM);
    }

    /// Cuts off the pages by which the file grew last; no tree may use them. `record` is the form of the record.
    pub fn shrink(&mut self, record: impl FnOnce(ShrinkDb) -> Record<'static>) {
        let (pgno, objid) = OWNED;
        let mut owned = self.pages[&pgno].clone();
        let key = self.last.to_be_bytes();
        let at = owned.lines.iter().position(|line| line.key == key);
        let at = at.expect("the file grew");
        self.begin(SYSTEM);
        let dbtime = self.next_dbtime();
        let flags = PageOpFlags::SPACE | PageOpFlags::UNIQUE;
        let mut page = self.page_op(SYSTEM, pgno, dbtime, flags);
        page.iline = at as u16;
        let node = NodeOp {
            rceid: 0,
            pgno_fdp: Pgno(1),
            objid: ObjId(objid),
        };
        self.log(&Record::Delete(Delete { page, node }));
        owned.lines.remove(at);
        owned.dbtime = dbtime;
        self.put(SYSTEM, owned);
        self.commit(SYSTEM);
        self.last -= self.growth;
        self.lose(self.last + 1, self.growth);
        let shrink = ShrinkDbFields {
            dbid: DBID,
            pgno_last: Pgno(self.last),
            page_count: self.growth,
        };
        let dbtime = None;
        self.log(&record(ShrinkDb { shrink, dbtime }));
        self.sizes.push((self.records.len(), self.last));
    }

    /// Pages are gone, and what was on them.
    pub fn lose(&mut self, first: u32, count: u32) {
        let gone = first..first + count;
        self.free.retain(|pgno| !gone.contains(pgno));
        for pgno in gone {
            self.pages.remove(&pgno);
            self.history.remove(&pgno);
        }
    }

    /// Makes the file longer by pages that nobody uses yet.
    pub fn extend(&mut self) {
        self.grow();
    }

    /// Pages that are free, in the order in which they will be used.
    pub fn free_pages(&self) -> &[u32] {
        &self.free
    }
}
