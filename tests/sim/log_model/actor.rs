//! A process that opens the log, checks it against the model, and uses it.

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use ringlog::batch::{
    BatchBuilder, BatchHeader, BatchOptions, Codec, Compression, HEAD_SIZE, Producer,
};
use ringlog::io::sim::Random;
use ringlog::io::{Reactor, Task};
use ringlog::log::{
    AppendPlan, BatchToAppend, BrokenRule, DirectoryOptions, Landmarks, Log, LogConfig,
    LogDirectory, LogError, OpenLog, ReadOutcome, ReadRequest, TailBudget,
};
use ringlog::log_state::{ProducerBatch, SequenceCheck};
use ringlog::types::{ErrorCode, Offset, TopicId, TopicPartition};

use super::Emphasis;
use super::model::{Model, ModelBatch};

const DIRECTORY: &str = "/data/ringlog";
const PRODUCERS: u64 = 4;

/// What outlives the processes.
pub(super) struct Shared {
    pub(super) model: RefCell<Model>,
    random: RefCell<Random>,
    config: LogConfig,
    tail_size_max: usize,
    broken_rule: Option<BrokenRule>,
    /// Operations done, over all processes.
    pub(super) steps: Cell<u64>,
    /// Operations until this process stops cleanly.
    pub(super) steps_left: Cell<u64>,
    /// The disk fails now and then.
    pub(super) may_fail: Cell<bool>,
    /// The log's start was moved otherwise while retention was under way.
    raised: Cell<bool>,
    /// The process ends by deleting the log.
    pub(super) ends_by_deletion: Cell<bool>,
    /// This process has opened the log.
    pub(super) has_opened: Cell<bool>,
    pub(super) landmarks: Landmarks,
}

impl Shared {
    pub(super) fn new(mut random: Random, emphasis: &Emphasis) -> Shared {
        let mut config = LogConfig {
            segment_size_max: 4096 << random.below(8),
            roll_ms: if random.chance(0.2) { 2_000 } else { i64::MAX },
            index_interval_bytes: 256 << random.below(5),
            index_size_max: if random.chance(0.1) { 120 } else { 10 << 20 },
            flush_before_ack: random.chance(0.7),
            flush_messages: if random.coin() { i64::MAX } else { 50 },
            flush_ms: if random.coin() { i64::MAX } else { 20 },
            unflushed_bytes_max: 16 << (10 + random.below(8)),
            retention_ms: random.chance(0.4).then(|| 500 << random.below(4)),
            retention_size: random.chance(0.4).then(|| 4096 << random.below(6)),
            file_delete_delay: Duration::from_millis([0, 20, 2_000][random.below(3) as usize]),
        };
        if let Some(unflushed_bytes_max) = emphasis.unflushed_bytes_max {
            config.flush_before_ack = true;
            config.unflushed_bytes_max = unflushed_bytes_max;
        }
        let recycles = emphasis.recycles || random.chance(0.25);
        if recycles {
            config.flush_before_ack = true;
            config.roll_ms = i64::MAX;
            config.index_size_max = 10 << 20;
            config.segment_size_max = 16_384 << random.below(3);
            config.retention_size = Some(config.segment_size_max);
            config.file_delete_delay = Duration::ZERO;
            // Old batches lie further behind an end than this.
            let unflushed_bytes_max = 4096 << random.below(6);
            config.unflushed_bytes_max = config.unflushed_bytes_max.min(unflushed_bytes_max);
        }
        Shared {
            model: RefCell::default(),
            config,
            broken_rule: emphasis.broken_rule,
            // Readers of what is dropped come to the disk.
            tail_size_max: 1 << random.between(10, if recycles { 13 } else { 20 }),
            random: RefCell::new(random),
            steps: Cell::new(0),
            steps_left: Cell::new(0),
            may_fail: Cell::new(false),
            raised: Cell::new(false),
            ends_by_deletion: Cell::new(false),
            has_opened: Cell::new(false),
            landmarks: Landmarks::counting(),
        }
    }

    /// A process may give up only because of its disk.
    fn ended_with(&self, error: &LogError) {
        assert!(self.may_fail.get(), "failed on a disk that works: {error}");
    }

    fn below(&self, bound: u64) -> u64 {
        self.random.borrow_mut().below(bound)
    }
}

