//! The table of the keys that Ringlog honours, one file a theme.

mod compaction;
mod fetch;
mod log;
mod lookup;
mod network;
mod node;
mod retention;
mod shard;
mod topics;

pub use lookup::{broker_key, keys, topic_key};
