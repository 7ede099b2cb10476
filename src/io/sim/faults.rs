//! What goes wrong, and how often it did.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::random::Random;

/// Probabilities of the faults that come by themselves. All zero by default. What needs a moment
/// and a target (power cut, kill, pause, partition) is a call on
/// [`Simulation`](super::Simulation).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FaultPlan {
    /// A read fails with EIO, per operation.
    pub read_error: f64,
    /// A write fails with EIO, per operation; any part of it may have landed.
    pub write_error: f64,
    /// A sync fails with EIO, per operation; any unflushed write may be lost by it for ever.
    pub flush_error: f64,
    /// An operation takes [`SLOW_DISK_FACTOR`] times as long.
    pub slow_disk: f64,
    /// An operation takes up to [`STUCK_DISK_DURATION_MAX`], per operation.
    pub stuck_disk: f64,
    /// Reads, writes and syncs fail only below this path; `None`: anywhere.
    pub disk_errors_below: Option<PathBuf>,
    /// A connection is reset when something is sent on it.
    pub connection_reset: f64,
    /// A connection is refused although somebody listens.
    pub connection_refused: f64,
    /// A packet comes up to [`PACKET_DELAY_MAX`] late, and what was sent behind it too.
    pub packet_delay: f64,
    /// A connection is half open after its machine has lost the power: its peer is not told. Per
    /// connection.
    pub half_open: f64,
}

/// How many times longer a slow operation takes.
pub const SLOW_DISK_FACTOR: u64 = 200;

/// How long an operation is stuck at most: what Linux gives a device before it resets it.
pub const STUCK_DISK_DURATION_MAX: Duration = Duration::from_secs(30);

/// How late a packet comes at most.
pub const PACKET_DELAY_MAX: Duration = Duration::from_secs(3);

impl FaultPlan {
    /// Nothing goes wrong by itself.
    pub fn none() -> FaultPlan {
        FaultPlan::default()
    }

    /// Whether nothing fails by itself on a path.
    pub(super) fn spares(&self, path: &Path) -> bool {
        let below = self.disk_errors_below.as_deref();
        below.is_some_and(|below| !path.starts_with(below))
    }

    /// A mix of its own for each seed: each fault is off in half of the seeds, so that no fault
    /// hides what another one would show.
    pub fn swarm(random: &mut Random) -> FaultPlan {
        let mut draw = |most: f64| match random.coin() {
            true => random.fraction() * most,
            false => 0.0,
        };
        FaultPlan {
            read_error: draw(0.01),
            write_error: draw(0.01),
            flush_error: draw(0.01),
            slow_disk: draw(0.05),
            stuck_disk: draw(0.001),
            disk_errors_below: None,
            connection_reset: draw(0.01),
            connection_refused: draw(0.1),
            packet_delay: draw(0.01),
            half_open: draw(0.5),
        }
    }
}

/// How often each fault fired: a run in which none did has tested nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FaultCounts {
    pub power_cuts: u64,
    pub kills: u64,
    pub pauses: u64,
    /// Writes that landed after their process was killed.
    pub late_writes: u64,
    /// Writes in flight of which a power cut left some units and not others.
    pub torn_writes: u64,
    /// Units whose newest contents a power cut took.
    pub lost_units: u64,
    /// Files whose size or extents a power cut took back.
    pub lost_inodes: u64,
    /// Creations, removals and renames that a power cut undid.
    pub lost_names: u64,
    pub read_errors: u64,
    pub write_errors: u64,
    pub flush_errors: u64,
    /// Writes that found the disk full.
    pub no_space: u64,
    pub slow_operations: u64,
    pub stuck_operations: u64,
    /// Syncs of a directory while data was in the device's cache: they flush none of it.
    pub bare_directory_syncs: u64,
    /// Bytes whose bits were flipped.
    pub corruptions: u64,
    /// Writes of which nothing came to the medium although they had succeeded.
    pub lost_writes: u64,
    /// Writes that went to another place than they should have.
    pub misdirected_writes: u64,
    pub connection_resets: u64,
    /// Resets at the moment in which the accepting side answers.
    pub answers_reset: u64,
    pub delayed_packets: u64,
    pub half_open_connections: u64,
    pub connections_refused: u64,
    /// Deliveries that a network partition held back.
    pub held_deliveries: u64,
    pub wall_clock_jumps: u64,
    pub wall_clock_drifts: u64,
}

/// What [`Simulation::fail_disk`](super::Simulation::fail_disk) can make fail.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DiskFault {
    Read,
    Write,
    /// `sync_data`, `sync_all`, a device flush, and the syncs inside `write_file` and `sync_dir`.
    Flush,
}

pub(super) type PathPredicate = Box<dyn Fn(&Path) -> bool + Send>;

/// Fails the next operations of a kind on certain paths.
pub(super) struct FailRule {
    pub(super) fault: DiskFault,
    pub(super) path: PathPredicate,
    pub(super) count_left: u64,
}

impl FailRule {
    /// Whether this operation fails by this rule, which is then used up by one.
    pub(super) fn fires(&mut self, fault: DiskFault, path: &Path) -> bool {
        let fires = self.count_left > 0 && self.fault == fault && (self.path)(path);
        self.count_left -= u64::from(fires);
        fires
    }
}
