//! Which segments of a version 8.4000 log hold records, and what is wrong with the others.
//!
//! The rules are those of `LOG_READ_BUFFER::ErrLGCheckReadLastLogRecordFF` (`ese/_log/logread.cxx`), except that the
//! engine stops at the first segment it cannot use and we go on:
//!
//! - a segment whose checksum fits its number and that names its own position is good;
//! - blank segments, segments of an older life of the file (lower position) and the shadow of the segment before mark
//!   the end: nothing valid may follow;
//! - a bad segment is replaced by its shadow if that is after it;
//! - everything else is damage. The last segment of a file is only ever a shadow.

use crate::image::{Body, Damage, RangeOrigin, TrustedRange, position};
use ese_checksum::correct;
use ese_format::Lgpos;
use ese_format::log::{LogHeader, SEGMENT_SIZE, SegmentCheck, SegmentHeader, check_segment};

/// What is at the place of a segment.
enum SegmentState {
    Good { checksum: u64 },
    End,
    Bad(Damage),
}

/// Examines the body of a log; corrects `bytes` where they can be corrected.
pub(crate) fn examine(bytes: &mut [u8], header: &LogHeader) -> Body {
    let mut survey = Survey {
        header,
        body: Body::default(),
        ends: Vec::new(),
        broken: false,
    };
    let count = usize::from(header.file_sectors);
    survey.body.end = SEGMENT_SIZE;
    for number in 1..count.saturating_sub(1) {
        let start = number * SEGMENT_SIZE;
        if bytes.len() < start + SEGMENT_SIZE {
            survey.cut_off(start.min(bytes.len()), count * SEGMENT_SIZE);
            break;
        }
        survey.visit(bytes, number);
    }
    survey.body.damage.sort_by_key(Damage::lgpos);
    survey.body
}

struct Survey<'a> {
    header: &'a LogHeader,
    body: Body,
    /// Segments passed that mark the end, since the last good one.
    ends: Vec<Lgpos>,
    /// Something unusable has been passed: the engine would have stopped there.
    broken: bool,
}

