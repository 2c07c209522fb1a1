//! Which bytes of a version 7.3704 log hold records, and what is wrong with the others.
//!
//! The chain of checksum records is followed from the first sector after the header. Where it breaks, the rules of
//! `LOG_READ_BUFFER::ErrLGCheckReadLastLogRecordFF_Legacy` (`ese/_log/logread_legacy.cxx`) tell a torn last write,
//! which recovery repairs, from damage, which it does not:
//!
//! - the last sector is bad and its shadow is after it: the shadow replaces it, in the current log;
//! - the next write never reached the disk, what is there is the shadow of the last one, or nothing: the log ends
//!   with the last one, provided that only the fill pattern follows;
//! - a write of several sectors has its first sector (the short checksum fits) but not all of the others, and only the
//!   fill pattern follows: the first sector counts;
//! - everything else is damage, also anything but the fill pattern after the end and the shadow there.
//!
//! The engine stops at damage. We look for the next write whose checksum fits and go on.

use crate::image::{Body, Damage, RangeOrigin, TrustedRange, position};
use ese_format::log::{ChecksumRecord, HEADER_SIZE, LogHeader, is_fill_pattern};
use ese_format::{Generation, Lgpos};

/// Examines the body of a log; puts the shadow of a torn last sector in its place.
pub(crate) fn examine(bytes: &mut [u8], header: &LogHeader) -> Body {
    let mut chain = Chain {
        header,
        sector: usize::from(header.sector_size),
        body: Body {
            end: HEADER_SIZE,
            ..Body::default()
        },
        broken: false,
        unused_from: 0,
        search_left: 4 * bytes.len(),
    };
    if (bytes.len() as u64) < header.file_size() {
        chain.body.damage.push(Damage::CutOff {
            lgpos: chain.lgpos(bytes.len()),
            bytes: header.file_size() - bytes.len() as u64,
        });
    }
    // Sectors that are not whole cannot be checked.
    let whole = bytes.len() - bytes.len() % chain.sector;
    let bytes = &mut bytes[..whole];
    let unused = bytes
        .rchunks(chain.sector)
        .take_while(|sector| is_fill_pattern(sector));
    chain.unused_from = whole - unused.count() * chain.sector;
    chain.follow(bytes);
    chain.body.damage.sort_by_key(Damage::lgpos);
    chain.body
}

struct Chain<'a> {
    header: &'a LogHeader,
    sector: usize,
    body: Body,
    /// Something unusable has been passed: the engine would have stopped there.
    broken: bool,
    /// From this offset on there is nothing but the fill pattern.
    unused_from: usize,
    /// Bytes that the search for further writes may still look at: hostile input could make it look again and again.
    search_left: usize,
}

/// How a broken place in the chain is to be read.
enum Break {
    /// The log ends here; the last write was torn.
    Ends { end: usize },
    /// The shadow of the sector has taken its place; this is its checksum record.
    Shadow(ChecksumRecord),
    /// Damage; the chain goes on after this offset, if at all.
    Damaged { damage: Damage, behind: usize },
}

