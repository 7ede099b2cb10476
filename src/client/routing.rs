//! Which broker leads what, and connections to it.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use super::backoff::Backoff;
use super::cluster_view::{BrokerAddress, ClusterView, TopicView};
use super::connection::Connection;
use super::error::ClientError;
use super::options::ClientOptions;
use crate::io::{Notify, Reactor, Semaphore};
use crate::protocol::messages::metadata_request::MetadataRequestTopic;
use crate::protocol::messages::{MetadataRequest, TopicName};
use crate::protocol::{ApiKey, StrBytes};
use crate::types::{ErrorCode, Monotonic, NodeId, PartitionIndex};

/// A cluster as its clients see it. Clones share the cache and the connections for short calls.
#[derive(Clone)]
pub struct Client {
    inner: Rc<Inner>,
}

struct Inner {
    reactor: Reactor,
    options: ClientOptions,
    bootstrap: Vec<BrokerAddress>,
    view: RefCell<Rc<ClusterView>>,
    /// Goes up with each refresh.
    generation: Cell<u64>,
    refreshed_at: Cell<Monotonic>,
    /// Topics that somebody works with: each refresh asks for all of them.
    wanted: RefCell<BTreeSet<Arc<str>>>,
    is_refreshing: Cell<bool>,
    /// How the last refresh ended.
    last_refresh: RefCell<Result<(), ClientError>>,
    refreshed: Notify,
    /// For metadata, and for admin calls that any broker answers.
    any: RefCell<Option<Connection>>,
    by_node: RefCell<BTreeMap<NodeId, Connection>>,
    /// One task at a time opens a shared connection.
    opening: Semaphore,
}

impl Client {
    /// Reaches one of the bootstrap servers and learns the brokers.
    ///
    /// [`ClientError::Unreachable`] names the last reason when none of them answers.
    pub async fn connect(reactor: &Reactor, options: ClientOptions) -> Result<Client, ClientError> {
        let servers = options.bootstrap_servers.iter();
        let bootstrap = servers
            .map(|server| BrokerAddress::parse(server))
            .collect::<Result<Vec<_>, _>>()?;
        if bootstrap.is_empty() {
            return Err(ClientError::Invalid("no bootstrap server was given".into()));
        }
        let client = Client {
            inner: Rc::new(Inner {
                reactor: reactor.clone(),
                options,
                bootstrap,
                view: RefCell::default(),
                generation: Cell::new(0),
                refreshed_at: Cell::new(reactor.now()),
                wanted: RefCell::default(),
                is_refreshing: Cell::new(false),
                last_refresh: RefCell::new(Ok(())),
                refreshed: Notify::new(),
                any: RefCell::default(),
                by_node: RefCell::default(),
                opening: Semaphore::new(1),
            }),
        };
        client.refresh().await?;
        Ok(client)
    }

    pub fn reactor(&self) -> &Reactor {
        &self.inner.reactor
    }

    pub fn options(&self) -> &ClientOptions {
        &self.inner.options
    }

    /// What is known now, without asking.
    pub fn view(&self) -> Rc<ClusterView> {
        Rc::clone(&self.inner.view.borrow())
    }

    /// Goes up when [`Client::view`] changes.
    pub fn generation(&self) -> u64 {
        self.inner.generation.get()
    }

    /// Completes after the next refresh, whoever causes it.
    pub(super) fn refreshed(&self) -> Notify {
        self.inner.refreshed.clone()
    }

    /// Asks for the metadata of all topics in use, once; joins a refresh that is under way.
    pub async fn refresh(&self) -> Result<Rc<ClusterView>, ClientError> {
        let refreshed = self.inner.refreshed.notified();
        self.start_refresh();
        refreshed.await;
        self.inner.last_refresh.borrow().clone()?;
        Ok(self.view())
    }

    /// As [`Client::topic`]. When the picture has no such partition it is taken anew, once: the
    /// partition may have been added since.
    pub(super) async fn topic_with(
        &self,
        name: &str,
        partition: PartitionIndex,
    ) -> Result<TopicView, ClientError> {
        let known = self.topic(name).await?;
        let index = usize::try_from(partition);
        if index.map_or(true, |index| index < known.partitions.len()) {
            return Ok(known);
        }
        self.refresh().await?;
        self.topic(name).await
    }

    /// Starts a refresh in the background if none is under way.
    pub(super) fn start_refresh(&self) {
        if self.inner.is_refreshing.replace(true) {
            return;
        }
        // A task of its own, so that a caller that gives up does not leave it half done.
        let client = self.clone();
        let refresh = async move {
            let result = client.fetch_metadata().await;
            client.inner.is_refreshing.set(false);
            *client.inner.last_refresh.borrow_mut() = result;
            client.inner.refreshed.notify_all();
        };
        self.inner.reactor.spawn(refresh).detach();
    }

