//! The controller: requests for topics, settings, producer ids and brokers become metadata records.
//!
//! [`Controller::handle`] reads and answers with records; only [`Controller::replay`] changes
//! anything. Shard 0 drives it: it appends the records of an [`Outcome`] to the metadata log as one
//! atomic batch, replays them, publishes the image to all shards, and then sends the reply.
//! Sans-IO: topic ids and incarnation ids are random bytes that come with the request.
//!
//! Error codes and messages are those of Kafka's `ControllerApis` and `ReplicationControlManager`.
//!
//! # Non-obvious
//!
//! - One request is handled, appended and replayed before the next is handled, so that two requests
//!   cannot create the same topic.
//! - A name that stands twice in a CreateTopics request is not created at all, not even once.

mod alter_configs;
mod brokers;
mod create_partitions;
mod create_topics;
mod delete_topics;
mod directories;
mod machine;
mod placement;
mod producer_ids;
mod request;

#[cfg(test)]
mod tests;

pub use brokers::bootstrap_records;
pub use create_topics::RECORDS_PER_REQUEST_MAX;
pub use directories::DirectorySpace;
pub use machine::Controller;
pub use producer_ids::PRODUCER_ID_BLOCK_SIZE;
pub use request::{
    AlterConfigs, AlterResource, AlterResult, ConfigChange, ConfigOperation, ControllerReply,
    ControllerRequest, CreatePartitions, CreatePartitionsResult, CreateTopicResult, CreateTopics,
    DeleteTopicResult, DeleteTopics, GrownTopic, ManualAssignment, NewTopic, Outcome,
    ProducerIdBlock, TopicReference,
};
