//! What a client is opened with. Names and defaults are Kafka's.

use std::time::Duration;

/// Options of a [`Client`](super::Client) and the connections that it opens.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// `bootstrap.servers`: `host:port` each, tried in order.
    pub bootstrap_servers: Vec<String>,
    /// `client.id`
    pub client_id: String,
    /// `request.timeout.ms`: from sending a request to its answer, the long poll not counted.
    pub request_timeout: Duration,
    /// `socket.connection.setup.timeout.ms`, for one address.
    pub connect_timeout: Duration,
    /// `metadata.max.age.ms`
    pub metadata_max_age: Duration,
    /// `max.block.ms` and `default.api.timeout.ms`: the longest wait for metadata or room, and for
    /// an admin call with all its attempts.
    pub api_timeout: Duration,
    /// `retry.backoff.ms`
    pub retry_backoff: Duration,
    /// `retry.backoff.max.ms`
    pub retry_backoff_max: Duration,
    /// `reconnect.backoff.ms`
    pub reconnect_backoff: Duration,
    /// `reconnect.backoff.max.ms`
    pub reconnect_backoff_max: Duration,
    /// `allow.auto.create.topics`
    pub allow_auto_create_topics: bool,
    /// `max.in.flight.requests.per.connection`
    pub in_flight_max: usize,
}

impl ClientOptions {
    /// Defaults with these servers (`host:port`, separated by commas).
    pub fn new(bootstrap_servers: &str) -> ClientOptions {
        let servers = bootstrap_servers.split(',').map(str::trim);
        ClientOptions {
            bootstrap_servers: servers
                .filter(|server| !server.is_empty())
                .map(str::to_owned)
                .collect(),
            ..ClientOptions::default()
        }
    }
}

impl Default for ClientOptions {
    fn default() -> ClientOptions {
        ClientOptions {
            bootstrap_servers: Vec::new(),
            client_id: "ringlog".to_owned(),
            request_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(10),
            metadata_max_age: Duration::from_secs(300),
            api_timeout: Duration::from_secs(60),
            retry_backoff: Duration::from_millis(100),
            retry_backoff_max: Duration::from_secs(1),
            reconnect_backoff: Duration::from_millis(50),
            reconnect_backoff_max: Duration::from_secs(1),
            allow_auto_create_topics: true,
            in_flight_max: 5,
        }
    }
}
