//! What DescribeConfigs, AlterConfigs, IncrementalAlterConfigs and ListConfigResources answer, as
//! Kafka 4.1.1 answers the same. What a change does is in `config_changes`.

use kafka_protocol::messages::alter_configs_request::{
    AlterConfigsResource as Resource, AlterableConfig as Config,
};
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult as Described, DescribeConfigsResult,
};
use kafka_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use kafka_protocol::messages::{
    AlterConfigsRequest, CreateTopicsRequest, DescribeConfigsRequest,
    IncrementalAlterConfigsRequest, ListConfigResourcesRequest,
};
use ringlog::config::{Scope, table};
use ringlog::protocol::ApiKey;
use ringlog::types::ErrorCode::{
    self, InvalidConfig, InvalidRequest, InvalidTopicException, UnknownTopicOrPartition,
    UnsupportedVersion,
};

use crate::broker::TestBroker;
use crate::topics::{code, create, new_topic, text, versions};
use crate::wire::Wire;

pub(crate) const TOPIC: i8 = 2;
pub(crate) const BROKER: i8 = 4;

/// The id of the tests' brokers.
pub(crate) const NODE: &str = "1";

pub(crate) const SET: i8 = 0;
pub(crate) const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

/// Sources of a value.
const OF_TOPIC: i8 = 1;
const DYNAMIC_BROKER: i8 = 2;
const DYNAMIC_DEFAULT: i8 = 3;
const IN_FILE: i8 = 4;
const BY_DEFAULT: i8 = 5;

/// From this version on an answer has types and documentation.
const TYPE_VERSION_MIN: i16 = 3;

/// Changes one key; code and message of the answer.
pub(crate) fn alter(
    wire: &mut Wire,
    (resource_type, name): (i8, &str),
    (key, operation, value): (&str, i8, Option<&str>),
) -> (i16, Option<String>) {
    let config = AlterableConfig::default()
        .with_name(text(key))
        .with_config_operation(operation)
        .with_value(value.map(text));
    let resource = AlterConfigsResource::default()
        .with_resource_type(resource_type)
        .with_resource_name(text(name))
        .with_configs(vec![config]);
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
    let mut response = wire.call(1, &request);
    assert_eq!(response.responses.len(), 1);
    let result = response.responses.remove(0);
    assert_eq!(result.resource_type, resource_type);
    assert_eq!(result.resource_name.as_str(), name);
    (
        result.error_code,
        result.error_message.map(|m| m.to_string()),
    )
}

/// Sets one key, which must go well.
pub(crate) fn set(wire: &mut Wire, resource: (i8, &str), key: &str, value: &str) {
    let done = alter(wire, resource, (key, SET, Some(value)));
    assert_eq!(done, (0, None), "{key}={value}");
}

fn resource(resource_type: i8, name: &str, keys: Option<&[&str]>) -> DescribeConfigsResource {
    let keys = keys.map(|keys| keys.iter().map(|key| text(key)).collect());
    DescribeConfigsResource::default()
        .with_resource_type(resource_type)
        .with_resource_name(text(name))
        .with_configuration_keys(keys)
}

fn describe_all(
    wire: &mut Wire,
    version: i16,
    resources: Vec<DescribeConfigsResource>,
) -> Vec<DescribeConfigsResult> {
    let mut request = DescribeConfigsRequest::default()
        .with_resources(resources)
        .with_include_synonyms(true);
    request.include_documentation = version >= TYPE_VERSION_MIN;
    wire.call(version, &request).results
}

/// A resource's keys, or the error.
fn describe(
    wire: &mut Wire,
    (resource_type, name): (i8, &str),
    keys: Option<&[&str]>,
) -> Result<Vec<Described>, (i16, Option<String>)> {
    let mut results = describe_all(wire, 4, vec![resource(resource_type, name, keys)]);
    let result = results.remove(0);
    assert_eq!(result.resource_name.as_str(), name);
    match result.error_code {
        0 => Ok(result.configs),
        error => Err((error, result.error_message.map(|m| m.to_string()))),
    }
}

/// The value of one key and its source.
pub(crate) fn value(wire: &mut Wire, resource: (i8, &str), key: &str) -> (Option<String>, i8) {
    let mut described = describe(wire, resource, Some(&[key])).expect("it is there");
    assert_eq!(described.len(), 1, "{key}");
    let one = described.remove(0);
    (one.value.map(|value| value.to_string()), one.config_source)
}

