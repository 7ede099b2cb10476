//! `ringlog consume`: records to standard output, in kcat's manner.

use std::collections::BTreeSet;
use std::io::Write;
use std::ops::ControlFlow;
use std::str::FromStr;

use anyhow::{Context, Result};
use clap::Args;
use futures_lite::future::or;

use super::escapes::unescape;
use super::output::Output;
use super::record_format::RecordFormat;
use super::session::{self, ServerArgs, Session};
use crate::batch::Decompressor;
use crate::client::{
    Admin, FetchOptions, FetchedPartition, Fetcher, Isolation, OffsetReset, OffsetSpec, StartOffset,
};
use crate::types::{PartitionIndex, Timestamp};

/// The arguments of `ringlog consume`.
#[derive(Args, Clone, Debug)]
pub(super) struct ConsumeArgs {
    #[command(flatten)]
    server: ServerArgs,
    #[arg(short, long)]
    topic: String,
    /// Only this partition; may be given several times
    #[arg(short, long = "partition", value_name = "PARTITION")]
    partitions: Vec<PartitionIndex>,
    /// Where to start: beginning, end, an offset, -N (the last N of each partition), or
    /// s@MS (the first record at or after that time)
    #[arg(short, long, default_value = "beginning", allow_hyphen_values = true)]
    offset: Start,
    /// Stop after so many records
    #[arg(short, long)]
    count: Option<u64>,
    /// Stop at the end of all partitions
    #[arg(short = 'e', long)]
    exit_at_end: bool,
    /// How to print a record: %t topic, %p partition, %o offset, %T timestamp (ms), %k key,
    /// %K its size, %s value, %S its size, %R its size as four bytes, %h headers, \n \t \xHH ...
    #[arg(short, long, conflicts_with_all = ["delimiter", "key_delimiter"])]
    format: Option<String>,
    /// Print this behind each record
    #[arg(short = 'D', long, default_value = r"\n")]
    delimiter: String,
    /// Print the key and this before each value
    #[arg(short = 'K', long)]
    key_delimiter: Option<String>,
    /// Print a null key or value as NULL rather than as nothing
    #[arg(short = 'Z', long)]
    null: bool,
    /// Only records of committed transactions and those before open ones
    #[arg(long)]
    read_committed: bool,
}

/// Where to start in each partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    At(StartOffset),
    /// So many records before the end.
    Last(i64),
}

impl FromStr for Start {
    type Err = String;

    fn from_str(text: &str) -> Result<Start, String> {
        let fail = || format!("`{text}` is not beginning, end, N, -N or s@MS");
        match text {
            "beginning" | "earliest" => return Ok(Start::At(StartOffset::Earliest)),
            "end" | "latest" => return Ok(Start::At(StartOffset::Latest)),
            _ => {}
        }
        if let Some(timestamp) = text.strip_prefix("s@") {
            let timestamp: Timestamp = timestamp.parse().map_err(|_| fail())?;
            return match timestamp {
                0.. => Ok(Start::At(StartOffset::Timestamp(timestamp))),
                _ => Err(fail()),
            };
        }
        match (text.strip_prefix('-'), text.parse::<i64>()) {
            (Some(_), Ok(count)) => Ok(Start::Last(count.checked_neg().ok_or_else(fail)?)),
            (None, Ok(offset)) => Ok(Start::At(StartOffset::Offset(offset))),
            (_, Err(_)) => Err(fail()),
        }
    }
}

pub(super) fn run(args: &ConsumeArgs) -> Result<()> {
    let format = record_format(args)?;
    let (server, args) = (&args.server, args.clone());
    session::run(server, false, move |session| {
        let (args, format) = (args.clone(), format.clone());
        async move { consume(&session, &args, &format).await }
    })
}

fn record_format(args: &ConsumeArgs) -> Result<RecordFormat> {
    let null = if args.null { "NULL" } else { "" };
    if let Some(format) = &args.format {
        return RecordFormat::parse(format, null);
    }
    let key_delimiter = args.key_delimiter.as_deref().map(unescape).transpose()?;
    Ok(RecordFormat::plain(
        key_delimiter,
        unescape(&args.delimiter)?,
        null,
    ))
}

