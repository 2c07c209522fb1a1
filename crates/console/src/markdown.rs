//! Markdown as plain text for a terminal: headings are underlined, paragraphs and cells wrapped, links named.
//!
//! A table that is too wide even with wrapped cells becomes a list: the first cell of each row, and below it what the
//! other columns say.

use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};

/// Where links of a page lead.
pub(crate) struct Links<'a> {
    /// The page, below the root of the repository.
    pub(crate) page: &'a str,
    /// What to read instead of another page of the repository; `None` if there is nothing.
    pub(crate) to: &'a dyn Fn(&str) -> Option<String>,
}

impl Links<'_> {
    /// What a person at a terminal can do with a link: a word for it, or nothing where the text says enough.
    fn said(&self, target: &str) -> Option<String> {
        if target.contains("://") {
            return Some(target.to_owned());
        }
        let file = target.split('#').next().unwrap_or_default();
        if file.is_empty() {
            return None;
        }
        let mut parts: Vec<&str> = self.page.split('/').collect();
        parts.pop();
        for part in file.split('/') {
            match part {
                "." | "" => {}
                ".." => drop(parts.pop()),
                part => parts.push(part),
            }
        }
        (self.to)(&parts.join("/"))
    }
}

/// A space in short code, at which no line ends.
const FIXED_SPACE: char = '\u{e000}';
/// Code with fewer characters is not broken.
const SHORT_CODE: usize = 32;

/// `page` as text in lines of at most `columns` characters; only code and long words are wider.
pub(crate) fn plain(page: &str, columns: usize, links: &Links<'_>) -> String {
    let mut writer = Writer {
        columns,
        ..Writer::default()
    };
    for event in Parser::new_ext(page, Options::ENABLE_TABLES) {
        writer.take(event, links);
    }
    writer.text.replace(FIXED_SPACE, " ")
}

/// The words of `text` in lines of at most `columns` characters, unless a word is longer.
pub(crate) fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if width(line) + 1 + width(word) <= columns => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

fn width(text: &str) -> usize {
    text.chars().count()
}

#[derive(Default)]
struct Writer {
    text: String,
    columns: usize,
    /// What the paragraph, heading, item or cell that is being read says up to now.
    inline: String,
    /// Where the links lead that are being read.
    links: Vec<String>,
    /// The lists around: the next number of each, or none where they have dots.
    lists: Vec<Option<u64>>,
    /// The mark of an item whose text has not come yet.
    mark: Option<String>,
    /// Whether an empty line is due before the next text.
    gap: bool,
    in_code: bool,
    rows: Vec<Vec<String>>,
}

impl Writer {
    fn take(&mut self, event: Event<'_>, links: &Links<'_>) {
        match event {
            Event::Start(tag) => self.start(&tag),
            Event::End(tag) => self.end(tag, links),
            Event::Text(text) if self.in_code => self.code(&text),
            Event::Text(text) => self.inline.push_str(&text),
            Event::Code(code) => {
                let code = match width(&code) < SHORT_CODE {
                    true => code.replace(' ', &FIXED_SPACE.to_string()),
                    false => code.to_string(),
                };
                self.inline.push_str(&format!("`{code}`"));
            }
            Event::SoftBreak | Event::HardBreak => self.inline.push(' '),
            Event::Rule => self.gap = true,
            _ => {}
        }
    }

