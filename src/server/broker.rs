//! The broker of this machine: one thread a core.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use super::monitor::SnapshotRequests;
use super::shard_body::{BrokerPlan, run_shard};
use crate::config::BrokerConfig;
use crate::io::{self, ReactorOptions, StopSignal};
use crate::metrics::Snapshot;
use crate::shard::{LogDirState, ShardError};

/// How long shards may take to hand out their metrics; they need some milliseconds.
const SNAPSHOT_TIME_MAX: Duration = Duration::from_secs(5);

/// A broker that does not start says in one sentence why, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The machine lacks something: memory lock limit, descriptors, io_uring.
    #[error("{0}")]
    Machine(String),
    /// Directories, logs, addresses.
    #[error(transparent)]
    Shard(#[from] ShardError),
    /// A shard ended before the broker was ready.
    #[error("a shard ended while the broker started: {0}")]
    Ended(String),
}

/// What a started broker says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerInfo {
    /// What its first listener is bound to, with the real port.
    pub address: SocketAddr,
    /// All listeners, by name.
    pub listeners: Vec<(String, SocketAddr)>,
    pub cluster_id: String,
    pub shard_count: usize,
    pub partition_count: usize,
    /// Where the broker's own pages are, if anywhere.
    pub metrics_address: Option<SocketAddr>,
    /// In the order of `log.dirs`.
    pub log_dirs: Vec<LogDirState>,
    /// Lines that an operator should see at start: filesystem, journal, write cache.
    pub disk: Vec<String>,
}

/// A running broker. It runs until [`Broker::stop`]; dropping the handle lets it run.
pub struct Broker {
    info: BrokerInfo,
    stop: StopSignal,
    snapshot_requests: SnapshotRequests,
    shards: io::Shards<Result<(), ShardError>>,
}

/// Cores from which on an idle shard may poll for a while: on fewer, whoever else runs on the
/// machine, its clients for instance, needs that time (measured: a tenth of the broker's CPU time).
const SPINNING_CORES_MIN: usize = 4;

/// For how long an idle shard of `shard_count` on `core_count` cores polls before it sleeps.
fn default_spin(shard_count: usize, core_count: usize) -> Duration {
    if core_count >= SPINNING_CORES_MIN && shard_count <= core_count {
        Duration::from_micros(50)
    } else {
        Duration::ZERO
    }
}

impl Broker {
    /// Starts all shards and returns when clients can connect. Formats an empty directory.
    /// `stop` may be set from anywhere, a signal handler for example.
    pub fn start(config: BrokerConfig, stop: StopSignal) -> Result<Broker, StartError> {
        io::preflight().map_err(|error| StartError::Machine(error.to_string()))?;
        let available = io::available_cpus();
        let shard_count = config.shards.unwrap_or(available.len()).max(1);
        let spin_before_park = config
            .shard_spin_before_park
            .unwrap_or_else(|| default_spin(shard_count, available.len()));
        let cpus = if shard_count <= available.len() {
            available
        } else {
            Vec::new()
        };
        let options = ReactorOptions {
            name: "shard".to_owned(),
            shard_count,
            cpus: cpus.into_iter().take(shard_count).collect(),
            spin_before_park,
            ..ReactorOptions::default()
        };
        let (ready, started) = mpsc::channel();
        let ready = Arc::new(Mutex::new(ready));
        let report = move |result| {
            let _ = ready.lock().expect("no panic under this lock").send(result);
        };
        let plan = BrokerPlan::new(config, shard_count, stop.clone(), Arc::new(report));
        let snapshot_requests = plan.snapshot_requests();
        let shards = io::start(options, move |reactor| run_shard(reactor, plan.clone()))
            .map_err(|error| StartError::Machine(error.to_string()))?;
        match started.recv() {
            Ok(Ok(info)) => Ok(Broker {
                info,
                stop,
                snapshot_requests,
                shards,
            }),
            Ok(Err(error)) => {
                stop.set();
                drop(shards.join());
                Err(error.into())
            }
            Err(_) => Err(StartError::Ended(first_failure(shards))),
        }
    }

    pub fn info(&self) -> &BrokerInfo {
        &self.info
    }

    /// The metrics of all shards together, as they are now; `None` when the broker has stopped.
    pub fn snapshot(&self) -> Option<Snapshot> {
        let (sender, answer) = mpsc::channel();
        self.snapshot_requests.put(sender);
        let shards = answer.recv_timeout(SNAPSHOT_TIME_MAX).ok()?;
        Some(Snapshot::sum_of(&shards))
    }

    /// Stops accepting, answers what was read, flushes, writes the marker of a clean stop.
    pub fn stop(self) -> Result<(), StartError> {
        self.stop.set();
        self.wait()
    }

    /// Waits until the broker has stopped, by its stop signal or a failure.
    pub fn wait(self) -> Result<(), StartError> {
        for result in self.shards.join() {
            match result {
                Ok(outcome) => outcome?,
                Err(error) => return Err(StartError::Ended(error.to_string())),
            }
        }
        Ok(())
    }
}

fn first_failure(shards: io::Shards<Result<(), ShardError>>) -> String {
    for result in shards.join() {
        match result {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return error.to_string(),
            Err(error) => return error.to_string(),
        }
    }
    "no reason was given".to_owned()
}
