//! The broker's own pages: `/metrics`, `/status`; and snapshots for who embeds the broker.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use serde::Serialize;

use super::listeners;
use crate::config::{BrokerConfig, HostPort, MetricsListener};
use crate::http::{self, Request, Response, Status};
use crate::io::{Listener, Mailbox, Reactor, SocketBuffers};
use crate::metadata::Endpoint;
use crate::metrics::{Broker, CONTENT_TYPE, Counter, Gauge, Snapshot, prometheus_text};
use crate::protocol::ApiKey;
use crate::shard::{LogDirState, Shard, ShardError};
use crate::types::Monotonic;

/// A question for the metrics of all shards, from another thread; dropped when the broker stops.
pub(super) type SnapshotRequests = Mailbox<mpsc::Sender<Vec<Snapshot>>>;

/// What the pages are made from. Lives on shard 0.
pub(super) struct Monitor {
    pub(super) reactor: Reactor,
    pub(super) shard: Shard,
    pub(super) config: Arc<BrokerConfig>,
    pub(super) cluster_id: Arc<str>,
    /// What each listener is bound to.
    pub(super) bound: Vec<SocketAddr>,
    pub(super) endpoints: Arc<[Option<Endpoint>]>,
    pub(super) started: Monotonic,
}

/// Binds `metrics.listener`. One that was not asked for and cannot be had is gone without.
pub(super) async fn listen(
    reactor: &Reactor,
    wanted: Option<&MetricsListener>,
) -> Result<Option<Listener>, ShardError> {
    let Some(wanted) = wanted else {
        return Ok(None);
    };
    let (host, port) = (&wanted.address.host, wanted.address.port);
    let wait_max = match wanted.is_required {
        true => listeners::PORT_WAIT_MAX,
        false => Duration::ZERO,
    };
    let buffers = SocketBuffers::default();
    match listeners::bind(reactor, (host, port), buffers, wait_max).await {
        Ok(listener) => Ok(Some(listener)),
        Err(reason) if wanted.is_required => Err(ShardError::Listen {
            listener: format!("metrics.listener={}", wanted.address),
            reason,
        }),
        Err(reason) => {
            tracing::warn!(
                "no /metrics and /status: metrics.listener={} is the default, and {reason}",
                wanted.address
            );
            Ok(None)
        }
    }
}

impl Monitor {
    /// Serves the pages until dropped.
    pub(super) async fn serve_pages(self: Rc<Self>, listener: Listener) {
        let reactor = self.reactor.clone();
        let handler = Rc::new(move |request: Request| {
            let monitor = Rc::clone(&self);
            let answer = async move { monitor.page(&request).await };
            Box::pin(answer) as std::pin::Pin<Box<dyn Future<Output = Response>>>
        });
        http::serve(reactor, listener, handler).await;
    }

    /// Answers other threads until dropped.
    pub(super) async fn answer(self: Rc<Self>, requests: &SnapshotRequests) {
        loop {
            let asked = self.reactor.next_mail(requests).await;
            if let Some(snapshots) = self.shard.metrics_by_shard().await {
                // Who has gone does not want it any more.
                let _ = asked.send(snapshots);
            }
        }
    }

    async fn page(&self, request: &Request) -> Response {
        if !matches!(request.path.as_str(), "/metrics" | "/status") {
            return Response::refused(Status::NotFound, "there are /metrics and /status");
        }
        let Some(shards) = self.shard.metrics_by_shard().await else {
            return Response::refused(Status::Unavailable, "the broker is stopping");
        };
        let log_dirs = self.shard.log_dirs().await;
        match request.path.as_str() {
            "/metrics" => Response::ok(CONTENT_TYPE, self.metrics(&shards, &log_dirs)),
            _ => Response::ok("application/json", self.status(&shards, &log_dirs)),
        }
    }

