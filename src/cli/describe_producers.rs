//! `ringlog topic describe-producers`: the idempotent producers that a partition remembers, as
//! Kafka's `kafka-transactions.sh describe-producers` shows them.

use std::io::Write;

use anyhow::Result;
use clap::Args;

use super::output::Output;
use crate::client::{Admin, ProducerView};

#[derive(Args, Clone, Debug)]
pub(super) struct DescribeProducersArgs {
    #[arg(long)]
    topic: String,
    #[arg(long, value_parser = clap::value_parser!(i32).range(0..))]
    partition: i32,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(
    admin: &Admin,
    args: &DescribeProducersArgs,
    out: &mut Output,
) -> Result<()> {
    let producers = admin.describe_producers(&args.topic, args.partition);
    for producer in producers.await? {
        match args.json {
            true => writeln!(out, "{}", json(args, &producer))?,
            false => writeln!(out, "{}", text(&producer))?,
        }
    }
    Ok(())
}

fn json(args: &DescribeProducersArgs, producer: &ProducerView) -> serde_json::Value {
    serde_json::json!({
        "topic": args.topic,
        "partition": args.partition,
        "producer_id": producer.producer_id,
        "producer_epoch": producer.producer_epoch,
        "last_sequence": producer.last_sequence,
        "last_timestamp_ms": producer.last_timestamp_ms,
        "coordinator_epoch": producer.coordinator_epoch,
        "current_txn_start_offset": producer.current_txn_start_offset,
    })
}

fn text(producer: &ProducerView) -> String {
    let or_none = |number: Option<i64>| number.map_or("None".to_owned(), |it| it.to_string());
    format!(
        "ProducerId: {}\tProducerEpoch: {}\tLatestCoordinatorEpoch: {}\tLastSequence: {}\t\
         LastTimestamp: {}\tCurrentTransactionStartOffset: {}",
        producer.producer_id,
        producer.producer_epoch,
        producer.coordinator_epoch.unwrap_or(-1),
        producer.last_sequence,
        producer.last_timestamp_ms,
        or_none(producer.current_txn_start_offset),
    )
}
