//! Settings that change while the broker runs, and how they are described.

use std::sync::Arc;

use super::super::{BrokerLevel, ConfigSource, Described, DynamicBrokerConfig, Overrides};
use super::*;

fn started(options: &[&str]) -> DynamicBrokerConfig {
    DynamicBrokerConfig::new(Arc::new(with_options(options).unwrap()))
}

fn changed(
    config: &DynamicBrokerConfig,
    cluster: &[(&str, &str)],
    node: &[(&str, &str)],
) -> (DynamicBrokerConfig, Vec<String>) {
    config.with(Arc::new(overrides(cluster)), Arc::new(overrides(node)))
}

fn find<'a>(described: &'a [Described], name: &str) -> &'a Described {
    let one = described.iter().find(|one| one.key.name == name);
    one.unwrap_or_else(|| panic!("{name} is not described"))
}

/// Value and source.
fn shown<'a>(described: &'a [Described], name: &str) -> (Option<&'a str>, ConfigSource) {
    let one = find(described, name);
    (one.value.as_deref(), one.source)
}

fn synonyms<'a>(described: &'a [Described], name: &str) -> Vec<(&'a str, &'a str, i8)> {
    let synonyms = find(described, name).synonyms.iter();
    synonyms
        .map(|s| (s.name, s.value.as_deref().unwrap_or("-"), s.source as i8))
        .collect()
}

#[test]
fn a_brokers_own_setting_counts_before_that_of_all_and_that_of_the_file() {
    let file = started(&["log.retention.ms=1000"]);
    let number = |config: &DynamicBrokerConfig| config.settings().number("log.retention.ms");
    assert_eq!(number(&file), 1000);
    let all = [("log.retention.ms", "2000")];
    let (config, left_out) = changed(&file, &all, &[]);
    assert_eq!((number(&config), left_out.len()), (2000, 0));
    let (config, _) = changed(&config, &all, &[("log.retention.ms", "3000")]);
    assert_eq!(number(&config), 3000);
    let retention = config.topic_defaults().retention;
    assert_eq!(retention, Some(Duration::from_millis(3000)));
    // The levels are given whole: what is not in them is taken back.
    let (config, _) = changed(&config, &[], &[]);
    assert_eq!(number(&config), 1000);
}

#[test]
fn what_is_not_valid_any_more_does_not_count_and_the_rest_does() {
    let config = started(&[]);
    let all = [
        ("log.segment.bytes", "1"),
        ("num.partitions", "3"),
        ("no.such.key", "3"),
        ("log.roll.ms", "77"),
    ];
    let (config, left_out) = changed(&config, &all, &[]);
    assert_eq!(left_out.len(), 3, "{left_out:?}");
    assert_eq!(config.settings().number("num.partitions"), 1);
    assert_eq!(config.topic_defaults().segment_ms, 77);
    // What does not go together: 20,000,000 is more than log.unflushed.bytes.max.
    let own = [("message.max.bytes", "20000000"), ("log.roll.ms", "88")];
    let (config, left_out) = changed(&config, &[], &own);
    assert_eq!(left_out.len(), 1, "{left_out:?}");
    assert_eq!(config.settings().number("message.max.bytes"), 1_048_588);
    assert_eq!(config.topic_defaults().segment_ms, 88);
}

#[test]
fn a_level_is_checked_with_the_other_one() {
    let config = started(&[]);
    let (max, min) = (
        "log.cleaner.max.compaction.lag.ms",
        "log.cleaner.min.compaction.lag.ms",
    );
    let (config, _) = changed(&config, &[(max, "100")], &[]);
    let check = |level, pairs: &[(&str, &str)]| config.check(level, &overrides(pairs));
    assert!(check(BrokerLevel::Node, &[(min, "101")]).is_err());
    assert!(check(BrokerLevel::Node, &[(min, "101"), (max, "102")]).is_ok());
    assert!(check(BrokerLevel::Node, &[(min, "100")]).is_ok());
    let (config, _) = changed(&config, &[], &[(max, "100")]);
    let check = |level, pairs: &[(&str, &str)]| config.check(level, &overrides(pairs));
    assert!(check(BrokerLevel::Cluster, &[(min, "101")]).is_err());
    // The broker's own wins over what all get.
    assert!(check(BrokerLevel::Cluster, &[(max, "1"), (min, "50")]).is_ok());
    let nobody = [("max.connections.per.ip", "0")];
    assert!(check(BrokerLevel::Cluster, &nobody).is_err());
}

#[test]
fn every_dynamic_key_reaches_topics_or_is_read_each_time() {
    const READ_EACH_TIME: &[&str] = &[
        "max.connections",
        "max.connections.per.ip",
        "producer.id.expiration.ms",
    ];
    let config = started(&[]);
    for key in table::keys().filter(|key| key.scope == Scope::Broker && key.dynamic) {
        let text = another_value(key);
        let (changed, left_out) = changed(&config, &[], &[(key.name, &text)]);
        if let Support::Only(..) = key.support {
            assert_eq!(left_out.len(), 1, "{}", key.name);
            continue;
        }
        assert_eq!(left_out, [""; 0], "{}={text}", key.name);
        let of_topics = table::keys().any(|topic| match topic.scope {
            Scope::Topic(names) => names.iter().any(|synonym| synonym.name == key.name),
            Scope::Broker => false,
        });
        assert!(
            of_topics || READ_EACH_TIME.contains(&key.name),
            "{}",
            key.name
        );
        let shows_alone = of_topics && !CHECKED_ELSEWHERE.contains(&key.name);
        let is_honoured = key.support == Support::Full && shows_alone;
        let differs = changed.topic_defaults() != config.topic_defaults();
        assert!(differs || !is_honoured, "{}={text}", key.name);
    }
}

