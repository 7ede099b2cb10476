//! `ringlog format`: makes empty log directories a broker's.

use anyhow::{Result, anyhow};

use super::start::ConfigArgs;
use crate::io::{self, ReactorOptions};
use crate::shard::Shard;

/// Formats the configured directories. One that is formatted already stays as it is.
pub(super) fn run(args: &ConfigArgs) -> Result<()> {
    let config = args.load()?;
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
    let formatted = formatted??;
    let cluster_id = formatted.cluster_id;
    for (path, was_there) in formatted.directories {
        let path = path.display();
        if was_there {
            println!("{path} is formatted already, for cluster {cluster_id}");
        } else {
            println!("formatted {path} for cluster {cluster_id}");
        }
    }
    Ok(())
}
