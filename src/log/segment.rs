//! One segment of a log: its file, its indexes, how far it is written.

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use super::LogError;
use super::log::LogInner;
use super::segment_index::SegmentIndex;
use super::written_mark::WrittenMark;
use crate::io::{File, Notify, WRITE_UNIT};
use crate::types::{Offset, Timestamp};

/// How long the writes of a killed process are waited for (measured: up to 108 ms).
pub(super) const LOCK_WAIT_MAX: Duration = Duration::from_secs(10);

const UNIT: u64 = WRITE_UNIT as u64;

/// The files of a segment, by extension.
pub mod extension {
    pub const LOG: &str = "log";
    pub const INDEX: &str = "index";
    pub const TIME_INDEX: &str = "timeindex";
    pub const SNAPSHOT: &str = "snapshot";
    /// Added to the name of a file that is out of use and about to be removed.
    pub const DELETED: &str = "deleted";
}

/// `<dir>/<base offset, 20 digits>.<extension>`.
pub fn segment_path(dir: &Path, base_offset: Offset, extension: &str) -> PathBuf {
    dir.join(format!("{base_offset:020}.{extension}"))
}

/// Base offset and extension of a segment's file name.
pub fn parse_segment_name(name: &str) -> Option<(Offset, &str)> {
    let (digits, extension) = name.split_once('.')?;
    if digits.len() != 20 || !digits.bytes().all(|c| c.is_ascii_digit()) {
        return None;
    }
    Some((digits.parse().ok()?, extension))
}

/// One segment. All positions are bytes in its `.log` file.
///
/// **Invariant:** `written_position <= submitted_position <= size`.
pub(super) struct Segment {
    pub(super) base_offset: Offset,
    /// Open for writing while active; sealed segments are opened by readers.
    pub(super) file: RefCell<Option<File>>,
    /// Bytes appended, written or not.
    pub(super) size: Cell<u64>,
    pub(super) submitted_position: Cell<u64>,
    /// End of the gap-free prefix of completed writes.
    pub(super) written_position: Cell<u64>,
    /// Offset after the last record.
    pub(super) end_offset: Cell<Offset>,
    /// In memory for the active segment, on demand for sealed ones.
    pub(super) index: RefCell<Option<Rc<RefCell<SegmentIndex>>>>,
    /// When the segment was made, for rolling by time without timestamps.
    pub(super) created_at: Cell<Timestamp>,
    /// When it was last appended to, for retention by time without timestamps. A segment found on
    /// disk counts from when it was found.
    pub(super) modified_at: Cell<Timestamp>,
    /// Largest timestamp and the last offset of the batch that has it, once known: only of a
    /// segment that takes no more batches.
    pub(super) max_timestamp: Cell<Option<(Timestamp, Offset)>>,
    pub(super) is_sealed: Cell<bool>,
    /// Its files are being taken away: not to be opened any more. Whoever has one open keeps it.
    pub(super) is_dropped: Cell<bool>,
    /// Reads of its file under way.
    reader_count: Cell<usize>,
    /// Its name, and the snapshot that belongs to it, survive a power cut.
    pub(super) names_synced: Cell<bool>,
    /// Writes have completed since the last flush was submitted.
    pub(super) has_unflushed: Cell<bool>,
    /// Some of them are not covered by a flush of the device alone.
    pub(super) needs_file_sync: Cell<bool>,
    pub(super) covered: Cell<Covered>,
    /// Of a recycled file: the writer stays before its end.
    pub(super) mark: Cell<Option<WrittenMark>>,
    /// Its end was taken back, by recovery or a truncation of this process.
    pub(super) was_cut: Cell<bool>,
    /// The part that is being zeroed, or a mark moved: nothing else may be written there.
    pub(super) zeroing: Cell<Option<(u64, u64)>>,
    /// Bytes of the directory's budget for zeros that it holds.
    pub(super) zero_reserved: Cell<u64>,
    /// Told when sealed, or when zeroing has ended.
    pub(super) changed: Notify,
}

/// The blocks that have been written and synced with the size that contains them: rewriting them
/// needs only a flush of the device (rule 5).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Covered {
    /// Everything below: written by the appender, file synced.
    pub(super) synced_end: u64,
    /// Zeroed ahead, file synced.
    pub(super) zeroed_from: u64,
    pub(super) zeroed_to: u64,
}

impl Covered {
    /// Whether all blocks from `position` to `end` are covered.
    pub(super) fn contains(&self, position: u64, end: u64) -> bool {
        let position = position.max(self.synced_end);
        position >= end || (position >= self.zeroed_from && end <= self.zeroed_to)
    }

    /// The file was synced when everything below `position` had been written.
    pub(super) fn file_synced(&mut self, position: u64) {
        self.synced_end = self.synced_end.max(align_up(position));
    }

    /// Zeros from `from` to `to` were written, then the file synced.
    pub(super) fn zeros_synced(&mut self, from: u64, to: u64) {
        if from != self.zeroed_to {
            self.zeroed_from = from;
        }
        self.zeroed_to = to;
    }
}

