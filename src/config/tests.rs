mod dynamic;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use super::key::{Key, Kind, Scope, Support, Valid};
use super::value::Value;
use super::{AckClass, StoredCompression, TimestampType};
use super::{BrokerConfig, Settings, TopicConfig, kafka_names, properties, table};

fn load(text: &str) -> Result<BrokerConfig, String> {
    BrokerConfig::load(Some(("server.properties", text)), &[]).map_err(|e| e.to_string())
}

fn with_options(options: &[&str]) -> Result<BrokerConfig, String> {
    let options: Vec<String> = options.iter().map(|o| (*o).to_owned()).collect();
    BrokerConfig::load(None, &options).map_err(|e| e.to_string())
}

fn overrides(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect()
}

// ---- the table ----

#[test]
fn names_are_unique_within_their_scope_and_not_also_in_the_lists() {
    let mut seen = BTreeSet::new();
    for key in table::keys() {
        let is_broker = key.scope == Scope::Broker;
        for name in std::iter::once(&key.name).chain(key.aliases) {
            assert!(seen.insert((is_broker, *name)), "{name} twice in the table");
            if is_broker {
                let listed = kafka_names::group_of(name).is_some();
                assert!(!listed, "{name} is in the table and a list");
            }
        }
    }
    let mut listed = BTreeSet::new();
    for name in kafka_names::names() {
        assert!(listed.insert(name), "{name} twice in the lists");
    }
}

#[test]
fn every_key_is_documented_and_its_default_is_valid() {
    for key in table::keys() {
        assert!(key.doc.ends_with('.'), "{}: no doc", key.name);
        if let Some(default) = key.default {
            Value::parse(key, default).unwrap_or_else(|e| panic!("{}: {e}", key.name));
        }
    }
}

#[test]
fn the_synonyms_of_topic_keys_are_broker_keys_with_the_same_default() {
    let broker = Settings::defaults();
    let topic = TopicConfig::settings(&broker, &BTreeMap::new()).unwrap();
    for setting in topic.iter() {
        let default = setting
            .key
            .default
            .map(|text| Value::parse(setting.key, text).unwrap());
        assert_eq!(setting.value, default, "{}", setting.key.name);
    }
}

/// A valid value that is not the default.
fn another_value(key: &Key) -> String {
    let step = |low: i64| match key.default.and_then(|d| d.parse::<i64>().ok()) {
        Some(default) if default == low => low + 1,
        _ => low,
    };
    match (key.name, key.kind, key.valid) {
        ("listeners" | "advertised.listeners", ..) => "PLAINTEXT://localhost:9999".to_owned(),
        ("metrics.listener", ..) => "[::1]:9641".to_owned(),
        ("max.connections.per.ip.overrides", ..) => "localhost:3".to_owned(),
        ("listener.security.protocol.map", ..) => "PLAINTEXT:PLAINTEXT".to_owned(),
        ("log.unflushed.bytes.max" | "shard.request.memory.bytes", ..) => "999999999".to_owned(),
        (_, Kind::Boolean, _) => (key.default == Some("false")).to_string(),
        (_, _, Valid::AtLeast(low) | Valid::Between(low, _)) => step(low.max(1)).to_string(),
        (_, _, Valid::BetweenOr(low, ..)) => low.to_string(),
        (_, _, Valid::ReplicaList) => "0:1".to_owned(),
        (_, _, Valid::OneOf(words) | Valid::ListOf(words)) => {
            let other = words.iter().find(|word| Some(**word) != key.default);
            (*other.unwrap()).to_owned()
        }
        _ => "17".to_owned(),
    }
}

/// Keys whose effect does not show when they alone are changed, or that are read from the settings
/// each time, since they may change.
const CHECKED_ELSEWHERE: &[&str] = &[
    "max.connections",
    "max.connections.per.ip",
    "listener.security.protocol.map",
    "controller.listener.names",
    "producer.id.expiration.ms",
];

#[test]
fn every_key_that_is_honoured_reaches_a_field() {
    let shown = |config: &BrokerConfig| {
        let mut config = config.clone();
        config.settings = Settings::defaults();
        format!("{config:?}")
    };
    let default = BrokerConfig::default();
    for key in table::keys() {
        let honoured = key.support == Support::Full && !CHECKED_ELSEWHERE.contains(&key.name);
        if !honoured {
            continue;
        }
        let value = another_value(key);
        if key.scope == Scope::Broker {
            let changed = with_options(&[&format!("{}={value}", key.name)]).unwrap();
            assert_ne!(shown(&changed), shown(&default), "{}={value}", key.name);
        } else {
            let one = overrides(&[(key.name, &value)]);
            let changed = TopicConfig::resolve(&default.settings, &one).unwrap();
            assert_ne!(changed, default.topic_defaults, "{}={value}", key.name);
        }
    }
}

