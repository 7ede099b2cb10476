//! A hierarchical timing wheel: start and cancel a timer in constant time.

use std::time::Duration;

use crate::types::Monotonic;

/// The wheel's resolution: a timer fires at most this much late, never early.
pub const TICK: Duration = Duration::from_millis(1);

/// Slots of one level: one bit each in a `u64`.
const SLOTS: usize = 64;
const SLOT_BITS: u32 = SLOTS.trailing_zeros();

/// Levels; the last one reaches 2^48 ticks ahead, further than `Monotonic` counts.
const LEVELS: usize = 8;
const _: () = assert!(u64::MAX / (TICK.as_nanos() as u64) < 1 << (SLOT_BITS as usize * LEVELS));

const NONE: u32 = u32::MAX;

/// A timer of one wheel. Stays valid, but names nothing, once the timer has fired.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimerId {
    index: u32,
    generation: u32,
}

/// Timers that carry a `T`. Their number is bounded by what they belong to (connections, fetches,
/// partitions), each of which has its own limit.
///
/// **Invariant:** a pending timer sits at the level of the highest digit (base [`SLOTS`]) in which
/// its tick differs from `elapsed`, in that digit's slot. So no level wraps, every occupied slot
/// lies at or ahead of `elapsed`, and what is on a lower level comes before what is on a higher
/// one.
#[derive(Debug)]
pub struct TimingWheel<T> {
    levels: [Level; LEVELS],
    entries: Vec<Entry<T>>,
    free: u32,
    /// The tick up to which everything has fired.
    elapsed: u64,
    count: usize,
}

#[derive(Clone, Copy, Debug)]
struct Level {
    occupied: u64,
    heads: [u32; SLOTS],
}

#[derive(Debug)]
struct Entry<T> {
    value: Option<T>,
    tick: u64,
    generation: u32,
    /// Neighbours in the slot's list, or the next free entry.
    next: u32,
    previous: u32,
}

impl<T> TimingWheel<T> {
    pub fn new(now: Monotonic) -> TimingWheel<T> {
        TimingWheel {
            levels: [Level {
                occupied: 0,
                heads: [NONE; SLOTS],
            }; LEVELS],
            entries: Vec::new(),
            free: NONE,
            elapsed: now.0 / tick_ns(),
            count: 0,
        }
    }

    /// Number of pending timers.
    pub fn len(&self) -> usize {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Starts a timer. One whose deadline has passed fires on the next [`TimingWheel::advance`].
    pub fn insert(&mut self, deadline: Monotonic, value: T) -> TimerId {
        let tick = deadline.0.div_ceil(tick_ns()).max(self.elapsed);
        let index = self.take_entry();
        let entry = &mut self.entries[index as usize];
        entry.value = Some(value);
        entry.tick = tick;
        let generation = entry.generation;
        self.link(index);
        self.count += 1;
        TimerId { index, generation }
    }

    /// Stops a timer; `None` when it has fired or was stopped.
    pub fn cancel(&mut self, timer: TimerId) -> Option<T> {
        let entry = self.entries.get(timer.index as usize)?;
        if entry.generation != timer.generation || entry.value.is_none() {
            return None;
        }
        self.unlink(timer.index);
        self.release(timer.index)
    }

    /// When to call [`TimingWheel::advance`] next: no timer fires before, and calling it then gets
    /// closer to the first one (at most [`LEVELS`] calls for one timer). `None` without timers.
    pub fn next_deadline(&self) -> Option<Monotonic> {
        let (_, _, tick) = self.next_slot()?;
        Some(Monotonic(tick.saturating_mul(tick_ns())))
    }

    /// Moves to `due` the values of all timers whose deadline is not after `now`, earliest tick
    /// first. A `now` before an earlier one changes nothing.
    pub fn advance(&mut self, now: Monotonic, due: &mut Vec<T>) {
        let target = now.0 / tick_ns();
        while let Some((level, slot, tick)) = self.next_slot() {
            if tick > target {
                break;
            }
            self.elapsed = tick;
            self.empty_slot(level, slot, due);
        }
        self.elapsed = self.elapsed.max(target);
    }

    /// The first occupied slot in time: its level, its number and the first tick that it covers.
    fn next_slot(&self) -> Option<(usize, usize, u64)> {
        let level = self.levels.iter().position(|level| level.occupied != 0)?;
        let slot = self.levels[level].occupied.trailing_zeros() as usize;
        let shift = SLOT_BITS * level as u32;
        let above = self.elapsed >> shift >> SLOT_BITS << SLOT_BITS;
        Some((level, slot, (above | slot as u64) << shift))
    }

    /// Takes out a slot that `elapsed` has reached: what is due goes, the rest to a lower level.
    fn empty_slot(&mut self, level: usize, slot: usize, due: &mut Vec<T>) {
        let mut index = std::mem::replace(&mut self.levels[level].heads[slot], NONE);
        self.levels[level].occupied &= !(1 << slot);
        while index != NONE {
            let entry = &self.entries[index as usize];
            let (tick, next) = (entry.tick, entry.next);
            if tick <= self.elapsed {
                due.extend(self.release(index));
            } else {
                self.link(index);
            }
            index = next;
        }
    }

    fn place_of(&self, tick: u64) -> (usize, usize) {
        let highest_difference = (tick ^ self.elapsed).checked_ilog2().unwrap_or(0);
        let level = highest_difference / SLOT_BITS;
        let slot = (tick >> (level * SLOT_BITS)) as usize % SLOTS;
        (level as usize, slot)
    }

    fn link(&mut self, index: u32) {
        let (level, slot) = self.place_of(self.entries[index as usize].tick);
        let head = std::mem::replace(&mut self.levels[level].heads[slot], index);
        self.levels[level].occupied |= 1 << slot;
        let entry = &mut self.entries[index as usize];
        entry.next = head;
        entry.previous = NONE;
        if head != NONE {
            self.entries[head as usize].previous = index;
        }
    }

    fn unlink(&mut self, index: u32) {
        let entry = &self.entries[index as usize];
        let (tick, next, previous) = (entry.tick, entry.next, entry.previous);
        if next != NONE {
            self.entries[next as usize].previous = previous;
        }
        if previous != NONE {
            self.entries[previous as usize].next = next;
            return;
        }
        let (level, slot) = self.place_of(tick);
        let level = &mut self.levels[level];
        assert_eq!(level.heads[slot], index, "a first timer heads its slot");
        level.heads[slot] = next;
        if next == NONE {
            level.occupied &= !(1 << slot);
        }
    }

    fn take_entry(&mut self) -> u32 {
        if self.free != NONE {
            let index = self.free;
            self.free = self.entries[index as usize].next;
            return index;
        }
        let index = self.entries.len() as u32;
        assert!(index < NONE, "fewer than 2^32 timers");
        self.entries.push(Entry {
            value: None,
            tick: 0,
            generation: 0,
            next: NONE,
            previous: NONE,
        });
        index
    }

    fn release(&mut self, index: u32) -> Option<T> {
        let entry = &mut self.entries[index as usize];
        entry.generation = entry.generation.wrapping_add(1);
        entry.next = std::mem::replace(&mut self.free, index);
        self.count -= 1;
        entry.value.take()
    }
}

fn tick_ns() -> u64 {
    TICK.as_nanos() as u64
}
