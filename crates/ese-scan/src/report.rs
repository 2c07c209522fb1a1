//! What a scan finds.

use ese_checksum::PageChecksum;
use ese_format::page::FlushType;
use ese_format::{Dbtime, JetError, Pgno};
use serde::{Deserialize, Serialize, Serializer};
use std::fmt;

/// Pages by what was found in them; the sum over any number of chunks of a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Pages read, both header pages included.
    pub pages_seen: u64,
    /// Pages whose checksum does not fit and cannot be corrected; copies of the header that are blank, too.
    pub bad_checksums: u64,
    /// Pages in which single flipped bits explain the difference.
    pub correctable_checksums: u64,
    /// Pages of nothing but zeros.
    pub uninitialized_pages: u64,
    /// Pages with a good checksum that carry another page's number.
    pub wrong_page_numbers: u64,
    /// Pages whose last write was lost, by the flush map.
    pub lost_flushes: u64,
    /// Highest dbtime of all good pages.
    pub highest_dbtime: u64,
    /// The first page of the file with that dbtime; 0 if there is none.
    pub highest_dbtime_pgno: u32,
}

impl Counts {
    /// Adds what was found in another part of the file; in any order the sum is the same.
    pub fn add(&mut self, other: &Counts) {
        self.pages_seen += other.pages_seen;
        self.bad_checksums += other.bad_checksums;
        self.correctable_checksums += other.correctable_checksums;
        self.uninitialized_pages += other.uninitialized_pages;
        self.wrong_page_numbers += other.wrong_page_numbers;
        self.lost_flushes += other.lost_flushes;
        self.saw_dbtime(
            Dbtime(other.highest_dbtime),
            Pgno(other.highest_dbtime_pgno),
        );
    }

    /// Takes note of a good page's dbtime.
    pub(crate) fn saw_dbtime(&mut self, dbtime: Dbtime, pgno: Pgno) {
        let first = dbtime.0 == self.highest_dbtime && pgno.0 < self.highest_dbtime_pgno;
        if dbtime.0 > self.highest_dbtime || first {
            self.highest_dbtime = dbtime.0;
            self.highest_dbtime_pgno = pgno.0;
        }
    }

    /// Whether nothing is wrong with any page seen.
    pub fn is_clean(&self) -> bool {
        self.bad_checksums == 0
            && self.correctable_checksums == 0
            && self.wrong_page_numbers == 0
            && self.lost_flushes == 0
    }
}

/// The lines and labels of `eseutil /k`.
impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} pages seen", self.pages_seen)?;
        writeln!(f, "{} bad checksums", self.bad_checksums)?;
        writeln!(f, "{} correctable checksums", self.correctable_checksums)?;
        writeln!(f, "{} uninitialized pages", self.uninitialized_pages)?;
        writeln!(f, "{} wrong page numbers", self.wrong_page_numbers)?;
        if self.lost_flushes > 0 {
            writeln!(f, "{} lost flushes", self.lost_flushes)?;
        }
        writeln!(
            f,
            "{:#x} highest dbtime (pgno {:#x})",
            self.highest_dbtime, self.highest_dbtime_pgno
        )
    }
}

/// Where in the file a page stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Position {
    /// The header.
    Header,
    /// The second copy of the header.
    ShadowHeader,
    /// A page with this number.
    Page(u32),
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Position::Header => f.write_str("page -1 (header)"),
            Position::ShadowHeader => f.write_str("page 0 (shadow header)"),
            Position::Page(pgno) => write!(f, "page {pgno} ({pgno:#x})"),
        }
    }
}

/// Something wrong with one page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageFinding {
    /// The page.
    pub position: Position,
    /// Byte offset of the page in the file.
    pub offset: u64,
    /// What is wrong.
    #[serde(flatten)]
    pub kind: PageFindingKind,
}

