//! What the broker says of its metadata.

use std::sync::{Arc, PoisonError, RwLock};

use crate::config::{BrokerConfig, DynamicBrokerConfig};
use crate::metadata::MetadataImage;

/// What clients are told, the same on all shards at every moment: else a client that asks two
/// shards would see a change go back. A shard has a new image a little earlier: once it is here,
/// all serve by it. Shard 0 writes, who describes something reads; the requests for records have
/// their shard's own image.
#[derive(Clone)]
pub(super) struct Published {
    now: Arc<RwLock<Metadata>>,
}

#[derive(Clone)]
struct Metadata {
    image: Arc<MetadataImage>,
    settings: Arc<DynamicBrokerConfig>,
}

impl Published {
    pub(super) fn new(config: &Arc<BrokerConfig>) -> Published {
        let metadata = Metadata {
            image: Arc::default(),
            settings: Arc::new(DynamicBrokerConfig::new(Arc::clone(config))),
        };
        Published {
            now: Arc::new(RwLock::new(metadata)),
        }
    }

    pub(super) fn publish(&self, image: Arc<MetadataImage>, settings: Arc<DynamicBrokerConfig>) {
        let mut now = self.now.write().unwrap_or_else(PoisonError::into_inner);
        *now = Metadata { image, settings };
    }

    pub(super) fn image(&self) -> Arc<MetadataImage> {
        self.metadata().image
    }

    /// The broker's settings, with what the image says of them.
    pub(super) fn settings(&self) -> Arc<DynamicBrokerConfig> {
        self.metadata().settings
    }

    fn metadata(&self) -> Metadata {
        let now = self.now.read().unwrap_or_else(PoisonError::into_inner);
        now.clone()
    }
}
