//! `admin`: one operation, one object.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::executor::block_on;
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier,
    TopicReplication, TopicResult,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::{Value, json};

use crate::Failure;
use crate::lines::{Input, Options};

const OPERATION_TIMEOUT: Duration = Duration::from_secs(30);

type Admin = AdminClient<DefaultClientContext>;

pub fn run() -> Result<(), Failure> {
    let options = Input::open().options()?;
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &options.bootstrap)
        .set("group.id", "unused");
    let admin: Admin = config.create()?;
    let consumer: BaseConsumer = config.create()?;
    let answer = match options.op.as_str() {
        "create" => create(&admin, &options)?,
        "delete" => {
            let names: Vec<&str> = options.topics.keys().map(String::as_str).collect();
            by_topic(block_on(admin.delete_topics(&names, &waiting()))?)
        }
        "list" => list(&consumer)?,
        "offsets" => offsets(&consumer, &options)?,
        "cluster" => cluster(&admin)?,
        "configs" => configs(&admin, &options)?,
        "set_configs" => set_configs(&admin, &options)?,
        "add_partitions" => {
            let wanted = [NewPartitions::new(&options.topic, options.count)];
            let grown = block_on(admin.create_partitions(&wanted, &waiting()))?;
            json!({ "error": by_topic(grown)[&options.topic] })
        }
        "delete_records" => delete_records(&admin, &options)?,
        other => return Err(format!("no operation called {other:?}").into()),
    };
    println!("{answer}");
    Ok(())
}

fn waiting() -> AdminOptions {
    AdminOptions::new().operation_timeout(Some(OPERATION_TIMEOUT))
}

fn by_topic(results: Vec<TopicResult>) -> Value {
    let codes = results.into_iter().map(|result| match result {
        Ok(name) => (name, 0),
        Err((name, code)) => (name, code as i32),
    });
    json!(codes.collect::<BTreeMap<_, _>>())
}

fn create(admin: &Admin, options: &Options) -> Result<Value, Failure> {
    let topics = options.topics.iter();
    let topics: Vec<NewTopic<'_>> = topics
        .map(|(name, count)| NewTopic::new(name, *count, TopicReplication::Fixed(1)))
        .collect();
    Ok(by_topic(block_on(
        admin.create_topics(&topics, &waiting()),
    )?))
}

fn list(consumer: &BaseConsumer) -> Result<Value, Failure> {
    let metadata = consumer.fetch_metadata(None, OPERATION_TIMEOUT)?;
    let topics = metadata.topics().iter();
    let counts = topics.map(|topic| (topic.name(), topic.partitions().len()));
    Ok(json!(counts.collect::<BTreeMap<_, _>>()))
}

fn offsets(consumer: &BaseConsumer, options: &Options) -> Result<Value, Failure> {
    let metadata = consumer.fetch_metadata(Some(&options.topic), OPERATION_TIMEOUT)?;
    let mut found = BTreeMap::new();
    for partition in metadata.topics()[0].partitions() {
        let id = partition.id();
        let offset = if let Some(timestamp) = options.at.as_i64() {
            let mut at = TopicPartitionList::new();
            at.add_partition_offset(&options.topic, id, Offset::Offset(timestamp))?;
            match consumer
                .offsets_for_times(at, OPERATION_TIMEOUT)?
                .elements()[0]
                .offset()
            {
                Offset::Offset(offset) => offset,
                _ => -1,
            }
        } else {
            let (low, high) = consumer.fetch_watermarks(&options.topic, id, OPERATION_TIMEOUT)?;
            if options.at == "earliest" { low } else { high }
        };
        found.insert(id, offset);
    }
    Ok(json!(found))
}

fn cluster(admin: &Admin) -> Result<Value, Failure> {
    let client = admin.inner();
    let metadata = client.fetch_metadata(None, OPERATION_TIMEOUT)?;
    let brokers: Vec<i32> = metadata
        .brokers()
        .iter()
        .map(|broker| broker.id())
        .collect();
    let timeout_ms = OPERATION_TIMEOUT.as_millis() as i32;
    // SAFETY: the client outlives the call, which only asks.
    let controller =
        unsafe { rdkafka::bindings::rd_kafka_controllerid(client.native_ptr(), timeout_ms) };
    Ok(json!({
        "brokers": brokers,
        "controller": controller,
        "cluster_id": client.fetch_cluster_id(OPERATION_TIMEOUT),
    }))
}

fn configs(admin: &Admin, options: &Options) -> Result<Value, Failure> {
    let resource = ResourceSpecifier::Topic(&options.topic);
    let mut described = block_on(admin.describe_configs([&resource], &waiting()))?;
    let described = described.remove(0).map_err(|code| code.to_string())?;
    let names = options.names.iter();
    let values = names.map(|name| {
        let entry = described.entries.iter().find(|entry| entry.name == *name);
        (name, entry.and_then(|entry| entry.value.clone()))
    });
    Ok(json!(values.collect::<BTreeMap<_, _>>()))
}

fn set_configs(admin: &Admin, options: &Options) -> Result<Value, Failure> {
    let mut wanted = AlterConfig::new(ResourceSpecifier::Topic(&options.topic));
    for (name, value) in &options.configs {
        wanted = wanted.set(name, value);
    }
    let altered = block_on(admin.alter_configs([&wanted], &waiting()))?;
    let code = altered.into_iter().next().map_or(0, |result| match result {
        Ok(_) => 0,
        Err((_, code)) => code as i32,
    });
    Ok(json!({ "error": code }))
}

fn delete_records(admin: &Admin, options: &Options) -> Result<Value, Failure> {
    let mut before = TopicPartitionList::new();
    before.add_partition_offset(&options.topic, 0, Offset::Offset(options.offset))?;
    let deleted = block_on(admin.delete_records(&before, &waiting()))?;
    let low = match deleted.elements()[0].offset() {
        Offset::Offset(offset) => offset,
        _ => -1,
    };
    Ok(json!({ "low_watermark": low }))
}
