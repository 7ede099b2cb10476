//! What will happen at a known time.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::task::Waker;

use super::network::NetworkEvent;
use super::random::Random;

/// Stale timers are swept out when there are more of them than this and than of the others.
const STALE_TIMER_COUNT_MAX: usize = 1024;

/// Something that is due at a time.
pub(super) enum Event {
    Timer(TimerKey),
    Disk {
        machine: usize,
        id: u64,
    },
    Network(NetworkEvent),
    /// A message between shards is there: wake its receiver. Runs with the world locked.
    Mesh(Box<dyn FnOnce() + Send>),
}

/// A timer that may have been cancelled since.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct TimerKey {
    slot: u32,
    generation: u32,
}

struct TimerSlot {
    generation: u32,
    waker: Option<Waker>,
}

struct Scheduled {
    at: u64,
    /// Drawn, so that what is due at one time comes in any order.
    tie: u64,
    event: Event,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Scheduled {}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scheduled {
    /// The heap gives the greatest first: the earliest is the greatest.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.tie).cmp(&(self.at, self.tie))
    }
}

/// All that is to come, earliest first.
pub(super) struct Events {
    heap: BinaryHeap<Scheduled>,
    timers: Vec<TimerSlot>,
    free_timers: Vec<u32>,
    stale_count: usize,
    random: Random,
}

impl Events {
    pub(super) fn new(seed: u64) -> Events {
        Events {
            heap: BinaryHeap::new(),
            timers: Vec::new(),
            free_timers: Vec::new(),
            stale_count: 0,
            random: Random::stream(seed, "ties", 0),
        }
    }

    pub(super) fn schedule(&mut self, at: u64, event: Event) {
        let tie = self.random.next_u64();
        self.heap.push(Scheduled { at, tie, event });
    }

    pub(super) fn add_timer(&mut self, at: u64, waker: Waker) -> TimerKey {
        let slot = self.free_timers.pop().unwrap_or_else(|| {
            self.timers.push(TimerSlot {
                generation: 0,
                waker: None,
            });
            (self.timers.len() - 1) as u32
        });
        let entry = &mut self.timers[slot as usize];
        entry.waker = Some(waker);
        let key = TimerKey {
            slot,
            generation: entry.generation,
        };
        self.schedule(at, Event::Timer(key));
        key
    }

    /// Takes over the waker of a timer that is still to come.
    pub(super) fn set_timer_waker(&mut self, key: TimerKey, waker: &Waker) {
        if self.is_live(key) {
            self.timers[key.slot as usize].waker = Some(waker.clone());
        }
    }

    /// Removes a timer, if it is still to come.
    pub(super) fn cancel_timer(&mut self, key: TimerKey) {
        if self.take_timer(key).is_some() {
            self.stale_count += 1;
            if self.stale_count > STALE_TIMER_COUNT_MAX && self.stale_count > self.heap.len() / 2 {
                self.sweep();
            }
        }
    }

    /// The waker of a timer that fires now; `None` when it was cancelled.
    pub(super) fn take_timer(&mut self, key: TimerKey) -> Option<Waker> {
        if !self.is_live(key) {
            return None;
        }
        let entry = &mut self.timers[key.slot as usize];
        entry.generation = entry.generation.wrapping_add(1);
        self.free_timers.push(key.slot);
        entry.waker.take()
    }

    /// When the next thing happens; `None` when nothing is to come.
    pub(super) fn next_at(&mut self) -> Option<u64> {
        while let Some(next) = self.heap.peek() {
            match next.event {
                Event::Timer(key) if !self.is_live(key) => {
                    self.heap.pop();
                    self.stale_count = self.stale_count.saturating_sub(1);
                }
                _ => return Some(next.at),
            }
        }
        None
    }

    /// The next thing, to be called after [`Events::next_at`] said that there is one.
    pub(super) fn pop(&mut self) -> Event {
        self.heap.pop().expect("there is a next event").event
    }

    fn is_live(&self, key: TimerKey) -> bool {
        self.timers[key.slot as usize].generation == key.generation
    }

    fn sweep(&mut self) {
        let timers = &self.timers;
        self.heap.retain(|scheduled| match scheduled.event {
            Event::Timer(key) => timers[key.slot as usize].generation == key.generation,
            _ => true,
        });
        self.stale_count = 0;
    }
}
