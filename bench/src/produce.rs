//! `bench produce`: from the arguments to the report.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Result;

use crate::checker::Written;
use crate::clients;
use crate::consume::{self, Reading};
use crate::host::{self, CpuMeter};
use crate::interrupt::Interrupt;
use crate::latency_log::LatencyLog;
use crate::load::{LoadPlan, LoadState, Watched, watch};
use crate::options::{AckClass, AcksArg, ProduceArgs, ReadingArgs, Verify};
use crate::producer::{self, ProducePlan, Produced};
use crate::progress::Phase;
use crate::raw::{self, DiskProbe, RawReport};
use crate::report::{self, CpuReport, ProduceReport, ProduceSettings, RateReport};
use crate::stages::{self, StageReport};
use crate::target::Target;
use crate::workspace::{self, Manifest, Workspace};

/// Most that a run writes unless it is told otherwise.
const MAX_BYTES: u64 = 8 << 30;
/// Share of the free space that a run may fill.
const FREE_SHARE: u64 = 2;
const PARTITIONS_PER_CORE: usize = 8;

pub(crate) fn run(args: &ProduceArgs) -> Result<()> {
    let interrupt = Interrupt::install()?;
    let report = match Target::external(&args.broker)? {
        Some(target) => run_external(args, target, &interrupt)?,
        None => run_embedded(args, &interrupt)?,
    };
    report::print(&report, args.report.json)?;
    report.verified.as_ref().map_or(Ok(()), consume::verdict)
}

fn run_external(
    args: &ProduceArgs,
    target: Target,
    interrupt: &Interrupt,
) -> Result<ProduceReport> {
    let run = Run::new(args, args.max_bytes.unwrap_or(MAX_BYTES));
    let bootstrap_server = target.bootstrap_server();
    run.create_topic(bootstrap_server)?;
    let outcome = run.load(&target, interrupt).and_then(|loaded| {
        let verified = run.verify(&target, &loaded, false, interrupt)?;
        Ok((loaded, verified))
    });
    if !args.keep {
        let deleted = clients::delete_topic(bootstrap_server, &run.topic);
        if outcome.is_ok() {
            deleted?;
        }
    }
    let (loaded, verified) = outcome?;
    let mut report = run.report(&target, loaded);
    report.verified = verified;
    report.raw.loopback_mb_per_s = run.loopback_rate()?;
    report.host = host::facts(None);
    report.kept = args.keep.then(|| format!("topic {}", run.topic));
    Ok(report)
}

fn run_embedded(args: &ProduceArgs, interrupt: &Interrupt) -> Result<ProduceReport> {
    let base = args.dir.clone().unwrap_or_else(workspace::default_base);
    let bytes_max = match args.max_bytes {
        Some(bytes) => bytes,
        None => MAX_BYTES.min(free_bytes_above(&base)? / FREE_SHARE),
    };
    let probe_size = if args.report.raw_seconds > 0.0 {
        raw::FILE_SIZE
    } else {
        0
    };
    let mut workspace = Workspace::create(&base, bytes_max.saturating_add(probe_size))?;
    let run = Run::new(args, bytes_max);
    let probe = run.probe(workspace.path())?;
    let mut rates = run.disk_rate(probe.as_ref())?;

    let mut target = Target::embedded(&args.broker, &workspace.data(), args.producers)?;
    run.create_topic(target.bootstrap_server())?;
    let loaded = run.load(&target, interrupt)?;
    let is_cold = args.verify == Some(Verify::Cold);
    if is_cold {
        target.stop()?;
        target = Target::embedded(&args.broker, &workspace.data(), args.producers)?;
    }
    let verified = run.verify(&target, &loaded, is_cold, interrupt)?;
    let written = loaded.written.clone();
    let mut report = run.report(&target, loaded);
    target.stop()?;

    rates.extend(run.disk_rate(probe.as_ref())?);
    report.raw = RawReport {
        disk_mb_per_s: rates,
        append_128k_us: match &probe {
            Some(probe) => Some(probe.append_latency()?),
            None => None,
        },
        loopback_mb_per_s: run.loopback_rate()?,
    };
    let disk = report.raw.disk_mb_per_s.iter().copied().reduce(f64::max);
    let share_of = |limit: f64| report.rate.mb_per_s / limit.max(1e-9);
    report.share_of_disk = disk.map(share_of);
    report.share_of_limit = report.raw.limit_mb_per_s().map(share_of);
    report.host = host::facts(Some(workspace.path()));
    report.verified = verified;
    if args.keep {
        let topic = run.topic.clone();
        workspace.keep(&Manifest { topic, written })?;
        report.kept = Some(workspace.path().display().to_string());
    }
    Ok(report)
}

