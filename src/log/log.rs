//! The handle of a log, and what is behind it.

use std::cell::{Cell, RefCell, RefMut};
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::checkpoint::CheckpointFile;
use super::committer::FlushPhase;
use super::reader::{ReadAhead, Turn};
use super::segment::Segment;
use super::spare::Spare;
use super::tail::Tail;
use super::writer::WriteInFlight;
use super::zero_ahead::Rate;
use super::{
    AppendPlan, BatchToAppend, BrokenRule, LogConfig, LogDirectory, LogError, LogProgress,
    OnProgress, ReadBatches, ReadOutcome, ReadRequest, TimestampOffset, VerifyPace,
};
use crate::io::{Notify, Permit, Reactor, Semaphore};
use crate::log_state::LogState;
use crate::types::{Offset, Timestamp, TopicId, TopicPartition};

/// What a log is opened with.
pub struct OpenLog {
    pub partition: TopicPartition,
    pub topic_id: TopicId,
    pub config: LogConfig,
    pub on_progress: OnProgress,
}

/// What recovery found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RecoveryReport {
    /// The log was made anew.
    pub created: bool,
    /// Bytes read to find the end.
    pub scanned_bytes: u64,
    /// There were segments and no checkpoint that can be believed: the scan began with the first.
    pub lost_checkpoint: bool,
    /// From here to there the checkpoint has records and no segment: the log starts behind them.
    pub missing: Option<(Offset, Offset)>,
    /// Whole batches and bytes behind the end that were dropped.
    pub dropped_batches: u64,
    pub dropped_bytes: u64,
}

/// A partition's log. A handle: clones are the same log.
#[derive(Clone)]
pub struct Log {
    pub(super) inner: Rc<LogInner>,
}

pub(super) struct LogInner {
    pub(super) reactor: Reactor,
    pub(super) directory: LogDirectory,
    pub(super) partition: TopicPartition,
    pub(super) topic_id: TopicId,
    /// `<log directory>/<topic>-<n>`.
    pub(super) path: PathBuf,
    pub(super) config: RefCell<LogConfig>,
    pub(super) state: RefCell<LogState>,
    pub(super) core: RefCell<Core>,
    pub(super) on_progress: OnProgress,
    /// Told with `on_progress`.
    pub(super) progressed: Notify,
    /// On the writer's list.
    pub(super) is_dirty: Cell<bool>,
    pub(super) flush_phase: Cell<FlushPhase>,
    pub(super) flush_timer_armed: Cell<bool>,
    pub(super) is_closed: Cell<bool>,
    /// Its end is being taken back: nothing may be appended.
    pub(super) is_truncating: Cell<bool>,
    /// Serialises opening, renaming and removing of names within the log's directory.
    pub(super) names: Semaphore,
    /// Rolls and seals run one after the other.
    pub(super) sealing: Semaphore,
    pub(super) checkpoint: CheckpointFile,
    pub(super) rate: Cell<Rate>,
    /// Bytes of a write, of the last ones more than of those before.
    pub(super) mean_write_size: Cell<u64>,
    pub(super) read_ahead: RefCell<Vec<ReadAhead>>,
    /// The file for the next segment, at most one.
    pub(super) spare: RefCell<Option<Spare>>,
}

/// What changes with every append and every write.
pub(super) struct Core {
    /// By base offset; the last one is active. Never empty.
    pub(super) segments: BTreeMap<Offset, Rc<Segment>>,
    pub(super) tail: Tail,
    /// The first batch that is not wholly submitted, and how many bytes of it are.
    pub(super) submit_number: u64,
    pub(super) submit_inside: usize,
    /// What the last unit of the submitted part holds, when it ends inside one.
    pub(super) partial_unit: Vec<u8>,
    pub(super) in_flight: VecDeque<WriteInFlight>,
    /// The first batch that is not wholly written.
    pub(super) written_number: u64,
    pub(super) written_end: Offset,
    pub(super) durable_end: Offset,
    /// Bytes since the log was opened.
    pub(super) appended_bytes: u64,
    pub(super) submitted_bytes: u64,
    pub(super) written_bytes: u64,
    pub(super) durable_bytes: u64,
    /// Segments with writes that no flush covers yet.
    pub(super) unflushed: Vec<Rc<Segment>>,
}

impl Core {
    /// `segments` are as on disk, all of it durable up to `end`.
    pub(super) fn new(segments: BTreeMap<Offset, Rc<Segment>>, end: Offset) -> Core {
        Core {
            segments,
            tail: Tail::default(),
            submit_number: 0,
            submit_inside: 0,
            partial_unit: Vec::new(),
            in_flight: VecDeque::new(),
            written_number: 0,
            written_end: end,
            durable_end: end,
            appended_bytes: 0,
            submitted_bytes: 0,
            written_bytes: 0,
            durable_bytes: 0,
            unflushed: Vec::new(),
        }
    }

