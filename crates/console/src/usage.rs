//! What is said of a command line that makes no sense, and of one that asks for help.

use crate::output::FAILURE;
use crate::{Exit, Failure, Output, RunOptions, colour, complain};
use std::ffi::OsString;
use std::process::ExitCode;

/// Whether the command line, which may make no sense otherwise, asks for JSON.
pub(crate) fn asks_for_json(arguments: &[OsString]) -> bool {
    let mut options = arguments.iter().skip(1).take_while(|word| *word != "--");
    options.any(|word| word == "--json" || word.to_string_lossy().starts_with("--json="))
}

/// Prints why nothing was done, and ends as a misuse; `--help` and `--version` are answers.
pub(crate) fn report(error: &clap::Error, json: bool) -> ExitCode {
    if !error.use_stderr() {
        // A closed standard output means that nobody listens.
        let _ = error.print();
        return Exit::Clean.into();
    }
    if json {
        colour::forbid();
        let options = RunOptions {
            json,
            ..RunOptions::default()
        };
        let mut output = Output::new(&options);
        let _ = output.document(FAILURE, &failure(error));
        let _ = output.flush();
        complain(&error.render().to_string().trim_end());
    } else {
        let _ = error.print();
    }
    Exit::Usage.into()
}

/// The same as every other failure has it: what is wrong, and what to do about it, each in one line.
fn failure(error: &clap::Error) -> Failure {
    let text = error.render().to_string();
    let mut parts = text.split("\n\n").map(one_line);
    let message = parts.next().unwrap_or_default();
    let message = message.strip_prefix("error: ").unwrap_or(&message);
    let told = |part: &String| !part.is_empty() && !part.starts_with("For more information");
    let advice: Vec<String> = parts.filter(told).collect();
    let failure = Failure::new(Exit::Usage, message);
    match advice.is_empty() {
        true => failure,
        false => failure.advise(advice.join("; ")),
    }
}

fn one_line(part: &str) -> String {
    part.split_whitespace().collect::<Vec<_>>().join(" ")
}
