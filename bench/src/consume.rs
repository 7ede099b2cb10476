//! Reading back: every record by assignment, checked.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use ringlog::batch::Decompressor;
use ringlog::client::{
    Admin, Client, FetchOptions, FetchedPartition, Fetcher, OffsetSpec, StartOffset,
};
use ringlog::io::Reactor;

use crate::checker::{Checker, Faults, Written};
use crate::clients::{self, failed};
use crate::host::{self, CpuMeter};
use crate::interrupt::Interrupt;
use crate::load::{LoadPlan, LoadState, watch};
use crate::options::{ConsumeArgs, ReadingArgs};
use crate::raw;
use crate::report::{self, ConsumeReport, CpuReport, RateReport};
use crate::target::Target;
use crate::workspace::Workspace;

/// Polls that a consumer may wait without a record before the rest counts as lost.
const SILENCE_MAX: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(1);

/// What to read.
#[derive(Clone)]
pub(crate) struct Reading {
    pub(crate) args: ReadingArgs,
    pub(crate) topic: String,
    pub(crate) is_cold: bool,
    /// What must be there, if it is known.
    pub(crate) written: Option<Written>,
}

/// `bench consume`.
pub(crate) fn run(args: &ConsumeArgs) -> Result<()> {
    let interrupt = Interrupt::install()?;
    let external = Target::external(&args.broker)?;
    let (target, topic, written, workspace) = match (external, &args.dir) {
        (Some(target), _) => {
            let topic = args.topic.clone();
            let topic = topic.ok_or_else(|| anyhow!("name the topic with --topic"))?;
            (target, topic, None, None)
        }
        (None, Some(dir)) => {
            let (workspace, manifest) = Workspace::open(dir)?;
            let data = workspace.data();
            let target = Target::embedded(&args.broker, &data, args.reading.consumers)?;
            (
                target,
                manifest.topic,
                Some(manifest.written),
                Some(workspace),
            )
        }
        (None, None) => bail!("name a broker with --bootstrap-server, or what was kept with --dir"),
    };
    let reading = Reading {
        args: args.reading.clone(),
        topic,
        is_cold: target.is_embedded(),
        written,
    };
    let read = read_back(&target, &reading, &interrupt);
    let stopped = target.stop();
    let mut report = read?;
    stopped?;
    report.host = Some(host::facts(workspace.as_ref().map(Workspace::path)));
    if args.report.raw_seconds > 0.0 {
        let duration = Duration::from_secs_f64(args.report.raw_seconds);
        report.loopback_mb_per_s = Some(raw::loopback_rate(duration)?);
    }
    report::print(&report, args.report.json)?;
    if let Some(expected) = args.records
        && report.rate.records != expected
    {
        let found = report.rate.records;
        bail!("{found} records were read and {expected} must be there");
    }
    verdict(&report)
}

/// An error when a record was lost, doubled, reordered or damaged.
pub(crate) fn verdict(report: &ConsumeReport) -> Result<()> {
    match report.faults.count() {
        0 => Ok(()),
        count => bail!("{count} records are not as they were written"),
    }
}

/// Reads a topic from start to end.
pub(crate) fn read_back(
    target: &Target,
    reading: &Reading,
    interrupt: &Interrupt,
) -> Result<ConsumeReport> {
    let state = Arc::new(LoadState::default());
    let mut meter = CpuMeter::new(target.cpu());
    let plan = ReaderPlan {
        reading: reading.clone(),
        bootstrap_server: target.bootstrap_server().to_owned(),
        state: Arc::clone(&state),
    };
    let count = reading.args.consumers;
    let shards = clients::start(count, move |reactor| run_reader(reactor, plan.clone()))?;
    let load = LoadPlan {
        what: "reading",
        thread_count: count,
        warmup: Duration::ZERO,
        duration: None,
        bytes_expected: None,
    };
    let watched = watch(&state, load, &mut meter, interrupt);
    let mut faults = Faults::default();
    for result in shards.join() {
        faults.merge(result??);
    }
    if watched.is_interrupted {
        bail!("interrupted before everything was read");
    }
    let elapsed_s = watched.elapsed.as_secs_f64();
    let (records, bytes) = (watched.records, watched.bytes);
    Ok(ConsumeReport {
        broker: target.describe(),
        topic: reading.topic.clone(),
        is_cold: reading.is_cold,
        is_checked: !reading.args.no_check,
        rate: RateReport::new(records, bytes, elapsed_s, &watched.windows),
        cpu: CpuReport::new(watched.cpu, bytes, elapsed_s, watched.steal_percent),
        faults,
        ..ConsumeReport::default()
    })
}

