//! The search: which ESE files are there, and which of them belong together.
//!
//! ```text
//! walk       folders, archives, images, shadow copies: every file's first bytes       in parallel
//! look       what an ESE file says of itself: header, tables, generation, signature
//! belong     logs, checkpoint and flush map of each database, by signatures           nothing is read
//! judge      the plan of a recovery with those logs                                   reads the logs that are needed
//! ```
//!
//! Results are in the order of the paths that were given and of the names below them, whatever the number of threads. What
//! could not be looked at is a [`Problem`] and does not end the search.

mod belong;
mod found;
mod judge;
mod look;
mod packed;
mod walk;

pub use found::{
    CheckpointLook, Content, DatabaseKind, DatabaseLogs, DatabaseLook, FlushMapLook, Found,
    FoundDatabase, FoundFile, LogLook, LogStreamFound, LogsFrom, Looked, Origin, Problem, Verdict,
};

use belong::Shelves;
use ese_format::{Generation, Progress, Signature};
use judge::{Known, judge};
use std::collections::{BTreeSet, HashSet};
use std::path::PathBuf;
use walk::{Item, Walk};

/// Bytes of stack for each thread.
const STACK: usize = 32 << 20;

/// How to search.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct FindOptions {
    /// Whether the shadow copies of volumes in images are searched, too.
    pub shadow_copies: bool,
    /// Try the recovery of every database that needs one, with so many bytes of memory. Otherwise plans are read from headers
    /// and logs alone.
    pub trial_memory: Option<usize>,
    /// Threads that read at the same time.
    pub threads: usize,
}

impl Default for FindOptions {
    fn default() -> Self {
        FindOptions {
            shadow_copies: true,
            trial_memory: None,
            threads: 1,
        }
    }
}

/// Searches `paths` and everything below and within them. None if `progress` asked to stop; it is told of each file that was
/// looked at, as if that were one byte.
pub fn find(paths: &[PathBuf], options: &FindOptions, progress: &dyn Progress) -> Option<Found> {
    // Folders lie in each other, and each is a step down the stack.
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(options.threads)
        .stack_size(STACK)
        .build();
    match pool {
        Ok(pool) => pool.install(|| search(paths, options, progress)),
        // Without threads of its own it takes those that there are.
        Err(_) => search(paths, options, progress),
    }
}

fn search(paths: &[PathBuf], options: &FindOptions, progress: &dyn Progress) -> Option<Found> {
    let walk = Walk::new(options, progress);
    let (mut files, mut problems) = (Vec::new(), Vec::new());
    for item in walk.all(paths)? {
        match item {
            Item::File(file) => files.push(*file),
            Item::Problem(problem) => problems.push(problem),
        }
    }
    let mut found = put_together(&files, options, &Quiet(progress))?;
    found.problems = problems;
    found.looked = walk.looked();
    if found.is_empty() && found.looked.unread > 0 {
        found
            .problems
            .push(Problem::unread(paths, found.looked.unread));
    }
    Some(found)
}

impl Found {
    /// Whether nothing of ESE's was found.
    pub fn is_empty(&self) -> bool {
        self.databases.is_empty() && self.streams.is_empty() && self.others.is_empty()
    }
}

/// Counts nothing: plans read bytes, and files are counted.
struct Quiet<'p>(&'p dyn Progress);

impl Progress for Quiet<'_> {
    fn advance(&self, _bytes: u64) {}

    fn should_stop(&self) -> bool {
        self.0.should_stop()
    }
}

