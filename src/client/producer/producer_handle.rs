//! What the user of a producer holds.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use super::accumulator::Partition;
use super::batch::{Batch, Delivery};
use super::options::ProducerOptions;
use super::partitioner::partition_for_key;
use super::sender::{Shared, TopicState};
use crate::batch::{BatchBuilder, BatchOptions, Header};
use crate::client::error::ClientError;
use crate::client::routing::Client;
use crate::io::Permit;
use crate::types::{PartitionIndex, Timestamp};

/// Bytes after which a sending task lets others in, the sender among them.
const YIELD_AFTER_SIZE: usize = 256 << 10;

/// Bytes of a record besides key, value and headers, at most.
const RECORD_OVERHEAD_MAX: usize = 32;

/// A producer. Clones share it. When the last handle is dropped, what is not delivered is given
/// up: [`Producer::flush`] before.
#[derive(Clone)]
pub struct Producer {
    handle: Rc<Handle>,
}

struct Handle {
    shared: Rc<Shared>,
    bytes_since_yield: Cell<usize>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.is_closed.set(true);
        self.shared.work.notify_all();
    }
}

/// A record to be sent. The default has neither key nor value.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProducerRecord<'a> {
    /// `None`: by the key, or without one where the sticky partitioner is.
    pub partition: Option<PartitionIndex>,
    pub key: Option<&'a [u8]>,
    /// `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    pub headers: &'a [Header<'a>],
    /// ms since the epoch; `None`: now.
    pub timestamp: Option<Timestamp>,
}

impl ProducerRecord<'_> {
    /// Bytes that matter, without the overhead of a record.
    fn size(&self) -> usize {
        let headers = self.headers.iter();
        let headers: usize = headers
            .map(|header| header.key.len() + header.value.map_or(0, <[u8]>::len))
            .sum();
        self.key.map_or(0, <[u8]>::len) + self.value.map_or(0, <[u8]>::len) + headers
    }
}

impl Producer {
    /// [`ClientError::Invalid`] when the options contradict each other.
    pub fn new(client: &Client, mut options: ProducerOptions) -> Result<Producer, ClientError> {
        options.check(client.options().in_flight_max)?;
        options.batch_size = options.batch_size.min(options.request_size_max);
        let shared = Shared::new(client, options);
        client.reactor().spawn(Rc::clone(&shared).run()).detach();
        let bytes_since_yield = Cell::new(0);
        Ok(Producer {
            handle: Rc::new(Handle {
                shared,
                bytes_since_yield,
            }),
        })
    }

    /// A topic to write to; waits until it is known, as [`Client::topic`].
    pub async fn topic(&self, name: &str) -> Result<TopicProducer, ClientError> {
        let view = self.handle.shared.client.topic(name).await?;
        Ok(TopicProducer {
            handle: Rc::clone(&self.handle),
            state: self.handle.shared.topic_state(&view),
        })
    }

    /// Sends everything without lingering and waits until nothing is outstanding, records that are
    /// sent meanwhile included.
    pub async fn flush(&self) {
        let shared = &self.handle.shared;
        let _flush = Flush::start(shared);
        loop {
            let idle = shared.idle.notified();
            if shared.outstanding_count.get() == 0 {
                return;
            }
            idle.await;
        }
    }

    /// Batches that are neither acknowledged nor given up.
    pub fn outstanding_count(&self) -> usize {
        self.handle.shared.outstanding_count.get()
    }
}

/// Nothing lingers while one of these lives.
struct Flush<'a>(&'a Shared);

impl Flush<'_> {
    fn start(shared: &Shared) -> Flush<'_> {
        shared.flush_count.set(shared.flush_count.get() + 1);
        shared.work.notify_all();
        Flush(shared)
    }
}

impl Drop for Flush<'_> {
    fn drop(&mut self) {
        self.0.flush_count.set(self.0.flush_count.get() - 1);
    }
}

/// A producer for one topic, its partitions at hand.
#[derive(Clone)]
pub struct TopicProducer {
    handle: Rc<Handle>,
    state: Rc<TopicState>,
}

/// What an attempt to append came to.
enum Append {
    Appended(Delivery),
    /// A new batch of this many bytes is needed, and there is no room for it.
    NeedsRoom(usize),
}

impl TopicProducer {
    pub fn partition_count(&self) -> usize {
        self.state.partitions.borrow().len()
    }

    /// Appends a record to the batch of its partition. Waits while `buffer.memory` is used up, at
    /// most `api_timeout` ([`ClientError::BufferFull`]); the record is copied.
    ///
    /// Records of one partition are delivered in the order in which these calls complete.
    pub async fn send(&self, record: &ProducerRecord<'_>) -> Result<Delivery, ClientError> {
        let shared = &self.handle.shared;
        let since = self.handle.bytes_since_yield.get() + record.size();
        self.handle.bytes_since_yield.set(since);
        if since >= YIELD_AFTER_SIZE {
            self.handle.bytes_since_yield.set(0);
            shared.reactor.yield_now().await;
        }
        let mut permit = None;
        loop {
            match self.append(record, &mut permit)? {
                Append::Appended(delivery) => return Ok(delivery),
                Append::NeedsRoom(size) => {
                    shared.work.notify_all();
                    let timeout = shared.client.options().api_timeout;
                    let room = shared
                        .reactor
                        .timeout(timeout, shared.memory.acquire(size))
                        .await;
                    permit = Some(room.ok_or(ClientError::BufferFull(timeout))?);
                }
            }
        }
    }