    fn start(&mut self, tag: &Tag<'_>) {
        match tag {
            Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. } => {
                self.links.push(dest_url.to_string());
            }
            Tag::List(first) => {
                self.flush();
                self.lists.push(*first);
            }
            Tag::Item => {
                let mark = match self.lists.last_mut() {
                    Some(Some(number)) => {
                        *number += 1;
                        format!("{}. ", *number - 1)
                    }
                    _ => "- ".to_owned(),
                };
                self.mark = Some(mark);
            }
            Tag::TableHead | Tag::TableRow => self.rows.push(Vec::new()),
            Tag::CodeBlock(_) => {
                self.flush();
                self.begin();
                self.in_code = true;
            }
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd, links: &Links<'_>) {
        match tag {
            TagEnd::Paragraph => {
                self.flush();
                self.gap = true;
            }
            TagEnd::Heading(level) => self.heading(level),
            TagEnd::Item => self.flush(),
            TagEnd::List(_) => {
                self.lists.pop();
                self.gap |= self.lists.is_empty();
            }
            TagEnd::CodeBlock => {
                self.in_code = false;
                self.gap = true;
            }
            TagEnd::Link => {
                let target = self.links.pop().unwrap_or_default();
                let said = links.said(&target);
                if let Some(said) = said.filter(|said| !self.inline.ends_with(said.as_str())) {
                    self.inline.push_str(&format!(" ({said})"));
                }
            }
            TagEnd::Image => {
                self.links.pop();
                self.inline.clear();
            }
            TagEnd::TableCell => {
                let cell = std::mem::take(&mut self.inline);
                if let Some(row) = self.rows.last_mut() {
                    row.push(cell.trim().to_owned());
                }
            }
            TagEnd::Table => {
                let rows = std::mem::take(&mut self.rows);
                self.begin();
                table(&rows, self.columns, &mut self.text);
                self.gap = true;
            }
            _ => {}
        }
    }

    /// Ends what stood before.
    fn begin(&mut self) {
        if self.gap && !self.text.is_empty() {
            self.text.push('\n');
        }
        self.gap = false;
    }

    /// Writes the paragraph or item that was read.
    fn flush(&mut self) {
        let text = std::mem::take(&mut self.inline);
        let mark = self.mark.take();
        if text.trim().is_empty() {
            return;
        }
        self.begin();
        // A mark is as wide as what it indents.
        let outer = "  ".repeat(self.lists.len().saturating_sub(1));
        let inner = match (&mark, self.lists.last()) {
            (Some(mark), _) => " ".repeat(mark.len()),
            (None, Some(None)) => "  ".to_owned(),
            (None, Some(Some(_))) => "   ".to_owned(),
            (None, None) => String::new(),
        };
        let room = self.columns.saturating_sub(outer.len() + inner.len());
        let mut lead = mark.unwrap_or_else(|| inner.clone());
        for line in wrapped(&text, room) {
            self.text.push_str(&format!("{outer}{lead}{line}\n"));
            lead.clone_from(&inner);
        }
    }

    fn heading(&mut self, level: HeadingLevel) {
        let text = std::mem::take(&mut self.inline);
        self.gap = true;
        self.begin();
        let lines = wrapped(&text, self.columns);
        let underline = match level {
            HeadingLevel::H1 => "=",
            HeadingLevel::H2 => "-",
            _ => ".",
        };
        let longest = lines.iter().map(|line| width(line)).max().unwrap_or(0);
        for line in lines {
            self.text.push_str(&format!("{line}\n"));
        }
        self.text.push_str(&underline.repeat(longest));
        self.text.push('\n');
        self.gap = true;
    }

    fn code(&mut self, text: &str) {
        for line in text.lines() {
            self.text.push_str(format!("    {line}").trim_end());
            self.text.push('\n');
        }
    }
}

/// Space between two columns.
const GAP: usize = 2;

/// Writes a table; the first row is its head.
fn table(rows: &[Vec<String>], columns: usize, text: &mut String) {
    let [head, body @ ..] = rows else { return };
    match widths(rows, columns) {
        Some(widths) => grid(head, body, &widths, text),
        None => entries(head, body, columns, text),
    }
}

/// How wide each column may be, so that all fit; `None` if no wrapping of cells is enough.
fn widths(rows: &[Vec<String>], columns: usize) -> Option<Vec<usize>> {
    let count = rows.iter().map(Vec::len).max()?;
    let widest = |of: fn(&str) -> usize| -> Vec<usize> {
        let cells = |column: usize| rows.iter().filter_map(move |row| row.get(column));
        (0..count)
            .map(|column| cells(column).map(|cell| of(cell)).max().unwrap_or(0))
            .collect()
    };
    let whole = widest(width);
    let mut widths = widest(|cell| cell.split_whitespace().map(width).max().unwrap_or(0));
    let room = columns.checked_sub(GAP * count.saturating_sub(1))?;
    let mut left = room.checked_sub(widths.iter().sum())?;
    while left > 0 {
        // The column whose cells have to be broken most often gets the next place.
        let broken = |column: &usize| whole[*column] * 1000 / widths[*column].max(1);
        let narrow = (0..count).filter(|column| widths[*column] < whole[*column]);
        let Some(column) = narrow.max_by_key(broken) else {
            break;
        };
        widths[column] += 1;
        left -= 1;
    }
    Some(widths)
}

