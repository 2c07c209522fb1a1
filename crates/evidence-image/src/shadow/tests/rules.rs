//! Which block is read from where, rule by rule.

use super::craft::{
    Craft, Descriptor, FORWARDER, NOT_USED, OVERLAY, Store, block_of, byte_of, copies_of,
};
use crate::shadow::blocks::{BLOCK, STEP};
use evidence::{ReadError, ReadErrorKind};

/// Stores with these descriptors, oldest first.
fn copies(stores: &[&[Descriptor]]) -> crate::shadow::ShadowCopies {
    let mut craft = Craft::new();
    for (number, descriptors) in stores.iter().enumerate() {
        craft.store(&Store {
            created: number as u64,
            descriptors: descriptors.to_vec(),
            ..Store::default()
        });
    }
    craft.copies()
}

#[test]
fn copies_are_described_oldest_first() {
    let mut craft = Craft::new();
    for created in [20, 10, 30] {
        craft.store(&Store {
            created,
            ..Store::default()
        });
    }
    let copies = craft.copies();
    let times: Vec<_> = (copies.copies().iter())
        .map(|copy| copy.created.to_string())
        .collect();
    assert_eq!(
        times,
        [
            "2013-12-03T00:00:10Z",
            "2013-12-03T00:00:20Z",
            "2013-12-03T00:00:30Z"
        ]
    );
    let first = &copies.copies()[0];
    assert_eq!(first.store, "c2c2c2c2-c2c2-c2c2-c2c2-c2c2c2c2c2c2");
    assert_eq!(first.id, "a2a2a2a2-a2a2-a2a2-a2a2-a2a2a2a2a2a2");
    assert_eq!(first.set, "b2b2b2b2-b2b2-b2b2-b2b2-b2b2b2b2b2b2");
    assert_eq!(first.machine.as_deref(), Some("one"));
    assert_eq!(first.service_machine.as_deref(), Some("two"));
    assert_eq!(first.attributes, 0x0042_0009);
    assert_eq!(first.problem, None);
    let file = copies.open(0).unwrap();
    assert_eq!(file.name(), "memory (shadow copy 1)");
    assert_eq!(file.stamp().length, first.volume_size);
    assert_eq!(file.stamp_now().unwrap(), file.stamp());
    assert!(copies.open(3).is_err());
}

#[test]
fn entries_of_the_catalog_may_lie_in_any_order() {
    let mut craft = Craft::new();
    for created in [20, 10] {
        craft.store(&Store {
            created,
            descriptors: vec![Descriptor::saved(5, 60 + created)],
            ..Store::default()
        });
    }
    craft.entries().push(vec![0; 128]);
    craft.entries().reverse();
    let copies = craft.copies();
    assert_eq!(byte_of(&copies, 0, 5), 70);
    assert_eq!(byte_of(&copies, 1, 5), 80);
}

#[test]
fn a_volume_may_have_no_copies() {
    assert!(copies_of(Vec::new()).unwrap().is_none());
    assert!(copies_of(vec![0; 0x10000]).unwrap().is_none());
    assert!(copies_of(Craft::new().bytes()).unwrap().is_none());
    let mut bytes = Craft::new().bytes();
    bytes[0x1e30..0x1e38].fill(0);
    assert!(copies_of(bytes).unwrap().is_none());
}

#[test]
fn a_block_is_read_from_its_own_store_or_the_next_or_the_volume() {
    let copies = copies(&[
        &[Descriptor::saved(5, 70)],
        &[Descriptor::saved(5, 71), Descriptor::saved(6, 72)],
        &[Descriptor::saved(7, 73)],
    ]);
    let expected = [[70, 72, 73, 8], [71, 72, 73, 8], [5, 6, 73, 8]];
    for (index, bytes) in expected.into_iter().enumerate() {
        for (block, byte) in (5..).zip(bytes) {
            assert_eq!(byte_of(&copies, index, block), byte, "{index} {block}");
        }
    }
}

