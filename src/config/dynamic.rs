//! Broker settings that change while the broker runs (KIP-226; Kafka's `DynamicBrokerConfig`).
//!
//! A key counts as set for this broker, else as set for all brokers, else as in the file. What was
//! set is kept as text beside the metadata; here it becomes [`Settings`].

use std::collections::BTreeMap;
use std::sync::Arc;

use super::broker::BrokerConfig;
use super::error::{InvalidBrokerConfig, InvalidTopicConfig};
use super::kafka_names;
use super::settings::{Setting, Settings, Source, advice_for_unknown};
use super::table;
use super::together;
use super::topic::TopicConfig;
use super::value::Value;

/// What was set, name to text.
pub type Overrides = BTreeMap<String, String>;

/// Whose settings are changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BrokerLevel {
    /// All brokers' (resource "").
    Cluster,
    /// This broker's.
    Node,
}

/// The broker's settings as they are now. Plain data: every shard and the controller has its own,
/// each made from the same metadata.
#[derive(Clone, Debug)]
pub struct DynamicBrokerConfig {
    /// As it was started.
    pub(super) started: Arc<BrokerConfig>,
    pub(super) cluster: Arc<Overrides>,
    pub(super) node: Arc<Overrides>,
    settings: Settings,
    topic_defaults: Arc<TopicConfig>,
}

impl DynamicBrokerConfig {
    /// A broker whose settings nobody has changed.
    pub fn new(started: Arc<BrokerConfig>) -> DynamicBrokerConfig {
        DynamicBrokerConfig {
            cluster: Arc::default(),
            node: Arc::default(),
            settings: started.settings.clone(),
            topic_defaults: Arc::new(started.topic_defaults.clone()),
            started,
        }
    }

    /// The same broker with other settings, for all brokers and for it alone. What is not valid any
    /// more, since the file has changed, does not count: a sentence each says so.
    pub fn with(
        &self,
        cluster: Arc<Overrides>,
        node: Arc<Overrides>,
    ) -> (DynamicBrokerConfig, Vec<String>) {
        let (mut settings, refused) = self.layered(&cluster, &node);
        let mut left_out: Vec<_> = refused.iter().map(ToString::to_string).collect();
        while let Some(mistake) = together::first_mistake(&settings) {
            let reset = [mistake.name, mistake.other].map(|name| self.reset(&mut settings, name));
            assert!(reset.contains(&true), "the file's own settings go together");
            left_out.push(format!("{}: {}", mistake.name, mistake.reason));
        }
        let topic_defaults = TopicConfig::resolve(&settings, &BTreeMap::new());
        let config = DynamicBrokerConfig {
            started: Arc::clone(&self.started),
            cluster,
            node,
            settings,
            topic_defaults: Arc::new(topic_defaults.expect("settings that go together resolve")),
        };
        (config, left_out)
    }

    /// The settings with two levels over them, and what of these is not valid.
    fn layered(
        &self,
        cluster: &Overrides,
        node: &Overrides,
    ) -> (Settings, Vec<InvalidBrokerConfig>) {
        let mut settings = self.started.settings.clone();
        let mut refused = Vec::new();
        for (source, overrides) in [
            (Source::DynamicDefaultBroker, cluster),
            (Source::DynamicBroker, node),
        ] {
            for (name, text) in overrides {
                match dynamic_setting(name, text, &source) {
                    Ok(setting) => settings.put(setting),
                    Err(error) => refused.push(error),
                }
            }
        }
        (settings, refused)
    }

    /// Gives a key its value of the file again; whether it had another.
    fn reset(&self, settings: &mut Settings, name: &str) -> bool {
        let is_dynamic = settings.get(name).is_some_and(|setting| {
            matches!(
                setting.source,
                Source::DynamicDefaultBroker | Source::DynamicBroker
            )
        });
        if is_dynamic && let Some(setting) = self.started.settings.get(name) {
            settings.put(setting.clone());
        }
        is_dynamic
    }

    /// Every broker key with the value that counts now.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What a topic without overrides gets now.
    pub fn topic_defaults(&self) -> &TopicConfig {
        &self.topic_defaults
    }

    /// A topic's settings from its overrides; see [`TopicConfig::resolve`].
    pub fn topic(&self, overrides: &Overrides) -> Result<TopicConfig, InvalidTopicConfig> {
        TopicConfig::resolve(&self.settings, overrides)
    }

    /// What is set at a level.
    pub fn overrides(&self, level: BrokerLevel) -> &Overrides {
        match level {
            BrokerLevel::Cluster => &self.cluster,
            BrokerLevel::Node => &self.node,
        }
    }

    /// Whether a level may have these overrides, all of them: names, values, and what goes together
    /// with the rest. The order is Kafka's (`DynamicBrokerConfig.validate`).
    pub fn check(
        &self,
        level: BrokerLevel,
        overrides: &Overrides,
    ) -> Result<(), InvalidBrokerConfig> {
        let mut not_dynamic = Vec::new();
        for name in overrides.keys() {
            match table::broker_key(name) {
                Some(key) if key.dynamic => {}
                Some(_) => not_dynamic.push(name.as_str()),
                None => return Err(unknown(name)),
            }
        }
        if !not_dynamic.is_empty() {
            return Err(InvalidBrokerConfig::NotDynamic {
                names: not_dynamic.join(", "),
            });
        }
        let (cluster, node) = match level {
            BrokerLevel::Cluster => (overrides, &*self.node),
            BrokerLevel::Node => (&*self.cluster, overrides),
        };
        let (settings, refused) = self.layered(cluster, node);
        if let Some(error) = refused.into_iter().find(|error| error.is_about(overrides)) {
            return Err(error);
        }
        let Some(mistake) = together::first_mistake(&settings) else {
            return Ok(());
        };
        let value = settings.get(mistake.name).and_then(|s| s.value.as_ref());
        Err(InvalidBrokerConfig::InvalidValue {
            name: mistake.name.to_owned(),
            value: value.map(Value::to_string).unwrap_or_default(),
            reason: mistake.reason,
        })
    }
}

impl InvalidBrokerConfig {
    /// Whether it is the value of one of these that is refused.
    fn is_about(&self, overrides: &Overrides) -> bool {
        match self {
            InvalidBrokerConfig::InvalidValue { name, value, .. } => {
                overrides.get(name) == Some(value)
            }
            _ => false,
        }
    }
}

fn unknown(name: &str) -> InvalidBrokerConfig {
    let advice = match kafka_names::group_of(name) {
        Some(group) => format!("it is a key of Kafka that has no effect: {}", group.reason),
        None => advice_for_unknown(name)
            .unwrap_or_else(|| "neither Ringlog nor Kafka has it".to_owned()),
    };
    InvalidBrokerConfig::UnknownName {
        name: name.to_owned(),
        advice,
    }
}

fn dynamic_setting(
    name: &str,
    text: &str,
    source: &Source,
) -> Result<Setting, InvalidBrokerConfig> {
    let key = table::broker_key(name).filter(|key| key.dynamic);
    let key = key.ok_or_else(|| InvalidBrokerConfig::NotDynamic {
        names: name.to_owned(),
    })?;
    let value = Value::parse(key, text).map_err(|reason| InvalidBrokerConfig::InvalidValue {
        name: name.to_owned(),
        value: text.to_owned(),
        reason,
    })?;
    Ok(Setting {
        key,
        value: Some(value),
        source: source.clone(),
    })
}
