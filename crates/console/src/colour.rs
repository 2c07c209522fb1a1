//! Colours of what a person looks for first: an error, and a verdict.
//!
//! What is coloured is the text that is printed anyway: without a terminal not a byte of it changes. Whether there are
//! colours is decided as clap decides it for its help (`NO_COLOR`, `CLICOLOR`, `CLICOLOR_FORCE`, `TERM`).

use anstream::stream::RawStream;
use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use std::borrow::Cow;

const GOOD: Style = AnsiColor::Green.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const BAD: Style = AnsiColor::Red.on_default().bold();

/// Words that judge, longer ones before those that they begin with.
const VERDICTS: &[(&str, Style)] = &[
    ("READY WITH LOSS", WARNING),
    ("READY", GOOD),
    ("NOT READY", BAD),
    ("Dirty and Patched Shutdown", WARNING),
    ("Dirty Shutdown", WARNING),
    ("DAMAGED", BAD),
    ("DAMAGE", BAD),
];

/// Words that say how bad the line is that they begin.
const LABELS: &[(&str, Style)] = &[
    ("error:", BAD),
    ("ERROR:", BAD),
    ("warning:", WARNING),
    ("WARNING:", WARNING),
];

/// Lets no text of this process have colours: they are for people only.
pub(crate) fn forbid() {
    ColorChoice::Never.write_global();
}

/// Whether what goes to `stream` is to have colours, which has to be enabled first on a Windows console.
pub(crate) fn wanted(stream: impl RawStream) -> bool {
    AutoStream::auto(stream).current_choice() == ColorChoice::AlwaysAnsi
}

/// `text` with colours.
pub(crate) fn painted(text: &str) -> String {
    text.split_inclusive('\n').map(painted_line).collect()
}

fn painted_line(line: &str) -> Cow<'_, str> {
    match label(line).or_else(|| verdict(line)) {
        Some((at, word, style)) => {
            let (before, rest) = line.split_at(at);
            let after = &rest[word.len()..];
            format!("{before}{style}{word}{style:#}{after}").into()
        }
        None => line.into(),
    }
}

fn label(line: &str) -> Option<(usize, &'static str, Style)> {
    let text = line.trim_start();
    let (word, style) = LABELS.iter().find(|(word, _)| text.starts_with(word))?;
    Some((line.len() - text.len(), word, *style))
}

/// A verdict is at the beginning of a line, or after `: ` or ` - `, and nothing is added to it without a mark.
fn verdict(line: &str) -> Option<(usize, &'static str, Style)> {
    let start = line.len() - line.trim_start().len();
    let later = [": ", " - "].into_iter();
    let later = later.flat_map(|mark| line.match_indices(mark).map(|(at, mark)| at + mark.len()));
    std::iter::once(start).chain(later).find_map(|at| {
        let text = &line[at..];
        let (word, style) = VERDICTS.iter().find(|(word, _)| text.starts_with(word))?;
        let after = &text[word.len()..];
        let marks = ["\n", " (", ",", ":", ".", " [", " was found"];
        let ends = after.is_empty() || marks.iter().any(|mark| after.starts_with(mark));
        ends.then_some((at, *word, *style))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn coloured(text: &str) -> String {
        let marked = painted(text).replace("\u{1b}[0m", ">");
        let marks = [
            ("\u{1b}[1m\u{1b}[32m", "<good "),
            ("\u{1b}[1m\u{1b}[33m", "<warning "),
            ("\u{1b}[1m\u{1b}[31m", "<bad "),
        ];
        marks
            .iter()
            .fold(marked, |text, (code, mark)| text.replace(code, mark))
    }

    #[test]
    fn verdicts_and_errors_have_colours_and_nothing_else() {
        for (plain, expected) in [
            (
                "       Verdict: NOT READY [JET -543 (x)]\n",
                "       Verdict: <bad NOT READY> [JET -543 (x)]\n",
            ),
            (
                "a/db.edb: READY (Dirty Shutdown)\n",
                "a/db.edb: <good READY> (Dirty Shutdown)\n",
            ),
            (
                "       Verdict: READY WITH LOSS\n",
                "       Verdict: <warning READY WITH LOSS>\n",
            ),
            // A header says so, of a database that may be cut off or damaged.
            (
                "            State: Clean Shutdown\n",
                "            State: Clean Shutdown\n",
            ),
            (
                "            State: Dirty Shutdown\n",
                "            State: <warning Dirty Shutdown>\n",
            ),
            (
                "      Log file: E00.log - DAMAGED\n",
                "      Log file: E00.log - <bad DAMAGED>\n",
            ),
            ("DAMAGE was found.\n", "<bad DAMAGE> was found.\n"),
            ("error: a: b\n  check it", "<bad error:> a: b\n  check it"),
            ("  WARNING: x\n", "  <warning WARNING:> x\n"),
            ("Database: READYMADE.edb\n", "Database: READYMADE.edb\n"),
            (
                "It has to say READY, or not\n",
                "It has to say READY, or not\n",
            ),
        ] {
            assert_eq!(coloured(plain), expected);
        }
    }
}
