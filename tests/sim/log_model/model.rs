//! What the log must hold, kept outside of the simulated world.

use std::ops::Range;

use bytes::Bytes;
use ringlog::log::{LogConfig, LogProgress, ReadRequest, TimestampOffset};
use ringlog::log_state::{LeaderEpochCache, ProducerBatch, ProducerState};
use ringlog::types::{LeaderEpoch, Offset, Timestamp};

/// A batch that was appended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct ModelBatch {
    pub(super) bytes: Bytes,
    pub(super) base_offset: Offset,
    pub(super) last_offset: Offset,
    pub(super) leader_epoch: LeaderEpoch,
    /// Of each record.
    pub(super) timestamps: Vec<Timestamp>,
    pub(super) producer: Option<ProducerBatch>,
}

impl ModelBatch {
    pub(super) fn max_timestamp(&self) -> Timestamp {
        self.timestamps
            .iter()
            .copied()
            .max()
            .expect("a batch has records")
    }
}

/// Everything appended, and how much of it must come back.
#[derive(Default)]
pub(super) struct Model {
    pub(super) batches: Vec<ModelBatch>,
    pub(super) written_end: Offset,
    pub(super) durable_end: Offset,
    /// What must be there after the next start.
    required_end: Offset,
    /// Where the log's start is at least, whatever happens, and at most.
    start_min: Offset,
    start_max: Offset,
    /// The log is being truncated to here: nothing behind is promised any more.
    truncating_to: Option<Offset>,
    /// It was truncated: of the producers less is known.
    pub(super) was_truncated: bool,
    /// A process has opened it since the last loss.
    is_open: bool,
    /// A write or flush has failed: only what is durable is promised.
    has_failed: bool,
    /// Epoch of the leader, which grows with every start.
    pub(super) leader_epoch: LeaderEpoch,
}

impl Model {
    pub(super) fn end(&self) -> Offset {
        self.batches.last().map_or(0, |last| last.last_offset + 1)
    }

    pub(super) fn progressed(&mut self, progress: &LogProgress) {
        if progress.failed.is_some() {
            self.has_failed = true;
            return;
        }
        assert!(
            progress.durable_end <= progress.written_end,
            "flushed before written"
        );
        assert!(
            progress.written_end <= self.end(),
            "written before appended"
        );
        assert!(
            progress.written_end >= self.written_end,
            "written_end went back"
        );
        assert!(
            progress.durable_end >= self.durable_end,
            "durable_end went back"
        );
        let promised = self.truncating_to.unwrap_or(Offset::MAX);
        self.written_end = progress.written_end.min(promised);
        self.durable_end = progress.durable_end.min(promised);
    }

    /// The log is about to lose everything from the batch at `offset` on.
    pub(super) fn truncating(&mut self, offset: Offset) {
        self.truncating_to = Some(offset);
        self.was_truncated = true;
        self.written_end = self.written_end.min(offset);
        self.durable_end = self.durable_end.min(offset);
        self.required_end = self.required_end.min(offset);
    }

    /// It has lost it.
    pub(super) fn truncated(&mut self, end: Offset) {
        assert_eq!(self.truncating_to.take(), Some(end), "cut elsewhere");
        self.batches.retain(|batch| batch.last_offset < end);
        self.start_max = self.start_max.min(end);
        self.written_end = end;
        self.durable_end = end;
    }

    /// Checks the producers of a log that has the model's batches: a truncated log may have
    /// forgotten all but the last batch of each.
    pub(super) fn check_producers(&self, state: &ProducerState) {
        let expected = self.producers();
        if !self.was_truncated {
            assert_eq!(*state, expected, "the producers");
            return;
        }
        let ids = |state: &ProducerState| -> Vec<_> {
            state.iter().map(|entry| entry.producer_id).collect()
        };
        assert_eq!(ids(state), ids(&expected), "the producers");
        for entry in expected.iter() {
            let found = state.get(entry.producer_id).expect("compared");
            assert_eq!(found.producer_epoch, entry.producer_epoch);
            assert!(!found.batches().is_empty(), "no batch of {entry:?}");
            assert!(entry.batches().ends_with(found.batches()), "{found:?}");
        }
    }

    /// Base offsets of the batches at which the log can be cut.
    pub(super) fn cuts(&self, start: Offset) -> Vec<Offset> {
        let inside = self.batches.iter().filter(|b| b.base_offset > start);
        inside.map(|batch| batch.base_offset).collect()
    }

    /// The process is gone: what was written is there. One that had not recovered the log promised
    /// nothing new.
    pub(super) fn lose_process(&mut self) {
        if self.is_open {
            self.required_end = match self.has_failed {
                true => self.durable_end,
                false => self.written_end,
            };
        }
        self.is_open = false;
    }

    /// The machine lost its power: what was flushed is there.
    pub(super) fn lose_power(&mut self) {
        self.required_end = self.durable_end;
        self.is_open = false;
    }

    /// A clean stop keeps everything.
    pub(super) fn stopped(&mut self) {
        self.written_end = self.end();
        self.durable_end = self.end();
    }

    /// The log's start is being moved to `offset` or less.
    pub(super) fn start_may_move(&mut self, offset: Offset) {
        self.start_max = self.start_max.max(offset);
    }

    /// The log's start was told to be durable at `offset`.
    pub(super) fn start_is_durable(&mut self, offset: Offset) {
        assert!(offset <= self.start_max, "the log's start moved too far");
        self.start_min = self.start_min.max(offset);
    }

