//! Newtypes of the field. No logic, no IO.

mod error_code;
mod ids;
mod time;

pub use error_code::ErrorCode;
pub use ids::{
    DirectoryId, LeaderEpoch, NodeId, Offset, PartitionIndex, ProducerEpoch, ProducerId, ShardId,
    TopicId, TopicIdPartition, TopicPartition,
};
pub use time::{Monotonic, Timestamp};
