//! Progress on standard error, when that is a terminal.
//!
//! What is shown is one line that never reaches the last columns: it does not wrap in a narrow terminal, and the `^C`
//! that a terminal echoes stays on it and goes with it. Everything else that goes to standard error passes
//! [`above_bars`], so that no line of text is drawn into a bar or wiped away with it.

use crate::interrupted;
use ese_format::Progress;
use ese_format::text::Escaped;
use indicatif::{
    BinaryBytes, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle,
    TermLike,
};
use std::fmt::Write;
use std::io;
use std::sync::LazyLock;
use std::time::Duration;
use terminal::Term;

/// The bars on the terminal.
static BARS: LazyLock<MultiProgress> = LazyLock::new(|| {
    let terminal = Box::new(Margined(Term::stderr()));
    MultiProgress::with_draw_target(ProgressDrawTarget::term_like_with_hz(terminal, 20))
});

/// Columns at the end of the line that stay free.
const MARGIN: u16 = 4;

/// Bytes done, rate and time left; invisible unless standard error is a terminal.
pub struct Bar(ProgressBar);

impl Bar {
    /// A bar for `total` bytes of `what`; 0 if that is not known before a step of it [begins](Progress::begin).
    pub fn new(total: u64, what: &str) -> Self {
        Self::of(total, what, Unit::Bytes)
    }

    /// A bar that counts files, of which nobody knows how many there are.
    pub fn of_files(what: &str) -> Self {
        Self::of(0, what, Unit::Files)
    }

    fn of(total: u64, what: &str, unit: Unit) -> Self {
        let name = Escaped(what).to_string();
        let line = move |state: &ProgressState, line: &mut dyn Write| {
            let columns = usize::from(Margined(Term::stderr()).width());
            let seen = Seen {
                done: state.pos(),
                total: state.len().unwrap_or_default(),
                rate: state.per_sec(),
                left: state.eta(),
                unit,
            };
            // A terminal that is gone is no reason to stop.
            let _ = line.write_str(&seen.line(&name, columns));
        };
        let bar = ProgressBar::new(total);
        if let Ok(style) = ProgressStyle::with_template("{line}") {
            bar.set_style(style.with_key("line", line));
        }
        let bar = BARS.add(bar);
        bar.enable_steady_tick(Duration::from_millis(200));
        Bar(bar)
    }

    /// Whether standard error is a terminal that can draw a bar.
    pub fn can_show() -> bool {
        Term::stderr().is_term() && !terminal::is_dumb()
    }

    /// A bar that never shows.
    pub fn hidden() -> Self {
        Bar(ProgressBar::hidden())
    }
}

impl Progress for Bar {
    fn advance(&self, bytes: u64) {
        self.0.inc(bytes);
    }

    /// The rate and the time left are those of this step in this run.
    fn begin(&self, total: u64, done: u64) {
        self.0.set_length(total);
        self.0.set_position(done);
        self.0.reset_eta();
    }

    fn should_stop(&self) -> bool {
        interrupted()
    }
}

/// A bar that is dropped leaves no trace on the terminal.
impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
        BARS.remove(&self.0);
    }
}

/// Does `write`, which writes lines to standard error, with no bar in its way.
pub(crate) fn above_bars<R>(write: impl FnOnce() -> R) -> R {
    BARS.suspend(write)
}

/// A terminal that is called a little narrower than it is, so that nothing is drawn in its last columns.
#[derive(Debug)]
struct Margined(Term);

impl TermLike for Margined {
    fn width(&self) -> u16 {
        self.0.size().1.saturating_sub(MARGIN)
    }

    fn height(&self) -> u16 {
        self.0.size().0
    }

    fn move_cursor_up(&self, lines: usize) -> io::Result<()> {
        self.0.move_cursor_up(lines)
    }

    fn move_cursor_down(&self, lines: usize) -> io::Result<()> {
        self.0.move_cursor_down(lines)
    }

    fn move_cursor_right(&self, columns: usize) -> io::Result<()> {
        self.0.move_cursor_right(columns)
    }

    fn move_cursor_left(&self, columns: usize) -> io::Result<()> {
        self.0.move_cursor_left(columns)
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.0.write_line(text)
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.0.write_str(text)
    }

    fn clear_line(&self) -> io::Result<()> {
        self.0.clear_line()
    }

    fn flush(&self) -> io::Result<()> {
        self.0.flush()
    }
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Bytes,
    Files,
}

/// How far something is.
struct Seen {
    done: u64,
    /// 0 if it is not known.
    total: u64,
    /// So many a second.
    rate: f64,
    left: Duration,
    unit: Unit,
}

