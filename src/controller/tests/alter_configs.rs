//! Changes of settings: what Kafka 4.1.1 answers to the same, and what is recorded.

use super::*;

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;

fn operation(name: &str, operation: i8, value: Option<&str>) -> ConfigOperation {
    ConfigOperation {
        name: name.to_owned(),
        operation,
        value: value.map(str::to_owned),
    }
}

fn each(resource_type: i8, name: &str, operations: &[(&str, i8, Option<&str>)]) -> AlterResource {
    let operations = operations
        .iter()
        .map(|&(name, kind, value)| operation(name, kind, value));
    AlterResource {
        resource_type,
        name: name.to_owned(),
        change: ConfigChange::Each(operations.collect()),
    }
}

fn replace(resource_type: i8, name: &str, values: &[(&str, Option<&str>)]) -> AlterResource {
    let values = values
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.map(str::to_owned)));
    AlterResource {
        resource_type,
        name: name.to_owned(),
        change: ConfigChange::Replace(values.collect()),
    }
}

impl Driven {
    fn alter(&mut self, resources: Vec<AlterResource>) -> Vec<(ErrorCode, Option<String>)> {
        self.alter_with(resources, false)
    }

    fn alter_with(
        &mut self,
        resources: Vec<AlterResource>,
        validate_only: bool,
    ) -> Vec<(ErrorCode, Option<String>)> {
        let named: Vec<_> = resources
            .iter()
            .map(|resource| (resource.resource_type, resource.name.clone()))
            .collect();
        let request = ControllerRequest::AlterConfigs(AlterConfigs {
            resources,
            validate_only,
        });
        let ControllerReply::AlterConfigs(results) = self.handle(request) else {
            panic!("another answer");
        };
        let answered = results
            .iter()
            .map(|result| (result.resource_type, result.name.clone()));
        assert!(answered.eq(named), "one answer a resource, in their order");
        let results = results.into_iter();
        results
            .map(|result| (result.error, result.message))
            .collect()
    }

    /// Changes one key; the code of the answer and its message.
    fn operate(
        &mut self,
        (resource_type, resource): (i8, &str),
        (name, kind, value): (&str, i8, Option<&str>),
    ) -> (ErrorCode, Option<String>) {
        let resource = each(resource_type, resource, &[(name, kind, value)]);
        self.alter(vec![resource]).remove(0)
    }

    fn set_of(&self, resource: &ConfigResource) -> Vec<(String, String)> {
        let set = self.controller.image().config(resource).cloned();
        let set = set.unwrap_or_default();
        set.iter().map(|(k, v)| (k.clone(), v.clone())).collect()
    }

    fn of_topic(&self, name: &str, key: &str) -> Option<String> {
        let set = self.controller.image().config(&ConfigResource::topic(name));
        set?.get(key).cloned()
    }
}

fn refused(code: ErrorCode, message: &str) -> (ErrorCode, Option<String>) {
    (code, Some(message.to_owned()))
}

const DONE: (ErrorCode, Option<String>) = (ErrorCode::None, None);

#[test]
fn keys_of_a_topic_are_set_and_taken_away() {
    let mut driven = Driven::new();
    driven.created("t");
    let two = [
        ("retention.ms", SET, Some("5000")),
        ("max.message.bytes", SET, Some("1000")),
    ];
    assert_eq!(driven.alter(vec![each(TOPIC, "t", &two)]), [DONE]);
    assert_eq!(
        driven.of_topic("t", "retention.ms").as_deref(),
        Some("5000")
    );
    let topic = (TOPIC, "t");
    assert_eq!(driven.operate(topic, ("retention.ms", DELETE, None)), DONE);
    assert_eq!(driven.of_topic("t", "retention.ms"), None);
    assert!(driven.of_topic("t", "max.message.bytes").is_some());
    // Kafka takes away what it does not know, too.
    assert_eq!(driven.operate(topic, ("nope", DELETE, None)), DONE);
}