/// Free space where `base` is, or will be.
fn free_bytes_above(base: &Path) -> Result<u64> {
    let existing = base.ancestors().find(|path| path.is_dir());
    workspace::free_bytes(existing.unwrap_or(Path::new(".")))
}

/// One run's constants.
struct Run<'a> {
    args: &'a ProduceArgs,
    number: u32,
    topic: String,
    partition_count: usize,
    bytes_max: u64,
}

/// What a load has come to.
struct Loaded {
    watched: Watched,
    written: Written,
    batches: u64,
    records: u64,
    bytes: u64,
    elapsed: Duration,
    batch: LatencyLog,
    record: LatencyLog,
    is_full: bool,
    stages: Vec<StageReport>,
}

impl Run<'_> {
    fn new(args: &ProduceArgs, bytes_max: u64) -> Run<'_> {
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        // Enough to tell runs apart that write to one topic.
        let number = now.as_millis() as u32 ^ std::process::id();
        let core_count = ringlog::io::available_cpus().len();
        let chosen = args.partitions.map(|count| count as usize);
        Run {
            args,
            number,
            topic: format!("ringlog-bench-{number:08x}"),
            partition_count: chosen.unwrap_or(PARTITIONS_PER_CORE * core_count),
            bytes_max,
        }
    }

    fn create_topic(&self, bootstrap_server: &str) -> Result<()> {
        let _phase = Phase::start("creating the topic");
        let (name, class) = (&self.topic, self.args.class);
        clients::create_topic(bootstrap_server, name, self.partition_count, class)
    }

    fn probe(&self, directory: &Path) -> Result<Option<DiskProbe>> {
        let seconds = self.args.report.raw_seconds;
        if seconds == 0.0 {
            return Ok(None);
        }
        let _phase = Phase::start("preparing the probe of the bare disk");
        DiskProbe::create(directory, Duration::from_secs_f64(seconds)).map(Some)
    }

    fn disk_rate(&self, probe: Option<&DiskProbe>) -> Result<Vec<f64>> {
        let _phase = Phase::start("probing the bare disk");
        probe.map(DiskProbe::write_rate).into_iter().collect()
    }

    fn loopback_rate(&self) -> Result<Option<f64>> {
        let seconds = self.args.report.raw_seconds;
        if seconds == 0.0 {
            return Ok(None);
        }
        let _phase = Phase::start("probing the loopback interface");
        raw::loopback_rate(Duration::from_secs_f64(seconds)).map(Some)
    }

    fn load(&self, target: &Target, interrupt: &Interrupt) -> Result<Loaded> {
        let args = self.args;
        let state = Arc::new(LoadState::default());
        let mut meter = CpuMeter::new(target.cpu());
        let producers = args.producers as u64;
        let plan = ProducePlan {
            args: Arc::new(args.clone()),
            bootstrap_server: target.bootstrap_server().to_owned(),
            topic: self.topic.clone(),
            run: self.number,
            warmup: Duration::from_secs_f64(args.warmup_seconds),
            records_max: args
                .records
                .map_or(u64::MAX, |count| count.div_ceil(producers)),
            bytes_max: self.bytes_max / producers,
            state: Arc::clone(&state),
        };
        let load = LoadPlan {
            what: "producing",
            thread_count: args.producers,
            warmup: plan.warmup,
            duration: Some(Duration::from_secs_f64(args.seconds)),
            bytes_expected: args.records.map(|count| count * args.record_size as u64),
        };
        let shards = clients::start(args.producers, move |reactor| {
            producer::run(reactor, plan.clone())
        })?;
        let before = target.snapshot();
        let watched = watch(&state, load, &mut meter, interrupt);
        let mut all = Vec::with_capacity(args.producers);
        for result in shards.join() {
            all.push(result??);
        }
        let mut loaded = self.sum(watched, all);
        if let (Some(before), Some(after)) = (before, target.snapshot()) {
            loaded.stages = stages::of_produce(&after.since(&before));
        }
        Ok(loaded)
    }

    fn sum(&self, watched: Watched, all: Vec<Produced>) -> Loaded {
        let mut loaded = Loaded {
            watched,
            written: Written {
                run: self.number,
                counts: Vec::new(),
            },
            batches: 0,
            records: 0,
            bytes: 0,
            elapsed: Duration::ZERO,
            batch: LatencyLog::new(),
            record: LatencyLog::new(),
            is_full: false,
            stages: Vec::new(),
        };
        for produced in all {
            loaded.written.counts.push(produced.counts);
            loaded.batches += produced.batches;
            loaded.records += produced.records;
            loaded.bytes += produced.bytes;
            loaded.elapsed = loaded.elapsed.max(produced.elapsed);
            loaded.batch.merge(&produced.acknowledgement);
            loaded.record.merge(&produced.record);
            loaded.is_full |= produced.is_full;
        }
        loaded
    }

    /// Reads back what was written, if that was asked for.
    fn verify(
        &self,
        target: &Target,
        loaded: &Loaded,
        is_cold: bool,
        interrupt: &Interrupt,
    ) -> Result<Option<report::ConsumeReport>> {
        if self.args.verify.is_none() {
            return Ok(None);
        }
        let reading = Reading {
            args: ReadingArgs::default(),
            topic: self.topic.clone(),
            is_cold,
            written: Some(loaded.written.clone()),
        };
        consume::read_back(target, &reading, interrupt).map(Some)
    }

    fn report(&self, target: &Target, loaded: Loaded) -> ProduceReport {
        let watched = &loaded.watched;
        let elapsed_s = loaded.elapsed.as_secs_f64();
        let (records, bytes) = (loaded.records, loaded.bytes);
        let watched_s = watched.elapsed.as_secs_f64();
        let ended_by = if watched.is_interrupted {
            Some("Ctrl-C".to_owned())
        } else if loaded.is_full && self.args.records.is_none() {
            Some(format!("--max-bytes {}", self.bytes_max))
        } else {
            None
        };
        ProduceReport {
            broker: target.describe(),
            class: class_text(self.args.class, target),
            settings: self.settings(),
            rate: RateReport::new(records, bytes, elapsed_s, &watched.windows),
            batch_us: loaded.batch.summary(),
            record_us: loaded.record.summary(),
            records_per_batch: records as f64 / loaded.batches.max(1) as f64,
            // The bytes of the same interval as the CPU time.
            cpu: CpuReport::new(watched.cpu, watched.bytes, watched_s, watched.steal_percent),
            ended_by,
            broker_stages: loaded.stages,
            ..ProduceReport::default()
        }
    }

    fn settings(&self) -> ProduceSettings {
        let args = self.args;
        ProduceSettings {
            acks: acks_text(args.acks).to_owned(),
            partitions: self.partition_count,
            record_size: args.record_size,
            batch_size: args.batch_size,
            linger_ms: args.linger_ms,
            compression: args.compression.name(),
            producers: args.producers,
            in_flight: args.in_flight,
            idempotent: args.is_idempotent(),
            rate: args.rate,
            keys: args.keys,
            spread: args.spread,
            warmup_s: args.warmup_seconds,
        }
    }
}

/// The class of a topic that was created with or without one.
pub(crate) fn class_text(class: Option<AckClass>, target: &Target) -> String {
    match (class, target) {
        (Some(class), _) => format!("{class:?}"),
        (None, Target::Embedded(embedded)) => {
            format!("{:?} (the broker's default)", embedded.class())
        }
        (None, Target::External { .. }) => "not known (the broker's default)".to_owned(),
    }
}

pub(crate) fn acks_text(acks: AcksArg) -> &'static str {
    match acks {
        AcksArg::None => "0",
        AcksArg::Leader => "1",
        AcksArg::All => "all",
    }
}
