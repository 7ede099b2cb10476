//! What all shards of a broker start from.

use std::sync::Arc;

use super::message::Message;
use crate::config::BrokerConfig;
use crate::io::MeshBuilder;
use crate::log::{BrokenRule, Landmarks};

/// Made once, cloned to each shard.
#[derive(Clone)]
pub struct ShardPlan {
    pub(super) config: Arc<BrokerConfig>,
    pub(super) mesh: MeshBuilder<Message>,
    pub(super) broken_rule: Option<BrokenRule>,
    pub(super) landmarks: Landmarks,
}

impl ShardPlan {
    pub fn new(config: Arc<BrokerConfig>, shard_count: usize) -> ShardPlan {
        ShardPlan {
            config,
            mesh: MeshBuilder::new(shard_count),
            broken_rule: None,
            landmarks: Landmarks::default(),
        }
    }

    /// For simulations alone: a rule that the logs do not keep, and what they count.
    pub fn instrumented(self, broken_rule: Option<BrokenRule>, landmarks: Landmarks) -> ShardPlan {
        ShardPlan {
            broken_rule,
            landmarks,
            ..self
        }
    }
}
