//! A client on a reactor of its own, for one command.

use std::future::Future;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::client::{Client, ClientOptions};
use crate::io::{Reactor, ReactorOptions, StopSignal, preflight, start};

/// How long a command waits for a topic or a broker before it gives up.
const API_TIMEOUT: Duration = Duration::from_secs(15);

/// Where the cluster is.
#[derive(Args, Clone, Debug)]
pub(super) struct ServerArgs {
    /// Brokers to begin with, separated by commas
    #[arg(
        short,
        long,
        value_name = "HOST:PORT",
        default_value = "127.0.0.1:9092",
        global = true
    )]
    bootstrap_server: String,
}

/// What a command works with.
#[derive(Clone)]
pub(super) struct Session {
    pub(super) reactor: Reactor,
    pub(super) client: Client,
    /// Set by SIGINT and SIGTERM; a second one ends the process at once.
    pub(super) stop: StopSignal,
}

/// Runs `body` on one shard with a client that has reached the cluster.
pub(super) fn run<F, Fut>(server: &ServerArgs, auto_create_topics: bool, body: F) -> Result<()>
where
    F: Fn(Session) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Result<()>> + 'static,
{
    let stop = StopSignal::new();
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, 1, stop.flag())?;
        signal_hook::flag::register(signal, stop.flag())?;
    }
    preflight()?;
    let options = ReactorOptions {
        name: "client".to_owned(),
        spin_before_park: Duration::ZERO,
        ..ReactorOptions::default()
    };
    let client_options = ClientOptions {
        api_timeout: API_TIMEOUT,
        allow_auto_create_topics: auto_create_topics,
        ..ClientOptions::new(&server.bootstrap_server)
    };
    let shards = start(options, move |reactor| {
        let (stop, options, body) = (stop.clone(), client_options.clone(), body.clone());
        async move {
            let client = Client::connect(&reactor, options).await?;
            body(Session {
                reactor,
                client,
                stop,
            })
            .await
        }
    })?;
    let results = shards.join();
    results
        .into_iter()
        .next()
        .context("one shard was started")??
}
