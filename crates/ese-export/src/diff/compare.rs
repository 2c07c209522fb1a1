//! Whether two rows of one key hold the same.
//!
//! Rules, for each column of either table:
//!
//! - The values decide, not the bytes: a value that is packed in one database and not in the other is the same.
//! - Equal bytes that mean the same in both are equal values, whether they can be read or not. Otherwise nothing is said of a
//!   value that cannot be read.
//! - A column that only one database has differs where a row has a value in it that is not its default: the other row has none.
//!   Nothing is said of that where the column may be what the other catalog has lost.
//! - Long values in the table's tree are compared as bytes, piece by piece. They are the same only where all of their pieces are
//!   there: what is missing in both databases is not known to be the same.

use super::tables::{ColumnPair, TablePair};
use super::{DiffSide, Sides};
use crate::ExportError;
use ese_db::long_value::Pieces;
use ese_db::record::Field;
use ese_db::rows::{Content, Contents, Fields, Separated};
use ese_db::value::decode;
use ese_db::{Column, Row, Text, Value};
use ese_format::Progress;

/// What came out of two rows: numbers of columns.
#[derive(Debug, Default)]
pub(super) struct RowOutcome {
    /// Columns whose values differ.
    pub changed: Vec<usize>,
    /// Columns whose values could not be compared, and where they cannot be read.
    pub undecided: Vec<(usize, Sides<bool>)>,
}

impl RowOutcome {
    /// Values that could not be read for it.
    pub(super) fn lost(&self) -> Sides<u64> {
        let lost = |side: fn(&Sides<bool>) -> bool| {
            let columns = self.undecided.iter();
            columns.filter(|(_, lost)| side(lost)).count() as u64
        };
        Sides {
            a: lost(|lost| lost.a),
            b: lost(|lost| lost.b),
        }
    }
}

/// What came out of two values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Equality {
    Same,
    Differs,
    /// The value of one of these databases, or of both, cannot be read.
    Undecided(Sides<bool>),
}

use Equality::{Differs, Same, Undecided};

impl Equality {
    fn of(same: bool) -> Self {
        if same { Same } else { Differs }
    }
}

/// How the rows of one table are compared.
pub(super) struct RowRules<'t> {
    columns: &'t [ColumnPair<'t>],
    /// Both catalogs and page sizes read the bytes of a record alike.
    alike: bool,
    /// A record may refer to long values: only tagged columns do.
    may_refer: bool,
    /// Catalogs that may have lost a column.
    doubtful: Sides<bool>,
    progress: &'t dyn Progress,
}

impl<'t> RowRules<'t> {
    pub(super) fn new(
        pair: &'t TablePair<'t>,
        sides: Sides<DiffSide<'t>>,
        doubtful: Sides<bool>,
        progress: &'t dyn Progress,
    ) -> Self {
        let Sides { a, b } = pair.tables;
        let small = sides.map(|side| side.db.page_size().is_small());
        RowRules {
            columns: &pair.columns,
            alike: small.a == small.b
                && a.map(|table| &table.columns) == b.map(|table| &table.columns),
            may_refer: pair.tables.any(|table| {
                table.is_some_and(|table| table.columns.iter().any(Column::is_tagged))
            }),
            doubtful,
            progress,
        }
    }

    pub(super) fn compare(&self, one: &Row, other: &Row) -> Result<RowOutcome, ExportError> {
        let mut outcome = RowOutcome::default();
        let (a, b) = (one.node()?, other.node()?);
        let equal = self.alike && a.data == b.data;
        if equal && !self.may_refer {
            return Ok(outcome);
        }
        let (a, b) = (one.fields()?, other.fields()?);
        if equal && !a.has_separated() {
            return Ok(outcome);
        }
        for (number, pair) in self.columns.iter().enumerate() {
            let equality = match (pair.columns.a, pair.columns.b) {
                (Some(one), Some(other)) => {
                    let kind = Kind {
                        one,
                        other,
                        alike: pair.is_alike(),
                        progress: self.progress,
                    };
                    kind.contents(a.contents(one), b.contents(other))?
                }
                (Some(one), None) => match is_empty_but_for_default(&a, one) {
                    Some(true) => Same,
                    Some(false) if !self.doubtful.b => Differs,
                    known => Undecided(Sides {
                        a: known.is_none(),
                        b: known.is_some(),
                    }),
                },
                (None, Some(other)) => match is_empty_but_for_default(&b, other) {
                    Some(true) => Same,
                    Some(false) if !self.doubtful.a => Differs,
                    known => Undecided(Sides {
                        a: known.is_some(),
                        b: known.is_none(),
                    }),
                },
                (None, None) => Same,
            };
            match equality {
                Same => {}
                Differs => outcome.changed.push(number),
                Undecided(lost) => outcome.undecided.push((number, lost)),
            }
        }
        Ok(outcome)
    }
}

