//! What a log need not keep: first its start moves, durably, then the segments below it go.
//!
//! Which segments may go is as in Kafka's `UnifiedLog.deleteOldSegments`: from the oldest one on,
//! as long as each is too old or too much, and never what is not below the high watermark. When all
//! of a log is too old, its active segment is rolled and goes too.
//!
//! # Non-obvious
//! - Only the log's start decides: retention by time and by size move it to the base of a segment,
//!   and what is wholly below goes, whoever moved it. So a crash in between leaves nothing to
//!   guess: recovery drops what lies below the start that it finds.
//! - Nobody is told of a start before it is durable, so that none ever goes back.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::log::LogInner;
use super::removal::Target;
use super::segment::{Segment, extension, segment_path};
use super::time_lookup::segment_max_timestamp;
use super::{BrokenRule, LogError, checkpoint, roll};
use crate::io::Disk;
use crate::types::{Offset, Timestamp};

/// Segments whose files are renamed in one go.
const RENAMED_TOGETHER_MAX: usize = 16;

/// The files of a segment, by their extensions.
const SEGMENT_FILES: [&str; 4] = [
    extension::LOG,
    extension::INDEX,
    extension::TIME_INDEX,
    extension::SNAPSHOT,
];

/// A segment, and the offset behind it.
type Bounded = (Rc<Segment>, Offset);

/// See [`Log::apply_retention`](super::Log::apply_retention).
pub(super) async fn apply(
    log: &Rc<LogInner>,
    high_watermark: Offset,
    now: Timestamp,
) -> Result<bool, LogError> {
    log.check_open()?;
    let segments = live_segments(log);
    let count = count_too_much(log, &segments, high_watermark);
    let count = add_too_old(log, &segments, count, high_watermark, now).await?;
    let Some((last, end)) = count.checked_sub(1).and_then(|at| segments.get(at)) else {
        return Ok(false);
    };
    log.check_open()?;
    if log.is_truncating.get() || *end > log.state.borrow().log_end_offset {
        return Ok(false);
    }
    let active = Rc::clone(log.core.borrow().active());
    if Rc::ptr_eq(last, &active) {
        if active.end_offset.get() != *end {
            // It was appended to while the others were looked at: those go the next time.
            return Ok(false);
        }
        roll::roll(log, &active, now);
    }
    raise_log_start(log, *end).await
}

/// The segments that are not wholly below the log's start.
fn live_segments(log: &LogInner) -> Vec<Bounded> {
    let log_start_offset = log.state.borrow().log_start_offset;
    let core = log.core.borrow();
    let segments = core.segments.values();
    let ends = core.segments.keys().skip(1).copied();
    let ends = ends.chain([core.active().end_offset.get()]);
    let segments = segments.cloned().zip(ends);
    let is_active = |segment: &Rc<Segment>| Rc::ptr_eq(segment, core.active());
    segments
        .filter(|(segment, end)| *end > log_start_offset || is_active(segment))
        .collect()
}

/// Whether a segment may go if it is too old or too much: never beyond the high watermark, and not
/// the active one when it has nothing.
fn is_deletable((segment, end): &Bounded, high_watermark: Offset) -> bool {
    high_watermark >= *end && segment.size.get() > 0
}

/// How many of the oldest segments the log can be without and still not be below its size.
fn count_too_much(log: &LogInner, segments: &[Bounded], high_watermark: Offset) -> usize {
    let Some(retention_size) = log.config.borrow().retention_size else {
        return 0;
    };
    let size_in_bytes: u64 = segments.iter().map(|(segment, _)| segment.size.get()).sum();
    let Some(mut excess) = size_in_bytes.checked_sub(retention_size) else {
        return 0;
    };
    let goes = |bounded: &&Bounded| {
        let rest = excess.checked_sub(bounded.0.size.get());
        excess = rest.unwrap_or(0);
        rest.is_some() && is_deletable(bounded, high_watermark)
    };
    segments.iter().take_while(goes).count()
}

/// `count` and the segments behind them that are too old.
async fn add_too_old(
    log: &LogInner,
    segments: &[Bounded],
    mut count: usize,
    high_watermark: Offset,
    now: Timestamp,
) -> Result<usize, LogError> {
    let Some(retention_ms) = log.config.borrow().retention_ms else {
        return Ok(count);
    };
    while let Some(bounded) = segments.get(count)
        && is_deletable(bounded, high_watermark)
    {
        let (segment, _) = bounded;
        let latest = match segment_max_timestamp(log, segment).await?.0 {
            // Kafka: the file's time.
            ..0 => segment.modified_at.get(),
            latest => latest,
        };
        if now.saturating_sub(latest) <= retention_ms {
            break;
        }
        count += 1;
    }
    Ok(count)
}

