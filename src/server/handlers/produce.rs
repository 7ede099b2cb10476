//! Produce (0), versions 3-13: one batch for each partition, appended to its log.
//!
//! Batches are validated here, on the connection's core; the owner of each partition checks the
//! producer's sequence, assigns offsets, appends, and answers when the batch is acknowledged as
//! `acks` asks. From v13 on topics are named by id (KIP-516). acks=0 has no answer: an error closes
//! the connection, as the only way to tell the client.
//!
//! A batch whose codec is not what the topic's `compression.type` says is compressed anew, here
//! too. Of records that are at fault each is named in the answer (KIP-467), the first
//! [`RECORD_ERRORS_MAX`] of them.
//!
//! A batch that unpacks to more than [`UNPACKED_HERE_SIZE_MAX`] is validated beside the shard's
//! loop, one at a time a shard, and a request with many batches lets others have their turn: nobody
//! waits for the bombs of somebody else.
//!
//! Left out: transactions (a transactional batch is refused with
//! TRANSACTIONAL_ID_AUTHORIZATION_FAILED, as Kafka refuses one without a transactional id).

use std::time::Duration;

use bytes::Bytes;

use crate::batch::{
    BatchError, Codec, Compression, DECOMPRESSED_SIZE_MAX, Decompressor, ProduceLimits,
    ValidatedBatch, faulty_records, validate_produce,
};
use crate::config::{StoredCompression, TopicConfig};
use crate::metrics::Stage;
use crate::partition::{Isolation, OffsetSpec};
use crate::protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use crate::protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, PartitionProduceResponse, TopicProduceResponse,
};
use crate::protocol::messages::{ProduceRequest, ProduceResponse};
use crate::protocol::{StrBytes, from_uuid};
use crate::server::answer::Answer;
use crate::server::dispatch::{Call, CloseReason, ReplyFuture};
use crate::shard::{ListOffsetsItem, ProduceItem, ProduceOutcome, TopicView};
use crate::types::{ErrorCode, TopicIdPartition};

/// From this version on topics are named by id.
const TOPIC_ID_VERSION_MIN: i16 = 13;

/// Bytes of records that are unpacked on the connection's core: some milliseconds.
const UNPACKED_HERE_SIZE_MAX: usize = 4 << 20;

/// How long the batches of a request are validated without a pause.
const VALIDATION_TIME_MAX: Duration = Duration::from_millis(2);

/// Records of a batch that an answer names.
const RECORD_ERRORS_MAX: usize = 1000;

const ACKS_NONE: i16 = 0;
const ACKS_ALL: i16 = -1;

/// What is known of one partition of the request after the first stage.
enum Slot {
    /// Answered already.
    Refused(Refusal),
    /// The next of the items that were sent to the owners.
    Sent,
}

/// Ends when the batches are on their way to the owners of their partitions: until then the
/// connection's next request is not looked at.
pub(super) async fn handle(call: Call, body: Bytes) -> Result<ReplyFuture, CloseReason> {
    let mut request: ProduceRequest = call.decode(body)?;
    let mut items = Vec::new();
    let mut slots = Vec::new();
    let reactor = &call.node.reactor;
    let mut began = reactor.now();
    for topic in &mut request.topic_data {
        let by_id = call.header.api_version >= TOPIC_ID_VERSION_MIN;
        let view = find_topic(&call, topic, by_id);
        for partition in &mut topic.partition_data {
            let checked = match &view {
                Ok(view) => check(&call, view, partition, request.acks).await,
                Err(error) => Err(Refusal::of_request(*error)),
            };
            slots.push(match checked {
                Ok(item) => {
                    items.push(item);
                    Slot::Sent
                }
                Err(refusal) => Slot::Refused(refusal),
            });
            if reactor.now().since(began) > VALIDATION_TIME_MAX {
                reactor.yield_now().await;
                began = reactor.now();
            }
        }
    }
    let timeout = Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
    // Enqueued to the owners here, in the order of the connection's requests.
    call.lap(Stage::Validate);
    let outcomes = call
        .node
        .shard
        .produce(items, request.acks, timeout, call.clock.get());
    Ok(Box::pin(async move {
        let (outcomes, clock) = outcomes.await.ok_or(CloseReason::Stopping)?;
        call.clock.set(clock);
        add_log_start_offsets(&call, &mut slots).await?;
        let mut sent = outcomes.into_iter();
        let outcomes = slots.into_iter().map(|slot| match slot {
            Slot::Refused(refusal) => (refusal.outcome, refusal.record_errors),
            Slot::Sent => (sent.next().expect("an outcome for each item"), Vec::new()),
        });
        answer(&call, request, outcomes.collect())
    }))
}

