//! `ringlog start`: the broker.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::config::BrokerConfig;
use crate::io::StopSignal;
use crate::server::{Broker, BrokerInfo};

/// Where the configuration comes from; `start` and `format` take the same.
#[derive(Args, Clone, Debug)]
pub(super) struct ConfigArgs {
    /// A server.properties with Kafka's names
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Overrides one key; may be given several times
    #[arg(short = 'o', value_name = "KEY=VALUE")]
    overrides: Vec<String>,
}

impl ConfigArgs {
    /// The configuration, with its warnings logged.
    pub(super) fn load(&self) -> Result<BrokerConfig> {
        let file = self.config.as_deref().map(read).transpose()?;
        let named = file
            .as_ref()
            .map(|(name, text)| (name.as_str(), text.as_str()));
        let config = BrokerConfig::load(named, &self.overrides)?;
        for warning in config.settings.warnings() {
            tracing::warn!("{warning}");
        }
        Ok(config)
    }
}

fn read(path: &Path) -> Result<(String, String)> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("{name} cannot be read; name a server.properties with -c"))?;
    Ok((name, text))
}

/// Runs the broker until SIGTERM or SIGINT, or until it fails.
pub(super) fn run(args: &ConfigArgs) -> Result<()> {
    let config = args.load()?;
    let stop = StopSignal::new();
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        // The second one ends the process at once: nothing acknowledged is lost by that either.
        signal_hook::flag::register_conditional_shutdown(signal, 1, stop.flag())?;
        signal_hook::flag::register(signal, stop.flag())?;
    }
    let broker = Broker::start(config, stop)?;
    banner(broker.info());
    if let Err(error) = broker.wait() {
        bail!("the broker ended: {error}");
    }
    tracing::info!("stopped cleanly");
    Ok(())
}

/// Nobody may be reading: a supervisor that has closed the pipe is no reason to end.
fn banner(info: &BrokerInfo) {
    let BrokerInfo {
        address,
        listeners,
        cluster_id,
        shard_count,
        partition_count,
        metrics_address,
        log_dirs,
        disk,
    } = info;
    let mut lines = vec![
        format!("Ringlog {} listens on {address}", env!("CARGO_PKG_VERSION")),
        format!("  cluster {cluster_id}, {shard_count} shards, {partition_count} partitions"),
    ];
    lines.extend(log_dirs.iter().map(|state| {
        let path = state.path.display();
        match &state.offline {
            None => format!("  log directory {path}"),
            Some(reason) => format!("  log directory {path} IS OFFLINE: {reason}"),
        }
    }));
    if listeners.len() > 1 {
        let more = listeners
            .iter()
            .map(|(name, at)| format!("  {name} on {at}"));
        lines.splice(1..1, more);
    }
    lines.extend(metrics_address.map(|address| {
        format!("  metrics at http://{address}/metrics, state at http://{address}/status")
    }));
    lines.extend(disk.iter().map(|line| format!("  {line}")));
    let is_open = |(_, address): &&(String, SocketAddr)| !address.ip().is_loopback();
    lines.push(match listeners.iter().find(is_open) {
        None => "  no TLS, no authentication: only programs of this machine can connect".to_owned(),
        Some((_, address)) => {
            format!("  NO TLS, NO AUTHENTICATION: whoever reaches {address} can read and write")
        }
    });
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{}", lines.join("\n")).and_then(|()| out.flush());
}
