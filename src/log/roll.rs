//! From one segment to the next. Appends never wait for it: they go to the tail, and the writes
//! follow when the new file is there.

use std::path::Path;
use std::rc::Rc;

use super::committer::FlushPhase;
use super::log::LogInner;
use super::segment::{Segment, extension, segment_path};
use super::segment_index::NO_TIMESTAMP;
use super::{AppendPlan, Landmark, LogError, removal, spare, zero_ahead};
use crate::io::File;
use crate::metrics::Counter;
use crate::types::Timestamp;

/// Largest last offset less base offset of a segment: index entries hold it in 32 bits.
const RELATIVE_OFFSET_MAX: i64 = i32::MAX as i64;

/// Rolls when the next batch does not belong into the active segment any more (Kafka's
/// `LogSegment.shouldRoll`).
pub(super) fn roll_if_needed(log: &Rc<LogInner>, plan: &AppendPlan, now: Timestamp) {
    let active = Rc::clone(log.core.borrow().active());
    if active.size.get() > 0 && should_roll(log, &active, plan, now) {
        roll(log, &active, now).modified_at.set(now);
    } else {
        active.modified_at.set(now);
    }
}

fn should_roll(log: &LogInner, active: &Segment, plan: &AppendPlan, now: Timestamp) -> bool {
    let config = log.config.borrow();
    let index = active.loaded_index().expect("the active index is loaded");
    let index = index.borrow();
    let waited_ms = if index.first_timestamp > NO_TIMESTAMP {
        plan.max_timestamp - index.first_timestamp
    } else {
        now - active.created_at.get()
    };
    let last_offset = active.end_offset.get() + i64::from(plan.last_offset_delta);
    active.size.get() + plan.size as u64 > config.segment_size_max
        || waited_ms > config.roll_ms
        || index.is_full(config.index_size_max)
        || last_offset - active.base_offset > RELATIVE_OFFSET_MAX
}

/// Begins a new segment behind the active one, which has records; gives the new one. Not between
/// the state machine's step and its append.
pub(super) fn roll(log: &Rc<LogInner>, active: &Rc<Segment>, now: Timestamp) -> Rc<Segment> {
    let base_offset = active.end_offset.get();
    let snapshot = {
        let state = log.state.borrow();
        assert_eq!(
            state.log_end_offset, base_offset,
            "the state is that of the log's end"
        );
        state.producers.encode_snapshot()
    };
    let index = active.loaded_index().expect("the active index is loaded");
    index.borrow_mut().seal();
    active.remember_max_timestamp(&index.borrow());
    let segment = Segment::new(base_offset, now);
    let durable_target = {
        let mut core = log.core.borrow_mut();
        core.segments.insert(base_offset, Rc::clone(&segment));
        core.appended_bytes
    };
    log.directory.metrics().increment(Counter::SegmentsRolled);
    let phase = log.flush_phase.get();
    if matches!(phase, FlushPhase::Running | FlushPhase::RunningAndWanted) {
        log.directory.reached(Landmark::RollDuringFlush);
    }
    let reactor = log.reactor.clone();
    let creating = create(Rc::clone(log), Rc::clone(&segment), snapshot);
    reactor.spawn(report(Rc::clone(log), creating)).detach();
    let sealing = seal(Rc::clone(log), Rc::clone(active), durable_target);
    reactor.spawn(report(Rc::clone(log), sealing)).detach();
    segment
}

/// A file that cannot be made or sealed fails the directory, as a failed write does.
async fn report(log: Rc<LogInner>, work: impl Future<Output = Result<(), LogError>>) {
    if let Err(error) = work.await {
        log.directory.fail(&error);
    }
}