async fn consume(session: &Session, args: &ConsumeArgs, format: &RecordFormat) -> Result<()> {
    if args.count == Some(0) {
        return Ok(());
    }
    let view = session.client.topic(&args.topic).await?;
    let mut partitions: BTreeSet<PartitionIndex> = args.partitions.iter().copied().collect();
    if partitions.is_empty() {
        partitions = view
            .partitions
            .iter()
            .map(|partition| partition.partition)
            .collect();
    }
    let options = FetchOptions {
        isolation: match args.read_committed {
            true => Isolation::ReadCommitted,
            false => Isolation::ReadUncommitted,
        },
        // Records that retention has deleted meanwhile are not worth an error here.
        reset: match args.offset {
            Start::At(StartOffset::Offset(_)) => OffsetReset::Error,
            _ => OffsetReset::Earliest,
        },
        ..FetchOptions::default()
    };
    let fetcher = Fetcher::new(&session.client, options);
    for &partition in &partitions {
        let start = match args.offset {
            Start::At(start) => start,
            Start::Last(count) => last(session, &args.topic, partition, count).await?,
        };
        fetcher.assign(&args.topic, partition, start).await?;
    }
    let printed = print_all(session, args, &fetcher, &partitions, format).await;
    fetcher.close().await;
    printed
}

/// Prints until there is enough, or a stop.
async fn print_all(
    session: &Session,
    args: &ConsumeArgs,
    fetcher: &Fetcher,
    partitions: &BTreeSet<PartitionIndex>,
    format: &RecordFormat,
) -> Result<()> {
    let mut printer = Printer {
        out: Output::new(),
        format,
        decompressor: Decompressor::new(),
        count_left: args.count,
    };
    let mut ends = BTreeSet::new();
    loop {
        let next = async { Some(fetcher.next().await) };
        let stopped = async {
            session.reactor.stopped(&session.stop).await;
            None
        };
        let Some(fetched) = or(next, stopped).await else {
            return Ok(());
        };
        let fetched = fetched?;
        if printer.print(&fetched)?.is_break() {
            return Ok(());
        }
        if fetched.is_end() && args.exit_at_end {
            ends.insert(fetched.partition);
            if ends == *partitions {
                return Ok(());
            }
        }
    }
}

/// The offset that has `count` offsets behind it up to the end, or the first one there is.
async fn last(
    session: &Session,
    topic: &str,
    partition: PartitionIndex,
    count: i64,
) -> Result<StartOffset> {
    let admin = Admin::new(&session.client);
    let look_up = async |spec| {
        let offsets = admin.list_offsets(topic, &[(partition, spec)]).await?;
        let offset = offsets.first().copied().flatten();
        offset.with_context(|| format!("{topic}-{partition} has no {spec:?} offset"))
    };
    let earliest = look_up(OffsetSpec::Earliest).await?;
    let latest = look_up(OffsetSpec::Latest).await?;
    Ok(StartOffset::Offset(
        earliest.max(latest.saturating_sub(count)),
    ))
}

struct Printer<'a> {
    out: Output,
    format: &'a RecordFormat,
    decompressor: Decompressor,
    count_left: Option<u64>,
}

impl Printer<'_> {
    /// Prints the records and flushes; breaks when enough were printed.
    fn print(&mut self, fetched: &FetchedPartition) -> Result<ControlFlow<()>> {
        let mut failure = None;
        let (out, format, count_left) = (&mut self.out, self.format, &mut self.count_left);
        fetched.for_each_record(&mut self.decompressor, |record| {
            if let Err(error) = format.print(out, &fetched.topic, fetched.partition, record) {
                failure = Some(error);
                return ControlFlow::Break(());
            }
            match count_left {
                Some(count) => {
                    *count -= 1;
                    if *count == 0 {
                        ControlFlow::Break(())
                    } else {
                        ControlFlow::Continue(())
                    }
                }
                None => ControlFlow::Continue(()),
            }
        })?;
        if let Some(error) = failure {
            return Err(error.into());
        }
        self.out.flush()?;
        match self.count_left {
            Some(0) => Ok(ControlFlow::Break(())),
            _ => Ok(ControlFlow::Continue(())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_are_read_as_kcat_reads_them() {
        let cases = [
            ("beginning", Start::At(StartOffset::Earliest)),
            ("end", Start::At(StartOffset::Latest)),
            ("42", Start::At(StartOffset::Offset(42))),
            ("-5", Start::Last(5)),
            (
                "s@1700000000000",
                Start::At(StartOffset::Timestamp(1_700_000_000_000)),
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
        for wrong in ["", "x", "s@", "s@-1", "5x", "--5", "-9223372036854775808"] {
            assert!(wrong.parse::<Start>().is_err(), "{wrong}");
        }
    }
}