/// One process of the broker.
pub(super) struct Actor {
    shared: Rc<Shared>,
    reactor: Reactor,
    log: Log,
    /// Retention runs beside everything else, and so does a reader.
    retention: RefCell<Option<Task<Result<(), LogError>>>>,
    reader: RefCell<Option<Task<Result<(), LogError>>>>,
}

impl Actor {
    /// Opens and checks the log, uses it until it is told to stop, stops cleanly.
    pub(super) async fn run(reactor: Reactor, shared: Rc<Shared>) {
        let (directory, log) = match open(&reactor, &shared).await {
            Ok(opened) => opened,
            Err(error) => return shared.ended_with(&error),
        };
        let actor = Actor {
            shared,
            reactor,
            log,
            retention: RefCell::default(),
            reader: RefCell::default(),
        };
        if let Err(error) = actor.check_all().await {
            return actor.shared.ended_with(&error);
        }
        while actor.shared.steps_left.get() > 0 {
            actor
                .shared
                .steps_left
                .set(actor.shared.steps_left.get() - 1);
            actor.shared.steps.set(actor.shared.steps.get() + 1);
            if let Err(error) = actor.step().await {
                return actor.shared.ended_with(&error);
            }
        }
        if actor.shared.ends_by_deletion.get() {
            // Also in the middle of a checkpoint.
            actor.log.set_config(actor.shared.config.clone());
            actor.wait_a_moment().await;
            let deleted = actor.log.delete().await;
            deleted.unwrap_or_else(|error| actor.shared.ended_with(&error));
            return;
        }
        match directory.stop().await {
            Ok(()) => actor.shared.model.borrow_mut().stopped(),
            Err(error) => actor.shared.ended_with(&error),
        }
    }

    async fn wait_a_moment(&self) {
        let wait = Duration::from_micros(self.shared.below(500));
        self.reactor.sleep(wait).await;
    }

    async fn step(&self) -> Result<(), LogError> {
        match self.shared.below(20) {
            0..=6 => {
                for _ in 0..=self.shared.below(6) {
                    self.append();
                }
            }
            7..=8 => self.read_somewhere().await?,
            9 => self.read_beside().await?,
            10 => self.look_up_a_time().await?,
            11 => self.retry_a_batch(),
            12 => self.log.flush_all().await?,
            13 => self.retain().await?,
            14 => self.raise_log_start().await?,
            15 => self.truncate().await?,
            16 if self.shared.below(2) == 0 => self.log.set_config(self.shared.config.clone()),
            16 => {
                let wait = Duration::from_millis(self.shared.below(2_500));
                self.reactor.sleep(wait).await;
            }
            _ => {
                let wait = Duration::from_micros(self.shared.below(3_000));
                self.reactor.sleep(wait).await;
            }
        }
        self.log.progress().failed.map_or(Ok(()), Err)
    }

    /// Starts retention beside what comes next, or waits for the one that runs.
    async fn retain(&self) -> Result<(), LogError> {
        let running = self.retention.borrow_mut().take();
        if let Some(running) = running {
            return running.await;
        }
        let high_watermark = self.high_watermark();
        let (shared, log) = (Rc::clone(&self.shared), self.log.clone());
        let reactor = self.reactor.clone();
        shared.model.borrow_mut().start_may_move(high_watermark);
        let task = self.reactor.spawn(async move {
            let now = reactor.wall_clock();
            let end = shared.model.borrow().end();
            shared.raised.set(false);
            let before = log.state().log_start_offset;
            let moved = log.apply_retention(high_watermark, now).await?;
            let start = log.state().log_start_offset;
            if moved && !shared.raised.get() {
                let mut model = shared.model.borrow_mut();
                model.check_retention(&shared.config, before..start, end, now);
                model.start_is_durable(start);
            }
            log.drop_old_segments(Offset::MAX).await.map(|_| ())
        });
        self.retention.replace(Some(task));
        Ok(())
    }

