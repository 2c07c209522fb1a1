//! Where a command's answer goes: text or JSON on standard output.

use crate::progress::above_bars;
use crate::{Bar, Failure, colour};
use ese_format::text::{Screen, acts};
use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::Formatter;
use std::fmt::{self, Display, Write as _};
use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write as _};

/// Where `--help` lists what every command takes, after what is the command's own.
pub const COMMON: &str = "Common options";

/// The schema of a failure.
pub(crate) const FAILURE: &str = "edbkit.failure/1";

/// The options that every command of every program takes.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct RunOptions {
    /// Print one JSON document per answer instead of text
    #[arg(long, global = true, help_heading = COMMON)]
    pub json: bool,
    /// Print nothing but errors on standard error: no progress, no remarks
    #[arg(long, short, global = true, help_heading = COMMON)]
    pub quiet: bool,
    /// Use this many threads (default: all processors)
    #[arg(
        long, global = true, value_name = "N", help_heading = COMMON,
        value_parser = crate::values::count
    )]
    pub threads: Option<std::num::NonZeroUsize>,
}

impl RunOptions {
    /// How many threads the work may use: as asked, or one for each processor.
    pub fn threads(&self) -> usize {
        let processors = || std::thread::available_parallelism().map_or(1, Into::into);
        self.threads.map_or_else(processors, Into::into)
    }
}

/// Standard output, locked and buffered, with the choice between text and JSON.
pub struct Output {
    stdout: BufWriter<StdoutLock<'static>>,
    json: bool,
    quiet: bool,
    colours: bool,
    threads: usize,
}

impl Output {
    /// Standard output in the form that `options` ask for.
    pub fn new(options: &RunOptions) -> Self {
        Output {
            stdout: BufWriter::with_capacity(1 << 16, io::stdout().lock()),
            json: options.json,
            quiet: options.quiet,
            colours: colour::wanted(io::stdout()),
            threads: options.threads(),
        }
    }

    /// How many threads the work may use.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Whether JSON was asked for.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Prints an answer: `text` as it is, or `document` as one line of JSON whose first field is
    /// `"schema": "edbkit.<what>/<version>"`.
    pub fn answer(
        &mut self,
        schema: &str,
        document: &impl Serialize,
        text: &impl Display,
    ) -> Result<(), Failure> {
        if self.json {
            self.document(schema, document)
        } else {
            self.text(text)
        }
    }

    /// Prints text.
    pub fn text(&mut self, text: &impl Display) -> Result<(), Failure> {
        if self.colours {
            let mut screen = Screen(String::new());
            let _ = write!(screen, "{text}");
            let painted = colour::painted(&screen.0);
            return check(self.stdout.write_all(painted.as_bytes()));
        }
        let mut screen = Screen(Bytes(&mut self.stdout, Ok(())));
        let _ = write!(screen, "{text}");
        check(screen.0.1)
    }

