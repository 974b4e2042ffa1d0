//! What is likely wanted again, as much of it as a bound in bytes allows; what was not used for longest goes first. Nothing in
//! it can be stale: keys name content that never changes.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

/// A cache. Values are handed out as clones: they are reference-counted.
#[derive(Debug)]
pub struct Cache<K, V> {
    inner: Mutex<Inner<K, V>>,
}

#[derive(Debug)]
struct Inner<K, V> {
    bytes_max: usize,
    bytes: usize,
    /// Counts uses.
    now: u64,
    entries: HashMap<K, Entry<V>>,
    by_use: BTreeMap<u64, K>,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    bytes: usize,
    used: u64,
}

impl<K: Clone + Eq + Hash, V: Clone> Cache<K, V> {
    /// An empty one of at most `bytes_max` bytes.
    pub fn new(bytes_max: usize) -> Self {
        let inner = Inner { bytes_max, bytes: 0, now: 0, entries: HashMap::new(), by_use: BTreeMap::new() };
        Self { inner: Mutex::new(inner) }
    }

    /// What is kept under a key.
    pub fn get(&self, key: &K) -> Option<V> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let inner = &mut *inner;
        let entry = inner.entries.get_mut(key)?;
        inner.now += 1;
        inner.by_use.remove(&entry.used);
        inner.by_use.insert(inner.now, key.clone());
        entry.used = inner.now;
        Some(entry.value.clone())
    }

    /// Keeps a value of `bytes`, unless it alone is over the bound.
    pub fn put(&self, key: K, value: V, bytes: usize) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let inner = &mut *inner;
        if bytes > inner.bytes_max {
            return;
        }
        inner.now += 1;
        let used = inner.now;
        inner.by_use.insert(used, key.clone());
        inner.bytes += bytes;
        if let Some(before) = inner.entries.insert(key, Entry { value, bytes, used }) {
            inner.by_use.remove(&before.used);
            inner.bytes -= before.bytes;
        }
        while inner.bytes > inner.bytes_max
            && let Some((_, oldest)) = inner.by_use.pop_first()
        {
            if let Some(entry) = inner.entries.remove(&oldest) {
                inner.bytes -= entry.bytes;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let cache = Cache::new(10);
        for key in 0..3 {
            cache.put(key, key, 3);
        }
        assert_eq!(cache.get(&0), Some(0));
        cache.put(3, 3, 4);
        let kept: Vec<_> = (0..4).filter_map(|key| cache.get(&key)).collect();
        assert_eq!(kept, [0, 2, 3]);
        cache.put(4, 4, 11);
        assert_eq!(cache.get(&4), None);
        cache.put(3, 30, 1);
        assert_eq!((cache.get(&3), cache.get(&2)), (Some(30), Some(2)));
        let inner = cache.inner.lock().unwrap();
        assert_eq!((inner.bytes, inner.entries.len(), inner.by_use.len()), (7, 3, 3));
    }
}
