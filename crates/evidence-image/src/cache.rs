//! What was used last of what is dear to make.

use std::collections::VecDeque;
use std::fmt::{self, Debug};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

/// What was used last of what is dear to make.
pub(crate) struct Cache<K, V> {
    most: usize,
    kept: Mutex<VecDeque<(K, Arc<V>)>>,
}

impl<K: PartialEq, V> Cache<K, V> {
    /// Keeps so many.
    pub(crate) fn of(most: usize) -> Self {
        Cache {
            most,
            kept: Mutex::default(),
        }
    }

    /// Keeps blocks of so many bytes, about 16 MiB of them.
    pub(crate) fn of_blocks(length: u64) -> Self {
        let most = (16 << 20) / length.max(1);
        Self::of(usize::try_from(most).unwrap_or(usize::MAX).clamp(2, 512))
    }

    pub(crate) fn get(&self, key: &K) -> Option<Arc<V>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let at = kept.iter().position(|(known, _)| known == key)?;
        if at > 0 {
            let entry = kept.remove(at)?;
            kept.push_front(entry);
        }
        kept.front().map(|(_, value)| Arc::clone(value))
    }

    pub(crate) fn put(&self, key: K, value: V) -> Arc<V> {
        let value = Arc::new(value);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(known, _)| *known != key);
        kept.push_front((key, Arc::clone(&value)));
        kept.truncate(self.most);
        value
    }

    /// What is kept, or made now. Two threads may make the same: neither waits for the other.
    pub(crate) fn get_or(
        &self,
        key: K,
        make: impl FnOnce() -> io::Result<V>,
    ) -> io::Result<Arc<V>> {
        match self.get(&key) {
            Some(value) => Ok(value),
            None => Ok(self.put(key, make()?)),
        }
    }
}

impl<K, V> Debug for Cache<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cache of {}", self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_last_is_kept() {
        let cache = Cache::of(2);
        for key in [1, 2, 1, 3] {
            cache.get_or(key, || Ok(key * 10)).unwrap();
        }
        assert_eq!(cache.get(&1).as_deref(), Some(&10));
        assert_eq!(cache.get(&3).as_deref(), Some(&30));
        assert_eq!(cache.get(&2), None);
    }
}
