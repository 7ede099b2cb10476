//! What every handler of a shard can see.

use std::sync::Arc;

use super::connections::Connections;
use crate::config::BrokerConfig;
use crate::io::{Reactor, Semaphore};
use crate::shard::Shard;

/// Where clients reach this broker through one of its listeners.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) host: String,
    pub(super) port: u16,
}

/// One shard's part of the broker, as its connections and handlers see it.
pub(super) struct Node {
    pub(super) reactor: Reactor,
    pub(super) config: Arc<BrokerConfig>,
    pub(super) shard: Shard,
    pub(super) cluster_id: Arc<str>,
    /// What is advertised.
    pub(super) endpoint: Endpoint,
    /// Bytes of requests that may be read and not yet answered.
    pub(super) request_memory: Semaphore,
    pub(super) connections: Connections,
}
