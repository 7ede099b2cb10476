//! Finding rows.

use super::super::key::{Key, Scope};
use super::{compaction, fetch, log, network, node, retention, shard, topics};

/// In the order in which documents show them.
const THEMES: &[&[Key]] = &[
    node::KEYS,
    network::KEYS,
    topics::KEYS,
    log::KEYS,
    retention::KEYS,
    compaction::KEYS,
    fetch::KEYS,
    shard::KEYS,
];

/// Every key, theme by theme. A name is unique within its scope.
pub fn keys() -> impl Iterator<Item = &'static Key> {
    THEMES.iter().flat_map(|theme| theme.iter())
}

/// The broker key that answers to `name` (an alias counts).
pub fn broker_key(name: &str) -> Option<&'static Key> {
    keys().find(|key| key.scope == Scope::Broker && key.answers_to(name))
}

/// The topic key called `name`.
pub fn topic_key(name: &str) -> Option<&'static Key> {
    keys().find(|key| matches!(key.scope, Scope::Topic(_)) && key.name == name)
}