/// See [`Log::raise_log_start`](super::Log::raise_log_start).
pub(super) async fn raise_log_start(log: &Rc<LogInner>, offset: Offset) -> Result<bool, LogError> {
    log.check_open()?;
    {
        let mut state = log.state.borrow_mut();
        assert!(
            offset <= state.log_end_offset,
            "{}: the start cannot move to {offset}, behind the end",
            log.partition
        );
        if log.directory.breaks(BrokenRule::DropsAheadOfTheStart) {
            let moved = offset > state.log_start_offset;
            state.raise_log_start(offset);
            return Ok(moved);
        }
    }
    let moved = log.checkpoint.want_start(offset);
    // Somebody else may be moving it, and not be done.
    if offset > log.checkpoint.log_start_offset() {
        checkpoint::advance(log).await?;
    }
    Ok(moved)
}

/// See [`Log::drop_old_segments`](super::Log::drop_old_segments).
pub(super) async fn drop_old_segments(
    log: &Rc<LogInner>,
    below: Offset,
) -> Result<usize, LogError> {
    let _names = log.names.acquire(1).await;
    log.check_open()?;
    let dropped = take_out(log, below);
    let delay = log.config.borrow().file_delete_delay;
    let renamed = rename_files(log.directory.disk(), &log.path, &dropped).await;
    let renamed = renamed.inspect_err(|error| log.directory.fail(error))?;
    for (segment, files) in dropped.iter().zip(renamed) {
        let target = Target::Segment {
            files,
            segment: Rc::clone(segment),
            log: Rc::downgrade(log),
        };
        log.directory.remove_later(delay, target, Vec::new());
    }
    if let Some(last) = dropped.last() {
        tracing::info!(
            partition = %log.partition,
            segments = dropped.len(),
            log_start_offset = last.end_offset.get(),
            "dropped old segments"
        );
    }
    Ok(dropped.len())
}

/// Takes the segments that lie below the durable start of the log and `below` out of use.
fn take_out(log: &LogInner, below: Offset) -> Vec<Rc<Segment>> {
    let mut core = log.core.borrow_mut();
    let mut dropped = Vec::new();
    while core.segments.len() > 1
        && let Some(first) = core.segments.first_entry()
        && first.get().is_sealed.get()
        && first.get().end_offset.get() <= below
        && (log.checkpoint.is_done_with(first.get()) || drops_ahead(log, first.get()))
    {
        dropped.push(first.remove());
    }
    drop(core);
    for segment in &dropped {
        segment.take_out_of_use();
        let base_offset = segment.base_offset;
        let mut read_ahead = log.read_ahead.borrow_mut();
        read_ahead.retain(|ahead| !ahead.is_of(base_offset));
    }
    dropped
}

/// What a test breaks.
fn drops_ahead(log: &LogInner, segment: &Segment) -> bool {
    log.directory.breaks(BrokenRule::DropsAheadOfTheStart)
        && segment.end_offset.get() <= log.state.borrow().log_start_offset
}

/// Renames the files of segments out of use; the new names and sizes of each segment's.
pub(super) async fn rename_files(
    disk: &Disk,
    log_path: &Path,
    segments: &[Rc<Segment>],
) -> Result<Vec<Vec<(PathBuf, u64)>>, LogError> {
    let mut renamed = Vec::with_capacity(segments.len());
    for some in segments.chunks(RENAMED_TOGETHER_MAX) {
        let names = some.iter().flat_map(|segment| {
            SEGMENT_FILES.map(|extension| {
                let from = segment_path(log_path, segment.base_offset, extension);
                let to = from.with_added_extension(extension::DELETED);
                (from, to)
            })
        });
        let names: Vec<_> = names.collect();
        let outcomes = disk.rename_each(names.clone()).await;
        let mut named = names.into_iter().zip(outcomes);
        for segment in some {
            let mut files = Vec::new();
            for (extension, ((from, to), outcome)) in SEGMENT_FILES.iter().zip(&mut named) {
                let is_log = *extension == extension::LOG;
                let size = if is_log { segment.size.get() } else { 0 };
                match outcome {
                    Ok(()) => files.push((to, size)),
                    // The snapshot of the first segment, or an index that was lost.
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                    Err(error) => return Err(LogError::io(&from, error)),
                }
            }
            renamed.push(files);
        }
    }
    Ok(renamed)
}
