//! Settings as DescribeConfigs shows them: value, source, and what else the key could have been.
//!
//! # Non-obvious
//! - A topic key's synonyms are its own override and those of the broker keys that it takes its
//!   default from. A default stands in the list only under the name of the first of these, as in
//!   Kafka: `segment.ms` has `log.roll.hours` there when that is set, and nothing when it is not.
//! - Kafka says "default" of a topic key whose value is from the file under the name of a later
//!   synonym (`log.roll.hours`); here it is said to be from the file.

use super::dynamic::{DynamicBrokerConfig, Overrides};
use super::key::{Key, Kind, Scope, Synonym};
use super::settings::{Setting, Settings, Source, default_of};
use super::table;
use super::topic::TopicConfig;
use super::value::Value;

/// Where a value came from; the numbers are those of Kafka's `DescribeConfigsResponse`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i8)]
pub enum ConfigSource {
    Topic = 1,
    DynamicBroker = 2,
    DynamicDefaultBroker = 3,
    StaticBroker = 4,
    Default = 5,
}

impl ConfigSource {
    const ALL: [ConfigSource; 5] = [
        ConfigSource::Topic,
        ConfigSource::DynamicBroker,
        ConfigSource::DynamicDefaultBroker,
        ConfigSource::StaticBroker,
        ConfigSource::Default,
    ];

    /// The source of a number on the wire; `None` for one that there is not here.
    pub fn from_number(number: i8) -> Option<ConfigSource> {
        let mut all = ConfigSource::ALL.into_iter();
        all.find(|source| *source as i8 == number)
    }

    /// Kafka's name, as in its tools.
    pub fn name(self) -> &'static str {
        match self {
            ConfigSource::Topic => "DYNAMIC_TOPIC_CONFIG",
            ConfigSource::DynamicBroker => "DYNAMIC_BROKER_CONFIG",
            ConfigSource::DynamicDefaultBroker => "DYNAMIC_DEFAULT_BROKER_CONFIG",
            ConfigSource::StaticBroker => "STATIC_BROKER_CONFIG",
            ConfigSource::Default => "DEFAULT_CONFIG",
        }
    }
}

/// A key with its value.
#[derive(Clone, PartialEq, Debug)]
pub struct Described {
    pub key: &'static Key,
    /// As it would be written in the file. `None`: not set, or a password.
    pub value: Option<String>,
    pub source: ConfigSource,
    /// All that was set, the one that counts first.
    pub synonyms: Vec<DescribedSynonym>,
}

/// What was set under a name, somewhere.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DescribedSynonym {
    pub name: &'static str,
    pub value: Option<String>,
    pub source: ConfigSource,
}

impl Source {
    /// The same, as clients are told.
    pub fn described(&self) -> ConfigSource {
        match self {
            Source::Default => ConfigSource::Default,
            Source::Broker(_) => ConfigSource::StaticBroker,
            Source::DynamicDefaultBroker => ConfigSource::DynamicDefaultBroker,
            Source::DynamicBroker => ConfigSource::DynamicBroker,
            Source::Topic => ConfigSource::Topic,
        }
    }
}

impl Key {
    /// Whether clients never see its value.
    pub fn is_sensitive(&self) -> bool {
        self.kind == Kind::Password
    }

    /// Whether it cannot be changed while the broker runs.
    pub fn is_read_only(&self) -> bool {
        !self.dynamic
    }
}

/// What a topic without overrides has: made once, then used for many topics.
#[derive(Clone, Debug)]
pub struct TopicDescription {
    broker: Settings,
    defaults: Vec<Described>,
}

impl TopicDescription {
    /// A topic's keys, by name. Overrides that are not valid do not count, as for the topic itself
    /// ([`TopicConfig::resolve_stored`](super::TopicConfig::resolve_stored)).
    pub fn with(&self, overrides: &Overrides) -> Vec<Described> {
        let mut described = self.defaults.clone();
        if overrides.is_empty() {
            return described;
        }
        let (_, left_out) = TopicConfig::resolve_stored(&self.broker, overrides);
        for one in &mut described {
            let key = one.key;
            let text = overrides.get(key.name);
            let text = text.filter(|_| !left_out.contains_key(key.name));
            let Some(value) = text.and_then(|text| Value::parse(key, text).ok()) else {
                continue;
            };
            one.value = shown(key, Some(&value));
            one.source = ConfigSource::Topic;
            let own = synonym(key, one.value.clone(), ConfigSource::Topic);
            one.synonyms.insert(0, own);
        }
        described
    }
}

