//! Frames that are none: sizes, headers, halves, what nobody asked for. The connection may be
//! closed; the broker goes on as if nothing had been.

use kafka_protocol::messages::MetadataRequest;
use ringlog::protocol::hostile::{Direction, Fill, request_frame, sample};
use ringlog::protocol::{API_TABLE, ApiKey, decode_response};

use crate::broker::directory;
use crate::process::BrokerProcess;
use crate::topics::{create, new_producer, works};
use crate::wire::{Outcome, Wire};

/// Memory that a broker may gain by any of these tests, bytes.
const GROWTH_MAX: usize = 96 << 20;

/// A small sample: one element in each array.
pub(crate) const SMALL: Fill = Fill {
    element_count: 1,
    text_size: 3,
    unknown_tag_count: 0,
    null: false,
};

/// A broker to be treated badly, as a process so that its memory is its own.
pub(crate) struct Victim {
    pub(crate) broker: BrokerProcess,
    /// Connected before, must still work after.
    bystander: Wire,
    size_before: usize,
    _directory: tempfile::TempDir,
}

impl Victim {
    pub(crate) fn start() -> Victim {
        let directory = directory();
        let broker = BrokerProcess::start(directory.path(), &["auto.create.topics.enable=false"]);
        let mut bystander = broker.connect();
        works(&mut bystander, "before");
        let size_before = broker.resident_size();
        Victim {
            broker,
            bystander,
            size_before,
            _directory: directory,
        }
    }

    /// Sends bytes in a connection of their own, and nothing behind them; how it goes on.
    pub(crate) fn send(&self, bytes: &[u8]) -> Outcome {
        let mut wire = self.broker.connect();
        wire.write(bytes);
        wire.end_of_requests();
        wire.read()
    }

    /// The same without an end: the broker must decide by itself.
    pub(crate) fn send_and_stay(&self, bytes: &[u8]) -> Outcome {
        let mut wire = self.broker.connect();
        wire.write(bytes);
        wire.read()
    }

    /// Nobody has noticed: neither who was there, nor who comes.
    pub(crate) fn unharmed(mut self) {
        assert!(self.broker.is_running(), "the broker has died");
        works(&mut self.bystander, "bystander");
        works(&mut self.broker.connect(), "newcomer");
        let size = self.broker.resident_size();
        let grown = size.saturating_sub(self.size_before);
        assert!(grown < GROWTH_MAX, "{grown} bytes more than before");
    }
}

#[test]
fn impossible_sizes_close_the_connection() {
    let victim = Victim::start();
    for size in [-1, 0, 1, 7, i32::MAX, i32::MIN, 8_388_609] {
        let mut frame = size.to_be_bytes().to_vec();
        frame.extend_from_slice(&[0; 64]);
        assert_eq!(victim.send_and_stay(&frame), Outcome::Closed, "size {size}");
    }
    victim.unharmed();
}

#[test]
fn a_stream_that_ends_anywhere_is_the_end_of_that_connection_only() {
    let victim = Victim::start();
    for row in &API_TABLE {
        let version = row.decoded.max;
        let body = sample(row, Direction::Request, version, SMALL).body;
        let frame = request_frame(row.key, version, 1, &body);
        for end in 0..frame.len() {
            let outcome = victim.send(&frame[..end]);
            assert_eq!(outcome, Outcome::Closed, "{} ends at {end}", row.name);
        }
    }
    victim.unharmed();
}

#[test]
fn unknown_keys_and_versions_close_the_connection() {
    let victim = Victim::start();
    let mut pairs = vec![
        (-1, 0),
        (4, 0),
        (8, 5),
        (61, 0),
        (99, 0),
        (i16::MAX, 0),
        (i16::MIN, 0),
    ];
    for row in API_TABLE
        .iter()
        .filter(|row| row.key != ApiKey::ApiVersions)
    {
        let versions = row.decoded;
        for version in [versions.min - 1, versions.max + 1, -1, i16::MAX, i16::MIN] {
            pairs.push((row.key.code(), version));
        }
    }
    // Advertised for librdkafka, but not there.
    pairs.extend([(0, 0), (0, 1), (0, 2)]);
    for (key, version) in pairs {
        let mut frame = 24i32.to_be_bytes().to_vec();
        frame.extend_from_slice(&i16::to_be_bytes(key));
        frame.extend_from_slice(&i16::to_be_bytes(version));
        frame.extend_from_slice(&[0; 20]);
        let outcome = victim.send_and_stay(&frame);
        assert_eq!(outcome, Outcome::Closed, "key {key} version {version}");
    }
    victim.unharmed();
}

