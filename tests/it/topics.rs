//! What tests say often: topics made, records in and out, offsets asked for.

use bytes::Bytes;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsTopic,
};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::list_offsets_response::ListOffsetsPartitionResponse;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::PartitionProduceResponse;
use kafka_protocol::messages::{
    BrokerId, CreateTopicsRequest, DeleteRecordsRequest, FetchRequest, FetchResponse,
    InitProducerIdRequest, ListOffsetsRequest, ProduceRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use ringlog::protocol::{ApiKey, to_uuid};
use ringlog::types::{ErrorCode, TopicId};
use uuid::Uuid;

use crate::records::{Fetched, fetched};
use crate::wire::Wire;

pub(crate) const PRODUCE_VERSION: i16 = 13;
pub(crate) const FETCH_VERSION: i16 = 18;
pub(crate) const LIST_OFFSETS_VERSION: i16 = 10;

/// From these versions on topics are named by id.
const PRODUCE_BY_ID_VERSION_MIN: i16 = 13;
const FETCH_BY_ID_VERSION_MIN: i16 = 13;

pub(crate) const LATEST: i64 = -1;
pub(crate) const EARLIEST: i64 = -2;
pub(crate) const ACKS_ALL: i16 = -1;

/// The replica id of a consumer.
pub(crate) const CONSUMER: BrokerId = BrokerId(-1);

/// A wait that no test sits out, ms.
pub(crate) const LONG_WAIT_MS: i32 = 600_000;

/// A topic as a client knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Topic {
    pub(crate) name: String,
    pub(crate) id: Uuid,
}

impl Topic {
    /// A topic that does not exist.
    pub(crate) fn unknown() -> Topic {
        Topic {
            name: "no-such-topic".to_owned(),
            id: to_uuid(TopicId([7; 16])),
        }
    }
}

/// The code of an error, for comparison with what is on the wire.
pub(crate) fn code(error: ErrorCode) -> i16 {
    error.code()
}

pub(crate) fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

pub(crate) fn topic_name(name: &str) -> TopicName {
    TopicName(text(name))
}

/// Every version of an API that the broker advertises and decodes.
pub(crate) fn versions(key: ApiKey) -> impl Iterator<Item = i16> {
    key.row().decoded.iter()
}

/// A topic of a CreateTopics request.
pub(crate) fn new_topic(name: &str, partitions: i32, configs: &[(&str, &str)]) -> CreatableTopic {
    let configs = configs.iter().map(|(name, value)| {
        CreatableTopicConfig::default()
            .with_name(text(name))
            .with_value(Some(text(value)))
    });
    CreatableTopic::default()
        .with_name(topic_name(name))
        .with_num_partitions(partitions)
        .with_replication_factor(1)
        .with_configs(configs.collect())
}

/// Creates a topic.
pub(crate) fn create(
    wire: &mut Wire,
    name: &str,
    partitions: i32,
    configs: &[(&str, &str)],
) -> Topic {
    let request =
        CreateTopicsRequest::default().with_topics(vec![new_topic(name, partitions, configs)]);
    let created = &wire.call(7, &request).topics[0];
    let message = &created.error_message;
    assert_eq!(created.error_code, 0, "{name}: {message:?}");
    Topic {
        name: name.to_owned(),
        id: created.topic_id,
    }
}

/// A Produce request for one partition.
pub(crate) fn produce_request(
    version: i16,
    acks: i16,
    topic: &Topic,
    partition: i32,
    records: Option<Bytes>,
) -> ProduceRequest {
    let data = PartitionProduceData::default()
        .with_index(partition)
        .with_records(records);
    let mut of_topic = TopicProduceData::default().with_partition_data(vec![data]);
    if version >= PRODUCE_BY_ID_VERSION_MIN {
        of_topic.topic_id = topic.id;
    } else {
        of_topic.name = topic_name(&topic.name);
    }
    ProduceRequest::default()
        .with_acks(acks)
        .with_timeout_ms(LONG_WAIT_MS)
        .with_topic_data(vec![of_topic])
}

