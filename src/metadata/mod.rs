//! What the cluster knows: metadata records, the image they are replayed into, and what a batch of
//! them changed.
//!
//! Shard 0 owns the log of these records (`__cluster_metadata-0`); every shard holds an
//! `Arc<MetadataImage>` that is replaced when something changes. Sans-IO.
//!
//! One atomic batch of that log is one group of records: all of them are replayed, or none.
//! **Invariant:** `image == replay(image.snapshot())`, so a snapshot may replace the log before it.
//!
//! # Non-obvious
//!
//! - Only [`MetadataImage::apply`] changes an image, at start as in service; a record that does not
//!   fit the image is corruption, and the process must stop rather than guess (KAFKA-14275).
//! - A [`RegisterBroker`] bumps the leader epoch of every partition that the broker leads: what was
//!   led under the old epoch was led by a process that is gone. One record, whatever
//!   their number.
//! - A cloned image shares everything with the original; a change copies one topic and the map of
//!   pointers to topics, and only if the old image is still held somewhere.

mod codec;
mod delta;
mod image;
pub mod kraft;
mod placement;
mod record;
mod topic_name;
mod topic_page;

#[cfg(test)]
mod tests;

pub use codec::RecordError;
pub use delta::MetadataDelta;
pub use image::{ApplyError, BrokerImage, MetadataImage, PartitionImage, TopicImage};
pub use placement::owner_shard;
pub use record::{
    ConfigRecord, ConfigResource, ConfigResourceType, Endpoint, FeatureRecord, MetadataRecord,
    PartitionRecord, ProducerIdsRecord, RegisterBroker, RemoveTopicRecord, TopicRecord,
};
pub use topic_name::{
    CLUSTER_METADATA_TOPIC, GROUP_METADATA_TOPIC, MAX_TOPIC_NAME_SIZE, TRANSACTION_STATE_TOPIC,
    collision_key, is_internal_topic, validate_topic_name,
};
pub use topic_page::{CursorError, PagedTopic, TopicCursor, TopicPage};
