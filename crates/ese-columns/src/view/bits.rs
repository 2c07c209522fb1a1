//! BITS, the Background Intelligent Transfer Service of Windows 10 and later: `qmgr.db`.
//!
//! A job or a file is one blob. It begins and ends with a GUID that says what it is. Numbers have their low byte first; a text is
//! its length in characters of UTF-16, the NUL at its end included, and those characters.
//!
//! ```text
//! job   GUID {E10956A1-AF43-42C9-92E6-6F9856EBA7F6}
//!       u32 type, priority, state, unknown; GUID of the job
//!       text name, description, program and its parameters (run when the job is done), SID of the owner
//!       flags, and what the owner's token is made from
//!       GUID {7756DA36-516F-435A-ACAC-44A248FFF34D}; u32 number of files; their GUIDs; that GUID again
//!       u32 number of errors (0, or another layout follows), of passing errors; u32 retry delay, timeout in seconds
//!       FILETIME created, modified, unknown; 14 bytes; FILETIME unknown, expires; what is not known
//! file  GUID {519ECFE4-D946-4397-B73E-268513051AB2}
//!       text path, URL, path until it is complete; u64 bytes, twice; what is not known
//! ```
//!
//! What proves it are the two databases in `testdata/real`: the GUID of a job is its row's `Id`, those of its files are the `Id`s
//! of rows in `Files`; a job expires 90 days after it was modified, which is the documented default. The jobs run no program;
//! that it comes third, and its parameters fourth, is what the published parsers of the older `qmgr0.dat` agree on. Which of
//! the two numbers of bytes is the total cannot be told from files that are complete: there is one only where they are equal.

use super::{ColumnView, Explained, Meaning, forms};
use crate::cell::guid;
use byteorder::{ByteOrder, LittleEndian};
use ese_db::{Catalog, Column, ColumnType, Database, Value};

pub(super) fn views(_: &Database, catalog: &Catalog) -> Option<Vec<Explained>> {
    if !forms::has_all(catalog, &["Jobs", "Files"]) {
        return None;
    }
    Some(vec![
        Explained::new(
            |table, column| table.name == "Jobs" && is_blob(column),
            vec![
                ColumnView::text("name", |value| job(value)?.name),
                ColumnView::text("description", |value| job(value)?.description),
                ColumnView::text("program", |value| job(value)?.program),
                ColumnView::text("parameters", |value| job(value)?.parameters),
                ColumnView::text("owner", |value| job(value)?.owner),
                ColumnView::text("type", |value| known(&TYPES, job(value)?.kind)),
                ColumnView::text("priority", |value| known(&PRIORITIES, job(value)?.priority)),
                ColumnView::text("state", |value| known(&STATES, job(value)?.state)),
                ColumnView::text("files", |value| job(value)?.files()),
                ColumnView::filetime("created", |value| Some(job(value)?.times?.created)),
                ColumnView::filetime("modified", |value| Some(job(value)?.times?.modified)),
                ColumnView::filetime("expires", |value| Some(job(value)?.times?.expires)),
            ],
        ),
        Explained::new(
            |table, column| table.name == "Files" && is_blob(column),
            vec![
                ColumnView::text("path", |value| file(value)?.path),
                ColumnView::text("url", |value| file(value)?.url),
                ColumnView::text("temporary", |value| file(value)?.temporary),
                ColumnView::new("bytes", Meaning::Number(|value| file(value)?.bytes)),
            ],
        ),
    ])
}

fn is_blob(column: &Column) -> bool {
    column.name == "Blob" && column.column_type == ColumnType::LongBinary
}

const JOB: [u8; 16] = [
    0xa1, 0x56, 0x09, 0xe1, 0x43, 0xaf, 0xc9, 0x42, 0x92, 0xe6, 0x6f, 0x98, 0x56, 0xeb, 0xa7, 0xf6,
];
const FILE: [u8; 16] = [
    0xe4, 0xcf, 0x9e, 0x51, 0x46, 0xd9, 0x97, 0x43, 0xb7, 0x3e, 0x26, 0x85, 0x13, 0x05, 0x1a, 0xb2,
];
/// Before and after the list of a job's files.
const LIST: [u8; 16] = [
    0x36, 0xda, 0x56, 0x77, 0x6f, 0x51, 0x5a, 0x43, 0xac, 0xac, 0x44, 0xa2, 0x48, 0xff, 0xf3, 0x4d,
];

