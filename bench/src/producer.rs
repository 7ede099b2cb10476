//! One client thread of a writing load.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use ringlog::batch::HEADER_SIZE;
use ringlog::client::{
    BatchReport, Producer, ProducerOptions, ProducerRecord, TopicProducer, partition_for_key,
};
use ringlog::io::Reactor;
use ringlog::types::{Monotonic, Timestamp};

use crate::clients::{self, failed};
use crate::latency_log::LatencyLog;
use crate::load::LoadState;
use crate::options::ProduceArgs;
use crate::payload::PayloadWriter;

/// How often a waiting thread looks at the shared state.
const POLL_INTERVAL: Duration = Duration::from_millis(1);
/// Records between two looks at the clock and at the shared state.
const LOOK_AFTER: u64 = 32;
/// With a fixed rate, records are due in bursts at these intervals: waiting for each record on its
/// own would cost more than sending it.
const BURST_INTERVAL: Duration = Duration::from_micros(250);
/// Bytes of a record in a batch besides key and value, about.
const RECORD_OVERHEAD: usize = 8;

/// What every thread of a run is told.
#[derive(Clone)]
pub(crate) struct ProducePlan {
    pub(crate) args: Arc<ProduceArgs>,
    pub(crate) bootstrap_server: String,
    pub(crate) topic: String,
    pub(crate) run: u32,
    pub(crate) warmup: Duration,
    /// Of this thread; `u64::MAX`: no bound.
    pub(crate) records_max: u64,
    /// Of this thread.
    pub(crate) bytes_max: u64,
    pub(crate) state: Arc<LoadState>,
}

/// What a thread has done.
pub(crate) struct Produced {
    /// Acknowledged records, by partition.
    pub(crate) counts: Vec<u64>,
    /// After the warm-up.
    pub(crate) batches: u64,
    pub(crate) records: u64,
    pub(crate) bytes: u64,
    /// From sending a batch to its acknowledgement.
    pub(crate) acknowledgement: LatencyLog,
    /// From when a record was due (with a fixed rate), or when the first record of its batch was
    /// handed to the client, to its acknowledgement.
    pub(crate) record: LatencyLog,
    /// From the end of the warm-up to the last acknowledgement.
    pub(crate) elapsed: Duration,
    pub(crate) is_full: bool,
}

/// What the acknowledgements are noted in.
struct Tally {
    measured_from: Monotonic,
    last: Monotonic,
    produced: Produced,
    /// With a fixed rate: when the records of each partition were due, and how many.
    due: Option<Vec<VecDeque<(Monotonic, u64)>>>,
    value_size: u64,
    fault: Option<String>,
    state: Arc<LoadState>,
}

impl Tally {
    fn batch(&mut self, report: &BatchReport<'_>) {
        let count = u64::try_from(report.record_count).unwrap_or(0);
        let partition = report.partition as usize;
        if let Err(error) = report.result {
            let text = || format!("partition {partition}: {error}");
            self.fault.get_or_insert_with(text);
            self.state.stop();
            return;
        }
        self.produced.counts[partition] += count;
        self.state.add(count, count * self.value_size);
        let is_measured = report.settled >= self.measured_from;
        if is_measured {
            self.last = report.settled;
            self.produced.batches += 1;
            self.produced.records += count;
            self.produced.bytes += count * self.value_size;
            let sent = report.sent.unwrap_or(report.created);
            self.produced.acknowledgement.record(report.settled - sent);
        }
        match &mut self.due {
            Some(due) => {
                let due = &mut due[partition];
                let log = &mut self.produced.record;
                each_due(due, count, |since, count| {
                    if is_measured {
                        log.record_many(report.settled - since, count);
                    }
                });
            }
            None if is_measured => {
                let since = report.created;
                self.produced
                    .record
                    .record_many(report.settled - since, count);
            }
            None => {}
        }
    }
}

/// Takes `count` records from the front.
fn each_due(
    due: &mut VecDeque<(Monotonic, u64)>,
    mut count: u64,
    mut take: impl FnMut(Monotonic, u64),
) {
    while count > 0
        && let Some((since, waiting)) = due.front_mut()
    {
        let taken = count.min(*waiting);
        take(*since, taken);
        count -= taken;
        *waiting -= taken;
        if *waiting == 0 {
            due.pop_front();
        }
    }
}