#[test]
fn lists_are_appended_to_and_subtracted_from() {
    let mut driven = Driven::new();
    driven.created("t");
    let steps = [
        (APPEND, "compact", "delete,compact"),
        (APPEND, "compact,delete", "delete,compact"),
        (SUBTRACT, "delete", "compact"),
        (SUBTRACT, "delete", "compact"),
        (SUBTRACT, "compact", ""),
        (APPEND, " compact , delete ", "compact,delete"),
    ];
    for (kind, value, expected) in steps {
        let done = driven.operate((TOPIC, "t"), ("cleanup.policy", kind, Some(value)));
        assert_eq!(done, DONE);
        let policy = driven.of_topic("t", "cleanup.policy");
        assert_eq!(policy.as_deref(), Some(expected), "{kind} {value}");
    }
}

#[test]
fn what_a_topic_cannot_have_is_refused_as_kafka_refuses_it() {
    use ErrorCode::{InvalidConfig, InvalidRequest};
    let mut driven = Driven::new();
    driven.created("t");
    let cases = [
        (
            ("retention.ms", SET, Some("x")),
            InvalidConfig,
            "Invalid value x for configuration retention.ms: Not a number of type LONG",
        ),
        (
            ("segment.bytes", SET, Some("10")),
            InvalidConfig,
            "Invalid value 10 for configuration segment.bytes: Value must be at least 1048576",
        ),
        (
            ("nope", SET, Some("1")),
            InvalidConfig,
            "Unknown topic config name: nope",
        ),
        (
            ("retention.ms", SET, None),
            InvalidRequest,
            "Null value not supported for : retention.ms",
        ),
        (
            ("retention.ms", APPEND, Some("1")),
            InvalidConfig,
            "Can't APPEND to key retention.ms because its type is not LIST.",
        ),
        (
            ("nope", SUBTRACT, Some("1")),
            InvalidConfig,
            "Can't SUBTRACT to key nope because its type is not LIST.",
        ),
        (
            ("cleanup.policy", APPEND, Some("bad")),
            InvalidConfig,
            "Invalid value delete,bad for configuration cleanup.policy: String must be one of: \
             compact, delete",
        ),
        (
            ("retention.ms", 9, Some("1")),
            InvalidRequest,
            "Unknown operations type 9",
        ),
    ];
    for (operation, code, message) in cases {
        let answer = driven.operate((TOPIC, "t"), operation);
        assert_eq!(answer, refused(code, message), "{operation:?}");
    }
    let lags = [
        ("min.compaction.lag.ms", SET, Some("100")),
        ("max.compaction.lag.ms", SET, Some("10")),
    ];
    let message =
        "conflict topic config setting min.compaction.lag.ms (100) > max.compaction.lag.ms (10)";
    let answer = driven.alter(vec![each(TOPIC, "t", &lags)]);
    assert_eq!(answer, [refused(InvalidConfig, message)]);
    assert_eq!(driven.set_of(&ConfigResource::topic("t")), []);
}

#[test]
fn resources_that_there_are_not() {
    use ErrorCode::{InvalidRequest, InvalidTopicException, UnknownTopicOrPartition};
    let cases = [
        (
            TOPIC,
            "nope",
            UnknownTopicOrPartition,
            "The topic 'nope' does not exist.",
        ),
        (
            TOPIC,
            "",
            InvalidRequest,
            "Default topic resources are not allowed.",
        ),
        (
            TOPIC,
            "a b",
            InvalidTopicException,
            "Topic name is invalid: 'a b' contains one or more characters other than ASCII \
             alphanumerics, '.', '_' and '-'",
        ),
        (
            BROKER,
            "8",
            InvalidRequest,
            "Unexpected broker id, expected 7, but received 8",
        ),
        (
            BROKER,
            "x",
            InvalidRequest,
            "Node id must be an integer, but it is: x",
        ),
        (3, "t", InvalidRequest, "Unknown resource type 3"),
        (8, "7", InvalidRequest, "Unknown resource type 8"),
    ];
    let mut seven = Driven::with(BrokerConfig {
        node_id: 7,
        ..BrokerConfig::default()
    });
    seven.created("t");
    for (resource_type, name, code, message) in cases {
        let answer = seven.operate((resource_type, name), ("retention.ms", SET, Some("1")));
        assert_eq!(answer, refused(code, message), "{resource_type} {name:?}");
    }
}