#[test]
fn bytes_behind_a_body_are_ignored() {
    let victim = Victim::start();
    let mut wire = victim.broker.connect();
    // `list_topics()` of confluent-kafka 2.16: three bytes too many.
    let frame = "0003000d00000003000772646b61666b610000000000010000";
    let frame: Vec<u8> = (0..frame.len() / 2)
        .map(|at| u8::from_str_radix(&frame[2 * at..2 * at + 2], 16).unwrap())
        .collect();
    let size = i32::try_from(frame.len()).unwrap();
    for _ in 0..3 {
        wire.write(&[&size.to_be_bytes()[..], &frame].concat());
        let Outcome::Frame(answer) = wire.read() else {
            panic!("closed");
        };
        assert_eq!(answer[..4], 3i32.to_be_bytes());
        let response = decode_response::<MetadataRequest>(13, answer).unwrap();
        assert_eq!(response.topics.len(), 1);
    }
    // For every API.
    for row in &API_TABLE {
        for version in row.decoded.iter() {
            let mut body = sample(row, Direction::Request, version, SMALL).body;
            body.extend_from_slice(&[0xff; 9]);
            let frame = request_frame(row.key, version, 8, &body);
            let outcome = victim.send_and_stay(&frame);
            let is_answered = matches!(&outcome, Outcome::Frame(f) if f[..4] == [0, 0, 0, 8]);
            assert!(is_answered, "{} v{version}: {outcome:?}", row.name);
        }
    }
    victim.unharmed();
}

#[test]
fn tagged_fields_that_nobody_knows_are_skipped() {
    let victim = Victim::start();
    let fill = Fill {
        unknown_tag_count: 3,
        ..SMALL
    };
    for row in &API_TABLE {
        for version in row
            .decoded
            .iter()
            .filter(|&version| row.is_flexible(version))
        {
            let body = sample(row, Direction::Request, version, fill).body;
            let frame = request_frame(row.key, version, 8, &body);
            let outcome = victim.send_and_stay(&frame);
            let is_answered = matches!(&outcome, Outcome::Frame(f) if f[..4] == [0, 0, 0, 8]);
            assert!(is_answered, "{} v{version}: {outcome:?}", row.name);
        }
    }
    // In the header too.
    let mut wire = victim.broker.connect();
    let header = [0, 3, 0, 12, 0, 0, 0, 5, 0xff, 0xff, 1, 0x90, 0x4e, 2, 7, 7];
    let body = [0, 0, 0, 0];
    let size = (header.len() + body.len()) as u8;
    wire.write(&[&[0, 0, 0, size][..], &header, &body].concat());
    assert!(matches!(wire.read(), Outcome::Frame(f) if f[..4] == [0, 0, 0, 5]));
    victim.unharmed();
}

#[test]
fn half_a_request_holds_nobody_up() {
    let victim = Victim::start();
    let metadata = MetadataRequest::default().with_topics(None);
    let mut slow: Vec<Wire> = (0..100).map(|_| victim.broker.connect()).collect();
    let mut unsent = Vec::new();
    for (index, wire) in slow.iter_mut().enumerate() {
        let (frame, sent) = wire.frame(12, &metadata);
        let (first, rest) = frame.split_at(1 + index % (frame.len() - 1));
        wire.write(first);
        unsent.push((rest.to_vec(), sent));
    }
    let mut other = victim.broker.connect();
    let topic = create(&mut other, "meanwhile", 1, &[]);
    new_producer(&mut other);
    for (wire, (rest, sent)) in slow.iter_mut().zip(unsent) {
        wire.write(&rest);
        let names = wire.receive(sent).topics;
        assert!(names.iter().any(|found| found.topic_id == topic.id));
    }
    drop(slow);
    victim.unharmed();
}

#[test]
fn large_requests_that_never_come_take_no_memory() {
    let victim = Victim::start();
    // Each promises the most that is allowed, together many times what is there.
    let promise = 8_000_000i32.to_be_bytes();
    let mut liars: Vec<Wire> = (0..200).map(|_| victim.broker.connect()).collect();
    for liar in &mut liars {
        liar.write(&promise);
    }
    // As long as they hold the memory for requests others may have to wait; then they go.
    drop(liars);
    victim.unharmed();
}