    pub(super) fn active(&self) -> &Rc<Segment> {
        let (_, active) = self.segments.last_key_value().expect("a log has a segment");
        active
    }

    /// The segment that holds `offset`, an offset of the log.
    pub(super) fn segment_of(&self, offset: Offset) -> Option<Rc<Segment>> {
        let (_, segment) = self.segments.range(..=offset).next_back()?;
        Some(Rc::clone(segment))
    }
}

impl Drop for LogInner {
    fn drop(&mut self) {
        let core = self.core.get_mut();
        let unwritten = core.appended_bytes - core.written_bytes;
        self.directory.count_written(unwritten);
    }
}

impl LogInner {
    /// A log as it was found on disk.
    pub(super) fn new(
        directory: &LogDirectory,
        options: OpenLog,
        path: PathBuf,
        (state, core): (LogState, Core),
        checkpoint: CheckpointFile,
    ) -> Rc<LogInner> {
        Rc::new(LogInner {
            reactor: directory.reactor().clone(),
            directory: directory.clone(),
            partition: options.partition,
            topic_id: options.topic_id,
            path,
            config: RefCell::new(options.config),
            state: RefCell::new(state),
            core: RefCell::new(core),
            on_progress: options.on_progress,
            progressed: Notify::new(),
            is_dirty: Cell::new(false),
            flush_phase: Cell::new(FlushPhase::Idle),
            flush_timer_armed: Cell::new(false),
            is_closed: Cell::new(false),
            is_truncating: Cell::new(false),
            names: Semaphore::new(1),
            sealing: Semaphore::new(1),
            checkpoint,
            rate: Cell::new(Rate::default()),
            mean_write_size: Cell::new(0),
            read_ahead: RefCell::default(),
            spare: RefCell::default(),
        })
    }

    /// Class P.
    pub(super) fn flushes_before_ack(&self) -> bool {
        let config = self.config.borrow();
        config.flush_before_ack || config.flush_messages == 1
    }

    pub(super) fn progress(&self) -> LogProgress {
        let core = self.core.borrow();
        let is_told_early = self.directory.breaks(BrokenRule::AcknowledgesUnwritten);
        let written_end = match is_told_early {
            true => core.active().end_offset.get(),
            false => core.written_end,
        };
        LogProgress {
            written_end,
            durable_end: core.durable_end,
            failed: self.directory.failure(),
        }
    }

    /// Tells the shard how far the log is. Nothing of the log may be borrowed.
    pub(super) fn tell_progress(&self) {
        self.progressed.notify_all();
        (self.on_progress)(self.progress());
    }

    /// An error when the log takes no more work.
    pub(super) fn check_open(&self) -> Result<(), LogError> {
        if self.is_closed.get() {
            return Err(LogError::Closed);
        }
        self.directory.failure().map_or(Ok(()), Err)
    }

    /// An error when the log cannot be read: one whose directory is only full can.
    pub(super) fn check_readable(&self) -> Result<(), LogError> {
        match self.check_open() {
            Err(LogError::Full { .. }) => Ok(()),
            open => open,
        }
    }

    /// Waits until `condition` holds of the log; an error when it never will.
    pub(super) async fn wait_until(
        &self,
        condition: impl Fn(&Core) -> bool,
    ) -> Result<(), LogError> {
        loop {
            let progressed = self.progressed.notified();
            if condition(&self.core.borrow()) {
                return Ok(());
            }
            if let Some(failure) = self.directory.failure() {
                return Err(failure);
            }
            progressed.await;
        }
    }

    /// Flushes everything that is appended now and waits for it.
    pub(super) async fn flush_all(self: &Rc<LogInner>) -> Result<(), LogError> {
        let target = self.core.borrow().appended_bytes;
        self.wait_until(|core| core.written_bytes >= target).await?;
        self.directory.request_flush(self);
        self.wait_until(|core| core.durable_bytes >= target).await
    }
}

impl Log {
    /// Opens a log, makes it if it is not there, recovers it if it was not stopped cleanly.
    ///
    /// [`LogError::Corrupt`] when what is on disk cannot be the torn end of a crash: nothing is
    /// changed then.
    pub async fn open(
        directory: &LogDirectory,
        options: OpenLog,
    ) -> Result<(Log, RecoveryReport), LogError> {
        let opened = super::recovery::open(directory, options).await;
        opened.inspect_err(|error| directory.fail_if_flush(error))
    }