/// Whether a row holds no more of a column than its default; `None` where that cannot be read.
fn is_empty_but_for_default(fields: &Fields<'_>, column: &Column) -> Option<bool> {
    match fields.stored(column).ok()? {
        Field::Absent | Field::Null => Some(true),
        Field::Single(raw) if !(raw.separated || raw.compressed || raw.encrypted) => {
            Some(column.default_value.as_deref() == Some(raw.bytes))
        }
        Field::Single(_) | Field::Multi(_) => Some(false),
    }
}

/// A column of both databases.
struct Kind<'k> {
    one: &'k Column,
    other: &'k Column,
    /// Whether bytes mean the same in both.
    alike: bool,
    progress: &'k dyn Progress,
}

impl Kind<'_> {
    fn contents(&self, a: Contents<'_>, b: Contents<'_>) -> Result<Equality, ExportError> {
        let unreadable = Sides {
            a: is_unreadable(&a),
            b: is_unreadable(&b),
        };
        if unreadable.any(|side| *side) {
            return Ok(Undecided(unreadable));
        }
        let (a, b) = match (a, b) {
            (Contents::Null, Contents::Null) => return Ok(Same),
            (Contents::Null, _) | (_, Contents::Null) => return Ok(Differs),
            (Contents::One(a), Contents::One(b)) => return self.content(&a, &b),
            (a, b) => (several(a), several(b)),
        };
        let mut all = Equality::of(a.len() == b.len());
        for (a, b) in a.iter().zip(&b) {
            if all == Differs {
                break;
            }
            all = match (self.content(a, b)?, all) {
                (Same, so_far) => so_far,
                (equality, _) => equality,
            };
        }
        Ok(all)
    }

    fn content(&self, a: &Content<'_>, b: &Content<'_>) -> Result<Equality, ExportError> {
        Ok(match (a, b) {
            (Content::Bytes(a), Content::Bytes(b)) => {
                let same = self.alike && a == b || {
                    let one = self.one;
                    let a = decode(a.as_ref().into(), one.column_type, one.code_page);
                    let other = self.other;
                    let b = decode(b.as_ref().into(), other.column_type, other.code_page);
                    is_equal(&a, &b)
                };
                Equality::of(same)
            }
            (Content::Separated(a), Content::Separated(b)) => self.separated(a, b)?,
            (Content::Separated(a), Content::Bytes(b)) => match self.separated_or_not(a, b)? {
                Undecided(_) => Undecided(Sides { a: true, b: false }),
                equality => equality,
            },
            (Content::Bytes(a), Content::Separated(b)) => match self.separated_or_not(b, a)? {
                Undecided(_) => Undecided(Sides { a: false, b: true }),
                equality => equality,
            },
            (Content::Undecoded(a, _), Content::Undecoded(b, _)) if self.alike && a == b => Same,
            (a, b) => Undecided(Sides {
                a: matches!(a, Content::Undecoded(..)),
                b: matches!(b, Content::Undecoded(..)),
            }),
        })
    }

    /// Two long values.
    fn separated(&self, a: &Separated<'_>, b: &Separated<'_>) -> Result<Equality, ExportError> {
        if let (Ok(a), Ok(b)) = (a.pieces(), b.pieces())
            && self.are_stored_alike(a, b)?
        {
            return Ok(Same);
        }
        let (mut a, mut b) = match (a.pieces(), b.pieces()) {
            (Ok(a), Ok(b)) => (a, b),
            (a, b) => {
                return Ok(Undecided(Sides {
                    a: a.is_err(),
                    b: b.is_err(),
                }));
            }
        };
        if a.claimed_size() != b.claimed_size() {
            return Ok(Differs);
        }
        let (mut rest, mut other) = (Vec::new(), Vec::new());
        loop {
            if rest.is_empty() {
                rest = a.next().unwrap_or_default();
            }
            if other.is_empty() {
                other = b.next().unwrap_or_default();
            }
            let ended = Sides {
                a: (rest.is_empty() || !a.is_sound()) && a.problem().is_some(),
                b: (other.is_empty() || !b.is_sound()) && b.problem().is_some(),
            };
            if ended.any(|side| *side) {
                return Ok(Undecided(ended));
            }
            let common = rest.len().min(other.len());
            if common == 0 {
                return Ok(Equality::of(rest.is_empty() && other.is_empty()));
            }
            if rest[..common] != other[..common] {
                return Ok(Differs);
            }
            rest.drain(..common);
            other.drain(..common);
            self.go_on()?;
        }
    }

    /// Whether two long values are whole and stored alike: of equal length and in equal pieces. Then they are the same, also
    /// where nobody can unpack them.
    fn are_stored_alike(&self, mut a: Pieces<'_>, mut b: Pieces<'_>) -> Result<bool, ExportError> {
        let root = |pieces: &Pieces<'_>| (pieces.claimed_size(), pieces.is_encrypted());
        if root(&a) != root(&b) {
            return Ok(false);
        }
        let mut given = 0;
        while given < a.claimed_size() {
            // What is missing or cannot be read is found again where it is unpacked.
            let (Ok(Some(node)), Ok(Some(other))) = (a.next_node(), b.next_node()) else {
                return Ok(false);
            };
            match a.end_of_piece(&node, given) {
                Some(end) if node == other => given = end,
                _ => return Ok(false),
            }
            self.go_on()?;
        }
        Ok(true)
    }

    /// A long value in the tree and one in its row.
    fn separated_or_not(
        &self,
        long: &Separated<'_>,
        mut bytes: &[u8],
    ) -> Result<Equality, ExportError> {
        const UNREADABLE: Equality = Undecided(Sides { a: true, b: true });
        let Ok(mut pieces) = long.pieces() else {
            return Ok(UNREADABLE);
        };
        if pieces.claimed_size() as usize != bytes.len() {
            return Ok(Differs);
        }
        while let Some(piece) = pieces.next() {
            if !pieces.is_sound() {
                return Ok(UNREADABLE);
            }
            let Some(rest) = bytes.strip_prefix(piece.as_slice()) else {
                return Ok(Differs);
            };
            bytes = rest;
            self.go_on()?;
        }
        Ok(match pieces.problem() {
            Some(_) => UNREADABLE,
            None => Equality::of(bytes.is_empty()),
        })
    }

    fn go_on(&self) -> Result<(), ExportError> {
        match self.progress.should_stop() {
            true => Err(ExportError::Stopped),
            false => Ok(()),
        }
    }
}

