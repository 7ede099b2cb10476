//! The broker that a run loads: one in this process, or any Kafka.

use std::path::Path;

use anyhow::{Context, Result, bail};
use ringlog::config::{self, BrokerConfig};
use ringlog::io::{StopSignal, available_cpus};
use ringlog::metrics::Snapshot;
use ringlog::server::Broker;

use crate::host::BrokerCpu;
use crate::options::{AckClass, BrokerArgs};

/// A broker that can be connected to.
pub(crate) enum Target {
    Embedded(Box<Embedded>),
    External {
        bootstrap_server: String,
        cpu: BrokerCpu,
    },
}

/// The product's broker, in this process: the same code, on shard threads of its own, reached over
/// loopback TCP.
pub(crate) struct Embedded {
    broker: Broker,
    address: String,
    config: Vec<String>,
    class: AckClass,
}

impl Target {
    /// The external broker of the arguments; `None` asks for an embedded one.
    pub(crate) fn external(args: &BrokerArgs) -> Result<Option<Target>> {
        let Some(bootstrap_server) = args.bootstrap_server.clone() else {
            return Ok(None);
        };
        let cpu = match args.broker_pid {
            Some(pid) if !Path::new(&format!("/proc/{pid}")).is_dir() => {
                bail!("there is no process {pid}; name the broker's process with --broker-pid")
            }
            Some(pid) => BrokerCpu::Process(pid),
            None => BrokerCpu::Unknown,
        };
        Ok(Some(Target::External {
            bootstrap_server,
            cpu,
        }))
    }

    /// Starts the embedded broker on a directory; `client_count` threads will share the cores.
    pub(crate) fn embedded(args: &BrokerArgs, data: &Path, client_count: usize) -> Result<Target> {
        let embedded = Embedded::start(args, data, client_count)?;
        Ok(Target::Embedded(Box::new(embedded)))
    }

    pub(crate) fn bootstrap_server(&self) -> &str {
        match self {
            Target::Embedded(embedded) => &embedded.address,
            Target::External {
                bootstrap_server, ..
            } => bootstrap_server,
        }
    }

    pub(crate) fn cpu(&self) -> BrokerCpu {
        match self {
            Target::Embedded(_) => BrokerCpu::Embedded,
            Target::External { cpu, .. } => *cpu,
        }
    }

    /// In words, for the report.
    pub(crate) fn describe(&self) -> String {
        match self {
            Target::Embedded(embedded) => {
                let shard_count = embedded.broker.info().shard_count;
                let config = embedded.config.join(" ");
                format!("embedded, {shard_count} shards {config}")
                    .trim_end()
                    .to_owned()
            }
            Target::External {
                bootstrap_server, ..
            } => bootstrap_server.clone(),
        }
    }

    /// The metrics of an embedded broker.
    pub(crate) fn snapshot(&self) -> Option<Snapshot> {
        match self {
            Target::Embedded(embedded) => embedded.broker.snapshot(),
            Target::External { .. } => None,
        }
    }

    pub(crate) fn is_embedded(&self) -> bool {
        matches!(self, Target::Embedded(_))
    }

    /// Stops an embedded broker and waits for it.
    pub(crate) fn stop(self) -> Result<()> {
        match self {
            Target::Embedded(embedded) => embedded
                .broker
                .stop()
                .context("the broker did not stop well"),
            Target::External { .. } => Ok(()),
        }
    }
}

impl Embedded {
    /// The class of a topic that does not choose one.
    pub(crate) fn class(&self) -> AckClass {
        self.class
    }

    fn start(args: &BrokerArgs, data: &Path, client_count: usize) -> Result<Embedded> {
        let mut config = Vec::new();
        let core_count = available_cpus().len();
        if args.shards.unwrap_or(core_count) + client_count > core_count {
            // Shards and clients share cores: a shard that polls keeps a client from running.
            config.push("shard.spin.before.park.us=0".to_owned());
        }
        config.extend(args.overrides.iter().cloned());
        let mut overrides = vec![
            "listeners=PLAINTEXT://127.0.0.1:0".to_owned(),
            "metrics.listener=".to_owned(),
            format!("log.dirs={}", data.display()),
        ];
        if let Some(shard_count) = args.shards {
            overrides.push(format!("shards={shard_count}"));
        }
        overrides.extend(config.iter().cloned());
        let loaded = BrokerConfig::load(None, &overrides).context("the embedded broker")?;
        let class = match loaded.topic_defaults.ack_class() {
            config::AckClass::PowerSafe => AckClass::P,
            config::AckClass::KillSafe => AckClass::K,
        };
        let started = Broker::start(loaded, StopSignal::new());
        let broker = started.context("the embedded broker does not start")?;
        Ok(Embedded {
            address: broker.info().address.to_string(),
            broker,
            config,
            class,
        })
    }
}
