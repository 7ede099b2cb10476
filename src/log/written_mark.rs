//! How far the file of a recycled segment may have been written (rule 7).
//!
//! Behind the end of a recycled segment lie batches of the segment whose file it was. They are no
//! part of the log, and in a torn tail they lie between what is. So that recovery need not look
//! through all of them, nor believe any, the last unit of the file says behind which byte nothing
//! was written since: the writer stays before it, and it is durable before the writer goes on.
//!
//! ```text
//! 0                    written                  end            size - 4096   size
//! +----------------------+------------------------+------------------+---------+
//! | batches              | old, or torn writes    | old batches only | mark    |
//! +----------------------+------------------------+------------------+---------+
//! ```
//!
//! # Non-obvious
//! - The mark's own unit is written only after it was moved behind the end of the file, durably.
//!   So either it is there, or less than a step of the file was left.
//! - The segment's base offset is in it: the mark of an earlier use of the file says nothing.
//! - While it is being moved nothing else is written there, and nobody cuts the file
//!   ([`Segment::zeroing`]).

use std::rc::Rc;

use super::log::LogInner;
use super::segment::{Segment, align_up, extension, segment_path};
use super::{Landmark, LogError, zero_ahead};
use crate::io::{File, IoClass, WRITE_UNIT};
use crate::types::Offset;

const MAGIC: &[u8; 8] = b"RINGLOGW";
/// Magic, base offset, place, end, CRC32C of these.
const SIZE: usize = 36;
const CRC_POSITION: usize = SIZE - 4;
const UNIT: u64 = WRITE_UNIT as u64;

/// Of a file, not more than this part at a time is given to the writer: a small file has marks too.
const STEPS_MIN: u64 = 8;

/// The durable mark of an active segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct WrittenMark {
    /// Where it lies: the last unit of the file.
    place: u64,
    /// Nothing was written at or behind this byte; a multiple of the unit.
    end: u64,
}

impl WrittenMark {
    fn encode(self, base_offset: Offset) -> [u8; SIZE] {
        let mut bytes = [0; SIZE];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..16].copy_from_slice(&base_offset.to_be_bytes());
        bytes[16..24].copy_from_slice(&self.place.to_be_bytes());
        bytes[24..CRC_POSITION].copy_from_slice(&self.end.to_be_bytes());
        let crc = crc32c::crc32c(&bytes[..CRC_POSITION]);
        bytes[CRC_POSITION..].copy_from_slice(&crc.to_be_bytes());
        bytes
    }

    /// The mark that lets the writer come a step further than `submitted`; behind the file when it
    /// would reach its own place.
    fn next(place: u64, submitted: u64, step: u64) -> WrittenMark {
        let end = align_up(submitted + step);
        let end = if end > place { place + UNIT } else { end };
        WrittenMark { place, end }
    }

    /// Behind the file it says nothing any more.
    fn is_behind_the_file(self) -> bool {
        self.end > self.place
    }

    /// The writer stays before this byte.
    pub(super) fn limit(self) -> u64 {
        match self.is_behind_the_file() {
            true => u64::MAX,
            false => self.end,
        }
    }
}

/// Where the mark of a file of `size` bytes would be.
pub fn mark_place(size: u64) -> Option<u64> {
    let is_whole = size.is_multiple_of(UNIT);
    size.checked_sub(UNIT).filter(|_| is_whole)
}

/// The byte behind which nothing was written to the recycled file of the segment at `base_offset`,
/// by the unit at its [`mark_place`]; `None` if that is no mark of it.
pub fn written_at_most(unit: &[u8], base_offset: Offset, place: u64) -> Option<u64> {
    let bytes = unit.first_chunk::<SIZE>()?;
    let field = |at: usize| {
        let bytes = bytes[at..].first_chunk().expect("inside");
        u64::from_be_bytes(*bytes)
    };
    let mark = WrittenMark {
        place,
        end: field(24),
    };
    (mark.encode(base_offset) == *bytes).then(|| mark.end.min(place + UNIT))
}

