//! What was used last of what is dear to make.

use evidence::{ReadError, ReadErrorKind};
use std::collections::VecDeque;
use std::fmt::{self, Debug};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

/// What was used last of what is dear to make.
pub(crate) struct Cache<K, V> {
    most: usize,
    heaviest: usize,
    weight: fn(&V) -> usize,
    kept: Mutex<VecDeque<(K, Arc<V>)>>,
}

impl<K: PartialEq, V> Cache<K, V> {
    /// Keeps so many.
    pub(crate) fn of(most: usize) -> Self {
        Self::of_weight(most, usize::MAX, |_| 0)
    }

    /// Keeps so many, as long as they weigh no more than this together; but always the last.
    pub(crate) fn of_weight(most: usize, heaviest: usize, weight: fn(&V) -> usize) -> Self {
        Cache {
            most,
            heaviest,
            weight,
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
        let mut left = self.heaviest;
        let light = kept.iter().take(self.most).take_while(|(_, value)| {
            let rest = left.checked_sub((self.weight)(value));
            left = rest.unwrap_or_default();
            rest.is_some()
        });
        let light = light.count().max(1);
        kept.truncate(light);
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

/// Something that is made once, when it is asked for. What failed stays so, but what may succeed later is tried again.
#[derive(Debug)]
pub(crate) struct Kept<T>(Mutex<Option<Result<Arc<T>, ReadError>>>);

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Kept(Mutex::new(None))
    }
}

impl<T> Kept<T> {
    pub(crate) fn get(&self, make: impl FnOnce() -> io::Result<T>) -> io::Result<Arc<T>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = &*kept {
            return kept.clone().map_err(io::Error::from);
        }
        let made = make().map(Arc::new);
        let made = made.map_err(|error| ReadError::from_io(&error));
        let is_final = |error: &ReadError| error.kind == ReadErrorKind::Permanent;
        if made.as_ref().err().is_none_or(is_final) {
            *kept = Some(made.clone());
        }
        Ok(made?)
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
        let cache = Cache::of_weight(9, 100, |value| *value);
        for key in [30, 40, 50, 200] {
            let before = cache.get(&30).is_some();
            cache.get_or(key, || Ok(key)).unwrap();
            assert_eq!(cache.get(&30).is_some(), key < 200 && (before || key == 30));
        }
        assert!(cache.get(&200).is_some() && cache.get(&50).is_none());
    }
}
