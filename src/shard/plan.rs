//! What all shards of a broker start from.

use std::sync::Arc;

use super::message::Message;
use crate::config::BrokerConfig;
use crate::io::MeshBuilder;

/// Made once, cloned to each shard.
#[derive(Clone)]
pub struct ShardPlan {
    pub(super) config: Arc<BrokerConfig>,
    pub(super) mesh: MeshBuilder<Message>,
}

impl ShardPlan {
    pub fn new(config: Arc<BrokerConfig>, shard_count: usize) -> ShardPlan {
        ShardPlan {
            config,
            mesh: MeshBuilder::new(shard_count),
        }
    }
}
