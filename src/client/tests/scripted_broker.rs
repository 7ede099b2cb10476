//! One broker with one topic, kept in memory: it checks sequences as a real one does, and does what
//! the script says instead where there is a script.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};

use crate::batch::{BatchHeader, BatchIter, CrcCheck, Decompressor, RecordIter};
use crate::client::{Client, ClientOptions};
use crate::io::sim::{MachineId, SimOptions, Simulation};
use crate::io::{Accepted, Notify, Reactor};
use crate::protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use crate::protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use crate::protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use crate::protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use crate::protocol::messages::*;
use crate::protocol::{
    ApiKey, FRAME_PREFIX_SIZE, Incoming, RequestHeader, StrBytes, api_versions_response,
    decode_request, encode_response, parse_request, to_uuid, unknown_version_reply,
};
use crate::types::{ErrorCode, TopicId};

pub(super) const ADDRESS: &str = "127.0.0.1:9092";
/// Of the other node, where there are two.
const OTHER_ADDRESS: &str = "127.0.0.1:9093";
const PORTS: [i32; 2] = [9092, 9093];
pub(super) const TOPIC: &str = "logs";
const TOPIC_ID: TopicId = TopicId([7; 16]);
const PRODUCER_ID: i64 = 77;

/// What a client waits for an answer.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);

/// What happens to one Produce request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    /// This partition is answered with a code and not appended.
    Refuse(i32, ErrorCode),
    /// Appended, and answered with a code all the same.
    StoreAndRefuse(ErrorCode),
    /// The connection ends before the append.
    CloseBefore,
    /// The connection ends after the append: the answer is lost.
    CloseAfter,
    /// Appended and never answered; the connection stays.
    Mute,
}

/// A batch as it came in.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) partition: i32,
    pub(super) header: BatchHeader,
    pub(super) values: Vec<String>,
}

#[derive(Default)]
struct Log {
    batches: Vec<Bytes>,
    end_offset: i64,
    /// By epoch: the next sequence, and what a repetition is answered.
    epoch: i16,
    next_sequence: i32,
    remembered: VecDeque<(i32, i64)>,
    /// Nothing is known of the producer: it may begin anywhere.
    takes_any_sequence: bool,
}

pub(super) struct State {
    logs: BTreeMap<i32, Log>,
    pub(super) seen: Vec<Seen>,
    /// Taken by one Produce request each; none is left: no fault.
    pub(super) faults: VecDeque<Fault>,
    /// Of every Produce request, when the others are used up.
    pub(super) always: Fault,
    pub(super) is_holding: bool,
    /// The other node takes nothing: its Produce requests wait.
    pub(super) is_other_holding: bool,
    /// The next Fetch answers, instead of what the logs have: code, records.
    pub(super) fetches: VecDeque<(ErrorCode, Bytes)>,
    pub(super) fetch_offsets: Vec<i64>,
    pub(super) connection_count: usize,
    /// The newest ApiVersions that is known.
    pub(super) api_versions_max: i16,
    /// Sent instead of the next answer to Metadata.
    pub(super) garbage: Option<Bytes>,
}

/// The broker; clones are the same one.
#[derive(Clone)]
pub(super) struct Broker {
    pub(super) state: Rc<RefCell<State>>,
    released: Notify,
    partition_count: Rc<Cell<i32>>,
    /// 1, or 2: then odd partitions are led by the other node.
    node_count: usize,
    topic_id: Rc<Cell<TopicId>>,
}

/// Runs `body` with a broker on one simulated machine.
pub(super) fn with_broker<T: 'static, F: Future<Output = T> + 'static>(
    seed: u64,
    partition_count: i32,
    body: impl FnOnce(Reactor, Broker) -> F + 'static,
) -> T {
    with_nodes(seed, 1, partition_count, body)
}

/// [`with_broker`], as a cluster of two nodes with everything in common.
pub(super) fn with_two_nodes<T: 'static, F: Future<Output = T> + 'static>(
    seed: u64,
    partition_count: i32,
    body: impl FnOnce(Reactor, Broker) -> F + 'static,
) -> T {
    with_nodes(seed, 2, partition_count, body)
}