#[test]
fn reads_begin_and_end_anywhere() {
    let copies = copies(&[&[
        Descriptor::saved(5, 70),
        Descriptor::saved(6, 71),
        Descriptor::overlay(6, 80, 0b110),
    ]]);
    let file = copies.open(0).unwrap();
    let mut all = vec![0; 4 * BLOCK];
    file.read_exact_at(&mut all, 4 * STEP).unwrap();
    for (start, length) in [
        (0, 1),
        (700, 1),
        (BLOCK - 1, 2),
        (2 * BLOCK + 511, 2),
        (2 * BLOCK + 600, 100),
        (2 * BLOCK + 1000, 600),
        (5, 4 * BLOCK - 9),
        (2 * BLOCK - 3, BLOCK + 6),
    ] {
        let mut part = vec![0; length];
        let at = 4 * STEP + start as u64;
        file.read_exact_at(&mut part, at).unwrap();
        assert!(part == all[start..start + length], "{start} {length}");
    }
    let size = file.stamp().length;
    assert_eq!(file.read_at(&mut [0; 10], size - 3).unwrap(), 3);
    assert_eq!(file.read_at(&mut [0; 10], size).unwrap(), 0);
    assert_eq!(file.read_at(&mut [0; 10], u64::MAX).unwrap(), 0);
}

#[test]
fn a_moved_block_is_read_under_its_new_number_from_the_next_store() {
    let copies = copies(&[
        &[Descriptor::moved(5, 9)],
        &[Descriptor::saved(9, 70)],
        &[Descriptor::moved(6, 10)],
    ]);
    assert_eq!(byte_of(&copies, 0, 5), 70);
    // Not what a newer store says of the old number.
    assert_eq!(byte_of(&copies, 1, 5), 5);
    assert_eq!(byte_of(&copies, 1, 9), 70);
    assert_eq!(byte_of(&copies, 0, 6), 10);
    assert_eq!(byte_of(&copies, 2, 6), 10);
}

#[test]
fn what_is_saved_of_where_a_block_was_moved_to_is_that_block() {
    let copies = copies(&[&[
        Descriptor::moved(5, 9),
        Descriptor::saved(9, 70),
        Descriptor::saved(9, 71),
    ]]);
    assert_eq!(byte_of(&copies, 0, 5), 70);
    assert_eq!(byte_of(&copies, 0, 9), 71);
}

#[test]
fn a_block_is_followed_through_all_its_moves() {
    let copies = copies(&[&[Descriptor::moved(5, 9), Descriptor::moved(9, 11)]]);
    assert_eq!(byte_of(&copies, 0, 5), 11);
    assert_eq!(byte_of(&copies, 0, 9), 9);
}

#[test]
fn a_block_that_was_moved_back_is_read_if_both_places_agree() {
    let store = Store {
        descriptors: vec![Descriptor::moved(5, 9), Descriptor::moved(9, 5)],
        ..Store::default()
    };
    let mut craft = Craft::new();
    craft.store(&store);
    let error = block_of(&craft.copies(), 0, 5).unwrap_err().to_string();
    assert!(error.contains("moved back"), "{error}");
    let mut craft = Craft::new();
    craft.fill(9, 5);
    craft.store(&store);
    assert_eq!(byte_of(&craft.copies(), 0, 5), 5);
}

#[test]
fn a_block_that_was_moved_to_itself_was_not_moved() {
    let copies = copies(&[&[Descriptor::moved(5, 5)]]);
    assert_eq!(byte_of(&copies, 0, 5), 5);
}

#[test]
fn an_overlay_is_of_its_own_copy_alone() {
    let extended = Descriptor {
        relative: 1,
        store: 0,
        ..Descriptor::overlay(5, 0, 1 << 31)
    };
    let copies = copies(&[
        &[],
        &[Descriptor::overlay(5, 70, 0b11), extended],
        &[Descriptor::saved(5, 71), Descriptor::overlay(5, 72, 0b100)],
    ]);
    let sectors = |index| {
        let block = block_of(&copies, index, 5).unwrap();
        let sectors = block.chunks(512).map(|sector| {
            assert!(sector.iter().all(|byte| *byte == sector[0]));
            sector[0]
        });
        sectors.collect::<Vec<_>>()
    };
    assert_eq!(sectors(0), [71; 32]);
    let mut second = [71; 32];
    (second[0], second[1], second[31]) = (70, 70, 70);
    assert_eq!(sectors(1), second);
    let mut third = [71; 32];
    third[2] = 72;
    assert_eq!(sectors(2), third);
}

