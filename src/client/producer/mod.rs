//! The producer: records go straight into the batch of their partition; one task sends the batches.
//!
//! ```text
//! TopicProducer::send -> partitioner -> accumulator: a deque of batches for each partition
//!                                          | full, or lingered, or memory is short
//!                                       sender: one request a broker gathers one batch of each
//!                                          |    ready partition, by reference
//!                                       Connection (at most max.in.flight requests)
//!                                          | answer, per partition
//!                      acknowledged <------+------> back to the front of the deque
//! ```
//!
//! A record costs no allocation: the batch is its buffer, its acknowledgement and its permit for
//! `buffer.memory`.
//!
//! # Non-obvious
//! - A batch gets its sequence when it is sent first and keeps it in every repetition: that is what
//!   lets the broker tell a repetition from a new batch.
//! - After any failure a partition waits until everything that it has in flight is answered; what
//!   failed is back in its deque in order by then. Repetitions go one at a time: five new batches
//!   behind a repetition would push it out of what the broker remembers, and it could no longer be
//!   told from a gap.
//! - When a batch with a sequence is given up (delivery timeout, fatal error) the broker may or may
//!   not have it, so no sequence can follow: the partition starts again at 0 under a new epoch
//!   (KIP-360). Epochs are the broker's per partition, so the others go on under theirs.

mod accumulator;
mod batch;
mod links;
mod options;
mod partitioner;
mod producer_handle;
mod request;
mod sender;
mod settle;

pub use batch::{BatchReport, Delivery, RecordMetadata};
pub use options::{Acks, OnBatch, ProducerOptions};
pub use partitioner::{murmur2, partition_for_key};
pub use producer_handle::{Producer, ProducerRecord, TopicProducer};