impl Seen {
    /// One line of at most `columns` characters: rate and time left always, the rest as far as there is room.
    fn line(&self, name: &str, columns: usize) -> String {
        let length = |text: &str| text.chars().count();
        let forms = self.figures();
        let fitting = forms.iter().find(|form| length(form) <= columns);
        let figures = fitting.or(forms.last()).map_or("", String::as_str);
        let name = shortened(name, columns.saturating_sub(length(figures) + 1));
        let room = columns.saturating_sub(length(&name) + length(figures) + 2);
        let gauge = match room >= 12 && self.total > 0 {
            true => self.gauge(room),
            false => String::new(),
        };
        let parts = [name.as_str(), &gauge, figures];
        let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        parts.join(" ").chars().take(columns).collect()
    }

    /// The figures, from the longest form to the shortest.
    fn figures(&self) -> Vec<String> {
        if self.unit == Unit::Files {
            let (done, rate) = (self.done, self.rate as u64);
            return vec![format!("{done} files {rate}/s"), format!("{done} files")];
        }
        let done = BinaryBytes(self.done);
        let rate = BinaryBytes(self.rate as u64);
        if self.total == 0 {
            return vec![format!("{done} {rate}/s")];
        }
        let left = match self.rate >= 1.0 {
            true => words(self.left),
            false => "-".to_owned(),
        };
        let percent = (u128::from(self.done) * 100 / u128::from(self.total)).min(100);
        let total = BinaryBytes(self.total);
        vec![
            format!("{percent:>3}% {done}/{total} {rate}/s ETA {left}"),
            format!("{percent:>3}% {rate}/s ETA {left}"),
            format!("{percent:>3}% ETA {left}"),
        ]
    }

    /// `[===>    ]`, `columns` wide.
    fn gauge(&self, columns: usize) -> String {
        let inner = columns - 2;
        let done = u128::from(self.done.min(self.total)) * inner as u128 / u128::from(self.total);
        let done = (done as usize).min(inner);
        let mut gauge = "=".repeat(done);
        if done < inner {
            gauge.push('>');
        }
        format!("[{gauge:inner$}]")
    }
}

/// The end of a name that is too long for `columns`: the end of a path says most.
fn shortened(name: &str, columns: usize) -> String {
    let length = name.chars().count();
    if length <= columns {
        return name.to_owned();
    }
    if columns < 10 {
        return String::new();
    }
    let end: String = name.chars().skip(length - (columns - 3)).collect();
    format!("...{end}")
}

/// A time as people say it: `2h05m`, `3m20s`, `45s`.
fn words(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{:02}s", seconds % 60),
        (_, _) => format!("{hours}h{minutes:02}m"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "/mnt/standby/first storage group/mailbox.edb";

    fn line(done: u64, total: u64, columns: usize) -> String {
        let seen = Seen {
            done: done << 20,
            total: total << 20,
            rate: 52_428_800.0,
            left: Duration::from_secs((total.saturating_sub(done)) / 50),
            unit: Unit::Bytes,
        };
        seen.line(NAME, columns)
    }

    #[test]
    fn a_line_keeps_to_its_columns_and_tells_what_matters_most() {
        assert_eq!(
            line(81_920, 204_800, 116),
            "/mnt/standby/first storage group/mailbox.edb [========>           ]  40% 80.00 GiB/200.00 GiB 50.00 MiB/s \
             ETA 40m57s"
        );
        assert_eq!(
            line(81_920, 204_800, 76),
            "...torage group/mailbox.edb  40% 80.00 GiB/200.00 GiB 50.00 MiB/s ETA 40m57s"
        );
        assert_eq!(
            line(81_920, 204_800, 56),
            " 40% 80.00 GiB/200.00 GiB 50.00 MiB/s ETA 40m57s"
        );
        assert_eq!(line(81_920, 204_800, 36), " 40% 50.00 MiB/s ETA 40m57s");
        assert_eq!(
            line(3, 0, 56),
            ".../first storage group/mailbox.edb 3.00 MiB 50.00 MiB/s"
        );
    }

    #[test]
    fn no_line_is_wider_than_its_columns_and_none_panics() {
        for columns in 0..250 {
            for (done, total) in [(0, 0), (0, 1), (5, 5), (9, 5), (1 << 40, 1 << 43)] {
                let line = line(done, total, columns);
                assert!(line.chars().count() <= columns, "{columns}: {line:?}");
            }
        }
    }

    #[test]
    fn times_are_short() {
        let words = |seconds| words(Duration::from_secs(seconds));
        assert_eq!(
            [words(59), words(200), words(7500)],
            ["59s", "3m20s", "2h05m"]
        );
    }
}
