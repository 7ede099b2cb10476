//! What a topic's partitions do, from the topic's overrides and the broker's defaults.

use std::collections::BTreeMap;
use std::time::Duration;

use super::error::InvalidTopicConfig;
use super::key::{Key, Scope};
use super::settings::{Setting, Settings, Source, default_of};
use super::table;
use super::value::Value;

/// When a record may be acknowledged; a property of the topic, whatever the producer asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AckClass {
    /// Class P: acks=all waits for the device flush.
    PowerSafe,
    /// Class K: acks=all waits for the completed write.
    KillSafe,
}

/// Whose clock a record's timestamp is (`message.timestamp.type`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TimestampType {
    CreateTime,
    LogAppendTime,
}

/// How batches are stored (`compression.type`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StoredCompression {
    /// As the producer has compressed them.
    Producer,
    Uncompressed,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

/// `cleanup.policy`; neither means that everything is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CleanupPolicy {
    pub compact: bool,
    pub delete: bool,
}

/// A topic's settings, typed. Plain data: each shard keeps its own copy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicConfig {
    pub cleanup_policy: CleanupPolicy,
    pub compression: StoredCompression,
    /// 1 to 9; `None` is gzip's own default.
    pub compression_gzip_level: Option<i32>,
    pub compression_zstd_level: i32,
    pub file_delete_delay: Duration,
    /// `flush.before.ack`; see [`TopicConfig::ack_class`].
    pub flush_before_ack: bool,
    /// Records between two flushes of a class K log; `u64::MAX >> 1` is never.
    pub flush_messages: u64,
    /// Longest time that a record of a class K log stays unflushed; `None`: no limit.
    pub flush_interval: Option<Duration>,
    pub index_interval_bytes: u32,
    pub max_message_bytes: u32,
    pub message_timestamp_type: TimestampType,
    /// How much earlier than the broker's clock a CreateTime may be; `i64::MAX`: any.
    pub message_timestamp_before_max_ms: i64,
    /// How much later than the broker's clock a CreateTime may be; `i64::MAX`: any.
    pub message_timestamp_after_max_ms: i64,
    pub min_insync_replicas: u32,
    /// Size above which old segments are deleted; `None`: no limit.
    pub retention_bytes: Option<u64>,
    /// Age at which segments are deleted; `None`: never.
    pub retention: Option<Duration>,
    pub segment_bytes: u32,
    pub segment_index_bytes: u32,
    /// Age at which a segment is rolled, in the time of its records.
    pub segment_ms: i64,
}

impl TopicConfig {
    /// A topic's settings from the broker's and the topic's overrides (name to text).
    ///
    /// The error is the message of an `INVALID_CONFIG` answer.
    pub fn resolve(
        broker: &Settings,
        overrides: &BTreeMap<String, String>,
    ) -> Result<TopicConfig, InvalidTopicConfig> {
        let settings = TopicConfig::settings(broker, overrides)?;
        check_lags(&settings)?;
        let config = TopicConfig::from_settings(&settings);
        let unflushed_max = broker.number("log.unflushed.bytes.max");
        if i64::from(config.max_message_bytes) > unflushed_max {
            return Err(InvalidTopicConfig::InvalidValue {
                name: "max.message.bytes".to_owned(),
                value: config.max_message_bytes.to_string(),
                reason: format!(
                    "Value must be no more than the broker's log.unflushed.bytes.max \
                     ({unflushed_max})"
                ),
            });
        }
        Ok(config)
    }

    /// The settings of a topic that is there already. Its overrides were checked when they were
    /// set; those that are not valid any more, since the broker's limits have changed, do not
    /// count, and are returned by name with the reason.
    pub fn resolve_stored(
        broker: &Settings,
        overrides: &BTreeMap<String, String>,
    ) -> (TopicConfig, BTreeMap<String, InvalidTopicConfig>) {
        let mut counting = overrides.clone();
        let mut left_out = BTreeMap::new();
        loop {
            let error = match TopicConfig::resolve(broker, &counting) {
                Ok(config) => return (config, left_out),
                Err(error) => error,
            };
            let name = error.names().find(|name| counting.contains_key(*name));
            let Some(name) = name.map(str::to_owned) else {
                panic!("the broker's own settings are no topic's: {error}");
            };
            counting.remove(&name);
            left_out.insert(name, error);
        }
    }

    /// Every topic key with its value and where that came from.
    pub fn settings(
        broker: &Settings,
        overrides: &BTreeMap<String, String>,
    ) -> Result<Settings, InvalidTopicConfig> {
        if let Some(name) = overrides
            .keys()
            .find(|name| table::topic_key(name).is_none())
        {
            return Err(InvalidTopicConfig::UnknownName { name: name.clone() });
        }
        let mut settings = Vec::new();
        for key in table::keys() {
            let Scope::Topic(_) = key.scope else { continue };
            settings.push(match overrides.get(key.name) {
                Some(text) => own_setting(key, text)?,
                None => inherited(key, broker),
            });
        }
        Ok(Settings::of(settings.into_iter()))
    }