// ---- values ----

#[test]
fn refusals_are_worded_as_kafka_words_them() {
    // Messages of LogConfig.validate in Kafka 4.1.1; `None` is accepted.
    let cases = [
        ("segment.bytes", "x", Some("Not a number of type INT")),
        ("segment.bytes", "", Some("Not a number of type INT")),
        ("segment.bytes", "1", Some("Value must be at least 1048576")),
        ("segment.bytes", " 2000000 ", None),
        (
            "max.message.bytes",
            "99999999999",
            Some("Not a number of type INT"),
        ),
        ("flush.ms", "1.5", Some("Not a number of type LONG")),
        ("retention.ms", "-2", Some("Value must be at least -1")),
        (
            "min.cleanable.dirty.ratio",
            "2",
            Some("Value must be no more than 1"),
        ),
        (
            "cleanup.policy",
            "foo",
            Some("String must be one of: compact, delete"),
        ),
        ("cleanup.policy", " compact , delete ", None),
        ("cleanup.policy", "", None),
        (
            "leader.replication.throttled.replicas",
            "bad",
            Some(
                "leader.replication.throttled.replicas must be the literal '*' or a list of \
                 replicas in the following format: \
                 [partitionId]:[brokerId],[partitionId]:[brokerId],...",
            ),
        ),
        ("leader.replication.throttled.replicas", "0:1, 1:2", None),
        (
            "compression.gzip.level",
            "0",
            Some("Value must be between 1 and 9 or equal to -1"),
        ),
        ("preallocate", "TRUE", None),
        (
            "preallocate",
            "maybe",
            Some("Expected value to be either true or false"),
        ),
        (
            "message.timestamp.type",
            "createtime",
            Some("String must be one of: CreateTime, LogAppendTime"),
        ),
    ];
    let broker = Settings::defaults();
    for (name, value, reason) in cases {
        let result = TopicConfig::resolve(&broker, &overrides(&[(name, value)]));
        let expected =
            reason.map(|r| format!("Invalid value {value} for configuration {name}: {r}"));
        assert_eq!(
            result.err().map(|e| e.to_string()),
            expected,
            "{name}={value}"
        );
    }
    let unknown = TopicConfig::resolve(&broker, &overrides(&[("segmnt.bytes", "1")]));
    assert_eq!(
        unknown.unwrap_err().to_string(),
        "Unknown topic config name: segmnt.bytes"
    );
}

#[test]
fn how_batches_are_stored_follows_type_and_level() {
    let resolve = |pairs: &[(&str, &str)]| {
        TopicConfig::resolve(&Settings::defaults(), &overrides(pairs)).unwrap()
    };
    for (name, expected) in [
        ("producer", StoredCompression::Producer),
        ("uncompressed", StoredCompression::Uncompressed),
        ("gzip", StoredCompression::Gzip),
        ("snappy", StoredCompression::Snappy),
        ("lz4", StoredCompression::Lz4),
        ("zstd", StoredCompression::Zstd),
    ] {
        let config = resolve(&[("compression.type", name)]);
        assert_eq!(config.compression, expected, "{name}");
        assert_eq!(config.compression_gzip_level, None);
        assert_eq!(config.compression_zstd_level, 3);
    }
    let levels = [
        ("compression.gzip.level", "9"),
        ("compression.zstd.level", "-7"),
    ];
    let config = resolve(&levels);
    assert_eq!(config.compression_gzip_level, Some(9));
    assert_eq!(config.compression_zstd_level, -7);
    let error = with_options(&["compression.type=brotli"]).unwrap_err();
    assert!(
        error.contains("String must be one of: uncompressed, zstd"),
        "{error}"
    );
}

#[test]
fn passwords_never_show() {
    const KEY: Key = Key::broker("x.password", Kind::Password);
    let value = Value::parse(&KEY, "hunter2").unwrap();
    assert_eq!(format!("{value} {value:?}"), "[hidden] Password([hidden])");
    let Value::Password(secret) = value else {
        panic!()
    };
    assert_eq!(secret.expose(), "hunter2");
}

