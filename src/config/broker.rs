//! What the broker reads, typed and checked as a whole.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::types::NodeId;

use super::error::ConfigErrors;
use super::listener::{self, HostPort, Listener};
use super::settings::{Settings, Source};
use super::together;
use super::topic::TopicConfig;

/// `metrics.listener`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MetricsListener {
    pub address: HostPort,
    /// It was asked for: a broker that cannot have it does not start. The default is had when it
    /// can be, so that several brokers on a machine start without a word about it.
    pub is_required: bool,
}

/// The broker's settings. Plain data: made once at start, each shard gets a copy.
#[derive(Clone, Debug)]
pub struct BrokerConfig {
    pub node_id: NodeId,
    /// What `meta.properties` must agree with, if set.
    pub cluster_id: Option<String>,
    /// At least one; names and ports differ.
    pub listeners: Vec<Listener>,
    /// The same names as `listeners`, not necessarily all. A host that is empty stands for the
    /// machine's host name, port 0 for the port that the listener of that name was bound to.
    pub advertised_listeners: Vec<Listener>,
    /// Where the broker's own pages are; `None`: nowhere.
    pub metrics_listener: Option<MetricsListener>,
    /// At least one.
    pub log_dirs: Vec<PathBuf>,

    pub num_partitions: i32,
    pub default_replication_factor: i16,
    pub auto_create_topics_enable: bool,
    pub delete_topic_enable: bool,
    pub max_request_partition_size_limit: usize,

    pub socket_request_max_bytes: usize,
    /// `None`: idle connections stay open.
    pub connections_max_idle: Option<Duration>,
    /// Host names or addresses with limits of their own.
    pub max_connections_per_ip_overrides: Vec<(String, usize)>,
    /// `None`: the kernel adapts it.
    pub socket_send_buffer_bytes: Option<usize>,
    /// `None`: the kernel adapts it.
    pub socket_receive_buffer_bytes: Option<usize>,
    /// For the whole broker; `None`: no limit beside `shard_request_memory_bytes`.
    pub queued_max_request_bytes: Option<usize>,

    pub fetch_max_bytes: usize,
    pub max_incremental_fetch_session_cache_slots: usize,

    pub producer_id_expiration_check_interval: Duration,
    pub log_unflushed_bytes_max: u64,
    pub log_retention_check_interval: Duration,
    /// Of the whole broker; `None`: sealed segments are not read again.
    pub log_verify_bytes_per_second: Option<u64>,
    pub log_verify_interval: Duration,
    /// How long the directories of deleted partitions stay on disk.
    pub log_segment_delete_delay: Duration,

    /// `None`: as many as the machine lets us use.
    pub shards: Option<usize>,
    pub shard_request_memory_bytes: usize,
    pub shard_response_memory_bytes: usize,
    pub shard_tail_cache_bytes: usize,
    /// `None`: as the machine's cores say.
    pub shard_spin_before_park: Option<Duration>,

    /// What a topic without overrides gets.
    pub topic_defaults: TopicConfig,
    /// What the above was made from: for DescribeConfigs and [`TopicConfig::resolve`].
    pub settings: Settings,
}

impl Default for BrokerConfig {
    fn default() -> BrokerConfig {
        match BrokerConfig::load(None, &[]) {
            Ok(config) => config,
            Err(errors) => panic!("the table's defaults do not go together: {errors}"),
        }
    }
}

impl BrokerConfig {
    /// Reads a properties file, given as its name and text, then the `key=value` overrides.
    /// [`Settings::warnings`] of `settings` are to be logged by the caller.
    pub fn load(
        file: Option<(&str, &str)>,
        overrides: &[String],
    ) -> Result<BrokerConfig, ConfigErrors> {
        let settings = Settings::load(file, overrides)?;
        check_together(&settings)?;
        let listeners = listeners(&settings)?;
        Ok(BrokerConfig {
            node_id: int(&settings, "node.id"),
            cluster_id: settings.text_if_set("cluster.id").map(str::to_owned),
            advertised_listeners: advertised(&settings, &listeners)?,
            listeners,
            metrics_listener: metrics_listener(&settings)?,
            log_dirs: log_dirs(&settings),
            num_partitions: int(&settings, "num.partitions"),
            default_replication_factor: int(&settings, "default.replication.factor"),
            auto_create_topics_enable: settings.boolean("auto.create.topics.enable"),
            delete_topic_enable: settings.boolean("delete.topic.enable"),
            max_request_partition_size_limit: int(&settings, "max.request.partition.size.limit"),
            socket_request_max_bytes: int(&settings, "socket.request.max.bytes"),
            connections_max_idle: u64::try_from(settings.number("connections.max.idle.ms"))
                .ok()
                .map(Duration::from_millis),
            max_connections_per_ip_overrides: per_ip_overrides(&settings)?,
            socket_send_buffer_bytes: positive(&settings, "socket.send.buffer.bytes"),
            socket_receive_buffer_bytes: positive(&settings, "socket.receive.buffer.bytes"),
            queued_max_request_bytes: positive(&settings, "queued.max.request.bytes"),
            fetch_max_bytes: int(&settings, "fetch.max.bytes"),
            max_incremental_fetch_session_cache_slots: int(
                &settings,
                "max.incremental.fetch.session.cache.slots",
            ),
            producer_id_expiration_check_interval: Duration::from_millis(int(
                &settings,
                "producer.id.expiration.check.interval.ms",
            )),
            log_unflushed_bytes_max: int(&settings, "log.unflushed.bytes.max"),
            log_retention_check_interval: Duration::from_millis(int(
                &settings,
                "log.retention.check.interval.ms",
            )),
            log_verify_bytes_per_second: positive(&settings, "log.verify.bytes.per.second")
                .map(|rate| rate as u64),
            log_verify_interval: Duration::from_millis(int(&settings, "log.verify.interval.ms")),
            log_segment_delete_delay: Duration::from_millis(int(
                &settings,
                "log.segment.delete.delay.ms",
            )),
            shards: Some(int(&settings, "shards")).filter(|&count| count > 0),
            shard_request_memory_bytes: int(&settings, "shard.request.memory.bytes"),
            shard_response_memory_bytes: int(&settings, "shard.response.memory.bytes"),
            shard_tail_cache_bytes: int(&settings, "shard.tail.cache.bytes"),
            shard_spin_before_park: u64::try_from(settings.number("shard.spin.before.park.us"))
                .ok()
                .map(Duration::from_micros),
            topic_defaults: topic_defaults(&settings)?,
            settings,
        })
    }
}