impl Survey<'_> {
    fn visit(&mut self, bytes: &mut [u8], number: usize) {
        let lgpos = position(self.header, number * SEGMENT_SIZE);
        match self.judge(bytes, number, lgpos) {
            SegmentState::Good { checksum } => {
                if !self.ends.is_empty() {
                    // What looked like the end was not: the segments there have been lost.
                    self.broken = true;
                    let lost = self.ends.drain(..);
                    self.body
                        .damage
                        .extend(lost.map(|lgpos| Damage::Blank { lgpos }));
                }
                self.add(number);
                if !self.broken {
                    self.body.accumulated_checksum ^= checksum;
                    self.body.end = (number + 1) * SEGMENT_SIZE;
                }
            }
            SegmentState::End => self.ends.push(lgpos),
            SegmentState::Bad(damage) => {
                self.broken = true;
                self.body.damage.push(damage);
            }
        }
    }

    fn judge(&mut self, bytes: &mut [u8], number: usize, lgpos: Lgpos) -> SegmentState {
        match check_segment(segment(bytes, number), number as u32) {
            SegmentCheck::Good => {}
            SegmentCheck::Correctable { bit } => {
                correct(segment_mut(bytes, number), &[bit]);
                self.body.damage.push(Damage::Corrected { lgpos, bit });
            }
            SegmentCheck::Blank => return self.blank(bytes, number, lgpos),
            SegmentCheck::Bad { stored, computed } => {
                if number > 1
                    && check_segment(segment(bytes, number), number as u32 - 1).is_usable()
                {
                    return SegmentState::End;
                }
                let damage = Damage::Checksum {
                    lgpos,
                    bytes: SEGMENT_SIZE as u64,
                    stored,
                    computed,
                };
                return self.shadow_or(bytes, number, lgpos, damage);
            }
        }
        let Ok(found) = SegmentHeader::read(segment(bytes, number), 0) else {
            return SegmentState::End;
        };
        if found.lgpos < lgpos {
            SegmentState::End
        } else if found.lgpos > lgpos {
            let found = found.lgpos;
            SegmentState::Bad(Damage::Misplaced { lgpos, found })
        } else {
            let checksum = found.checksum;
            SegmentState::Good { checksum }
        }
    }

    /// A blank segment: the end, unless its shadow shows that it was written. Where logs are filled with zeroes the
    /// engine does not look at the shadow (`ErrLGCheckReadLastLogRecordFF` with `FLGVersionZeroFilled`,
    /// `ese/_log/logread.cxx`): it is said, but nothing stands in.
    fn blank(&mut self, bytes: &mut [u8], number: usize, lgpos: Lgpos) -> SegmentState {
        if self.header.version.fills_with_zeroes() {
            if self.ends.is_empty() && is_shadow(segment(bytes, number + 1), number, lgpos) {
                self.body.damage.push(Damage::LastWriteLost { lgpos });
            }
            return SegmentState::End;
        }
        self.shadow_or(bytes, number, lgpos, Damage::Blank { lgpos })
    }

    /// Puts the shadow after segment `number` in its place, or gives up with `damage`.
    fn shadow_or(
        &mut self,
        bytes: &mut [u8],
        number: usize,
        lgpos: Lgpos,
        damage: Damage,
    ) -> SegmentState {
        let start = number * SEGMENT_SIZE;
        let Some(mut shadow) = bytes
            .get(start + SEGMENT_SIZE..start + 2 * SEGMENT_SIZE)
            .map(<[u8]>::to_vec)
            .filter(|_| self.ends.is_empty())
        else {
            return SegmentState::Bad(damage);
        };
        match check_segment(&shadow, number as u32) {
            SegmentCheck::Good => {}
            SegmentCheck::Correctable { bit } => correct(&mut shadow, &[bit]),
            SegmentCheck::Blank | SegmentCheck::Bad { .. } => return SegmentState::Bad(damage),
        }
        match SegmentHeader::read(&shadow, 0) {
            Ok(found) if found.lgpos == lgpos => {
                segment_mut(bytes, number).copy_from_slice(&shadow);
                self.body.damage.push(Damage::Torn {
                    lgpos,
                    only_in_current_log: false,
                });
                let checksum = found.checksum;
                SegmentState::Good { checksum }
            }
            _ => SegmentState::Bad(damage),
        }
    }

    /// Adds segment `number` to the last range, or begins one.
    fn add(&mut self, number: usize) {
        let start = number * SEGMENT_SIZE;
        let end = start + SEGMENT_SIZE;
        match self.body.ranges.last_mut() {
            Some(range) if range.bytes.end == start => range.bytes.end = end,
            _ => self.body.ranges.push(TrustedRange {
                bytes: start..end,
                origin: if number == 1 {
                    RangeOrigin::Whole
                } else {
                    RangeOrigin::Damage
                },
            }),
        }
    }

    fn cut_off(&mut self, have: usize, need: usize) {
        self.body.damage.push(Damage::CutOff {
            lgpos: position(self.header, have),
            bytes: (need - have) as u64,
        });
    }
}

/// Whether `behind` is an intact shadow of segment `number`, written at `lgpos`.
fn is_shadow(behind: &[u8], number: usize, lgpos: Lgpos) -> bool {
    check_segment(behind, number as u32).is_usable()
        && SegmentHeader::read(behind, 0).is_ok_and(|header| header.lgpos == lgpos)
}

fn segment(bytes: &[u8], number: usize) -> &[u8] {
    let start = number * SEGMENT_SIZE;
    bytes.get(start..start + SEGMENT_SIZE).unwrap_or(&[])
}

fn segment_mut(bytes: &mut [u8], number: usize) -> &mut [u8] {
    let start = number * SEGMENT_SIZE;
    bytes
        .get_mut(start..start + SEGMENT_SIZE)
        .unwrap_or(&mut [])
}