impl Segment {
    /// An empty segment that has no file yet.
    pub(super) fn new(base_offset: Offset, created_at: Timestamp) -> Rc<Segment> {
        let segment = Segment::sealed(base_offset, 0, base_offset);
        segment.is_sealed.set(false);
        segment.names_synced.set(false);
        segment.created_at.set(created_at);
        segment.modified_at.set(created_at);
        segment
            .index
            .replace(Some(Rc::new(RefCell::new(SegmentIndex::new(base_offset)))));
        segment
    }

    /// A segment that takes no more batches, as found on disk.
    pub(super) fn sealed(base_offset: Offset, size: u64, end_offset: Offset) -> Rc<Segment> {
        Rc::new(Segment {
            base_offset,
            file: RefCell::new(None),
            size: Cell::new(size),
            submitted_position: Cell::new(size),
            written_position: Cell::new(size),
            end_offset: Cell::new(end_offset),
            index: RefCell::new(None),
            created_at: Cell::new(0),
            modified_at: Cell::new(0),
            max_timestamp: Cell::new(None),
            is_sealed: Cell::new(true),
            is_dropped: Cell::new(false),
            reader_count: Cell::new(0),
            names_synced: Cell::new(true),
            has_unflushed: Cell::new(false),
            needs_file_sync: Cell::new(false),
            covered: Cell::new(Covered::default()),
            mark: Cell::new(None),
            was_cut: Cell::new(false),
            zeroing: Cell::new(None),
            zero_reserved: Cell::new(0),
            changed: Notify::new(),
        })
    }

    /// Makes a segment found on disk the one that takes the next batches.
    pub(super) fn activate(&self, file: File, index: SegmentIndex, now: Timestamp) {
        self.is_sealed.set(false);
        self.created_at.set(now);
        self.modified_at.set(now);
        self.index.replace(Some(Rc::new(RefCell::new(index))));
        self.file.replace(Some(file));
    }

    /// The index of a segment that has it in memory, as the active one always does.
    pub(super) fn loaded_index(&self) -> Option<Rc<RefCell<SegmentIndex>>> {
        self.index.borrow().clone()
    }

    pub(super) fn open_file(&self) -> Option<File> {
        self.file.borrow().clone()
    }

    /// Whether a flush of the device makes all completed writes durable.
    pub(super) fn is_covered(&self) -> bool {
        self.names_synced.get() && !self.needs_file_sync.get()
    }

    pub(super) fn update_covered(&self, change: impl FnOnce(&mut Covered)) {
        let mut covered = self.covered.get();
        change(&mut covered);
        self.covered.set(covered);
    }

    /// Notes the largest timestamp of a segment that takes no more batches.
    pub(super) fn remember_max_timestamp(&self, index: &SegmentIndex) {
        let latest = (index.max_timestamp, index.max_timestamp_offset);
        self.max_timestamp.set(Some(latest));
    }

    /// Keeps the file from being shrunk while it is read.
    pub(super) fn lease(self: &Rc<Segment>) -> ReadLease {
        self.reader_count.set(self.reader_count.get() + 1);
        ReadLease(Rc::clone(self))
    }

    /// Waits until nothing of it is being zeroed and its mark is not being moved.
    pub(super) async fn not_zeroing(&self, log: &LogInner) -> Result<(), LogError> {
        loop {
            let changed = self.changed.notified();
            if self.zeroing.get().is_none() {
                return Ok(());
            }
            log.directory.failure().map_or(Ok(()), Err)?;
            changed.await;
        }
    }

    /// Nobody finds the segment any more; reads under way go on.
    pub(super) fn take_out_of_use(&self) {
        self.is_dropped.set(true);
        self.file.replace(None);
        self.index.replace(None);
    }

    /// Waits until nobody reads the file. Of a dropped segment, that holds from then on.
    pub(super) async fn unread(&self) {
        loop {
            let changed = self.changed.notified();
            if self.reader_count.get() == 0 {
                return;
            }
            changed.await;
        }
    }

    /// Whether all appended bytes have been written.
    pub(super) fn is_all_written(&self) -> bool {
        self.written_position.get() == self.size.get()
    }
}

/// A read of a segment's file under way.
pub(super) struct ReadLease(Rc<Segment>);

impl Drop for ReadLease {
    fn drop(&mut self) {
        let Segment {
            reader_count,
            is_dropped,
            changed,
            ..
        } = &*self.0;
        reader_count.set(reader_count.get() - 1);
        if is_dropped.get() {
            changed.notify_all();
        }
    }
}

/// The start of the unit that contains `position`.
pub(super) fn align_down(position: u64) -> u64 {
    position & !(UNIT - 1)
}

/// The end of the unit that contains the byte before `position`.
pub(super) fn align_up(position: u64) -> u64 {
    position.next_multiple_of(UNIT)
}