/// What is set of a key, everywhere: name, value, source.
fn synonyms(wire: &mut Wire, resource: (i8, &str), key: &str) -> Vec<(String, String, i8)> {
    let described = describe(wire, resource, Some(&[key])).expect("it is there");
    let synonyms = described[0].synonyms.iter();
    synonyms
        .map(|s| {
            let value = s.value.as_ref().expect("no key is secret");
            (s.name.to_string(), value.to_string(), s.source)
        })
        .collect()
}

fn triples(expected: &[(&str, &str, i8)]) -> Vec<(String, String, i8)> {
    let expected = expected.iter();
    expected
        .map(|(name, value, source)| ((*name).to_owned(), (*value).to_owned(), *source))
        .collect()
}

#[test]
fn a_topic_shows_all_of_its_keys_in_every_version() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    create(&mut wire, "t", 1, &[("retention.ms", "123456")]);
    let of_topics = table::keys().filter(|key| matches!(key.scope, Scope::Topic(_)));
    let mut names: Vec<_> = of_topics.map(|key| key.name).collect();
    names.sort_unstable();
    for version in versions(ApiKey::DescribeConfigs) {
        let mut results = describe_all(&mut wire, version, vec![resource(TOPIC, "t", None)]);
        let result = results.remove(0);
        let message = result.error_message.as_deref();
        assert_eq!((result.error_code, message), (0, Some("")));
        let shown: Vec<_> = result.configs.iter().map(|c| c.name.to_string()).collect();
        assert_eq!(shown, names, "version {version}");
        let find = |name: &str| {
            result
                .configs
                .iter()
                .find(|c| c.name.as_str() == name)
                .unwrap()
        };
        let retention = find("retention.ms");
        assert_eq!(retention.value.as_deref(), Some("123456"));
        assert_eq!(retention.config_source, OF_TOPIC);
        assert!(!retention.read_only && !retention.is_sensitive);
        // The tests' brokers have it from the command line.
        assert_eq!(find("segment.bytes").config_source, IN_FILE);
        assert_eq!(find("index.interval.bytes").config_source, BY_DEFAULT);
        let types = [
            "preallocate",
            "cleanup.policy",
            "segment.bytes",
            "retention.ms",
        ];
        let types = types.map(|name| find(name).config_type);
        let text = |c: &Described| c.documentation.as_ref().map_or(0, |text| text.len());
        let documented = result.configs.iter().all(|c| text(c) > 0);
        match version {
            ..TYPE_VERSION_MIN => assert_eq!((types, documented), ([0; 4], false)),
            _ => assert_eq!((types, documented), ([1, 7, 3, 5], true)),
        }
    }
}

#[test]
fn synonyms_and_documentation_come_only_when_they_are_asked_for() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    create(&mut wire, "t", 1, &[]);
    let request = DescribeConfigsRequest::default().with_resources(vec![
        resource(TOPIC, "t", None),
        resource(BROKER, NODE, None),
    ]);
    for result in wire.call(4, &request).results {
        assert_eq!(result.error_code, 0);
        for config in result.configs {
            assert!(config.synonyms.is_empty() && config.documentation.is_none());
            assert_ne!(config.config_type, 0);
        }
    }
}

#[test]
fn only_the_keys_that_were_asked_for_are_shown() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    create(&mut wire, "t", 1, &[]);
    let names = |wire: &mut Wire, keys| {
        let described = describe(wire, (TOPIC, "t"), keys).unwrap();
        let names = described.iter().map(|c| c.name.to_string());
        names.collect::<Vec<_>>()
    };
    let some = names(&mut wire, Some(&["segment.ms", "nope", "flush.ms"]));
    assert_eq!(some, ["flush.ms", "segment.ms"]);
    let all = names(&mut wire, None);
    assert_eq!(names(&mut wire, Some(&[])), all);
    assert!(all.len() > 30);
}

