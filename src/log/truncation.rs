//! Taking back the end of a log, as a follower does that has what its leader has not (KIP-101,
//! KIP-279).
//!
//! First a checkpoint is made durable whose recovery point lies before the cut and that promises
//! nothing of what follows it. Then the later segments go, then the segment with the cut is zeroed
//! behind it, to the highest byte ever written, and made shorter (rule 7). A crash in between
//! leaves the log as it was, or a part of it that is not shorter than was asked for.
//!
//! # Non-obvious
//! - The producers are those of the newest snapshot before the cut and of the batches behind it, as
//!   with Kafka. A snapshot knows only the last batch of each producer, so that a retry of an older
//!   one may not be recognised.
//! - Readers that have a segment open which is cut end before it is touched.

use std::path::Path;
use std::rc::Rc;

use super::committer::FlushPhase;
use super::cut::{cut_file, remove_files};
use super::log::LogInner;
use super::replay::SegmentScan;
use super::segment::{Segment, align_down, extension, parse_segment_name, segment_path};
use super::segment_index::{NO_TIMESTAMP, SegmentIndex};
use super::{BrokenRule, LogError, checkpoint, roll, stop, zero_ahead};
use crate::io::{File, IoClass, OpenOptions};
use crate::log_state::{LogState, ProducerState, RecoveryCheckpoint};
use crate::types::Offset;

/// Largest producer snapshot that is read.
const SNAPSHOT_SIZE_MAX: usize = 64 << 20;

/// Where a log is cut, and what it is then.
struct Cut {
    /// The segment in which it is: at most all of it goes, its file stays.
    segment: Rc<Segment>,
    position: u64,
    state: LogState,
    index: SegmentIndex,
    /// Bytes of the unit in which the cut is, before it.
    partial_unit: Vec<u8>,
}

/// See [`Log::truncate_to`](super::Log::truncate_to).
pub(super) async fn truncate_to(log: &Rc<LogInner>, offset: Offset) -> Result<Offset, LogError> {
    log.check_open()?;
    let log_start_offset = log.checkpoint.wanted_start();
    let end = log.state.borrow().log_end_offset;
    if offset >= end {
        return Ok(end);
    }
    if offset < log_start_offset {
        return Err(LogError::OffsetOutOfRange {
            offset,
            log_start_offset,
            end,
        });
    }
    let before = log.is_truncating.replace(true);
    assert!(!before, "{}: one truncation at a time", log.partition);
    let truncated = truncate(log, offset).await;
    log.is_truncating.set(false);
    truncated.inspect_err(|error| log.directory.fail(error))
}

async fn truncate(log: &Rc<LogInner>, offset: Offset) -> Result<Offset, LogError> {
    log.flush_all().await?;
    stop::end_rolls(log).await?;
    let running = log.checkpoint.pause().await;
    let sealing = log.sealing.acquire(1).await;
    log.check_open()?;
    settle(log).await?;
    let (lowered, cut) = find_cut(log, offset).await?;
    checkpoint::write_slot(log, &lowered).await?;
    let end = cut.state.log_end_offset;
    log.checkpoint.truncated_to(end);
    tracing::info!(partition = %log.partition, end, "truncating");
    let (active, position) = (Rc::clone(&cut.segment), cut.position);
    let (dropped, file, index) = take_back(log, cut);
    for segment in &dropped {
        segment.unread().await;
    }
    remove_behind(log, &dropped[1..], end).await?;
    let file = cut_segment(log, &dropped[0], file, position).await?;
    let now = log.reactor.wall_clock();
    active.activate(file, index, now);
    drop(sealing);
    roll::write_indexes(log, &active).await?;
    log.checkpoint.indexes_written(&active);
    drop(running);
    checkpoint::make(log).await?;
    Ok(end)
}

/// Nothing was appended: what is under way of flushes and zeros ends.
async fn settle(log: &LogInner) -> Result<(), LogError> {
    loop {
        let progressed = log.progressed.notified();
        if log.flush_phase.get() == FlushPhase::Idle {
            break;
        }
        log.directory.failure().map_or(Ok(()), Err)?;
        progressed.await;
    }
    let active = Rc::clone(log.core.borrow().active());
    active.not_zeroing(log).await?;
    zero_ahead::release(log, &active);
    Ok(())
}