/// Produces to one partition in some version.
pub(crate) fn produce_in(
    wire: &mut Wire,
    version: i16,
    acks: i16,
    topic: &Topic,
    partition: i32,
    records: &Bytes,
) -> PartitionProduceResponse {
    let request = produce_request(version, acks, topic, partition, Some(records.clone()));
    let mut response = wire.call(version, &request);
    let mut of_topic = response.responses.remove(0);
    of_topic.partition_responses.remove(0)
}

/// Produces with acks=all what must be accepted; the base offset.
pub(crate) fn produce(wire: &mut Wire, topic: &Topic, partition: i32, records: &Bytes) -> i64 {
    let answer = produce_in(wire, PRODUCE_VERSION, ACKS_ALL, topic, partition, records);
    let message = &answer.error_message;
    assert_eq!(answer.error_code, 0, "{} {message:?}", topic.name);
    answer.base_offset
}

/// What a fetch asks for besides partitions; the default answers at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FetchOptions {
    pub(crate) max_wait_ms: i32,
    pub(crate) min_bytes: i32,
    pub(crate) max_bytes: i32,
    pub(crate) partition_max_bytes: i32,
    pub(crate) current_leader_epoch: i32,
}

impl Default for FetchOptions {
    fn default() -> FetchOptions {
        FetchOptions {
            max_wait_ms: 0,
            min_bytes: 1,
            max_bytes: 50 << 20,
            partition_max_bytes: 1 << 20,
            current_leader_epoch: -1,
        }
    }
}

/// A Fetch request for some partitions, each from an offset.
pub(crate) fn fetch_request(
    version: i16,
    topic: &Topic,
    partitions: &[(i32, i64)],
    options: FetchOptions,
) -> FetchRequest {
    let partitions = partitions.iter().map(|&(partition, offset)| {
        let mut asked = FetchPartition::default()
            .with_partition(partition)
            .with_fetch_offset(offset)
            .with_partition_max_bytes(options.partition_max_bytes);
        if version >= 9 {
            asked.current_leader_epoch = options.current_leader_epoch;
        }
        asked
    });
    let mut of_topic = FetchTopic::default().with_partitions(partitions.collect());
    if version >= FETCH_BY_ID_VERSION_MIN {
        of_topic.topic_id = topic.id;
    } else {
        of_topic.topic = topic_name(&topic.name);
    }
    FetchRequest::default()
        .with_max_wait_ms(options.max_wait_ms)
        .with_min_bytes(options.min_bytes)
        .with_max_bytes(options.max_bytes)
        .with_topics(vec![of_topic])
}

/// The partitions of a Fetch response of one topic.
pub(crate) fn partitions_of(mut response: FetchResponse) -> Vec<PartitionData> {
    assert_eq!(response.error_code, 0);
    match response.responses.len() {
        0 => Vec::new(),
        1 => response.responses.remove(0).partitions,
        count => panic!("{count} topics in the answer"),
    }
}

/// Fetches one partition.
pub(crate) fn fetch_in(
    wire: &mut Wire,
    version: i16,
    topic: &Topic,
    (partition, offset): (i32, i64),
    options: FetchOptions,
) -> PartitionData {
    let request = fetch_request(version, topic, &[(partition, offset)], options);
    partitions_of(wire.call(version, &request)).remove(0)
}

/// The records of a partition's answer.
pub(crate) fn records_of(data: &PartitionData) -> Vec<Fetched> {
    data.records.as_ref().map(fetched).unwrap_or_default()
}

