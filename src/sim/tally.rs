//! How often each fault fired and each rare state was reached: what never came was not tested.

use std::collections::BTreeMap;
use std::fmt;

use crate::io::sim::FaultCounts;
use crate::log::{Landmark, Landmarks};

macro_rules! states {
    ($($(#[doc = $doc:literal])* $variant:ident, $name:literal;)*) => {
        /// What the driver and the clients see of rare states; the log's own are
        /// [`Landmark`]s.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub(super) enum State {
            $($(#[doc = $doc])* $variant,)*
        }

        impl State {
            const ALL: &[(State, &str)] = &[$((State::$variant, $name),)*];
        }
    };
}

states! {
    CleanRestart, "clean restart";
    /// A start was ended before it was over, and the end before it was no clean one.
    RecoveryInsideRecovery, "recovery inside recovery";
    /// A start failed because of the disk.
    StartFailed, "start failed by the disk";
    /// A broker ended by itself because of the disk.
    EndedByDisk, "broker ended by the disk";
    /// A restart with another number of shards.
    ShardsChanged, "other number of shards";
    BrokerPaused, "broker paused";
    NetworkCut, "network cut";
    DiskFull, "disk made full";
    DiskSlow, "disk made slow";
    TopicCreated, "topic created";
    TopicAutoCreated, "topic created by use";
    TopicDeleted, "topic deleted";
    /// Created again while somebody wrote to the one before.
    TopicRecreatedUnderLoad, "topic recreated under load";
    CreationUnknown, "creation of unknown fate";
    DeletionUnknown, "deletion of unknown fate";
    PartitionsAdded, "partitions added";
    GrowthUnknown, "growth of unknown fate";
    SettingsChanged, "settings changed";
    SettingsUnknown, "settings of unknown fate";
    ClassLeft, "class P left under load";
    ClassEntered, "class P entered under load";
    RefusedBySettings, "batch refused by new settings";
    OldIdRefused, "old topic id refused";
    DuplicateAnswered, "duplicate answered";
    DuplicateAfterRestart, "duplicate answered after restart";
    /// A batch that was sent before, answered for the first time by a later broker.
    RetryAcrossRestart, "retry across a restart";
    /// In class K, by a power cut.
    SequenceLost, "sequence lost to a power cut";
    HalfFrame, "half frame";
    CutMidRequest, "connection cut mid-request";
    ReadAgain, "offset read again";
    AcknowledgedByAll, "acknowledged by all";
    AcknowledgedByLeader, "acknowledged by the leader";
    SentWithoutAcknowledgement, "sent without acknowledgement";
    ListedOffsets, "offsets listed";
    RecordsDeleted, "records deleted";
    RotInSealed, "bit rot in a sealed segment";
    RotInRecent, "bit rot in the newest segment";
    LostInSealed, "lost write in a sealed segment";
    LostInRecent, "lost write in the newest segment";
    MisdirectedInSealed, "misdirected write in a sealed segment";
    MisdirectedInRecent, "misdirected write in the newest segment";
    DamageRefused, "damage found by the broker";
    DamageOffline, "partition offline by damage";
    DamageCut, "cut of a damaged log told";
}

/// What comes only with files that retention recycles, for which the broker's simulation deletes
/// too little. The log's model counts these.
const NOT_HERE: [Landmark; 4] = [
    Landmark::SegmentRecycled,
    Landmark::WrittenMarkMoved,
    Landmark::RecoveryOverRecycled,
    Landmark::TornTailAmongOld,
];

/// Counts by name, in the order of the report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    counts: BTreeMap<&'static str, u64>,
}

impl Tally {
    /// Every name, at zero.
    pub fn new() -> Tally {
        let mut tally = Tally::default();
        tally.add_faults(&FaultCounts::default());
        tally.add_landmarks(&Landmarks::default());
        for (_, name) in State::ALL {
            tally.add(name, 0);
        }
        tally
    }

    pub(super) fn reached(&mut self, state: State) {
        self.add(State::ALL[state as usize].1, 1);
    }

    pub(super) fn add_landmarks(&mut self, landmarks: &Landmarks) {
        let is_here = |landmark: &&Landmark| !NOT_HERE.contains(landmark);
        for &landmark in Landmark::ALL.iter().filter(is_here) {
            self.add(landmark.name(), landmarks.count(landmark));
        }
    }

    pub(super) fn add_faults(&mut self, counts: &FaultCounts) {
        self.add_disk_faults(counts);
        let faults = [
            ("read error", counts.read_errors),
            ("no space", counts.no_space),
            ("stuck operation", counts.stuck_operations),
            (
                "directory sync that flushes no data",
                counts.bare_directory_syncs,
            ),
            ("connection reset before its answer", counts.answers_reset),
            ("connection half open", counts.half_open_connections),
            ("packet delayed", counts.delayed_packets),
            ("wall clock drift", counts.wall_clock_drifts),
            ("connection reset", counts.connection_resets),
            ("connection refused", counts.connections_refused),
            ("delivery held back", counts.held_deliveries),
            ("wall clock jump", counts.wall_clock_jumps),
        ];
        for (name, count) in faults {
            self.add(name, count);
        }
    }

    /// The ends of processes, and what befell writes and flushes.
    pub fn add_disk_faults(&mut self, counts: &FaultCounts) {
        let faults = [
            ("kill", counts.kills),
            ("power cut", counts.power_cuts),
            ("late write after a kill", counts.late_writes),
            ("torn write", counts.torn_writes),
            ("unit lost", counts.lost_units),
            ("size or extents lost", counts.lost_inodes),
            ("name lost", counts.lost_names),
            ("write error", counts.write_errors),
            ("flush error", counts.flush_errors),
            ("slow operation", counts.slow_operations),
        ];
        for (name, count) in faults {
            self.add(name, count);
        }
    }

    /// Adds what another run has counted.
    pub fn merge(&mut self, other: &Tally) {
        for (name, count) in &other.counts {
            self.add(name, *count);
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.counts.iter().map(|(name, count)| (*name, *count))
    }

    /// What never came.
    pub fn missing(&self) -> Vec<&'static str> {
        let missing = self.iter().filter(|(_, count)| *count == 0);
        missing.map(|(name, _)| name).collect()
    }

    /// Adds to one count, which may be new.
    pub fn add(&mut self, name: &'static str, count: u64) {
        *self.counts.entry(name).or_default() += count;
    }
}

/// A line each: `count name`.
impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.iter()
            .try_for_each(|(name, count)| writeln!(f, "{count:>12} {name}"))
    }
}