    fn metrics(&self, shards: &[Snapshot], log_dirs: &[LogDirState]) -> String {
        let log_dirs = log_dirs.iter().map(|state| {
            let free_bytes = state.offline.is_none().then_some(state.free_bytes);
            (state.path.display().to_string(), free_bytes)
        });
        let broker = Broker {
            cluster_id: &self.cluster_id,
            node_id: self.config.node_id,
            uptime: self.reactor.now().since(self.started),
            log_dirs: &log_dirs.collect::<Vec<_>>(),
            api_name: |key| ApiKey::from_code(key).map(ApiKey::name),
        };
        prometheus_text(&broker, shards)
    }

    fn status(&self, shards: &[Snapshot], log_directories: &[LogDirState]) -> String {
        let listeners = self.config.listeners.iter();
        let listeners = listeners.zip(&self.bound).zip(self.endpoints.iter());
        let listeners = listeners.map(|((listener, bound), endpoint)| ListenerStatus {
            name: &listener.name,
            bound: bound.to_string(),
            advertised: endpoint.as_ref().map(|endpoint| {
                let (host, port) = (endpoint.host.to_string(), endpoint.port);
                HostPort { host, port }.to_string()
            }),
        });
        let log_dirs = self.config.log_dirs.iter();
        let status = BrokerStatus {
            version: env!("CARGO_PKG_VERSION"),
            cluster_id: &self.cluster_id,
            node_id: self.config.node_id,
            uptime_s: self.reactor.now().since(self.started).as_secs(),
            listeners: listeners.collect(),
            log_dirs: log_dirs.map(|path| path.display().to_string()).collect(),
            log_directories: log_directories.iter().map(LogDirStatus::new).collect(),
            topics: self.shard.image().topics().count(),
            shards: shards.iter().map(ShardStatus::new).collect(),
        };
        serde_json::to_string_pretty(&status).expect("plain data becomes JSON")
    }
}

/// What `/status` says. Fields are added, not changed.
#[derive(Serialize)]
struct BrokerStatus<'a> {
    version: &'static str,
    cluster_id: &'a str,
    node_id: i32,
    uptime_s: u64,
    listeners: Vec<ListenerStatus<'a>>,
    log_dirs: Vec<String>,
    /// In the order of `log_dirs`.
    log_directories: Vec<LogDirStatus>,
    topics: usize,
    /// In the order of their numbers.
    shards: Vec<ShardStatus>,
}

#[derive(Serialize)]
struct ListenerStatus<'a> {
    name: &'a str,
    bound: String,
    /// `null`: clients that come by it are told no address.
    advertised: Option<String>,
}

#[derive(Serialize)]
struct LogDirStatus {
    path: String,
    /// `null`: it could not be read at the start.
    directory_id: Option<String>,
    /// Why it is offline; `null` while it works.
    offline: Option<String>,
    free_bytes: u64,
    total_bytes: u64,
}

impl LogDirStatus {
    fn new(state: &LogDirState) -> LogDirStatus {
        LogDirStatus {
            path: state.path.display().to_string(),
            directory_id: state.directory_id.map(|id| id.to_string()),
            offline: state.offline.clone(),
            free_bytes: state.free_bytes,
            total_bytes: state.total_bytes,
        }
    }
}

#[derive(Serialize)]
struct ShardStatus {
    connections: i64,
    partitions: i64,
    offline_partitions: i64,
    log_size_bytes: i64,
    request_memory_bytes: i64,
    disk_errors: u64,
}

impl ShardStatus {
    fn new(snapshot: &Snapshot) -> ShardStatus {
        ShardStatus {
            connections: snapshot.gauge(Gauge::Connections),
            partitions: snapshot.gauge(Gauge::Partitions),
            offline_partitions: snapshot.gauge(Gauge::OfflinePartitions),
            log_size_bytes: snapshot.gauge(Gauge::LogSizeBytes),
            request_memory_bytes: snapshot.gauge(Gauge::RequestMemoryBytes),
            disk_errors: snapshot.counter(Counter::DiskErrors),
        }
    }
}
