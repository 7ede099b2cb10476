//! One Fetch request that may wait for more to read (Kafka's `DelayedFetch`).

use std::collections::{BTreeMap, BTreeSet};

use crate::types::Monotonic;

/// What to do next for a fetch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FetchStep<K> {
    /// Watch these again (a watch wakes once), THEN read them, then call [`DelayedFetch::on_read`].
    Read(BTreeSet<K>),
    /// Nothing until the next call.
    Wait,
    /// Take the watches away and answer with what the last reads gave.
    Respond,
}

/// Decides when a fetch is answered: enough bytes, an error, or its time is up. Lives on the
/// connection's shard.
///
/// `K` names a source: a partition, or the shard that owns several of them. Whatever may give more
/// to read, or takes it away (a new high watermark, another leader epoch, deletion), wakes it.
///
/// **Invariant:** in whatever order wake-ups and reads arrive, a source that woke is read once more
/// after the wake-up before the fetch waits again.
#[derive(Debug)]
pub struct DelayedFetch<K> {
    min_bytes: usize,
    deadline: Monotonic,
    /// What the latest read of each source gave.
    bytes: BTreeMap<K, usize>,
    /// What is being read now.
    reading: BTreeSet<K>,
    /// What woke since its read began, or while nothing was read.
    woken: BTreeSet<K>,
    answered: bool,
}

impl<K: Copy + Ord> DelayedFetch<K> {
    /// A fetch of `sources`, which the caller now watches and then reads. `min_bytes` and
    /// `max_wait` (as a deadline) are the request's.
    pub fn new(
        sources: impl IntoIterator<Item = K>,
        min_bytes: usize,
        deadline: Monotonic,
    ) -> DelayedFetch<K> {
        DelayedFetch {
            min_bytes,
            deadline,
            bytes: BTreeMap::new(),
            reading: sources.into_iter().collect(),
            woken: BTreeSet::new(),
            answered: false,
        }
    }

    /// What must be read before the fetch can be answered or wait.
    pub fn reading(&self) -> &BTreeSet<K> {
        &self.reading
    }

    /// When to call [`DelayedFetch::on_deadline`].
    pub fn deadline(&self) -> Monotonic {
        self.deadline
    }

    /// A source was read: `bytes` of records, or an error (`failed`), which is answered at once.
    pub fn on_read(
        &mut self,
        now: Monotonic,
        source: K,
        bytes: usize,
        failed: bool,
    ) -> FetchStep<K> {
        assert!(
            self.reading.remove(&source),
            "a source is read once for each time it was asked for"
        );
        self.bytes.insert(source, bytes);
        if failed {
            // The client must hear of it now; what the others found goes with it.
            self.min_bytes = 0;
        }
        self.next(now)
    }

    /// A source has news. Safe at any time, also for a source that was never asked for.
    pub fn on_wake(&mut self, now: Monotonic, source: K) -> FetchStep<K> {
        self.woken.insert(source);
        self.next(now)
    }

    /// The time is up, or a timer came early.
    pub fn on_deadline(&mut self, now: Monotonic) -> FetchStep<K> {
        self.next(now)
    }

    fn next(&mut self, now: Monotonic) -> FetchStep<K> {
        if self.answered || !self.reading.is_empty() {
            return FetchStep::Wait;
        }
        let read: usize = self.bytes.values().sum();
        if read >= self.min_bytes || now >= self.deadline || self.bytes.is_empty() {
            self.answered = true;
            return FetchStep::Respond;
        }
        let woken = std::mem::take(&mut self.woken);
        let again: BTreeSet<K> = woken
            .into_iter()
            .filter(|source| self.bytes.contains_key(source))
            .collect();
        if again.is_empty() {
            return FetchStep::Wait;
        }
        self.reading = again.clone();
        FetchStep::Read(again)
    }
}
