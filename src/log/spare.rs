//! The file of a dropped segment, kept for the next segment of the same log (rule 7).
//!
//! Its blocks are written and inside a synced size, so that what goes there needs no zeros ahead
//! and only a flush of the device (rules 5 and 6). What it holds are batches of the same partition,
//! whose offsets are all below the log's start.
//!
//! A log has at most one, and only for [`KEPT_MAX`]: a log that takes longer for a segment loses
//! nothing by zeros. So a log holds at most one segment more than its retention says.
//!
//! # Non-obvious
//! - It keeps its `.deleted` name until it is taken over: a process that dies leaves a file that
//!   the next start removes.
//! - The `.deleted` name is durable before anything is written to the file: otherwise a power cut
//!   could bring the old name back, over what is no longer its contents.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use super::log::LogInner;
use super::removal::Target;
use super::segment::{Segment, align_down, extension, segment_path};
use super::{Landmark, LogError, written_mark};
use crate::io::{File, WRITE_UNIT};
use crate::metrics::Counter;

/// A spare that no roll has taken over by then is removed.
const KEPT_MAX: Duration = Duration::from_secs(3_600);

/// Of the disk, in percent, that must be free for a file to become a spare.
const FREE_PERCENT_MIN: u64 = 10;

/// A file of less than this part of `segment.bytes` is not worth it: the segment would outgrow it.
const PART_MIN: u64 = 2;

/// A mark and something to be written before it.
const SIZE_MIN: u64 = 2 * WRITE_UNIT as u64;

/// A file that the next segment may take over.
pub(super) struct Spare {
    path: PathBuf,
    size: u64,
}

/// Whether the log would use files like this one, of a segment that was dropped from it.
fn is_wanted(log: &LogInner, size: u64) -> bool {
    let is_large = size >= SIZE_MIN && size >= log.config.borrow().segment_size_max / PART_MIN;
    is_large && gains(log) && !log.is_closed.get() && log.spare.borrow().is_none()
}

/// Otherwise every write is followed by a sync of its file, or by none.
fn gains(log: &LogInner) -> bool {
    log.flushes_before_ack() && log.directory.flushes_by_device()
}

/// Makes a dropped segment's file, which nobody reads any more, the log's spare; gives its path.
/// `None` if it is to be removed with the segment's others.
pub(super) async fn offer(log: &Rc<LogInner>, segment: &Segment) -> Option<PathBuf> {
    let size = align_down(segment.size.get());
    if segment.was_cut.get() || !is_wanted(log, size) || !has_room(log).await {
        return None;
    }
    match log.directory.disk().sync_dir(&log.path).await {
        Ok(()) => {}
        // The log is being deleted: its directory has moved.
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        Err(error) => {
            log.directory.fail(&LogError::flush(&log.path, error));
            return None;
        }
    }
    // The log may have been closed, or have got another one.
    if !is_wanted(log, size) {
        return None;
    }
    let path = segment_path(&log.path, segment.base_offset, extension::LOG);
    let path = path.with_added_extension(extension::DELETED);
    let target = Target::Spare {
        path: path.clone(),
        size,
        log: Rc::downgrade(log),
    };
    let spare = Spare {
        path: path.clone(),
        size,
    };
    log.spare.replace(Some(spare));
    log.directory.remove_later(KEPT_MAX, target, Vec::new());
    Some(path)
}

async fn has_room(log: &LogInner) -> bool {
    let facts = log.directory.disk().facts(log.directory.path()).await;
    facts.is_ok_and(|facts| facts.free_bytes >= facts.total_bytes / 100 * FREE_PERCENT_MIN)
}

/// The spare at `path`, if it still is one, is to be removed.
pub(super) fn give_up(log: &LogInner, path: &Path) {
    log.spare.borrow_mut().take_if(|spare| spare.path == path);
}

/// Gives the log's spare to `segment`, whose name then is `path`, if there is one that it can use.
/// The name is not durable yet.
pub(super) async fn take_over(
    log: &Rc<LogInner>,
    segment: &Segment,
    path: &Path,
) -> Result<Option<File>, LogError> {
    if !gains(log) {
        return Ok(None);
    }
    let Some(spare) = log.spare.take() else {
        return Ok(None);
    };
    let failed = |error| LogError::io(&spare.path, error);
    let disk = log.directory.disk();
    let options = log.directory.locked_for_writing(false);
    let file = match disk.open(&spare.path, options).await {
        // Somebody made room.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(failed)?,
    };
    if file.size() != spare.size {
        file.set_size(spare.size).await.map_err(failed)?;
    }
    written_mark::begin(log, segment, &file, spare.size).await?;
    let synced = file.sync_all().await;
    synced.map_err(|error| LogError::flush(&spare.path, error))?;
    disk.rename(&spare.path, path).await.map_err(failed)?;
    segment.update_covered(|covered| {
        covered.file_synced(spare.size);
        covered.zeros_synced(spare.size, spare.size);
    });
    log.directory.metrics().increment(Counter::SegmentsRecycled);
    log.directory.reached(Landmark::SegmentRecycled);
    Ok(Some(file))
}