    pub fn partition(&self) -> &TopicPartition {
        &self.inner.partition
    }

    pub fn topic_id(&self) -> TopicId {
        self.inner.topic_id
    }

    /// The log directory that it is in.
    pub fn directory(&self) -> &Path {
        self.inner.directory.path()
    }

    /// Whether its directory has failed.
    pub fn has_failed(&self) -> bool {
        self.inner.directory.has_failed()
    }

    /// Whether nothing in its directory can be relied on any more. One that is only full is read
    /// on.
    pub fn is_lost(&self) -> bool {
        self.inner.directory.is_lost()
    }

    /// What the partition's state machine reads and changes. Not across an await.
    pub fn state(&self) -> RefMut<'_, LogState> {
        self.inner.state.borrow_mut()
    }

    /// Rolls the segment if the batch does not fit any more. Before the state machine's step:
    /// the producer snapshot of a roll is that of the state before the batch.
    pub fn prepare_append(&self, plan: &AppendPlan, now: Timestamp) {
        if self.inner.check_open().is_ok() {
            super::roll::roll_if_needed(&self.inner, plan, now);
        }
    }

    /// Appends a batch that continues the log; written and flushed behind this call. On a failed
    /// or closed log it does nothing: that was told.
    pub fn append(&self, batch: BatchToAppend) {
        if self.inner.check_open().is_err() {
            return;
        }
        let inner = &self.inner;
        assert!(
            !inner.is_truncating.get(),
            "{} is being truncated",
            inner.partition
        );
        let mut core = inner.core.borrow_mut();
        let active = Rc::clone(core.active());
        assert_eq!(
            batch.base_offset,
            active.end_offset.get(),
            "a batch continues the log {}",
            inner.partition
        );
        assert!(
            batch.last_offset >= batch.base_offset,
            "a batch has records"
        );
        let (position, size) = (active.size.get(), batch.size() as u64);
        let index = active.loaded_index().expect("the active index is loaded");
        index.borrow_mut().add_batch(
            batch.last_offset,
            batch.max_timestamp,
            position,
            size,
            inner.config.borrow().index_interval_bytes,
        );
        active.size.set(position + size);
        active.end_offset.set(batch.last_offset + 1);
        core.tail.push(batch, active, position);
        core.appended_bytes += size;
        drop(core);
        inner.directory.count_appended(size);
        inner.directory.mark_dirty(inner);
    }

    /// Whether [`Log::append`] appends: the log is not closed, its directory has not failed. While
    /// it does not, the partition's state machine may append nothing either.
    pub fn takes_batches(&self) -> bool {
        !self.inner.is_closed.get() && !self.inner.directory.has_failed()
    }

    /// Whether it takes no more batches: it is being stopped or deleted.
    pub fn is_closed(&self) -> bool {
        self.inner.is_closed.get()
    }

    /// How far the records have come.
    pub fn progress(&self) -> LogProgress {
        self.inner.progress()
    }

    pub fn written_end(&self) -> Offset {
        self.inner.core.borrow().written_end
    }

    pub fn durable_end(&self) -> Offset {
        self.inner.core.borrow().durable_end
    }

    /// Appended bytes that are not yet written.
    pub fn unwritten_bytes(&self) -> u64 {
        let core = self.inner.core.borrow();
        core.appended_bytes - core.written_bytes
    }

    /// The same of all logs of its directory on this shard: memory that nothing gives back before
    /// the disk has taken it.
    pub fn unwritten_bytes_of_directory(&self) -> u64 {
        self.inner.directory.unwritten_bytes()
    }

    /// Written bytes that no flush has made durable.
    pub fn unflushed_bytes(&self) -> u64 {
        let core = self.inner.core.borrow();
        core.written_bytes - core.durable_bytes
    }

    /// Asks for a flush of everything written so far, whatever the class.
    pub fn flush(&self) {
        self.inner.directory.request_flush(&self.inner);
    }

    /// Flushes everything appended so far, whatever the class, and waits for it.
    pub async fn flush_all(&self) -> Result<(), LogError> {
        self.inner.flush_all().await
    }

    /// Changes the settings; those of the flush class count once a checkpoint has recorded them.
    pub fn set_config(&self, config: LogConfig) {
        self.inner.config.replace(config);
        self.inner.directory.want_checkpoint(&self.inner);
    }

    /// Logical bytes of all segments.
    pub fn size_in_bytes(&self) -> u64 {
        let core = self.inner.core.borrow();
        core.segments
            .values()
            .map(|segment| segment.size.get())
            .sum()
    }

    /// Reads what is in memory, without waiting.
    pub fn read(&self, request: ReadRequest) -> Result<ReadOutcome, LogError> {
        super::reader::read(&self.inner, &request, usize::MAX)
    }

    /// As [`Log::read`], and of what it returns only whole batches up to `taken_size_max` bytes are
    /// taken; the others are measured, and pin no memory. They can be read later: batches do not
    /// change.
    pub fn read_taking(
        &self,
        request: ReadRequest,
        taken_size_max: usize,
    ) -> Result<ReadOutcome, LogError> {
        super::reader::read(&self.inner, &request, taken_size_max)
    }

    /// Reads from disk if need be; any read may be given to it.
    pub async fn read_cold(&self, request: ReadRequest) -> Result<ReadBatches, LogError> {
        let mut turn = Turn::unbounded();
        super::reader::read_cold(&self.inner, request, &mut turn).await
    }

    /// As [`Log::read_cold`], when so many of the bytes of `turns` are free as it has to read at
    /// once: more than was asked for, if the first batch is larger. They are taken until the permit
    /// is dropped.
    pub async fn read_cold_in_turn(
        &self,
        request: ReadRequest,
        turns: &Semaphore,
    ) -> Result<(ReadBatches, Option<Permit>), LogError> {
        let mut turn = Turn::begin(turns, &request).await;
        let batches = super::reader::read_cold(&self.inner, request, &mut turn).await?;
        Ok((batches, turn.into_permit()))
    }

    /// The first record below `end_bound` that is not earlier than `timestamp`.
    pub async fn offset_for_timestamp(
        &self,
        timestamp: Timestamp,
        end_bound: Offset,
    ) -> Result<Option<TimestampOffset>, LogError> {
        super::time_lookup::offset_for_timestamp(&self.inner, timestamp, end_bound).await
    }

    /// The record with the largest timestamp, the first of several (ListOffsets -3, KIP-734).
    pub async fn max_timestamp(&self) -> Result<Option<TimestampOffset>, LogError> {
        super::time_lookup::max_timestamp(&self.inner).await
    }

    /// Reads all sealed segments again, no faster than `pace` allows: what is damaged is told and
    /// counted, once. The error is one of reading at all.
    pub async fn verify(&self, pace: VerifyPace) -> Result<(), LogError> {
        super::verification::verify(&self.inner, pace).await
    }

    /// Moves the log's start to the oldest segment that is to be kept by age and size, at most to
    /// `high_watermark`; `true` if it moved, and then it is durable. `now` is compared with the
    /// records' timestamps.
    pub async fn apply_retention(
        &self,
        high_watermark: Offset,
        now: Timestamp,
    ) -> Result<bool, LogError> {
        super::retention::apply(&self.inner, high_watermark, now).await
    }

    /// Moves the log's start to `offset`, at most to its end, and never back; `true` if it moved.
    /// That it is there or behind is durable then. Reads below are refused from now on.
    pub async fn raise_log_start(&self, offset: Offset) -> Result<bool, LogError> {
        super::retention::raise_log_start(&self.inner, offset).await
    }

    /// Takes the segments wholly below the durable log start and `below` out of use; how many.
    /// Their files are renamed to `.deleted` and go after `file.delete.delay.ms`. Reads under way
    /// end well.
    pub async fn drop_old_segments(&self, below: Offset) -> Result<usize, LogError> {
        super::retention::drop_old_segments(&self.inner, below).await
    }

    /// Takes back the batch that contains `offset` and all behind it; gives the log's new end,
    /// which is durable. [`LogError::OffsetOutOfRange`] below the log's start.
    ///
    /// Nothing may be appended until it returns. Readers get what is before the cut. The producers
    /// are those of the newest snapshot and of what is behind it.
    pub async fn truncate_to(&self, offset: Offset) -> Result<Offset, LogError> {
        super::truncation::truncate_to(&self.inner, offset).await
    }

    /// Clean stop of this log: everything written and flushed, the active segment cut to its size,
    /// indexes, snapshot and checkpoint written. The log is closed then.
    pub async fn stop(&self) -> Result<(), LogError> {
        let stopped = super::stop::stop(&self.inner).await;
        stopped.inspect_err(|error| self.inner.directory.fail_if_flush(error))
    }

    /// Stops and removes the log: its directory is renamed to `<topic>-<n>.<uuid>-delete` when
    /// this returns, and removed behind that.
    pub async fn delete(&self) -> Result<(), LogError> {
        let deleted = super::stop::delete(&self.inner).await;
        deleted.inspect_err(|error| self.inner.directory.fail_if_flush(error))
    }
}
