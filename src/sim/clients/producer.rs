//! Our own client's producer, in every configuration.

use std::collections::VecDeque;
use std::time::Duration;

use super::cast::Cast;
use crate::batch::{Codec, Compression};
use crate::client::{Acks, Delivery, Producer, ProducerOptions, ProducerRecord};
use crate::sim::checker::{Guarantee, NameState, Record, Seen, Survives};
use crate::sim::tally::State;

/// Records sent together at most.
const BURST_COUNT_MAX: u64 = 8;

/// Records whose acknowledgement is waited for before more are sent.
const OUTSTANDING_COUNT_MAX: usize = 40;

/// Longest pause between two bursts, ms.
const PAUSE_MS_MAX: u64 = 5;

/// One in so many bursts is flushed.
const FLUSH_EVERY: u64 = 5;

/// A record on its way, and what was known when it was sent.
struct Outstanding {
    name: String,
    state: Option<NameState>,
    loss_count: u64,
    record: Record,
    delivery: Delivery,
}

struct Sending {
    cast: Cast,
    producer: Producer,
    /// In the ledger.
    number: u32,
    acks: Acks,
    names: Vec<String>,
    outstanding: VecDeque<Outstanding>,
}

pub(super) async fn run(cast: Cast) {
    let ledger = &cast.ledger;
    let scenario = &ledger.scenario;
    let is_auto = !scenario.auto_topics.is_empty() && ledger.one_in(3);
    let names: Vec<String> = match is_auto {
        true => scenario.auto_topics.clone(),
        false => scenario.topics.iter().map(|t| t.name.clone()).collect(),
    };
    if is_auto {
        let mut topics = ledger.topics.borrow_mut();
        names.iter().for_each(|name| topics.creating(name));
    }
    let mut client_options = cast.options([1, 2, 5, 5][ledger.below(4) as usize]);
    client_options.allow_auto_create_topics = is_auto;
    let client = cast.connect(client_options).await;
    let options = draw_options(&cast);
    let guarantee = match options.is_idempotent {
        true => Guarantee::OnceInOrder,
        false => Guarantee::Any,
    };
    let mut sending = Sending {
        number: ledger.add_producer(guarantee),
        acks: options.acks,
        producer: Producer::new(&client, options).expect("options that go together"),
        names,
        outstanding: VecDeque::new(),
        cast: cast.clone(),
    };
    while !cast.is_over() {
        ledger.step();
        sending.burst().await;
        cast.pause(PAUSE_MS_MAX).await;
    }
    sending.producer.flush().await;
    sending.collect(0).await;
}

fn draw_options(cast: &Cast) -> ProducerOptions {
    let ledger = &cast.ledger;
    let (acks, is_idempotent) = match ledger.below(8) {
        0..=4 => (Acks::All, true),
        5 => (Acks::All, false),
        6 => (Acks::Leader, false),
        _ => (Acks::None, false),
    };
    ProducerOptions {
        acks,
        is_idempotent,
        batch_size: 256 << ledger.below(6),
        linger: Duration::from_micros(ledger.below(3) * 700),
        compression: Compression {
            codec: [Codec::None, Codec::None, Codec::Lz4][ledger.below(3) as usize],
            level: None,
        },
        delivery_timeout: Duration::from_millis(300 << ledger.below(7)),
        ..ProducerOptions::default()
    }
}

impl Sending {
    async fn burst(&mut self) {
        let ledger = &self.cast.ledger;
        let name = self.names[ledger.below(self.names.len() as u64) as usize].clone();
        let Ok(topic) = self.producer.topic(&name).await else {
            return;
        };
        for _ in 0..=ledger.below(BURST_COUNT_MAX) {
            let record = ledger.next_record(self.number);
            let partition = ledger.below(topic.partition_count().max(1) as u64) as i32;
            let value = record.value();
            let sent = ProducerRecord {
                partition: Some(partition),
                value: Some(&value),
                ..ProducerRecord::default()
            };
            let (state, loss_count) = (ledger.name_state(&name), ledger.loss_count.get());
            let Ok(delivery) = topic.send(&sent).await else {
                break;
            };
            self.outstanding.push_back(Outstanding {
                name: name.clone(),
                state,
                loss_count,
                record,
                delivery,
            });
        }
        if ledger.one_in(FLUSH_EVERY) {
            self.producer.flush().await;
        }
        self.collect(OUTSTANDING_COUNT_MAX).await;
    }

    /// Notes the acknowledgements that are there, and waits until at most so many are missing.
    async fn collect(&mut self, count_max: usize) {
        while let Some(oldest) = self.outstanding.front() {
            let is_settled = oldest.delivery.result().is_some();
            if !is_settled && self.outstanding.len() <= count_max {
                return;
            }
            let oldest = self.outstanding.pop_front().expect("there is a front");
            let result = oldest.delivery.wait().await;
            if let Ok(metadata) = result {
                self.acknowledged(&oldest, metadata.partition, metadata.offset);
            }
        }
    }

    fn acknowledged(&self, sent: &Outstanding, partition: i32, offset: i64) {
        let ledger = &self.cast.ledger;
        if self.acks == Acks::None {
            return ledger.reached(State::SentWithoutAcknowledgement);
        }
        let Some(state) = sent
            .state
            .filter(|_| sent.state == ledger.name_state(&sent.name))
        else {
            return;
        };
        let seen = match self.acks {
            Acks::All => Seen::AcknowledgedByAll,
            Acks::Leader | Acks::None => Seen::AcknowledgedByLeader,
        };
        let survives = ledger.topics.borrow().survives(state.topic_id, seen);
        // One from before a loss is not told from one after it.
        let is_kept = survives == Survives::PowerCut && !ledger.may_be_damaged([state.topic_id]);
        let is_certain = is_kept || sent.loss_count == ledger.loss_count.get();
        // An offset of -1: the broker has it and no longer remembers where.
        if is_certain && offset != -1 {
            ledger.acknowledged(state.topic_id, partition, offset, &[sent.record], seen);
        }
    }
}