/// What can be wrong with a page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum PageFindingKind {
    /// The checksum does not fit.
    BadChecksum {
        /// The checksum that the page carries.
        expected: ChecksumText,
        /// The checksum of its bytes.
        actual: ChecksumText,
        /// The page number under which the bytes are a good page: it was written to or read from a wrong place.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        is_page: Option<u32>,
    },
    /// Flipped bits that the checksum allows to correct.
    Correctable {
        /// The checksum that the page carries.
        expected: ChecksumText,
        /// The checksum of its bytes.
        actual: ChecksumText,
        /// Bit offsets from the start of the page.
        bits: Vec<usize>,
    },
    /// The checksum fits, but the page carries another number.
    WrongPageNumber {
        /// The number that it carries.
        actual: u32,
    },
    /// The flush map says that the page's last write was another one: that write was lost.
    LostFlush {
        /// Flush type by the map.
        expected: FlushTypeName,
        /// Flush type of the page; `unknown` when the page is blank.
        actual: FlushTypeName,
    },
    /// A copy of the header that holds nothing but zeros.
    BlankHeader,
    /// The file ends inside this page.
    Partial {
        /// Bytes of the page that are there.
        available: u64,
    },
}

impl PageFinding {
    /// The engine's error for it, where the engine looks.
    pub fn jet(&self) -> Option<JetError> {
        match self.kind {
            PageFindingKind::BadChecksum { .. } | PageFindingKind::BlankHeader => {
                Some(JetError::READ_VERIFY_FAILURE)
            }
            PageFindingKind::WrongPageNumber { .. } => Some(JetError::READ_PGNO_VERIFY_FAILURE),
            PageFindingKind::LostFlush { .. } => Some(JetError::READ_LOST_FLUSH_VERIFY_FAILURE),
            PageFindingKind::Correctable { .. } | PageFindingKind::Partial { .. } => None,
        }
    }

    /// Whether the page's content is still known: its flipped bits can be flipped back.
    pub fn is_correctable(&self) -> bool {
        matches!(self.kind, PageFindingKind::Correctable { .. })
    }
}

impl fmt::Display for PageFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at offset {:#x}: ", self.position, self.offset)?;
        match &self.kind {
            PageFindingKind::BadChecksum {
                expected,
                actual,
                is_page,
            } => {
                write!(f, "checksum failed, expected {expected}, actual {actual}")?;
                if let Some(pgno) = is_page {
                    write!(f, "; the bytes are those of page {pgno} ({pgno:#x})")?;
                }
                Ok(())
            }
            PageFindingKind::Correctable {
                expected,
                actual,
                bits,
            } => {
                let bits: Vec<String> = bits.iter().map(usize::to_string).collect();
                write!(
                    f,
                    "checksum failed but the corruption (bit {}) can be corrected, expected {expected}, actual {actual}",
                    bits.join(", ")
                )
            }
            PageFindingKind::WrongPageNumber { actual } => {
                write!(f, "the page carries the number {actual} ({actual:#x})")
            }
            PageFindingKind::LostFlush { expected, actual } => write!(
                f,
                "lost flush: the flush map expects {expected}, the page was written as {actual}"
            ),
            PageFindingKind::BlankHeader => f.write_str("it holds nothing but zeros"),
            PageFindingKind::Partial { available } => {
                write!(f, "the file ends after {available} bytes of the page")
            }
        }
    }
}

/// A page checksum, written as text in documents because four 64-bit numbers are more than JSON readers take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ChecksumText(String);

impl From<PageChecksum> for ChecksumText {
    fn from(checksum: PageChecksum) -> Self {
        ChecksumText(checksum.to_string())
    }
}

impl fmt::Display for ChecksumText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A flush type by its name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct FlushTypeName(String);

impl Serialize for FlushTypeName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl From<FlushType> for FlushTypeName {
    fn from(flush: FlushType) -> Self {
        let name = match flush {
            FlushType::Unknown => "unknown",
            FlushType::Rock => "rock",
            FlushType::Paper => "paper",
            FlushType::Scissors => "scissors",
        };
        FlushTypeName(name.into())
    }
}

impl fmt::Display for FlushTypeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
