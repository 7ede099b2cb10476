//! A broker in this process, on a directory of its own.

use std::net::SocketAddr;

use ringlog::config::BrokerConfig;
use ringlog::io::StopSignal;
use ringlog::metrics::Snapshot;
use ringlog::server::{Broker, BrokerInfo};
use tempfile::TempDir;

use crate::wire::Wire;

/// What every broker of the tests is started with: small, so that several fit beside each other.
const SMALL: &[&str] = &[
    "listeners=PLAINTEXT://127.0.0.1:0",
    "metrics.listener=127.0.0.1:0",
    "shards=2",
    "shard.spin.before.park.us=0",
    "shard.tail.cache.bytes=1048576",
    "shard.request.memory.bytes=16777216",
    "socket.request.max.bytes=8388608",
    "log.segment.bytes=1048576",
    "log.unflushed.bytes.max=4194304",
];

/// A log directory on a real disk, gone with the value.
pub(crate) fn directory() -> TempDir {
    tempfile::Builder::new()
        .prefix("it-")
        .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
        .expect("the target directory can be written")
}

/// `key=value` settings of a small broker on `directory`; the last of a key counts.
pub(crate) fn settings(directory: &std::path::Path, more: &[&str]) -> Vec<String> {
    let own = format!("log.dirs={}", directory.display());
    let all = SMALL.iter().chain(more).map(|&setting| setting.to_owned());
    std::iter::once(own).chain(all).collect()
}

/// `RINGLOG_LOG=warn cargo test ...` shows what the brokers log.
fn log_to_stderr() {
    if let Ok(filter) = std::env::var("RINGLOG_LOG") {
        let log = tracing_subscriber::fmt().with_env_filter(filter);
        // Another test was first.
        let _ = log.with_writer(std::io::stderr).try_init();
    }
}

/// A running broker; stopped when dropped.
pub(crate) struct TestBroker {
    /// `None` while it is stopped.
    running: Option<Broker>,
    directory: TempDir,
}

impl TestBroker {
    /// Starts one on a new directory.
    pub(crate) fn start(more: &[&str]) -> TestBroker {
        let directory = directory();
        let mut broker = TestBroker {
            running: None,
            directory,
        };
        broker.start_again(more);
        broker
    }

    /// Stops it cleanly.
    pub(crate) fn stop(&mut self) {
        let running = self.running.take().expect("it runs");
        running.stop().expect("a clean stop");
    }

    /// Starts it on its directory again.
    pub(crate) fn start_again(&mut self, more: &[&str]) {
        assert!(self.running.is_none(), "it runs already");
        log_to_stderr();
        let overrides = settings(self.directory.path(), more);
        let config = BrokerConfig::load(None, &overrides).expect("a sound configuration");
        let started = Broker::start(config, StopSignal::new());
        self.running = Some(started.expect("the broker starts"));
    }

    /// A clean stop and a new start.
    pub(crate) fn restart(&mut self, more: &[&str]) {
        self.stop();
        self.start_again(more);
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.running.as_ref().expect("it runs").info().address
    }

    pub(crate) fn info(&self) -> &BrokerInfo {
        self.running.as_ref().expect("it runs").info()
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let running = self.running.as_ref().expect("it runs");
        running.snapshot().expect("its shards answer")
    }

    pub(crate) fn cluster_id(&self) -> &str {
        &self.running.as_ref().expect("it runs").info().cluster_id
    }

    pub(crate) fn connect(&self) -> Wire {
        Wire::connect(self.address())
    }

    pub(crate) fn directory(&self) -> &std::path::Path {
        self.directory.path()
    }
}

impl Drop for TestBroker {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            let stopped = running.stop();
            if !std::thread::panicking() {
                stopped.expect("a clean stop");
            }
        }
    }
}
