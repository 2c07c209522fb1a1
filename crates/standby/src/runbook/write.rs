//! Both forms of a runbook.

use super::quote::{literal, markdown, one_line};
use super::{Command, Runbook, Step};
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
                "\n## {number}. {}\n\nOn **{}**. {}\n\n",
                markdown(&step.title),
                markdown(&step.machine),
                markdown(&step.text)
            );
            let fence = fence(step);
            let _ = writeln!(text, "{fence}powershell");
            for command in &step.commands {
                let _ = writeln!(text, "{}", command.line());
            }
            let _ = writeln!(text, "{fence}");
        }
        text
    }

    /// For PowerShell: it waits before every step, and stops at the first that fails.
    pub fn to_powershell(&self) -> String {
        let mut text = format!("# {}\n", one_line(&self.title));
        for note in &self.notes {
            let _ = writeln!(text, "# {}", one_line(note));
        }
        text += "$ErrorActionPreference = 'Stop'\n";
        for (number, step) in (1..).zip(&self.steps) {
            let title = format!("{number}. {} (on {})", step.title, step.machine);
            let _ = writeln!(text, "\nWrite-Host {}", literal(&one_line(&title)));
            let _ = writeln!(text, "Write-Host {}", literal(&one_line(&step.text)));
            text += "Read-Host 'Enter goes on, Ctrl-C stops' | Out-Null\n";
            for command in &step.commands {
                let _ = writeln!(text, "{}", command.line());
                if let Command::Program { accept, .. } = command {
                    let _ = writeln!(
                        text,
                        "if ($LASTEXITCODE -gt {accept}) {{ throw \"step {number} ended with exit code $LASTEXITCODE\" }}"
                    );
                }
            }
        }
        text
    }
}

/// A fence that no command can end.
fn fence(step: &Step) -> String {
    let lines = step.commands.iter().map(Command::line);
    let longest = lines.flat_map(|line| line.split(|char| char != '`').map(str::len));
    "`".repeat(longest.max().unwrap_or_default().max(2) + 1)
}