#[test]
fn resources_that_there_are_not_are_refused_beside_those_that_there_are() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    create(&mut wire, "t", 1, &[]);
    let illegal = "Topic name is invalid: 'a b' contains one or more characters other than ASCII \
        alphanumerics, '.', '_' and '-'";
    let cases: [(i8, &str, ErrorCode, Option<&str>); 9] = [
        (TOPIC, "nope", UnknownTopicOrPartition, Some("")),
        (
            TOPIC,
            "",
            InvalidTopicException,
            Some("Topic name is invalid: the empty string is not allowed"),
        ),
        (TOPIC, "a b", InvalidTopicException, Some(illegal)),
        (
            BROKER,
            "2",
            InvalidRequest,
            Some("Unexpected broker id, expected 1 or empty string, but received 2"),
        ),
        (
            BROKER,
            "x",
            InvalidRequest,
            Some("Broker id must be an integer, but it is: x"),
        ),
        (0, "t", InvalidRequest, Some("Unknown resource type 0")),
        (8, "1", InvalidRequest, Some("Unknown resource type 8")),
        (16, "t", InvalidRequest, Some("Unknown resource type 16")),
        (32, "t", InvalidRequest, Some("Unknown resource type 32")),
    ];
    for version in versions(ApiKey::DescribeConfigs) {
        let mut resources: Vec<_> = cases
            .iter()
            .map(|&(kind, name, ..)| resource(kind, name, None))
            .collect();
        resources.push(resource(TOPIC, "t", None));
        let results = describe_all(&mut wire, version, resources);
        for ((kind, name, error, message), result) in cases.iter().zip(&results) {
            assert_eq!(result.error_code, code(*error), "{kind} {name:?}");
            assert_eq!(result.error_message.as_deref(), *message);
            assert!(result.configs.is_empty());
        }
        let last = results.last().unwrap();
        assert_eq!(last.error_code, 0);
        assert!(!last.configs.is_empty());
    }
}

#[test]
fn a_broker_shows_what_it_was_started_with() {
    let broker = TestBroker::start(&["num.partitions=3"]);
    let mut wire = broker.connect();
    let described = describe(&mut wire, (BROKER, NODE), None).unwrap();
    let of_brokers = table::keys().filter(|key| key.scope == Scope::Broker);
    assert_eq!(described.len(), of_brokers.count());
    let find = |name: &str| described.iter().find(|c| c.name.as_str() == name).unwrap();
    let partitions = find("num.partitions");
    assert_eq!(partitions.value.as_deref(), Some("3"));
    assert_eq!(partitions.config_source, IN_FILE);
    assert!(partitions.read_only);
    assert!(!find("log.retention.ms").read_only);
    assert_eq!(find("log.retention.ms").value, None);
    // Kafka's type of it, though it is a list.
    assert_eq!(find("listeners").config_type, 2);
    let expected = [
        ("num.partitions", "3", IN_FILE),
        ("num.partitions", "1", BY_DEFAULT),
    ];
    let shown = synonyms(&mut wire, (BROKER, NODE), "num.partitions");
    assert_eq!(shown, triples(&expected));
    assert_eq!(describe(&mut wire, (BROKER, ""), None), Ok(vec![]));
}

#[test]
fn what_counts_is_the_topics_then_the_brokers_then_all_brokers_then_the_files() {
    let broker = TestBroker::start(&["log.retention.hours=100"]);
    let mut wire = broker.connect();
    create(&mut wire, "t", 1, &[]);
    let retention = |wire: &mut Wire| {
        let shown = value(wire, (TOPIC, "t"), "retention.ms");
        (shown.0.unwrap(), shown.1)
    };
    let hours = ("log.retention.hours", "100", IN_FILE);
    let default = ("log.retention.hours", "168", BY_DEFAULT);
    assert_eq!(retention(&mut wire), ("360000000".to_owned(), IN_FILE));
    set(&mut wire, (BROKER, ""), "log.retention.ms", "22000");
    assert_eq!(retention(&mut wire), ("22000".to_owned(), DYNAMIC_DEFAULT));
    set(&mut wire, (BROKER, NODE), "log.retention.ms", "11000");
    assert_eq!(retention(&mut wire), ("11000".to_owned(), DYNAMIC_BROKER));
    set(&mut wire, (TOPIC, "t"), "retention.ms", "5000");
    assert_eq!(retention(&mut wire), ("5000".to_owned(), OF_TOPIC));
    let all = [
        ("retention.ms", "5000", OF_TOPIC),
        ("log.retention.ms", "11000", DYNAMIC_BROKER),
        ("log.retention.ms", "22000", DYNAMIC_DEFAULT),
        hours,
        default,
    ];
    let shown = synonyms(&mut wire, (TOPIC, "t"), "retention.ms");
    assert_eq!(shown, triples(&all));
    let shown = synonyms(&mut wire, (BROKER, NODE), "log.retention.ms");
    assert_eq!(shown, triples(&all[1..]));
    let of_all = describe(&mut wire, (BROKER, ""), None).unwrap();
    assert_eq!(of_all.len(), 1);
    assert_eq!(of_all[0].value.as_deref(), Some("22000"));
    assert_eq!(of_all[0].config_source, DYNAMIC_DEFAULT);
    // And back, one by one.
    let topic = (TOPIC, "t");
    alter(&mut wire, topic, ("retention.ms", DELETE, None));
    assert_eq!(retention(&mut wire), ("11000".to_owned(), DYNAMIC_BROKER));
    alter(
        &mut wire,
        (BROKER, NODE),
        ("log.retention.ms", DELETE, None),
    );
    assert_eq!(retention(&mut wire), ("22000".to_owned(), DYNAMIC_DEFAULT));
    alter(&mut wire, (BROKER, ""), ("log.retention.ms", DELETE, None));
    assert_eq!(retention(&mut wire), ("360000000".to_owned(), IN_FILE));
    assert_eq!(
        synonyms(&mut wire, topic, "retention.ms"),
        triples(&[hours, default])
    );
}

