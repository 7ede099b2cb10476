//! What every handler of a shard can see.

use std::sync::Arc;

use super::connections::Connections;
use super::request_memory::RequestMemory;
use crate::config::BrokerConfig;
use crate::io::{Reactor, Semaphore};
use crate::metadata::Endpoint;
use crate::shard::Shard;

/// One shard's part of the broker, as its connections and handlers see it.
pub(super) struct Node {
    pub(super) reactor: Reactor,
    pub(super) config: Arc<BrokerConfig>,
    pub(super) shard: Shard,
    pub(super) cluster_id: Arc<str>,
    /// What clients are told, for each listener; `None` for one that is not advertised.
    pub(super) endpoints: Arc<[Option<Endpoint>]>,
    /// Bytes of requests that may be read and not yet answered.
    pub(super) request_memory: RequestMemory,
    /// Bytes of records that answers may hold.
    pub(super) response_memory: Semaphore,
    /// The right to validate a batch beside the shard's loop, which takes memory: one at a time.
    pub(super) unpacking: Semaphore,
    pub(super) connections: Connections,
}
