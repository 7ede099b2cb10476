//! From the tail to the disk: which bytes go out in which write, and what has been written when
//! one of them completes.
//!
//! # Non-obvious
//! - Two writes that cover the same unit are never in flight together. So only whole units go out
//!   while other writes of the log are in flight: the partial unit at the end rides with the next
//!   write, or goes alone when nothing else waits.
//! - A write is a task of its own that is never dropped; what it covers counts only when it has
//!   completed, and only as part of the gap-free prefix.

use std::rc::Rc;
use std::time::Duration;

use super::log::{Core, LogInner};
use super::segment::{Segment, align_down, align_up, extension, segment_path};
use super::{BrokenRule, LogError};
use crate::io::{BufferFiller, File, IoClass, WRITE_UNIT, WriteBuffer};
use crate::types::Offset;

/// Bytes of one write at most: beyond 1 MiB the device gains nothing.
pub(super) const WRITE_SIZE_MAX: u64 = 1 << 20;

/// Writes of one log in flight at most: four of 1 MiB reach 94 % of what sixteen do.
const WRITES_IN_FLIGHT_MAX: usize = 4;

/// While other writes of the log are in flight, less than this waits for them: more batches will
/// share the next write.
const PIPELINED_WRITE_SIZE_MIN: u64 = 128 << 10;

/// Segments of a log that are written and not sealed, before nothing more is written. To seal one
/// takes several flushes, which a fast producer of small segments outruns: they would stay open,
/// and no checkpoint would pass them, so that nothing could be deleted either.
pub(super) const UNSEALED_SEGMENTS_MAX: usize = 4;

/// A write that the device has not, or not in order, completed.
pub(super) struct WriteInFlight {
    segment: Rc<Segment>,
    /// Logical end: the padding does not count.
    end: u64,
    size: u64,
    is_done: bool,
}

/// The next bytes to write of a segment.
struct Plan {
    segment: Rc<Segment>,
    file: File,
    start: u64,
    end: u64,
}

/// Submits what may be submitted of a log now.
pub(super) fn submit_writes(log: &Rc<LogInner>) {
    if log.directory.failure().is_some() {
        return;
    }
    let unflushed_max = match log.directory.breaks(BrokenRule::IgnoresUnflushedLimit) {
        true => 0,
        false => log.checkpoint.unflushed_bytes_max(),
    };
    let may_overlap = log.directory.breaks(BrokenRule::OverlapsWrites);
    let passes_mark = log.directory.breaks(BrokenRule::PassesTheMark);
    loop {
        let plan = plan_write(&log.core.borrow(), unflushed_max, may_overlap, passes_mark);
        let Some(plan) = plan else { return };
        let buffer_size = align_up(plan.end) - align_down(plan.start);
        if !log.directory.take_write_budget(log, buffer_size as usize) {
            return;
        }
        submit(log, plan, buffer_size as usize);
    }
}

/// Decides what the next write covers; `None` while there is nothing to do but wait.
fn plan_write(
    core: &Core,
    unflushed_max: u64,
    may_overlap: bool,
    passes_mark: bool,
) -> Option<Plan> {
    let first = core.tail.get(core.submit_number)?;
    let segment = &first.segment;
    let file = segment.open_file()?;
    if core.in_flight.len() >= WRITES_IN_FLIGHT_MAX || is_sealing_behind(core, segment) {
        return None;
    }
    let start = first.position + core.submit_inside as u64;
    let others_in_flight = core.in_flight.iter().any(|write| !write.is_done);
    let shares_unit = core.in_flight.iter().any(|write| {
        !write.is_done && Rc::ptr_eq(&write.segment, segment) && align_up(write.end) > start
    });
    if shares_unit && !may_overlap {
        return None;
    }
    let end = segment.size.get().min(align_down(start) + WRITE_SIZE_MAX);
    let end = within_unflushed(core, start, end, unflushed_max)?;
    let end = match segment.mark.get() {
        Some(mark) if !passes_mark => end.min(mark.limit()),
        _ => end,
    };
    if end <= start {
        return None;
    }
    let is_last_of_segment = !Rc::ptr_eq(segment, core.active()) && end == segment.size.get();
    let end = if others_in_flight && !is_last_of_segment {
        let whole = align_down(end);
        if whole < start + PIPELINED_WRITE_SIZE_MIN {
            return None;
        }
        whole
    } else {
        end
    };
    if let Some((from, to)) = segment.zeroing.get()
        && from < to
        && align_up(end) > from
        && align_down(start) < to
    {
        return None;
    }
    Some(Plan {
        segment: Rc::clone(segment),
        file,
        start,
        end,
    })
}

/// Whether too many segments before this one are not sealed. Each that is sealed calls again.
fn is_sealing_behind(core: &Core, segment: &Segment) -> bool {
    let before = core.segments.range(..segment.base_offset).rev();
    let unsealed = before.take_while(|(_, segment)| !segment.is_sealed.get());
    unsealed.take(UNSEALED_SEGMENTS_MAX).count() == UNSEALED_SEGMENTS_MAX
}

/// In class P recovery believes that nothing was ever written further than `unflushed_max` behind
/// the last completed flush (rule 8). 0 is no limit.
fn within_unflushed(core: &Core, start: u64, end: u64, unflushed_max: u64) -> Option<u64> {
    if unflushed_max == 0 {
        return Some(end);
    }
    let unflushed = core.submitted_bytes - core.durable_bytes;
    let end = end.min(start + unflushed_max.saturating_sub(unflushed));
    (end > start).then_some(end)
}

