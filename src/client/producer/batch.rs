//! A batch on its way, and what its user holds of it.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;

use crate::batch::{BatchBuilder, Producer};
use crate::client::error::ClientError;
use crate::io::{Notify, Permit};
use crate::types::{Monotonic, Offset, PartitionIndex, Timestamp};

/// Where these stand in a sealed batch, bytes (see [`crate::batch`]).
const CRC_POSITION: usize = 17;
const PRODUCER_POSITION: usize = 43;

/// Where a record went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordMetadata {
    pub partition: PartitionIndex,
    /// -1 when the broker did not say: acks=0, or a repetition of a batch it no longer remembers.
    pub offset: Offset,
    /// What the log set as the record's time, if it did (LogAppendTime).
    pub log_append_time: Option<Timestamp>,
}

/// A record's acknowledgement to come. May be dropped: the record is delivered all the same.
#[derive(Clone)]
pub struct Delivery {
    status: Rc<Status>,
    index: i32,
}

impl Delivery {
    /// Waits until the record is acknowledged or given up.
    pub async fn wait(&self) -> Result<RecordMetadata, ClientError> {
        loop {
            let settled = self.status.settled.notified();
            if let Some(result) = self.result() {
                return result;
            }
            settled.await;
        }
    }

    /// The outcome, once there is one.
    pub fn result(&self) -> Option<Result<RecordMetadata, ClientError>> {
        let outcome = self.status.outcome.borrow();
        let result = outcome.as_ref()?.as_ref();
        Some(
            result
                .map_err(ClientError::clone)
                .map(|batch| RecordMetadata {
                    partition: self.status.partition,
                    offset: match batch.base_offset {
                        -1 => -1,
                        base_offset => base_offset + Offset::from(self.index),
                    },
                    log_append_time: batch.log_append_time,
                }),
        )
    }
}

/// What a broker said of a batch that it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Acknowledged {
    pub(super) base_offset: Offset,
    pub(super) log_append_time: Option<Timestamp>,
}

struct Status {
    partition: PartitionIndex,
    outcome: RefCell<Option<Result<Acknowledged, ClientError>>>,
    settled: Notify,
}

/// A batch that was acknowledged or given up, for [`ProducerOptions::on_batch`].
///
/// [`ProducerOptions::on_batch`]: super::ProducerOptions::on_batch
#[derive(Debug)]
pub struct BatchReport<'a> {
    pub topic: &'a str,
    pub partition: PartitionIndex,
    /// The base offset (-1: not known), or why it was given up.
    pub result: Result<Offset, &'a ClientError>,
    pub record_count: i32,
    /// Bytes as sent; 0 when it never was.
    pub size: usize,
    /// When its first record was appended.
    pub created: Monotonic,
    /// When it was sent the last time.
    pub sent: Option<Monotonic>,
    /// When the answer was there.
    pub settled: Monotonic,
}

/// Records of one partition that travel together.
pub(super) struct Batch {
    /// Order within the partition.
    pub(super) number: u64,
    pub(super) created: Monotonic,
    pub(super) sent: Option<Monotonic>,
    /// Takes no more records.
    pub(super) is_closed: bool,
    pub(super) record_count: i32,
    /// Given when it is sent first, taken back only when the partition starts a new epoch.
    pub(super) producer: Option<Producer>,
    /// Why the last attempt failed.
    pub(super) last_fault: Option<Arc<str>>,
    body: Body,
    status: Rc<Status>,
    /// Its share of buffer.memory.
    _permit: Permit,
}

enum Body {
    Open(BatchBuilder),
    /// The producer is the one that the bytes say, which may be out of date.
    Sealed(Bytes, Option<Producer>),
    /// Only while being sealed.
    Moving,
}

impl Batch {
    pub(super) fn new(
        number: u64,
        partition: PartitionIndex,
        builder: BatchBuilder,
        created: Monotonic,
        permit: Permit,
    ) -> Batch {
        Batch {
            number,
            created,
            sent: None,
            is_closed: false,
            record_count: 0,
            producer: None,
            last_fault: None,
            body: Body::Open(builder),
            status: Rc::new(Status {
                partition,
                outcome: RefCell::new(None),
                settled: Notify::new(),
            }),
            _permit: permit,
        }
    }

