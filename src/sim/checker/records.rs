//! What was sent. A record says in its value who sent it and as which; the rest follows from that,
//! so that a reader can tell a damaged one.

use super::invariant::{Invariant, Violation};

/// What a producer may expect of each of its records.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::sim) enum Guarantee {
    /// Idempotent: never twice in a partition, in the order of sending.
    OnceInOrder,
    /// Sent once, nobody knows with what success.
    AtMostOnce,
    /// Retried without a sequence: may be there twice and in another order.
    Any,
    /// Its request was never sent whole.
    Never,
}

/// A record: its producer and its number there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(in crate::sim) struct Record {
    pub(in crate::sim) producer: u32,
    pub(in crate::sim) number: u64,
}

/// Bytes of a value before the filler.
const HEAD_SIZE: usize = 12;

/// Every so manieth record is large, so that batches end anywhere in a unit of the disk.
const LARGE_EVERY: u64 = 16;
const FILLER_SIZE_SMALL: u64 = 120;
const FILLER_SIZE_LARGE: u64 = 3_000;

impl Record {
    pub(in crate::sim) fn value(self) -> Vec<u8> {
        let mixed = self.mixed();
        let filler_size_max = match mixed % LARGE_EVERY {
            0 => FILLER_SIZE_LARGE,
            _ => FILLER_SIZE_SMALL,
        };
        let filler_size = (mixed >> 8) % filler_size_max;
        let mut value = Vec::with_capacity(HEAD_SIZE + filler_size as usize);
        value.extend_from_slice(&self.producer.to_be_bytes());
        value.extend_from_slice(&self.number.to_be_bytes());
        value.extend((0..filler_size).map(|index| (mixed >> (index % 8 * 8)) as u8));
        value
    }

    /// The record whose value this is.
    pub(in crate::sim) fn of_value(value: &[u8]) -> Result<Record, Violation> {
        let Some((producer, rest)) = value.split_first_chunk() else {
            return Err(Invariant::Sent.broken(format!(
                "a value of {} bytes, which nobody sent",
                value.len()
            )));
        };
        let Some((number, _)) = rest.split_first_chunk() else {
            return Err(Invariant::Sent.broken(format!(
                "a value of {} bytes, which nobody sent",
                value.len()
            )));
        };
        let record = Record {
            producer: u32::from_be_bytes(*producer),
            number: u64::from_be_bytes(*number),
        };
        if record.value() != value {
            return Err(Invariant::Sent.broken(format!("{record} with other bytes than were sent")));
        }
        Ok(record)
    }

    fn mixed(self) -> u64 {
        (u64::from(self.producer) << 40 ^ self.number)
            .wrapping_add(0x9e37_79b9_7f4a_7c15)
            .wrapping_mul(0xbf58_476d_1ce4_e5b9)
            .rotate_left(31)
            .wrapping_mul(0x94d0_49bb_1331_11eb)
    }
}

impl std::fmt::Display for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "record {} of producer {}", self.number, self.producer)
    }
}

/// All producers, and how many records each has sent.
#[derive(Debug, Default)]
pub(in crate::sim) struct RecordRegistry {
    producers: Vec<(Guarantee, u64)>,
}

impl RecordRegistry {
    pub(in crate::sim) fn add_producer(&mut self, guarantee: Guarantee) -> u32 {
        self.producers.push((guarantee, 0));
        (self.producers.len() - 1) as u32
    }

    /// The next record of a producer.
    pub(in crate::sim) fn next(&mut self, producer: u32) -> Record {
        let (_, count) = &mut self.producers[producer as usize];
        *count += 1;
        Record {
            producer,
            number: *count - 1,
        }
    }

    /// The promise for a record that somebody has seen; an error when it cannot be there.
    pub(in crate::sim) fn seen(&self, record: Record) -> Result<Guarantee, Violation> {
        match self.producers.get(record.producer as usize) {
            Some((Guarantee::Never, _)) => {
                Err(Invariant::Sent.broken(format!("{record}, whose request was never sent whole")))
            }
            Some((guarantee, count)) if record.number < *count => Ok(*guarantee),
            _ => Err(Invariant::Sent.broken(format!("{record}, which was never sent"))),
        }
    }
}
