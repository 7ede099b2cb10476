//! Our client at the mercy of a broker, in the simulator: whatever it is answered, every call ends
//! and nothing panics.
//!
//! Input: what the client does, then for each request a byte: a sound answer; a sound answer with
//! `position (2), size (1), bytes` written over it; or an answer of `size (2), bytes`. When the
//! input has ended connections are closed.

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use ringlog::batch::{BatchBuilder, BatchOptions, Decompressor};
use ringlog::client::{
    Admin, Client, ClientOptions, ConfigTarget, FetchOptions, Fetcher, NewTopic, OffsetReset,
    OffsetSpec, Producer, ProducerOptions, ProducerRecord, StartOffset,
};
use ringlog::io::sim::{MachineId, SimOptions, Simulation};
use ringlog::io::{Accepted, Reactor};
use ringlog::protocol::hostile::{Direction, Fill, sample};
use ringlog::protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use ringlog::protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use ringlog::protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use ringlog::protocol::messages::*;
use ringlog::protocol::{
    ApiKey, FRAME_PREFIX_SIZE, Incoming, RequestHeader, StrBytes, api_versions_response,
    encode_response, parse_request, to_uuid,
};
use ringlog::types::TopicId;

use crate::input::Input;

const ADDRESS: &str = "127.0.0.1:9092";
const TOPIC: &str = "t";
const TOPIC_ID: TopicId = TopicId([7; 16]);

/// Steps of the simulated world until something hangs.
const STEP_COUNT_MAX: u64 = 500_000;

/// The longest that the client goes on with what has no end.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is left of the input, shared by the broker's connections.
type Script = Rc<RefCell<Vec<u8>>>;

pub(crate) fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let scenario = input.u8();
    let script: Script = Rc::new(RefCell::new(input.rest().to_vec()));
    let sim = Simulation::new(SimOptions {
        step_count_max: STEP_COUNT_MAX,
        ..SimOptions::with_seed(1)
    });
    sim.run(MachineId::FIRST, move |reactor| async move {
        let address = ADDRESS.parse().expect("an address");
        let listener = reactor.listen(address).await.expect("a free port");
        let accepting = reactor.clone();
        let accept = async move {
            while let Ok(accepted) = listener.accept().await {
                let serve = serve(accepting.clone(), accepted, Rc::clone(&script));
                accepting.spawn(serve).detach();
            }
        };
        reactor.spawn(accept).detach();
        let options = ClientOptions {
            request_timeout: Duration::from_secs(1),
            api_timeout: Duration::from_secs(3),
            ..ClientOptions::new(ADDRESS)
        };
        let Ok(client) = Client::connect(&reactor, options).await else {
            return;
        };
        let calls = async {
            match scenario % 3 {
                0 => fetch(&client).await,
                1 => administer(&client).await,
                _ => produce(&client).await,
            }
        };
        let _ = reactor.timeout(PATIENCE, calls).await;
    });
}

/// Reads a few answers, every record of them.
async fn fetch(client: &Client) {
    let options = FetchOptions {
        reset: OffsetReset::Earliest,
        max_wait: Duration::from_millis(10),
        ..FetchOptions::default()
    };
    let fetcher = Fetcher::new(client, options);
    for (partition, start) in [(0, StartOffset::Offset(3)), (1, StartOffset::Earliest)] {
        let _ = fetcher.assign(TOPIC, partition, start).await;
    }
    let mut decompressor = Decompressor::new();
    for _ in 0..8 {
        let Ok(fetched) = fetcher.next().await else {
            continue;
        };
        assert!(fetched.records.is_empty() || fetched.next_offset > fetched.fetch_offset);
        let _ = fetched.for_each_record(&mut decompressor, |record| {
            assert!(record.offset >= fetched.fetch_offset);
            ControlFlow::Continue(())
        });
    }
}

async fn administer(client: &Client) {
    let admin = Admin::new(client);
    let topic = NewTopic {
        name: TOPIC.to_owned(),
        ..NewTopic::default()
    };
    let target = ConfigTarget::Topic(TOPIC.to_owned());
    let _ = admin.describe_cluster().await;
    let _ = admin.create_topics(&[topic], false).await;
    let _ = admin.describe_topics(None).await;
    let specs = [(0, OffsetSpec::Latest), (1, OffsetSpec::MaxTimestamp)];
    let _ = admin.list_offsets(TOPIC, &specs).await;
    let _ = admin.describe_configs(&target, None).await;
    let _ = admin
        .delete_records(TOPIC, &[(0, Some(1)), (1, None)])
        .await;
    let _ = admin.describe_log_dirs(1).await;
    let _ = admin.delete_topics(&[TOPIC]).await;
    let _ = admin.delete_topics_by_id(&[TOPIC_ID]).await;
}

async fn produce(client: &Client) {
    let Ok(producer) = Producer::new(client, ProducerOptions::default()) else {
        return;
    };
    let Ok(topic) = producer.topic(TOPIC).await else {
        return;
    };
    for partition in [0, 1, 0] {
        let record = ProducerRecord {
            partition: Some(partition),
            key: None,
            value: Some(b"v"),
            headers: &[],
            timestamp: None,
        };
        if let Ok(delivery) = topic.send(&record).await {
            producer.flush().await;
            let _ = delivery.wait().await;
        }
    }
}

