//! Tables in text: columns as narrow as what is in them, so that a line fits a terminal wherever the data permit.

use std::fmt::{self, Display, Formatter};

/// Characters of a line that terminals show.
pub(crate) const WIDTH: usize = 80;

/// A table: words on the left, numbers on the right.
pub(crate) struct Columns {
    heads: Vec<Head>,
    lines: Vec<Line>,
}

struct Head {
    name: &'static str,
    is_number: bool,
}

enum Line {
    Cells(Vec<String>),
    /// A line of its own.
    Text(String),
}

impl Columns {
    /// A table with these columns; those whose name ends with `#` hold numbers.
    pub(crate) fn new(names: &[&'static str]) -> Self {
        let heads = names.iter().map(|name| Head {
            name: name.trim_end_matches('#'),
            is_number: name.ends_with('#'),
        });
        Columns {
            heads: heads.collect(),
            lines: Vec::new(),
        }
    }

    /// Adds a line.
    pub(crate) fn line(&mut self, cells: Vec<String>) {
        self.lines.push(Line::Cells(cells));
    }

    /// Adds text that is below a line, indented.
    pub(crate) fn below(&mut self, text: &str) {
        self.lines.push(Line::Text(wrapped(text, 4, 6)));
    }

    /// Adds a line about those that follow.
    pub(crate) fn title(&mut self, text: &str) {
        self.lines.push(Line::Text(format!("{text}\n")));
    }
}

impl Display for Columns {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut widths: Vec<usize> = self.heads.iter().map(|head| head.name.len()).collect();
        for line in &self.lines {
            let Line::Cells(cells) = line else { continue };
            for (width, cell) in widths.iter_mut().zip(cells) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let write = |f: &mut Formatter<'_>, cells: &mut dyn Iterator<Item = &str>| {
            let mut line = String::new();
            for ((cell, head), width) in cells.zip(&self.heads).zip(&widths) {
                let space = if line.is_empty() { "" } else { " " };
                line += &match head.is_number {
                    true => format!("{space}{cell:>width$}"),
                    false => format!("{space}{cell:width$}"),
                };
            }
            writeln!(f, "{}", line.trim_end())
        };
        write(f, &mut self.heads.iter().map(|head| head.name))?;
        for line in &self.lines {
            match line {
                Line::Cells(cells) => write(f, &mut cells.iter().map(String::as_str))?,
                Line::Text(text) => f.write_str(text)?,
            }
        }
        Ok(())
    }
}

/// Characters of the longest line of a text.
pub(crate) fn widest(text: &str) -> usize {
    let widths = text.lines().map(|line| line.chars().count());
    widths.max().unwrap_or(0)
}

/// `text` in lines of the width of a terminal, broken at blanks: the first begins with `first` blanks, others with `next`.
pub(crate) fn wrapped(text: &str, first: usize, next: usize) -> String {
    let mut lines = " ".repeat(first);
    let mut length = first;
    let mut begun = true;
    for word in text.split(' ') {
        let word_length = word.chars().count();
        if !begun && length + 1 + word_length > WIDTH {
            lines.push('\n');
            lines.extend(std::iter::repeat_n(' ', next));
            length = next;
        } else if !begun {
            lines.push(' ');
            length += 1;
        }
        lines.push_str(word);
        length += word_length;
        begun = false;
    }
    lines.push('\n');
    lines
}
