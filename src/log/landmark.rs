//! States that are rarely reached. A simulation counts them: one that never came was not tested.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::types::Offset;

macro_rules! landmarks {
    ($($(#[doc = $doc:literal])* $variant:ident, $name:literal;)*) => {
        /// A rare state of a log or its directory.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Landmark {
            $($(#[doc = $doc])* $variant,)*
        }

        impl Landmark {
            pub const ALL: &[Landmark] = &[$(Landmark::$variant,)*];

            /// In lower case, for reports.
            pub fn name(self) -> &'static str {
                match self {
                    $(Landmark::$variant => $name,)*
                }
            }
        }
    };
}

landmarks! {
    /// Recovery dropped something behind the end of a log.
    TornTail, "torn tail";
    /// Recovery began at a checkpoint and found records behind it.
    RecoveryBehindCheckpoint, "recovery behind a checkpoint";
    /// A segment was rolled while a flush of its log was in flight.
    RollDuringFlush, "roll during a flush";
    /// A checkpoint was asked for while a roll was not over.
    CheckpointDuringRoll, "checkpoint during a roll";
    /// A log was deleted while a flush of it was in flight.
    DeletionDuringFlush, "deletion during a flush";
    /// A segment took over the file of one that retention had dropped.
    SegmentRecycled, "segment recycled";
    /// The mark in a recycled file was moved ahead of the writer.
    WrittenMarkMoved, "written mark moved";
    /// Recovery looked behind the end of a recycled segment.
    RecoveryOverRecycled, "recovery over a recycled segment";
    /// Recovery found whole batches of a recycled segment behind its end.
    TornTailAmongOld, "torn tail among old batches";
    /// Records were read from disk.
    ColdRead, "cold read";
    /// At start the directory of a deleted topic was still under its name.
    StrayDirectory, "stray directory";
    /// One of several log directories failed, and a partition with it.
    PartitionLost, "partition lost with its directory";
    /// A partition was not opened, because its directory is offline.
    PartitionOffline, "partition of an offline directory";
    /// At start a deletion that a crash interrupted was finished.
    DeletionFinishedAtStart, "deletion finished at start";
}

/// What was said of damage, as the log line says it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DamageReport {
    /// Recovery will cut the log in this directory, which ends at `end` then.
    Cut { log: PathBuf, end: Offset },
    /// The log with this file stays closed.
    Offline { file: PathBuf, position: u64 },
    /// A read has failed.
    Unreadable { file: PathBuf, position: u64 },
}

/// Reports that are kept until somebody takes them; later ones are dropped.
const REPORT_COUNT_MAX: usize = 1024;

/// Counts landmarks and keeps reports, over all logs and shards that share it. The default does
/// neither.
#[derive(Clone, Debug, Default)]
pub struct Landmarks {
    kept: Option<Arc<Kept>>,
    /// Nothing is told: a promise broken on purpose.
    is_silent: bool,
}

#[derive(Debug, Default)]
struct Kept {
    counts: [AtomicU64; Landmark::ALL.len()],
    reports: Mutex<Vec<DamageReport>>,
}

impl Kept {
    fn reports(&self) -> MutexGuard<'_, Vec<DamageReport>> {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Landmarks {
    /// One that counts, from zero.
    pub fn counting() -> Landmarks {
        Landmarks {
            kept: Some(Arc::default()),
            is_silent: false,
        }
    }

    /// The same, to which nobody can tell anything.
    pub fn silenced(&self, is_silent: bool) -> Landmarks {
        let kept = self.kept.clone();
        Landmarks { kept, is_silent }
    }

    pub fn count(&self, landmark: Landmark) -> u64 {
        let kept = self.kept.as_deref();
        kept.map_or(0, |kept| {
            kept.counts[landmark as usize].load(Ordering::Relaxed)
        })
    }

    pub fn reached(&self, landmark: Landmark) {
        if let Some(kept) = &self.kept {
            kept.counts[landmark as usize].fetch_add(1, Ordering::Relaxed);
        }
    }

    pub fn report(&self, report: impl FnOnce() -> DamageReport) {
        if let Some(kept) = self.kept.as_ref().filter(|_| !self.is_silent) {
            let mut reports = kept.reports();
            if reports.len() < REPORT_COUNT_MAX {
                reports.push(report());
            }
        }
    }

    /// The reports since the last call.
    pub fn take_reports(&self) -> Vec<DamageReport> {
        let kept = self.kept.as_deref();
        kept.map_or(Vec::new(), |kept| std::mem::take(&mut *kept.reports()))
    }
}
