//! Bytes of which some are not known: what is left of a row's data when it is followed backwards.

use ese_format::record::Diff;
use std::ops::Range;

/// Data whose length is known, and not all of its bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Masked {
    bytes: Vec<u8>,
    /// What is not known, in order, each range apart from the next.
    unknown: Vec<Range<usize>>,
}

/// Two accounts of the same data contradict each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Contradiction;

impl Masked {
    /// Data of which all is known.
    pub(crate) fn known(bytes: impl Into<Vec<u8>>) -> Self {
        Masked {
            bytes: bytes.into(),
            unknown: Vec::new(),
        }
    }

    /// Data of which only the length is known.
    pub(crate) fn of_length(length: usize) -> Self {
        let mut data = Masked::default();
        data.push_unknown(length);
        data
    }

    /// Data with these gaps, which are in order.
    pub(crate) fn with_gaps(bytes: Vec<u8>, unknown: Vec<Range<usize>>) -> Self {
        Masked { bytes, unknown }
    }

    /// The bytes; those that are not known are zero.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether all is known.
    pub(crate) fn is_complete(&self) -> bool {
        self.unknown.is_empty()
    }

    /// What is not known.
    pub(crate) fn unknown(&self) -> &[Range<usize>] {
        &self.unknown
    }

    /// Whether all bytes of a range are known.
    pub(crate) fn knows(&self, range: &Range<usize>) -> bool {
        let overlaps = |gap: &Range<usize>| gap.start < range.end && range.start < gap.end;
        range.is_empty() || !self.unknown.iter().any(overlaps)
    }

    fn push_unknown(&mut self, length: usize) {
        let start = self.bytes.len();
        self.bytes.resize(start + length, 0);
        self.forget(start..start + length);
    }

    /// Says that the last range of bytes is not known.
    fn forget(&mut self, range: Range<usize>) {
        if range.is_empty() {
            return;
        }
        match self.unknown.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => self.unknown.push(range),
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    fn push_part(&mut self, of: &Masked, range: Range<usize>) -> Option<()> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(of.bytes.get(range.clone())?);
        for gap in &of.unknown {
            let (from, to) = (gap.start.max(range.start), gap.end.min(range.end));
            if from < to {
                self.forget(start + from - range.start..start + to - range.start);
            }
        }
        Some(())
    }

    /// What a difference makes of this data; none if it does not fit.
    pub(crate) fn after(&self, diff: Diff<'_>, limit: usize) -> Option<Masked> {
        let mut new = Masked::default();
        let mut done = 0;
        for step in diff.steps() {
            let step = step.ok()?;
            let start = usize::from(step.offset);
            if start < done {
                return None;
            }
            new.push_part(self, done..start)?;
            new.push(step.new);
            done = start + usize::from(step.old_len);
        }
        if done > self.bytes.len() || new.bytes.len() > limit {
            return None;
        }
        new.push_part(self, done..self.bytes.len())?;
        Some(new)
    }

    /// What a difference made this data of, `length` bytes: what it took away is not known. None if the data is not what the
    /// difference left.
    pub(crate) fn before(&self, diff: Diff<'_>, length: usize) -> Option<Masked> {
        let mut old = Masked::default();
        let mut here = 0;
        for step in diff.steps() {
            let step = step.ok()?;
            let kept = usize::from(step.offset).checked_sub(old.bytes.len())?;
            old.push_part(self, here..here + kept)?;
            here += kept;
            let new = here..here + step.new.len();
            let is_there = self.bytes.get(new.clone())?;
            if self.knows(&new) && is_there != step.new {
                return None;
            }
            here = new.end;
            old.push_unknown(usize::from(step.old_len));
        }
        old.push_part(self, here..self.bytes.len())?;
        (old.bytes.len() == length).then_some(old)
    }

    /// The data, of which a range is not known any more; none if there is no such range.
    pub(crate) fn without(&self, range: Range<usize>) -> Option<Masked> {
        let mut less = Masked::default();
        less.push_part(self, 0..range.start)?;
        less.push_unknown(range.len());
        less.push_part(self, range.end..self.bytes.len())?;
        Some(less)
    }

