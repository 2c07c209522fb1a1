//! Values on a command line, read the same way by every program.

use std::num::{NonZeroU64, NonZeroUsize};

/// A number, decimal or with `0x` hexadecimal.
pub fn number<N: TryFrom<u64>>(text: &str) -> Result<N, String> {
    let digits = text.strip_prefix("0x").or(text.strip_prefix("0X"));
    let parsed = match digits {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    let number = parsed.map_err(|_| format!("{text:?} is not a number; write it as 42 or 0x2A"))?;
    N::try_from(number).map_err(|_| format!("{number} is too large"))
}

/// How many of something work at once: at least one.
pub fn count(text: &str) -> Result<NonZeroUsize, String> {
    NonZeroUsize::new(number(text)?).ok_or_else(|| "it must be at least 1".into())
}

/// An amount of bytes, as in `65536`, `64KiB`, `512MiB`.
pub fn bytes<N: TryFrom<u64>>(text: &str) -> Result<N, String> {
    let parsed = text.trim().parse::<bytesize::ByteSize>();
    let size = parsed.map_err(|_| {
        format!("{text:?} is not an amount of bytes; write it as 65536, 64KiB or 512MiB")
    })?;
    N::try_from(size.as_u64()).map_err(|_| format!("{size} is too large"))
}

/// Bytes a second, as in `50MiB/s` or `50MiB`.
pub fn rate(text: &str) -> Result<NonZeroU64, String> {
    let text = text.trim();
    let rate: u64 = bytes(text.strip_suffix("/s").unwrap_or(text))
        .map_err(|_| format!("{text:?} is not a rate; write it as 50MiB/s"))?;
    NonZeroU64::new(rate).ok_or_else(|| "a rate of 0 would never end".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_people_write_them() {
        assert_eq!(number::<u32>("42"), Ok(42));
        assert_eq!(number::<u32>("0x2a"), Ok(42));
        assert_eq!(bytes::<usize>("64KiB"), Ok(65_536));
        assert_eq!(rate("50MiB/s"), rate("50MiB"));
    }

    #[test]
    fn what_cannot_be_read_is_answered_with_how_to_write_it() {
        let said = number::<u32>("12,5").unwrap_err();
        assert!(said.contains("42 or 0x2A"), "{said}");
        assert!(
            number::<u32>("4294967296")
                .unwrap_err()
                .contains("too large")
        );
        assert!(count("0").unwrap_err().contains("at least 1"));
        assert!(bytes::<u64>("5foo").unwrap_err().contains("512MiB"));
        assert!(rate("fast").unwrap_err().contains("50MiB/s"));
        assert!(rate("0").unwrap_err().contains("never end"));
    }
}
