//! Where the clusters of an attribute lie.

use super::boot::Boot;
use evidence::wrong;
use std::io;

/// Clusters that follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    /// The first of them, as the attribute counts.
    pub(crate) vcn: u64,
    /// The first of them on the volume; none if they are not there, and read as zeros.
    pub(crate) lcn: Option<u64>,
    /// How many they are.
    pub(crate) count: u64,
}

/// Reads runs from `vcn` on. What they say in clusters, on the volume or in the file, can be said in bytes too.
pub(crate) fn read(mut bytes: &[u8], vcn: u64, boot: &Boot) -> io::Result<Vec<Run>> {
    let (mut runs, clusters) = (Vec::new(), boot.clusters);
    let (mut next, mut lcn) = (vcn, 0_i64);
    while let Some((&head, rest)) = bytes.split_first() {
        if head == 0 {
            break;
        }
        let (lengths, places) = (usize::from(head & 15), usize::from(head >> 4));
        let run = || {
            if lengths > 8 || places > 8 {
                return None;
            }
            let (length, rest) = rest.split_at_checked(lengths)?;
            let (place, rest) = rest.split_at_checked(places)?;
            let count = u64::try_from(signed(length))
                .ok()
                .filter(|count| *count > 0)?;
            let end = next.checked_add(count)?;
            Boot::length_of(end, boot.cluster)?;
            let at = match place {
                [] => None,
                place => Some(lcn.checked_add(signed(place))?),
            };
            let start = at.map(u64::try_from).transpose().ok()?;
            let is_inside = start
                .is_none_or(|start| start.checked_add(count).is_some_and(|end| end <= clusters));
            is_inside.then_some((start, count, end, rest))
        };
        let Some((start, count, end, rest)) = run() else {
            return Err(wrong(format!(
                "what a file has from its cluster {next} on is no run of a volume of {clusters} clusters: the record is damaged"
            )));
        };
        if let Some(start) = start {
            lcn = start as i64;
        }
        runs.push(Run {
            vcn: next,
            lcn: start,
            count,
        });
        next = end;
        bytes = rest;
    }
    Ok(runs)
}

fn signed(bytes: &[u8]) -> i64 {
    let is_negative = bytes.last().is_some_and(|last| last & 0x80 != 0);
    let mut number = [if is_negative { 0xff } else { 0 }; 8];
    number[..bytes.len()].copy_from_slice(bytes);
    i64::from_le_bytes(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_read_as_they_are_documented() {
        // 0x18 clusters at 0x34, 0x11 that are not there, 0x20 at 0x34 - 0x10.
        let bytes = [0x11, 0x18, 0x34, 0x01, 0x11, 0x11, 0x20, 0xf0, 0x00, 0xff];
        let boot = Boot {
            cluster: 4096,
            clusters: 0x1000,
            mft: 0,
            mirror: 0,
            record: 1024,
            index: 4096,
        };
        let runs = read(&bytes, 5, &boot).unwrap();
        let run = |vcn, lcn, count| Run { vcn, lcn, count };
        let expected = [
            run(5, Some(0x34), 0x18),
            run(0x1d, None, 0x11),
            run(0x2e, Some(0x24), 0x20),
        ];
        assert_eq!(runs, expected);
        for damaged in [
            &[0x11, 0x18][..],
            &[0x11, 0x00, 0x34],
            &[0x11, 0x18, 0x80],
            &[0x21, 0x18, 0xff, 0x7f],
            &[0x19, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1],
            &[0x11, 0x80, 0x01],
            // More clusters that are not there than any file has.
            &[0x07, 0, 0, 0, 0, 0, 0, 8],
        ] {
            assert!(read(damaged, 0, &boot).is_err(), "{damaged:x?}");
        }
    }
}