/// See [`written_at_most`].
pub(super) async fn read(file: &File, base_offset: Offset) -> Result<Option<u64>, LogError> {
    let Some(place) = mark_place(file.size()) else {
        return Ok(None);
    };
    let read = file.read_at(place, SIZE, IoClass::Background).await;
    let bytes = read.map_err(|error| LogError::io(file.path(), error))?;
    Ok(written_at_most(&bytes, base_offset, place))
}

/// Puts the first mark into the file of `size` bytes that `segment` takes over; to be synced before
/// the file has the segment's name.
pub(super) async fn begin(
    log: &LogInner,
    segment: &Segment,
    file: &File,
    size: u64,
) -> Result<(), LogError> {
    let place = mark_place(size).expect("a spare has whole units");
    let mark = WrittenMark::next(place, 0, step(log, place));
    write(log, segment, file, mark).await?;
    segment.mark.set(Some(mark));
    Ok(())
}

/// How far ahead of the writer the mark is set: as far as zeros would be, so that recovery has no
/// more to look through behind a recycled segment's end than behind another's.
fn step(log: &LogInner, place: u64) -> u64 {
    zero_ahead::distance(zero_ahead::bytes_per_second(log)).min(align_up(place / STEPS_MIN))
}

async fn write(
    log: &LogInner,
    segment: &Segment,
    file: &File,
    mark: WrittenMark,
) -> Result<(), LogError> {
    let mut buffer = log.directory.disk().buffer(WRITE_UNIT);
    let bytes = mark.encode(segment.base_offset);
    buffer.as_mut_slice()[..SIZE].copy_from_slice(&bytes);
    let written = file.write_at(buffer, mark.place, IoClass::Commit).await;
    let failed = |error| LogError::io(&path(log, segment), error);
    written.map(|_| ()).map_err(failed)
}

fn path(log: &LogInner, segment: &Segment) -> std::path::PathBuf {
    segment_path(&log.path, segment.base_offset, extension::LOG)
}

/// Moves the mark of a segment when the writer comes near it; forgets it when it was written over.
/// Until then no zeros go behind the file: its last unit has to be the mark, or recovery would take
/// old batches before it for what was written.
pub(super) fn move_if_needed(log: &Rc<LogInner>, segment: &Rc<Segment>, mark: WrittenMark) {
    if mark.is_behind_the_file() {
        if segment.submitted_position.get() > mark.place {
            segment.mark.set(None);
        }
        return;
    }
    if segment.zeroing.get().is_some() {
        return;
    }
    let is_active = Rc::ptr_eq(log.core.borrow().active(), segment) && !log.is_closed.get();
    let submitted = align_up(segment.submitted_position.get());
    let step = step(log, mark.place);
    let is_near = mark.end.saturating_sub(submitted) < step / 2;
    if !is_near || !(is_active || segment.size.get() > mark.end) {
        return;
    }
    let Some(file) = segment.open_file() else {
        return;
    };
    let next = WrittenMark::next(mark.place, submitted, step);
    segment.zeroing.set(Some((mark.place, mark.place + UNIT)));
    let reactor = log.reactor.clone();
    let (log, segment) = (Rc::clone(log), Rc::clone(segment));
    reactor
        .spawn(async move {
            match make_durable(&log, &segment, &file, next).await {
                Ok(()) => segment.mark.set(Some(next)),
                Err(error) => log.directory.fail(&error),
            }
            segment.zeroing.set(None);
            segment.changed.notify_all();
            log.directory.mark_dirty(&log);
        })
        .detach();
}

async fn make_durable(
    log: &LogInner,
    segment: &Segment,
    file: &File,
    mark: WrittenMark,
) -> Result<(), LogError> {
    write(log, segment, file, mark).await?;
    let flushed = log.directory.device_flush().flush().await;
    flushed.map_err(|error| LogError::flush(&path(log, segment), error))?;
    // Another flush may have failed in the meantime: what this one has kept is not known.
    log.directory.failure().map_or(Ok(()), Err)?;
    log.directory.reached(Landmark::WrittenMarkMoved);
    Ok(())
}
