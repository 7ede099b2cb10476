//! `consume`: reads by assignment until every partition has given its count.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::{Value, json};

use crate::Failure;
use crate::lines::{Content, Input, Record};

const OPERATION_TIMEOUT: Duration = Duration::from_secs(30);
/// The first poll that brings nothing is reported as waiting.
const POLL_TIMEOUT: Duration = Duration::from_secs(1);

pub fn run() -> Result<(), Failure> {
    let options = Input::open().options()?;
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &options.bootstrap)
        .set("group.id", "unused-by-assignment")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "error")
        .set("check.crcs", "true")
        .create()?;
    let mut places = TopicPartitionList::new();
    let mut missing = BTreeMap::new();
    for (&partition, range) in &options.partitions {
        let start = start(&consumer, &options.topic, partition, &range.start)?;
        places.add_partition_offset(&options.topic, partition, start)?;
        missing.insert(partition, range.count);
    }
    consumer.assign(&places)?;
    let mut waited = false;
    while missing.values().sum::<usize>() > 0 {
        match consumer.poll(POLL_TIMEOUT) {
            None if waited => {}
            None => {
                waited = true;
                println!("{}", json!({ "waiting": true }));
            }
            Some(Err(KafkaError::MessageConsumption(code))) => {
                println!("{}", json!({ "error": code as i32 }));
                return Ok(());
            }
            Some(Err(error)) => return Err(error.into()),
            Some(Ok(message)) => {
                let left = missing.entry(message.partition()).or_default();
                if *left > 0 {
                    *left -= 1;
                    println!("{}", serde_json::to_string(&record(&message))?);
                }
            }
        }
    }
    Ok(())
}

fn start(
    consumer: &BaseConsumer,
    topic: &str,
    partition: i32,
    start: &Value,
) -> Result<Offset, Failure> {
    if let Some(timestamp) = start.get("timestamp").and_then(Value::as_i64) {
        let mut at = TopicPartitionList::new();
        at.add_partition_offset(topic, partition, Offset::Offset(timestamp))?;
        let found = consumer.offsets_for_times(at, OPERATION_TIMEOUT)?;
        return Ok(found.elements()[0].offset());
    }
    Ok(start.as_i64().map_or(Offset::Beginning, Offset::Offset))
}

fn record(message: &BorrowedMessage<'_>) -> Record {
    let content = |bytes: Option<&[u8]>| Content(bytes.map(<[u8]>::to_vec));
    let headers = message.headers().into_iter().flat_map(Headers::iter);
    let headers = headers.map(|header| (header.key.to_owned(), content(header.value)));
    Record {
        partition: message.partition(),
        offset: message.offset(),
        timestamp: message.timestamp().to_millis().unwrap_or(-1),
        key: content(message.key()),
        value: content(message.payload()),
        headers: headers.collect(),
    }
}
