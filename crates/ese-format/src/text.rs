//! Text from files that anyone may have written, made fit to be printed.
//!
//! A path or a name is data: a line feed in it would forge lines of a report, an escape character would steer the
//! terminal, and marks of writing direction would show other text than there is.

use byteorder::{ByteOrder, LittleEndian};
use std::fmt::{self, Display, Formatter, Write};

/// Text in which every character that would act instead of being seen is written as `\u{...}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Escaped<'a>(pub &'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if !self.0.contains(acts) {
            return f.pad(self.0);
        }
        let mut seen = String::new();
        for character in self.0.chars() {
            match acts(character) {
                true => seen.extend(character.escape_unicode()),
                false => seen.push(character),
            }
        }
        f.pad(&seen)
    }
}

/// A writer that lets line feeds and tabs pass and escapes everything else that acts: the last gate before a terminal.
#[derive(Debug)]
pub struct Screen<W>(pub W);

impl<W: Write> Write for Screen<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if text
            .bytes()
            .all(|byte| matches!(byte, b' '..=b'~' | b'\n' | b'\t'))
        {
            return self.0.write_str(text);
        }
        for piece in text.split_inclusive(['\n', '\t']) {
            let visible = piece.trim_end_matches(['\n', '\t']);
            write!(self.0, "{}", Escaped(visible))?;
            self.0.write_str(&piece[visible.len()..])?;
        }
        Ok(())
    }
}

/// Whether a terminal, or a person's eye, would be steered by it: control characters (Unicode's category Cc), line and
/// paragraph separators, and marks of direction.
pub fn acts(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}'
        )
}

/// The code units of UTF-16 text; an odd byte at its end is none.
pub fn utf16_units(bytes: &[u8]) -> Vec<u16> {
    let mut units = vec![0; bytes.len() / 2];
    LittleEndian::read_u16_into(&bytes[..2 * units.len()], &mut units);
    units
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_is_written_out() {
        let evil = "a\u{1b}[2J\u{9b}1m\r\nState: Clean Shutdown\u{202e}é";
        assert_eq!(
            Escaped(evil).to_string(),
            "a\\u{1b}[2J\\u{9b}1m\\u{d}\\u{a}State: Clean Shutdown\\u{202e}é"
        );
        let mut screen = Screen(String::new());
        write!(screen, "{evil}\n\tb").unwrap();
        assert_eq!(
            screen.0,
            "a\\u{1b}[2J\\u{9b}1m\\u{d}\nState: Clean Shutdown\\u{202e}é\n\tb"
        );
    }
}
