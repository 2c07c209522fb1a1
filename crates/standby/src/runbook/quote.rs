//! Text that reaches a shell, a comment or a page as what it is.

/// Characters that PowerShell takes for a single quote.
const SINGLE_QUOTES: [char; 5] = ['\'', '\u{2018}', '\u{2019}', '\u{201a}', '\u{201b}'];

/// `text` as one literal of PowerShell: in single quotes nothing is expanded, and a quote is written twice. PowerShell
/// takes typographic quotes for quotes too ("about_Quoting_Rules").
pub fn literal(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('\'');
    for character in text.chars() {
        quoted.push(character);
        if SINGLE_QUOTES.contains(&character) {
            quoted.push(character);
        }
    }
    quoted.push('\'');
    quoted
}

/// `text` as an argument of a program. A separator at the end of a path is left out: before the quote that PowerShell
/// puts after an argument with spaces, a backslash would escape that quote.
pub(super) fn argument(text: &str) -> String {
    let trimmed = text.trim_end_matches(['/', '\\']);
    let root = trimmed.is_empty() || trimmed.ends_with(':');
    literal(if root { text } else { trimmed })
}

/// `text` on one line, for a title or a comment: whatever would end the line becomes a space.
pub(super) fn one_line(text: &str) -> String {
    let breaks =
        |char: char| char.is_control() || matches!(char, '\u{2028}' | '\u{2029}' | '\u{85}');
    text.chars()
        .map(|char| if breaks(char) { ' ' } else { char })
        .collect()
}

/// `text` outside of code in Markdown, on one line.
pub(super) fn markdown(text: &str) -> String {
    let special = |char: char| "\\`*_{}[]<>#|!~&".contains(char);
    let mut escaped = String::new();
    for char in one_line(text).chars() {
        if special(char) {
            escaped.push('\\');
        }
        escaped.push(char);
    }
    escaped
}