    fn from_settings(settings: &Settings) -> TopicConfig {
        let policy = settings.list("cleanup.policy");
        TopicConfig {
            cleanup_policy: CleanupPolicy {
                compact: policy.iter().any(|word| word == "compact"),
                delete: policy.iter().any(|word| word == "delete"),
            },
            compression: match settings.text("compression.type") {
                "uncompressed" => StoredCompression::Uncompressed,
                "gzip" => StoredCompression::Gzip,
                "snappy" => StoredCompression::Snappy,
                "lz4" => StoredCompression::Lz4,
                "zstd" => StoredCompression::Zstd,
                _ => StoredCompression::Producer,
            },
            compression_gzip_level: Some(level(settings, "compression.gzip.level"))
                .filter(|&level| level > 0),
            compression_zstd_level: level(settings, "compression.zstd.level"),
            file_delete_delay: milliseconds(settings.number("file.delete.delay.ms")),
            flush_before_ack: settings.boolean("flush.before.ack"),
            flush_messages: settings.number("flush.messages").unsigned_abs(),
            flush_interval: match settings.number("flush.ms") {
                i64::MAX => None,
                ms => Some(milliseconds(ms)),
            },
            index_interval_bytes: size(settings, "index.interval.bytes"),
            max_message_bytes: size(settings, "max.message.bytes"),
            message_timestamp_type: match settings.text("message.timestamp.type") {
                "LogAppendTime" => TimestampType::LogAppendTime,
                _ => TimestampType::CreateTime,
            },
            message_timestamp_before_max_ms: settings.number("message.timestamp.before.max.ms"),
            message_timestamp_after_max_ms: settings.number("message.timestamp.after.max.ms"),
            min_insync_replicas: size(settings, "min.insync.replicas"),
            retention_bytes: u64::try_from(settings.number("retention.bytes")).ok(),
            retention: match settings.number("retention.ms") {
                ..0 => None,
                ms => Some(milliseconds(ms)),
            },
            segment_bytes: size(settings, "segment.bytes"),
            segment_index_bytes: size(settings, "segment.index.bytes"),
            segment_ms: settings.number("segment.ms"),
        }
    }

    /// When a record may be acknowledged: `flush.messages=1` asks for the same as
    /// `flush.before.ack`.
    pub fn ack_class(&self) -> AckClass {
        if self.flush_before_ack || self.flush_messages == 1 {
            AckClass::PowerSafe
        } else {
            AckClass::KillSafe
        }
    }
}

fn level(settings: &Settings, name: &str) -> i32 {
    i32::try_from(settings.number(name)).expect("the table keeps levels small")
}

/// Kafka's `LogConfig.validateValues`.
fn check_lags(settings: &Settings) -> Result<(), InvalidTopicConfig> {
    let (low, high) = ("min.compaction.lag.ms", "max.compaction.lag.ms");
    let (low_value, high_value) = (settings.number(low), settings.number(high));
    if low_value <= high_value {
        return Ok(());
    }
    Err(InvalidTopicConfig::Conflict {
        low,
        low_value,
        high,
        high_value,
    })
}

impl InvalidTopicConfig {
    /// The keys that it is about.
    fn names(&self) -> impl Iterator<Item = &str> {
        let (name, other) = match self {
            InvalidTopicConfig::UnknownName { name }
            | InvalidTopicConfig::NullValue { name }
            | InvalidTopicConfig::InvalidValue { name, .. } => (name.as_str(), None),
            InvalidTopicConfig::Conflict { low, high, .. } => (*low, Some(*high)),
        };
        std::iter::once(name).chain(other)
    }
}

fn own_setting(key: &'static Key, text: &str) -> Result<Setting, InvalidTopicConfig> {
    let value = Value::parse(key, text).map_err(|reason| InvalidTopicConfig::InvalidValue {
        name: key.name.to_owned(),
        value: text.to_owned(),
        reason,
    })?;
    Ok(Setting {
        key,
        value: Some(value),
        source: Source::Topic,
    })
}

/// The value of the first broker synonym that is set, in the topic key's unit.
fn inherited(key: &'static Key, broker: &Settings) -> Setting {
    let Scope::Topic(synonyms) = key.scope else {
        unreachable!("{} is not a topic key", key.name);
    };
    for synonym in synonyms {
        let setting = broker
            .get(synonym.name)
            .unwrap_or_else(|| panic!("{} is not a broker key", synonym.name));
        let Some(value) = &setting.value else {
            continue;
        };
        return Setting {
            key,
            value: Some(converted(value, synonym.factor)),
            source: setting.source.clone(),
        };
    }
    Setting {
        key,
        value: default_of(key),
        source: Source::Default,
    }
}

/// Any negative time in another unit is "never" (-1), as in Kafka's `getLogRetentionTimeMillis`.
fn converted(value: &Value, factor: i64) -> Value {
    match value {
        Value::Number(number) if factor != 1 && *number < 0 => Value::Number(-1),
        Value::Number(number) => Value::Number(number.saturating_mul(factor)),
        other => other.clone(),
    }
}

fn milliseconds(ms: i64) -> Duration {
    Duration::from_millis(ms.unsigned_abs())
}

/// An `INT` that the table keeps from being negative.
fn size(settings: &Settings, name: &str) -> u32 {
    u32::try_from(settings.number(name))
        .unwrap_or_else(|_| panic!("the table lets {name} be negative"))
}