    /// Prints one line of JSON with its schema.
    pub fn document(&mut self, schema: &str, document: &impl Serialize) -> Result<(), Failure> {
        #[derive(Serialize)]
        struct Document<'a, T> {
            schema: &'a str,
            #[serde(flatten)]
            body: &'a T,
        }
        let document = Document {
            schema,
            body: document,
        };
        let mut serializer = Serializer::with_formatter(&mut self.stdout, Visible);
        let written = document
            .serialize(&mut serializer)
            .map_err(io::Error::from)
            .and_then(|()| self.stdout.write_all(b"\n"));
        check(written)
    }

    /// Says why one of several files gave no answer, so that the command can go on with the others: text on standard
    /// error, and with `--json` an `edbkit.failure/1` document in the place of the answer.
    pub fn failure(&mut self, failure: &Failure) -> Result<(), Failure> {
        if self.json {
            self.document(FAILURE, failure)?;
        }
        self.flush()?;
        complain(&format_args!("error: {failure}"));
        Ok(())
    }

    /// A remark for the person at the terminal; not part of the answer.
    pub fn remark(&self, line: &impl Display) {
        if !self.quiet {
            complain(line);
        }
    }

    /// A progress bar for `total` bytes, if standard error is a terminal and nobody asked for quiet.
    pub fn bar(&self, total: u64, what: &str) -> Bar {
        if self.quiet || !Bar::can_show() {
            return Bar::hidden();
        }
        Bar::new(total, what)
    }

    /// The same for files that are counted as they are met.
    pub fn counter(&self, what: &str) -> Bar {
        if self.quiet || !Bar::can_show() {
            return Bar::hidden();
        }
        Bar::of_files(what)
    }

    /// Standard output for data that is written piece by piece, byte for byte; on a terminal it is made visible as all text
    /// is. What was printed before comes first.
    pub fn stream(&mut self) -> Result<Stream, Failure> {
        self.flush()?;
        Ok(match io::stdout().is_terminal() {
            true => Stream::Terminal(Vec::new()),
            false => Stream::Pipe,
        })
    }

    /// Writes out what is buffered.
    pub fn flush(&mut self) -> Result<(), Failure> {
        let written = self.stdout.flush();
        check(written)
    }
}

/// Where [`Output::stream`] goes.
#[derive(Debug)]
pub enum Stream {
    /// A file, or another program.
    Pipe,
    /// A person; the line that is not complete yet.
    Terminal(Vec<u8>),
}

impl Stream {
    /// Writes the first `length` bytes of the line that a terminal gets.
    fn show(line: &mut Vec<u8>, length: usize) -> io::Result<()> {
        let rest = line.split_off(length);
        let shown = std::mem::replace(line, rest);
        let mut screen = Screen(String::new());
        let _ = write!(screen, "{}", String::from_utf8_lossy(&shown));
        quietly(io::stdout().write_all(screen.0.as_bytes()))
    }
}

impl io::Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Pipe => quietly(io::stdout().write_all(bytes))?,
            Stream::Terminal(line) => {
                line.extend_from_slice(bytes);
                if let Some(end) = line.iter().rposition(|byte| *byte == b'\n') {
                    Stream::show(line, end + 1)?;
                }
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if let Stream::Terminal(line) = self {
            let length = line.len();
            Stream::show(line, length)?;
        }
        quietly(io::stdout().flush())
    }
}

/// JSON in one line whose texts hold no character that would steer a terminal.
struct Visible;

impl Formatter for Visible {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some((at, acting)) = rest.char_indices().find(|(_, other)| acts(*other)) {
            writer.write_all(&rest.as_bytes()[..at])?;
            write!(writer, "\\u{:04x}", u32::from(acting))?;
            rest = &rest[at + acting.len_utf8()..];
        }
        writer.write_all(rest.as_bytes())
    }
}

/// A line on standard error; what comes from files does not steer the terminal. A closed standard error means that
/// nobody listens, and is no reason to stop.
pub fn complain(line: &impl Display) {
    let mut screen = Screen(String::new());
    let _ = writeln!(screen, "{line}");
    let line = match colour::wanted(io::stderr()) {
        true => colour::painted(&screen.0),
        false => screen.0,
    };
    let _ = above_bars(|| io::stderr().write_all(line.as_bytes()));
}

/// Bytes as a target of formatting, and what the operating system says of writing them.
struct Bytes<W>(W, io::Result<()>);

impl<W: io::Write> fmt::Write for Bytes<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.1 = self.0.write_all(text.as_bytes());
        self.1.as_ref().map_err(|_| fmt::Error).copied()
    }
}

/// A reader that has had enough (`| head`) is no failure: the process ends quietly, as others in a pipeline do.
fn quietly(written: io::Result<()>) -> io::Result<()> {
    if let Err(error) = &written
        && error.kind() == io::ErrorKind::BrokenPipe
    {
        std::process::exit(0);
    }
    written
}

fn check(written: io::Result<()>) -> Result<(), Failure> {
    quietly(written).map_err(|error| Failure::io("standard output".as_ref(), &error))
}
