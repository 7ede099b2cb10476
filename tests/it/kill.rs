//! kill -9 under pipelined idempotent producers: nothing acknowledged is missing, doubled or out of
//! order, and what was in flight can be sent again.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};

use kafka_protocol::messages::ProduceRequest;

use crate::broker::directory;
use crate::eventually;
use crate::process::BrokerProcess;
use crate::records::sequenced;
use crate::topics::{ACKS_ALL, Topic, create, new_producer, produce, produce_request, values};
use crate::wire::{Sent, Wire};

const ROUNDS: usize = 2;
const CLIENTS: usize = 4;
const PARTITIONS: usize = 10;

/// Requests that a client has in flight for each partition: as many as are remembered.
const IN_FLIGHT: usize = 5;

/// Answers before the kill: some segments' worth of nothing is too little.
const ACKNOWLEDGED_MIN: usize = 600;

/// What a client sent to one partition: as many values as sequences.
#[derive(Clone, Debug, Default)]
struct Written {
    sent: i32,
    /// The base offset of each sequence, as far as they were answered.
    acknowledged: Vec<i64>,
}

/// An idempotent producer with a topic of its own.
struct Client {
    number: usize,
    producer: (i64, i16),
    topic: Topic,
    written: Vec<Written>,
}

impl Client {
    fn new(wire: &mut Wire, number: usize) -> Client {
        let topic = format!("client-{number}");
        Client {
            number,
            producer: new_producer(wire),
            topic: create(wire, &topic, PARTITIONS as i32, &[]),
            written: vec![Written::default(); PARTITIONS],
        }
    }

    fn value(&self, sequence: i32) -> String {
        // Of different sizes, from below a page to several.
        let size = (sequence as usize * 997) % 9000;
        format!("{} {sequence} {}", self.number, "x".repeat(size))
    }

    fn batch(&self, sequence: i32) -> bytes::Bytes {
        sequenced(self.producer, sequence, &[self.value(sequence)])
    }

    fn send(&mut self, wire: &mut Wire, partition: usize) -> Sent<ProduceRequest> {
        let written = &mut self.written[partition];
        let sequence = written.sent;
        written.sent += 1;
        let records = Some(self.batch(sequence));
        let request = produce_request(13, ACKS_ALL, &self.topic, partition as i32, records);
        wire.send(13, &request)
    }

    /// Keeps requests in flight for all partitions until the broker is gone.
    fn run(&mut self, mut wire: Wire, answered: &AtomicUsize) {
        let mut in_flight = VecDeque::new();
        for _ in 0..IN_FLIGHT {
            for partition in 0..PARTITIONS {
                in_flight.push_back((partition, self.send(&mut wire, partition)));
            }
        }
        while let Some((partition, sent)) = in_flight.pop_front() {
            let Some(answer) = wire.try_receive(sent) else {
                return;
            };
            let answer = &answer.responses[0].partition_responses[0];
            assert_eq!(answer.error_code, 0, "{:?}", answer.error_message);
            self.written[partition]
                .acknowledged
                .push(answer.base_offset);
            answered.fetch_add(1, Ordering::Relaxed);
            in_flight.push_back((partition, self.send(&mut wire, partition)));
        }
    }

    /// Sends again what was not answered, and holds everything that is stored against it.
    fn check(&mut self, wire: &mut Wire) {
        for partition in 0..PARTITIONS {
            let index = partition as i32;
            let before = values(wire, &self.topic, index).len() as i32;
            let Written { sent, acknowledged } = self.written[partition].clone();
            let offsets = 0..acknowledged.len() as i64;
            assert!(acknowledged.iter().copied().eq(offsets), "{acknowledged:?}");
            assert!(
                before >= acknowledged.len() as i32,
                "{} acknowledged, {before} there",
                acknowledged.len()
            );
            for sequence in acknowledged.len() as i32..sent {
                let offset = produce(wire, &self.topic, index, &self.batch(sequence));
                // Of what had been stored this is the original offset.
                assert_eq!(offset, i64::from(sequence), "{before} were stored");
                self.written[partition].acknowledged.push(offset);
            }
            let stored = values(wire, &self.topic, index);
            let expected: Vec<_> = (0..sent).map(|sequence| self.value(sequence)).collect();
            assert!(
                stored == expected,
                "{}-{partition} is not as sent",
                self.topic.name
            );
        }
    }
}

#[test]
fn kill_9_under_pipelined_idempotent_producers() {
    let directory = directory();
    let mut broker = BrokerProcess::start(directory.path(), &[]);
    let mut wire = broker.connect();
    let clients = (0..CLIENTS).map(|number| Client::new(&mut wire, number));
    let mut clients: Vec<_> = clients.collect();
    for _ in 0..ROUNDS {
        let answered = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for client in &mut clients {
                let (wire, answered) = (broker.connect(), &answered);
                scope.spawn(move || client.run(wire, answered));
            }
            eventually("load", || {
                (answered.load(Ordering::Relaxed) >= ACKNOWLEDGED_MIN).then_some(())
            });
            broker.kill();
        });
        broker = BrokerProcess::start(directory.path(), &[]);
        let mut wire = broker.connect();
        for client in &mut clients {
            client.check(&mut wire);
        }
    }
}
