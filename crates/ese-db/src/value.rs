//! Values: what the bytes of a column mean by its type.
//!
//! | type | bytes |
//! |---|---|
//! | Bit | one byte, not 0 is true |
//! | integers, Currency | little-endian |
//! | DateTime | 64-bit float: days since 1899-12-30, the time of day as fraction. Some programs store a FILETIME instead |
//! | Guid | 16 bytes, the first three parts little-endian |
//! | Text, LongText | by code page: 1200 is UTF-16, 1252 and others one byte each |
//! | Binary, LongBinary | as they are |
//!
//! Source: `JET_coltyp*` (`published/inc/jethdr.w`).

use ese_format::text::utf16_units;
use serde::Serialize;
use std::borrow::Cow;

/// The type of a column (`JET_coltyp*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub enum ColumnType {
    /// The column was deleted; its values mean nothing.
    Deleted,
    /// True or false.
    Bit,
    /// 8 bits without sign.
    UnsignedByte,
    /// 16 bits.
    Short,
    /// 32 bits.
    Long,
    /// 64 bits.
    Currency,
    /// 32-bit float.
    Single,
    /// 64-bit float.
    Double,
    /// Date and time as 64-bit float.
    DateTime,
    /// Up to 255 bytes.
    Binary,
    /// Up to 255 bytes of text.
    Text,
    /// Bytes of any length.
    LongBinary,
    /// Text of any length.
    LongText,
    /// A value in the streaming file of Exchange 2000 and 2003.
    Slv,
    /// 32 bits without sign.
    UnsignedLong,
    /// 64 bits.
    LongLong,
    /// A GUID.
    Guid,
    /// 16 bits without sign.
    UnsignedShort,
    /// 64 bits without sign.
    UnsignedLongLong,
    /// A number that names no type known here.
    Other(u32),
}

impl ColumnType {
    /// The type that the catalog stores as `number`.
    pub fn from_number(number: u32) -> Self {
        use ColumnType::*;
        const TYPES: [ColumnType; 19] = [
            Deleted,
            Bit,
            UnsignedByte,
            Short,
            Long,
            Currency,
            Single,
            Double,
            DateTime,
            Binary,
            Text,
            LongBinary,
            LongText,
            Slv,
            UnsignedLong,
            LongLong,
            Guid,
            UnsignedShort,
            UnsignedLongLong,
        ];
        TYPES.get(number as usize).copied().unwrap_or(Other(number))
    }

    /// Bytes of a fixed column of this type, or `None` when the catalog has to say.
    pub fn fixed_size(self) -> Option<usize> {
        use ColumnType::*;
        Some(match self {
            Bit | UnsignedByte => 1,
            Short | UnsignedShort => 2,
            Long | UnsignedLong | Single => 4,
            Currency | Double | DateTime | LongLong | UnsignedLongLong => 8,
            Guid => 16,
            _ => return None,
        })
    }

    /// Whether values are text in the column's code page.
    pub fn is_text(self) -> bool {
        matches!(self, ColumnType::Text | ColumnType::LongText)
    }

    /// The name that Microsoft's documentation uses, without its prefix.
    pub fn name(self) -> Cow<'static, str> {
        use ColumnType::*;
        Cow::Borrowed(match self {
            Deleted => "Deleted",
            Bit => "Bit",
            UnsignedByte => "UnsignedByte",
            Short => "Short",
            Long => "Long",
            Currency => "Currency",
            Single => "IEEESingle",
            Double => "IEEEDouble",
            DateTime => "DateTime",
            Binary => "Binary",
            Text => "Text",
            LongBinary => "LongBinary",
            LongText => "LongText",
            Slv => "SLV",
            UnsignedLong => "UnsignedLong",
            LongLong => "LongLong",
            Guid => "GUID",
            UnsignedShort => "UnsignedShort",
            UnsignedLongLong => "UnsignedLongLong",
            Other(number) => return Cow::Owned(format!("type {number}")),
        })
    }
}

