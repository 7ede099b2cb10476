//! Our own Kafka client, on [`crate::io`]: bench, the command line and other brokers use it.
//!
//! Everything lives on one shard: handles are cheap clones around an `Rc`, and a connection has a
//! reading and a writing task there. Dropping the last handle of a thing ends its tasks.
//!
//! | type | what it is |
//! |---|---|
//! | [`Connection`] | pipelined requests over one socket, answered in order, with a deadline each |
//! | [`Client`] | which broker leads what: metadata cache, refresh, connections |
//! | [`Producer`], [`TopicProducer`] | accumulator, partitioner, sender; idempotent by default |
//! | [`Fetcher`] | batches of assigned partitions, by long poll |
//! | [`Admin`] | topics, settings, offsets, the cluster |
//!
//! # Non-obvious
//! - **Invariant: a response goes to the oldest request in flight**, and its correlation id must be
//!   that request's; anything else ends the connection, since nothing behind it can be trusted.
//! - A request that misses its deadline ends its connection too: the answers behind it could not be
//!   told apart from it otherwise.
//! - Long polls and produce requests must not share a connection (answers come in order), so each
//!   [`Producer`] and each [`Fetcher`] opens its own, one a broker.

mod admin;
mod admin_producers;
mod admin_topics;
mod backoff;
mod cluster_view;
mod configs;
mod connection;
mod error;
mod fetcher;
mod options;
mod producer;
mod routing;
#[cfg(test)]
mod tests;

pub use admin::{Admin, NewTopic, OffsetSpec, TopicResult};
pub use admin_producers::ProducerView;
pub use admin_topics::{LogDirView, ReplicaView};
pub use backoff::Backoff;
pub use cluster_view::{BrokerAddress, ClusterView, PartitionView, TopicView};
pub use configs::{ConfigEdit, ConfigEntry, ConfigSynonym, ConfigTarget};
pub use connection::Connection;
pub use error::ClientError;
pub use fetcher::{FetchOptions, FetchedPartition, Fetcher, Isolation, OffsetReset, StartOffset};
pub use options::ClientOptions;
pub use producer::{
    Acks, BatchReport, Delivery, OnBatch, Producer, ProducerOptions, ProducerRecord,
    RecordMetadata, TopicProducer, murmur2, partition_for_key,
};
pub use routing::Client;
