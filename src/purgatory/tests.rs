//! Tests of the purgatory.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;

use super::*;
use crate::types::Monotonic;

const MS: u64 = 1_000_000;

mod timing_wheel {
    use super::*;

    #[derive(Clone, Debug)]
    enum Op {
        /// Nanoseconds from now.
        Insert(u64),
        /// One of the timers that were ever started.
        Cancel(usize),
        Advance(u64),
        /// To the time that the wheel asks for.
        AdvanceToNext,
    }

    fn nanoseconds() -> impl Strategy<Value = u64> {
        prop_oneof![
            0..3 * MS,
            0..70 * MS,
            0..5000 * MS,
            (0..60_000_000u64).prop_map(|ms| ms * MS),
            Just(u64::MAX),
        ]
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            4 => nanoseconds().prop_map(Op::Insert),
            1 => any::<usize>().prop_map(Op::Cancel),
            2 => (0..70_000 * MS).prop_map(Op::Advance),
            1 => (0..3 * MS).prop_map(Op::Advance),
            2 => Just(Op::AdvanceToNext),
        ]
    }

    /// What the wheel must do, by looking at every timer each time.
    struct Model {
        wheel: TimingWheel<usize>,
        timers: Vec<(TimerId, Monotonic)>,
        pending: BTreeSet<usize>,
        now: Monotonic,
    }

    impl Model {
        fn advance(&mut self, now: Monotonic) {
            self.now = self.now.max(now);
            let mut due = Vec::new();
            self.wheel.advance(now, &mut due);
            let ticks: Vec<u64> = due
                .iter()
                .map(|&n| self.timers[n].1.0.div_ceil(MS))
                .collect();
            assert!(ticks.is_sorted(), "out of order: {ticks:?}");
            for number in due {
                assert!(self.pending.remove(&number), "{number} fired twice");
                assert!(self.timers[number].1 <= self.now, "{number} fired early");
            }
            for &number in &self.pending {
                let late = self.timers[number].1.0.div_ceil(MS) <= self.now.0 / MS;
                assert!(!late, "{number} did not fire");
            }
        }

        fn check(&self) {
            assert_eq!(self.wheel.len(), self.pending.len());
            let first = self
                .pending
                .iter()
                .map(|&number| self.timers[number].1)
                .min();
            match (self.wheel.next_deadline(), first) {
                (None, None) => {}
                (Some(next), Some(first)) => {
                    assert!(next.0 <= first.0.div_ceil(MS).saturating_mul(MS).max(self.now.0));
                }
                (next, first) => panic!("{next:?} for {first:?}"),
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]
        #[test]
        fn fires_what_a_plain_list_would(
            start in 0..1u64 << 40,
            ops in proptest::collection::vec(op(), 1..120),
        ) {
            let now = Monotonic(start);
            let wheel = TimingWheel::new(now);
            let mut model = Model { wheel, timers: Vec::new(), pending: BTreeSet::new(), now };
            for op in ops {
                match op {
                    Op::Insert(after) => {
                        let deadline = Monotonic(model.now.0.saturating_add(after));
                        let number = model.timers.len();
                        let timer = model.wheel.insert(deadline, number);
                        model.timers.push((timer, deadline));
                        model.pending.insert(number);
                    }
                    Op::Cancel(number) if !model.timers.is_empty() => {
                        let number = number % model.timers.len();
                        let was_pending = model.pending.remove(&number);
                        let cancelled = model.wheel.cancel(model.timers[number].0);
                        prop_assert_eq!(cancelled, was_pending.then_some(number));
                    }
                    Op::Cancel(_) => {}
                    Op::Advance(by) => model.advance(Monotonic(model.now.0.saturating_add(by))),
                    Op::AdvanceToNext => {
                        if let Some(next) = model.wheel.next_deadline() {
                            model.advance(next);
                        }
                    }
                }
                model.check();
            }
        }
    }

    #[test]
    fn following_its_deadlines_reaches_a_timer_in_few_steps() {
        for after_ms in [0, 1, 63, 64, 4095, 4096, 30_000, 86_400_000] {
            let start = Monotonic(7_777_777 * MS);
            let mut wheel = TimingWheel::new(start);
            let deadline = Monotonic(start.0 + after_ms * MS);
            wheel.insert(deadline, ());
            let mut due = Vec::new();
            for _ in 0..8 {
                let Some(next) = wheel.next_deadline() else {
                    break;
                };
                assert!(next <= deadline);
                wheel.advance(next, &mut due);
            }
            assert_eq!(due.len(), 1, "a timer {after_ms} ms ahead");
        }
    }

    #[test]
    fn never_early_and_a_deadline_in_the_past_fires_next() {
        let mut wheel = TimingWheel::new(Monotonic(10 * MS));
        wheel.insert(Monotonic(12 * MS + 1), "later");
        wheel.insert(Monotonic(3), "past");
        let mut due = Vec::new();
        wheel.advance(Monotonic(10 * MS), &mut due);
        assert_eq!(due, ["past"]);
        wheel.advance(Monotonic(12 * MS + MS - 1), &mut due);
        assert_eq!(due, ["past"]);
        wheel.advance(Monotonic(13 * MS), &mut due);
        assert_eq!(due, ["past", "later"]);
    }
}

