//! Settings: a checked value for every key of a scope, and where it came from.

use std::collections::{BTreeMap, BTreeSet};

use super::error::{ConfigError, ConfigErrors, Place};
use super::kafka_names::{self, Rest};
use super::key::{Key, Kind, Scope, Support};
use super::properties;
use super::table;
use super::value::Value;

/// Where a value came from; DescribeConfigs shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Source {
    /// The table.
    Default,
    /// The broker's file or command line (for a topic key: of one of its synonyms).
    Broker(Place),
    /// Set for all brokers while they ran (for a topic key: one of its synonyms).
    DynamicDefaultBroker,
    /// Set for this broker while it ran (for a topic key: one of its synonyms).
    DynamicBroker,
    /// The topic's own overrides.
    Topic,
}

/// One key with its value.
#[derive(Clone, PartialEq, Debug)]
pub struct Setting {
    pub key: &'static Key,
    /// `None` is Kafka's `null`: not set, and no default.
    pub value: Option<Value>,
    pub source: Source,
}

/// A value for every key of one scope. Plain data: may be sent to every shard.
#[derive(Clone, Debug)]
pub struct Settings {
    values: BTreeMap<&'static str, Setting>,
    warnings: Vec<String>,
}

impl Settings {
    /// Every broker key at its default.
    pub fn defaults() -> Settings {
        let broker = table::keys().filter(|key| key.scope == Scope::Broker);
        Settings::of(broker.map(|key| Setting {
            key,
            value: default_of(key),
            source: Source::Default,
        }))
    }

    pub(super) fn of(settings: impl Iterator<Item = Setting>) -> Settings {
        Settings {
            values: settings
                .map(|setting| (setting.key.name, setting))
                .collect(),
            warnings: Vec::new(),
        }
    }

    /// Reads a properties file, given as its name and text, then the `key=value` overrides, which
    /// win over it. All mistakes are reported together.
    pub fn load(
        file: Option<(&str, &str)>,
        overrides: &[String],
    ) -> Result<Settings, ConfigErrors> {
        let mut loader = Loader {
            settings: Settings::defaults(),
            errors: Vec::new(),
            written_as: BTreeMap::new(),
            warned: BTreeSet::new(),
        };
        if let Some((name, text)) = file {
            loader.file(name, text);
        }
        for text in overrides {
            loader.command_line(text);
        }
        if loader.errors.is_empty() {
            Ok(loader.settings)
        } else {
            Err(ConfigErrors(loader.errors))
        }
    }

    /// One sentence each for what was accepted but has no effect; for the log at start-up.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Every setting, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Setting> {
        self.values.values()
    }

    /// The setting of a key by its own name (not an alias).
    pub fn get(&self, name: &str) -> Option<&Setting> {
        self.values.get(name)
    }

    /// # Panics
    /// The table has no such key, or it is of another type: a programmer's error, here and below.
    pub fn boolean(&self, name: &str) -> bool {
        match self.value(name) {
            Some(Value::Boolean(value)) => *value,
            other => panic!("{name} is not a BOOLEAN that is always set: {other:?}"),
        }
    }

    pub fn number(&self, name: &str) -> i64 {
        self.number_if_set(name)
            .unwrap_or_else(|| panic!("{name} is not always set"))
    }

    pub fn number_if_set(&self, name: &str) -> Option<i64> {
        match self.value(name) {
            Some(Value::Number(value)) => Some(*value),
            None => None,
            other => panic!("{name} is not a number: {other:?}"),
        }
    }

    pub fn text(&self, name: &str) -> &str {
        self.text_if_set(name)
            .unwrap_or_else(|| panic!("{name} is not always set"))
    }

    pub fn text_if_set(&self, name: &str) -> Option<&str> {
        match self.value(name) {
            Some(Value::Text(value)) => Some(value),
            None => None,
            other => panic!("{name} is not a STRING: {other:?}"),
        }
    }

    pub fn list(&self, name: &str) -> &[String] {
        self.list_if_set(name).unwrap_or_default()
    }

    pub fn list_if_set(&self, name: &str) -> Option<&[String]> {
        match self.value(name) {
            Some(Value::List(values)) => Some(values),
            None => None,
            other => panic!("{name} is not a LIST: {other:?}"),
        }
    }

    pub(super) fn put(&mut self, setting: Setting) {
        self.values.insert(setting.key.name, setting);
    }

    /// A mistake in the value of a key that only shows together with others.
    pub(super) fn mistake(&self, name: &str, reason: String) -> ConfigErrors {
        let setting = &self.values[name];
        let place = match &setting.source {
            Source::Broker(place) => place.clone(),
            _ => Place::Whole,
        };
        ConfigErrors::from(ConfigError::InvalidValue {
            place,
            key: name.to_owned(),
            value: setting
                .value
                .as_ref()
                .map(Value::to_string)
                .unwrap_or_default(),
            reason,
            advice: format!("expected {}", setting.key.expected()),
        })
    }

    fn value(&self, name: &str) -> Option<&Value> {
        match self.values.get(name) {
            Some(setting) => setting.value.as_ref(),
            None => panic!("{name} is not in the table of configuration keys"),
        }
    }
}

