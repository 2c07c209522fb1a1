//! Volumes with shadow copies, as Windows would leave them: what was there before is saved behind the file system.

/// Bytes that are saved together.
const BLOCK: usize = 0x4000;
const HEADER: usize = 128;
/// What each block of the service begins with.
const IDENTIFIER: [u8; 16] = [
    0x6b, 0x87, 0x08, 0x38, 0x76, 0xc1, 0x48, 0x4e, 0xb7, 0xae, 0x04, 0x04, 0x6e, 0x6c, 0xc7, 0x52,
];
/// Steps of 100 ns between 1601 and 1970.
const EPOCH: u64 = 116_444_736_000_000_000;

struct Volume {
    bytes: Vec<u8>,
}

impl Volume {
    /// A new block at the end.
    fn add(&mut self, block: &[u8]) -> u64 {
        let at = self.bytes.len() as u64;
        self.bytes.extend_from_slice(block);
        self.bytes
            .resize(self.bytes.len().next_multiple_of(BLOCK), 0);
        at
    }

    /// Blocks that follow each other, each of which says where the next one is.
    fn chain(&mut self, kind: u32, body: &[u8], size: u64) -> u64 {
        let parts: Vec<_> = body.chunks(BLOCK - HEADER).collect();
        let first = self.bytes.len() as u64;
        for (number, part) in parts.iter().enumerate() {
            let at = first + (number * BLOCK) as u64;
            let next = if number + 1 < parts.len() {
                at + BLOCK as u64
            } else {
                0
            };
            let mut block = header(kind, at, next);
            block[48..56].copy_from_slice(&size.to_le_bytes());
            block.extend_from_slice(part);
            self.add(&block);
        }
        first
    }
}

fn header(kind: u32, at: u64, next: u64) -> Vec<u8> {
    let mut header = vec![0; HEADER];
    header[..16].copy_from_slice(&IDENTIFIER);
    header[16..20].copy_from_slice(&1_u32.to_le_bytes());
    header[20..24].copy_from_slice(&kind.to_le_bytes());
    header[32..40].copy_from_slice(&at.to_le_bytes());
    header[40..48].copy_from_slice(&next.to_le_bytes());
    header
}

fn entry(kind: u64, first: u64, store: [u8; 16], fields: &[(usize, u64)]) -> Vec<u8> {
    let mut entry = vec![0; 128];
    entry[..8].copy_from_slice(&kind.to_le_bytes());
    entry[8..16].copy_from_slice(&first.to_le_bytes());
    entry[16..32].copy_from_slice(&store);
    for (at, value) in fields {
        entry[*at..*at + 8].copy_from_slice(&value.to_le_bytes());
    }
    entry
}

/// The volume `today` with copies of what it was: at which second since 1970 each was made, and its bytes then; the oldest first.
/// All have the same length. What copies need lies behind the file system.
///
/// # Panics
///
/// If the lengths differ.
pub fn with_copies(today: &[u8], copies: &[(u64, &[u8])]) -> Vec<u8> {
    let mut volume = Volume {
        bytes: today.to_vec(),
    };
    volume.add(&[]);
    let mut stores = Vec::new();
    for (number, (_, then)) in copies.iter().enumerate() {
        assert_eq!(then.len(), today.len(), "a volume does not grow");
        // What is the same in the next copy is read there.
        let next = copies.get(number + 1).map_or(today, |(_, next)| next);
        let mut list = Vec::new();
        let blocks = then.chunks(BLOCK).zip(next.chunks(BLOCK)).enumerate();
        for (block, (then, _)) in blocks.filter(|(_, (then, next))| then != next) {
            let saved = volume.add(then);
            for value in [(block * BLOCK) as u64, 0x4000, saved, 0] {
                list.extend_from_slice(&value.to_le_bytes());
            }
        }
        list.resize(list.len().max(32), 0);
        stores.push(volume.chain(3, &list, 0));
    }
    let mut catalog = Vec::new();
    // Twice what is there is more than the structures of all copies need.
    let length = (volume.bytes.len() * 2).next_multiple_of(BLOCK);
    for (number, ((second, _), list)) in (0_u8..).zip(copies.iter().zip(&stores)) {
        let mut information = vec![0; 64];
        information[16..32].fill(0xa0 + number);
        information[32..48].fill(0xb0 + number);
        information[56..60].copy_from_slice(&0x0042_0009_u32.to_le_bytes());
        information.resize(68, 0);
        let place = volume.chain(4, &information, 100);
        let bitmap = volume.chain(6, &vec![0; (length / BLOCK).div_ceil(8)], 0);
        let store = [0xc0 + number; 16];
        let created = EPOCH + second * 10_000_000;
        catalog.extend(entry(2, length as u64, store, &[(48, created)]));
        catalog.extend(entry(3, *list, store, &[(32, place), (48, bitmap)]));
    }
    let catalog = volume.chain(2, &catalog, 0);
    let mut start = header(1, 0x1e00, 0);
    start[48..56].copy_from_slice(&catalog.to_le_bytes());
    volume.bytes[0x1e00..][..HEADER].copy_from_slice(&start);
    assert!(volume.bytes.len() <= length);
    volume.bytes.resize(length, 0);
    volume.bytes
}