#[test]
fn an_overlay_stays_when_its_block_is_saved_or_moved() {
    for descriptor in [Descriptor::saved(5, 71), Descriptor::moved(5, 71)] {
        let overlay = Descriptor::overlay(5, 70, 1);
        for pair in [[overlay, descriptor], [descriptor, overlay]] {
            let copies = copies(&[&pair]);
            let block = block_of(&copies, 0, 5).unwrap();
            assert!(block[..512].iter().all(|byte| *byte == 70));
            assert!(block[512..].iter().all(|byte| *byte == 71));
        }
    }
}

#[test]
fn descriptors_that_are_not_used_say_nothing() {
    for flags in [0, FORWARDER, OVERLAY] {
        let unused = Descriptor {
            flags: flags | NOT_USED,
            sectors: 1,
            ..Descriptor::saved(5, 70)
        };
        assert_eq!(byte_of(&copies(&[&[unused]]), 0, 5), 5);
    }
    // Not even if they are of no block.
    let unused = Descriptor {
        original: 1,
        flags: NOT_USED,
        ..Descriptor::saved(5, 70)
    };
    assert_eq!(byte_of(&copies(&[&[unused]]), 0, 5), 5);
}

#[test]
fn blocks_that_were_not_in_use_are_zeros_in_the_newest_copy() {
    let mut craft = Craft::new();
    craft.store(&Store {
        created: 1,
        unused: vec![5],
        ..Store::default()
    });
    craft.store(&Store {
        created: 2,
        unused: vec![5, 6, 7, 8],
        unused_before: Some(vec![5, 7, 8]),
        descriptors: vec![Descriptor::moved(9, 7), Descriptor::saved(8, 70)],
        ..Store::default()
    });
    let copies = craft.copies();
    assert_eq!(byte_of(&copies, 1, 5), 0);
    // In use before, or known otherwise.
    assert_eq!(byte_of(&copies, 1, 6), 6);
    assert_eq!(byte_of(&copies, 1, 7), 7);
    assert_eq!(byte_of(&copies, 1, 8), 70);
    // Of older copies it is not asked.
    assert_eq!(byte_of(&copies, 0, 5), 5);
}

#[test]
fn lists_go_on_from_block_to_block() {
    // 508 descriptors fit into a block.
    let mut list = vec![Descriptor::saved(5, 70); 508];
    list.push(Descriptor::saved(5, 71));
    list.push(Descriptor::saved(6, 72));
    let copies = copies(&[&list]);
    assert_eq!(byte_of(&copies, 0, 5), 71);
    assert_eq!(byte_of(&copies, 0, 6), 72);
}

#[test]
fn a_copy_may_be_of_a_smaller_or_a_larger_volume() {
    let mut craft = Craft::new();
    let whole = craft.bytes.len() as u64;
    for (created, size) in [(1, 10 * STEP + 512), (2, whole + STEP)] {
        craft.store(&Store {
            created,
            size,
            ..Store::default()
        });
    }
    let copies = craft.copies();
    let file = copies.open(0).unwrap();
    let mut block = [0; BLOCK];
    assert_eq!(file.read_at(&mut block, 10 * STEP).unwrap(), 512);
    assert!(block[..512].iter().all(|byte| *byte == 10));
    let file = copies.open(1).unwrap();
    let error = file.read_exact_at(&mut block, whole - 512).unwrap_err();
    assert_eq!(ReadError::from_io(&error).kind, ReadErrorKind::Permanent);
    // Beyond its bitmap, or beyond the volume.
    let error = error.to_string();
    assert!(error.contains("bytes should be at offset"), "{error}");
}