#[test]
fn a_new_topics_answer_says_where_its_settings_come_from() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    set(&mut wire, (BROKER, ""), "log.retention.ms", "22000");
    set(&mut wire, (BROKER, NODE), "log.roll.ms", "11000");
    let topic = new_topic("t", 1, &[("flush.ms", "5")]);
    let request = CreateTopicsRequest::default().with_topics(vec![topic]);
    let created = wire.call(7, &request).topics.remove(0);
    let configs = created.configs.unwrap();
    for (name, expected, source) in [
        ("flush.ms", "5", OF_TOPIC),
        ("segment.ms", "11000", DYNAMIC_BROKER),
        ("retention.ms", "22000", DYNAMIC_DEFAULT),
        ("segment.bytes", "1048576", IN_FILE),
        ("flush.messages", "9223372036854775807", BY_DEFAULT),
    ] {
        let config = configs.iter().find(|c| c.name.as_str() == name).unwrap();
        assert_eq!(config.value.as_deref(), Some(expected), "{name}");
        assert_eq!(config.config_source, source, "{name}");
    }
}

#[test]
fn every_version_changes_settings() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    create(&mut wire, "t", 1, &[]);
    let retention = |wire: &mut Wire| value(wire, (TOPIC, "t"), "retention.ms").0;
    for (index, version) in versions(ApiKey::IncrementalAlterConfigs).enumerate() {
        for (validate_only, new) in [(true, "77"), (false, "1000")] {
            let before = retention(&mut wire);
            let new = format!("{new}{index}");
            let config = AlterableConfig::default()
                .with_name(text("retention.ms"))
                .with_config_operation(SET)
                .with_value(Some(text(&new)));
            let resource = AlterConfigsResource::default()
                .with_resource_type(TOPIC)
                .with_resource_name(text("t"))
                .with_configs(vec![config]);
            let request = IncrementalAlterConfigsRequest::default()
                .with_resources(vec![resource])
                .with_validate_only(validate_only);
            let result = wire.call(version, &request).responses.remove(0);
            assert_eq!((result.error_code, result.error_message), (0, None));
            let after = if validate_only { before } else { Some(new) };
            assert_eq!(retention(&mut wire), after);
        }
    }
    for version in versions(ApiKey::AlterConfigs) {
        for validate_only in [true, false] {
            set(&mut wire, (TOPIC, "t"), "retention.ms", "4711");
            let config = Config::default()
                .with_name(text("retention.bytes"))
                .with_value(Some(text("1234567")));
            let resource = Resource::default()
                .with_resource_type(TOPIC)
                .with_resource_name(text("t"))
                .with_configs(vec![config]);
            let request = AlterConfigsRequest::default()
                .with_resources(vec![resource])
                .with_validate_only(validate_only);
            let result = wire.call(version, &request).responses.remove(0);
            assert_eq!((result.error_code, result.error_message), (0, None));
            let (kept, source) = value(&mut wire, (TOPIC, "t"), "retention.ms");
            match validate_only {
                true => assert_eq!((kept.as_deref(), source), (Some("4711"), OF_TOPIC)),
                false => assert_eq!(source, BY_DEFAULT, "what is not given anew goes"),
            }
        }
    }
    let bytes = value(&mut wire, (TOPIC, "t"), "retention.bytes");
    assert_eq!(bytes, (Some("1234567".to_owned()), OF_TOPIC));
}