/// Gives every file its place: with a database, with the other logs of its stream, or alone.
fn put_together(
    files: &[FoundFile],
    options: &FindOptions,
    progress: &dyn Progress,
) -> Option<Found> {
    let shelves = Shelves::of(files);
    let databases = || {
        files.iter().filter_map(|file| match &file.content {
            Content::Database(look) => Some((file, look)),
            _ => None,
        })
    };
    let known = databases().filter_map(|(file, look)| {
        let signature = look.header.as_ref()?.signature;
        Some(Known { file, signature })
    });
    let known: Vec<Known<'_>> = known.collect();
    let damaged: Vec<&FoundFile> = files.iter().filter(|file| file.is_damaged()).collect();
    let mut found = Found::default();
    let mut placed: HashSet<PathBuf> = HashSet::new();
    for (file, look) in databases() {
        let header = look.header.as_ref();
        let belongings = shelves.belongings(file, header);
        let logs = belongings.logs;
        let verdict = judge(file, header, &logs, &known, options, progress)?;
        let stream = logs.stream.iter();
        let leftovers =
            stream.flat_map(|stream| stream.leftovers.iter().chain(&stream.checkpoints));
        let own = [belongings.checkpoint, belongings.flush_map];
        let own: HashSet<&PathBuf> = (leftovers.map(|file| &file.path))
            .chain(logs.paths.iter().chain(&belongings.unused))
            .chain(own.into_iter().flatten().map(|file| &file.path))
            .collect();
        let damaged = damaged.iter().filter(|file| own.contains(&file.path));
        let damaged = damaged.map(|file| (*file).clone()).collect();
        placed.extend(own.into_iter().cloned());
        let host = header.and_then(|header| {
            let names = [header.signature, header.log_signature].map(|one| one.computer());
            names.into_iter().find(|name| !name.is_empty())
        });
        found.databases.push(FoundDatabase {
            file: file.clone(),
            logs,
            checkpoint: belongings.checkpoint.cloned(),
            flush_map: belongings.flush_map.cloned(),
            unused: belongings.unused,
            damaged,
            verdict,
            host,
        });
    }
    let rest = files.iter().filter(|file| !placed.contains(&file.path));
    let mut streams: Vec<LogStreamFound> = Vec::new();
    for file in rest {
        match &file.content {
            Content::Database(_) => {}
            Content::Log(LogLook { signature, .. }) => {
                stream_of(&mut streams, *signature, file)
                    .logs
                    .push(file.clone());
            }
            Content::Checkpoint(CheckpointLook {
                signature: Some(signature),
                ..
            }) if is_there(files, *signature) => {
                let stream = stream_of(&mut streams, Some(*signature), file);
                stream.checkpoints.push(file.clone());
            }
            _ => found.others.push(file.clone()),
        }
    }
    streams.iter_mut().for_each(LogStreamFound::complete);
    found.streams = streams;
    Some(found)
}

/// Whether a log of the stream was found.
fn is_there(files: &[FoundFile], stream: Signature) -> bool {
    files.iter().any(|file| match &file.content {
        Content::Log(log) => log.signature == Some(stream),
        _ => false,
    })
}

/// The stream of a log or checkpoint: by its signature, or where that is lost, by its folder.
fn stream_of<'s>(
    streams: &'s mut Vec<LogStreamFound>,
    signature: Option<Signature>,
    file: &FoundFile,
) -> &'s mut LogStreamFound {
    let is_it = |stream: &LogStreamFound| {
        let in_folder = || stream.logs.iter().all(|log| log.folder == file.folder);
        stream.signature == signature && (signature.is_some() || in_folder())
    };
    let at = streams.iter().position(is_it).unwrap_or_else(|| {
        streams.push(LogStreamFound::new(signature));
        streams.len() - 1
    });
    &mut streams[at]
}

impl LogStreamFound {
    fn new(signature: Option<Signature>) -> Self {
        let host = signature.map(|signature| signature.computer());
        LogStreamFound {
            signature,
            generations: None,
            missing: Vec::new(),
            logs: Vec::new(),
            checkpoints: Vec::new(),
            host: host.filter(|name| !name.is_empty()),
            databases: Vec::new(),
        }
    }

    /// Says what its logs come to.
    fn complete(&mut self) {
        let number = |file: &FoundFile| match &file.content {
            Content::Log(log) => log.generation,
            _ => None,
        };
        self.logs
            .sort_by(|a, b| (number(a), &a.path).cmp(&(number(b), &b.path)));
        let numbers: Vec<Generation> = self.logs.iter().filter_map(number).collect();
        if let (Some(first), Some(last)) = (numbers.first(), numbers.last()) {
            let range = *first..=*last;
            self.missing = belong::missing(numbers.iter().copied(), &range);
            self.generations = Some(range);
        }
        let attached = self.logs.iter().flat_map(|file| match &file.content {
            Content::Log(log) => &log.attachments[..],
            _ => &[],
        });
        let databases: BTreeSet<String> = attached.map(|one| one.path.clone()).collect();
        self.databases = databases.into_iter().collect();
    }
}
