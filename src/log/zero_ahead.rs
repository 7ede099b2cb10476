//! Zeros ahead of the appender: blocks that are already written and inside a synced size need only
//! a flush of the device, which many logs share (rules 5 and 6).
//!
//! A segment gets its first zeros when it is made, so that its first record already shares a flush:
//! a topic of 1,000 partitions would otherwise begin with 1,000 flushes of single files.
//!
//! # Non-obvious
//! - Zeros must never land on records. While a chunk is being zeroed the writer stays out of it
//!   ([`Segment::zeroing`]); a chunk begins only where nothing has been submitted.
//! - Who waits for a turn keeps no writer out: what was written meanwhile is not zeroed.

use std::rc::Rc;
use std::time::Duration;

use super::log::LogInner;
use super::segment::{Segment, align_down, align_up, extension, segment_path};
use super::{BrokenRule, LogError, written_mark};
use crate::io::IoClass;
use crate::types::Monotonic;

/// Bounds of how far ahead is zeroed: the recent rate times [`HORIZON`], within these. A slow log
/// is zeroed for a longer time, since a step costs a flush, whatever its size.
const AHEAD_MIN: u64 = 256 << 10;
const AHEAD_MAX: u64 = 64 << 20;
const HORIZON: Duration = Duration::from_secs(1);
const SLOW_AHEAD_MAX: u64 = 4 << 20;
const SLOW_HORIZON: Duration = Duration::from_secs(4);

/// Above this rate (bytes/s) the log extends its file with large writes and syncs it: writing
/// everything twice would cost more.
const RATE_MAX: u64 = 64 << 20;

/// A log whose writes are as large on average gains nothing either: the flush that it shares is
/// small beside twice the bytes (measured: the same rate and CPU time, half the bytes).
const WRITE_SIZE_WORTH_MAX: u64 = 64 << 10;

/// What is zeroed at a time: the writer waits for at most one.
const CHUNK_SIZE: u64 = 256 << 10;

/// How often the rate is looked at.
const RATE_INTERVAL: Duration = Duration::from_millis(200);

/// The recent rate of a log.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rate {
    since: Monotonic,
    bytes_then: u64,
    bytes_per_second: u64,
}

impl Rate {
    /// The rate, brought up to date with what has been appended by `now`.
    fn update(&mut self, now: Monotonic, appended_bytes: u64) -> u64 {
        let elapsed = now.since(self.since);
        if elapsed >= RATE_INTERVAL {
            let bytes = u128::from(appended_bytes - self.bytes_then);
            let rate = bytes * 1_000_000_000 / elapsed.as_nanos().max(1);
            self.bytes_per_second = u64::try_from(rate).unwrap_or(u64::MAX);
            self.since = now;
            self.bytes_then = appended_bytes;
        }
        self.bytes_per_second
    }
}

/// The recent rate of a log.
pub(super) fn bytes_per_second(log: &LogInner) -> u64 {
    let appended_bytes = log.core.borrow().appended_bytes;
    let mut rate = log.rate.get();
    let bytes_per_second = rate.update(log.reactor.now(), appended_bytes);
    log.rate.set(rate);
    bytes_per_second
}

/// How far ahead of an appender with this rate blocks are made ready.
pub(super) fn distance(bytes_per_second: u64) -> u64 {
    let in_time = |horizon: Duration| bytes_per_second.saturating_mul(horizon.as_secs());
    let slow = in_time(SLOW_HORIZON).min(SLOW_AHEAD_MAX);
    in_time(HORIZON).max(slow).clamp(AHEAD_MIN, AHEAD_MAX)
}

/// Starts zeroing ahead of the active segment when it is time to: when it was made, and whenever
/// a write has completed. In a recycled file it moves the mark instead.
pub(super) fn zero_if_needed(log: &Rc<LogInner>, segment: &Rc<Segment>) {
    if let Some(mark) = segment.mark.get() {
        written_mark::move_if_needed(log, segment, mark);
    }
    if segment.mark.get().is_some() {
        return;
    }
    if !log.flushes_before_ack() || !log.directory.flushes_by_device() {
        return;
    }
    {
        let core = log.core.borrow();
        if !Rc::ptr_eq(core.active(), segment) {
            return;
        }
    }
    if segment.zeroing.get().is_some() || log.is_closed.get() {
        return;
    }
    let bytes_per_second = bytes_per_second(log);
    if bytes_per_second > RATE_MAX || log.mean_write_size.get() > WRITE_SIZE_WORTH_MAX {
        return;
    }
    let target = distance(bytes_per_second);
    let submitted = align_up(segment.submitted_position.get());
    let zeroed_to = segment.covered.get().zeroed_to;
    let ahead = zeroed_to.saturating_sub(submitted);
    let segment_end = align_down(log.config.borrow().segment_size_max);
    let from = zeroed_to.max(submitted);
    let to = align_up(submitted + target).min(segment_end);
    if ahead >= target / 2 || to <= from {
        return;
    }
    // What the appender has passed is no longer ahead.
    let passed = segment.zero_reserved.get().saturating_sub(ahead);
    log.directory.release_zeros(passed);
    segment
        .zero_reserved
        .set(segment.zero_reserved.get() - passed);
    let granted = align_down(log.directory.reserve_zeros(to - from));
    if granted == 0 {
        return;
    }
    segment
        .zero_reserved
        .set(segment.zero_reserved.get() + granted);
    segment.zeroing.set(Some((from, from)));
    let reactor = log.reactor.clone();
    let (log, segment) = (Rc::clone(log), Rc::clone(segment));
    reactor
        .spawn(async move {
            let turn = log.directory.zeroing_turn().await;
            if let Err(error) = zero(&log, &segment, from, from + granted).await {
                log.directory.fail(&error);
            }
            drop(turn);
            segment.zeroing.set(None);
            segment.changed.notify_all();
            log.directory.mark_dirty(&log);
        })
        .detach();
}

/// Zeros chunk after chunk, then syncs the size that contains them. Begins behind what the appender
/// has written while this waited for its turn, and ends early when it is overtaken.
async fn zero(
    log: &Rc<LogInner>,
    segment: &Rc<Segment>,
    from: u64,
    end: u64,
) -> Result<(), LogError> {
    let Some(file) = segment.open_file() else {
        return Ok(());
    };
    let path = segment_path(&log.path, segment.base_offset, extension::LOG);
    let from = from.max(align_up(segment.submitted_position.get()));
    let mut at = from;
    while at < end {
        let chunk_end = (at + CHUNK_SIZE).min(end);
        if segment.submitted_position.get() > at || log.is_closed.get() {
            break;
        }
        segment.zeroing.set(Some((at, chunk_end)));
        let zeroed = file.write_zeros(at, chunk_end, IoClass::Background).await;
        zeroed.map_err(|error| LogError::io(&path, error))?;
        at = chunk_end;
        // The writer may enter what is zeroed; nothing is being zeroed while the size is synced.
        segment.zeroing.set(Some((at, at)));
        log.directory.mark_dirty(log);
    }
    if at > from && log.directory.breaks(BrokenRule::CountsUnsyncedZeros) {
        segment.update_covered(|covered| covered.zeros_synced(from, at));
    } else if at > from {
        // The size and the blocks are what reading needs: fdatasync brings them to the disk.
        let synced = file.sync_data().await;
        synced.map_err(|error| LogError::flush(&path, error))?;
        segment.update_covered(|covered| covered.zeros_synced(from, at));
    }
    Ok(())
}

/// Gives back what a segment had reserved.
pub(super) fn release(log: &LogInner, segment: &Segment) {
    log.directory.release_zeros(segment.zero_reserved.take());
}
