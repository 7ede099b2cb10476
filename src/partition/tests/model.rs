//! The leader beside a model that looks at every request after every event.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Op {
    /// Producer 0 has no id; another one sends its next batch.
    Produce {
        producer: u8,
        record_count: i32,
        acks: u8,
        wait: u64,
    },
    /// Sends a batch again: so many before the producer's last.
    Retry {
        producer: u8,
        back: usize,
        acks: u8,
        wait: u64,
    },
    /// Sends a batch with a hole before it.
    Gap {
        producer: u8,
    },
    /// So much more is written, and flushed.
    Progress(i64, i64),
    Pass(u64),
    Class(bool),
    Resign,
    Lead,
    LogFailed,
    LogFull,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        12 => (0u8..3, 1..4i32, 0u8..3, 0..40u64).prop_map(|(producer, record_count, acks, wait)| {
            Op::Produce { producer, record_count, acks, wait }
        }),
        5 => (1u8..3, 0usize..7, 0u8..3, 0..40u64).prop_map(|(producer, back, acks, wait)| {
            Op::Retry { producer, back, acks, wait }
        }),
        1 => (1u8..3).prop_map(|producer| Op::Gap { producer }),
        12 => (0..6i64, 0..6i64).prop_map(|(written, flushed)| Op::Progress(written, flushed)),
        4 => (0..20u64).prop_map(Op::Pass),
        1 => any::<bool>().prop_map(Op::Class),
        1 => Just(Op::Resign),
        2 => Just(Op::Lead),
        1 => prop_oneof![18 => Just(Op::Lead), 1 => Just(Op::LogFailed), 1 => Just(Op::LogFull)],
    ]
}

/// A batch that was appended.
#[derive(Clone, Copy, Debug)]
struct Appended {
    base_sequence: i32,
    record_count: i32,
    base_offset: i64,
}

impl Appended {
    fn end(&self) -> i64 {
        self.base_offset + i64::from(self.record_count)
    }
}

/// A request that was not answered yet.
#[derive(Clone, Copy, Debug)]
struct Open {
    acks: Acks,
    base_offset: i64,
    end: i64,
    deadline: Monotonic,
}

struct Model {
    driven: Driven,
    now: Monotonic,
    timer: Option<Monotonic>,
    class: AckClass,
    progress: Progress,
    high_watermark: i64,
    next_offset: i64,
    epoch: i32,
    role: Result<(), ErrorCode>,
    /// The last five batches of each producer, and all of them.
    recent: BTreeMap<u8, VecDeque<Appended>>,
    history: BTreeMap<u8, Vec<Appended>>,
    open: BTreeMap<Ticket, Open>,
    answered: BTreeSet<Ticket>,
    ticket: Ticket,
}

type Answers = BTreeMap<Ticket, (ErrorCode, i64)>;

impl Model {
    fn new() -> Model {
        Model {
            driven: Driven::new(AckClass::PowerSafe),
            now: Monotonic(0),
            timer: None,
            class: AckClass::PowerSafe,
            progress: Progress::default(),
            high_watermark: 0,
            next_offset: 0,
            epoch: 0,
            role: Ok(()),
            recent: BTreeMap::new(),
            history: BTreeMap::new(),
            open: BTreeMap::new(),
            answered: BTreeSet::new(),
            ticket: 0,
        }
    }

    /// Sends an event, and compares what is answered with what the model expects.
    fn step(&mut self, event: Event, mut expected: Answers) {
        let effects = self.driven.step_at(self.now, event);
        let mut answers = Answers::new();
        for effect in effects {
            match effect {
                Effect::Complete { ticket, outcome } => {
                    assert!(self.answered.insert(ticket), "answered twice: {ticket}");
                    answers.insert(ticket, (outcome.error, outcome.base_offset));
                }
                Effect::SetTimer(at) => self.timer = Some(at),
                Effect::HighWatermark(_) | Effect::EpochStarted { .. } => {}
                Effect::Append { .. } => {}
            }
        }
        // What the new state of the log satisfies.
        let satisfied = |open: &Open| match open.acks {
            Acks::None | Acks::Leader => self.progress.written_end >= open.end,
            Acks::All => self.high_watermark >= open.end,
        };
        for (&ticket, open) in &self.open {
            if satisfied(open) {
                expected.insert(ticket, (ErrorCode::None, open.base_offset));
            }
        }
        self.open.retain(|ticket, _| !expected.contains_key(ticket));
        assert_eq!(answers, expected);
        assert_eq!(self.driven.leader.high_watermark(), self.high_watermark);
        assert_eq!(self.driven.log.log_end_offset, self.next_offset);
    }

    fn advance(&mut self) {
        let end = match self.class {
            AckClass::PowerSafe => self.progress.durable_end,
            AckClass::KillSafe => self.progress.written_end,
        };
        if self.role.is_ok() {
            self.high_watermark = self.high_watermark.max(end);
        }
    }