/// Replays what is before the cut, from the newest snapshot on; also gives the checkpoint with
/// which a recovery would do the same.
async fn find_cut(log: &LogInner, offset: Offset) -> Result<(RecoveryCheckpoint, Cut), LogError> {
    let segments: Vec<_> = {
        let core = log.core.borrow();
        let until = core.segments.range(..=offset);
        until.map(|(_, segment)| Rc::clone(segment)).collect()
    };
    let (from, producers) = newest_snapshot(log, &segments).await?;
    let base_offset = segments[from].base_offset;
    let mut state = log.state.borrow().clone();
    state.producers = producers;
    state.epochs.truncate_from_end(base_offset);
    state.log_end_offset = base_offset;
    let mut lowered = RecoveryCheckpoint {
        number: log.checkpoint.next_number(),
        state: state.clone(),
        segment_base_offset: base_offset,
        max_timestamp: NO_TIMESTAMP,
        max_timestamp_offset: -1,
        first_timestamp: NO_TIMESTAMP,
        gaps_end: log.checkpoint.gaps_end().min(offset),
        ..RecoveryCheckpoint::default()
    };
    let mut end = None;
    for segment in &segments[from..] {
        let path = segment_path(&log.path, segment.base_offset, extension::LOG);
        let file = open_to_read(log, segment, &path).await?;
        let scan = SegmentScan {
            reactor: &log.reactor,
            file: &file,
            path: &path,
            size: segment.size.get(),
            written_at_most: None,
            end_offset: offset,
            index_interval_bytes: log.config.borrow().index_interval_bytes,
            gaps_end: log.checkpoint.gaps_end(),
        };
        let mut index = SegmentIndex::new(segment.base_offset);
        let first = segment.base_offset;
        let stop = scan.replay(&mut state, &mut index, 0, 0, first).await?;
        if !stop.fault.is_empty() {
            return Err(LogError::corrupt(&path, stop.position, stop.fault));
        }
        let unit_start = align_down(stop.position);
        let size = (stop.position - unit_start) as usize;
        let read = file.read_at(unit_start, size, IoClass::Background).await;
        let partial_unit = read.map_err(|error| LogError::io(&path, error))?;
        end = Some((stop.position, index, partial_unit.to_vec()));
    }
    let (position, index, partial_unit) = end.expect("a log has a segment");
    state.epochs = log.state.borrow().epochs.clone();
    state.epochs.truncate_from_end(state.log_end_offset);
    state.log_start_offset = state.log_start_offset.min(state.log_end_offset);
    lowered.state.log_start_offset = state.log_start_offset;
    let last = segments.last().expect("a log has a segment");
    let segment = Segment::sealed(last.base_offset, position, state.log_end_offset);
    segment.was_cut.set(true);
    let cut = Cut {
        segment,
        position,
        state,
        index,
        partial_unit,
    };
    Ok((lowered, cut))
}

/// The newest of the segments that has a snapshot of the producers at its start, or the first one.
async fn newest_snapshot(
    log: &LogInner,
    segments: &[Rc<Segment>],
) -> Result<(usize, ProducerState), LogError> {
    for (at, segment) in segments.iter().enumerate().rev() {
        let path = segment_path(&log.path, segment.base_offset, extension::SNAPSHOT);
        let disk = log.directory.disk();
        match disk.read_file(&path, SNAPSHOT_SIZE_MAX).await {
            Ok(bytes) => {
                let producers = ProducerState::decode_snapshot(&bytes);
                let failed = |error| LogError::corrupt(&path, 0, format!("{error}"));
                return Ok((at, producers.map_err(failed)?));
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(LogError::io(&path, error)),
        }
    }
    Ok((0, ProducerState::default()))
}

async fn open_to_read(log: &LogInner, segment: &Segment, path: &Path) -> Result<File, LogError> {
    if let Some(file) = segment.open_file() {
        return Ok(file);
    }
    let opened = log
        .directory
        .disk()
        .open(path, OpenOptions::default())
        .await;
    opened.map_err(|error| LogError::io(path, error))
}

/// From here on the log ends at the cut. Gives the segments that readers may still have, the one
/// with the cut first, that one's file if it is open for writing, and its index.
fn take_back(log: &LogInner, cut: Cut) -> (Vec<Rc<Segment>>, Option<File>, SegmentIndex) {
    let Cut {
        segment,
        state,
        index,
        partial_unit,
        ..
    } = cut;
    let mut core = log.core.borrow_mut();
    assert!(core.in_flight.is_empty(), "all is written before it is cut");
    let end = state.log_end_offset;
    let dropped = core.segments.split_off(&segment.base_offset);
    core.segments
        .insert(segment.base_offset, Rc::clone(&segment));
    core.tail.forget_all();
    core.partial_unit = partial_unit;
    core.unflushed.clear();
    core.written_end = end;
    core.durable_end = end;
    drop(core);
    log.state.replace(state);
    log.read_ahead.borrow_mut().clear();
    let dropped: Vec<_> = dropped.into_values().collect();
    let file = dropped[0].open_file();
    let file = file.filter(|_| !dropped[0].is_sealed.get());
    for segment in &dropped {
        segment.take_out_of_use();
    }
    (dropped, file, index)
}

/// Removes the segments behind the cut, the newest first, and the snapshots behind it.
async fn remove_behind(log: &LogInner, later: &[Rc<Segment>], end: Offset) -> Result<(), LogError> {
    let _names = log.names.acquire(1).await;
    let disk = log.directory.disk();
    let mut paths = Vec::new();
    for segment in later.iter().rev() {
        for extension in [extension::LOG, extension::INDEX, extension::TIME_INDEX] {
            paths.push(segment_path(&log.path, segment.base_offset, extension));
        }
    }
    let listed = disk.list_dir(&log.path).await;
    for entry in listed.map_err(|error| LogError::io(&log.path, error))? {
        // Also those of clean stops.
        if let Some((offset, extension::SNAPSHOT)) = parse_segment_name(&entry.name)
            && offset > end
        {
            paths.push(log.path.join(&entry.name));
        }
    }
    remove_files(disk, &log.path, paths).await
}

/// Zeros a segment from the cut to the highest byte ever written, makes it shorter, and gives it
/// open for writing.
async fn cut_segment(
    log: &LogInner,
    segment: &Segment,
    file: Option<File>,
    position: u64,
) -> Result<File, LogError> {
    let path = segment_path(&log.path, segment.base_offset, extension::LOG);
    let _names = log.names.acquire(1).await;
    let file = match file {
        Some(file) => file,
        None => {
            let options = log.directory.locked_for_writing(false);
            let opened = log.directory.disk().open(&path, options).await;
            opened.map_err(|error| LogError::io(&path, error))?
        }
    };
    let end = match log.directory.breaks(BrokenRule::CutsNothing) {
        true => position,
        false => segment.size.get(),
    };
    cut_file(log.directory.disk(), (&file, &path), position, end).await?;
    Ok(file)
}