#[test]
fn what_stands_twice_is_refused() {
    let mut driven = Driven::new();
    driven.created("t");
    driven.created("u");
    let one = [("retention.ms", SET, Some("1"))];
    let twice = [one[0], one[0]];
    let duplicate = refused(
        ErrorCode::InvalidRequest,
        "Error due to duplicate config keys",
    );
    assert_eq!(driven.alter(vec![each(TOPIC, "t", &twice)]), [duplicate]);
    let resources = vec![
        each(TOPIC, "t", &one),
        each(TOPIC, "u", &one),
        each(TOPIC, "t", &[]),
    ];
    let once = "Each resource must appear at most once.";
    let repeated = refused(ErrorCode::InvalidRequest, once);
    assert_eq!(driven.alter(resources), [repeated.clone(), DONE, repeated]);
    assert_eq!(driven.of_topic("t", "retention.ms"), None);
    assert_eq!(driven.of_topic("u", "retention.ms").as_deref(), Some("1"));
}

#[test]
fn a_resource_is_changed_whole_or_not_at_all() {
    let mut driven = Driven::new();
    driven.created("t");
    driven.created("u");
    let half = [
        ("retention.ms", SET, Some("1")),
        ("segment.bytes", SET, Some("bad")),
    ];
    let good = [("retention.ms", SET, Some("2"))];
    let answers = driven.alter(vec![each(TOPIC, "t", &half), each(TOPIC, "u", &good)]);
    assert_eq!(answers[0].0, ErrorCode::InvalidConfig);
    assert_eq!(answers[1], DONE);
    assert_eq!(driven.of_topic("t", "retention.ms"), None);
    assert_eq!(driven.of_topic("u", "retention.ms").as_deref(), Some("2"));
}

#[test]
fn validate_only_checks_and_records_nothing() {
    let mut driven = Driven::new();
    driven.created("t");
    let good = each(TOPIC, "t", &[("retention.ms", SET, Some("1"))]);
    let bad = each(TOPIC, "t", &[("retention.ms", SET, Some("x"))]);
    assert_eq!(driven.alter_with(vec![good], true), [DONE]);
    assert_eq!(
        driven.alter_with(vec![bad], true)[0].0,
        ErrorCode::InvalidConfig
    );
    assert_eq!(driven.set_of(&ConfigResource::topic("t")), []);
}

#[test]
fn a_whole_configuration_takes_the_place_of_the_old_one() {
    let mut driven = Driven::new();
    driven.created("t");
    driven.operate((TOPIC, "t"), ("retention.ms", SET, Some("5000")));
    let bytes = [("retention.bytes", Some("12345"))];
    assert_eq!(driven.alter(vec![replace(TOPIC, "t", &bytes)]), [DONE]);
    let set = driven.set_of(&ConfigResource::topic("t"));
    assert_eq!(set, [("retention.bytes".to_owned(), "12345".to_owned())]);
    let null = driven.alter(vec![replace(TOPIC, "t", &[("retention.bytes", None)])]);
    let message = "Null value not supported for : retention.bytes";
    assert_eq!(null, [refused(ErrorCode::InvalidRequest, message)]);
    assert_eq!(driven.alter(vec![replace(TOPIC, "t", &[])]), [DONE]);
    assert_eq!(driven.set_of(&ConfigResource::topic("t")), []);
}

#[test]
fn what_is_set_for_brokers_is_what_new_topics_are_checked_against() {
    let mut driven = Driven::new();
    let node = driven.controller.config.node_id.to_string();
    let of_all = [("log.cleaner.max.compaction.lag.ms", SET, Some("50"))];
    assert_eq!(driven.alter(vec![each(BROKER, "", &of_all)]), [DONE]);
    let mut topic = driven.topic("t");
    topic.configs = vec![("min.compaction.lag.ms".to_owned(), Some("60".to_owned()))];
    let refused = driven.create_one(topic.clone());
    assert_eq!(refused.0, ErrorCode::InvalidConfig, "{refused:?}");
    let own = [("log.cleaner.max.compaction.lag.ms", SET, Some("70"))];
    assert_eq!(driven.alter(vec![each(BROKER, &node, &own)]), [DONE]);
    assert_eq!(driven.create_one(topic), DONE);
}