    fn produce(&mut self, producer: u8, sequence: i32, record_count: i32, acks: u8, wait: u64) {
        self.ticket += 1;
        let acks = [Acks::None, Acks::Leader, Acks::All][usize::from(acks)];
        let deadline = match acks {
            Acks::None => Monotonic::MAX,
            Acks::Leader | Acks::All => Monotonic(self.now.0 + wait),
        };
        let mut batch = batch(record_count);
        if producer > 0 {
            batch = from_producer(sequence, record_count);
            batch.producer.as_mut().expect("a producer").producer_id = producer.into();
        }
        let expected = match self.accept(producer, sequence, record_count) {
            Err(error) => Answers::from([(self.ticket, (error, -1))]),
            Ok(appended) => {
                let open = Open {
                    acks,
                    base_offset: appended.base_offset,
                    end: appended.end(),
                    deadline,
                };
                self.open.insert(self.ticket, open);
                Answers::new()
            }
        };
        let ticket = self.ticket;
        self.step(
            Event::Produce {
                ticket,
                batch,
                acks,
                deadline,
            },
            expected,
        );
    }

    fn accept(
        &mut self,
        producer: u8,
        base_sequence: i32,
        record_count: i32,
    ) -> Result<Appended, ErrorCode> {
        self.role?;
        let appended = Appended {
            base_sequence,
            record_count,
            base_offset: self.next_offset,
        };
        if producer > 0 {
            let recent = self.recent.entry(producer).or_default();
            let known = recent
                .iter()
                .find(|b| (b.base_sequence, b.record_count) == (base_sequence, record_count));
            if let Some(known) = known {
                return Ok(*known);
            }
            let next = recent.back().map(|b| b.base_sequence + b.record_count);
            if next.is_some_and(|next| next != base_sequence) {
                return Err(ErrorCode::OutOfOrderSequenceNumber);
            }
            recent.push_back(appended);
            if recent.len() > 5 {
                recent.pop_front();
            }
            self.history.entry(producer).or_default().push(appended);
        }
        self.next_offset = appended.end();
        Ok(appended)
    }

    fn next_sequence(&self, producer: u8) -> i32 {
        let last = self.history.get(&producer).and_then(|all| all.last());
        last.map_or(0, |b| b.base_sequence + b.record_count)
    }

    fn progress(&mut self, written: i64, flushed: i64) {
        let written_end = (self.progress.written_end + written).min(self.next_offset);
        let durable_end = (self.progress.durable_end + flushed).min(written_end);
        let progress = Progress {
            written_end,
            durable_end,
        };
        self.progress = progress;
        self.advance();
        self.step(Event::Progress(progress), Answers::new());
    }

    /// Lets time pass, with the timer that the leader asked for.
    fn pass(&mut self, by: u64) {
        self.now.0 += by;
        for _ in 0..3 {
            if self.timer.is_none_or(|at| at > self.now) {
                break;
            }
            self.timer = None;
            let late = self
                .open
                .iter()
                .filter(|(_, open)| open.deadline <= self.now);
            let late = late.map(|(&ticket, _)| (ticket, (ErrorCode::RequestTimedOut, -1)));
            let expected = late.collect();
            self.step(Event::Timer, expected);
        }
        assert!(
            self.open.values().all(|open| open.deadline > self.now),
            "nobody waits past the deadline"
        );
    }

    fn leave(&mut self, event: Event, error: ErrorCode) {
        if self.role != Err(ErrorCode::KafkaStorageError) {
            self.role = Err(error);
        }
        let told = self.open.keys().map(|&ticket| (ticket, (error, -1)));
        let expected: Answers = told.collect();
        self.open.clear();
        self.step(event, expected);
    }

    fn run(&mut self, op: Op) {
        match op {
            Op::Produce {
                producer,
                record_count,
                acks,
                wait,
            } => {
                let sequence = self.next_sequence(producer);
                self.produce(producer, sequence, record_count, acks, wait);
            }
            Op::Retry {
                producer,
                back,
                acks,
                wait,
            } => {
                let history = self.history.get(&producer).map_or(&[][..], |all| all);
                let Some(index) = history.len().checked_sub(back + 1) else {
                    return;
                };
                let again = history[index];
                self.produce(
                    producer,
                    again.base_sequence,
                    again.record_count,
                    acks,
                    wait,
                );
            }
            Op::Gap { producer } => {
                let sequence = self.next_sequence(producer) + 1;
                if self.history.contains_key(&producer) {
                    self.produce(producer, sequence, 1, 2, 10);
                }
            }
            Op::Progress(written, flushed) => self.progress(written, flushed),
            Op::Pass(by) => self.pass(by),
            Op::Class(power_safe) => {
                self.class = match power_safe {
                    true => AckClass::PowerSafe,
                    false => AckClass::KillSafe,
                };
                self.advance();
                self.step(Event::PolicyChanged(policy(self.class)), Answers::new());
            }
            Op::Resign => self.leave(Event::Resign, ErrorCode::NotLeaderOrFollower),
            Op::LogFailed => self.leave(Event::LogFailed, ErrorCode::KafkaStorageError),
            Op::LogFull => self.leave(Event::LogFull, ErrorCode::KafkaStorageError),
            Op::Lead => {
                self.epoch += 1;
                if self.role != Err(ErrorCode::KafkaStorageError) {
                    self.role = Ok(());
                }
                self.advance();
                self.step(leads(self.epoch), Answers::new());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]
    #[test]
    fn every_request_is_answered_once_and_when_it_should(
        ops in proptest::collection::vec(op(), 1..120),
    ) {
        let mut model = Model::new();
        for op in ops {
            model.run(op);
        }
        // In the end everything gets an answer.
        model.run(Op::Progress(i64::MAX / 2, i64::MAX / 2));
        model.run(Op::Pass(1000));
        prop_assert!(model.open.is_empty());
        prop_assert_eq!(model.answered.len() as u64, model.ticket);
    }
}
