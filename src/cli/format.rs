//! `ringlog format`: makes an empty log directory a broker's.

use anyhow::{Result, anyhow};

use super::start::ConfigArgs;
use crate::io::{self, ReactorOptions};
use crate::shard::Shard;

/// Formats the configured directory. One that is formatted already stays as it is.
pub(super) fn run(args: &ConfigArgs) -> Result<()> {
    let config = args.load()?;
    let directory = config.log_dirs[0].display().to_string();
    io::preflight()?;
    let options = ReactorOptions {
        name: "format".to_owned(),
        ..ReactorOptions::default()
    };
    let shards = io::start(options, move |reactor| {
        let config = config.clone();
        async move { Shard::format(&reactor, &config).await }
    })?;
    let formatted = shards
        .join()
        .into_iter()
        .next()
        .ok_or_else(|| anyhow!("no shard ran"))?;
    let (cluster_id, was_there) = formatted??;
    if was_there {
        println!("{directory} is formatted already, for cluster {cluster_id}");
    } else {
        println!("formatted {directory} for cluster {cluster_id}");
    }
    Ok(())
}
