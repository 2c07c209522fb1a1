//! Headers of databases, logs, checkpoints and flush maps.

use super::choice;
use crate::seeds;
use ese_format::FileKind;
use ese_format::database::{HeaderCopies, HeaderDump, looks_like_database};

use ese_format::log::{CheckpointFile, LogHeader, checkpoint_text, log_header_text};
use ese_testkit::logs::seal_header;

/// A seed edited by the rest of the bytes; odd choices leave the checksum wrong.
fn edited(seed: &[u8], bytes: &[u8]) -> Vec<u8> {
    let (choice, script) = choice(bytes);
    let mut units = vec![seed.to_vec()];
    crate::script::run(script, &mut units, choice & 2 == 2);
    let mut edited = units.concat();
    if choice & 1 == 0 {
        for copy in edited.chunks_exact_mut(4096) {
            seal_header(copy);
        }
    }
    edited
}

/// Both copies of a database header.
pub(crate) fn database(bytes: &[u8]) {
    let seed = seeds::database();
    for start in [edited(&seed.pages[..2].concat(), bytes), bytes.to_vec()] {
        FileKind::detect(&start);
        looks_like_database(&start);
        let copies = HeaderCopies::read(&start);
        let _ = serde_json::to_string(&copies);
        for copy in [&copies.primary, &copies.shadow] {
            let _ = HeaderDump(copy).to_string();
        }
    }
}

/// A log header, which is read as a checkpoint, too.
pub(crate) fn log(bytes: &[u8]) {
    let seed = &seeds::logs()[0].bytes[..4096];
    for start in [edited(seed, bytes), bytes.to_vec()] {
        FileKind::detect(&start);
        if let Ok(header) = LogHeader::read(&start) {
            let header = header.as_read();
            let _ = (header.check().is_ok(), header.file_size());
            let _ = serde_json::to_string(header);
            log_header_text(header, None);
        }
        let copies = CheckpointFile::read(&start);
        if let Ok((checkpoint, _)) = copies.current() {
            checkpoint_text(checkpoint);
        }
    }
}
