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

pub use lookup::{Theme, broker_key, keys, themes, topic_key};
