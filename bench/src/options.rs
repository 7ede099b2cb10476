//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use ringlog::batch::Codec;
use ringlog::client::Acks;

use crate::payload::PAYLOAD_SIZE_MIN;

/// Loads a broker and tells what it does with this machine's disk and cores.
#[derive(Parser, Debug)]
#[command(name = "bench", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Writes as fast as it can, or at a fixed rate, and reports rate, latency and CPU time
    Produce(Box<ProduceArgs>),
    /// Reads back what `produce --keep` has written, and checks every record
    Consume(ConsumeArgs),
    /// Sends one record at a time: how long until it is acknowledged, and until it is read
    Latency(LatencyArgs),
}

/// Which broker.
#[derive(Args, Clone, Debug)]
pub(crate) struct BrokerArgs {
    /// Load this broker, any Kafka; without it one is started in this process
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) bootstrap_server: Option<String>,
    /// Process of that broker on this machine, to report its CPU time
    #[arg(long, value_name = "PID", requires = "bootstrap_server")]
    pub(crate) broker_pid: Option<u32>,
    /// Shards (threads) of the embedded broker; as many as there are cores without it
    #[arg(long, value_name = "N", conflicts_with = "bootstrap_server")]
    pub(crate) shards: Option<usize>,
    /// A setting of the embedded broker; may be repeated
    #[arg(short = 'o', long = "override", value_name = "KEY=VALUE")]
    #[arg(conflicts_with = "bootstrap_server")]
    pub(crate) overrides: Vec<String>,
}

/// How the run reports, and what it measures beside.
#[derive(Args, Clone, Debug)]
pub(crate) struct ReportArgs {
    /// Print the report as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Seconds for each probe of the bare disk and the loopback interface; 0 leaves them out
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, value_parser = seconds)]
    pub(crate) raw_seconds: f64,
}

/// When a record is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, serde::Serialize)]
pub(crate) enum AckClass {
    /// Power-safe: after the flush of the device
    #[serde(rename = "P")]
    P,
    /// Kill-safe: after the write
    #[serde(rename = "K")]
    K,
}

impl AckClass {
    /// The value of `flush.before.ack`.
    pub(crate) fn flushes_before_ack(self) -> &'static str {
        match self {
            AckClass::P => "true",
            AckClass::K => "false",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum AcksArg {
    #[value(name = "0")]
    None,
    #[value(name = "1")]
    Leader,
    #[value(alias = "-1")]
    All,
}

impl From<AcksArg> for Acks {
    fn from(acks: AcksArg) -> Acks {
        match acks {
            AcksArg::None => Acks::None,
            AcksArg::Leader => Acks::Leader,
            AcksArg::All => Acks::All,
        }
    }
}

/// Reading back in the same run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Verify {
    /// From the broker that has just written it
    Hot,
    /// After a restart of the embedded broker
    Cold,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct ProduceArgs {
    #[command(flatten)]
    pub(crate) broker: BrokerArgs,
    #[command(flatten)]
    pub(crate) report: ReportArgs,
    /// Base directory of the embedded broker's data [default: target/bench-data, or bench-data]
    #[arg(long, value_name = "DIR", conflicts_with = "bootstrap_server")]
    pub(crate) dir: Option<PathBuf>,
    /// Leave data (or, at another broker, the topic) for `bench consume`
    #[arg(long)]
    pub(crate) keep: bool,
    /// Read everything back afterwards and check it
    #[arg(long, value_name = "HOW", num_args = 0..=1, default_missing_value = "hot")]
    pub(crate) verify: Option<Verify>,

    /// Who must have a record before it is acknowledged
    #[arg(long, value_enum, default_value = "all", allow_hyphen_values = true)]
    pub(crate) acks: AcksArg,
    /// Acknowledgement class of the topic; without it the broker's default
    #[arg(long, value_enum, ignore_case = true)]
    pub(crate) class: Option<AckClass>,
    /// Partitions of the topic [default: 8 for each core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) partitions: Option<u32>,
    /// Bytes of a record's value
    #[arg(long, value_name = "BYTES", default_value_t = 1024, value_parser = record_size)]
    pub(crate) record_size: usize,
    /// batch.size, bytes
    #[arg(long, value_name = "BYTES", default_value_t = 128 << 10)]
    pub(crate) batch_size: usize,
    /// linger.ms
    #[arg(long, value_name = "MS", default_value_t = 5)]
    pub(crate) linger_ms: u64,
    /// max.request.size, bytes
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 20)]
    pub(crate) request_size: usize,
    /// buffer.memory of each producer, bytes
    #[arg(long, value_name = "BYTES", default_value_t = 32 << 20)]
    pub(crate) buffer_memory: usize,
    /// none, gzip, snappy, lz4 or zstd
    #[arg(long, value_name = "CODEC", default_value = "none", value_parser = codec)]
    pub(crate) compression: Codec,
    /// Client threads, a producer and its connection each
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=256))]
    pub(crate) producers: usize,
    /// Requests in flight on each connection
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub(crate) in_flight: usize,
    /// Idempotent producers [default: true with acks=all]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub(crate) idempotent: Option<bool>,
    /// Records a second of all producers together, at fixed times: latency then counts from when a
    /// record was due, whether or not it could be sent
    #[arg(long, value_name = "RECORDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) rate: Option<u64>,
    /// Give records one of N keys, which decides the partition
    #[arg(long, value_name = "N", conflicts_with = "spread")]
    pub(crate) keys: Option<u32>,
    /// Change the partition with each record instead of with each batch
    #[arg(long)]
    pub(crate) spread: bool,

    /// Seconds to measure
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0, value_parser = seconds)]
    pub(crate) seconds: f64,
    /// Seconds before, that are not counted
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, value_parser = seconds)]
    pub(crate) warmup_seconds: f64,
    /// Stop after so many records
    #[arg(long, value_name = "N")]
    pub(crate) records: Option<u64>,
    /// Stop after so many bytes [default: 8 GiB, at most half of what is free]
    #[arg(long, value_name = "BYTES")]
    pub(crate) max_bytes: Option<u64>,
}