#[test]
fn shorts_and_doubles_have_their_own_limits() {
    const SHORT: Key = Key::broker("x", Kind::Short);
    const DOUBLE: Key = Key::broker("x", Kind::Double).valid(Valid::AtLeast(1));
    assert_eq!(Value::parse(&SHORT, "32767"), Ok(Value::Number(32767)));
    assert_eq!(
        Value::parse(&SHORT, "32768"),
        Err("Not a number of type SHORT".to_owned())
    );
    assert_eq!(Value::parse(&DOUBLE, "1.5"), Ok(Value::Double(1.5)));
    assert_eq!(
        Value::parse(&DOUBLE, "0.5"),
        Err("Value must be at least 1".to_owned())
    );
    assert_eq!(
        Value::parse(&DOUBLE, "NaN"),
        Err("Not a number of type DOUBLE".to_owned())
    );
}

// ---- the properties file ----

#[test]
fn properties_are_read_as_java_reads_them() {
    // Each checked against java.util.Properties.
    let cases: &[(&str, &[(&str, &str)])] = &[
        ("a=b", &[("a", "b")]),
        ("a = b ", &[("a", "b ")]),
        ("  a:b", &[("a", "b")]),
        ("a b", &[("a", "b")]),
        ("a\t=\tb=c:d", &[("a", "b=c:d")]),
        ("a", &[("a", "")]),
        ("a=\r\nb=1\r\n", &[("a", ""), ("b", "1")]),
        ("# x=1\n! y=2\n\n   \n  # z\na=1", &[("a", "1")]),
        ("# no continuation \\\na=1", &[("a", "1")]),
        ("a=b,\\\n   c,\\\n\td", &[("a", "b,c,d")]),
        ("a=b\\\\\nc=d", &[("a", "b\\"), ("c", "d")]),
        ("a=b\\\\\\\nc", &[("a", "b\\c")]),
        ("a\\=b\\ c = d", &[("a=b c", "d")]),
        ("a=\\t\\n\\u0041\\q", &[("a", "\t\nAq")]),
        ("a=\\ud83d\\ude00", &[("a", "\u{1f600}")]),
        ("a = = b", &[("a", "= b")]),
        ("a=b\\", &[("a", "b")]),
        ("a=1\na=2", &[("a", "1"), ("a", "2")]),
    ];
    for (text, expected) in cases {
        let parsed = properties::parse(text).unwrap();
        let pairs: Vec<_> = parsed
            .iter()
            .map(|p| (p.key.as_str(), p.value.as_str()))
            .collect();
        assert_eq!(pairs, *expected, "{text:?}");
    }
    for bad in ["a=\\u12", "a=\\ud83d", "a=\\ud83d\\u0041", "a=\\udc00"] {
        assert!(properties::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn errors_name_the_line_where_the_key_stands() {
    let text = "# comment\nnum.partitions=\\\n  3\n\nlog.segment.bytes=12\nnodeid=\\\n4\n";
    assert_eq!(
        load(text).unwrap_err(),
        "server.properties:5: log.segment.bytes=12: Value must be at least 1048576; \
         expected INT of at least 1048576 (default 1073741824)\n\
         server.properties:6: unknown key `nodeid`; did you mean `node.id`?"
    );
    let error = load("a=\\u12").unwrap_err();
    assert!(
        error.starts_with("server.properties:1: `\\u` needs four"),
        "{error}"
    );
}

#[test]
fn unknown_keys_say_what_to_do() {
    let cases = [
        (
            "log.flush.before.akc=true",
            "did you mean `log.flush.before.ack`?",
        ),
        ("brokr.id=1", "did you mean `broker.id`?"),
        ("zookeper.connect=x", "did you mean `zookeeper.connect`?"),
        (
            "segment.bytes=1",
            "it is a topic's; the default for all topics is `log.segment.bytes`",
        ),
        (
            "remote.storage.enable=false",
            "it is a topic's, set it there",
        ),
        ("something.quite.different=1", "remove the line"),
        ("authorizer.class.name=x", "remove it to accept that"),
    ];
    for (option, advice) in cases {
        let error = with_options(&[option]).unwrap_err();
        assert!(
            error.starts_with("-o: unknown key") && error.ends_with(advice),
            "{error}"
        );
    }
    let error = with_options(&["num.partitions"]).unwrap_err();
    assert!(error.ends_with("write it as -o key=value"), "{error}");
}

#[test]
fn a_file_for_kafka_starts_with_one_warning_a_key() {
    let text = "process.roles=broker,controller\nnode.id=1\n\
        controller.quorum.voters=1@localhost:9093\n\
        listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093\n\
        controller.listener.names=CONTROLLER\nzookeeper.connect=h:2181\n\
        zookeeper.connect=other:2181\nlistener.name.plaintext.x=y\n\
        num.network.threads=3\nlog.dirs=/data/a, /data/b\nlog.retention.hours=168\n\
        log.cleanup.policy=compact\n";
    let config = load(text).unwrap();
    let names: Vec<_> = config.listeners.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["PLAINTEXT://localhost:9092"]);
    assert_eq!(
        config.log_dirs,
        [PathBuf::from("/data/a"), PathBuf::from("/data/b")]
    );
    let warned = |name: &str| {
        let quoted = format!("`{name}`");
        config
            .settings
            .warnings()
            .iter()
            .filter(|w| w.contains(&quoted))
            .count()
    };
    let once = [
        "process.roles",
        "controller.quorum.voters",
        "zookeeper.connect",
        "listener.name.plaintext.x",
        "num.network.threads",
        "log.cleanup.policy",
    ];
    for name in once {
        assert_eq!(warned(name), 1, "{name}");
    }
    assert_eq!(config.settings.warnings().len(), once.len());
}

#[test]
fn a_repeated_key_counts_last_and_the_command_line_wins() {
    let config = load("num.partitions=2\nnum.partitions=3\n").unwrap();
    assert_eq!(config.num_partitions, 3);
    let warning = "server.properties:2: `num.partitions` is also set at server.properties:1; \
                   this one counts";
    assert_eq!(config.settings.warnings(), [warning]);

    let file = Some(("f", "num.partitions=2"));
    let config = BrokerConfig::load(file, &["num.partitions=5".to_owned()]).unwrap();
    assert_eq!(config.num_partitions, 5);
    assert_eq!(config.settings.warnings().len(), 0);
}

#[test]
fn aliases_must_agree() {
    assert_eq!(load("broker.id=7").unwrap().node_id, 7);
    assert_eq!(load("broker.id=7\nnode.id=7").unwrap().node_id, 7);
    let error = load("broker.id=7\nnode.id=8").unwrap_err();
    assert_eq!(
        error,
        "server.properties:2: node.id=8: `broker.id` (server.properties:1) is the same key; \
         keep only `node.id`"
    );
}

// ---- typed access ----

#[test]
fn defaults_are_those_of_the_documents() {
    let config = BrokerConfig::default();
    assert_eq!(
        config.listeners[0].to_string(),
        "PLAINTEXT://127.0.0.1:9092"
    );
    assert_eq!(config.advertised_listeners, config.listeners);
    assert_eq!(config.log_dirs, [PathBuf::from("./ringlog-data")]);
    assert_eq!(config.shards, None);
    assert_eq!(config.connections_max_idle, Some(Duration::from_secs(600)));
    assert_eq!(config.topic_defaults.ack_class(), AckClass::PowerSafe);
    assert_eq!(
        config.topic_defaults.retention,
        Some(Duration::from_secs(7 * 24 * 3600))
    );
    assert_eq!(config.topic_defaults.flush_interval, None);
    assert_eq!(config.settings.warnings().len(), 0);
}

#[test]
fn listeners_that_cannot_work_are_refused() {
    let map = "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,B:PLAINTEXT";
    let bad: &[(&[&str], &str)] = &[
        (&["listeners=garbage"], "is not of the form"),
        (&["listeners=PLAINTEXT://h"], "is not of the form"),
        (&["listeners=PLAINTEXT://h:70000"], "is not of the form"),
        (&["listeners=PLAINTEXT://::1:9092"], "is not of the form"),
        (&["listeners="], "at least one"),
        (
            &["listeners=PLAINTEXT://a:1,PLAINTEXT://b:2"],
            "called PLAINTEXT",
        ),
        (&["listeners=PLAINTEXT://a:1,B://a:1", map], "have port 1"),
        (
            &["listeners=SSL://h:1"],
            "asks for SSL, and only PLAINTEXT is built",
        ),
        (&["listeners=FOO://h:1"], "add `FOO:PLAINTEXT`"),
        (
            &["listeners=PLAINTEXT://0.0.0.0:9092"],
            "set `advertised.listeners`",
        ),
        (
            &["advertised.listeners=PLAINTEXT://0.0.0.0:9092"],
            "cannot connect to",
        ),
        (
            &["advertised.listeners=B://h:9092", map],
            "`listeners` has none called B",
        ),
        (&["controller.listener.names=plaintext"], "clients need one"),
    ];
    for (options, reason) in bad {
        let error = with_options(options).unwrap_err();
        assert!(error.contains(reason), "{options:?}: {error}");
    }
}

#[test]
fn listeners_that_work() {
    let map = "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,B:plaintext";
    let config = with_options(&[
        "listeners=plaintext://[::1]:0,B://:9093",
        "advertised.listeners=PLAINTEXT://pub:1,b://pub:1",
        map,
    ])
    .unwrap();
    assert_eq!(config.listeners[0].host, "::1");
    assert_eq!(config.listeners[0].to_string(), "PLAINTEXT://[::1]:0");
    assert_eq!(config.listeners[1].host, "");
    assert_eq!(config.advertised_listeners[1].to_string(), "B://pub:1");
}

#[test]
fn keys_are_checked_against_each_other() {
    let cases = [
        (
            "message.max.bytes=20000000",
            "less than `message.max.bytes`",
        ),
        (
            "socket.request.max.bytes=300000000",
            "less than `socket.request.max.bytes`",
        ),
        ("log.retention.ms=0", "must be -1 (never) or at least 1"),
    ];
    for (option, reason) in cases {
        let error = with_options(&[option]).unwrap_err();
        assert!(error.contains(reason), "{error}");
    }
    let large = overrides(&[("max.message.bytes", "20000000")]);
    let error = TopicConfig::resolve(&Settings::defaults(), &large).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("log.unflushed.bytes.max (16777216)"),
        "{error}"
    );
}

#[test]
fn a_topic_takes_the_first_synonym_that_is_set_unless_it_has_its_own() {
    let config = with_options(&["log.roll.hours=2", "log.retention.minutes=-5"]).unwrap();
    assert_eq!(config.topic_defaults.segment_ms, 2 * 3_600_000);
    assert_eq!(config.topic_defaults.retention, None);
    let config = with_options(&["log.roll.hours=2", "log.roll.ms=77"]).unwrap();
    assert_eq!(config.topic_defaults.segment_ms, 77);
    let own = overrides(&[
        ("segment.ms", "5"),
        ("message.timestamp.type", "LogAppendTime"),
    ]);
    let topic = TopicConfig::resolve(&config.settings, &own).unwrap();
    assert_eq!(topic.segment_ms, 5);
    assert_eq!(topic.message_timestamp_type, TimestampType::LogAppendTime);
}

#[test]
fn the_acknowledgement_class_follows_both_keys() {
    let class = |pairs: &[(&str, &str)]| {
        let config = TopicConfig::resolve(&Settings::defaults(), &overrides(pairs)).unwrap();
        config.ack_class()
    };
    let off = ("flush.before.ack", "false");
    assert_eq!(class(&[off]), AckClass::KillSafe);
    assert_eq!(class(&[off, ("flush.messages", "2")]), AckClass::KillSafe);
    assert_eq!(class(&[off, ("flush.messages", "1")]), AckClass::PowerSafe);
}

#[test]
fn the_pages_are_required_only_where_they_were_asked_for() {
    let pages = |config: BrokerConfig| config.metrics_listener;
    let default = pages(BrokerConfig::default()).unwrap();
    assert_eq!(
        (default.address.to_string().as_str(), default.is_required),
        ("127.0.0.1:9640", false)
    );
    let same = pages(with_options(&["metrics.listener=127.0.0.1:9640"]).unwrap()).unwrap();
    assert!(same.is_required);
    let six = pages(with_options(&["metrics.listener=[::1]:0"]).unwrap()).unwrap();
    assert_eq!(six.address.to_string(), "[::1]:0");
    assert_eq!(pages(with_options(&["metrics.listener="]).unwrap()), None);
    for wrong in [
        "9640",
        ":9640",
        "::1:9640",
        "localhost:port",
        "localhost:65536",
    ] {
        let error = with_options(&[&format!("metrics.listener={wrong}")]).unwrap_err();
        assert!(error.contains("host:port"), "{wrong}: {error}");
    }
}
