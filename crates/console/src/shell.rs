//! Starting a program, and what it says to the shell about itself.

use crate::habits::answered;
use crate::{Exit, Failure, Output, RunOptions, colour, complain, watch_interrupts};
use crate::{manual, topics, usage};
use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::{Command, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::OnceLock;
use terminal::Term;

/// Commands that every program has besides its own.
#[derive(Debug, Clone, Subcommand)]
pub enum ShellCommand {
    /// Print the completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual pages (roff; `man -l -` shows them), or write each to its own file
    Man {
        /// Folder to write to: one file for the program and one for each command, as in edbtool-header.1
        #[arg(long, value_name = "FOLDER")]
        to: Option<PathBuf>,
        /// Replace files of the same name
        #[arg(long, requires = "to")]
        force: bool,
    },
    /// Print this message, the help of a command, or a text on a topic
    Help {
        /// A command, or one of the topics that `help` lists
        #[arg(value_name = "COMMAND|TOPIC", hide_possible_values = true)]
        about: Option<String>,
    },
}

/// Their names. They take none of the options that all other commands take.
const SHELL_COMMANDS: [&str; 3] = ["completions", "man", "help"];

impl ShellCommand {
    /// Prints what was asked for about the program `P`.
    pub fn print<P: CommandFactory>(&self, output: &mut Output) -> Result<Exit, Failure> {
        match self {
            ShellCommand::Completions { shell } => {
                let mut command = described::<P>();
                let name = command.get_name().to_owned();
                let mut script = Vec::new();
                clap_complete::generate(*shell, &mut command, name, &mut script);
                let written = io::stdout().write_all(&script);
                written.map_err(|error| Failure::io("standard output".as_ref(), &error))?;
                Ok(Exit::Clean)
            }
            ShellCommand::Man { to: None, .. } => manual::print(plain::<P>()),
            ShellCommand::Man {
                to: Some(folder),
                force,
            } => {
                let written = manual::write(plain::<P>(), folder, *force)?;
                let (count, folder) = (written.len(), folder.display());
                output.remark(&format_args!("{count} pages written to {folder}"));
                Ok(Exit::Clean)
            }
            ShellCommand::Help { about } => help(described::<P>(), about.as_deref(), output),
        }
    }
}

/// The help of a program or one of its commands, or a text on a topic.
fn help(mut program: Command, about: Option<&str>, output: &mut Output) -> Result<Exit, Failure> {
    if let Some(topic) = about.and_then(topics::find) {
        let text = topic.text(program.get_name(), columns());
        output.text(&text)?;
        return Ok(Exit::Clean);
    }
    // The parser has let no word pass that is neither. A closed standard output means that nobody listens.
    let line = [
        Some(program.get_name().to_owned()),
        about.map(str::to_owned),
    ];
    let line = line.into_iter().flatten().chain(["--help".to_owned()]);
    if let Err(help) = program.try_get_matches_from_mut(line.collect::<Vec<_>>()) {
        let _ = help.print();
    }
    Ok(Exit::Clean)
}

/// How wide a text may be: as wide as the terminal, but no wider than eyes can follow.
fn columns() -> usize {
    match io::stdout().is_terminal() {
        true => usize::from(Term::stdout().size().1).clamp(40, 100),
        false => 80,
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

/// The program `P`, with examples after the help of a command and nothing else.
fn plain<P: CommandFactory>() -> Command {
    let program = P::command().disable_help_subcommand(true);
    let global = program
        .get_arguments()
        .filter(|option| option.is_global_set());
    let hidden: Vec<_> = global.map(|option| option.clone().hide(true)).collect();
    let commands = program.get_subcommands().map(Command::get_name);
    // clap keeps names for as long as the program runs.
    let commands = commands.map(|name| PossibleValue::new(&*name.to_owned().leak()));
    let topics = topics::TOPICS.iter();
    let topics = topics.map(|topic| PossibleValue::new(topic.name).hide(topic.name.contains('/')));
    let words = PossibleValuesParser::new(commands.chain(topics).collect::<Vec<_>>());
    program.mut_subcommands(|command| match command.get_name() {
        "help" => command
            .args(&hidden)
            .mut_arg("about", |word| word.value_parser(words.clone())),
        name if SHELL_COMMANDS.contains(&name) => command.args(&hidden),
        _ => command,
    })
}

/// The program `P`, whose help ends with the topics and the exit codes.
fn described<P: CommandFactory>() -> Command {
    let short: Vec<String> = Exit::ALL
        .iter()
        .map(|exit| format!("{} {}", *exit as u8, exit.words().0))
        .collect();
    let short = format!("Exit codes: {}", short.join(", "));
    let program = plain::<P>();
    let topics = topics::list(program.get_name());
    let program = program.mut_subcommands(|command| match command.get_name() {
        "help" => ending(command, &topics),
        name if SHELL_COMMANDS.contains(&name) => command,
        _ => ending(command, &short),
    });
    let mut long = String::from("Exit codes:");
    for exit in Exit::ALL {
        long.push_str(&format!("\n  {}  {}", exit as u8, exit.words().1));
    }
    ending(ending(program, &topics), &long)
}

/// A command whose help ends with `text`, after its examples.
fn ending(command: Command, text: &str) -> Command {
    let examples = command.get_after_help().map(ToString::to_string);
    let end = match examples {
        Some(examples) => format!("{examples}\n\n{text}"),
        None => text.to_owned(),
    };
    command.after_help(end)
}

/// The command line, without what is secret in addresses: what a program names in an answer, a file or a message is what
/// stands here. Passwords are kept for the connection.
pub fn arguments() -> &'static [OsString] {
    static ARGUMENTS: OnceLock<Vec<OsString>> = OnceLock::new();
    ARGUMENTS.get_or_init(|| std::env::args_os().map(without_secrets).collect())
}

fn without_secrets(argument: OsString) -> OsString {
    #[cfg(feature = "remote")]
    if let Some(text) = argument.to_str()
        && let Some(plain) = evidence_remote::keyring::without_secrets(text)
    {
        return plain.into();
    }
    argument
}

/// Makes archives and disk images known, and addresses of stores with the credentials that the usual tools of each service use.
/// Call once; [`run`] does.
pub fn mount() {
    // First: an archive or an image may lie at an address.
    let within: Vec<std::sync::Arc<dyn evidence::Container>> = vec![
        #[cfg(feature = "images")]
        std::sync::Arc::new(evidence_image::Images),
        #[cfg(feature = "archives")]
        std::sync::Arc::new(evidence_archive::Archives),
    ];
    if !within.is_empty() {
        evidence::mount(std::sync::Arc::new(evidence::FilesWithin::new(within)));
    }
    #[cfg(feature = "remote")]
    {
        use evidence_remote::{RemoteSettings, RemoteVolume};
        let settings = RemoteSettings::from_variables(|name| std::env::var(name).ok());
        let volume = RemoteVolume::new(settings, crate::interrupted);
        evidence::mount(std::sync::Arc::new(volume));
    }
}

/// Runs a program: parses the command line, calls `work`, and turns its result into an exit code.
///
/// `options` picks the common options out of the parsed command line. A failure is reported as [`Output::failure`]
/// does.
pub fn run<P: Parser>(
    options: impl FnOnce(&P) -> RunOptions,
    work: impl FnOnce(P, &mut Output) -> Result<Exit, Failure>,
) -> ExitCode {
    let arguments = arguments();
    let json = usage::asks_for_json(arguments);
    let mut command = described::<P>();
    let parsed = command
        .try_get_matches_from_mut(arguments)
        .and_then(|matches| {
            P::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
        });
    let program = match parsed {
        Ok(program) => program,
        Err(error) => return usage::report(&answered(error, &command, arguments), json),
    };
    watch_interrupts();
    mount();
    let options = options(&program);
    if options.json {
        colour::forbid();
    }
    limit_threads(options.threads());
    let mut output = Output::new(&options);
    if is_cut(arguments) {
        output.remark(
            &"NOTE: what comes after ? in an address is not sent; a signed link does not work",
        );
    }
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

/// Whether an address lost its query.
fn is_cut(arguments: &[OsString]) -> bool {
    let has_query = |argument: &OsString| argument.to_string_lossy().contains('?');
    let mut typed = std::env::args_os().zip(arguments);
    typed.any(|(typed, plain)| has_query(&typed) && !has_query(plain))
}

fn limit_threads(threads: usize) {
    // Fails only when the pool exists already, and nothing runs before this.
    let _ = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global();
}