#[test]
fn produces_complete_in_the_order_of_their_offsets_and_equals_in_the_order_of_arrival() {
    let mut waiting = DelayedProduce::default();
    let later = Monotonic(100);
    for (required, name) in [
        (10, "a"),
        (20, "b"),
        (10, "retry of a"),
        (30, "c"),
        (5, "first"),
    ] {
        waiting.push(required, later, name);
    }
    assert_eq!(waiting.pop_through(4), None);
    let mut done = Vec::new();
    while let Some(name) = waiting.pop_through(20) {
        done.push(name);
    }
    assert_eq!(done, ["first", "a", "retry of a", "b"]);
    assert_eq!(waiting.len(), 1);
}

#[test]
fn produces_expire_by_their_own_deadline() {
    let mut waiting = DelayedProduce::default();
    for (required, deadline) in [(1, 30), (2, 10), (3, 20)] {
        waiting.push(required, Monotonic(deadline), deadline);
    }
    assert_eq!(waiting.earliest_deadline(), Some(Monotonic(10)));
    assert_eq!(waiting.expire(Monotonic(9)), Vec::<u64>::new());
    assert_eq!(waiting.expire(Monotonic(20)), [10, 20]);
    assert_eq!(waiting.earliest_deadline(), Some(Monotonic(30)));
    assert_eq!(waiting.drain().collect::<Vec<_>>(), [30]);
    assert!(waiting.is_empty());
}

mod delayed_fetch {
    use super::*;

    #[test]
    fn a_wake_up_during_the_read_is_not_lost() {
        let now = Monotonic(0);
        let mut fetch = DelayedFetch::new([1, 2], 10, Monotonic(500));
        assert_eq!(fetch.on_wake(now, 1), FetchStep::Wait);
        assert_eq!(fetch.on_read(now, 1, 0, false), FetchStep::Wait);
        assert_eq!(fetch.on_read(now, 2, 0, false), FetchStep::Read([1].into()));
        assert_eq!(fetch.on_read(now, 1, 10, false), FetchStep::Respond);
        assert_eq!(fetch.on_wake(now, 2), FetchStep::Wait, "answered once");
    }

    #[test]
    fn answers_at_once_with_enough_or_an_error_or_nothing_to_wait_for() {
        let now = Monotonic(0);
        let later = Monotonic(500);
        let mut enough = DelayedFetch::new([1], 1, later);
        assert_eq!(enough.on_read(now, 1, 1, false), FetchStep::Respond);
        let mut failed = DelayedFetch::new([1, 2], 100, later);
        assert_eq!(failed.on_read(now, 1, 0, true), FetchStep::Wait);
        assert_eq!(failed.on_read(now, 2, 0, false), FetchStep::Respond);
        let mut empty = DelayedFetch::<u8>::new([], 1, later);
        assert_eq!(empty.on_deadline(now), FetchStep::Respond);
        let mut no_wait = DelayedFetch::new([1], 1, now);
        assert_eq!(no_wait.on_read(now, 1, 0, false), FetchStep::Respond);
    }

