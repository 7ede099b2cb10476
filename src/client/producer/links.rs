//! What the sender needs of the cluster: leaders, a connection to each, a producer id.

use std::rc::Rc;

use super::accumulator::Partition;
use super::sender::{Shared, TopicState, Wake};
use crate::client::backoff::Backoff;
use crate::client::cluster_view::TopicView;
use crate::client::connection::Connection;
use crate::client::error::ClientError;
use crate::protocol::ApiKey;
use crate::protocol::messages::InitProducerIdRequest;
use crate::types::{Monotonic, NodeId, PartitionIndex, ProducerEpoch, ProducerId};

/// The producer id.
pub(super) enum Identity {
    NotNeeded,
    Unknown,
    Asked,
    Known(ProducerId),
    /// The broker will not give one.
    Refused(ClientError),
}

/// Our connection to a leader.
pub(super) struct Broker {
    pub(super) connection: Option<Connection>,
    /// Since when batches are ready for it and it takes none.
    blocked_since: Option<Monotonic>,
    is_opening: bool,
    retry_at: Monotonic,
    backoff: Backoff,
}

impl Shared {
    /// Takes leaders and new partitions over from the client's view, when that has changed.
    pub(super) fn adopt_view(&self) {
        let generation = self.client.generation();
        if self.generation.replace(generation) == generation {
            return;
        }
        self.refresh_backoff.borrow_mut().reset();
        let view = self.client.view();
        for (name, state) in &*self.topics.borrow() {
            if let Some(topic) = view.topics.get(name) {
                self.adopt_topic(state, topic);
            }
        }
    }

    pub(super) fn adopt_topic(&self, state: &TopicState, view: &TopicView) {
        if view.error.is_error() {
            // It may come back; until then its batches wait for their delivery timeout.
            state
                .partitions
                .borrow()
                .iter()
                .for_each(|partition| partition.leader.set(None));
            return;
        }
        let mut partitions = state.partitions.borrow_mut();
        if state.identity.id.replace(view.topic_id) != view.topic_id {
            for partition in &*partitions {
                partition.queue.borrow_mut().topic_was_replaced();
            }
        }
        for index in partitions.len()..view.partitions.len() {
            let backoff = self.client.retry_backoff();
            let partition = Partition::new(&state.identity, index as PartitionIndex, backoff);
            partitions.push(Rc::new(partition));
        }
        for (partition, view) in partitions.iter().zip(&view.partitions) {
            partition.leader.set(view.leader);
        }
    }

    /// Asks for new metadata, not more often than the backoff allows.
    pub(super) fn refresh(&self, now: Monotonic, wake: &mut Wake) {
        if self.refresh_at.get() <= now {
            self.client.start_refresh();
            let pause = self.refresh_backoff.borrow_mut().next(&self.reactor);
            self.refresh_at.set(now + pause);
        }
        wake.before(self.refresh_at.get());
    }

    /// Remembers why nothing can be sent.
    pub(super) fn obstruct(&self, reason: &dyn ToString) {
        self.obstacle.replace(Some(reason.to_string().into()));
    }

    /// The connection to a leader; if there is none it is being opened, or will be at `wake`.
    pub(super) fn connection(
        self: &Rc<Self>,
        node: NodeId,
        now: Monotonic,
        wake: &mut Wake,
    ) -> Option<Connection> {
        let mut brokers = self.brokers.borrow_mut();
        let broker = brokers.entry(node).or_insert_with(|| Broker {
            connection: None,
            blocked_since: None,
            is_opening: false,
            retry_at: now,
            backoff: self.client.reconnect_backoff(),
        });
        if let Some(connection) = &broker.connection {
            let Some(error) = connection.ended() else {
                return Some(connection.clone());
            };
            broker.connection = None;
            broker.retry_at = now + broker.backoff.next(&self.reactor);
            self.obstruct(&error);
            // The leader may have moved with its broker's end.
            self.refresh(now, wake);
        }
        if broker.is_opening {
            return None;
        }
        if broker.retry_at > now {
            wake.before(broker.retry_at);
            return None;
        }
        broker.is_opening = true;
        self.reactor
            .spawn(open_connection(Rc::clone(self), node))
            .detach();
        None
    }

