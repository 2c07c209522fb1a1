//! Bytes as a script of edits to a list of units: the pages of a database, the records of a log.
//!
//! ```text
//! 0        1           3         5       8
//! | what   | unit u16  | at u16  | value | next edit ...
//! ```
//!
//! `unit` and `at` are taken modulo what there is, so that every script does something. What is at the end of a
//! unit steers as much as what is at its start (tags of a page): edits of odd numbers count `at` from the end.

/// Bytes of one edit.
pub const EDIT: usize = 8;

/// Most edits of a script that are carried out.
const MOST: usize = 256;

/// Edits `units`. Units keep their size unless `resize`; their number changes only then, too.
pub fn run(script: &[u8], units: &mut Vec<Vec<u8>>, resize: bool) {
    for edit in script.as_chunks::<EDIT>().0.iter().take(MOST) {
        apply(edit, units, resize);
    }
}

fn apply(edit: &[u8; EDIT], units: &mut Vec<Vec<u8>>, resize: bool) {
    let [what, unit_low, unit_high, at_low, at_high, value @ ..] = *edit;
    let Some(index) =
        usize::from(u16::from_le_bytes([unit_low, unit_high])).checked_rem(units.len())
    else {
        return;
    };
    let at = usize::from(u16::from_le_bytes([at_low, at_high]));
    let unit = &mut units[index];
    let Some(mut at) = at.checked_rem(unit.len()) else {
        return;
    };
    if what & 1 == 1 {
        at = unit.len() - 1 - at;
    }
    match what >> 1 & 7 {
        0 => put(unit, at, &value[..1]),
        1 => put(unit, at, &value[..2]),
        2 => put(unit, at, &[value[0], value[1], value[2], 0]),
        3 => put(unit, at, &[0xff; 8][..1 + usize::from(value[0] & 7)]),
        4 => {
            let end = (at + usize::from(u16::from_le_bytes([value[0], value[1]]))).min(unit.len());
            unit[at..end].fill(value[2]);
        }
        5 => {
            let from = usize::from(u16::from_le_bytes([value[0], value[1]])) % unit.len();
            let length = usize::from(value[2]).min(unit.len() - from.max(at));
            unit.copy_within(from..from + length, at);
        }
        6 => {
            let other = usize::from(u16::from_le_bytes([value[0], value[1]])) % units.len();
            match resize {
                true => units.swap(index, other),
                false => {
                    let copy = units[other].clone();
                    put(&mut units[index], 0, &copy);
                }
            }
        }
        _ if !resize => unit[at] ^= value[0],
        _ => match value[0] & 3 {
            0 => unit.truncate(at),
            1 => drop(units.remove(index)),
            2 => unit.splice(at..at, [value[1]; 4]).for_each(drop),
            _ => {
                let copy = unit.clone();
                units.insert(index, copy);
            }
        },
    }
}

fn put(unit: &mut [u8], at: usize, bytes: &[u8]) {
    for (place, byte) in unit[at..].iter_mut().zip(bytes) {
        *place = *byte;
    }
}