    /// As DeleteRecords does it: somewhere, most often inside of a segment.
    async fn raise_log_start(&self) -> Result<(), LogError> {
        let start = self.log.state().log_start_offset;
        let room = self.high_watermark() - start;
        if room <= 0 || self.shared.below(4) > 0 {
            return Ok(());
        }
        let offset = start + self.shared.below(room as u64 + 1) as i64;
        self.shared.raised.set(true);
        self.shared.model.borrow_mut().start_may_move(offset);
        self.log.raise_log_start(offset).await?;
        self.shared.model.borrow_mut().start_is_durable(offset);
        Ok(())
    }

    /// As a follower does it whose leader has less.
    async fn truncate(&self) -> Result<(), LogError> {
        for running in [&self.retention, &self.reader] {
            let running = running.borrow_mut().take();
            if let Some(running) = running {
                running.await?;
            }
        }
        let start = self.log.state().log_start_offset;
        let cuts = self.shared.model.borrow().cuts(start);
        if cuts.is_empty() || self.shared.below(3) > 0 {
            return Ok(());
        }
        // Mostly near the end.
        let back = self.shared.below(cuts.len() as u64);
        let back = 1 + self.shared.below(back + 1) as usize;
        let base_offset = cuts[cuts.len() - back];
        self.shared.model.borrow_mut().truncating(base_offset);
        let end = self.log.truncate_to(base_offset).await?;
        let mut model = self.shared.model.borrow_mut();
        model.truncated(end);
        let state = self.log.state();
        assert_eq!(state.log_end_offset, end);
        assert_eq!(state.epochs, model.epochs(start), "the leader epochs");
        model.check_producers(&state.producers);
        Ok(())
    }

    /// What one replica's is: in class P what is durable.
    fn high_watermark(&self) -> Offset {
        match self.shared.config.flush_before_ack {
            true => self.log.durable_end(),
            false => self.log.written_end(),
        }
    }

    /// Appends a batch of a producer that continues its sequence, or of none.
    fn append(&self) {
        let shared = &self.shared;
        let now = self.reactor.wall_clock();
        let producer = self.draw_producer();
        let mut builder = BatchBuilder::new(
            BatchOptions {
                producer,
                compression: Compression {
                    codec: [Codec::None, Codec::Lz4][shared.below(2) as usize],
                    level: None,
                },
                ..BatchOptions::default()
            },
            0,
        );
        let value_size = [16, 304, 5_000][shared.below(3) as usize];
        let value = shared.below(u64::MAX).to_be_bytes().repeat(value_size / 8);
        let mut timestamps = Vec::new();
        for _ in 0..=shared.below(4) {
            let timestamp = now - 500 + shared.below(1_000) as i64;
            builder.append(timestamp, None, Some(&value), &[]);
            timestamps.push(timestamp);
        }
        let bytes = builder.close();
        let header = BatchHeader::parse(&bytes).unwrap();
        self.log.prepare_append(
            &AppendPlan {
                size: bytes.len(),
                last_offset_delta: header.last_offset_delta,
                max_timestamp: header.max_timestamp,
            },
            now,
        );
        let mut model = shared.model.borrow_mut();
        let (base_offset, leader_epoch) = (model.end(), model.leader_epoch);
        let last_offset = base_offset + i64::from(header.last_offset_delta);
        let producer = producer.map(|producer| producer_batch(&producer, &header));
        {
            let mut state = self.log.state();
            assert_eq!(state.log_end_offset, base_offset);
            if let Some(producer) = &producer {
                assert_eq!(state.producers.check(producer), SequenceCheck::New);
                state
                    .producers
                    .apply(producer, base_offset, header.max_timestamp);
            }
            state.epochs.assign(leader_epoch, base_offset);
            state.log_end_offset = last_offset + 1;
        }
        let head = header.head(base_offset, leader_epoch);
        self.log.append(BatchToAppend {
            head,
            body: bytes.slice(HEAD_SIZE..),
            base_offset,
            last_offset,
            max_timestamp: header.max_timestamp,
        });
        let patched = [&head[..], &bytes[HEAD_SIZE..]].concat();
        model.batches.push(ModelBatch {
            bytes: patched.into(),
            base_offset,
            last_offset,
            leader_epoch,
            timestamps,
            producer,
        });
    }

