//! Configuration: ONE table of keys, and everything that is derived from it.
//!
//! - [`table`]: the keys that Ringlog honours, by theme: name (Kafka's own), type, default, valid
//!   values, scope, doc. A key stands in the table only if the broker acts on it, or with a note
//!   that says what is not built yet.
//! - [`kafka_names`]: the rest of Kafka's broker keys with the reason why they have no effect, so
//!   that a file written for Kafka starts with one warning a key instead of an error.
//! - [`properties`]: the syntax of `server.properties` (that of `java.util.Properties`).
//! - [`Settings`]: file, then `-o key=value` overrides, checked against the table; errors name the
//!   file, line, key, value and what to do.
//! - [`BrokerConfig`] and [`TopicConfig`]: what the rest of the broker reads, typed.
//! - [`DynamicBrokerConfig`]: the settings as they are now, after changes of the running broker;
//!   what it describes ([`Described`]) is what clients are shown.
//!
//! Nothing here reads a file: the caller passes the text.
//!
//! # Non-obvious
//! - Unknown keys are errors (Kafka only warns): a misspelt durability setting must not start.
//! - Topic keys take their defaults from broker keys, the first synonym that is set wins
//!   (`segment.ms`: `log.roll.ms`, then `log.roll.hours`), as in Kafka's
//!   `ServerTopicConfigSynonyms`.
//! - A topic's overrides are kept as text beside the metadata: [`TopicConfig::resolve`] may be
//!   called again when the broker's defaults change.

mod broker;
mod describe;
mod document;
mod dynamic;
mod error;
pub mod kafka_names;
mod key;
mod listener;
pub mod properties;
mod settings;
pub mod table;
#[cfg(test)]
mod tests;
mod together;
mod topic;
mod value;

pub use broker::{BrokerConfig, MetricsListener};
pub use describe::{ConfigSource, Described, DescribedSynonym, TopicDescription};
pub use document::document;
pub use dynamic::{BrokerLevel, DynamicBrokerConfig, Overrides};
pub use error::{ConfigError, ConfigErrors, InvalidBrokerConfig, InvalidTopicConfig, Place};
pub use key::{Key, Kind, Scope, Support, Synonym, Valid};
pub use listener::{HostPort, Listener};
pub use settings::{Setting, Settings, Source};
pub use topic::{AckClass, CleanupPolicy, StoredCompression, TimestampType, TopicConfig};
pub use value::{Secret, VALUE_SIZE_MAX, Value};