fn grid(head: &[String], body: &[Vec<String>], widths: &[usize], text: &mut String) {
    let wraps = body.iter().any(|row| {
        row.iter()
            .zip(widths)
            .any(|(cell, room)| width(cell) > *room)
    });
    if head.iter().any(|cell| !cell.is_empty()) {
        line_of_cells(head, widths, text);
    }
    let rule: Vec<String> = widths.iter().map(|room| "-".repeat(*room)).collect();
    line_of_cells(&rule, widths, text);
    for (place, row) in body.iter().enumerate() {
        if wraps && place > 0 {
            text.push('\n');
        }
        line_of_cells(row, widths, text);
    }
}

fn line_of_cells(row: &[String], widths: &[usize], text: &mut String) {
    let cells = row.iter().zip(widths);
    let cells: Vec<Vec<String>> = cells.map(|(cell, room)| wrapped(cell, *room)).collect();
    let height = cells.iter().map(Vec::len).max().unwrap_or(0);
    for place in 0..height {
        let mut line = String::new();
        for (cell, room) in cells.iter().zip(widths) {
            let part = cell.get(place).map_or("", String::as_str);
            line.push_str(&format!("{part:room$}"));
            line.push_str(&" ".repeat(GAP));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
}

fn entries(head: &[String], body: &[Vec<String>], columns: usize, text: &mut String) {
    for (place, row) in body.iter().enumerate() {
        if place > 0 {
            text.push('\n');
        }
        let [name, cells @ ..] = &row[..] else {
            continue;
        };
        for line in wrapped(name, columns) {
            text.push_str(&format!("{line}\n"));
        }
        let named = head.iter().skip(1).zip(cells);
        for (column, cell) in named.filter(|(_, cell)| !cell.is_empty()) {
            let mut lead = "  ";
            for line in wrapped(&format!("{column}: {cell}"), columns.saturating_sub(4)) {
                text.push_str(&format!("{lead}{line}\n"));
                lead = "    ";
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(page: &str, columns: usize) -> String {
        let links = Links {
            page: "docs/a/page.md",
            to: &|path| (path == "docs/other.md").then(|| "`p help other`".to_owned()),
        };
        plain(page, columns, &links)
    }

    #[test]
    fn paragraphs_lists_code_and_links_read_well() {
        let page = "# Head\n\nA [page](../other.md#there), [here](#below) and [nowhere](x.rs), <https://e.org/a>.\n\n\
                    - one two three four\n  - deep\n- last\n\n1. first\n2. second\n\n```sh\nrun  it\n\nagain\n```\nEnd.\n";
        assert_eq!(
            shown(page, 20),
            "Head\n====\n\nA page (`p help\nother`), here and\nnowhere,\nhttps://e.org/a.\n\n- one two three four\n  \
             - deep\n- last\n\n1. first\n2. second\n\n    run  it\n\n    again\n\nEnd.\n"
        );
    }

    #[test]
    fn tables_wrap_and_become_lists_where_there_is_no_room() {
        let code = "| what | so |\n|---|---|\n| `run it now` | one two three |\n";
        assert_eq!(
            shown(code, 21),
            "what          so\n------------  -------\n`run it now`  one two\n              three\n"
        );
        let page = "| a | `b\\|c` |\n|---|---|\n| x | one two three |\n| y | four |\n";
        assert_eq!(
            shown(page, 40),
            "a  `b|c`\n-  -------------\nx  one two three\ny  four\n"
        );
        assert_eq!(
            shown(page, 12),
            "a  `b|c`\n-  ---------\nx  one two\n   three\n\ny  four\n"
        );
        assert_eq!(
            shown(page, 7),
            "x\n  `b|c`:\n    one\n    two\n    three\n\ny\n  `b|c`:\n    four\n"
        );
    }
}