    fn draw_producer(&self) -> Option<Producer> {
        let id = self.shared.below(PRODUCERS + 1) as i64;
        if id == PRODUCERS as i64 {
            return None;
        }
        let state = self.log.state();
        let known = state.producers.get(id);
        let epoch = known.map_or(0, |entry| entry.producer_epoch);
        if self.shared.below(20) == 0 {
            return Some(Producer {
                id,
                epoch: epoch + 1,
                base_sequence: 0,
            });
        }
        Some(Producer {
            id,
            epoch,
            base_sequence: known.map_or(0, |entry| entry.last_sequence() + 1),
        })
    }

    /// A producer sends one of its batches again.
    fn retry_a_batch(&self) {
        let model = self.shared.model.borrow();
        let of_producers: Vec<_> = model
            .batches
            .iter()
            .filter(|b| b.producer.is_some())
            .collect();
        if of_producers.is_empty() {
            return;
        }
        let batch = of_producers[self.shared.below(of_producers.len() as u64) as usize];
        let retry = batch.producer.expect("filtered");
        let later = |other: &&&ModelBatch| {
            let other_producer = other.producer.expect("filtered");
            other.base_offset > batch.base_offset && other_producer.producer_id == retry.producer_id
        };
        let later: Vec<_> = of_producers.iter().filter(later).collect();
        if model.was_truncated && !later.is_empty() {
            return;
        }
        let is_fenced = later
            .iter()
            .any(|other| other.producer.expect("filtered").producer_epoch > retry.producer_epoch);
        match self.log.state().producers.check(&retry) {
            SequenceCheck::Duplicate(found) => {
                assert!(!is_fenced && later.len() < 5, "an old batch was recognised");
                assert_eq!(found.base_offset(), batch.base_offset);
                assert_eq!(found.last_offset, batch.last_offset);
            }
            SequenceCheck::Refused(ErrorCode::InvalidProducerEpoch) => assert!(is_fenced),
            SequenceCheck::Refused(ErrorCode::OutOfOrderSequenceNumber) => {
                assert!(!is_fenced && later.len() >= 5, "a retry was refused");
            }
            other => panic!("a retry of {batch:?} gave {other:?}"),
        }
    }

    async fn read_somewhere(&self) -> Result<(), LogError> {
        let shared = &self.shared;
        let end = shared.model.borrow().end();
        let bounds = [end, self.log.written_end(), self.log.durable_end()];
        let request = ReadRequest {
            offset: shared.below(end as u64 + 1) as i64,
            size_max: 1 << (4 + shared.below(17)),
            end_bound: bounds[shared.below(3) as usize],
        };
        read(shared, &self.log, request).await.map(|_| ())
    }

    /// Starts a reader beside what comes next, or waits for the one that runs.
    async fn read_beside(&self) -> Result<(), LogError> {
        let running = self.reader.borrow_mut().take();
        if let Some(running) = running {
            return running.await;
        }
        let (shared, log) = (Rc::clone(&self.shared), self.log.clone());
        let task = self.reactor.spawn(async move {
            let stays = shared.below(2) == 0;
            let start = log.state().log_start_offset;
            let mut offset = start + shared.below((log.written_end() - start) as u64 + 1) as i64;
            for _ in 0..=shared.below(if stays { 200 } else { 20 }) {
                if stays {
                    // In what is dropped next.
                    offset = log.state().log_start_offset;
                }
                let request = ReadRequest {
                    offset,
                    size_max: 1 << (4 + shared.below(17)),
                    end_bound: log.written_end(),
                };
                offset = read(&shared, &log, request).await?;
            }
            Ok(())
        });
        self.reader.replace(Some(task));
        Ok(())
    }

    async fn look_up_a_time(&self) -> Result<(), LogError> {
        let shared = &self.shared;
        let end_bound = self.log.written_end();
        let now = self.reactor.wall_clock();
        let timestamp = match shared.model.borrow().batches.first() {
            Some(first) => {
                let from = first.timestamps[0] - 600;
                from + shared.below((now + 600 - from).max(1) as u64) as i64
            }
            None => now,
        };
        let start = self.log.state().log_start_offset;
        let found = self.log.offset_for_timestamp(timestamp, end_bound).await?;
        let latest = self.log.max_timestamp().await?;
        if self.log.state().log_start_offset != start {
            return Ok(());
        }
        let model = shared.model.borrow();
        let expected = model.first_at(timestamp, start..end_bound);
        assert_eq!(found, expected, "the first record from {timestamp} on");
        // The segment in which the log starts is looked up by what is no longer shown, too.
        if !model.starts_inside() {
            assert_eq!(latest, model.latest(start));
        }
        Ok(())
    }

