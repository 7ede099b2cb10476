//! Settings of topics and brokers changed (Kafka's `ConfigAdminManager` and
//! `ConfigurationControlManager`).
//!
//! # Non-obvious
//! - Kafka checks brokers' settings on the broker and topics' on its controller, and their answers
//!   differ: a wrong value is INVALID_REQUEST for a broker and INVALID_CONFIG for a topic.
//! - A resource that cannot be changed as asked is not changed at all; the others of the request
//!   are.
//! - A key is taken away whatever its name, so that one that no release knows can be.

use std::collections::{BTreeMap, BTreeSet};

use super::machine::Controller;
use super::request::{
    AlterConfigs, AlterResource, AlterResult, ConfigChange, ConfigOperation, ControllerReply,
    Outcome,
};
use crate::config::{BrokerLevel, InvalidBrokerConfig, Key, Kind, Overrides, table};
use crate::metadata::{
    ConfigRecord, ConfigResource, ConfigResourceType, MetadataRecord, validate_topic_name,
};
use crate::types::ErrorCode;

/// Why one resource is not changed.
struct Refusal(ErrorCode, String);

/// What a key gets: a value, or its default again.
type Change = (String, Option<String>);

impl Controller {
    pub(super) fn alter_configs(&self, request: AlterConfigs) -> Outcome {
        let repeated = repeated_resources(&request.resources);
        let mut records = Vec::new();
        let mut results = Vec::new();
        for resource in request.resources {
            let altered = match repeated.contains(&(resource.resource_type, resource.name.clone()))
            {
                true => Err(invalid(
                    "Each resource must appear at most once.".to_owned(),
                )),
                false => self.alter_resource(&resource),
            };
            let refused = altered.map(|altered| records.extend(altered)).err();
            let (error, message) = match refused {
                None => (ErrorCode::None, None),
                Some(Refusal(error, message)) => (error, Some(message)),
            };
            results.push(AlterResult {
                resource_type: resource.resource_type,
                name: resource.name,
                error,
                message,
            });
        }
        if records.len() > super::RECORDS_PER_REQUEST_MAX {
            records.clear();
            for result in &mut results {
                result.error = ErrorCode::PolicyViolation;
                result.message =
                    Some("Unable to perform excessively large batch operation.".into());
            }
        }
        if request.validate_only {
            records.clear();
        }
        Outcome {
            records,
            reply: ControllerReply::AlterConfigs(results),
        }
    }

    fn alter_resource(&self, resource: &AlterResource) -> Result<Vec<MetadataRecord>, Refusal> {
        check_names(&resource.change)?;
        let (resource, current, wanted) = match self.resource_of(resource)? {
            Target::Topic(target) => {
                let current = self.overrides(&target);
                let wanted = wanted(&resource.change, &current, table::topic_key)?;
                self.check_topic(&target.name, &wanted)?;
                (target, current, wanted)
            }
            Target::Broker(target, level) => {
                let current = self.overrides(&target);
                let wanted = wanted(&resource.change, &current, table::broker_key)?;
                self.check_broker(level, &current, &wanted)?;
                (target, current, wanted)
            }
        };
        let changes = changes(&current, wanted);
        let records = changes.into_iter().map(|(key, value)| {
            MetadataRecord::Config(ConfigRecord {
                resource: resource.clone(),
                key,
                value,
            })
        });
        Ok(records.collect())
    }

    fn resource_of(&self, resource: &AlterResource) -> Result<Target, Refusal> {
        if resource.resource_type == ConfigResourceType::Topic as i8 {
            return Ok(Target::Topic(ConfigResource::topic(resource.name.as_str())));
        }
        if resource.resource_type != ConfigResourceType::Broker as i8 {
            let number = resource.resource_type;
            return Err(invalid(format!("Unknown resource type {number}")));
        }
        if resource.name.is_empty() {
            return Ok(Target::Broker(
                ConfigResource::cluster(),
                BrokerLevel::Cluster,
            ));
        }
        let node_id = self.config.node_id;
        match resource.name.parse::<i32>() {
            Ok(id) if id == node_id => Ok(Target::Broker(
                ConfigResource::broker(id),
                BrokerLevel::Node,
            )),
            Ok(_) => Err(invalid(format!(
                "Unexpected broker id, expected {node_id}, but received {}",
                resource.name
            ))),
            Err(_) => Err(invalid(format!(
                "Node id must be an integer, but it is: {}",
                resource.name
            ))),
        }
    }

    fn overrides(&self, resource: &ConfigResource) -> Overrides {
        let set = self.image.config(resource);
        set.map(|set| Overrides::clone(set)).unwrap_or_default()
    }

    fn check_topic(&self, name: &str, wanted: &Overrides) -> Result<(), Refusal> {
        if name.is_empty() {
            let message = "Default topic resources are not allowed.";
            return Err(invalid(message.to_owned()));
        }
        validate_topic_name(name)
            .map_err(|message| Refusal(ErrorCode::InvalidTopicException, message))?;
        self.dynamic
            .topic(wanted)
            .map_err(|error| Refusal(ErrorCode::InvalidConfig, error.to_string()))?;
        match self.image.topic_by_name(name) {
            Some(_) => Ok(()),
            None => Err(Refusal(
                ErrorCode::UnknownTopicOrPartition,
                format!("The topic '{name}' does not exist."),
            )),
        }
    }