fn find_topic(call: &Call, topic: &TopicProduceData, by_id: bool) -> Result<TopicView, ErrorCode> {
    let shard = &call.node.shard;
    if by_id {
        shard
            .topic(from_uuid(topic.topic_id))
            .ok_or(ErrorCode::UnknownTopicId)
    } else {
        shard
            .topic_by_name(&topic.name)
            .ok_or(ErrorCode::UnknownTopicOrPartition)
    }
}

async fn check(
    call: &Call,
    view: &TopicView,
    partition: &mut PartitionProduceData,
    acks: i16,
) -> Result<ProduceItem, Refusal> {
    if !(ACKS_ALL..=1).contains(&acks) {
        return Err(Refusal::of_request(ErrorCode::InvalidRequiredAcks));
    }
    if !view.has_partition(partition.index) {
        return Err(Refusal::of_request(ErrorCode::UnknownTopicOrPartition));
    }
    let records = partition.records.take().unwrap_or_default();
    let partition = TopicIdPartition {
        topic_id: view.topic_id,
        partition: partition.index,
    };
    let limits = limits(call, &view.config);
    let batch = validated(call, records, limits).await;
    let batch = batch.map_err(|faults| Refusal {
        leader_of: faults.0.is_of_leader().then_some(partition),
        ..refuse(faults)
    })?;
    if batch.header().is_transactional() {
        let error = ErrorCode::TransactionalIdAuthorizationFailed;
        let message = Some("transactions are not built".to_owned());
        return Err(Refusal {
            outcome: ProduceOutcome::failed(error, message),
            ..Refusal::of_request(error)
        });
    }
    Ok(ProduceItem { partition, batch })
}

/// What a batch that is not stored is answered.
struct Refusal {
    outcome: ProduceOutcome,
    record_errors: Vec<BatchIndexAndErrorMessage>,
    /// The partition, where it is its leader who refuses: the answer has the log start offset.
    leader_of: Option<TopicIdPartition>,
}

impl Refusal {
    fn of_request(error: ErrorCode) -> Refusal {
        Refusal {
            outcome: ProduceOutcome::failed(error, None),
            record_errors: Vec::new(),
            leader_of: None,
        }
    }
}

/// What the leaders would have said beside their refusals, had the batches come to them.
async fn add_log_start_offsets(call: &Call, slots: &mut [Slot]) -> Result<(), CloseReason> {
    let refusals = slots.iter_mut().filter_map(|slot| match slot {
        Slot::Refused(refusal) => Some((refusal.leader_of?, &mut refusal.outcome)),
        Slot::Sent => None,
    });
    let (partitions, outcomes): (Vec<_>, Vec<_>) = refusals.unzip();
    if partitions.is_empty() {
        return Ok(());
    }
    let asked = partitions.into_iter().map(|partition| ListOffsetsItem {
        partition,
        current_leader_epoch: -1,
        spec: OffsetSpec::Earliest,
        isolation: Isolation::LogEnd,
    });
    let listed = call.node.shard.list_offsets(asked.collect()).await;
    let listed = listed.ok_or(CloseReason::Stopping)?;
    for (outcome, listed) in outcomes.into_iter().zip(listed) {
        outcome.log_start_offset = listed.offset;
    }
    Ok(())
}

/// Why a batch is not stored, and the records that are at fault.
type Faults = (BatchError, Vec<BatchError>);

/// The batch, validated here, or beside the shard's loop where that takes long: much is unpacked,
/// or every record at fault is looked for.
async fn validated(
    call: &Call,
    records: Bytes,
    limits: ProduceLimits,
) -> Result<ValidatedBatch, Faults> {
    let here = ProduceLimits {
        decompressed_size_max: limits.decompressed_size_max.min(UNPACKED_HERE_SIZE_MAX),
        ..limits
    };
    let shard = &call.node.shard;
    let outcome =
        shard.with_decompressor(|decompressor| validate_produce(&records, &here, decompressor));
    match outcome {
        Ok(batch) => return Ok(batch),
        Err(
            BatchError::DecompressedTooLarge(_)
            | BatchError::MissingKey(_)
            | BatchError::Timestamp { .. },
        ) => {}
        Err(error) => return Err((error, Vec::new())),
    }
    let _turn = call.node.unpacking.acquire(1).await;
    let beside = call
        .node
        .reactor
        .beside(move || validate(&records, &limits, &mut Decompressor::new()));
    beside.await
}

