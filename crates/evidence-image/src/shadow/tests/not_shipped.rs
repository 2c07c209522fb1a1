//! A volume of Windows with two copies. libvshadow 20190323 (`vshadowmount`) and 20260714 (`pyvshadow`) both read it as here.

use crate::shadow::ShadowCopies;
use evidence::{LocalFile, SourceFile};
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

pub(super) fn image() -> (tempfile::TempDir, Vec<u8>) {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let folder = tempfile::tempdir().unwrap();
    let raw = folder.path().join("volume");
    let status = Command::new("qemu-img")
        .args(["convert", "-O", "raw"])
        .arg(shared.join("fixtures/images/vsstest.qcow2"))
        .arg(&raw)
        .status();
    assert!(status.unwrap().success());
    let bytes = Vec::new();
    (folder, bytes)
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
    let (folder, _) = image();
    let volume = LocalFile::open(folder.path().join("volume")).unwrap();
    let copies = ShadowCopies::of(Arc::new(volume)).unwrap().unwrap();
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
