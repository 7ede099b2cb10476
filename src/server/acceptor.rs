//! Accepting connections and handing them out.

use std::rc::Rc;
use std::time::Duration;

use super::connections::ConnectionCounts;
use crate::io::{Accepted, Listener, Reactor};
use crate::shard::Shard;
use crate::types::ShardId;

/// How long accepting pauses after an error that will not go away at once (EMFILE, ENFILE, ...).
const ACCEPT_ERROR_PAUSE: Duration = Duration::from_millis(100);

/// How long the queue of the kernel is still emptied at a stop: closing a listener resets what was
/// not accepted.
const FINAL_ACCEPT_WAIT: Duration = Duration::from_millis(1);

/// Shard 0's acceptor.
pub(super) struct Acceptor {
    pub(super) reactor: Reactor,
    pub(super) listener: Listener,
    pub(super) shard: Shard,
    pub(super) counts: ConnectionCounts,
    pub(super) connections_max: usize,
}

impl Acceptor {
    /// Accepts until dropped.
    pub(super) async fn run(self: Rc<Self>) {
        loop {
            match self.listener.accept().await {
                Ok(accepted) => self.place(accepted),
                Err(error) => {
                    tracing::warn!(
                        %error,
                        "a connection could not be accepted; if descriptors ran out, raise \
                         RLIMIT_NOFILE or lower max.connections"
                    );
                    self.reactor.sleep(ACCEPT_ERROR_PAUSE).await;
                }
            }
        }
    }

    /// Hands out what the kernel still has queued.
    pub(super) async fn drain(&self) {
        while let Some(Ok(accepted)) = self
            .reactor
            .timeout(FINAL_ACCEPT_WAIT, self.listener.accept())
            .await
        {
            self.place(accepted);
        }
    }

    fn place(&self, accepted: Accepted) {
        if self.counts.total() >= self.connections_max {
            tracing::warn!(
                "connection refused: max.connections ({}) are open",
                self.connections_max
            );
            return;
        }
        let to = self.counts.least_loaded();
        self.counts.add(to);
        let to = ShardId(u16::try_from(to).expect("as many shards as fit a ShardId"));
        self.shard.hand_over(to, accepted);
    }
}