/// Text as stored, and as read by its code page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Text<'a> {
    /// Text that its code page explains completely.
    Decoded(Cow<'a, str>),
    /// Text in UTF-16 of which the last character was cut in two, as by a column that takes so many bytes.
    Cut {
        /// The text, with U+FFFD in the place of what is left of that character.
        text: Cow<'a, str>,
        /// All of its bytes.
        bytes: Cow<'a, [u8]>,
    },
    /// Bytes that are no text in this code page, or a code page that is not known.
    Bytes(Cow<'a, [u8]>),
}

/// A value of a column.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// No value.
    Null,
    /// True or false.
    Bit(bool),
    /// A number with sign, of 64 bits or less.
    Integer(i64),
    /// A number without sign, of 64 bits or less.
    Unsigned(u64),
    /// 32-bit float.
    Single(f32),
    /// 64-bit float.
    Double(f64),
    /// Date and time as stored: see [`DateTime`].
    DateTime(DateTime),
    /// A GUID as stored.
    Guid([u8; 16]),
    /// Text.
    Text(Text<'a>),
    /// Bytes.
    Binary(Cow<'a, [u8]>),
    /// Several values.
    Multi(Vec<Value<'a>>),
    /// A value that could not be read: the bytes that are there, and why.
    Undecoded {
        /// The stored bytes.
        bytes: Cow<'a, [u8]>,
        /// What is wrong.
        reason: String,
    },
}

impl Text<'_> {
    /// The same text, borrowing from nothing.
    pub fn into_owned(self) -> Text<'static> {
        match self {
            Text::Decoded(text) => Text::Decoded(Cow::Owned(text.into_owned())),
            Text::Cut { text, bytes } => Text::Cut {
                text: Cow::Owned(text.into_owned()),
                bytes: Cow::Owned(bytes.into_owned()),
            },
            Text::Bytes(bytes) => Text::Bytes(Cow::Owned(bytes.into_owned())),
        }
    }
}

impl Value<'_> {
    /// The same value, borrowing from nothing: it can be kept longer than its row.
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Value::Null => Value::Null,
            Value::Bit(bit) => Value::Bit(bit),
            Value::Integer(number) => Value::Integer(number),
            Value::Unsigned(number) => Value::Unsigned(number),
            Value::Single(number) => Value::Single(number),
            Value::Double(number) => Value::Double(number),
            Value::DateTime(time) => Value::DateTime(time),
            Value::Guid(guid) => Value::Guid(guid),
            Value::Text(text) => Value::Text(text.into_owned()),
            Value::Binary(bytes) => Value::Binary(Cow::Owned(bytes.into_owned())),
            Value::Multi(values) => {
                Value::Multi(values.into_iter().map(Value::into_owned).collect())
            }
            Value::Undecoded { bytes, reason } => Value::Undecoded {
                bytes: Cow::Owned(bytes.into_owned()),
                reason,
            },
        }
    }
}

/// The eight bytes of a DateTime column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DateTime(pub u64);

impl DateTime {
    /// As days since 1899-12-30.
    pub fn days(self) -> f64 {
        f64::from_bits(self.0)
    }

    /// Milliseconds since 1970-01-01 UTC when the value is a date between the years 100 and 9999 as the type defines
    /// it. The whole part counts days, the fraction is the time of day, whatever the sign.
    pub fn unix_milliseconds(self) -> Option<i64> {
        let days = self.days();
        if !(-657_435.0..2_958_466.0).contains(&days) || (days != 0.0 && days.abs() < 1e-9) {
            return None;
        }
        let whole = days.trunc();
        let time = (days - whole).abs();
        let milliseconds = (time * 86_400_000.0).round();
        Some((whole as i64 - 25_569) * 86_400_000 + milliseconds as i64)
    }

    /// The value as a FILETIME (100 ns since 1601-01-01 UTC), which is what some programs put into such a column.
    pub fn filetime(self) -> Option<i64> {
        // From 1990 to 2200; as floats these are denormal or tiny numbers no date has.
        const RANGE: std::ops::Range<u64> = 0x01b4_1e2a_4d27_0000..0x02a0_0000_0000_0000;
        RANGE.contains(&self.0).then_some(self.0 as i64)
    }
}

/// Reads the bytes of one value of a column of this type.
pub fn decode<'a>(bytes: Cow<'a, [u8]>, column_type: ColumnType, code_page: u32) -> Value<'a> {
    use ColumnType::*;
    fn array<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
        bytes.try_into().ok()
    }
    let raw = bytes.as_ref();
    let value = match column_type {
        Bit => array(raw).map(|[byte]| Value::Bit(byte != 0)),
        UnsignedByte => array(raw).map(|[byte]| Value::Unsigned(byte.into())),
        Short => array(raw).map(|raw| Value::Integer(i16::from_le_bytes(raw).into())),
        UnsignedShort => array(raw).map(|raw| Value::Unsigned(u16::from_le_bytes(raw).into())),
        Long => array(raw).map(|raw| Value::Integer(i32::from_le_bytes(raw).into())),
        UnsignedLong => array(raw).map(|raw| Value::Unsigned(u32::from_le_bytes(raw).into())),
        Currency | LongLong => array(raw).map(|raw| Value::Integer(i64::from_le_bytes(raw))),
        UnsignedLongLong => array(raw).map(|raw| Value::Unsigned(u64::from_le_bytes(raw))),
        Single => array(raw).map(|raw| Value::Single(f32::from_le_bytes(raw))),
        Double => array(raw).map(|raw| Value::Double(f64::from_le_bytes(raw))),
        DateTime => array(raw).map(|raw| Value::DateTime(self::DateTime(u64::from_le_bytes(raw)))),
        Guid => array(raw).map(Value::Guid),
        Text | LongText => return Value::Text(decode_text(bytes, code_page)),
        Deleted | Binary | LongBinary | Slv | Other(_) => return Value::Binary(bytes),
    };
    let Some(value) = value else {
        let reason = format!("{} bytes are not of type {}", raw.len(), column_type.name());
        return Value::Undecoded { bytes, reason };
    };
    value
}

