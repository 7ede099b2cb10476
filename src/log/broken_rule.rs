//! Rules of durability broken on purpose, so that their tests can be seen to fail.

/// A rule that a log directory does not keep. Handed in through
/// [`DirectoryOptions`](super::DirectoryOptions) by tests and the simulator alone: no configuration
/// and no command leads here. The numbers are those of `docs/durability.md`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BrokenRule {
    /// 1: tells of records as written that are only in memory.
    AcknowledgesUnwritten,
    /// 1: a flush counts for writes that completed after it was submitted.
    FlushCountsLaterWrites,
    /// 2: a write begins while another one that covers the same unit is in flight.
    OverlapsWrites,
    /// 3: a write that takes long is given up and taken for done.
    AbandonsSlowWrites,
    /// 4: segments are written without a lock, and recovery waits for none.
    LocksNothing,
    /// 5: a flush of the device counts for blocks that are not mapped on the medium.
    FlushesTheDeviceOnly,
    /// 6: zeros count as written ahead before the size that contains them is synced.
    CountsUnsyncedZeros,
    /// 7: what lies behind the log's end stays there.
    CutsNothing,
    /// 7: what the log's last unit holds behind the file's size stays there.
    LeavesHiddenBytes,
    /// 7: a segment takes over a file that somebody reads.
    RecyclesWhileRead,
    /// 7: recovery takes the old batches of a recycled file for what was written to it.
    BelievesOldBatches,
    /// 7: a recycled file is written behind the mark that recovery believes.
    PassesTheMark,
    /// 8: more is written behind the last flush than recovery is told.
    IgnoresUnflushedLimit,
    /// 8: recovery cuts whatever is not valid.
    CutsCorruption,
    /// 9: the recovery point passes what is not durable.
    CheckpointsAhead,
    /// 9: segments are dropped before the log's new start is durable.
    DropsAheadOfTheStart,
    /// 10: a failed flush is tried again, and believed.
    RetriesFailedFlush,
    /// Decision 16: what is read from disk is served as it is.
    ServesUnchecked,
}

impl BrokenRule {
    /// All of them.
    pub const ALL: [BrokenRule; 18] = [
        BrokenRule::AcknowledgesUnwritten,
        BrokenRule::FlushCountsLaterWrites,
        BrokenRule::OverlapsWrites,
        BrokenRule::AbandonsSlowWrites,
        BrokenRule::LocksNothing,
        BrokenRule::FlushesTheDeviceOnly,
        BrokenRule::CountsUnsyncedZeros,
        BrokenRule::CutsNothing,
        BrokenRule::LeavesHiddenBytes,
        BrokenRule::RecyclesWhileRead,
        BrokenRule::BelievesOldBatches,
        BrokenRule::PassesTheMark,
        BrokenRule::IgnoresUnflushedLimit,
        BrokenRule::CutsCorruption,
        BrokenRule::CheckpointsAhead,
        BrokenRule::DropsAheadOfTheStart,
        BrokenRule::RetriesFailedFlush,
        BrokenRule::ServesUnchecked,
    ];
}