    fn append(
        &self,
        record: &ProducerRecord<'_>,
        permit: &mut Option<Permit>,
    ) -> Result<Append, ClientError> {
        let shared = &self.handle.shared;
        if shared.is_closed.get() {
            return Err(ClientError::Closed);
        }
        let size_max = record.size() + RECORD_OVERHEAD_MAX;
        let limit = shared.options.request_size_max;
        if record.size() > limit {
            let size = record.size();
            return Err(ClientError::RecordTooLarge { size, max: limit });
        }
        let timestamp = record
            .timestamp
            .unwrap_or_else(|| shared.reactor.wall_clock());
        if timestamp < 0 {
            return Err(ClientError::Invalid(
                format!("timestamp {timestamp} is negative").into(),
            ));
        }
        let (partition, is_sticky) = self.partition(record, size_max)?;
        let mut queue = partition.queue.borrow_mut();
        let last = queue.batches.back_mut();
        if let Some(batch) = last
            && let Some(builder) = batch.builder()
        {
            let ProducerRecord {
                key,
                value,
                headers,
                ..
            } = *record;
            if builder.size_with(timestamp, key, value, headers) <= shared.options.batch_size {
                builder.append(timestamp, key, value, headers);
                let delivery = batch.delivery();
                drop(queue);
                self.count_sticky(is_sticky, size_max);
                return Ok(Append::Appended(delivery));
            }
            batch.is_closed = true;
            shared.activate(&partition, true);
        }
        let size = shared
            .options
            .batch_size
            .max(size_max + crate::batch::HEADER_SIZE);
        let room = permit.take().or_else(|| shared.memory.try_acquire(size));
        let Some(room) = room else {
            return Ok(Append::NeedsRoom(size));
        };
        let number = queue.take_number();
        let mut batch = self.open_batch(number, partition.index, record, timestamp, size, room);
        let delivery = batch.delivery();
        queue.batches.push_back(batch);
        drop(queue);
        shared
            .outstanding_count
            .set(shared.outstanding_count.get() + 1);
        self.count_sticky(is_sticky, size_max);
        shared.activate(&partition, false);
        Ok(Append::Appended(delivery))
    }

    fn open_batch(
        &self,
        number: u64,
        partition: PartitionIndex,
        record: &ProducerRecord<'_>,
        timestamp: Timestamp,
        size: usize,
        room: Permit,
    ) -> Batch {
        let shared = &self.handle.shared;
        let options = BatchOptions {
            compression: shared.options.compression,
            ..BatchOptions::default()
        };
        let mut builder = BatchBuilder::new(options, size);
        builder.append(timestamp, record.key, record.value, record.headers);
        Batch::new(number, partition, builder, shared.reactor.now(), room)
    }

    /// The partition of a record, and whether the sticky partitioner chose it.
    fn partition(
        &self,
        record: &ProducerRecord<'_>,
        size: usize,
    ) -> Result<(Rc<Partition>, bool), ClientError> {
        let partitions = self.state.partitions.borrow();
        let count = partitions.len();
        let (index, is_sticky) = match (record.partition, record.key) {
            (Some(partition), _) => (partition, false),
            (None, Some(key)) if count > 0 => (partition_for_key(key, count), false),
            (None, _) if count > 0 => (self.sticky_partition(&partitions, size), true),
            (None, _) => (0, false),
        };
        let known = usize::try_from(index)
            .ok()
            .and_then(|index| partitions.get(index));
        let partition = known.ok_or_else(|| ClientError::UnknownPartition {
            topic: Arc::clone(&self.state.identity.name),
            partition: index,
            count,
        })?;
        Ok((Rc::clone(partition), is_sticky))
    }

    fn sticky_partition(&self, partitions: &[Rc<Partition>], size: usize) -> PartitionIndex {
        let batch_size = self.handle.shared.options.batch_size;
        let mut sticky = self.state.sticky.borrow_mut();
        let is_full = |index: PartitionIndex| {
            let mut queue = partitions[index as usize].queue.borrow_mut();
            let builder = queue.batches.back_mut().and_then(Batch::builder);
            builder.is_none_or(|builder| builder.size_in_bytes() + size > batch_size)
        };
        if let Some(current) = sticky.current(size, is_full) {
            return current;
        }
        let shared = &self.handle.shared;
        let now = shared.reactor.now();
        sticky.switch(shared.reactor.random(), partitions.len(), |index| {
            let partition = &partitions[index];
            let leader = partition.leader.get()?;
            match shared.options.is_adaptive {
                true if !shared.takes_batches(leader, now) => None,
                true => Some(partition.queue.borrow().batches.len()),
                false => Some(0),
            }
        })
    }

    fn count_sticky(&self, is_sticky: bool, size: usize) {
        if is_sticky {
            self.state.sticky.borrow_mut().count(size);
        }
    }
}
