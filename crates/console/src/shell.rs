//! Starting a program, and what it tells the shell about itself.

use crate::habits::answered;
use crate::{Exit, Failure, Output, RunOptions, complain, watch_interrupts};
use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

/// Commands that every program has besides its own.
#[derive(Debug, Clone, Subcommand)]
pub enum ShellCommand {
    /// Print the completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual page (roff); `man -l` shows it
    Man,
}

impl ShellCommand {
    /// Prints what was asked for about the program `P`.
    pub fn print<P: CommandFactory>(&self) -> Result<Exit, Failure> {
        let mut command = described::<P>();
        let name = command.get_name().to_owned();
        let mut page = Vec::new();
        let rendered = match self {
            ShellCommand::Completions { shell } => {
                clap_complete::generate(*shell, &mut command, name, &mut page);
                Ok(())
            }
            ShellCommand::Man => render_manual(command, &mut page),
        };
        rendered
            .and_then(|()| std::io::stdout().write_all(&page))
            .map_err(|error| Failure::io("standard output".as_ref(), &error))?;
        Ok(Exit::Clean)
    }
}

/// A path as a word of a command that is shown to be copied.
pub fn shell_word(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |character: char| character.is_alphanumeric() || "/\\._-+:,@%".contains(character);
    match !text.is_empty() && text.chars().all(plain) {
        true => text,
        false => format!("\"{}\"", text.replace('"', "\\\"")),
    }
}

/// The exit codes, for a program.
const EXIT_CODES: &str = "Exit codes:
  0  done, and nothing is wrong
  1  done, and something is wrong with the data
  2  the command line makes no sense
  3  the operating system could not read or write
  4  not an ESE file, or of an unsupported version
  5  refused, because it would do harm
  6  interrupted; run the same command again";

/// The exit codes, for a command.
const EXIT_CODES_SHORT: &str =
    "Exit codes: 0 clean, 1 finding, 2 usage, 3 I/O, 4 not ESE, 5 refused, 6 interrupted";

/// The program `P`, whose help ends with the exit codes.
fn described<P: CommandFactory>() -> clap::Command {
    let program = P::command().mut_subcommands(|command| match command.get_name() {
        "completions" | "man" => command,
        _ => ending(command, EXIT_CODES_SHORT),
    });
    ending(program, EXIT_CODES)
}

/// A command whose help ends with `text`, behind its examples.
fn ending(command: clap::Command, text: &str) -> clap::Command {
    let examples = command.get_after_help().map(ToString::to_string);
    let end = match examples {
        Some(examples) => format!("{examples}\n\n{text}"),
        None => text.to_owned(),
    };
    command.after_help(end)
}

/// The program's page, followed by the pages of its commands.
fn render_manual(command: clap::Command, page: &mut Vec<u8>) -> std::io::Result<()> {
    let mut command = command.disable_help_subcommand(true);
    command.build();
    clap_mangen::Man::new(command.clone()).render(page)?;
    for subcommand in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        clap_mangen::Man::new(subcommand.clone()).render(page)?;
    }
    Ok(())
}

/// Runs a program: parses the command line, calls `work`, and turns its result into an exit code.
///
/// `options` picks the common options out of the parsed command line. A failure is reported as [`Output::failure`]
/// does.
pub fn run<P: Parser>(
    options: impl FnOnce(&P) -> RunOptions,
    work: impl FnOnce(P, &mut Output) -> Result<Exit, Failure>,
) -> ExitCode {
    let mut command = described::<P>();
    let line: Vec<OsString> = std::env::args_os().collect();
    let parsed = command.try_get_matches_from_mut(&line).and_then(|matches| {
        P::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
    });
    let program = match parsed {
        Ok(program) => program,
        Err(error) => return usage(&answered(error, &command, &line)),
    };
    watch_interrupts();
    let options = options(&program);
    limit_threads(options.threads());
    let mut output = Output::new(&options);
    let worked = work(program, &mut output).and_then(|exit| output.flush().map(|()| exit));
    match worked {
        Ok(exit) => exit.into(),
        Err(failure) => {
            if output.failure(&failure).is_err() {
                // Nobody reads standard output any more; standard error may still be read.
                complain(&format_args!("error: {failure}"));
            }
            failure.exit.into()
        }
    }
}

/// `--help` and `--version` are answers; everything else is misuse.
fn usage(error: &clap::Error) -> ExitCode {
    let asked_for = !error.use_stderr();
    // A closed standard output or error leaves nobody to tell.
    let _ = error.print();
    if asked_for { Exit::Clean } else { Exit::Usage }.into()
}

fn limit_threads(threads: usize) {
    // Fails only when the pool exists already, and nothing runs before this.
    let _ = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global();
}