#[test]
fn what_a_broker_cannot_have_is_refused() {
    use ErrorCode::{InvalidConfig, InvalidRequest};
    let mut driven = Driven::new();
    let node = driven.controller.config.node_id.to_string();
    // Kafka's code for a wrong value of a broker is INVALID_REQUEST (KAFKA-13609).
    let cases = [
        (
            ("num.partitions", "3"),
            InvalidRequest,
            "Cannot update these configs dynamically: Set(num.partitions)",
        ),
        (
            ("log.retention.hours", "3"),
            InvalidRequest,
            "Cannot update these configs dynamically: Set(log.retention.hours)",
        ),
        (
            ("log.retention.ms", "x"),
            InvalidRequest,
            "Invalid value x for configuration log.retention.ms: Not a number of type LONG",
        ),
        (
            ("log.retention.ms", "0"),
            InvalidRequest,
            "Invalid value 0 for configuration log.retention.ms: must be -1 (never) or at least 1",
        ),
        (
            ("message.max.bytes", "20000000"),
            InvalidRequest,
            "Invalid value 16777216 for configuration log.unflushed.bytes.max: less than \
             `message.max.bytes`, which is 20000000",
        ),
        (
            ("log.retentoin.ms", "1"),
            InvalidConfig,
            "Unknown config name: log.retentoin.ms; did you mean `log.retention.ms`?",
        ),
        (
            ("retention.ms", "1"),
            InvalidConfig,
            "Unknown config name: retention.ms; it is a topic's; the default for all topics is \
             `log.retention.ms`",
        ),
        (
            ("num.io.threads", "9"),
            InvalidConfig,
            "Unknown config name: num.io.threads; it is a key of Kafka that has no effect: a \
             shard is one thread with its own event loop, and takes requests as memory allows",
        ),
    ];
    for ((name, value), code, message) in cases {
        for resource in [node.as_str(), ""] {
            let answer = driven.operate((BROKER, resource), (name, SET, Some(value)));
            assert_eq!(
                answer,
                refused(code, message),
                "{name}={value} of {resource:?}"
            );
        }
    }
    assert_eq!(driven.set_of(&ConfigResource::cluster()), []);
    // One that is not dynamic can be taken away, as in Kafka.
    assert_eq!(
        driven.operate((BROKER, ""), ("num.partitions", DELETE, None)),
        DONE
    );
}

#[test]
fn a_limit_of_all_brokers_yields_to_this_ones() {
    let mut driven = Driven::new();
    let node = driven.controller.config.node_id.to_string();
    let own = ("log.cleaner.max.compaction.lag.ms", SET, Some("100"));
    assert_eq!(driven.operate((BROKER, &node), own), DONE);
    let all = ("log.cleaner.max.compaction.lag.ms", SET, Some("10"));
    assert_eq!(driven.operate((BROKER, ""), all), DONE);
    let low = ("log.cleaner.min.compaction.lag.ms", SET, Some("50"));
    assert_eq!(driven.operate((BROKER, ""), low), DONE);
    // Without its own limit the broker would have 50 and 10.
    let without = ("log.cleaner.max.compaction.lag.ms", DELETE, None);
    let answer = driven.operate((BROKER, &node), without);
    assert_eq!(answer.0, ErrorCode::InvalidRequest, "{answer:?}");
}

#[test]
fn values_that_no_answer_could_hold_are_refused() {
    let mut driven = Driven::new();
    driven.created("t");
    let long = "0:1,".repeat(10_000);
    let list = ("leader.replication.throttled.replicas", SET, Some(&*long));
    let (code, message) = driven.operate((TOPIC, "t"), list);
    assert_eq!(code, ErrorCode::InvalidConfig);
    let message = message.expect("a refusal has a message");
    assert!(
        message.ends_with("Value must be no longer than 32767 bytes"),
        "{message}"
    );
    assert!(message.len() < 2000, "{} bytes", message.len());
    let (_, message) = driven.operate((TOPIC, "t"), (&long, SET, Some("1")));
    assert!(message.expect("a refusal").len() < 2000);
}