    /// Everything that a restart must bring back.
    async fn check_all(&self) -> Result<(), LogError> {
        let (start, end) = {
            let state = self.log.state();
            (state.log_start_offset, state.log_end_offset)
        };
        self.shared.model.borrow_mut().recovered(start, end);
        {
            let model = self.shared.model.borrow();
            let state = self.log.state();
            model.check_producers(&state.producers);
            assert_eq!(state.epochs, model.epochs(start), "the leader epochs");
            assert_eq!(self.log.written_end(), end);
            assert_eq!(self.log.durable_end(), end);
        }
        let mut offset = start;
        while offset < end {
            let size_max = 1 << self.shared.below(21);
            let request = ReadRequest {
                offset,
                size_max,
                end_bound: end,
            };
            let next = read(&self.shared, &self.log, request).await?;
            assert!(next > offset, "a read at {offset} of {end} gave nothing");
            offset = next;
        }
        Ok(())
    }
}

/// Reads and compares with the model; where the next read goes on.
async fn read(shared: &Shared, log: &Log, request: ReadRequest) -> Result<Offset, LogError> {
    let is_below = request.offset < log.state().log_start_offset;
    let read = match log.read(request) {
        Ok(ReadOutcome::Batches(batches)) => Ok(batches),
        Ok(ReadOutcome::Cold) => log.read_cold(request).await,
        Err(error) => Err(error),
    };
    let batches = match read {
        Err(LogError::OffsetOutOfRange { .. }) if request.offset < log.state().log_start_offset => {
            return Ok(request.offset);
        }
        read => read?,
    };
    assert!(!is_below, "{request:?} was answered below the log's start");
    let size: usize = batches.pieces.iter().map(|piece| piece.len()).sum();
    assert_eq!(batches.size, size);
    shared.model.borrow().check_read(&request, &batches.pieces);
    Ok(batches.next_offset)
}

fn producer_batch(producer: &Producer, header: &BatchHeader) -> ProducerBatch {
    ProducerBatch {
        producer_id: producer.id,
        producer_epoch: producer.epoch,
        base_sequence: producer.base_sequence,
        last_offset_delta: header.last_offset_delta,
        is_transactional: false,
    }
}

pub(super) async fn open_directory(
    reactor: &Reactor,
    tail_size_max: usize,
    broken_rule: Option<BrokenRule>,
    landmarks: Landmarks,
) -> Result<LogDirectory, LogError> {
    let budget = TailBudget::new(tail_size_max);
    let options = DirectoryOptions {
        broken_rule,
        landmarks,
        ..DirectoryOptions::new(DIRECTORY.into(), budget)
    };
    LogDirectory::open(reactor, options).await
}

/// Opens directory and log. An error is one of the disk; the log never calls itself corrupt.
async fn open(reactor: &Reactor, shared: &Rc<Shared>) -> Result<(LogDirectory, Log), LogError> {
    let disk = reactor.disk();
    let path = PathBuf::from(DIRECTORY);
    let io_error = |error| LogError::Io {
        path: PathBuf::from(DIRECTORY),
        error: Rc::new(error),
    };
    disk.create_dir_all(&path).await.map_err(io_error)?;
    for parent in ["/data", "/"] {
        disk.sync_dir(parent.as_ref()).await.map_err(io_error)?;
    }
    let landmarks = shared.landmarks.clone();
    let directory =
        open_directory(reactor, shared.tail_size_max, shared.broken_rule, landmarks).await?;
    let told = Rc::clone(shared);
    let opened = Log::open(
        &directory,
        OpenLog {
            partition: TopicPartition::new("events", 0),
            topic_id: TopicId([7; 16]),
            config: shared.config.clone(),
            on_progress: Rc::new(move |progress| told.model.borrow_mut().progressed(&progress)),
        },
    )
    .await;
    if let Err(error @ LogError::Corrupt { .. }) = &opened {
        panic!(
            "a crash was taken for corruption: {error}; {:?}",
            shared.config
        );
    }
    let (log, _) = opened?;
    shared.has_opened.set(true);
    Ok((directory, log))
}