fn submit(log: &Rc<LogInner>, plan: Plan, buffer_size: usize) {
    let Plan {
        segment,
        file,
        start,
        end,
    } = plan;
    let mut core = log.core.borrow_mut();
    let position = align_down(start);
    let mut buffer = log.directory.write_buffer(buffer_size);
    let head_size = (start - position) as usize;
    let logical_size = (end - position) as usize;
    if head_size > 0 {
        assert_eq!(core.partial_unit.len(), head_size, "the begun unit is kept");
        buffer.extend(&core.partial_unit);
    }
    fill(&mut core, &mut buffer, logical_size);
    let buffer = buffer.finish();
    let partial_start = align_down(end).max(position) - position;
    core.partial_unit.clear();
    if !end.is_multiple_of(WRITE_UNIT as u64) {
        let partial = &buffer.as_slice()[partial_start as usize..logical_size];
        core.partial_unit.extend_from_slice(partial);
    }
    let is_covered = segment.covered.get().contains(position, align_up(end));
    segment.submitted_position.set(end);
    core.submitted_bytes += end - start;
    let mean = match log.mean_write_size.get() {
        0 => end - start,
        mean => mean - mean / 8 + (end - start) / 8,
    };
    log.mean_write_size.set(mean);
    core.in_flight.push_back(WriteInFlight {
        segment: Rc::clone(&segment),
        end,
        size: end - start,
        is_done: false,
    });
    drop(core);
    let task = file.write_at(buffer, position, IoClass::Commit);
    let log = Rc::clone(log);
    let reactor = log.reactor.clone();
    reactor
        .spawn(async move {
            let result = if log.directory.breaks(BrokenRule::AbandonsSlowWrites) {
                let slow = Duration::from_micros(200);
                let in_time = log.reactor.timeout(slow, task).await;
                in_time.unwrap_or_else(|| Ok(log.directory.write_buffer(buffer_size).finish()))
            } else {
                task.await
            };
            completed(&log, &segment, end, buffer_size, is_covered, result);
        })
        .detach();
}

/// Copies the next bytes of the tail into `target`, until that has `size` bytes, and moves the
/// submit position behind them.
fn fill(core: &mut Core, target: &mut BufferFiller, size: usize) {
    while target.filled() < size {
        let batch = core
            .tail
            .get(core.submit_number)
            .expect("what is not submitted is in the tail");
        let missing = size - target.filled();
        let copied = batch.copy_from(core.submit_inside, target, missing);
        core.submit_inside += copied;
        if core.submit_inside == batch.size() {
            core.submit_number += 1;
            core.submit_inside = 0;
        }
    }
}

/// A write has ended, in any order.
fn completed(
    log: &Rc<LogInner>,
    segment: &Rc<Segment>,
    end: u64,
    buffer_size: usize,
    is_covered: bool,
    result: std::io::Result<WriteBuffer>,
) {
    log.directory.return_write_budget(buffer_size);
    match result {
        Ok(buffer) => log.directory.reuse_buffer(buffer),
        Err(error) => {
            let path = segment_path(&log.path, segment.base_offset, extension::LOG);
            log.directory.fail(&LogError::io(&path, error));
            return;
        }
    }
    let mut core = log.core.borrow_mut();
    let write = core
        .in_flight
        .iter_mut()
        .find(|write| write.end == end && Rc::ptr_eq(&write.segment, segment))
        .expect("a completed write was in flight");
    write.is_done = true;
    if !is_covered {
        segment.needs_file_sync.set(true);
    }
    if !segment.has_unflushed.replace(true) {
        core.unflushed.push(Rc::clone(segment));
    }
    let before = core.written_bytes;
    let charges = advance_written(&mut core);
    log.directory.count_written(core.written_bytes - before);
    drop(core);
    for charge in charges {
        log.directory.tail_budget().batch_written(log, charge);
    }
    log.directory.tail_budget().evict();
    log.directory.mark_dirty(log);
    flush_by_policy(log);
    super::zero_ahead::zero_if_needed(log, segment);
    log.tell_progress();
}

/// Moves the ends to that of the gap-free prefix of completed writes; gives the tail's charges for
/// the batches that it passed.
fn advance_written(core: &mut Core) -> Vec<usize> {
    while let Some(write) = core.in_flight.pop_front_if(|write| write.is_done) {
        write.segment.written_position.set(write.end);
        core.written_bytes += write.size;
    }
    let mut charges = Vec::new();
    while let Some(batch) = core.tail.get(core.written_number)
        && batch.end_position() <= batch.segment.written_position.get()
    {
        charges.push(batch.charge());
        core.written_end = batch.last_offset + 1;
        core.written_number += 1;
    }
    charges
}

/// Class P: every append causes a flush. Otherwise as `flush.messages` and `flush.ms` say.
fn flush_by_policy(log: &Rc<LogInner>) {
    let (flush_messages, flush_ms) = {
        let config = log.config.borrow();
        (config.flush_messages, config.flush_ms)
    };
    let unflushed: Offset = {
        let core = log.core.borrow();
        core.written_end - core.durable_end
    };
    // A limit that is still in force would stop the writes of a log that does not flush.
    let is_limited = log.checkpoint.unflushed_bytes_max() > 0;
    if log.flushes_before_ack() || is_limited || unflushed >= flush_messages {
        log.directory.request_flush(log);
    } else if flush_ms != i64::MAX && !log.flush_timer_armed.replace(true) {
        let (log, reactor) = (Rc::clone(log), log.reactor.clone());
        let wait = Duration::from_millis(flush_ms.max(0) as u64);
        reactor
            .spawn(async move {
                log.reactor.sleep(wait).await;
                log.flush_timer_armed.set(false);
                log.directory.request_flush(&log);
            })
            .detach();
    }
}
