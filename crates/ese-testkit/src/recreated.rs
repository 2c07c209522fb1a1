//! A stream in which a database is created, detached, deleted, and created again under the same path.
//!
//! The stream of a clean engine-made set is written several times over, one after the other: each life of the database
//! has the same records, its own signature, and its own generations.

use crate::growing::accumulated;
use crate::logs::{ATTACH_LIST, records_of, write_segments};
use byteorder::{ByteOrder, LittleEndian};
use ese_format::LogTime;
use ese_format::log::LogHeader;
use ese_format::record::RecordType;
use ese_log::{LogImage, StreamFiles};
use std::fs;
use std::path::Path;

/// Where the first entry of an attach list keeps the place of the attach and the random number of the signature.
const ATTACH_GENERATION: usize = ATTACH_LIST.start + 20 + 4;
const ATTACH_RANDOM: usize = ATTACH_LIST.start + 36;
/// Where a record that creates a database keeps the random number of its signature.
const CREATE_RANDOM: usize = 12;

/// Writes the stream of the clean set in `state` to the empty folder `to`, once for each of `lives`, whose signatures
/// have these random numbers. Gives the last generation of each life.
pub fn write(state: &Path, to: &Path, lives: &[u32]) -> Vec<u32> {
    let files = StreamFiles::find(state, None).expect("a stream");
    let images = files
        .in_order()
        .map(|file| LogImage::read(&file.path).expect("a log in order"));
    let images: Vec<LogImage> = images.collect();
    let mut before: Option<(LogTime, u64)> = None;
    let mut written: Vec<Vec<u8>> = Vec::new();
    let mut ends = Vec::new();
    for &random in lives {
        let offset = written.len() as u32;
        for image in &images {
            let mut header = image.bytes.clone();
            let generation = written.len() as u32 + 1;
            LittleEndian::write_u32(&mut header[4..], generation);
            let (created, sum) = before.unwrap_or_default();
            header[24..32].copy_from_slice(&created.0);
            LittleEndian::write_u64(&mut header[653..], sum);
            if header[ATTACH_LIST.start] != 0 {
                let place = &mut header[ATTACH_GENERATION..ATTACH_GENERATION + 4];
                let number = u32::from_le_bytes([place[0], place[1], place[2], place[3]]);
                place.copy_from_slice(&(number + offset).to_le_bytes());
                LittleEndian::write_u32(&mut header[ATTACH_RANDOM..], random);
            }
            let mut records = records_of(image);
            for record in &mut records {
                if record[0] == RecordType::CreateDb.number() {
                    LittleEndian::write_u32(&mut record[CREATE_RANDOM..], random);
                }
            }
            let log = write_segments(&header, &records);
            let fields = LogHeader::read(&log).expect("a whole header");
            before = Some((fields.as_read().created, accumulated(&log)));
            written.push(log);
        }
        ends.push(written.len() as u32);
    }
    let last = written.len();
    for (number, log) in (1..).zip(written) {
        let name = match number == last {
            true => "edb.log".to_owned(),
            false => format!("edb{number:05X}.log"),
        };
        fs::write(to.join(name), log).expect("the folder is writable");
    }
    ends
}