/// Runs one thread's part. A failure stops the other threads too.
pub(crate) async fn run(reactor: Reactor, plan: ProducePlan) -> Result<Produced> {
    let result = produce(&reactor, &plan).await;
    if result.is_err() {
        plan.state.stop();
    }
    plan.state.set_finished();
    while !plan.state.is_released() {
        reactor.sleep(POLL_INTERVAL).await;
    }
    result
}

async fn produce(reactor: &Reactor, plan: &ProducePlan) -> Result<Produced> {
    let args = &plan.args;
    let client = clients::connect(reactor, &plan.bootstrap_server, args.in_flight).await?;
    let partition_count = client
        .topic(&plan.topic)
        .await
        .map_err(failed)?
        .partitions
        .len();
    let tally = Rc::new(RefCell::new(new_tally(plan, partition_count)));
    let noting = Rc::clone(&tally);
    let options = ProducerOptions {
        acks: args.acks.into(),
        batch_size: args.batch_size,
        linger: Duration::from_millis(args.linger_ms),
        compression: args.compression.into(),
        buffer_memory: args.buffer_memory,
        request_size_max: args.request_size,
        is_idempotent: args.is_idempotent(),
        on_batch: Some(Rc::new(move |report| noting.borrow_mut().batch(report))),
        ..ProducerOptions::default()
    };
    let producer = Producer::new(&client, options).map_err(failed)?;
    let topic = producer.topic(&plan.topic).await.map_err(failed)?;
    plan.state.set_ready();
    while !plan.state.is_started() {
        reactor.sleep(POLL_INTERVAL).await;
    }
    let started = reactor.now();
    tally.borrow_mut().measured_from = started + plan.warmup;
    let mut generator = Generator::new(reactor, plan, topic, partition_count);
    let generated = generator.generate(&tally, started).await;
    let is_full = generated.context("sending")?;
    producer.flush().await;
    drop(producer);
    let mut tally = tally.borrow_mut();
    if let Some(fault) = tally.fault.take() {
        return Err(anyhow!("a batch was not delivered: {fault}"));
    }
    let elapsed = tally.last - tally.measured_from;
    let empty = empty(0);
    let produced = std::mem::replace(&mut tally.produced, empty);
    Ok(Produced {
        elapsed,
        is_full,
        ..produced
    })
}

fn empty(partition_count: usize) -> Produced {
    Produced {
        counts: vec![0; partition_count],
        batches: 0,
        records: 0,
        bytes: 0,
        acknowledgement: LatencyLog::new(),
        record: LatencyLog::new(),
        elapsed: Duration::ZERO,
        is_full: false,
    }
}

fn new_tally(plan: &ProducePlan, partition_count: usize) -> Tally {
    Tally {
        measured_from: Monotonic::default(),
        last: Monotonic::default(),
        produced: empty(partition_count),
        due: plan
            .args
            .rate
            .map(|_| vec![VecDeque::new(); partition_count]),
        value_size: plan.args.record_size as u64,
        fault: None,
        state: Arc::clone(&plan.state),
    }
}

/// Makes records and hands them to the client.
struct Generator<'a> {
    reactor: &'a Reactor,
    plan: &'a ProducePlan,
    topic: TopicProducer,
    payload: PayloadWriter,
    partitions: Partitions,
    /// Next of each partition.
    sequences: Vec<u64>,
    timestamp: Timestamp,
}