/// Reads text by its code page; 1200 is UTF-16, 0 the engine's default for text without one, 1252.
fn decode_text(bytes: Cow<'_, [u8]>, code_page: u32) -> Text<'_> {
    const UTF_16: u32 = 1200;
    const ENGLISH: u32 = 1252;
    if code_page == UTF_16 {
        let whole = bytes.len().is_multiple_of(2);
        let units = utf16_units(&bytes);
        return match String::from_utf16(&units) {
            Ok(text) if whole => Text::Decoded(text.into()),
            Err(_) if whole => match cut_text(&units) {
                Some(text) => Text::Cut {
                    text: text.into(),
                    bytes,
                },
                None => Text::Bytes(bytes),
            },
            _ => Text::Bytes(bytes),
        };
    }
    let number = if code_page == 0 { ENGLISH } else { code_page };
    let encoding = u16::try_from(number).ok().and_then(codepage::to_encoding);
    let Some(encoding) = encoding else {
        return match ascii(&bytes) {
            Some(text) => Text::Decoded(text.into()),
            None => Text::Bytes(bytes),
        };
    };
    match encoding.decode_without_bom_handling_and_without_replacement(&bytes) {
        Some(text) => Text::Decoded(text.into_owned().into()),
        None => Text::Bytes(bytes),
    }
}

/// Text of which nothing is wrong but that it ends with the first half of a character.
fn cut_text(units: &[u16]) -> Option<String> {
    const FIRST_HALVES: std::ops::Range<u16> = 0xd800..0xdc00;
    let (last, whole) = units.split_last()?;
    let text = String::from_utf16(whole).ok();
    let text = text.filter(|_| FIRST_HALVES.contains(last));
    text.map(|text| text + "\u{fffd}")
}

/// ASCII is the same in every code page that is not known here.
fn ascii(bytes: &[u8]) -> Option<String> {
    bytes.is_ascii().then(|| {
        bytes
            .iter()
            .map(|byte| char::from(*byte))
            .collect::<String>()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_follows_its_code_page() {
        let text = |bytes: &'static [u8], page| match decode(bytes.into(), ColumnType::Text, page) {
            Value::Text(Text::Decoded(text)) => text.into_owned(),
            other => format!("{other:?}"),
        };
        assert_eq!(text(b"\x80 5", 1252), "€ 5");
        assert_eq!(text(b"\xcf\xf0", 1251), "Пр");
        assert_eq!(text(b"\xac\x20", 1200), "€");
        assert!(text(b"\x00\xdc", 1200).starts_with("Text(Bytes"));
        assert!(text(b"\x00\xd8a\x00", 1200).starts_with("Text(Bytes"));
        let cut = Text::Cut {
            text: "a\u{fffd}".into(),
            bytes: b"a\x00\x3d\xd8".into(),
        };
        assert_eq!(
            decode(b"a\x00\x3d\xd8".into(), ColumnType::Text, 1200),
            Value::Text(cut)
        );
        assert!(text(b"\xe4", 37).starts_with("Text(Bytes"));
        assert_eq!(text(b"plain", 37), "plain");
    }

    #[test]
    fn dates_are_days_since_1899() {
        let date = |days: f64| DateTime(days.to_bits()).unix_milliseconds();
        assert_eq!(date(25_569.5), Some(43_200_000));
        assert_eq!(date(0.0), Some(-2_209_161_600_000));
        // The fraction of a date before the epoch counts forward all the same.
        assert_eq!(
            date(-1.25),
            Some(-2_209_161_600_000 - 86_400_000 + 21_600_000)
        );
        assert_eq!(date(f64::NAN), None);
        assert_eq!(
            DateTime(0x01d9_0000_0000_0000).filetime(),
            Some(0x01d9_0000_0000_0000)
        );
        assert_eq!(DateTime(0x01d9_0000_0000_0000).unix_milliseconds(), None);
    }
}
