//! A volume of Windows with two copies. libvshadow 20190323 (`vshadowmount`) and 20260714 (`pyvshadow`) both read it as here.

use super::damaged::{Flipped, read_all};
use crate::shadow::ShadowCopies;
use crate::shadow::blocks::{IDENTIFIER, STEP};
use evidence::{LocalFile, SourceFile};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

fn volume() -> (tempfile::TempDir, Arc<LocalFile>) {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let folder = tempfile::tempdir().unwrap();
    let raw = folder.path().join("volume");
    let status = Command::new("qemu-img")
        .args(["convert", "-O", "raw"])
        .arg(shared.join("fixtures/images/vsstest.qcow2"))
        .arg(&raw)
        .status();
    assert!(status.unwrap().success());
    let volume = LocalFile::open(raw).unwrap();
    (folder, Arc::new(volume))
}

/// SHA-256 of each copy, whole, as libvshadow reads it.
const DIGESTS: [&str; 2] = [
    "c8ada35c641a68447640b250f35e623b7f619aaae26bd55a06b8d4c34ebed1da",
    "41f940d92a534dd8e940a4983d2a766bcb262373f9dc2006851e81fa3a1fa2f2",
];

fn digest(file: &dyn SourceFile, piece: usize) -> String {
    let mut digest = Sha256::new();
    let (mut at, mut buffer) = (0, vec![0; piece]);
    loop {
        let read = file.read_at(&mut buffer, at).unwrap();
        if read == 0 {
            break;
        }
        digest.update(&buffer[..read]);
        at += read as u64;
    }
    assert_eq!(at, 1 << 30);
    digest
        .finalize()
        .iter()
        .fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").unwrap();
            text
        })
}

#[test]
#[ignore = "needs files that are not shipped"]
fn every_byte_of_a_real_volume_is_what_libvshadow_reads() {
    let (_folder, volume) = volume();
    let copies = ShadowCopies::of(volume).unwrap().unwrap();
    let described: Vec<_> = (copies.copies().iter())
        .map(|copy| {
            assert_eq!(copy.problem, None);
            assert_eq!(copy.machine.as_deref(), Some("infinity"));
            assert_eq!(copy.service_machine.as_deref(), Some("infinity"));
            assert_eq!(copy.attributes, 0x0042_0009);
            assert_eq!(copy.volume_size, 1 << 30);
            let created = copy.created.to_string();
            [&created[..], &copy.store, &copy.set, &copy.id].map(str::to_owned)
        })
        .collect();
    assert_eq!(
        described,
        [
            [
                "2013-12-03T06:35:09.7363787Z",
                "600f0b69-5bdf-11e3-9d6c-005056c00008",
                "0a4e3901-6abb-48fc-95c2-6ab9e38e9e71",
                "4e3c03c2-7bc6-4288-ad96-c1eac1a55f71",
            ],
            [
                "2013-12-03T06:37:48.9190583Z",
                "600f0b6d-5bdf-11e3-9d6c-005056c00008",
                "8438a0ee-0f06-443b-ac0c-2905647ca5d6",
                "18f1ac6e-959d-436f-bdcc-e797a729e290",
            ],
        ]
    );
    std::thread::scope(|scope| {
        let copies = &copies;
        // Pieces of a size that fits no block too, of the same copy at the same time.
        for (index, piece) in [(0, 1 << 20), (1, 1 << 20), (1, 777_777)] {
            scope.spawn(move || {
                let file = copies.open(index).unwrap();
                assert_eq!(digest(file.as_ref(), piece), DIGESTS[index], "copy {index}");
            });
        }
    });
}

/// Where its structures are: the volume header, the catalog, and of each store the header, lists and bitmaps.
const STRUCTURES: [u64; 11] = [
    0x1e00,
    0x06e3_0000,
    0x3156_0000,
    0x3156_4000,
    0x3156_8000,
    0x3156_c000,
    0x06e4_0000,
    0x06e4_4000,
    0x06e4_8000,
    0x06e5_0000,
    0x06e5_4000,
];

#[test]
#[ignore = "needs files that are not shipped"]
fn flipped_bytes_of_a_real_volume_are_read_or_refused() {
    let (_folder, volume) = volume();
    for at in STRUCTURES {
        let mut start = [0; 16];
        volume.read_exact_at(&mut start, at).unwrap();
        assert_eq!(start, IDENTIFIER, "{at:#x}");
    }
    let flip = (0..STRUCTURES.len(), 0..STEP, 1..=255_u8);
    let near = (0..STRUCTURES.len(), 0..640_u64, 1..=255_u8);
    let flips = prop::collection::vec(prop_oneof![flip, near], 1..6);
    let offsets: Vec<_> = (0..1 << 30).step_by(48 << 20).collect();
    let mut runner = TestRunner::new(ProptestConfig::with_cases(500));
    runner
        .run(&flips, |flips| {
            let flips = flips.into_iter();
            let flips = flips.map(|(structure, at, byte)| (STRUCTURES[structure] + at, byte));
            let flipped = Flipped {
                volume: Arc::clone(&volume) as Arc<dyn SourceFile>,
                flips: flips.collect(),
            };
            read_all(Arc::new(flipped), &offsets);
            Ok(())
        })
        .unwrap();
}