async fn serve(reactor: Reactor, accepted: Accepted, script: Script) {
    let adopted = reactor
        .adopt(accepted)
        .expect("a connection of this machine");
    let (mut reader, mut writer, closer) = adopted.split().expect("an open connection");
    let mut buffer = BytesMut::new();
    loop {
        while let Some(frame) = take_frame(&mut buffer) {
            let Some(answer) = answer(frame, &script) else {
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

fn take_frame(buffer: &mut BytesMut) -> Option<Bytes> {
    let size = i32::from_be_bytes(*buffer.first_chunk::<FRAME_PREFIX_SIZE>()?) as usize;
    if buffer.len() < FRAME_PREFIX_SIZE + size {
        return None;
    }
    buffer.advance(FRAME_PREFIX_SIZE);
    Some(buffer.split_to(size).freeze())
}

/// The next answer of the script; `None` closes the connection.
fn answer(frame: Bytes, script: &Script) -> Option<Bytes> {
    let Ok(Incoming::Request { header, .. }) = parse_request(frame) else {
        panic!("our client sent what is no request");
    };
    let all = std::mem::take(&mut *script.borrow_mut());
    let mut input = Input::new(&all);
    if input.is_empty() {
        return None;
    }
    let mut answer = sound(&header).to_vec();
    match input.u8() % 4 {
        0 | 1 => {}
        2 => {
            let (position, size) = (usize::from(input.u16()), usize::from(input.u8()));
            let body_start = FRAME_PREFIX_SIZE + 4;
            let bytes = input.take(size);
            if let Some(target) = answer.get_mut(body_start + position..) {
                let size = bytes.len().min(target.len());
                target[..size].copy_from_slice(&bytes[..size]);
            }
        }
        _ => {
            let size = usize::from(input.u16());
            answer.truncate(FRAME_PREFIX_SIZE + 4);
            answer.extend_from_slice(input.take(size));
            let size = (answer.len() - FRAME_PREFIX_SIZE) as u32;
            answer[..FRAME_PREFIX_SIZE].copy_from_slice(&size.to_be_bytes());
        }
    }
    *script.borrow_mut() = input.rest().to_vec();
    Some(Bytes::from(answer))
}

/// What a broker with one topic of two partitions would say.
fn sound(header: &RequestHeader) -> Bytes {
    let version = header.api_version;
    let encoded = match header.api_key {
        ApiKey::ApiVersions => encode_response(header, &api_versions_response(version, 0)),
        ApiKey::Metadata => encode_response(header, &metadata()),
        ApiKey::ListOffsets => encode_response(header, &list_offsets()),
        ApiKey::Fetch => encode_response(header, &fetched(version)),
        _ => return sampled(header),
    };
    encoded.expect("an answer of ours")
}

fn metadata() -> MetadataResponse {
    let partitions = (0..2).map(|index| {
        MetadataResponsePartition::default()
            .with_partition_index(index)
            .with_leader_id(1.into())
            .with_leader_epoch(0)
    });
    let topic = MetadataResponseTopic::default()
        .with_name(Some(TopicName(StrBytes::from_static_str(TOPIC))))
        .with_topic_id(to_uuid(TOPIC_ID))
        .with_partitions(partitions.collect());
    let broker = MetadataResponseBroker::default()
        .with_node_id(1.into())
        .with_host(StrBytes::from_static_str("127.0.0.1"))
        .with_port(9092);
    MetadataResponse::default()
        .with_brokers(vec![broker])
        .with_controller_id(1.into())
        .with_topics(vec![topic])
}

fn list_offsets() -> ListOffsetsResponse {
    let partitions = (0..2).map(|index| {
        ListOffsetsPartitionResponse::default()
            .with_partition_index(index)
            .with_offset(3)
    });
    let topic = ListOffsetsTopicResponse::default()
        .with_name(TopicName(StrBytes::from_static_str(TOPIC)))
        .with_partitions(partitions.collect());
    ListOffsetsResponse::default().with_topics(vec![topic])
}

fn fetched(version: i16) -> FetchResponse {
    let options = BatchOptions {
        base_offset: 3,
        ..BatchOptions::default()
    };
    let mut builder = BatchBuilder::new(options, 0);
    builder.append(1, Some(b"k"), Some(b"value"), &[]);
    let data = PartitionData::default()
        .with_partition_index(0)
        .with_high_watermark(10)
        .with_records(Some(builder.close()));
    let topic = match version {
        13.. => FetchableTopicResponse::default().with_topic_id(to_uuid(TOPIC_ID)),
        _ => FetchableTopicResponse::default()
            .with_topic(TopicName(StrBytes::from_static_str(TOPIC))),
    };
    FetchResponse::default().with_responses(vec![topic.with_partitions(vec![data])])
}

/// Made from the layout: the right shape, and numbers that mean nothing.
fn sampled(header: &RequestHeader) -> Bytes {
    let fill = Fill {
        element_count: 1,
        text_size: 1,
        unknown_tag_count: 0,
        null: false,
    };
    let row = header.api_key.row();
    let body = sample(row, Direction::Response, header.api_version, fill).body;
    let tags: &[u8] = match row.response_header_version(header.api_version) {
        0 => &[],
        _ => &[0],
    };
    let size = (4 + tags.len() + body.len()) as u32;
    let head = [
        &size.to_be_bytes()[..],
        &header.correlation_id.to_be_bytes(),
    ];
    Bytes::from([head[0], head[1], tags, &body].concat())
}
