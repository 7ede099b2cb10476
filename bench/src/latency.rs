//! `bench latency`: one record at a time, acknowledged and then read.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use ringlog::batch::Decompressor;
use ringlog::client::{
    FetchOptions, Fetcher, Producer, ProducerOptions, ProducerRecord, StartOffset,
};
use ringlog::io::Reactor;

use crate::clients::{self, failed};
use crate::host::{self, StealClock};
use crate::interrupt::Interrupt;
use crate::latency_log::{LatencyLog, LatencySummary};
use crate::options::{AcksArg, LatencyArgs};
use crate::payload::{PayloadHeader, PayloadWriter};
use crate::produce::{acks_text, class_text};
use crate::progress::Phase;
use crate::raw::{self, DiskProbe};
use crate::report::{self, LatencyReport};
use crate::target::Target;
use crate::workspace::{self, Workspace};

/// Longest wait for one record.
const RECORD_TIMEOUT: Duration = Duration::from_secs(30);
/// What a run without bounds of its own may write: one block a record, generously.
const BYTES_PER_RECORD: u64 = 16 << 10;

pub(crate) fn run(args: &LatencyArgs) -> Result<()> {
    if args.acks == AcksArg::None {
        bail!("acks=0 has no acknowledgement to wait for; use --acks 1 or all");
    }
    let interrupt = Interrupt::install()?;
    let report = match Target::external(&args.broker)? {
        Some(target) => {
            let mut report = measure_on(args, &target, &interrupt)?;
            report.host = host::facts(None);
            report
        }
        None => run_embedded(args, &interrupt)?,
    };
    report::print(&report, args.report.json)
}

fn run_embedded(args: &LatencyArgs, interrupt: &Interrupt) -> Result<LatencyReport> {
    let base = args.dir.clone().unwrap_or_else(workspace::default_base);
    let records = args.records.saturating_add(args.warmup_records);
    let size = (args.record_size as u64).saturating_add(BYTES_PER_RECORD);
    let needed = records.saturating_mul(size).saturating_add(raw::FILE_SIZE);
    let workspace = Workspace::create(&base, needed)?;
    // One client that waits for one record: it takes no core from the broker.
    let target = Target::embedded(&args.broker, &workspace.data(), 0)?;
    let mut report = measure_on(args, &target, interrupt)?;
    target.stop()?;
    if args.report.raw_seconds > 0.0 {
        let _phase = Phase::start("probing the bare disk");
        let duration = Duration::from_secs_f64(args.report.raw_seconds);
        let probe = DiskProbe::create(workspace.path(), duration)?;
        report.write_us = Some(probe.small_write_latency(false)?);
        report.write_flush_us = Some(probe.small_write_latency(true)?);
    }
    report.host = host::facts(Some(workspace.path()));
    Ok(report)
}

/// On a topic of its own, and beside it the echo.
fn measure_on(args: &LatencyArgs, target: &Target, interrupt: &Interrupt) -> Result<LatencyReport> {
    let topic = format!("ringlog-bench-latency-{}", std::process::id());
    let bootstrap_server = target.bootstrap_server();
    clients::create_topic(bootstrap_server, &topic, 1, args.class)?;
    let steal = StealClock::now();
    let measured = measure(args, target, &topic, interrupt);
    let steal_percent = StealClock::now().percent_since(steal);
    if !target.is_embedded() {
        let deleted = clients::delete_topic(bootstrap_server, &topic);
        if measured.is_ok() {
            deleted?;
        }
    }
    let (acknowledged_us, consumed_us) = measured?;
    let echo_us = if args.report.raw_seconds > 0.0 {
        let _phase = Phase::start("measuring the echo");
        let duration = Duration::from_secs_f64(args.report.raw_seconds);
        Some(raw::echo_latency(args.record_size, duration)?)
    } else {
        None
    };
    Ok(LatencyReport {
        broker: target.describe(),
        class: class_text(args.class, target),
        acks: acks_text(args.acks).to_owned(),
        record_size: args.record_size,
        acknowledged_us,
        consumed_us,
        echo_us,
        steal_percent,
        ..LatencyReport::default()
    })
}

fn measure(
    args: &LatencyArgs,
    target: &Target,
    topic: &str,
    interrupt: &Interrupt,
) -> Result<(LatencySummary, LatencySummary)> {
    let _phase = Phase::start("one record at a time");
    let plan = Arc::new(LatencyPlan {
        args: args.clone(),
        bootstrap_server: target.bootstrap_server().to_owned(),
        topic: topic.to_owned(),
        interrupt: interrupt.clone(),
    });
    clients::run(move |reactor| one_by_one(reactor, Arc::clone(&plan)))
}

struct LatencyPlan {
    args: LatencyArgs,
    bootstrap_server: String,
    topic: String,
    interrupt: Interrupt,
}

async fn one_by_one(
    reactor: Reactor,
    plan: Arc<LatencyPlan>,
) -> Result<(LatencySummary, LatencySummary)> {
    let args = &plan.args;
    let client = clients::connect(&reactor, &plan.bootstrap_server, 1).await?;
    let options = ProducerOptions {
        acks: args.acks.into(),
        linger: Duration::ZERO,
        is_idempotent: args.acks == AcksArg::All,
        ..ProducerOptions::default()
    };
    let producer = Producer::new(&client, options).map_err(failed)?;
    let sender = producer.topic(&plan.topic).await.map_err(failed)?;
    let fetcher = Fetcher::new(&client, FetchOptions::default());
    fetcher
        .assign(&plan.topic, 0, StartOffset::Earliest)
        .await
        .map_err(failed)?;
    let mut payload = PayloadWriter::new(std::process::id(), 0, args.record_size);
    let mut decompressor = Decompressor::new();
    let (mut acknowledged, mut consumed) = (LatencyLog::new(), LatencyLog::new());
    for sequence in 0..args.warmup_records.saturating_add(args.records) {
        if plan.interrupt.is_set() {
            break;
        }
        let record = ProducerRecord {
            partition: Some(0),
            value: Some(payload.value(0, sequence)),
            ..ProducerRecord::default()
        };
        let started = reactor.now();
        let delivery = sender.send(&record).await.map_err(failed)?;
        delivery.wait().await.map_err(failed)?;
        let at_acknowledgement = reactor.now();
        read_until(&reactor, &fetcher, &mut decompressor, sequence).await?;
        let at_reading = reactor.now();
        if sequence >= args.warmup_records {
            acknowledged.record(at_acknowledgement - started);
            consumed.record(at_reading - started);
        }
    }
    Ok((acknowledged.summary(), consumed.summary()))
}

/// Reads until the record with this sequence is there.
async fn read_until(
    reactor: &Reactor,
    fetcher: &Fetcher,
    decompressor: &mut Decompressor,
    sequence: u64,
) -> Result<()> {
    let mut found = false;
    while !found {
        let Some(fetched) = reactor.timeout(RECORD_TIMEOUT, fetcher.next()).await else {
            bail!("an acknowledged record was not read within {RECORD_TIMEOUT:?}");
        };
        fetched
            .map_err(failed)?
            .for_each_record(decompressor, |record| {
                let header = PayloadHeader::read(record.value.unwrap_or_default());
                found |= header.is_ok_and(|header| header.sequence == sequence);
                ControlFlow::Continue(())
            })
            .map_err(failed)?;
    }
    Ok(())
}