impl DynamicBrokerConfig {
    /// What topics have by default now.
    pub fn describe_topics(&self) -> TopicDescription {
        let settings = TopicConfig::settings(self.settings(), &Overrides::new());
        let settings = settings.expect("a topic without overrides has no wrong ones");
        let described = settings.iter().map(|setting| {
            let synonyms = match setting.key.scope {
                Scope::Topic(names) => self.synonyms(names.iter().map(|synonym| synonym.name)),
                Scope::Broker => Vec::new(),
            };
            described(setting, synonyms)
        });
        TopicDescription {
            broker: self.settings().clone(),
            defaults: described.collect(),
        }
    }

    /// This broker's keys, by name.
    pub fn describe_broker(&self) -> Vec<Described> {
        let settings = self.settings().iter().map(|setting| {
            let name = setting.key.name;
            let mut synonyms = self.all_synonyms(names_beside(name));
            let own = synonyms.iter().position(|synonym| synonym.name == name);
            synonyms.drain(..own.unwrap_or(synonyms.len()));
            described(setting, synonyms)
        });
        settings.collect()
    }

    /// What is set for all brokers, by name.
    pub fn describe_cluster(&self) -> Vec<Described> {
        let (all, _) = self.with(self.cluster.clone(), Default::default());
        let is_set = |setting: &&Setting| setting.source == Source::DynamicDefaultBroker;
        let set = all.settings().iter().filter(is_set).map(|setting| {
            let value = shown(setting.key, setting.value.as_ref());
            let own = synonym(setting.key, value, ConfigSource::DynamicDefaultBroker);
            described(setting, vec![own])
        });
        set.collect()
    }

    /// What the broker keys of a topic key are set to.
    fn synonyms(&self, names: impl Iterator<Item = &'static str> + Clone) -> Vec<DescribedSynonym> {
        let synonyms = self.all_synonyms(names.clone());
        let first = synonyms.first();
        let only_a_later_default = first.is_some_and(|synonym| {
            synonym.source == ConfigSource::Default && Some(synonym.name) != names.clone().next()
        });
        match only_a_later_default {
            true => Vec::new(),
            false => synonyms,
        }
    }

    /// What these broker keys are set to: by level, in the order of the names in each.
    fn all_synonyms(
        &self,
        names: impl Iterator<Item = &'static str> + Clone,
    ) -> Vec<DescribedSynonym> {
        let keys = names.map(|name| {
            table::broker_key(name).unwrap_or_else(|| panic!("{name} is not a broker key"))
        });
        let mut synonyms = Vec::new();
        for (overrides, source) in [
            (&self.node, ConfigSource::DynamicBroker),
            (&self.cluster, ConfigSource::DynamicDefaultBroker),
        ] {
            let set = keys.clone().filter_map(|key| {
                let text = overrides.get(key.name)?;
                Value::parse(key, text).ok()?;
                let value = (!key.is_sensitive()).then(|| text.clone());
                Some(synonym(key, value, source))
            });
            synonyms.extend(set);
        }
        let in_file = keys.clone().filter_map(|key| {
            let setting = self.started.settings.get(key.name)?;
            let source = setting.source.described();
            let is_set = source == ConfigSource::StaticBroker;
            is_set.then(|| synonym(key, shown(key, setting.value.as_ref()), source))
        });
        synonyms.extend(in_file);
        let by_default = keys.filter_map(|key| {
            let value = shown(key, Some(&default_of(key)?));
            Some(synonym(key, value, ConfigSource::Default))
        });
        synonyms.extend(by_default);
        synonyms
    }
}

fn described(setting: &Setting, synonyms: Vec<DescribedSynonym>) -> Described {
    Described {
        key: setting.key,
        value: shown(setting.key, setting.value.as_ref()),
        source: setting.source.described(),
        synonyms,
    }
}

fn synonym(key: &Key, value: Option<String>, source: ConfigSource) -> DescribedSynonym {
    DescribedSynonym {
        name: key.name,
        value,
        source,
    }
}

fn shown(key: &Key, value: Option<&Value>) -> Option<String> {
    let value = value.filter(|_| !key.is_sensitive());
    value.map(Value::to_string)
}

/// The broker keys that say the same as this one in other units, it included, the one that counts
/// first (`log.roll.ms`, `log.roll.hours`).
fn names_beside(name: &'static str) -> impl Iterator<Item = &'static str> + Clone {
    let mut groups = table::keys().filter_map(|key| match key.scope {
        Scope::Topic(names) => Some(names),
        Scope::Broker => None,
    });
    let is_own = |names: &&'static [Synonym]| names.iter().any(|synonym| synonym.name == name);
    let group = groups.find(is_own).unwrap_or_default();
    let alone = group.is_empty().then_some(name);
    alone
        .into_iter()
        .chain(group.iter().map(|synonym| synonym.name))
}