/// Everything in a partition from an offset on, by as many fetches as it takes.
pub(crate) fn read_from(
    wire: &mut Wire,
    topic: &Topic,
    partition: i32,
    mut offset: i64,
) -> Vec<Fetched> {
    let mut all: Vec<Fetched> = Vec::new();
    loop {
        let options = FetchOptions::default();
        let data = fetch_in(wire, FETCH_VERSION, topic, (partition, offset), options);
        assert_eq!(data.error_code, 0, "{}-{partition} at {offset}", topic.name);
        let records = records_of(&data);
        let Some(last) = records.last() else {
            assert_eq!(
                offset, data.high_watermark,
                "the fetches end before the log"
            );
            return all;
        };
        offset = last.offset + 1;
        all.extend(records);
    }
}

/// The values of a whole partition.
pub(crate) fn values(wire: &mut Wire, topic: &Topic, partition: i32) -> Vec<String> {
    let records = read_from(wire, topic, partition, 0);
    let offsets = records.iter().map(|record| record.offset);
    assert!(offsets.eq(0..records.len() as i64), "offsets have gaps");
    records.into_iter().map(|record| record.value).collect()
}

/// Asks one partition for an offset.
pub(crate) fn list_offset_in(
    wire: &mut Wire,
    version: i16,
    topic: &Topic,
    partition: i32,
    timestamp: i64,
) -> ListOffsetsPartitionResponse {
    let partition = ListOffsetsPartition::default()
        .with_partition_index(partition)
        .with_timestamp(timestamp);
    let of_topic = ListOffsetsTopic::default()
        .with_name(topic_name(&topic.name))
        .with_partitions(vec![partition]);
    let request = ListOffsetsRequest::default()
        .with_replica_id(CONSUMER)
        .with_topics(vec![of_topic]);
    let mut response = wire.call(version, &request);
    response.topics.remove(0).partitions.remove(0)
}

/// Deletes what lies before an offset of one partition: the error and the new start.
pub(crate) fn delete_records_in(
    wire: &mut Wire,
    version: i16,
    topic: &str,
    partition: i32,
    before: i64,
) -> (i16, i64) {
    let partition = DeleteRecordsPartition::default()
        .with_partition_index(partition)
        .with_offset(before);
    let of_topic = DeleteRecordsTopic::default()
        .with_name(topic_name(topic))
        .with_partitions(vec![partition]);
    let request = DeleteRecordsRequest::default()
        .with_topics(vec![of_topic])
        .with_timeout_ms(LONG_WAIT_MS);
    let response = wire.call(version, &request);
    let deleted = &response.topics[0].partitions[0];
    (deleted.error_code, deleted.low_watermark)
}

/// Where a partition starts.
pub(crate) fn start_offset(wire: &mut Wire, topic: &Topic, partition: i32) -> i64 {
    let listed = list_offset_in(wire, LIST_OFFSETS_VERSION, topic, partition, EARLIEST);
    assert_eq!(listed.error_code, 0);
    listed.offset
}

/// Where a partition ends.
pub(crate) fn end_offset(wire: &mut Wire, topic: &Topic, partition: i32) -> i64 {
    let listed = list_offset_in(wire, LIST_OFFSETS_VERSION, topic, partition, LATEST);
    assert_eq!(listed.error_code, 0);
    listed.offset
}

/// The request of an idempotent producer.
pub(crate) fn init_producer_id(transaction_timeout_ms: i32) -> InitProducerIdRequest {
    InitProducerIdRequest::default()
        .with_transactional_id(None)
        .with_transaction_timeout_ms(transaction_timeout_ms)
}

/// A new idempotent producer: id and epoch.
pub(crate) fn new_producer(wire: &mut Wire) -> (i64, i16) {
    let request = init_producer_id(60_000);
    let response = wire.call(5, &request);
    assert_eq!(response.error_code, 0);
    (response.producer_id.0, response.producer_epoch)
}

/// A normal client's whole day: a topic, a record in, the same record out.
pub(crate) fn works(wire: &mut Wire, topic: &str) {
    let topic = create(wire, topic, 1, &[]);
    produce(wire, &topic, 0, &crate::records::batch(&["it works"]));
    assert_eq!(values(wire, &topic, 0), ["it works"]);
}