/// A number in the field's type; the table keeps it in range.
fn int<T: TryFrom<i64>>(settings: &Settings, name: &str) -> T {
    let value = settings.number(name);
    T::try_from(value)
        .unwrap_or_else(|_| panic!("the table lets {name} be {value}, which its field cannot hold"))
}

/// A number where one that is not positive means "not set".
fn positive(settings: &Settings, name: &str) -> Option<usize> {
    let value = usize::try_from(settings.number(name)).ok();
    value.filter(|&value| value > 0)
}

fn per_ip_overrides(settings: &Settings) -> Result<Vec<(String, usize)>, ConfigErrors> {
    let name = "max.connections.per.ip.overrides";
    let text = settings.text(name);
    let entries = text.split(',').map(str::trim).filter(|e| !e.is_empty());
    let mut overrides = Vec::new();
    for entry in entries {
        let parsed = entry.rsplit_once(':').and_then(|(host, count)| {
            let host = host.trim().trim_start_matches('[').trim_end_matches(']');
            let count = count.trim().parse::<u32>().ok()?;
            (!host.is_empty()).then(|| (host.to_owned(), count as usize))
        });
        let parsed = parsed.ok_or_else(|| {
            settings.mistake(name, format!("`{entry}` is not of the form name:count"))
        })?;
        overrides.push(parsed);
    }
    Ok(overrides)
}

fn check_together(settings: &Settings) -> Result<(), ConfigErrors> {
    match together::first_mistake(settings) {
        Some(mistake) => Err(settings.mistake(mistake.name, mistake.reason)),
        None => Ok(()),
    }
}

fn listeners(settings: &Settings) -> Result<Vec<Listener>, ConfigErrors> {
    let mut listeners = listener::parse(settings.list("listeners"), false)
        .map_err(|reason| settings.mistake("listeners", reason))?;
    let controllers = settings.list("controller.listener.names");
    listeners.retain(|l| {
        !controllers
            .iter()
            .any(|name| name.eq_ignore_ascii_case(&l.name))
    });
    if listeners.is_empty() {
        let reason = "all are in `controller.listener.names`; clients need one".to_owned();
        return Err(settings.mistake("listeners", reason));
    }
    let map = "listener.security.protocol.map";
    let protocols = listener::parse_protocols(settings.list(map))
        .map_err(|reason| settings.mistake(map, reason))?;
    for listener in &listeners {
        let name = &listener.name;
        let reason = match protocols.get(name).map(String::as_str) {
            Some("PLAINTEXT") => continue,
            Some(protocol) => format!(
                "{name} asks for {protocol}, and only PLAINTEXT is built; bind it to a trusted \
                 network as PLAINTEXT://host:port"
            ),
            None => format!("no protocol for {name}; add `{name}:PLAINTEXT` to `{map}`"),
        };
        return Err(settings.mistake("listeners", reason));
    }
    Ok(listeners)
}

fn advertised(settings: &Settings, listeners: &[Listener]) -> Result<Vec<Listener>, ConfigErrors> {
    let name = "advertised.listeners";
    let Some(entries) = settings.list_if_set(name) else {
        return match listeners
            .iter()
            .find(|l| l.is_wildcard() && !l.host.is_empty())
        {
            Some(wildcard) => Err(settings.mistake(
                "listeners",
                format!(
                    "clients cannot connect to {wildcard}; set `{name}` to what they can reach"
                ),
            )),
            None => Ok(listeners.to_vec()),
        };
    };
    let advertised =
        listener::parse(entries, true).map_err(|reason| settings.mistake(name, reason))?;
    for listener in &advertised {
        if listener.is_wildcard() && !listener.host.is_empty() {
            return Err(settings.mistake(name, format!("clients cannot connect to {listener}")));
        }
        if !listeners.iter().any(|bound| bound.name == listener.name) {
            let reason = format!("`listeners` has none called {}", listener.name);
            return Err(settings.mistake(name, reason));
        }
    }
    Ok(advertised)
}

fn metrics_listener(settings: &Settings) -> Result<Option<MetricsListener>, ConfigErrors> {
    let name = "metrics.listener";
    let address = listener::parse_host_port(settings.text(name))
        .map_err(|reason| settings.mistake(name, reason))?;
    let is_required = settings
        .get(name)
        .is_some_and(|setting| setting.source != Source::Default);
    Ok(address.map(|address| MetricsListener {
        address,
        is_required,
    }))
}

fn log_dirs(settings: &Settings) -> Vec<PathBuf> {
    match settings.list_if_set("log.dirs") {
        Some(dirs) if !dirs.is_empty() => dirs.iter().map(PathBuf::from).collect(),
        _ => vec![PathBuf::from(settings.text("log.dir"))],
    }
}

fn topic_defaults(settings: &Settings) -> Result<TopicConfig, ConfigErrors> {
    TopicConfig::resolve(settings, &BTreeMap::new())
        .map_err(|error| settings.mistake("message.max.bytes", error.to_string()))
}
