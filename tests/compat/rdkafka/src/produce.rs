//! `produce`: sends the records and prints what became of each, in the order of the input.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode;
use serde_json::json;

use crate::Failure;
use crate::lines::{Input, Options, Record};

const FLUSH_TIMEOUT: Duration = Duration::from_secs(60);
const QUEUE_FULL_PAUSE: Duration = Duration::from_millis(5);

/// Partition, offset and error code of each record.
type Deliveries = Arc<Mutex<Vec<(i32, i64, i32)>>>;

struct Watch(Deliveries);

impl ClientContext for Watch {}

impl ProducerContext for Watch {
    type DeliveryOpaque = Box<usize>;

    fn delivery(&self, result: &DeliveryResult<'_>, index: Box<usize>) {
        let (message, code) = match result {
            Ok(message) => (message, 0),
            Err((KafkaError::MessageProduction(code), message)) => (message, *code as i32),
            Err((_, message)) => (message, -1),
        };
        self.0.lock().expect("nobody panicked")[*index] =
            (message.partition(), message.offset(), code);
    }
}

fn producer(
    options: &Options,
    deliveries: &Deliveries,
) -> Result<ThreadedProducer<Watch>, Failure> {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &options.bootstrap)
        .set("compression.codec", &options.codec)
        .set("acks", &options.acks)
        .set("enable.idempotence", options.idempotent.to_string());
    if options.max_bytes > 0 {
        config.set("message.max.bytes", options.max_bytes.to_string());
    }
    Ok(config.create_with_context(Watch(Arc::clone(deliveries)))?)
}

pub fn run() -> Result<(), Failure> {
    let mut input = Input::open();
    let options = input.options()?;
    let deliveries = Deliveries::default();
    let producer = producer(&options, &deliveries)?;
    while let Some(record) = input.next::<Record>()? {
        let index = {
            let mut deliveries = deliveries.lock().expect("nobody panicked");
            deliveries.push((-1, -1, -1));
            deliveries.len() - 1
        };
        send(&producer, &options.topic, &record, index)?;
    }
    producer.flush(FLUSH_TIMEOUT)?;
    for (partition, offset, error) in deliveries.lock().expect("nobody panicked").iter() {
        println!("{}", json!({ "p": partition, "o": offset, "error": error }));
    }
    Ok(())
}

fn send(
    producer: &ThreadedProducer<Watch>,
    topic: &str,
    record: &Record,
    index: usize,
) -> Result<(), Failure> {
    let mut sent: BaseRecord<'_, [u8], [u8], Box<usize>> =
        BaseRecord::with_opaque_to(topic, Box::new(index)).partition(record.partition);
    if let Some(key) = &record.key.0 {
        sent = sent.key(key);
    }
    if let Some(value) = &record.value.0 {
        sent = sent.payload(value);
    }
    if record.timestamp > 0 {
        sent = sent.timestamp(record.timestamp);
    }
    if !record.headers.is_empty() {
        let headers = record
            .headers
            .iter()
            .fold(OwnedHeaders::new(), |headers, (key, value)| {
                headers.insert(Header {
                    key,
                    value: value.0.as_ref(),
                })
            });
        sent = sent.headers(headers);
    }
    loop {
        match producer.send(sent) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                std::thread::sleep(QUEUE_FULL_PAUSE);
                sent = back;
            }
            Err((KafkaError::MessageProduction(code), _)) => {
                let context = producer.context();
                context.0.lock().expect("nobody panicked")[index].2 = code as i32;
                return Ok(());
            }
            Err((error, _)) => return Err(error.into()),
        }
    }
}
