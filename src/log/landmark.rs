//! States that are rarely reached. A simulation counts them: one that never came was not tested.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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

/// Counts landmarks, over all logs and shards that share it. The default counts nothing.
#[derive(Clone, Debug, Default)]
pub struct Landmarks {
    counts: Option<Arc<[AtomicU64; Landmark::ALL.len()]>>,
}

impl Landmarks {
    /// One that counts, from zero.
    pub fn counting() -> Landmarks {
        Landmarks {
            counts: Some(Arc::default()),
        }
    }

    pub fn count(&self, landmark: Landmark) -> u64 {
        let counts = self.counts.as_deref();
        counts.map_or(0, |counts| {
            counts[landmark as usize].load(Ordering::Relaxed)
        })
    }

    pub fn reached(&self, landmark: Landmark) {
        if let Some(counts) = &self.counts {
            counts[landmark as usize].fetch_add(1, Ordering::Relaxed);
        }
    }
}