/// Makes a segment's file, or takes over a spare one, and the snapshot of the producers at its
/// start.
pub(super) async fn create(
    log: Rc<LogInner>,
    segment: Rc<Segment>,
    snapshot: Vec<u8>,
) -> Result<(), LogError> {
    let _names = log.names.acquire(1).await;
    let disk = log.directory.disk();
    let path = segment_path(&log.path, segment.base_offset, extension::LOG);
    let file = match spare::take_over(&log, &segment, &path).await? {
        Some(file) => file,
        None => make_file(&log, &path).await?,
    };
    segment.file.replace(Some(file));
    log.directory.mark_dirty(&log);
    zero_ahead::zero_if_needed(&log, &segment);
    let path = segment_path(&log.path, segment.base_offset, extension::SNAPSHOT);
    let written = disk.write_file(&path, snapshot).await;
    written.map_err(|error| LogError::replacing(&path, error))?;
    let synced = disk.sync_dir(&log.path).await;
    synced.map_err(|error| LogError::flush(&log.path, error))?;
    segment.names_synced.set(true);
    segment.changed.notify_all();
    Ok(())
}

async fn make_file(log: &LogInner, path: &Path) -> Result<File, LogError> {
    let failed = |error| LogError::io(path, error);
    let options = log.directory.locked_for_writing(true);
    let opened = log.directory.disk().open(path, options).await;
    let file = opened.map_err(failed)?;
    if file.size() > 0 {
        // Left over from a log that was longer before it was cut.
        file.set_size(0).await.map_err(failed)?;
    }
    Ok(file)
}

/// Brings a segment that takes no more batches into its final form: durable, cut to its size, its
/// indexes written. The recovery point may pass it only afterwards.
async fn seal(
    log: Rc<LogInner>,
    segment: Rc<Segment>,
    durable_target: u64,
) -> Result<(), LogError> {
    // In its turn only when it is written: the writes may wait for the segments before it.
    log.wait_until(|core| core.written_bytes >= durable_target)
        .await?;
    let _sealing = log.sealing.acquire(1).await;
    log.directory.request_flush(&log);
    log.wait_until(|core| core.durable_bytes >= durable_target)
        .await?;
    finish_file(&log, &segment).await?;
    write_indexes(&log, &segment).await?;
    segment.is_sealed.set(true);
    segment.file.replace(None);
    segment.changed.notify_all();
    log.directory.keep_index(&segment);
    log.directory.mark_dirty(&log);
    Ok(())
}

/// Cuts a wholly written segment to its logical size.
pub(super) async fn finish_file(log: &LogInner, segment: &Segment) -> Result<(), LogError> {
    assert!(segment.is_all_written(), "only what is written is cut");
    segment.not_zeroing(log).await?;
    zero_ahead::release(log, segment);
    let file = segment
        .open_file()
        .expect("a segment is open until it is sealed");
    let path = segment_path(&log.path, segment.base_offset, extension::LOG);
    let size = segment.size.get();
    // What is left of a recycled file may be a whole segment.
    let shrunk = removal::shrink(&log.directory, &file, size).await;
    shrunk.map_err(|error| LogError::io(&path, error))?;
    if file.size() > size {
        let cut = file.set_size(size).await;
        cut.map_err(|error| LogError::io(&path, error))?;
    }
    let synced = file.sync_all().await;
    synced.map_err(|error| LogError::flush(&path, error))
}

/// Writes both index files of a segment as they are in memory.
pub(super) async fn write_indexes(log: &LogInner, segment: &Segment) -> Result<(), LogError> {
    let index = segment
        .loaded_index()
        .expect("the index of a segment is loaded until sealed");
    let (offsets, times) = {
        let index = index.borrow();
        (index.encode_offsets(), index.encode_times())
    };
    let _names = log.names.acquire(1).await;
    for (extension, bytes) in [(extension::INDEX, offsets), (extension::TIME_INDEX, times)] {
        let path = segment_path(&log.path, segment.base_offset, extension);
        let written = log.directory.disk().write_file(&path, bytes).await;
        written.map_err(|error| LogError::replacing(&path, error))?;
    }
    Ok(())
}
