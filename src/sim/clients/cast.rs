//! What every client has, and all of them together.

use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use super::{admin, interrupter, lane, producer, reader};
use crate::client::{Client, ClientOptions};
use crate::io::Reactor;
use crate::sim::ledger::Ledger;

/// Short, so that a seed sees many timeouts.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(2);
const CONNECT_TIME_MAX: Duration = Duration::from_millis(500);
const API_TIME_MAX: Duration = Duration::from_secs(5);
const RETRY_BACKOFF: Duration = Duration::from_millis(5);
const RETRY_BACKOFF_MAX: Duration = Duration::from_millis(200);

/// Longest pause between two attempts to reach a broker, ms.
const RECONNECT_PAUSE_MS_MAX: u64 = 50;

/// What a client of the simulation works with.
#[derive(Clone)]
pub(in crate::sim) struct Cast {
    pub(super) reactor: Reactor,
    pub(super) ledger: Rc<Ledger>,
}

impl Cast {
    pub(in crate::sim) fn new(reactor: Reactor, ledger: Rc<Ledger>) -> Cast {
        Cast { reactor, ledger }
    }

    pub(super) fn is_over(&self) -> bool {
        self.ledger.is_over.get()
    }

    /// For whoever looks into a seed: `RINGLOG_LOG=ringlog::sim=debug`.
    pub(super) fn note(&self, what: impl FnOnce() -> String) {
        if tracing::enabled!(tracing::Level::DEBUG) {
            tracing::debug!("{} ns: {}", self.reactor.now().0, what());
        }
    }

    /// Lets up to so many milliseconds pass.
    pub(super) async fn pause(&self, ms_max: u64) {
        let pause = self.ledger.pause(ms_max);
        self.reactor.sleep(pause).await;
    }

    /// A client that has reached a broker, however long that takes.
    pub(super) async fn connect(&self, options: ClientOptions) -> Client {
        loop {
            match Client::connect(&self.reactor, options.clone()).await {
                Ok(client) => return client,
                Err(_) => self.pause(RECONNECT_PAUSE_MS_MAX).await,
            }
        }
    }

    /// Options with this many requests in flight.
    pub(super) fn options(&self, in_flight_max: usize) -> ClientOptions {
        ClientOptions {
            request_timeout: REQUEST_TIME_MAX,
            connect_timeout: CONNECT_TIME_MAX,
            api_timeout: API_TIME_MAX,
            retry_backoff: RETRY_BACKOFF,
            retry_backoff_max: RETRY_BACKOFF_MAX,
            reconnect_backoff: RETRY_BACKOFF,
            reconnect_backoff_max: RETRY_BACKOFF_MAX,
            allow_auto_create_topics: false,
            in_flight_max,
            ..ClientOptions::new(&self.ledger.scenario.address.to_string())
        }
    }
}

/// Runs all clients of the scenario until it is over.
pub(in crate::sim) async fn run_clients(cast: Cast) {
    let scenario = &cast.ledger.scenario;
    let mut tasks = vec![
        started(&cast, "administrator", admin::run(cast.clone())),
        started(&cast, "interrupter", interrupter::run(cast.clone())),
    ];
    for _ in 0..scenario.producer_count {
        tasks.push(started(&cast, "producer", producer::run(cast.clone())));
    }
    for _ in 0..scenario.lane_count {
        tasks.push(started(&cast, "lane", lane::run(cast.clone())));
    }
    for _ in 0..scenario.reader_count {
        tasks.push(started(&cast, "reader", reader::run(cast.clone())));
    }
    for task in tasks {
        task.await;
    }
}

fn started(
    cast: &Cast,
    what: &'static str,
    client: impl Future<Output = ()> + 'static,
) -> crate::io::Task<()> {
    let ledger = Rc::clone(&cast.ledger);
    ledger.client_begins(what);
    cast.reactor.spawn(async move {
        client.await;
        ledger.client_ends(what);
    })
}