#[test]
fn a_topics_keys_show_where_they_come_from() {
    // Each as Kafka 4.1.1 shows it.
    let config = started(&["log.segment.bytes=2000000", "log.retention.hours=168"]);
    let all = [("log.retention.ms", "22000"), ("message.max.bytes", "5000")];
    let (config, _) = changed(&config, &all, &[("log.retention.ms", "11000")]);
    let own = overrides(&[("cleanup.policy", " compact , delete ")]);
    let topic = config.describe_topics().with(&own);
    assert!(topic.is_sorted_by_key(|one| one.key.name));
    let hours = ("log.retention.hours", "168");
    assert_eq!(
        synonyms(&topic, "retention.ms"),
        [
            ("log.retention.ms", "11000", 2),
            ("log.retention.ms", "22000", 3),
            (hours.0, hours.1, 4),
            (hours.0, hours.1, 5),
        ]
    );
    let value = shown(&topic, "retention.ms");
    assert_eq!(value, (Some("11000"), ConfigSource::DynamicBroker));
    let value = shown(&topic, "max.message.bytes");
    assert_eq!(value, (Some("5000"), ConfigSource::DynamicDefaultBroker));
    let value = shown(&topic, "segment.bytes");
    assert_eq!(value, (Some("2000000"), ConfigSource::StaticBroker));
    let value = shown(&topic, "cleanup.policy");
    assert_eq!(value, (Some("compact,delete"), ConfigSource::Topic));
    let expected = [
        ("cleanup.policy", "compact,delete", 1),
        ("log.cleanup.policy", "delete", 5),
    ];
    assert_eq!(synonyms(&topic, "cleanup.policy"), expected);
    // The first synonym is not set, and has no default: there is nothing to show.
    assert_eq!(synonyms(&topic, "segment.ms"), []);
    assert_eq!(synonyms(&topic, "remote.storage.enable"), []);
    assert_eq!(shown(&topic, "segment.ms").1, ConfigSource::Default);
}

#[test]
fn a_later_synonym_of_the_file_is_shown_where_kafka_says_default() {
    let config = started(&["log.roll.hours=2"]);
    let topic = config.describe_topics().with(&Overrides::new());
    let value = shown(&topic, "segment.ms");
    assert_eq!(value, (Some("7200000"), ConfigSource::StaticBroker));
    let expected = [("log.roll.hours", "2", 4), ("log.roll.hours", "168", 5)];
    assert_eq!(synonyms(&topic, "segment.ms"), expected);
}

#[test]
fn a_broker_shows_its_keys_and_what_is_set_for_all() {
    let config = started(&[
        "log.retention.hours=100",
        "listeners=PLAINTEXT://127.0.0.1:0",
    ]);
    let all = [("log.retention.ms", "22000")];
    let (config, _) = changed(&config, &all, &[("log.roll.ms", "7")]);
    let broker = config.describe_broker();
    assert_eq!(
        synonyms(&broker, "log.retention.ms"),
        [
            ("log.retention.ms", "22000", 3),
            ("log.retention.hours", "100", 4),
            ("log.retention.hours", "168", 5),
        ]
    );
    // A key's list begins with itself.
    let expected = [
        ("log.retention.hours", "100", 4),
        ("log.retention.hours", "168", 5),
    ];
    assert_eq!(synonyms(&broker, "log.retention.hours"), expected);
    assert_eq!(synonyms(&broker, "log.retention.minutes"), []);
    let value = shown(&broker, "log.retention.minutes");
    assert_eq!(value, (None, ConfigSource::Default));
    assert_eq!(shown(&broker, "log.roll.ms").1, ConfigSource::DynamicBroker);
    let read_only = |name| find(&broker, name).key.is_read_only();
    assert!(read_only("log.roll.hours") && !read_only("log.roll.ms"));
    let of_all = config.describe_cluster();
    assert_eq!(of_all.len(), 1);
    assert_eq!(
        synonyms(&of_all, "log.retention.ms"),
        [("log.retention.ms", "22000", 3)]
    );
}

#[test]
fn a_stored_override_that_is_not_valid_any_more_is_left_out_alone() {
    let broker = with_options(&["log.unflushed.bytes.max=2097152"]).unwrap();
    let stored = overrides(&[
        ("max.message.bytes", "4000000"),
        ("retention.ms", "-1"),
        ("key.of.a.newer.release", "1"),
    ]);
    let (topic, left_out) = TopicConfig::resolve_stored(&broker.settings, &stored);
    assert_eq!(topic.retention, None);
    assert_eq!(topic.max_message_bytes, 1_048_588);
    let left_out: Vec<_> = left_out.keys().map(String::as_str).collect();
    assert_eq!(left_out, ["key.of.a.newer.release", "max.message.bytes"]);
    let lags = overrides(&[
        ("min.compaction.lag.ms", "9"),
        ("max.compaction.lag.ms", "8"),
    ]);
    let (_, left_out) = TopicConfig::resolve_stored(&broker.settings, &lags);
    assert_eq!(left_out.len(), 1);
}
