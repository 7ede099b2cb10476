//! Accepting connections and handing them out.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use super::connections::ConnectionCounts;
use super::descriptor_share::DescriptorShare;
use crate::io::{Accepted, Listener, Reactor};
use crate::metrics::Counter;
use crate::shard::{Incoming, Shard};
use crate::types::ShardId;

/// How long accepting pauses after an error that will not go away at once (EMFILE, ENFILE, ...).
const ACCEPT_ERROR_PAUSE: Duration = Duration::from_millis(100);

/// How often a place is looked for while there are `max.connections`.
const PLACE_POLL_INTERVAL: Duration = Duration::from_millis(10);

/// How long the queue of the kernel is still emptied at a stop: closing a listener resets what was
/// not accepted.
const FINAL_ACCEPT_WAIT: Duration = Duration::from_millis(1);

/// Connections that are still taken from one listener's queue at a stop; so many fit into it.
const FINAL_ACCEPT_COUNT_MAX: usize = 1024;

/// Addresses with a limit of their own, the names of the configuration looked up.
pub(super) type IpLimits = BTreeMap<IpAddr, usize>;

/// Accepts on one of shard 0's listeners.
pub(super) struct Acceptor {
    pub(super) reactor: Reactor,
    pub(super) listener: Listener,
    /// Its place in `listeners`.
    pub(super) index: usize,
    pub(super) shard: Shard,
    pub(super) counts: ConnectionCounts,
    pub(super) ip_limits: Rc<IpLimits>,
    /// What the listeners have in common.
    pub(super) descriptors: Rc<DescriptorShare>,
    /// What is not said again until it has ended.
    pub(super) told: Told,
}

/// What was said in the log.
#[derive(Default)]
pub(super) struct Told {
    is_full: Cell<bool>,
    lacks_descriptors: Cell<bool>,
    cannot_accept: Cell<bool>,
    ip_refused: Cell<Option<IpAddr>>,
}

impl Acceptor {
    /// Accepts until dropped. While there are `max.connections`, new ones wait in the kernel's
    /// queue, as with Kafka (`ConnectionQuotas`).
    pub(super) async fn run(self: Rc<Self>) {
        loop {
            self.place_free().await;
            self.descriptor_free().await;
            match self.listener.accept().await {
                Ok(accepted) => {
                    if self.told.cannot_accept.replace(false) {
                        tracing::info!("connections are accepted again");
                    }
                    self.place(accepted);
                }
                Err(error) => {
                    if !self.told.cannot_accept.replace(true) {
                        tracing::warn!(
                            %error,
                            "a connection could not be accepted, it is tried again and again; if \
                             descriptors ran out, raise RLIMIT_NOFILE or lower max.connections"
                        );
                    }
                    self.reactor.sleep(ACCEPT_ERROR_PAUSE).await;
                }
            }
        }
    }

    /// Hands out what the kernel still has queued.
    pub(super) async fn drain(&self) {
        for _ in 0..FINAL_ACCEPT_COUNT_MAX {
            let accept = self.listener.accept();
            match self.reactor.timeout(FINAL_ACCEPT_WAIT, accept).await {
                Some(Ok(accepted)) => self.place(accepted),
                _ => return,
            }
        }
    }

    async fn place_free(&self) {
        loop {
            let total = self.limit("max.connections");
            if self.counts.total() < total {
                break;
            }
            if !self.told.is_full.replace(true) {
                tracing::warn!(
                    "max.connections ({total}) are open: new ones wait until one has gone"
                );
            }
            self.reactor.sleep(PLACE_POLL_INTERVAL).await;
        }
        self.told.is_full.set(false);
    }

    async fn descriptor_free(&self) {
        while !self.descriptors.take(&self.reactor) {
            if !self.told.lacks_descriptors.replace(true) {
                tracing::warn!(
                    "descriptors run out: new connections wait until there are more than the log \
                     needs; raise RLIMIT_NOFILE or lower max.connections"
                );
            }
            self.reactor.sleep(ACCEPT_ERROR_PAUSE).await;
        }
        self.told.lacks_descriptors.set(false);
    }

    /// As it is set now: it may change while the broker runs.
    fn limit(&self, name: &str) -> usize {
        let limit = self.shard.broker_settings().settings().number(name);
        usize::try_from(limit).unwrap_or(0)
    }

    fn place(&self, accepted: Accepted) {
        // One that is gone already is found out by its shard.
        let Some(peer) = accepted.peer_address() else {
            return;
        };
        let ip = peer.ip().to_canonical();
        let own_limit = self.ip_limits.get(&ip).copied();
        let of_ip_max = own_limit.unwrap_or_else(|| self.limit("max.connections.per.ip"));
        let Some(to) = self.counts.add(ip, of_ip_max) else {
            self.shard.metrics().increment(Counter::ConnectionsRefused);
            if self.told.ip_refused.replace(Some(ip)) != Some(ip) {
                tracing::warn!(
                    "connections of {ip} refused: it has max.connections.per.ip, {of_ip_max}"
                );
            }
            return;
        };
        let to = ShardId(u16::try_from(to).expect("as many shards as fit a ShardId"));
        let incoming = Incoming {
            accepted,
            ip,
            listener: self.index,
        };
        self.shard.hand_over(to, incoming);
    }
}
