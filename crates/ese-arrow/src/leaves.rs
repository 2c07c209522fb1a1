//! The rows on some leaves into a batch.

use crate::{BatchBuilder, FetchValue, Remarks};
use ese_db::rows::Fields;
use ese_db::{KeyRange, Losses, Page, TableReader};
use ese_format::Pgno;

/// A row of some leaves: the number of the leaf among them, and of the node on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct RowPlace {
    /// The leaf.
    pub(crate) leaf: usize,
    /// The node.
    pub(crate) node: usize,
}

/// Leaves of a table that follow each other, and how their rows are taken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LeafRows<'l> {
    /// Reads the table.
    pub(crate) reader: &'l TableReader,
    /// The leaves.
    pub(crate) leaves: &'l [Page],
    /// The keys of the rows that are taken.
    pub(crate) keys: &'l KeyRange,
    /// Also rows that are deleted but still in their pages.
    pub(crate) deleted: bool,
    /// Bytes of values after which a batch is full.
    pub(crate) batch_bytes: usize,
    /// Rows after which it is full.
    pub(crate) batch_rows: usize,
}

impl LeafRows<'_> {
    /// Adds the rows from `from` on to `builder`, until that is full; `fetch` makes who brings the values of each. What there is to
    /// say of a row is given to `told`, with its page and its node. Gives where the rows begin that were not added, if there are
    /// any.
    pub(crate) fn add_to<F: FetchValue>(
        &self,
        builder: &mut BatchBuilder<'_>,
        from: RowPlace,
        losses: &mut Losses,
        mut fetch: impl FnMut() -> F,
        mut told: impl FnMut((Pgno, usize), &Fields<'_>, &mut Remarks),
    ) -> Result<Option<RowPlace>, F::Error> {
        let mut remarks = Remarks::default();
        let takes_all = self.keys.is_all();
        for (leaf, page) in self.leaves.iter().enumerate().skip(from.leaf) {
            let first = if leaf == from.leaf { from.node } else { 0 };
            let left =
                (self.reader).rows_on(page, first, self.deleted, losses, |node, fields| {
                    if !takes_all && !fields.is_in(self.keys) {
                        return Ok(true);
                    }
                    builder.row(fields, &mut fetch(), &mut remarks)?;
                    told((page.pgno(), node), fields, &mut remarks);
                    Ok(!self.is_full(builder))
                })?;
            if let Some(node) = left {
                return Ok(Some(RowPlace { leaf, node }));
            }
            if self.is_full(builder) {
                let next = RowPlace {
                    leaf: leaf + 1,
                    node: 0,
                };
                return Ok(Some(next).filter(|next| next.leaf < self.leaves.len()));
            }
        }
        Ok(None)
    }

    fn is_full(&self, builder: &BatchBuilder<'_>) -> bool {
        builder.bytes() >= self.batch_bytes || builder.rows() >= self.batch_rows
    }
}