fn with_nodes<T: 'static, F: Future<Output = T> + 'static>(
    seed: u64,
    node_count: usize,
    partition_count: i32,
    body: impl FnOnce(Reactor, Broker) -> F + 'static,
) -> T {
    let sim = Simulation::new(SimOptions::with_seed(seed));
    sim.run(MachineId::FIRST, move |reactor| async move {
        let broker = Broker::new(node_count, partition_count);
        let addresses = [ADDRESS, OTHER_ADDRESS];
        for (node, address) in addresses.into_iter().take(node_count).enumerate() {
            let listener = reactor.listen(address.parse().unwrap()).await.unwrap();
            let (serving, accepting) = (broker.clone(), reactor.clone());
            let accept = async move {
                while let Ok(accepted) = listener.accept().await {
                    let serve = serving.clone().serve(node, accepting.clone(), accepted);
                    accepting.spawn(serve).detach();
                }
            };
            reactor.spawn(accept).detach();
        }
        body(reactor, broker).await
    })
}

pub(super) fn options() -> ClientOptions {
    ClientOptions {
        request_timeout: REQUEST_TIMEOUT,
        ..ClientOptions::new(ADDRESS)
    }
}

pub(super) async fn client(reactor: &Reactor) -> Client {
    Client::connect(reactor, options()).await.unwrap()
}

fn values(batch: &[u8]) -> Vec<String> {
    let batch = BatchIter::new(batch, CrcCheck::Verify)
        .next()
        .expect("one whole batch");
    let mut decompressor = Decompressor::new();
    let records = decompressor.records(&batch, usize::MAX).unwrap();
    let records = RecordIter::new(batch.header(), &records);
    let value = |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap().to_vec()).unwrap();
    records.map(|record| value(record.unwrap().value)).collect()
}

impl Broker {
    fn new(node_count: usize, partition_count: i32) -> Broker {
        Broker {
            state: Rc::new(RefCell::new(State {
                logs: (0..partition_count)
                    .map(|index| (index, Log::default()))
                    .collect(),
                seen: Vec::new(),
                faults: VecDeque::new(),
                always: Fault::None,
                is_holding: false,
                is_other_holding: false,
                fetches: VecDeque::new(),
                fetch_offsets: Vec::new(),
                connection_count: 0,
                api_versions_max: 4,
                garbage: None,
            })),
            released: Notify::new(),
            partition_count: Rc::new(Cell::new(partition_count)),
            node_count,
            topic_id: Rc::new(Cell::new(TOPIC_ID)),
        }
    }

    /// The values of all records of a partition, in the order of the log.
    pub(super) fn log(&self, partition: i32) -> Vec<String> {
        let state = self.state.borrow();
        state.logs[&partition]
            .batches
            .iter()
            .flat_map(|batch| values(batch))
            .collect()
    }

    /// The topic has one partition more.
    pub(super) fn add_partition(&self) {
        let added = self.partition_count.get();
        self.partition_count.set(added + 1);
        let mut state = self.state.borrow_mut();
        state.logs.insert(added, Log::default());
    }

    /// The topic is deleted and made anew, under another id.
    pub(super) fn replace_topic(&self) {
        self.topic_id.set(TopicId([8; 16]));
        let mut state = self.state.borrow_mut();
        for log in state.logs.values_mut() {
            *log = Log {
                takes_any_sequence: true,
                ..Log::default()
            };
        }
    }

    /// Answers what was held back.
    pub(super) fn release(&self) {
        let mut state = self.state.borrow_mut();
        (state.is_holding, state.is_other_holding) = (false, false);
        drop(state);
        self.released.notify_all();
    }

