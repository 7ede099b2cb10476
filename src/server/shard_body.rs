//! What one shard of the broker does, from start to stop, on either side of `io`.

use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_lite::future::or;

use super::acceptor::{Acceptor, Told};
use super::broker::BrokerInfo;
use super::connection::serve;
use super::connections::{ConnectionCounts, Connections};
use super::descriptor_share::DescriptorShare;
use super::listeners;
use super::monitor::{self, Monitor, SnapshotRequests};
use super::node::Node;
use super::request_memory::RequestMemory;
use crate::config::BrokerConfig;
use crate::io::{Listener, Reactor, Semaphore, StopSignal};
use crate::log::Landmarks;
use crate::metrics::Gauge;
use crate::shard::{Broken, ServerEvent, ServerStart, Shard, ShardError, ShardPlan};
use crate::types::ShardId;

/// How long connections may take to send their last answers at a stop.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(10);

type Report = Arc<dyn Fn(Result<BrokerInfo, ShardError>) + Send + Sync>;

/// What all shards of a broker share; made once, cloned to each.
#[derive(Clone)]
pub struct BrokerPlan {
    config: Arc<BrokerConfig>,
    shards: ShardPlan,
    counts: ConnectionCounts,
    stop: StopSignal,
    report: Report,
    snapshot_requests: SnapshotRequests,
}

impl BrokerPlan {
    /// `report` is called once, by shard 0, when clients can connect or the start has failed.
    pub fn new(
        config: BrokerConfig,
        shard_count: usize,
        stop: StopSignal,
        report: Report,
    ) -> BrokerPlan {
        let config = Arc::new(config);
        BrokerPlan {
            shards: ShardPlan::new(Arc::clone(&config), shard_count),
            config,
            counts: ConnectionCounts::new(shard_count),
            stop,
            report,
            snapshot_requests: SnapshotRequests::default(),
        }
    }

    /// For simulations alone: what is done wrong, landmarks that are counted.
    pub fn instrumented(self, broken: Broken, landmarks: Landmarks) -> BrokerPlan {
        BrokerPlan {
            shards: self.shards.instrumented(broken, landmarks),
            ..self
        }
    }

    /// Where other threads ask for metrics.
    pub(super) fn snapshot_requests(&self) -> SnapshotRequests {
        self.snapshot_requests.clone()
    }
}

/// Runs one shard until the plan's stop signal is set or the shard fails.
pub async fn run_shard(reactor: Reactor, plan: BrokerPlan) -> Result<(), ShardError> {
    let shard = Shard::join(&reactor, plan.shards.clone()).await;
    if reactor.shard() == ShardId(0) {
        let outcome = run_first_shard(&reactor, &plan, &shard).await;
        shard.end_all().await;
        outcome
    } else {
        let node = shard.wait_for_server_start().await;
        if let Some(start) = node {
            serve_connections(&reactor, &plan, &shard, start);
        }
        shard.ended().await;
        Ok(())
    }
}

async fn run_first_shard(
    reactor: &Reactor,
    plan: &BrokerPlan,
    shard: &Shard,
) -> Result<(), ShardError> {
    let started = start(reactor, plan, shard).await;
    let Started {
        acceptors,
        monitor,
        pages,
        info,
    } = match started {
        Ok(started) => started,
        Err(error) => {
            (plan.report)(Err(error.clone()));
            return Err(error);
        }
    };
    (plan.report)(Ok(info));
    let observed = async {
        let answering = Rc::clone(&monitor).answer(&plan.snapshot_requests);
        match pages {
            Some(listener) => or(monitor.serve_pages(listener), answering).await,
            None => answering.await,
        }
    };
    let stopped = or(reactor.stopped(&plan.stop), shard.failed());
    let mut until_stop: Pin<Box<dyn Future<Output = ()>>> = Box::pin(or(observed, stopped));
    for acceptor in &acceptors {
        until_stop = Box::pin(or(Rc::clone(acceptor).run(), until_stop));
    }
    until_stop.await;
    for acceptor in &acceptors {
        acceptor.drain().await;
    }
    drop(acceptors);
    shard.drain_connections().await;
    shard.close().await
}

/// What shard 0 has started.
struct Started {
    /// One for each listener.
    acceptors: Vec<Rc<Acceptor>>,
    monitor: Rc<Monitor>,
    /// Where the monitor's pages are served.
    pages: Option<Listener>,
    info: BrokerInfo,
}