impl ProduceArgs {
    pub(crate) fn is_idempotent(&self) -> bool {
        self.idempotent.unwrap_or(self.acks == AcksArg::All)
    }
}

#[derive(Args, Clone, Debug)]
pub(crate) struct ConsumeArgs {
    #[command(flatten)]
    pub(crate) broker: BrokerArgs,
    #[command(flatten)]
    pub(crate) report: ReportArgs,
    /// Directory that `bench produce --keep` has left: read cold by an embedded broker
    #[arg(long, value_name = "DIR", required_unless_present = "bootstrap_server")]
    #[arg(conflicts_with = "bootstrap_server")]
    pub(crate) dir: Option<PathBuf>,
    /// The topic to read
    #[arg(long, requires = "bootstrap_server", required_unless_present = "dir")]
    pub(crate) topic: Option<String>,
    /// Records that must be there
    #[arg(long, value_name = "N")]
    pub(crate) records: Option<u64>,
    #[command(flatten)]
    pub(crate) reading: ReadingArgs,
}

/// How records are read.
#[derive(Args, Clone, Debug)]
pub(crate) struct ReadingArgs {
    /// Client threads; the partitions are shared out
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=256))]
    pub(crate) consumers: usize,
    /// Only count: neither records nor CRCs are looked at
    #[arg(long)]
    pub(crate) no_check: bool,
    /// fetch.max.bytes
    #[arg(long, value_name = "BYTES", default_value_t = 50 << 20)]
    pub(crate) fetch_max_bytes: i32,
    /// max.partition.fetch.bytes
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 20)]
    pub(crate) partition_fetch_bytes: i32,
}

impl Default for ReadingArgs {
    fn default() -> ReadingArgs {
        ReadingArgs {
            consumers: 1,
            no_check: false,
            fetch_max_bytes: 50 << 20,
            partition_fetch_bytes: 1 << 20,
        }
    }
}

#[derive(Args, Clone, Debug)]
pub(crate) struct LatencyArgs {
    #[command(flatten)]
    pub(crate) broker: BrokerArgs,
    #[command(flatten)]
    pub(crate) report: ReportArgs,
    /// Base directory of the embedded broker's data [default: target/bench-data, or bench-data]
    #[arg(long, value_name = "DIR", conflicts_with = "bootstrap_server")]
    pub(crate) dir: Option<PathBuf>,
    #[arg(long, value_enum, default_value = "all", allow_hyphen_values = true)]
    pub(crate) acks: AcksArg,
    /// Acknowledgement class of the topic; without it the broker's default
    #[arg(long, value_enum, ignore_case = true)]
    pub(crate) class: Option<AckClass>,
    /// Bytes of a record's value
    #[arg(long, value_name = "BYTES", default_value_t = 100, value_parser = record_size)]
    pub(crate) record_size: usize,
    /// Records to measure
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub(crate) records: u64,
    /// Records before, that are not counted
    #[arg(long, value_name = "N", default_value_t = 2_000)]
    pub(crate) warmup_records: u64,
}

fn codec(name: &str) -> Result<Codec, String> {
    Codec::from_name(name).ok_or_else(|| "none, gzip, snappy, lz4 or zstd".to_owned())
}

fn record_size(text: &str) -> Result<usize, String> {
    let size: usize = text.parse().map_err(|_| "not a number".to_owned())?;
    match size >= PAYLOAD_SIZE_MIN {
        true => Ok(size),
        false => Err(format!(
            "at least {PAYLOAD_SIZE_MIN}: what is checked when it is read back"
        )),
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    match (0.0..=86_400.0).contains(&seconds) {
        true => Ok(seconds),
        false => Err("from 0 to 86400".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
        let parse = |line: &str| Cli::try_parse_from(line.split(' '));
        let headline = parse("bench produce --acks all").expect("the command of the README");
        let Command::Produce(args) = headline.command else {
            panic!("produce");
        };
        assert!(args.is_idempotent() && args.acks == AcksArg::All);
        for good in [
            "bench produce --acks -1 --class p --verify --json",
            "bench produce --acks 0 --idempotent false --verify cold",
            "bench produce --bootstrap-server h:1 --broker-pid 3 --idempotent",
            "bench consume --dir x",
            "bench consume --bootstrap-server h:1 --topic t --no-check",
            "bench latency --class K -o a=b -o c=d",
        ] {
            parse(good).unwrap_or_else(|error| panic!("{good}: {error}"));
        }
        for bad in [
            "bench produce --record-size 27",
            "bench produce --acks 2",
            "bench produce --shards 2 --bootstrap-server h:1",
            "bench produce --keys 4 --spread",
            "bench consume",
            "bench consume --topic t",
            "bench consume --bootstrap-server h:1",
            "bench produce --seconds -3",
        ] {
            parse(bad).expect_err(bad);
        }
    }
}