#[derive(Clone)]
struct ReaderPlan {
    reading: Reading,
    bootstrap_server: String,
    state: Arc<LoadState>,
}

async fn run_reader(reactor: Reactor, plan: ReaderPlan) -> Result<Faults> {
    let result = read(&reactor, &plan).await;
    if result.is_err() {
        plan.state.stop();
    }
    plan.state.set_finished();
    while !plan.state.is_released() {
        reactor.sleep(POLL_INTERVAL).await;
    }
    result
}

/// Reads every `consumers`-th partition.
async fn read(reactor: &Reactor, plan: &ReaderPlan) -> Result<Faults> {
    let reading = &plan.reading;
    let client = clients::connect(reactor, &plan.bootstrap_server, 1).await?;
    let parts = bounds(reactor, &client, reading).await?;
    let options = FetchOptions {
        max_bytes: reading.args.fetch_max_bytes,
        partition_max_bytes: reading.args.partition_fetch_bytes,
        check_crcs: !reading.args.no_check,
        ..FetchOptions::default()
    };
    let fetcher = Fetcher::new(&client, options);
    plan.state.set_ready();
    while !plan.state.is_started() {
        reactor.sleep(POLL_INTERVAL).await;
    }
    let mut left = parts.len();
    for part in &parts {
        if part.start >= part.end {
            left -= 1;
            continue;
        }
        let start = StartOffset::Offset(part.start);
        fetcher
            .assign(&reading.topic, part.partition, start)
            .await
            .map_err(failed)?;
    }
    let mut reader = Reader {
        checker: (!reading.args.no_check).then(Checker::default),
        decompressor: Decompressor::new(),
    };
    while left > 0 && !plan.state.must_stop() {
        let Some(fetched) = reactor.timeout(SILENCE_MAX, fetcher.next()).await else {
            bail!("nothing more was read for {} s", SILENCE_MAX.as_secs());
        };
        let fetched = fetched.map_err(failed)?;
        let (records, bytes) = reader.take(&fetched)?;
        plan.state.add(records, bytes);
        let end = parts
            .iter()
            .find(|part| part.partition == fetched.partition);
        if end.is_some_and(|part| fetched.next_offset >= part.end) {
            fetcher.unassign(&reading.topic, fetched.partition);
            left -= 1;
        }
    }
    let own: Vec<u32> = parts.iter().map(|part| part.partition as u32).collect();
    Ok(reader
        .checker
        .map(|checker| checker.finish(&own, reading.written.as_ref()))
        .unwrap_or_default())
}

struct Part {
    partition: i32,
    start: i64,
    end: i64,
}

/// This thread's partitions, with their first offset and the one behind their last.
async fn bounds(reactor: &Reactor, client: &Client, reading: &Reading) -> Result<Vec<Part>> {
    let count = client
        .topic(&reading.topic)
        .await
        .map_err(failed)?
        .partitions
        .len();
    let own = (0..count as i32).skip(reactor.shard().index());
    let own: Vec<i32> = own.step_by(reactor.shard_count()).collect();
    let admin = Admin::new(client);
    let ask = async |spec| {
        let specs: Vec<_> = own.iter().map(|&partition| (partition, spec)).collect();
        admin.list_offsets(&reading.topic, &specs).await
    };
    let starts = ask(OffsetSpec::Earliest).await.map_err(failed)?;
    let ends = ask(OffsetSpec::Latest).await.map_err(failed)?;
    let bounds = starts.into_iter().zip(ends);
    let parts = own
        .iter()
        .zip(bounds)
        .map(|(&partition, (start, end))| Part {
            partition,
            start: start.unwrap_or(0),
            end: end.unwrap_or(0),
        });
    Ok(parts.collect())
}

struct Reader {
    /// `None`: records are only counted.
    checker: Option<Checker>,
    decompressor: Decompressor,
}

impl Reader {
    /// Records and bytes of their values; without a look at them, bytes of their batches.
    fn take(&mut self, fetched: &FetchedPartition) -> Result<(u64, u64)> {
        let (mut records, mut bytes) = (0, 0);
        let Some(checker) = &mut self.checker else {
            for batch in fetched.batches() {
                records += u64::try_from(batch.header().record_count).unwrap_or(0);
                bytes += batch.bytes().len() as u64;
            }
            return Ok((records, bytes));
        };
        let partition = fetched.partition as u32;
        fetched
            .for_each_record(&mut self.decompressor, |record| {
                records += 1;
                bytes += record.value.map_or(0, <[u8]>::len) as u64;
                checker.record(partition, record.offset, record.value);
                ControlFlow::Continue(())
            })
            .map_err(failed)?;
        Ok((records, bytes))
    }
}