impl Chain<'_> {
    fn follow(&mut self, bytes: &mut [u8]) {
        let mut at = HEADER_SIZE;
        let mut last = None;
        let mut origin = RangeOrigin::Whole;
        while at + ChecksumRecord::SIZE <= bytes.len() {
            let record = self.plausible(bytes, at);
            let good = record.filter(|record| self.range_fits(*record, bytes, at));
            let Some(record) = good else {
                match self.judge_break(bytes, at, record, last) {
                    Break::Shadow(record) => return self.finish(bytes, record, at, origin),
                    Break::Ends { end } => return self.finish_torn(bytes, at, end, origin),
                    Break::Damaged { damage, behind } => {
                        self.broken = true;
                        self.body.damage.push(damage);
                        let Some(next) = self.find_write(bytes, behind) else {
                            return;
                        };
                        (at, last, origin) = (next, None, RangeOrigin::Damage);
                        continue;
                    }
                }
            };
            if record.next == 0 {
                return self.finish(bytes, record, at, origin);
            }
            self.add(record, at, origin);
            origin = RangeOrigin::Whole;
            last = Some(at);
            at += ChecksumRecord::SIZE + record.next as usize;
        }
        if at > HEADER_SIZE || bytes.len() as u64 == self.header.file_size() {
            let lgpos = self.lgpos(at.min(bytes.len()));
            self.body.damage.push(Damage::Chain { lgpos });
        }
    }

    fn generation(&self) -> Generation {
        self.header.generation
    }

    fn lgpos(&self, offset: usize) -> Lgpos {
        position(self.header, offset)
    }

    fn sector_start(&self, offset: usize) -> usize {
        offset - offset % self.sector
    }

    fn plausible(&self, bytes: &[u8], at: usize) -> Option<ChecksumRecord> {
        let record = ChecksumRecord::read(bytes, at).ok()?;
        record
            .is_plausible(bytes, at, self.sector, self.generation())
            .then_some(record)
    }

    fn range_fits(&self, record: ChecksumRecord, bytes: &[u8], at: usize) -> bool {
        record.compute(bytes, at, self.generation()) == Some(record.checksum)
    }

    /// Whether the sector after the one of `at` is the shadow of a write at `at`.
    fn shadow_of(&self, bytes: &[u8], at: usize) -> Option<ChecksumRecord> {
        let place = at + self.sector;
        let record = self.plausible(bytes, place)?;
        let expected = record.compute_shadow(bytes, place, self.generation());
        (!record.has_short_checksum() && expected == Some(record.checksum)).then_some(record)
    }

    /// Judges the write at `at`, which is bad; `record` is its checksum record if that much is plausible, `last` the
    /// write before.
    fn judge_break(
        &mut self,
        bytes: &mut [u8],
        at: usize,
        record: Option<ChecksumRecord>,
        last: Option<usize>,
    ) -> Break {
        let start = self.sector_start(at);
        if let Some(record) = record.filter(|record| record.has_short_checksum()) {
            return self.judge_torn_range(bytes, at, record);
        }
        let follows = last.is_some_and(|last| self.sector_start(last) + self.sector == start);
        let last = last.filter(|_| follows);
        if record.is_some()
            && let Some(last) = last.filter(|last| last + self.sector == at)
            && self
                .shadow_of(bytes, last)
                .is_some_and(|shadow| shadow.next == 0)
        {
            return Break::Ends { end: start };
        }
        if let Some(shadow) = self.shadow_of(bytes, at).filter(|shadow| shadow.next == 0) {
            return Break::Shadow(self.put_shadow(bytes, at, shadow));
        }
        let behind = start + self.sector;
        let old_shadow_here =
            record.is_none() && last.is_some_and(|last| self.shadow_of(bytes, last).is_some());
        if self.unused_from <= start || (old_shadow_here && self.unused_from <= behind) {
            return Break::Ends { end: start };
        }
        let damage = match record {
            Some(record) => self.bad_range(bytes, at, record),
            None => Damage::Chain {
                lgpos: self.lgpos(at),
            },
        };
        Break::Damaged { damage, behind }
    }

    /// Judges a write of several sectors whose first sector is good and whose whole is not.
    fn judge_torn_range(&self, bytes: &[u8], at: usize, record: ChecksumRecord) -> Break {
        let start = self.sector_start(at);
        let second = start + self.sector;
        let end = at + ChecksumRecord::SIZE + record.forwards as usize;
        let others = &bytes[second..end];
        let never_written = others.chunks(self.sector).any(is_fill_pattern)
            || (others.len() == self.sector && self.is_old_shadow(bytes, at));
        let at_file_end = end + self.sector >= bytes.len();
        if at_file_end || (never_written && self.unused_from <= end) {
            return Break::Ends { end: second };
        }
        Break::Damaged {
            damage: self.bad_range(bytes, at, record),
            behind: end,
        }
    }

    /// Whether the second sector of the write at `at` is the shadow that the first sector had when it was smaller.
    fn is_old_shadow(&self, bytes: &[u8], at: usize) -> bool {
        let Some(shadow) = self.shadow_of(bytes, at) else {
            return false;
        };
        let start = self.sector_start(at);
        let place = at + self.sector;
        let behind = ChecksumRecord::SIZE..ChecksumRecord::SIZE + shadow.forwards as usize;
        bytes[start..at] == bytes[start + self.sector..place]
            && bytes.get(at + behind.start..at + behind.end)
                == bytes.get(place + behind.start..place + behind.end)
    }

    fn bad_range(&self, bytes: &[u8], at: usize, record: ChecksumRecord) -> Damage {
        let computed = record.compute(bytes, at, self.generation());
        Damage::Checksum {
            lgpos: self.lgpos(at),
            bytes: (record.backwards as usize + ChecksumRecord::SIZE + record.forwards as usize)
                as u64,
            stored: u64::from(record.checksum),
            computed: u64::from(computed.unwrap_or(0)),
        }
    }

    /// Copies the shadow after the sector of `at` over that sector, with the checksum of a sector that is none.
    fn put_shadow(
        &mut self,
        bytes: &mut [u8],
        at: usize,
        mut shadow: ChecksumRecord,
    ) -> ChecksumRecord {
        let start = self.sector_start(at);
        let behind = start + self.sector;
        bytes.copy_within(behind..behind + self.sector, start);
        shadow.checksum = shadow
            .compute(bytes, at, self.generation())
            .unwrap_or(shadow.checksum);
        if let Some(place) = bytes.get_mut(at..at + ChecksumRecord::SIZE) {
            place.copy_from_slice(&shadow.to_bytes());
        }
        self.body.damage.push(Damage::Torn {
            lgpos: self.lgpos(start),
            only_in_current_log: true,
        });
        shadow
    }

    /// The log ends with the good write at `at`. After it may stand its shadow; the rest must be unused.
    fn finish(&mut self, bytes: &[u8], record: ChecksumRecord, at: usize, origin: RangeOrigin) {
        self.add(record, at, origin);
        let end = at + ChecksumRecord::SIZE + record.forwards as usize;
        let rest = end.next_multiple_of(self.sector) + self.sector;
        if rest < self.unused_from {
            let mut sectors = (rest..bytes.len()).step_by(self.sector);
            let used = |start: &usize| !is_fill_pattern(&bytes[*start..*start + self.sector]);
            let first = sectors.find(used).unwrap_or(rest);
            let lgpos = self.lgpos(first);
            self.body.damage.push(Damage::Unexpected { lgpos });
        }
    }

    /// The log ends with a torn write: keeps what is before `end`.
    fn finish_torn(&mut self, bytes: &[u8], at: usize, end: usize, origin: RangeOrigin) {
        let start = self.sector_start(at);
        self.body.damage.push(Damage::Torn {
            lgpos: self.lgpos(start),
            only_in_current_log: false,
        });
        if end > start
            && let Some(mut record) = self.plausible(bytes, at)
        {
            // The first sector of the torn write counts.
            record.forwards = (end - at - ChecksumRecord::SIZE) as u32;
            self.add(record, at, origin);
        }
    }

    /// Adds the range of a good write to the last range, or begins one.
    fn add(&mut self, record: ChecksumRecord, at: usize, origin: RangeOrigin) {
        let end = at + ChecksumRecord::SIZE + record.forwards as usize;
        let start = self.sector_start(at);
        let trusted_before = record.backwards as usize == at - start;
        match self.body.ranges.last_mut() {
            Some(range)
                if range.bytes.end == start && trusted_before && origin == RangeOrigin::Whole =>
            {
                range.bytes.end = end;
            }
            last => {
                let origin = match origin {
                    RangeOrigin::Whole if last.is_some() => RangeOrigin::Abandoned,
                    other => other,
                };
                self.body.ranges.push(TrustedRange {
                    bytes: at..end,
                    origin,
                });
            }
        }
        if !self.broken {
            self.body.end = end;
        }
    }

    /// The next write from `from` on whose checksum fits.
    fn find_write(&mut self, bytes: &[u8], from: usize) -> Option<usize> {
        let last = bytes.len().checked_sub(ChecksumRecord::SIZE)?;
        (from..=last).find(|&at| {
            let Some(record) = (bytes[at] == ChecksumRecord::TYPE)
                .then(|| self.plausible(bytes, at))
                .flatten()
            else {
                return false;
            };
            let cost = self.sector + record.forwards as usize;
            let affordable = self.search_left >= cost;
            self.search_left = self.search_left.saturating_sub(cost);
            affordable && self.range_fits(record, bytes, at)
        })
    }
}