    async fn fetch_metadata(&self) -> Result<(), ClientError> {
        let connection = self.any_connection().await?;
        let version = connection.version(ApiKey::Metadata, i16::MAX)?;
        let wanted = self.inner.wanted.borrow().clone();
        let topics = wanted.iter().map(|name| {
            let name = StrBytes::from_string(name.to_string());
            MetadataRequestTopic::default().with_name(Some(TopicName(name)))
        });
        let request = MetadataRequest::default()
            .with_topics(Some(topics.collect()))
            .with_allow_auto_topic_creation(
                version < 4 || self.inner.options.allow_auto_create_topics,
            );
        let response = connection.call(version, &request).await?;
        ClientError::check(response.error_code, || "metadata".into(), None)?;
        let view = self.view().updated(&response);
        self.inner.view.replace(Rc::new(view));
        self.inner.refreshed_at.set(self.inner.reactor.now());
        self.inner.generation.set(self.inner.generation.get() + 1);
        Ok(())
    }

    /// Refreshes in the background when the view is older than `metadata.max.age.ms`.
    pub(super) fn refresh_if_old(&self) {
        let age = self.inner.reactor.now() - self.inner.refreshed_at.get();
        if age > self.inner.options.metadata_max_age {
            self.start_refresh();
        }
    }

    /// A topic that exists and all of whose partitions are known, waiting for it (and its
    /// creation, where that is allowed) up to `api_timeout`.
    pub async fn topic(&self, name: &str) -> Result<TopicView, ClientError> {
        let deadline = self.inner.reactor.now() + self.inner.options.api_timeout;
        let mut backoff = self.retry_backoff();
        let mut must_refresh = self.inner.wanted.borrow_mut().insert(name.into());
        loop {
            let error = match if must_refresh {
                self.refresh().await
            } else {
                Ok(self.view())
            } {
                Err(error) => error,
                Ok(view) => match view.topics.get(name) {
                    Some(topic) if !topic.error.is_error() => return Ok(topic.clone()),
                    known => {
                        let code = known.map_or(ErrorCode::UnknownTopicOrPartition, |t| t.error);
                        let subject = || format!("topic `{name}`");
                        ClientError::check(code.code(), subject, None)
                            .expect_err("an error code is an error")
                    }
                },
            };
            must_refresh = true;
            let is_hopeless = error.code() == Some(ErrorCode::UnknownTopicOrPartition)
                && !self.inner.options.allow_auto_create_topics;
            let pause = backoff.next(&self.inner.reactor);
            let is_late = self.inner.reactor.now() + pause > deadline;
            if !error.is_retriable() || is_late || (is_hopeless && backoff.attempts() > 1) {
                self.inner.wanted.borrow_mut().remove(name);
                return Err(error);
            }
            self.inner.reactor.sleep(pause).await;
        }
    }

    /// A shared connection to one broker, for short calls.
    pub(super) async fn connection(&self, node: NodeId) -> Result<Connection, ClientError> {
        let _turn = self.inner.opening.acquire(1).await;
        if let Some(known) = self.inner.by_node.borrow().get(&node)
            && known.ended().is_none()
        {
            return Ok(known.clone());
        }
        let connection = self.open(node).await?;
        self.inner
            .by_node
            .borrow_mut()
            .insert(node, connection.clone());
        Ok(connection)
    }

    /// A new connection to one broker, the caller's own.
    pub async fn open(&self, node: NodeId) -> Result<Connection, ClientError> {
        let address = self.view().brokers.get(&node).cloned();
        let address = address.ok_or(ClientError::UnknownBroker(node))?;
        Connection::open(&self.inner.reactor, &address, &self.inner.options).await
    }

    /// A shared connection to any broker: the known ones first, then the bootstrap servers.
    pub(super) async fn any_connection(&self) -> Result<Connection, ClientError> {
        let _turn = self.inner.opening.acquire(1).await;
        if let Some(known) = &*self.inner.any.borrow()
            && known.ended().is_none()
        {
            return Ok(known.clone());
        }
        let view = self.view();
        let mut last: Arc<str> = "no address".into();
        for address in view.brokers.values().chain(&self.inner.bootstrap) {
            match Connection::open(&self.inner.reactor, address, &self.inner.options).await {
                Ok(connection) => {
                    self.inner.any.replace(Some(connection.clone()));
                    return Ok(connection);
                }
                Err(error) => last = error.to_string().into(),
            }
        }
        Err(ClientError::Unreachable {
            servers: self.inner.options.bootstrap_servers.join(",").into(),
            reason: last,
        })
    }

    pub(super) fn retry_backoff(&self) -> Backoff {
        let options = &self.inner.options;
        Backoff::new(options.retry_backoff, options.retry_backoff_max)
    }

    pub(super) fn reconnect_backoff(&self) -> Backoff {
        let options = &self.inner.options;
        Backoff::new(options.reconnect_backoff, options.reconnect_backoff_max)
    }
}