/// Everything up to the moment when clients can be served.
async fn start(reactor: &Reactor, plan: &BrokerPlan, shard: &Shard) -> Result<Started, ShardError> {
    let started = reactor.now();
    // First of all: two brokers on one port would share its clients.
    let bound = listeners::bind_all(reactor, &plan.config).await?;
    let pages = monitor::listen(reactor, plan.config.metrics_listener.as_ref()).await?;
    let overrides = listeners::ip_overrides(reactor, &plan.config).await?;
    let addresses: Vec<SocketAddr> = bound.iter().map(Listener::local_address).collect();
    let endpoints = listeners::endpoints(reactor, &plan.config, &addresses);
    let advertised = endpoints.iter().flatten().cloned().collect();
    let opened = shard.open_all(advertised, &plan.shards).await?;
    let start = ServerStart {
        cluster_id: Arc::clone(&opened.cluster_id),
        endpoints: Arc::clone(&endpoints),
    };
    shard.start_servers(&start).await;
    serve_connections(reactor, plan, shard, start);
    let names = plan.config.listeners.iter().map(|l| l.name.clone());
    let info = BrokerInfo {
        address: addresses[0],
        listeners: names.zip(addresses.iter().copied()).collect(),
        cluster_id: opened.cluster_id.to_string(),
        shard_count: reactor.shard_count(),
        partition_count: opened.partition_count,
        log_dirs: opened.log_dirs,
        disk: opened.disk,
        metrics_address: pages.as_ref().map(Listener::local_address),
    };
    let monitor = Monitor {
        reactor: reactor.clone(),
        shard: shard.clone(),
        config: Arc::clone(&plan.config),
        cluster_id: opened.cluster_id,
        bound: addresses,
        endpoints,
        started,
    };
    let ip_limits = Rc::new(overrides);
    let descriptors = Rc::new(DescriptorShare::default());
    let acceptors = bound.into_iter().enumerate().map(|(index, listener)| {
        Rc::new(Acceptor {
            reactor: reactor.clone(),
            listener,
            index,
            shard: shard.clone(),
            counts: plan.counts.clone(),
            ip_limits: Rc::clone(&ip_limits),
            descriptors: Rc::clone(&descriptors),
            told: Told::default(),
        })
    });
    Ok(Started {
        acceptors: acceptors.collect(),
        monitor: Rc::new(monitor),
        pages,
        info,
    })
}

/// From now on this shard serves the connections that are handed to it.
///
/// The task that reaps them owns the node: what the shard calls only points at it, since the node
/// owns the shard.
fn serve_connections(reactor: &Reactor, plan: &BrokerPlan, shard: &Shard, start: ServerStart) {
    let node = Rc::new(Node {
        reactor: reactor.clone(),
        config: Arc::clone(&plan.config),
        shard: shard.clone(),
        cluster_id: start.cluster_id,
        endpoints: start.endpoints,
        request_memory: request_memory(&plan.config, reactor.shard_count()),
        response_memory: Semaphore::new(plan.config.shard_response_memory_bytes),
        unpacking: Semaphore::new(1),
        connections: Connections::new(),
    });
    let probed = Rc::downgrade(&node);
    shard.on_snapshot(Rc::new(move |metrics| {
        let Some(probed) = probed.upgrade() else {
            return;
        };
        let memory = &probed.request_memory;
        let answers = &probed.response_memory;
        for (gauge, value) in [
            (Gauge::RequestMemoryBytes, memory.used()),
            (
                Gauge::ResponseMemoryBytes,
                answers.capacity() - answers.available(),
            ),
            (Gauge::RequestMemoryLimitBytes, memory.capacity()),
            (Gauge::RequestMemoryWaiters, memory.waiter_count()),
        ] {
            metrics.set(gauge, i64::try_from(value).unwrap_or(i64::MAX));
        }
    }));
    let (reaped, idle_max) = (Rc::clone(&node), plan.config.connections_max_idle);
    let reaping = async move {
        let metrics = reaped.shard.metrics();
        let memory = &reaped.request_memory;
        let connections = &reaped.connections;
        connections
            .reap(&reaped.reactor, metrics, memory, idle_max)
            .await;
    };
    reactor.spawn(reaping).detach();
    let (told, counts) = (Rc::downgrade(&node), plan.counts.clone());
    shard.on_server_event(Rc::new(move |event| {
        if let Some(node) = told.upgrade() {
            handle(&node, &counts, event);
        }
    }));
}

fn handle(node: &Rc<Node>, counts: &ConnectionCounts, event: ServerEvent) {
    match event {
        ServerEvent::Connection(incoming) => {
            let (node, counts) = (Rc::clone(node), counts.clone());
            let shard_index = node.reactor.shard().index();
            let reactor = node.reactor.clone();
            let serving = async move {
                match node.reactor.adopt(incoming.accepted) {
                    Ok(stream) => serve(Rc::clone(&node), stream, incoming.listener).await,
                    Err(error) => tracing::warn!(%error, "a connection could not be served"),
                }
                counts.remove(incoming.ip, shard_index);
            };
            reactor.spawn(serving).detach();
        }
        ServerEvent::Drain(done) => {
            let node = Rc::clone(node);
            let reactor = node.reactor.clone();
            let draining = async move {
                node.connections.drain(&node.reactor, DRAIN_TIME_MAX).await;
                done.send(());
            };
            reactor.spawn(draining).detach();
        }
    }
}

/// One shard's budget for requests.
fn request_memory(config: &BrokerConfig, shard_count: usize) -> RequestMemory {
    let own = config.shard_request_memory_bytes;
    let queued = config.queued_max_request_bytes;
    let capacity = queued.map_or(own, |all| own.min((all / shard_count).max(1)));
    RequestMemory::new(capacity, config.socket_request_max_bytes)
}