fn validate(
    records: &Bytes,
    limits: &ProduceLimits,
    decompressor: &mut Decompressor,
) -> Result<ValidatedBatch, Faults> {
    validate_produce(records, limits, decompressor).map_err(|error| {
        let faults = faulty_records(&error, records, limits, decompressor, RECORD_ERRORS_MAX);
        (error, faults)
    })
}

/// As Kafka's `RecordValidationException`: an error of records names each of them, and one
/// timestamp among them makes it INVALID_TIMESTAMP.
#[cold]
fn refuse((error, faults): Faults) -> Refusal {
    let is_of_time = |fault: &BatchError| fault.error_code() == ErrorCode::InvalidTimestamp;
    let worst = faults
        .iter()
        .find(|fault| is_of_time(fault))
        .unwrap_or(&error);
    let record_errors = faults.iter().filter_map(|fault| {
        let message = StrBytes::from_string(fault.to_string());
        let named = BatchIndexAndErrorMessage::default()
            .with_batch_index(fault.record_index()?)
            .with_batch_index_error_message(Some(message));
        Some(named)
    });
    Refusal {
        outcome: ProduceOutcome::failed(worst.error_code(), Some(error.to_string())),
        record_errors: record_errors.collect(),
        leader_of: None,
    }
}

fn limits(call: &Call, config: &TopicConfig) -> ProduceLimits {
    ProduceLimits {
        produce_version: call.header.api_version,
        max_message_bytes: config.max_message_bytes as usize,
        decompressed_size_max: DECOMPRESSED_SIZE_MAX,
        compression: compression(config),
        timestamp_type: match config.message_timestamp_type {
            crate::config::TimestampType::CreateTime => crate::batch::TimestampType::CreateTime,
            crate::config::TimestampType::LogAppendTime => {
                crate::batch::TimestampType::LogAppendTime
            }
        },
        timestamp_before_max_ms: config.message_timestamp_before_max_ms,
        timestamp_after_max_ms: config.message_timestamp_after_max_ms,
        is_compacted: config.cleanup_policy.compact,
        now: call.node.reactor.wall_clock(),
    }
}

fn compression(config: &TopicConfig) -> Option<Compression> {
    let (codec, level) = match config.compression {
        StoredCompression::Producer => return None,
        StoredCompression::Uncompressed => (Codec::None, None),
        StoredCompression::Gzip => (Codec::Gzip, config.compression_gzip_level),
        StoredCompression::Snappy => (Codec::Snappy, None),
        StoredCompression::Lz4 => (Codec::Lz4, None),
        StoredCompression::Zstd => (Codec::Zstd, Some(config.compression_zstd_level)),
    };
    Some(Compression { codec, level })
}

fn answer(
    call: &Call,
    request: ProduceRequest,
    outcomes: Vec<(ProduceOutcome, Vec<BatchIndexAndErrorMessage>)>,
) -> Result<Answer, CloseReason> {
    for (outcome, _) in &outcomes {
        call.count_error(outcome.error);
    }
    if request.acks == ACKS_NONE {
        let mut failed = outcomes
            .iter()
            .filter(|(outcome, _)| outcome.error.is_error());
        return match failed.next() {
            Some((failed, _)) => Err(CloseReason::UnacknowledgedProduce(failed.error.to_string())),
            None => Ok(Answer::default()),
        };
    }
    let mut outcomes = outcomes.into_iter();
    let topics = request.topic_data.into_iter().map(|topic| {
        let partitions = topic.partition_data.iter().map(|partition| {
            let (outcome, record_errors) = outcomes.next().expect("one for each partition");
            partition_response(partition.index, outcome, record_errors)
        });
        TopicProduceResponse::default()
            .with_partition_responses(partitions.collect())
            .with_name(topic.name)
            .with_topic_id(topic.topic_id)
    });
    call.encode(&ProduceResponse::default().with_responses(topics.collect()))
}

fn partition_response(
    index: i32,
    outcome: ProduceOutcome,
    record_errors: Vec<BatchIndexAndErrorMessage>,
) -> PartitionProduceResponse {
    let message = outcome.error_message.map(StrBytes::from_string);
    PartitionProduceResponse::default()
        .with_index(index)
        .with_error_code(outcome.error.code())
        .with_base_offset(outcome.base_offset)
        .with_log_append_time_ms(outcome.log_append_time)
        .with_log_start_offset(outcome.log_start_offset)
        .with_record_errors(record_errors)
        .with_error_message(message)
}
