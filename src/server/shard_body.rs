//! What one shard of the broker does, from start to stop, on either side of `io`.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_lite::future::or;

use super::acceptor::Acceptor;
use super::broker::BrokerInfo;
use super::connection::serve;
use super::connections::{ConnectionCounts, Connections};
use super::monitor::{self, Monitor, SnapshotRequests};
use super::node::{Endpoint, Node};
use crate::config::BrokerConfig;
use crate::io::{Listener, Reactor, Semaphore, StopSignal};
use crate::metrics::Gauge;
use crate::shard::{ServerEvent, Shard, ShardError, ShardPlan};
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
            serve_connections(&reactor, &plan, &shard, start.cluster_id, start.address);
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
        acceptor,
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
    let serving = or(Rc::clone(&acceptor).run(), observed);
    let stopped = or(reactor.stopped(&plan.stop), shard.failed());
    or(serving, stopped).await;
    acceptor.drain().await;
    drop(acceptor);
    shard.drain_connections().await;
    shard.close().await
}

/// What shard 0 has started.
struct Started {
    acceptor: Rc<Acceptor>,
    monitor: Rc<Monitor>,
    /// Where the monitor's pages are served.
    pages: Option<Listener>,
    info: BrokerInfo,
}

/// Everything up to the moment when clients can be served.
async fn start(reactor: &Reactor, plan: &BrokerPlan, shard: &Shard) -> Result<Started, ShardError> {
    let started = reactor.now();
    // First of all: two brokers on one port would share its clients.
    let listener = listen(reactor, &plan.config).await?;
    let pages = monitor::listen(reactor, plan.config.metrics_listener.as_ref()).await?;
    let address = listener.local_address();
    let opened = shard.open_all(address).await?;
    shard.start_servers(&opened.cluster_id, address).await;
    serve_connections(
        reactor,
        plan,
        shard,
        Arc::clone(&opened.cluster_id),
        address,
    );
    let info = BrokerInfo {
        address,
        cluster_id: opened.cluster_id.to_string(),
        shard_count: reactor.shard_count(),
        partition_count: opened.partition_count,
        disk: opened.disk,
        metrics_address: pages.as_ref().map(Listener::local_address),
    };
    let monitor = Monitor {
        reactor: reactor.clone(),
        shard: shard.clone(),
        config: Arc::clone(&plan.config),
        cluster_id: opened.cluster_id,
        address,
        advertised: endpoint(&plan.config, address),
        started,
    };
    let acceptor = Acceptor {
        reactor: reactor.clone(),
        listener,
        shard: shard.clone(),
        counts: plan.counts.clone(),
        connections_max: plan.config.max_connections,
    };
    Ok(Started {
        acceptor: Rc::new(acceptor),
        monitor: Rc::new(monitor),
        pages,
        info,
    })
}

async fn listen(reactor: &Reactor, config: &BrokerConfig) -> Result<Listener, ShardError> {
    let listener = &config.listeners[0];
    let bound = bind(reactor, &listener.host, listener.port).await;
    bound.map_err(|reason| ShardError::Listen {
        listener: listener.to_string(),
        reason,
    })
}

/// Listens on an address of this host; the error says why not, and what to do.
pub(super) async fn bind(reactor: &Reactor, host: &str, port: u16) -> Result<Listener, String> {
    let foreign = |error: std::io::Error| format!("{error}; name an address of this host");
    let addresses = reactor.resolve(host, port).await.map_err(foreign)?;
    let Some(&address) = addresses.first() else {
        return Err("it has no address; name one of this host".to_owned());
    };
    let bound = reactor.listen(address).await;
    bound.map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => {
            "the port is in use; stop what listens there or choose another".to_owned()
        }
        _ => foreign(error),
    })
}

/// From now on this shard serves the connections that are handed to it.
fn serve_connections(
    reactor: &Reactor,
    plan: &BrokerPlan,
    shard: &Shard,
    cluster_id: Arc<str>,
    address: SocketAddr,
) {
    let node = Rc::new(Node {
        reactor: reactor.clone(),
        config: Arc::clone(&plan.config),
        shard: shard.clone(),
        cluster_id,
        endpoint: endpoint(&plan.config, address),
        request_memory: Semaphore::new(plan.config.shard_request_memory_bytes),
        connections: Connections::new(),
    });
    let probed = Rc::clone(&node);
    shard.on_snapshot(Rc::new(move |metrics| {
        let memory = &probed.request_memory;
        let used = memory.capacity() - memory.available();
        for (gauge, value) in [
            (Gauge::RequestMemoryBytes, used),
            (Gauge::RequestMemoryLimitBytes, memory.capacity()),
            (Gauge::RequestMemoryWaiters, memory.waiter_count()),
        ] {
            metrics.set(gauge, i64::try_from(value).unwrap_or(i64::MAX));
        }
    }));
    let (reaping, idle_max) = (Rc::clone(&node), plan.config.connections_max_idle);
    reactor
        .spawn(async move { reaping.connections.reap(&reaping.reactor, idle_max).await })
        .detach();
    let counts = plan.counts.clone();
    shard.on_server_event(Rc::new(move |event| match event {
        ServerEvent::Connection(accepted) => {
            let (node, counts) = (Rc::clone(&node), counts.clone());
            let shard_index = node.reactor.shard().index();
            let reactor = node.reactor.clone();
            let serving = async move {
                match node.reactor.adopt(accepted) {
                    Ok(stream) => serve(Rc::clone(&node), stream).await,
                    Err(error) => tracing::warn!(%error, "a connection could not be served"),
                }
                counts.remove(shard_index);
            };
            reactor.spawn(serving).detach();
        }
        ServerEvent::Drain(done) => {
            let node = Rc::clone(&node);
            let reactor = node.reactor.clone();
            let draining = async move {
                node.connections.drain(&node.reactor, DRAIN_TIME_MAX).await;
                done.send(());
            };
            reactor.spawn(draining).detach();
        }
    }));
}

/// What clients are told: the advertised listener, with the real port for port 0.
fn endpoint(config: &BrokerConfig, bound: SocketAddr) -> Endpoint {
    let advertised = &config.advertised_listeners[0];
    let host = if advertised.host.is_empty() {
        bound.ip().to_string()
    } else {
        advertised.host.clone()
    };
    let port = if advertised.port == 0 {
        bound.port()
    } else {
        advertised.port
    };
    Endpoint { host, port }
}