#[test]
fn refusals_reach_the_client_with_their_reasons() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    create(&mut wire, "t", 1, &[]);
    let cases = [
        (
            (TOPIC, "t"),
            ("retention.ms", SET, Some("x")),
            InvalidConfig,
            "Invalid value x for configuration retention.ms: Not a number of type LONG",
        ),
        (
            (TOPIC, "t"),
            ("nope", SET, Some("1")),
            InvalidConfig,
            "Unknown topic config name: nope",
        ),
        (
            (TOPIC, "t"),
            ("retention.ms", APPEND, Some("1")),
            InvalidConfig,
            "Can't APPEND to key retention.ms because its type is not LIST.",
        ),
        (
            (TOPIC, "nope"),
            ("retention.ms", SET, Some("1")),
            UnknownTopicOrPartition,
            "The topic 'nope' does not exist.",
        ),
        (
            (BROKER, NODE),
            ("num.partitions", SET, Some("2")),
            InvalidRequest,
            "Cannot update these configs dynamically: Set(num.partitions)",
        ),
        (
            (BROKER, ""),
            ("log.segment.bytes", SET, Some("1")),
            InvalidRequest,
            "Invalid value 1 for configuration log.segment.bytes: Value must be at least 1048576",
        ),
        (
            (BROKER, "2"),
            ("log.retention.ms", SET, Some("1")),
            InvalidRequest,
            "Unexpected broker id, expected 1, but received 2",
        ),
    ];
    for (resource, operation, error, message) in cases {
        let answer = alter(&mut wire, resource, operation);
        assert_eq!(answer, (code(error), Some(message.to_owned())));
    }
    assert_eq!(describe(&mut wire, (BROKER, ""), None), Ok(vec![]));
}

#[test]
fn lists_change_item_by_item() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    create(&mut wire, "t", 1, &[]);
    let policy = |wire: &mut Wire| value(wire, (TOPIC, "t"), "cleanup.policy").0.unwrap();
    for (operation, item, expected) in [
        (APPEND, "compact", "delete,compact"),
        (SUBTRACT, "delete", "compact"),
        (SUBTRACT, "compact", ""),
    ] {
        let change = ("cleanup.policy", operation, Some(item));
        assert_eq!(alter(&mut wire, (TOPIC, "t"), change), (0, None));
        assert_eq!(policy(&mut wire), expected);
    }
}

#[test]
fn names_and_values_of_any_size_are_answered() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    create(&mut wire, "t", 1, &[]);
    let long = "x".repeat(i16::MAX as usize);
    for (key, value) in [(&*long, "1"), ("retention.ms", &*long)] {
        let config = AlterableConfig::default()
            .with_name(text(key))
            .with_value(Some(text(value)));
        let resource = AlterConfigsResource::default()
            .with_resource_type(TOPIC)
            .with_resource_name(text("t"))
            .with_configs(vec![config]);
        let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
        // Strings of version 0 have 15 bits for their size.
        let result = wire.call(0, &request).responses.remove(0);
        assert_eq!(result.error_code, code(InvalidConfig));
        let topic = new_topic("u", 1, &[(key, value)]);
        let request = CreateTopicsRequest::default().with_topics(vec![topic]);
        let created = wire.call(2, &request).topics.remove(0);
        assert_eq!(created.error_code, code(InvalidConfig));
    }
}

#[test]
fn what_can_be_configured_is_listed_by_type() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    create(&mut wire, "b", 1, &[]);
    create(&mut wire, "a", 1, &[]);
    let v0 = wire.call(0, &ListConfigResourcesRequest::default());
    assert_eq!((v0.error_code, v0.config_resources.len()), (0, 0));
    let list = |wire: &mut Wire, types: &[i8]| {
        let request = ListConfigResourcesRequest::default().with_resource_types(types.to_vec());
        let response = wire.call(1, &request);
        let resources = response.config_resources.iter();
        let named = resources.map(|r| (r.resource_type, r.resource_name.to_string()));
        (response.error_code, named.collect::<Vec<_>>())
    };
    let node = (BROKER, NODE.to_owned());
    let topics = [(TOPIC, "a".to_owned()), (TOPIC, "b".to_owned())];
    let [a, b] = topics.clone();
    assert_eq!(list(&mut wire, &[]), (0, vec![node.clone(), a, b]));
    assert_eq!(list(&mut wire, &[TOPIC]), (0, topics.to_vec()));
    assert_eq!(list(&mut wire, &[BROKER, 16]), (0, vec![node]));
    assert_eq!(list(&mut wire, &[8, 16, 32]), (0, vec![]));
    assert_eq!(
        list(&mut wire, &[TOPIC, 3]),
        (code(UnsupportedVersion), vec![])
    );
}