fn several(contents: Contents<'_>) -> Vec<Content<'_>> {
    match contents {
        Contents::Null => Vec::new(),
        Contents::One(content) => vec![content],
        Contents::Several(contents) => contents,
    }
}

/// Whether the record could not even be split as far as this column.
fn is_unreadable(contents: &Contents<'_>) -> bool {
    matches!(contents, Contents::One(Content::Undecoded(bytes, _)) if bytes.is_empty())
}

/// Whether two values are the same. Floats and dates are compared bit by bit, numbers by their value.
fn is_equal(a: &Value<'_>, b: &Value<'_>) -> bool {
    let number = |value: &Value<'_>| match value {
        Value::Integer(number) => Some(i128::from(*number)),
        Value::Unsigned(number) => Some(i128::from(*number)),
        _ => None,
    };
    let float = |value: &Value<'_>| match value {
        Value::Single(number) => Some(f64::from(*number).to_bits()),
        Value::Double(number) => Some(number.to_bits()),
        _ => None,
    };
    match (a, b) {
        (Value::Single(a), Value::Single(b)) => a.to_bits() == b.to_bits(),
        (Value::Text(Text::Decoded(a)), Value::Text(Text::Decoded(b))) => a == b,
        (Value::Text(Text::Bytes(a)), Value::Text(Text::Bytes(b))) => a == b,
        (Value::Undecoded { bytes: a, .. }, Value::Undecoded { bytes: b, .. }) => a == b,
        _ => match (number(a), number(b), float(a), float(b)) {
            (Some(a), Some(b), ..) => a == b,
            (_, _, Some(a), Some(b)) => a == b,
            _ => a == b,
        },
    }
}
