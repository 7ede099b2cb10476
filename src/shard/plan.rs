//! What all shards of a broker start from.

use std::sync::Arc;

use super::Broken;
use super::message::Message;
use super::published::Published;
use super::startup::DirectoryLocks;
use crate::config::BrokerConfig;
use crate::io::MeshBuilder;
use crate::log::Landmarks;

/// Made once, cloned to each shard.
#[derive(Clone)]
pub struct ShardPlan {
    pub(super) config: Arc<BrokerConfig>,
    pub(super) mesh: MeshBuilder<Message>,
    pub(super) broken: Broken,
    pub(super) landmarks: Landmarks,
    pub(super) published: Published,
    pub(super) locks: DirectoryLocks,
}

impl ShardPlan {
    pub fn new(config: Arc<BrokerConfig>, shard_count: usize) -> ShardPlan {
        ShardPlan {
            published: Published::new(&config),
            config,
            mesh: MeshBuilder::new(shard_count),
            broken: Broken::default(),
            landmarks: Landmarks::default(),
            locks: DirectoryLocks::default(),
        }
    }

    /// For simulations alone: what is done wrong, and what is counted.
    pub fn instrumented(self, broken: Broken, landmarks: Landmarks) -> ShardPlan {
        ShardPlan {
            broken,
            landmarks,
            ..self
        }
    }
}
