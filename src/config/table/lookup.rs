//! Finding rows.

use super::super::key::{Key, Scope};
use super::{compaction, fetch, log, network, node, retention, shard, topics};

/// In the order in which documents show them.
static THEMES: &[Theme] = &[
    theme("Node and directories", node::KEYS),
    theme("Connections and requests", network::KEYS),
    theme("Topics and replication", topics::KEYS),
    theme("Segments, batches, flushing", log::KEYS),
    theme("Retention", retention::KEYS),
    theme("Compaction and tiered storage", compaction::KEYS),
    theme("Reading", fetch::KEYS),
    theme("Cores and memory", shard::KEYS),
];

/// Keys that belong together.
#[derive(Debug)]
pub struct Theme {
    pub title: &'static str,
    pub keys: &'static [Key],
}

const fn theme(title: &'static str, keys: &'static [Key]) -> Theme {
    Theme { title, keys }
}

/// Every theme.
pub fn themes() -> &'static [Theme] {
    THEMES
}

/// Every key, theme by theme. A name is unique within its scope.
pub fn keys() -> impl Iterator<Item = &'static Key> {
    THEMES.iter().flat_map(|theme| theme.keys)
}

/// The broker key that answers to `name` (an alias counts).
pub fn broker_key(name: &str) -> Option<&'static Key> {
    keys().find(|key| key.scope == Scope::Broker && key.answers_to(name))
}

/// The topic key called `name`.
pub fn topic_key(name: &str) -> Option<&'static Key> {
    keys().find(|key| matches!(key.scope, Scope::Topic(_)) && key.name == name)
}
