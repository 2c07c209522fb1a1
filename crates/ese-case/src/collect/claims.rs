//! Which of several equal databases is read: the first of them.

use super::record::DatabaseRecord;
use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// What is known of the content of one database.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Content {
    /// Nothing yet.
    Awaited,
    /// It could not be digested, or it equals one that was.
    None,
    /// Its digest.
    Digest(String),
}

/// A source whose rows are written.
#[derive(Debug)]
struct Written {
    source: String,
    is_of_series: bool,
}

/// The contents of all databases, as far as they are known.
#[derive(Debug)]
pub(super) struct Claims {
    sources: Vec<String>,
    /// Whether each is one of several states of a database.
    is_of_series: Vec<bool>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    contents: Vec<Content>,
    /// Contents whose rows are written, by earlier runs, and the source.
    written: HashMap<String, Written>,
    is_over: bool,
}

impl Claims {
    /// Nothing is known but what is done.
    pub(super) fn new(begun: &[DatabaseRecord], known: &HashMap<String, DatabaseRecord>) -> Self {
        let contents = begun.iter().map(|record| match known.get(&record.id) {
            None => Content::Awaited,
            Some(known) => match (&known.content, &known.same_as) {
                (Some(content), None) => Content::Digest(content.clone()),
                _ => Content::None,
            },
        });
        let mut written: HashMap<String, Written> = HashMap::new();
        for record in begun.iter().rev().filter_map(|begun| known.get(&begun.id)) {
            let Some(content) = record.content.clone().filter(|_| record.same_as.is_none()) else {
                continue;
            };
            let one = Written {
                source: record.source.clone(),
                is_of_series: record.series.is_some(),
            };
            written.insert(content, one);
        }
        Claims {
            sources: begun.iter().map(|record| record.source.clone()).collect(),
            is_of_series: begun.iter().map(|record| record.series.is_some()).collect(),
            state: Mutex::new(State {
                contents: contents.collect(),
                written,
                is_over: false,
            }),
            changed: Condvar::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says what the content of a database is, and waits until those of all before it are known. The source that has the same
    /// content and is to be read instead, if there is one.
    pub(super) fn claim(&self, number: usize, content: Option<&str>) -> Option<String> {
        let mut state = self.state();
        state.contents[number] = match content {
            Some(content) => Content::Digest(content.to_owned()),
            None => Content::None,
        };
        self.changed.notify_all();
        let content = Content::Digest(content?.to_owned());
        while !state.is_over && state.contents[..number].contains(&Content::Awaited) {
            let waited = self.changed.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
        if state.is_over {
            return None;
        }
        // One of a series is read, even if another run has read one that equals it and lies elsewhere.
        if let Content::Digest(digest) = &content
            && let Some(written) = state.written.get(digest)
            && (written.is_of_series || !self.is_of_series[number])
        {
            return Some(written.source.clone());
        }
        let first = state.contents[..number]
            .iter()
            .position(|other| *other == content);
        first.map(|first| self.sources[first].clone())
    }

    /// Lets nobody wait any more, should this thread panic.
    pub(super) fn guard(&self) -> ClaimsGuard<'_> {
        ClaimsGuard(self)
    }

    /// Nobody waits any more.
    pub(super) fn end(&self) {
        self.state().is_over = true;
        self.changed.notify_all();
    }

    pub(super) fn is_over(&self) -> bool {
        self.state().is_over
    }
}

/// Ends the claims when a panic drops it.
pub(super) struct ClaimsGuard<'c>(&'c Claims);

impl Drop for ClaimsGuard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.end();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(count: usize) -> Claims {
        Claims {
            sources: (0..count).map(|number| number.to_string()).collect(),
            is_of_series: vec![false; count],
            state: Mutex::new(State {
                contents: vec![Content::Awaited; count],
                written: HashMap::new(),
                is_over: false,
            }),
            changed: Condvar::new(),
        }
    }

    #[test]
    fn the_first_of_equal_ones_is_read_whoever_comes_first() {
        let claims = claims(4);
        std::thread::scope(|scope| {
            let later = scope.spawn(|| claims.claim(3, Some("a")));
            let other = scope.spawn(|| claims.claim(2, Some("b")));
            assert_eq!(claims.claim(0, None), None);
            assert_eq!(claims.claim(1, Some("a")), None);
            assert_eq!(later.join().unwrap().as_deref(), Some("1"));
            assert_eq!(other.join().unwrap(), None);
        });
    }

    #[test]
    fn nobody_waits_once_it_is_over() {
        let claims = claims(2);
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| claims.claim(1, Some("a")));
            claims.end();
            assert_eq!(waits.join().unwrap(), None);
        });
    }
}
