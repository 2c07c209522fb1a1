//! What is known about whether logs were complete when they came, kept in the state of a copy.
//!
//! A log is held against the one after it when it is inspected, or when that one comes ([`crate::inspect`]). The result
//! is worth keeping: once a log was replayed and deleted, nothing else shows whether its end may have been missing.

use ese_format::Generation;
use ese_log::chain::Proof;
use serde::{Deserialize, Serialize};

/// Logs that follow each other and of which the same is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProvedRange {
    /// The first generation.
    pub first: Generation,
    /// The last one.
    pub last: Generation,
    /// What shows that they are whole: `next_header`, `full`, `not_proved` or `none`, as in `logchain verify --json`.
    pub proof: String,
    /// Why they are not proved complete, if so.
    pub because: Option<String>,
}

impl ProvedRange {
    /// Their generations: `7 (0x7)`, `7-9 (0x7-0x9)`.
    pub fn span(&self) -> String {
        let (first, last) = (self.first, self.last);
        match first == last {
            true => format!("{first} ({first:#x})"),
            false => format!("{first}-{last} ({first:#x}-{last:#x})"),
        }
    }
}

/// What is known of the logs that came to a copy, in ascending order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Proofs(Vec<ProvedRange>);

impl Proofs {
    /// All of it.
    pub fn ranges(&self) -> &[ProvedRange] {
        &self.0
    }

    /// Logs that nothing proves complete, though a log came after them.
    pub fn not_proved(&self) -> impl Iterator<Item = &ProvedRange> {
        self.0.iter().filter(|range| range.because.is_some())
    }

    /// Enters what was found of one log. That no log came after it yet changes nothing that is known.
    pub(crate) fn enter(&mut self, generation: Generation, proof: &Proof) {
        let mut ranges = self.0.iter();
        let known = ranges.any(|range| (range.first..=range.last).contains(&generation));
        if known && *proof == Proof::None {
            return;
        }
        self.take_out(generation, generation);
        self.0.push(ProvedRange {
            first: generation,
            last: generation,
            proof: proof.name().to_owned(),
            because: matches!(proof, Proof::NotProved(_)).then(|| proof.to_string()),
        });
        self.merge();
    }

    /// Forgets logs that the source has written anew.
    pub(crate) fn forget_from(&mut self, first: Generation) {
        self.take_out(first, Generation(u32::MAX));
    }

    /// Forgets logs up to this one that are gone and were proved. What is doubtful stays: the database holds it.
    pub(crate) fn forget_proved_through(&mut self, last: Generation) {
        self.0
            .retain(|range| range.last > last || range.because.is_some());
    }

    fn take_out(&mut self, first: Generation, last: Generation) {
        let before = first.previous();
        let after = last.next();
        let parts = |range: ProvedRange| {
            let left = (range.first < first).then(|| ProvedRange {
                last: range.last.min(before),
                ..range.clone()
            });
            let right = (range.last > last).then(|| ProvedRange {
                first: range.first.max(after),
                ..range
            });
            left.into_iter().chain(right)
        };
        self.0 = std::mem::take(&mut self.0)
            .into_iter()
            .flat_map(parts)
            .collect();
    }

    fn merge(&mut self) {
        self.0.sort_by_key(|range| range.first);
        let mut merged: Vec<ProvedRange> = Vec::with_capacity(self.0.len());
        for range in std::mem::take(&mut self.0) {
            match merged.last_mut() {
                Some(before)
                    if before.last.0.checked_add(1) == Some(range.first.0)
                        && before.proof == range.proof
                        && before.because == range.because =>
                {
                    before.last = range.last;
                }
                _ => merged.push(range),
            }
        }
        self.0 = merged;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ese_format::RecordType;
    use ese_log::chain::Unproved;

    #[test]
    fn what_is_known_is_kept_in_ranges_and_doubts_stay() {
        let mut proofs = Proofs::default();
        let doubt = Proof::NotProved(Unproved::Restart(RecordType::Init2));
        let enter = |proofs: &mut Proofs, at: u32, proof: &Proof| {
            proofs.enter(Generation(at), proof);
        };
        (1..=9).for_each(|at| enter(&mut proofs, at, &Proof::Full));
        enter(&mut proofs, 4, &doubt);
        enter(&mut proofs, 4, &Proof::None);
        enter(&mut proofs, 10, &Proof::None);
        let seen = |proofs: &Proofs| -> Vec<(u32, u32, String)> {
            let ranges = proofs.ranges().iter();
            ranges
                .map(|range| (range.first.0, range.last.0, range.proof.clone()))
                .collect()
        };
        let all = [
            (1, 3, "full".to_owned()),
            (4, 4, "not_proved".to_owned()),
            (5, 9, "full".to_owned()),
            (10, 10, "none".to_owned()),
        ];
        assert_eq!(seen(&proofs), all);
        proofs.forget_from(Generation(8));
        proofs.forget_proved_through(Generation(5));
        assert_eq!(seen(&proofs), [all[1].clone(), (5, 7, "full".to_owned())]);
        assert_eq!(proofs.not_proved().count(), 1);
    }
}