    /// The data with `amount` added to the little-endian number of `width` bytes at `offset`; of a number that is not known
    /// as a whole, nothing is known after.
    pub(crate) fn add(&self, offset: usize, amount: i64, width: usize) -> Option<Masked> {
        let range = offset..offset + width;
        let number = self.bytes.get(range.clone())?;
        if !self.knows(&range) {
            return self.without(range);
        }
        let mut wide = [0; 8];
        wide[..width].copy_from_slice(number);
        let added = u64::from_le_bytes(wide).wrapping_add(amount.cast_unsigned());
        let mut sum = self.clone();
        sum.bytes[range].copy_from_slice(&added.to_le_bytes()[..width]);
        Some(sum)
    }

    /// What two accounts of the same data, as far as they are there, know together.
    pub(crate) fn both(
        one: Option<Masked>,
        other: Option<&Masked>,
    ) -> Result<Option<Masked>, Contradiction> {
        match (one, other) {
            (Some(one), Some(other)) => one.with(other).map(Some),
            (one, other) => Ok(one.or_else(|| other.cloned())),
        }
    }

    /// What both accounts of the same data know together.
    pub(crate) fn with(&self, other: &Masked) -> Result<Masked, Contradiction> {
        if self.bytes.len() != other.bytes.len() {
            return Err(Contradiction);
        }
        let mut both = Masked::default();
        let mut at = 0;
        let mut take = |from: &Masked, to: usize| {
            let taken = both.push_part(from, at..to);
            at = to;
            taken.ok_or(Contradiction)
        };
        for gap in &self.unknown {
            take(self, gap.start)?;
            take(other, gap.end)?;
        }
        take(self, self.bytes.len())?;
        // Where both know, they must agree.
        let mut known = 0;
        let gaps = other.unknown.iter().cloned();
        let end = self.bytes.len()..self.bytes.len();
        for gap in gaps.chain(std::iter::once(end)) {
            if both.bytes[known..gap.start] != other.bytes[known..gap.start] {
                return Err(Contradiction);
            }
            known = gap.end;
        }
        Ok(both)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Insert "very " at 4, replace "brown" by "red" at 10, "cat" for "fox" at 16.
    const DIFF: Diff<'static> = Diff {
        wide: false,
        bytes: &[
            0x04, 0x40, 5, b'v', b'e', b'r', b'y', b' ', //
            0x0a, 0x00, 3, 5, b'r', b'e', b'd', //
            0x10, 0xa0, 3, 0, b'c', b'a', b't',
        ],
    };

    #[test]
    fn a_difference_is_taken_back_but_for_what_it_overwrote() {
        let old = Masked::known(*b"The quick brown fox");
        let new = old.after(DIFF, 100).unwrap();
        assert_eq!(new, Masked::known(*b"The very quick red cat"));
        let back = new.before(DIFF, 19).unwrap();
        assert_eq!(back.bytes(), b"The quick \0\0\0\0\0 \0\0\0");
        assert_eq!(back.unknown(), [10..15, 16..19]);
        assert_eq!(back.after(DIFF, 100).unwrap(), new);
        assert_eq!(back.with(&old), Ok(old.clone()));
        assert_eq!(old.with(&back), Ok(old.clone()));
        assert!(new.before(DIFF, 20).is_none());
        let other = Masked::known(*b"The very quick bed cat");
        assert!(other.before(DIFF, 19).is_none());
        let other = Masked::known(*b"Tha quick brown fox");
        assert_eq!(back.with(&other), Err(Contradiction));
        assert_eq!(other.with(&back), Err(Contradiction));
    }

    #[test]
    fn numbers_that_are_not_known_stay_so() {
        let data = Masked::known([1, 255, 0, 0, 0, 2]);
        let sum = data.add(1, 2, 4).unwrap();
        assert_eq!(sum.bytes(), [1, 1, 1, 0, 0, 2]);
        let sum = Masked::of_length(6).add(1, 2, 4).unwrap();
        assert_eq!(sum, Masked::of_length(6));
        assert!(data.add(4, 1, 4).is_none());
    }
}