    #[test]
    fn the_deadline_waits_for_a_read_that_is_under_way() {
        let mut fetch = DelayedFetch::new([1, 2], 10, Monotonic(500));
        assert_eq!(fetch.on_read(Monotonic(1), 1, 0, false), FetchStep::Wait);
        assert_eq!(fetch.on_deadline(Monotonic(500)), FetchStep::Wait);
        assert_eq!(
            fetch.on_read(Monotonic(501), 2, 3, false),
            FetchStep::Respond
        );
    }

    const SOURCES: usize = 3;
    const DEADLINE: Monotonic = Monotonic(500);

    enum ToOwner {
        WatchAndRead,
    }

    enum ToFetch {
        Woken,
        Read(usize),
    }

    /// Owners on other cores: what they have, their one-shot watches, and the messages under way,
    /// in order for each owner.
    struct World {
        fetch: DelayedFetch<usize>,
        available: [usize; SOURCES],
        watched: [bool; SOURCES],
        to_owner: [VecDeque<ToOwner>; SOURCES],
        to_fetch: [VecDeque<ToFetch>; SOURCES],
        last_read: BTreeMap<usize, usize>,
        now: Monotonic,
        answered: bool,
        min_bytes: usize,
    }

    impl World {
        fn new(min_bytes: usize) -> World {
            let mut world = World {
                fetch: DelayedFetch::new(0..SOURCES, min_bytes, DEADLINE),
                available: [0; SOURCES],
                watched: [false; SOURCES],
                to_owner: Default::default(),
                to_fetch: Default::default(),
                last_read: BTreeMap::new(),
                now: Monotonic(0),
                answered: false,
                min_bytes,
            };
            world.take(FetchStep::Read((0..SOURCES).collect()));
            world
        }

        fn take(&mut self, step: FetchStep<usize>) {
            match step {
                FetchStep::Wait => {}
                FetchStep::Read(sources) => {
                    assert!(!self.answered);
                    for source in sources {
                        self.to_owner[source].push_back(ToOwner::WatchAndRead);
                    }
                }
                FetchStep::Respond => {
                    assert!(
                        !std::mem::replace(&mut self.answered, true),
                        "answered twice"
                    );
                    let read: usize = self.last_read.values().sum();
                    assert!(read >= self.min_bytes || self.now >= DEADLINE, "too early");
                }
            }
        }

        fn append(&mut self, source: usize, size: usize) {
            self.available[source] += size;
            if std::mem::take(&mut self.watched[source]) {
                self.to_fetch[source].push_back(ToFetch::Woken);
            }
        }

        fn run_owner(&mut self, source: usize) {
            if let Some(ToOwner::WatchAndRead) = self.to_owner[source].pop_front() {
                self.watched[source] = true;
                let bytes = self.available[source];
                self.to_fetch[source].push_back(ToFetch::Read(bytes));
            }
        }

        fn run_fetch(&mut self, source: usize) {
            let step = match self.to_fetch[source].pop_front() {
                None => return,
                Some(ToFetch::Woken) => self.fetch.on_wake(self.now, source),
                Some(ToFetch::Read(bytes)) => {
                    self.last_read.insert(source, bytes);
                    self.fetch.on_read(self.now, source, bytes, false)
                }
            };
            self.take(step);
        }

        /// Delivers everything that is under way.
        fn settle(&mut self) {
            for _ in 0..10 * SOURCES {
                for source in 0..SOURCES {
                    self.run_owner(source);
                    self.run_fetch(source);
                }
            }
            assert!(
                self.to_owner.iter().all(VecDeque::is_empty),
                "reads without end"
            );
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]
        #[test]
        fn a_fetch_that_can_be_answered_never_hangs(
            min_bytes in 1usize..8,
            ops in proptest::collection::vec((0u8..3, 0..SOURCES, 1usize..4), 0..30),
        ) {
            let mut world = World::new(min_bytes);
            for (op, source, size) in ops {
                match op {
                    0 => world.append(source, size),
                    1 => world.run_owner(source),
                    _ => world.run_fetch(source),
                }
            }
            world.settle();
            let enough = world.available.iter().sum::<usize>() >= min_bytes;
            prop_assert_eq!(world.answered, enough);
            world.now = DEADLINE;
            if !world.answered {
                let step = world.fetch.on_deadline(DEADLINE);
                world.take(step);
            }
            prop_assert!(world.answered);
        }
    }
}