    fn check_broker(
        &self,
        level: BrokerLevel,
        current: &Overrides,
        wanted: &Overrides,
    ) -> Result<(), Refusal> {
        // What is there already and not valid any more is not this request's.
        let is_asked = |(name, value): &(&String, &String)| current.get(*name) != Some(*value);
        let is_sound = |name: &String| table::broker_key(name).is_some_and(|key| key.dynamic);
        let checked = wanted
            .iter()
            .filter(|setting| is_asked(setting) || is_sound(setting.0))
            .map(|(name, value)| (name.clone(), value.clone()));
        let checked = self.dynamic.check(level, &checked.collect());
        checked.map_err(|error| {
            let code = match error {
                InvalidBrokerConfig::UnknownName { .. } => ErrorCode::InvalidConfig,
                _ => ErrorCode::InvalidRequest,
            };
            Refusal(code, error.to_string())
        })
    }
}

/// What a request is about.
enum Target {
    Topic(ConfigResource),
    Broker(ConfigResource, BrokerLevel),
}

fn invalid(message: String) -> Refusal {
    Refusal(ErrorCode::InvalidRequest, message)
}

/// Resources that stand more than once.
fn repeated_resources(resources: &[AlterResource]) -> BTreeSet<(i8, String)> {
    let mut seen = BTreeSet::new();
    let mut repeated = BTreeSet::new();
    for resource in resources {
        let named = (resource.resource_type, resource.name.as_str());
        if !seen.insert(named) {
            repeated.insert((resource.resource_type, resource.name.clone()));
        }
    }
    repeated
}

/// A name stands once, and has a value unless it is taken away.
fn check_names(change: &ConfigChange) -> Result<(), Refusal> {
    let names: Vec<(&str, bool)> = match change {
        ConfigChange::Each(operations) => operations
            .iter()
            .map(|one| {
                let is_without = one.value.is_none() && one.operation != DELETE;
                (one.name.as_str(), is_without)
            })
            .collect(),
        ConfigChange::Replace(values) => values
            .iter()
            .map(|(name, value)| (name.as_str(), value.is_none()))
            .collect(),
    };
    let distinct: BTreeSet<&str> = names.iter().map(|(name, _)| *name).collect();
    if distinct.len() < names.len() {
        return Err(invalid("Error due to duplicate config keys".to_owned()));
    }
    let without: Vec<&str> = names
        .iter()
        .filter(|(_, is_without)| *is_without)
        .map(|(name, _)| *name)
        .collect();
    match without.is_empty() {
        true => Ok(()),
        false => Err(invalid(format!(
            "Null value not supported for : {}",
            without.join(", ")
        ))),
    }
}

/// Operations of IncrementalAlterConfigs (`AlterConfigOp.OpType`).
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

fn operate(
    wanted: &mut Overrides,
    operation: &ConfigOperation,
    key: Option<&'static Key>,
) -> Result<(), Refusal> {
    let name = &operation.name;
    let value = operation.value.clone().unwrap_or_default();
    match operation.operation {
        SET => drop(wanted.insert(name.clone(), value)),
        DELETE => drop(wanted.remove(name)),
        APPEND | SUBTRACT => {
            let appends = operation.operation == APPEND;
            let list = key.filter(|key| key.kind == Kind::List);
            let Some(key) = list else {
                let verb = if appends { "APPEND" } else { "SUBTRACT" };
                return Err(Refusal(
                    ErrorCode::InvalidConfig,
                    format!("Can't {verb} to key {name} because its type is not LIST."),
                ));
            };
            let current = wanted.get(name).map(String::as_str);
            let items = items(current.or(key.default).unwrap_or_default());
            let given = self::items(&value);
            let items = match appends {
                true => appended(items, given),
                false => subtracted(items, &given),
            };
            wanted.insert(name.clone(), items.join(","));
        }
        other => return Err(invalid(format!("Unknown operations type {other}"))),
    }
    Ok(())
}

fn items(text: &str) -> Vec<&str> {
    let items = text.split(',').map(str::trim);
    items.filter(|item| !item.is_empty()).collect()
}

fn appended<'a>(mut items: Vec<&'a str>, given: Vec<&'a str>) -> Vec<&'a str> {
    for item in given {
        if !items.contains(&item) {
            items.push(item);
        }
    }
    items
}

fn subtracted<'a>(mut items: Vec<&'a str>, given: &[&str]) -> Vec<&'a str> {
    items.retain(|item| !given.contains(item));
    items
}

/// All overrides that the resource will have.
fn wanted(
    change: &ConfigChange,
    current: &Overrides,
    key_of: fn(&str) -> Option<&'static Key>,
) -> Result<Overrides, Refusal> {
    match change {
        ConfigChange::Replace(values) => {
            let values = values.iter();
            Ok(values
                .filter_map(|(name, value)| Some((name.clone(), value.clone()?)))
                .collect())
        }
        ConfigChange::Each(operations) => {
            let mut wanted = current.clone();
            for operation in operations {
                operate(&mut wanted, operation, key_of(&operation.name))?;
            }
            Ok(wanted)
        }
    }
}

/// What must be recorded to get from one to the other.
fn changes(current: &Overrides, wanted: Overrides) -> Vec<Change> {
    let gone = current.keys().filter(|name| !wanted.contains_key(*name));
    let gone: BTreeMap<String, Option<String>> = gone.map(|name| (name.clone(), None)).collect();
    let set = wanted
        .into_iter()
        .filter(|(name, value)| current.get(name) != Some(value))
        .map(|(name, value)| (name, Some(value)));
    gone.into_iter().chain(set).collect()
}