    /// The builder, while records may be appended.
    pub(super) fn builder(&mut self) -> Option<&mut BatchBuilder> {
        match &mut self.body {
            Body::Open(builder) if !self.is_closed => Some(builder),
            _ => None,
        }
    }

    /// What the user of the record that was appended last holds.
    pub(super) fn delivery(&mut self) -> Delivery {
        let index = self.record_count;
        self.record_count += 1;
        Delivery {
            status: Rc::clone(&self.status),
            index,
        }
    }

    /// The bytes to send, sealed for [`Batch::producer`].
    pub(super) fn seal(&mut self) -> Bytes {
        self.is_closed = true;
        let producer = self.producer;
        let bytes = match std::mem::replace(&mut self.body, Body::Moving) {
            Body::Open(mut builder) => {
                if let Some(producer) = producer {
                    builder.set_producer(producer, false);
                }
                builder.close()
            }
            Body::Sealed(bytes, sealed_for) if sealed_for == producer => bytes,
            Body::Sealed(bytes, _) => {
                let producer = producer.expect("a sequence is replaced, never removed");
                with_producer(&bytes, producer)
            }
            Body::Moving => unreachable!("seal puts a body back"),
        };
        self.body = Body::Sealed(bytes.clone(), producer);
        bytes
    }

    /// Tells the users; a second time is a mistake.
    pub(super) fn settle(
        self,
        topic: &str,
        result: Result<Acknowledged, ClientError>,
        now: Monotonic,
        on_batch: Option<&dyn Fn(&BatchReport<'_>)>,
    ) {
        if let Some(on_batch) = on_batch {
            let size = match &self.body {
                Body::Sealed(bytes, _) => bytes.len(),
                _ => 0,
            };
            on_batch(&BatchReport {
                topic,
                partition: self.status.partition,
                result: result.as_ref().map(|batch| batch.base_offset),
                record_count: self.record_count,
                size,
                created: self.created,
                sent: self.sent,
                settled: now,
            });
        }
        let before = self.status.outcome.replace(Some(result));
        assert!(before.is_none(), "a batch is settled once");
        self.status.settled.notify_all();
    }
}

/// A copy of a sealed batch under another producer epoch and sequence, with a new CRC.
fn with_producer(batch: &[u8], producer: Producer) -> Bytes {
    let mut batch = batch.to_vec();
    let mut position = PRODUCER_POSITION;
    let mut put = |bytes: &[u8]| {
        batch[position..position + bytes.len()].copy_from_slice(bytes);
        position += bytes.len();
    };
    put(&producer.id.to_be_bytes());
    put(&producer.epoch.to_be_bytes());
    put(&producer.base_sequence.to_be_bytes());
    let crc = crc32c::crc32c(&batch[crate::batch::CRC_START..]);
    batch[CRC_POSITION..CRC_POSITION + 4].copy_from_slice(&crc.to_be_bytes());
    Bytes::from(batch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{BatchOptions, BatchView};

    #[test]
    fn another_producer_changes_its_fields_and_the_crc_only() {
        let mut builder = BatchBuilder::new(BatchOptions::default(), 100);
        builder.append(7, None, Some(b"value"), &[]);
        let plain = builder.close();
        let producer = Producer {
            id: 0x0102_0304_0506,
            epoch: 9,
            base_sequence: 77,
        };
        let rewritten = with_producer(&plain, producer);
        let view = BatchView::parse(&rewritten).expect("a batch");
        view.check_crc().expect("a right CRC");
        assert_eq!(view.producer(), Some(producer));
        assert_eq!(
            view.payload(),
            BatchView::parse(&plain).expect("a batch").payload()
        );
        assert_eq!(plain[21..43], rewritten[21..43]);
    }
}
