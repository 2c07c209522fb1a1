//! Both forms of a runbook.

use super::quote::{literal, markdown, one_line};
use super::{Runbook, RunbookCommand, RunbookStep};
use std::fmt::Write;

impl Runbook {
    /// For people.
    pub fn to_markdown(&self) -> String {
        let mut text = format!("# {}\n\n", markdown(&self.title));
        for note in &self.notes {
            let _ = writeln!(text, "- {}", markdown(note));
        }
        for (number, step) in (1..).zip(&self.steps) {
            let _ = write!(
                text,
                "\n## {number}. {}\n\nConcerns **{}**. {}\n\n",
                markdown(&step.title),
                markdown(&step.machine),
                markdown(&step.text)
            );
            let fence = fence(step);
            let _ = writeln!(text, "{fence}powershell");
            if let Some(condition) = &step.when {
                let _ = writeln!(text, "# only if: {}", one_line(condition));
            }
            for command in &step.commands {
                let _ = writeln!(text, "{}", command.line());
                if let RunbookCommand::Program {
                    refused: Some(line),
                    ..
                } = command
                {
                    let _ = writeln!(
                        text,
                        "# only if it was refused, and you have read why:\n{line}"
                    );
                }
            }
            let _ = writeln!(text, "{fence}");
        }
        text
    }

    /// For PowerShell: it waits before every step, and stops at the first that fails. `-From N` begins with step N.
    pub fn to_powershell(&self) -> String {
        let mut text = format!("# {}\n", one_line(&self.title));
        for note in &self.notes {
            let _ = writeln!(text, "# {}", one_line(note));
        }
        text += "# -From N begins with step N.\n";
        text += "param([int]$From = 1)\n$ErrorActionPreference = 'Stop'\n";
        let head = text.len();
        for (number, step) in (1..).zip(&self.steps) {
            write_step(&mut text, number, step, self.station);
        }
        if !text.is_ascii() {
            text.insert_str(head, READ_RIGHTLY);
        }
        text
    }
}

fn write_step(text: &mut String, number: usize, step: &RunbookStep, station: bool) {
    let title = format!("{number}. {} ({})", step.title, step.machine);
    let _ = writeln!(text, "\nif ($From -le {number}) {{");
    let _ = writeln!(text, "    Write-Host {}", literal(&one_line(&title)));
    let mut indent = "    ";
    if let Some(condition) = &step.when {
        let _ = writeln!(text, "    if ({condition}) {{");
        indent = "        ";
    }
    let said = literal(&one_line(&step.text));
    let _ = writeln!(text, "{indent}Write-Host {said}");
    let _ = writeln!(
        text,
        "{indent}Read-Host 'Enter goes on, Ctrl-C stops' | Out-Null"
    );
    for command in &step.commands {
        match command {
            RunbookCommand::Shell { line } => {
                let _ = writeln!(text, "{indent}{line}");
            }
            program if station => show_program(text, indent, number, program),
            program => run_program(text, indent, number, program),
        }
    }
    if step.when.is_some() {
        text.push_str(
            "    } else {\n        Write-Host 'Passed over: it was done before, or its turn has not come.'\n    }\n",
        );
    }
    text.push_str("}\n");
}

/// In another encoding than it was saved in, a letter may be read as a quote. A script is read as a whole before its first
/// line runs, so nothing has happened yet.
const READ_RIGHTLY: &str =
    "if ('\u{e9}' -cne [char]233) { throw 'Save this script as UTF-8 with a byte order mark' }\n";

/// A program that the script itself runs.
fn run_program(text: &mut String, indent: &str, number: usize, command: &RunbookCommand) {
    let RunbookCommand::Program {
        line,
        accept,
        says,
        refused,
    } = command
    else {
        return;
    };
    let run = |text: &mut String, indent: &str, line: &str| {
        let _ = match says {
            Some(_) => writeln!(
                text,
                "{indent}$said = {line} | Out-String\n{indent}Write-Host $said"
            ),
            None => writeln!(text, "{indent}{line}"),
        };
    };
    run(text, indent, line);
    if let Some(other) = refused {
        let _ = writeln!(text, "{indent}if ($LASTEXITCODE -eq 5) {{");
        let inner = format!("{indent}    ");
        let _ = writeln!(text, "{inner}{}", ask_refused());
        run(text, &inner, other);
        let _ = writeln!(text, "{indent}}}");
    }
    let _ = writeln!(
        text,
        "{indent}if ($LASTEXITCODE -gt {accept}) {{ throw \"step {number} ended with exit code $LASTEXITCODE\" }}"
    );
    if let Some(pattern) = says {
        let missing = literal(&format!(
            "step {number} does not say what it has to: {}",
            in_words(pattern)
        ));
        let pattern = literal(pattern);
        let _ = writeln!(
            text,
            "{indent}if ($said -notmatch {pattern}) {{ throw {missing} }}"
        );
    }
}

/// A program that a person runs at the station. An answer that is not one of those that may pass stops the script.
fn show_program(text: &mut String, indent: &str, number: usize, command: &RunbookCommand) {
    let RunbookCommand::Program {
        line,
        accept,
        says,
        refused,
    } = command
    else {
        return;
    };
    let show = |text: &mut String, indent: &str, line: &str| {
        let _ = writeln!(text, "{indent}Write-Host 'Run this at the station:'");
        let _ = writeln!(text, "{indent}Write-Host {}", literal(line));
        let _ = writeln!(text, "{indent}$code = Read-Host 'Its exit code'");
    };
    if let Some(pattern) = says {
        let has_to = literal(&format!(
            "Stop if it does not say: {}",
            pattern.replace(" +", " ")
        ));
        let _ = writeln!(text, "{indent}Write-Host {has_to}");
    }
    show(text, indent, line);
    if let Some(other) = refused {
        let _ = writeln!(text, "{indent}if ('5' -eq $code) {{");
        let inner = format!("{indent}    ");
        let _ = writeln!(text, "{inner}{}", ask_refused());
        show(text, &inner, other);
        let _ = writeln!(text, "{indent}}}");
    }
    let codes: Vec<String> = (0..=*accept).map(|code| format!("'{code}'")).collect();
    let _ = writeln!(
        text,
        "{indent}if ({} -notcontains $code) {{ throw \"step {number} ended with exit code $code\" }}",
        codes.join(", ")
    );
}

/// A pattern of ours for people.
fn in_words(pattern: &str) -> String {
    let pattern = pattern.trim_matches(['(', ')']);
    pattern.replace(" +", " ").replace('|', ", or ")
}

fn ask_refused() -> &'static str {
    "Read-Host 'Refused, as said above. Enter puts aside what is there, Ctrl-C stops' | Out-Null"
}

/// A fence that no command can end.
fn fence(step: &RunbookStep) -> String {
    let lines = step
        .commands
        .iter()
        .map(RunbookCommand::line)
        .chain(step.when.as_deref());
    let longest = lines.flat_map(|line| line.split(|char| char != '`').map(str::len));
    "`".repeat(longest.max().unwrap_or_default().max(2) + 1)
}