    /// Notes whether a broker for which batches were ready has taken any.
    pub(super) fn offered(&self, node: NodeId, now: Monotonic, has_taken: bool) {
        if let Some(broker) = self.brokers.borrow_mut().get_mut(&node) {
            broker.blocked_since = match has_taken {
                true => None,
                false => Some(broker.blocked_since.unwrap_or(now)),
            };
        }
    }

    /// Whether a broker has taken something within `availability_timeout`, or nothing was ready.
    pub(super) fn takes_batches(&self, node: NodeId, now: Monotonic) -> bool {
        let timeout = self.options.availability_timeout;
        if timeout.is_zero() {
            return true;
        }
        let brokers = self.brokers.borrow();
        let blocked_since = brokers.get(&node).and_then(|broker| broker.blocked_since);
        blocked_since.is_none_or(|since| now.since(since) <= timeout)
    }

    fn opened(&self, node: NodeId, result: Result<Connection, ClientError>) {
        let now = self.reactor.now();
        let mut brokers = self.brokers.borrow_mut();
        // Forgotten: the producer was closed meanwhile.
        let Some(broker) = brokers.get_mut(&node) else {
            if let Ok(connection) = result {
                connection.close(ClientError::Closed);
            }
            return;
        };
        broker.is_opening = false;
        match result {
            Ok(connection) => {
                broker.backoff.reset();
                broker.connection = Some(connection);
            }
            Err(error) => {
                broker.retry_at = now + broker.backoff.next(&self.reactor);
                self.obstruct(&error);
                self.refresh(now, &mut Wake::default());
            }
        }
        self.work.notify_all();
    }

    /// The producer id to send under, -1 without idempotence; `None` while it is asked for.
    pub(super) fn producer_id(self: &Rc<Self>) -> Option<ProducerId> {
        let mut identity = self.identity.borrow_mut();
        match &*identity {
            Identity::NotNeeded => Some(-1),
            Identity::Known(id) => Some(*id),
            Identity::Asked => None,
            Identity::Unknown => {
                *identity = Identity::Asked;
                self.reactor.spawn(ask_identity(Rc::clone(self))).detach();
                None
            }
            Identity::Refused(error) => {
                let error = error.clone();
                drop(identity);
                self.give_up_waiting(&error);
                None
            }
        }
    }

    /// The epoch for a partition that starts or restarts its sequence. `None` when the epochs of
    /// this producer id are used up: another one is asked for.
    pub(super) fn epoch_for(&self, is_new: bool) -> Option<ProducerEpoch> {
        if is_new {
            return Some(self.epoch.get());
        }
        let Some(epoch) = self.epoch.get().checked_add(1) else {
            self.identity.replace(Identity::Unknown);
            self.work.notify_all();
            return None;
        };
        self.epoch.set(epoch);
        Some(epoch)
    }
}

async fn open_connection(shared: Rc<Shared>, node: NodeId) {
    let result = shared.client.open(node).await;
    shared.opened(node, result);
}

/// Asks any broker for a producer id until it is given or refused for good.
async fn ask_identity(shared: Rc<Shared>) {
    let mut backoff = shared.client.retry_backoff();
    while !shared.is_closed.get() {
        match init_producer_id(&shared).await {
            Ok((id, epoch)) => {
                shared.epoch.set(epoch);
                shared.identity.replace(Identity::Known(id));
                break;
            }
            Err(error) if error.is_retriable() => {
                shared.obstruct(&error);
                shared.reactor.sleep(backoff.next(&shared.reactor)).await;
            }
            Err(error) => {
                shared.identity.replace(Identity::Refused(error));
                break;
            }
        }
    }
    shared.work.notify_all();
}

async fn init_producer_id(shared: &Shared) -> Result<(ProducerId, ProducerEpoch), ClientError> {
    let connection = shared.client.any_connection().await?;
    let version = connection.version(ApiKey::InitProducerId, i16::MAX)?;
    let request = InitProducerIdRequest::default()
        .with_transactional_id(None)
        .with_transaction_timeout_ms(i32::MAX)
        .with_producer_id((-1).into())
        .with_producer_epoch(-1);
    let response = connection.call(version, &request).await?;
    ClientError::check(response.error_code, || "producer id".into(), None)?;
    Ok((response.producer_id.0, response.producer_epoch))
}