// As the interfaces of BITS count them (BG_JOB_TYPE, BG_JOB_PRIORITY, BG_JOB_STATE).
const TYPES: [&str; 3] = ["download", "upload", "upload and reply"];
const PRIORITIES: [&str; 4] = ["foreground", "high", "normal", "low"];
const STATES: [&str; 9] = [
    "queued",
    "connecting",
    "transferring",
    "suspended",
    "error",
    "transient error",
    "transferred",
    "acknowledged",
    "cancelled",
];

fn known(names: &[&str], number: u32) -> Option<String> {
    let name = names.get(usize::try_from(number).ok()?)?;
    Some((*name).to_owned())
}

struct Job {
    kind: u32,
    priority: u32,
    state: u32,
    name: Option<String>,
    description: Option<String>,
    program: Option<String>,
    parameters: Option<String>,
    owner: Option<String>,
    files: Option<Vec<[u8; 16]>>,
    times: Option<Times>,
}

struct Times {
    created: i64,
    modified: i64,
    expires: i64,
}

struct File {
    path: Option<String>,
    url: Option<String>,
    temporary: Option<String>,
    bytes: Option<u64>,
}

impl Job {
    fn files(&self) -> Option<String> {
        let files: Vec<String> = self.files.as_ref()?.iter().map(|id| guid(*id)).collect();
        (!files.is_empty()).then(|| files.join(", "))
    }
}

fn job(value: &Value<'_>) -> Option<Job> {
    let mut rest = inside(value, JOB)?;
    let [kind, priority, state] = [rest.u32()?, rest.u32()?, rest.u32()?];
    rest.skip(4 + 16)?;
    let [name, description, program, parameters, owner] = [
        rest.text()?,
        rest.text()?,
        rest.text()?,
        rest.text()?,
        rest.text()?,
    ];
    let files = rest.files();
    let times = files.is_some().then(|| rest.times()).flatten();
    Some(Job {
        kind,
        priority,
        state,
        name: filled(name),
        description: filled(description),
        program: filled(program),
        parameters: filled(parameters),
        owner: filled(owner),
        files,
        times,
    })
}

fn file(value: &Value<'_>) -> Option<File> {
    let mut rest = inside(value, FILE)?;
    let [path, url, temporary] = [rest.text()?, rest.text()?, rest.text()?];
    let [one, other] = [rest.u64()?, rest.u64()?];
    Some(File {
        path: filled(path),
        url: filled(url),
        temporary: filled(temporary),
        bytes: (one == other).then_some(one),
    })
}

/// What is between the GUIDs with which a blob begins and ends.
fn inside<'v>(value: &'v Value<'_>, is: [u8; 16]) -> Option<Rest<'v>> {
    let Value::Binary(bytes) = value else {
        return None;
    };
    let inside = bytes.strip_prefix(is.as_slice())?;
    Some(Rest(inside.strip_suffix(is.as_slice())?))
}

fn filled(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

/// What was not read yet of a blob.
struct Rest<'b>(&'b [u8]);

impl<'b> Rest<'b> {
    fn bytes(&mut self, count: usize) -> Option<&'b [u8]> {
        let (bytes, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(bytes)
    }

    fn skip(&mut self, count: usize) -> Option<()> {
        self.bytes(count).map(drop)
    }

    fn u32(&mut self) -> Option<u32> {
        self.bytes(4).map(LittleEndian::read_u32)
    }

    fn u64(&mut self) -> Option<u64> {
        self.bytes(8).map(LittleEndian::read_u64)
    }

    fn time(&mut self) -> Option<i64> {
        self.bytes(8).map(LittleEndian::read_i64)
    }