    /// Whether the log may start inside of a segment or of a batch.
    pub(super) fn starts_inside(&self) -> bool {
        self.start_max > 0
    }

    /// What retention let go was too much, or, behind that, too old.
    pub(super) fn check_retention(
        &self,
        config: &LogConfig,
        moved: Range<Offset>,
        end: Offset,
        now: Timestamp,
    ) {
        let size_min = config.retention_size.unwrap_or(u64::MAX);
        let of_log = self.batches.iter().filter(|batch| batch.base_offset < end);
        let mut left: u64 = of_log.map(|batch| batch.bytes.len() as u64).sum();
        let gone = self.batches.iter().filter(|b| b.last_offset < moved.end);
        for batch in gone {
            left -= batch.bytes.len() as u64;
            let age = now - batch.max_timestamp();
            let is_old = config.retention_ms.is_some_and(|limit| age > limit);
            assert!(
                is_old || left >= size_min || batch.last_offset < moved.start,
                "retention moved the start by {moved:?} and let go of {}",
                batch.base_offset
            );
        }
    }

    /// The log was opened and has these bounds.
    pub(super) fn recovered(&mut self, start: Offset, end: Offset) {
        assert!(
            (self.start_min..=self.start_max).contains(&start),
            "the log starts at {start}, not within {}..={}",
            self.start_min,
            self.start_max
        );
        self.start_min = start;
        self.start_max = start;
        self.truncating_to = None;
        assert!(
            end >= self.required_end,
            "the log ends at {end}, {} were acknowledged",
            self.required_end
        );
        assert!(
            end <= self.end(),
            "{end} is behind all that was appended ({})",
            self.end()
        );
        let kept = self
            .batches
            .partition_point(|batch| batch.last_offset < end);
        self.batches.truncate(kept);
        assert_eq!(self.end(), end, "the log ends inside a batch");
        self.has_failed = false;
        self.is_open = true;
        self.written_end = end;
        self.durable_end = end;
        self.required_end = end;
        self.leader_epoch += 1;
    }

    /// The producers that these batches make.
    pub(super) fn producers(&self) -> ProducerState {
        let mut state = ProducerState::default();
        for batch in &self.batches {
            if let Some(producer) = &batch.producer {
                state.apply(producer, batch.base_offset, batch.max_timestamp());
            }
        }
        state
    }

    pub(super) fn epochs(&self, start: Offset) -> LeaderEpochCache {
        let mut epochs = LeaderEpochCache::default();
        for batch in &self.batches {
            epochs.assign(batch.leader_epoch, batch.base_offset);
        }
        epochs.truncate_from_start(start);
        epochs
    }

    /// Checks what a read gave: whole batches from the one that contains the offset, none behind
    /// the bound, not more than was asked for.
    pub(super) fn check_read(&self, request: &ReadRequest, pieces: &[Bytes]) {
        let bytes = pieces.concat();
        let first = self
            .batches
            .partition_point(|batch| batch.last_offset < request.offset);
        let mut rest = &bytes[..];
        for batch in &self.batches[first..] {
            if rest.is_empty() {
                break;
            }
            assert!(
                batch.last_offset < request.end_bound,
                "{request:?} passed its bound"
            );
            let size = batch.bytes.len();
            assert!(rest.len() >= size, "{request:?} ends inside a batch");
            assert!(
                rest[..size] == batch.bytes[..],
                "{request:?} gave other bytes"
            );
            rest = &rest[size..];
        }
        assert!(rest.is_empty(), "{request:?} gave more than there is");
        let first_fits = self
            .batches
            .get(first)
            .is_some_and(|batch| batch.last_offset < request.end_bound);
        assert_eq!(
            !bytes.is_empty(),
            first_fits,
            "{request:?} gave {} bytes",
            bytes.len()
        );
        if let Some(batch) = self.batches.get(first) {
            let most = request.size_max.max(batch.bytes.len());
            assert!(
                bytes.len() <= most,
                "{request:?} gave {} bytes",
                bytes.len()
            );
        }
    }

    /// The first record, of batches that end in a range, not earlier than a time.
    pub(super) fn first_at(
        &self,
        timestamp: Timestamp,
        range: Range<Offset>,
    ) -> Option<TimestampOffset> {
        self.first_that(range, |time| time >= timestamp)
    }

    /// The first of the records with the largest time.
    pub(super) fn latest(&self, start: Offset) -> Option<TimestampOffset> {
        let kept = self
            .batches
            .iter()
            .filter(|batch| batch.last_offset >= start);
        let latest = kept.map(ModelBatch::max_timestamp).max()?;
        self.first_that(start..Offset::MAX, |time| time == latest)
    }

    fn first_that(
        &self,
        range: Range<Offset>,
        is_wanted: impl Fn(Timestamp) -> bool,
    ) -> Option<TimestampOffset> {
        self.batches
            .iter()
            .filter(|batch| range.contains(&batch.last_offset))
            .find_map(|batch| {
                let is_first = |(at, &time): (usize, &Timestamp)| {
                    batch.base_offset + at as i64 >= range.start && is_wanted(time)
                };
                let at = batch.timestamps.iter().enumerate().position(is_first)?;
                Some(TimestampOffset {
                    timestamp: batch.timestamps[at],
                    offset: batch.base_offset + at as i64,
                    leader_epoch: batch.leader_epoch,
                })
            })
    }
}