    async fn serve(self, node: usize, reactor: Reactor, accepted: Accepted) {
        self.state.borrow_mut().connection_count += 1;
        let (mut reader, mut writer, closer) = reactor.adopt(accepted).unwrap().split().unwrap();
        let mut buffer = BytesMut::new();
        loop {
            while let Some(frame) = take_frame(&mut buffer) {
                let Some(answer) = self.answer(node, frame).await else {
                    return closer.close();
                };
                if writer.send(&[answer]).await.is_err() {
                    return;
                }
            }
            if !matches!(reader.read(&mut buffer, 64 << 10).await, Ok(1..)) {
                return;
            }
        }
    }

    /// The answer to one request, empty where there is none; `None` closes the connection.
    async fn answer(&self, node: usize, frame: Bytes) -> Option<Bytes> {
        let (header, body) = match parse_request(frame).expect("a request that we can read") {
            Incoming::Request { header, body } => (header, body),
            Incoming::UnknownApiVersions { .. } => panic!("a version that nobody has"),
        };
        let answer = match header.api_key {
            ApiKey::ApiVersions if header.api_version > self.state.borrow().api_versions_max => {
                unknown_version_reply(header.correlation_id)
            }
            ApiKey::ApiVersions => {
                encode_response(&header, &api_versions_response(header.api_version, 0)).unwrap()
            }
            ApiKey::Metadata => match self.state.borrow_mut().garbage.take() {
                Some(garbage) => garbage,
                None => encode_response(&header, &self.metadata()).unwrap(),
            },
            ApiKey::InitProducerId => {
                let response = InitProducerIdResponse::default()
                    .with_producer_id(PRODUCER_ID.into())
                    .with_producer_epoch(0);
                encode_response(&header, &response).unwrap()
            }
            ApiKey::ListOffsets => encode_response(&header, &self.list_offsets()).unwrap(),
            ApiKey::Produce => return self.produce(node, &header, body).await,
            ApiKey::Fetch => encode_response(&header, &self.fetch(&header, body)).unwrap(),
            other => panic!("no script for {other}"),
        };
        Some(answer)
    }

    fn metadata(&self) -> MetadataResponse {
        let partitions = (0..self.partition_count.get()).map(|index| {
            let leader = index % self.node_count as i32;
            MetadataResponsePartition::default()
                .with_partition_index(index)
                .with_leader_id((leader + 1).into())
                .with_leader_epoch(0)
        });
        let topic = MetadataResponseTopic::default()
            .with_name(Some(TopicName(StrBytes::from_static_str(TOPIC))))
            .with_topic_id(to_uuid(self.topic_id.get()))
            .with_partitions(partitions.collect());
        let brokers = (1..).zip(PORTS).map(|(node_id, port)| {
            MetadataResponseBroker::default()
                .with_node_id(i32::into(node_id))
                .with_host(StrBytes::from_static_str("127.0.0.1"))
                .with_port(port)
        });
        MetadataResponse::default()
            .with_brokers(brokers.take(self.node_count).collect())
            .with_controller_id(1.into())
            .with_topics(vec![topic])
    }

    fn list_offsets(&self) -> ListOffsetsResponse {
        let partition = ListOffsetsPartitionResponse::default().with_offset(3);
        let topic = ListOffsetsTopicResponse::default().with_partitions(vec![partition]);
        ListOffsetsResponse::default().with_topics(vec![topic])
    }