impl Generator<'_> {
    fn new<'a>(
        reactor: &'a Reactor,
        plan: &'a ProducePlan,
        topic: TopicProducer,
        partition_count: usize,
    ) -> Generator<'a> {
        let producer = u32::from(reactor.shard().0);
        Generator {
            reactor,
            plan,
            topic,
            payload: PayloadWriter::new(plan.run, producer, plan.args.record_size),
            partitions: Partitions::new(&plan.args, partition_count, producer),
            sequences: vec![0; partition_count],
            timestamp: reactor.wall_clock(),
        }
    }

    /// Sends until the load is over, or a bound is reached: then it returns `true`.
    async fn generate(&mut self, tally: &RefCell<Tally>, started: Monotonic) -> Result<bool> {
        let plan = self.plan;
        let record_size = (plan.args.record_size + RECORD_OVERHEAD) as u64;
        let count_max = plan.records_max.min(plan.bytes_max / record_size);
        let share = plan
            .args
            .rate
            .map(|rate| rate as f64 / plan.args.producers as f64);
        let mut count = 0;
        while count < count_max {
            if plan.state.must_stop() {
                return Ok(false);
            }
            self.timestamp = self.reactor.wall_clock();
            let (until, due) = match share {
                None => (count + LOOK_AFTER, None),
                Some(rate) => {
                    let due = self.next_burst(started).await;
                    let target = (due - started).as_secs_f64() * rate;
                    (target as u64, Some(due))
                }
            };
            while count < until.min(count_max) {
                self.send(tally, due).await?;
                count += 1;
                if due.is_some() && count % LOOK_AFTER == 0 && plan.state.must_stop() {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Waits for the next burst and returns when it was due: without a pause when that is past.
    async fn next_burst(&mut self, started: Monotonic) -> Monotonic {
        let due = self.partitions.next_burst(started);
        let now = self.reactor.now();
        if now < due {
            self.reactor.sleep(due - now).await;
        }
        due
    }

    async fn send(&mut self, tally: &RefCell<Tally>, due: Option<Monotonic>) -> Result<()> {
        let (partition, key) = self.partitions.next();
        if let (Some(due), Some(waiting)) = (due, &mut tally.borrow_mut().due) {
            let waiting = &mut waiting[partition];
            match waiting.back_mut() {
                Some((since, count)) if *since == due => *count += 1,
                _ => waiting.push_back((due, 1)),
            }
        }
        let sequence = self.sequences[partition];
        self.sequences[partition] += 1;
        let record = ProducerRecord {
            partition: Some(partition as i32),
            key: key.as_ref().map(<[u8; KEY_SIZE]>::as_slice),
            value: Some(self.payload.value(partition as u32, sequence)),
            headers: &[],
            timestamp: Some(self.timestamp),
        };
        self.topic.send(&record).await.map_err(failed)?;
        Ok(())
    }
}

const KEY_SIZE: usize = 8;

/// Which partition is next: by key, by turns of one record, or by turns of about one batch, as a
/// sticky partitioner does.
struct Partitions {
    count: usize,
    current: usize,
    records_per_turn: u64,
    left_of_turn: u64,
    keys: Option<u32>,
    next_key: u32,
    burst: u64,
}

impl Partitions {
    fn new(args: &ProduceArgs, count: usize, producer: u32) -> Partitions {
        let record_size = args.record_size + RECORD_OVERHEAD;
        let of_batch = args.batch_size.saturating_sub(HEADER_SIZE) / record_size;
        let records_per_turn = if args.spread {
            1
        } else {
            of_batch.max(1) as u64
        };
        Partitions {
            count,
            // Not all producers begin with the same one.
            current: (producer as usize * count / args.producers.max(1)) % count,
            records_per_turn,
            left_of_turn: records_per_turn,
            keys: args.keys.filter(|&keys| keys > 0),
            next_key: 0,
            burst: 0,
        }
    }

    fn next(&mut self) -> (usize, Option<[u8; KEY_SIZE]>) {
        if let Some(keys) = self.keys {
            let key = format!("{:08x}", self.next_key);
            self.next_key = (self.next_key + 1) % keys;
            let key: [u8; KEY_SIZE] = key.as_bytes().try_into().expect("eight digits");
            return (partition_for_key(&key, self.count) as usize, Some(key));
        }
        if self.left_of_turn == 0 {
            self.current = (self.current + 1) % self.count;
            self.left_of_turn = self.records_per_turn;
        }
        self.left_of_turn -= 1;
        (self.current, None)
    }

    fn next_burst(&mut self, started: Monotonic) -> Monotonic {
        self.burst += 1;
        started + BURST_INTERVAL * u32::try_from(self.burst).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_records_are_taken_in_the_order_in_which_they_were_due() {
        let mut due = VecDeque::from([(Monotonic(1), 3), (Monotonic(2), 2), (Monotonic(3), 9)]);
        let mut taken = Vec::new();
        each_due(&mut due, 4, |since, count| taken.push((since.0, count)));
        each_due(&mut due, 2, |since, count| taken.push((since.0, count)));
        assert_eq!(taken, [(1, 3), (2, 1), (2, 1), (3, 1)]);
        assert_eq!(due, [(Monotonic(3), 8)]);
    }
}
