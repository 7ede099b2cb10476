//! What the length check costs: it stands in front of every request.

use bytes::{BufMut, Bytes, BytesMut};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use ringlog::protocol::messages::MetadataRequest;
use ringlog::protocol::messages::metadata_request::MetadataRequestTopic;
use ringlog::protocol::{
    ApiKey, Incoming, ProduceRequestParts, ProduceTopicParts, ProducedPartition, StrBytes,
    check_request, encode_request, parse_request,
};
use ringlog::types::TopicId;

/// The body of a whole frame.
fn body_of(frame: Bytes) -> Bytes {
    match parse_request(frame.slice(4..)) {
        Ok(Incoming::Request { body, .. }) => body,
        other => panic!("{other:?}"),
    }
}

/// 1 MiB of records over 16 partitions of one topic.
fn produce_body() -> Bytes {
    let records = Bytes::from(vec![1; (1 << 20) / 16]);
    let partitions = (0..16).map(|partition| ProducedPartition {
        partition,
        records: vec![records.clone()],
    });
    let topic = ProduceTopicParts {
        topic: StrBytes::from_static_str("bench"),
        topic_id: TopicId::ZERO,
        partitions: partitions.collect(),
    };
    let request = ProduceRequestParts {
        transactional_id: None,
        acks: -1,
        timeout_ms: 30_000,
        topics: vec![topic],
    };
    let mut frame = BytesMut::new();
    for piece in request.encode(13, 1, Some("bench")).expect("encodes") {
        frame.put(piece);
    }
    body_of(frame.freeze())
}

/// 1,000 topics by name.
fn metadata_body() -> Bytes {
    let topics = (0..1000).map(|index| {
        let name = StrBytes::from_string(format!("topic-number-{index:04}"));
        MetadataRequestTopic::default().with_name(Some(name.into()))
    });
    let request = MetadataRequest::default().with_topics(Some(topics.collect()));
    body_of(encode_request(13, 1, Some("bench"), &request).expect("encodes"))
}

fn length_check(criterion: &mut Criterion) {
    let bodies = [
        (
            "produce_1mib_16_partitions",
            ApiKey::Produce,
            produce_body(),
        ),
        ("metadata_1000_topics", ApiKey::Metadata, metadata_body()),
    ];
    let mut group = criterion.benchmark_group("length_check");
    for (name, key, body) in bodies {
        group.throughput(Throughput::Elements(1));
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || body.clone(),
                |body| check_request(key, 13, body).expect("sound"),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, length_check);
criterion_main!(benches);