    async fn produce(&self, node: usize, header: &RequestHeader, body: Bytes) -> Option<Bytes> {
        let request: ProduceRequest = decode_request(header, body).unwrap();
        let is_held = |state: &State| state.is_holding || state.is_other_holding && node > 0;
        loop {
            let released = self.released.notified();
            if !is_held(&self.state.borrow()) {
                break;
            }
            released.await;
        }
        let mut state = self.state.borrow_mut();
        let always = state.always;
        let fault = state.faults.pop_front().unwrap_or(always);
        if fault == Fault::CloseBefore {
            return None;
        }
        let mut answers = Vec::new();
        let asked_id = request.topic_data[0].topic_id;
        let is_gone = asked_id != to_uuid(self.topic_id.get());
        for data in request
            .topic_data
            .iter()
            .flat_map(|topic| &topic.partition_data)
        {
            let batch = data.records.clone().expect("a batch");
            let answer = PartitionProduceResponse::default().with_index(data.index);
            let seen = Seen {
                partition: data.index,
                header: BatchHeader::parse(&batch).unwrap(),
                values: values(&batch),
            };
            state.seen.push(seen.clone());
            let log = state.logs.get_mut(&data.index).unwrap();
            let result = match fault {
                Fault::StoreAndRefuse(code) => log.append(&seen.header, batch).and(Err(code)),
                Fault::Refuse(partition, code) if partition == data.index => Err(code),
                _ if is_gone => Err(ErrorCode::UnknownTopicId),
                _ => log.append(&seen.header, batch),
            };
            answers.push(match result {
                Ok(base_offset) => answer.with_base_offset(base_offset),
                Err(code) => answer.with_error_code(code.code()).with_base_offset(-1),
            });
        }
        if fault == Fault::CloseAfter {
            return None;
        }
        let topic = TopicProduceResponse::default()
            .with_topic_id(asked_id)
            .with_partition_responses(answers);
        let response = ProduceResponse::default().with_responses(vec![topic]);
        match request.acks {
            _ if fault == Fault::Mute => Some(Bytes::new()),
            0 => Some(Bytes::new()),
            _ => Some(encode_response(header, &response).unwrap()),
        }
    }

    fn fetch(&self, header: &RequestHeader, body: Bytes) -> FetchResponse {
        let request: FetchRequest = decode_request(header, body).unwrap();
        let mut state = self.state.borrow_mut();
        let asked = &request.topics[0].partitions[0];
        state.fetch_offsets.push(asked.fetch_offset);
        let (code, records) = state
            .fetches
            .pop_front()
            .unwrap_or((ErrorCode::None, Bytes::new()));
        let data = PartitionData::default()
            .with_partition_index(asked.partition)
            .with_error_code(code.code())
            .with_high_watermark(10)
            .with_records(Some(records));
        let topic = FetchableTopicResponse::default()
            .with_topic_id(to_uuid(TOPIC_ID))
            .with_partitions(vec![data]);
        FetchResponse::default().with_responses(vec![topic])
    }
}

impl Log {
    /// As Kafka's ProducerAppendInfo: a repetition gets its first answer, a gap is refused.
    fn append(&mut self, header: &BatchHeader, batch: Bytes) -> Result<i64, ErrorCode> {
        if let Some(producer) = header.producer() {
            if producer.epoch > self.epoch {
                self.epoch = producer.epoch;
                self.next_sequence = 0;
                self.remembered.clear();
            } else if producer.epoch < self.epoch {
                return Err(ErrorCode::InvalidProducerEpoch);
            }
            let known = self
                .remembered
                .iter()
                .find(|(first, _)| *first == producer.base_sequence);
            if let Some((_, base_offset)) = known {
                return Ok(*base_offset);
            }
            if std::mem::take(&mut self.takes_any_sequence) {
                self.next_sequence = producer.base_sequence;
            }
            if producer.base_sequence != self.next_sequence {
                return Err(ErrorCode::OutOfOrderSequenceNumber);
            }
            self.next_sequence += header.record_count;
            self.remembered
                .push_back((producer.base_sequence, self.end_offset));
            if self.remembered.len() > 5 {
                self.remembered.pop_front();
            }
        }
        let base_offset = self.end_offset;
        self.end_offset += i64::from(header.record_count);
        self.batches.push(batch);
        Ok(base_offset)
    }
}

fn take_frame(buffer: &mut BytesMut) -> Option<Bytes> {
    let size = i32::from_be_bytes(*buffer.first_chunk::<FRAME_PREFIX_SIZE>()?) as usize;
    if buffer.len() < FRAME_PREFIX_SIZE + size {
        return None;
    }
    buffer.advance(FRAME_PREFIX_SIZE);
    Some(buffer.split_to(size).freeze())
}
