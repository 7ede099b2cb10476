//! What was found damaged in the files of a directory: each place is told and counted once, however
//! often it is read.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::PathBuf;

use super::LogError;
use crate::metrics::{Counter, ShardMetrics};

/// Places that are remembered, per directory and shard. A disk that has more of them is lost, and
/// its log need not grow for it.
const PLACES_MAX: usize = 1_000;

/// The damaged places of one directory, of the logs of one shard.
#[derive(Default)]
pub(super) struct Corruptions {
    places: RefCell<BTreeSet<(PathBuf, u64)>>,
}

impl Corruptions {
    /// Tells and counts a [`LogError::Corrupt`] of a place that was not known.
    pub(super) fn note(&self, error: &LogError, metrics: &ShardMetrics) {
        let LogError::Corrupt {
            path,
            position,
            fault,
        } = error
        else {
            return;
        };
        let mut places = self.places.borrow_mut();
        if places.len() == PLACES_MAX || !places.insert((path.clone(), *position)) {
            return;
        }
        metrics.increment(Counter::CorruptBatches);
        tracing::error!(
            path = %path.display(), position, fault,
            "a log file is damaged here; who reads it gets an error, everything else is served"
        );
        if places.len() == PLACES_MAX {
            tracing::error!("{PLACES_MAX} damaged places: those that follow are not told any more");
        }
    }
}