    /// A text, which has a NUL at its end and none in it.
    fn text(&mut self) -> Option<String> {
        let units = usize::try_from(self.u32()?).ok()?;
        let text = self.bytes(units.checked_mul(2)?)?.strip_suffix(&[0, 0])?;
        forms::utf16(text).filter(|text| !text.contains('\0'))
    }

    /// The list of files, wherever it begins: before it is what the owner's token is made from, whose length is not known.
    fn files(&mut self) -> Option<Vec<[u8; 16]>> {
        let before = self.0.windows(LIST.len()).position(|bytes| bytes == LIST)?;
        self.skip(before + LIST.len())?;
        let count = usize::try_from(self.u32()?).ok()?;
        let files = self.bytes(count.checked_mul(16)?)?;
        let (files, _) = files.as_chunks::<16>();
        (self.bytes(LIST.len())? == LIST).then(|| files.to_vec())
    }

    /// What follows the list of files, of a job without errors.
    fn times(&mut self) -> Option<Times> {
        if self.u32()? != 0 {
            return None;
        }
        self.skip(3 * 4)?;
        let [created, modified] = [self.time()?, self.time()?];
        self.skip(8 + 14 + 8)?;
        let expires = self.time()?;
        Some(Times {
            created,
            modified,
            expires,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A job of one file, as BITS would write it for a program that is run when the file is there.
    fn blob(errors: u32) -> Vec<u8> {
        let text = |text: &str| {
            let units: Vec<u16> = text.encode_utf16().chain([0]).collect();
            let length = u32::try_from(units.len()).unwrap().to_le_bytes();
            let units = units.into_iter().flat_map(u16::to_le_bytes);
            length.into_iter().chain(units).collect::<Vec<u8>>()
        };
        let texts = ["name", "", r"C:\evil.exe", r"C:\evil.exe -q", "S-1-5-18"].map(text);
        let times = [1_i64, 2, 3].map(|day| 130_000_000_000_000_000 + day * 864_000_000_000);
        let [created, modified, expires] = times.map(i64::to_le_bytes);
        [
            JOB.as_slice(),
            &[0; 4],
            &2_u32.to_le_bytes(),
            &6_u32.to_le_bytes(),
            &[0; 4 + 16],
            &*texts.concat(),
            &[1; 99],
            &LIST,
            &1_u32.to_le_bytes(),
            &[7; 16],
            &LIST,
            &errors.to_le_bytes(),
            &[0; 12],
            &created,
            &modified,
            &[0; 30],
            &expires,
            &[9; 20],
            &JOB,
        ]
        .concat()
    }

    #[test]
    fn a_job_tells_what_it_runs() {
        let blob = blob(0);
        let job = job(&Value::Binary((&blob).into())).unwrap();
        assert_eq!(job.name.as_deref(), Some("name"));
        assert_eq!(job.description, None);
        assert_eq!(job.program.as_deref(), Some(r"C:\evil.exe"));
        assert_eq!(job.parameters.as_deref(), Some(r"C:\evil.exe -q"));
        assert_eq!(job.owner.as_deref(), Some("S-1-5-18"));
        assert_eq!(known(&STATES, job.state).unwrap(), "transferred");
        assert_eq!(job.files().unwrap(), "07070707-0707-0707-0707-070707070707");
        let times = job.times.unwrap();
        assert_eq!(times.created, 130_000_864_000_000_000);
        assert_eq!(times.expires - times.modified, 864_000_000_000);
    }

    #[test]
    fn what_is_cut_off_or_of_another_layout_is_left_out() {
        let with_errors = blob(1);
        let job_of = |bytes: &[u8]| job(&Value::Binary(bytes.into()));
        let job = job_of(&with_errors).unwrap();
        assert!(job.files.is_some() && job.times.is_none());
        let whole = blob(0);
        for length in 0..whole.len() {
            assert!(job_of(&whole[..length]).is_none());
            // Its end is there, but not all that should be before it.
            let short = [&whole[..length], JOB.as_slice()].concat();
            assert!(
                length + 20 >= whole.len() - 16
                    || job_of(&short).is_none_or(|job| job.times.is_none())
            );
        }
    }
}
