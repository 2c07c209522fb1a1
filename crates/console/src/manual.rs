//! Manual pages: one for a program, one for each of its commands, made from what clap knows of them.

use crate::{Exit, Failure, files};
use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use target_disk::{Disk, LocalDisk};

/// All programs, each of which has a page.
const PROGRAMS: [&str; 5] = ["edbtool", "logchain", "edbreplay", "edbcopy", "scr"];

/// A manual page.
struct Page {
    /// Its file, as in `edbtool-header.1`.
    file: String,
    roff: Vec<u8>,
}

/// Prints the page of a program, followed by those of its commands.
pub(crate) fn print(command: Command) -> Result<Exit, Failure> {
    let told = |error: io::Error| Failure::io("standard output".as_ref(), &error);
    let pages = pages(command).map_err(told)?;
    let all: Vec<u8> = pages.into_iter().flat_map(|page| page.roff).collect();
    io::stdout().write_all(&all).map_err(told)?;
    Ok(Exit::Clean)
}

/// Writes each page to its own file in `folder`, and gives their paths. Nothing is written if one of them is there
/// already, unless it may be replaced.
pub(crate) fn write(
    command: Command,
    folder: &Path,
    replace: bool,
) -> Result<Vec<PathBuf>, Failure> {
    let told = |path: &Path| {
        let path = path.to_owned();
        move |error: io::Error| Failure::io(&path, &error)
    };
    let pages = pages(command).map_err(told(folder))?;
    let paths = pages.iter().map(|page| folder.join(&page.file));
    let paths: Vec<PathBuf> = paths.collect();
    let standing = paths.iter().find(|path| path.symlink_metadata().is_ok());
    if let Some(path) = standing.filter(|_| !replace) {
        let message = format!("{} exists already", path.display());
        return Err(
            Failure::new(Exit::Refused, message).advise("choose another folder, or add --force")
        );
    }
    LocalDisk.create_folders(folder).map_err(told(folder))?;
    for (path, page) in paths.iter().zip(&pages) {
        let written = match replace {
            // A link of that name is replaced; what it leads to is not written.
            true => files::replace(path, &page.roff),
            false => LocalDisk
                .create(path)
                .and_then(|file| file.write_all_at(&page.roff, 0)),
        };
        written.map_err(told(path))?;
    }
    Ok(paths)
}

/// The page of a program, and those of its commands.
fn pages(mut command: Command) -> io::Result<Vec<Page>> {
    command.build();
    let commands = command.get_subcommands().filter(|sub| !sub.is_hide_set());
    let commands: Vec<Command> = commands.cloned().collect();
    let program = command.get_name().to_owned();
    let version = command.get_version().unwrap_or_default();
    let source = format!("edbkit {version}");
    let others = PROGRAMS.iter().filter(|other| **other != program);
    let others: Vec<String> = others.map(|other| (*other).to_owned()).collect();
    let mut pages = vec![page(&command, &program, &source, &others)?];
    for one in &commands {
        let others = commands
            .iter()
            .filter(|other| other.get_name() != one.get_name());
        let others = others.map(|other| format!("{program}-{}", other.get_name()));
        let see: Vec<String> = std::iter::once(program.clone()).chain(others).collect();
        pages.push(page(one, &program, &source, &see)?);
    }
    Ok(pages)
}

fn page(command: &Command, program: &str, source: &str, see: &[String]) -> io::Result<Page> {
    let man = Man::new(command.clone()).source(source).manual("edbkit");
    let mut roff = Vec::new();
    man.render_title(&mut roff)?;
    man.render_name_section(&mut roff)?;
    man.render_synopsis_section(&mut roff)?;
    man.render_description_section(&mut roff)?;
    man.render_options_section(&mut roff)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut roff)?;
    }
    sections(command, program, see).to_writer(&mut roff)?;
    if command.get_version().is_some() {
        man.render_version_section(&mut roff)?;
    }
    let file = man.get_filename();
    Ok(Page { file, roff })
}

/// What clap's pages do not have: examples, exit status, related pages.
fn sections(command: &Command, program: &str, see: &[String]) -> Roff {
    let mut roff = Roff::new();
    let examples = command.get_after_help().map(ToString::to_string);
    if let Some(examples) = examples {
        roff.control("SH", ["EXAMPLES"]);
        // The first line is their heading.
        for line in examples.lines().skip(1) {
            let is_command = line.starts_with("    ") || line.trim_start().starts_with(program);
            match is_command {
                true => {
                    roff.control("nf", []);
                    roff.text([roman(line)]);
                    roff.control("fi", []);
                }
                false => {
                    roff.control("PP", []);
                    roff.text([roman(line.trim())]);
                }
            }
        }
    }
    roff.control("SH", ["EXIT STATUS"]);
    for exit in Exit::ALL {
        roff.control("TP", []);
        roff.text([bold((exit as u8).to_string())]);
        roff.text([roman(exit.words().1)]);
    }
    roff.control("SH", ["SEE ALSO"]);
    let last = see.len().saturating_sub(1);
    for (place, name) in see.iter().enumerate() {
        let end = if place == last { "(1)" } else { "(1)," };
        roff.text([bold(name.as_str()), roman(end)]);
    }
    roff
}