/// The default in the table, checked like any other value.
pub(super) fn default_of(key: &Key) -> Option<Value> {
    let text = key.default?;
    match Value::parse(key, text) {
        Ok(value) => Some(value),
        Err(reason) => panic!("default of {}: {reason}", key.name),
    }
}

struct Loader {
    settings: Settings,
    errors: Vec<ConfigError>,
    /// The name that a key was written with, and the place; keys have aliases.
    written_as: BTreeMap<&'static str, (String, Place)>,
    warned: BTreeSet<String>,
}

impl Loader {
    fn file(&mut self, name: &str, text: &str) {
        let place = |line| Place::File {
            name: name.to_owned(),
            line,
        };
        match properties::parse(text) {
            Ok(properties) => {
                for property in properties {
                    self.set(place(property.line), &property.key, &property.value);
                }
            }
            Err(error) => self.errors.push(ConfigError::Syntax {
                place: place(error.line),
                reason: error.reason.to_owned(),
            }),
        }
    }

    fn command_line(&mut self, text: &str) {
        match text.split_once('=') {
            Some((key, value)) => self.set(Place::Override, key.trim(), value),
            None => self.errors.push(ConfigError::Syntax {
                place: Place::Override,
                reason: format!("`{text}` has no `=`; write it as -o key=value"),
            }),
        }
    }

    fn set(&mut self, place: Place, name: &str, text: &str) {
        let Some(key) = table::broker_key(name) else {
            self.not_in_table(place, name);
            return;
        };
        let value = match Value::parse(key, text) {
            Ok(value) => value,
            Err(reason) => {
                let shown = if key.kind == Kind::Password {
                    "[hidden]"
                } else {
                    text
                };
                self.errors.push(ConfigError::InvalidValue {
                    place,
                    key: name.to_owned(),
                    value: shown.to_owned(),
                    reason,
                    advice: format!("expected {}", key.expected()),
                });
                return;
            }
        };
        self.check_repeated(key, name, &value, &place);
        if let Support::Stored(missing) = key.support
            && default_of(key).as_ref() != Some(&value)
        {
            self.warn(
                name,
                format!("{place}: `{name}` is kept without effect so far: {missing}"),
            );
        }
        let setting = Setting {
            key,
            value: Some(value),
            source: Source::Broker(place),
        };
        self.settings.values.insert(key.name, setting);
    }

    /// The last one of a key wins, with a warning if both are in the file; two names of one key
    /// must agree (Kafka: "You must set `node.id` to the same value as `broker.id`").
    fn check_repeated(&mut self, key: &'static Key, name: &str, value: &Value, place: &Place) {
        let written = (name.to_owned(), place.clone());
        let Some((other_name, other_place)) = self.written_as.insert(key.name, written) else {
            return;
        };
        if other_name != name {
            if self.settings.value(key.name) != Some(value) {
                self.errors.push(ConfigError::InvalidValue {
                    place: place.clone(),
                    key: name.to_owned(),
                    value: value.to_string(),
                    reason: format!("`{other_name}` ({other_place}) is the same key"),
                    advice: format!("keep only `{}`", key.name),
                });
            }
        } else if other_place != Place::Override && *place != Place::Override {
            self.settings.warnings.push(format!(
                "{place}: `{name}` is also set at {other_place}; this one counts"
            ));
        }
    }

    fn not_in_table(&mut self, place: Place, name: &str) {
        let advice = match kafka_names::group_of(name) {
            Some(group) if group.rest == Rest::Refused => {
                format!(
                    "Kafka has it, and {}; remove it to accept that",
                    group.reason
                )
            }
            Some(group) => {
                let reason = group.reason;
                let text =
                    format!("{place}: `{name}` is a key of Kafka that has no effect: {reason}");
                return self.warn(name, text);
            }
            None => advice_for_unknown(name).unwrap_or_else(|| "remove the line".to_owned()),
        };
        self.errors.push(ConfigError::UnknownKey {
            place,
            key: name.to_owned(),
            advice,
        });
    }

    fn warn(&mut self, name: &str, text: String) {
        if self.warned.insert(name.to_owned()) {
            self.settings.warnings.push(text);
        }
    }
}

/// What may have been meant by a name that is no broker key of ours or Kafka's.
pub(super) fn advice_for_unknown(name: &str) -> Option<String> {
    if let Some(Scope::Topic(synonyms)) = table::topic_key(name).map(|key| key.scope) {
        return Some(match synonyms.first() {
            Some(broker) => format!(
                "it is a topic's; the default for all topics is `{}`",
                broker.name
            ),
            None => "it is a topic's, set it there".to_owned(),
        });
    }
    nearest(name).map(|nearest| format!("did you mean `{nearest}`?"))
}

/// The known name with the fewest edits, if they are few for its length.
fn nearest(name: &str) -> Option<&'static str> {
    let ours = table::keys()
        .filter(|key| key.scope == Scope::Broker)
        .flat_map(|key| std::iter::once(key.name).chain(key.aliases.iter().copied()));
    ours.chain(kafka_names::names())
        .map(|known| (strsim::osa_distance(name, known), known))
        .filter(|(edits, known)| *edits <= known.len() / 4 + 1)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, known)| known)
}
