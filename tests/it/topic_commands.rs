//! `ringlog topic` and `ringlog completions`, as somebody types them.

use std::process::Command;

use ringlog::protocol::from_uuid;
use serde_json::{Value, json};

use crate::broker::TestBroker;
use crate::records::{batch, now, sequenced};
use crate::topics::{create, new_producer, produce};

struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Ran {
    /// What it printed, when it went well.
    fn done(self) -> String {
        assert_eq!((self.code, self.stderr.as_str()), (Some(0), ""));
        self.stdout
    }

    /// The JSON objects that it printed, when it went well.
    fn objects(self) -> Vec<Value> {
        let stdout = self.done();
        let lines = stdout.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// It failed with one sentence that says this.
    fn failed(&self, told: &str) {
        assert_eq!(self.code, Some(1), "{}", self.stderr);
        assert_eq!(self.stderr.lines().count(), 1, "{}", self.stderr);
        assert!(self.stderr.contains(told), "{}", self.stderr);
    }
}

fn ringlog(arguments: &[&str]) -> Ran {
    let output = Command::new(env!("CARGO_BIN_EXE_ringlog"))
        .args(arguments)
        .output()
        .expect("the binary can be run");
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn topic(broker: &TestBroker, arguments: &[&str]) -> Ran {
    let server = broker.address().to_string();
    let command = ["topic", "--bootstrap-server", &server];
    ringlog(&[&command[..], arguments].concat())
}

#[test]
fn topics_grow_and_are_described_with_their_sizes() {
    let broker = TestBroker::start(&["node.id=3"]);
    let mut wire = broker.connect();
    assert_eq!(topic(&broker, &["create", "t", "u", "-p", "1"]).done(), "");
    assert_eq!(topic(&broker, &["list"]).done(), "t\nu\n");
    assert_eq!(
        topic(&broker, &["add-partitions", "t", "--partitions", "3"]).done(),
        ""
    );
    let validated = topic(
        &broker,
        &["add-partitions", "t", "-p", "9", "--validate-only"],
    );
    assert_eq!(validated.done(), "");
    let refused = topic(&broker, &["add-partitions", "t", "-p", "3"]);
    refused.failed("Topic already has 3 partition(s).");
    let v = create(&mut wire, "v", 2, &[]);
    let records = batch(&["a record"]);
    produce(&mut wire, &v, 1, &records);
    let size = records.len();
    let id = from_uuid(v.id);

    let text = topic(&broker, &["describe", "--sizes", "v"]).done();
    let expected = format!(
        "Topic: v\tTopicId: {id}\tPartitionCount: 2\tReplicationFactor: 1\tSize: {size}\n\
         \tPartition: 0\tLeader: 3\tReplicas: 3\tIsr: 3\tSize: 0\n\
         \tPartition: 1\tLeader: 3\tReplicas: 3\tIsr: 3\tSize: {size}\n"
    );
    assert_eq!(text, expected);

    let objects = topic(&broker, &["describe", "--sizes", "--json", "v"]).objects();
    let log_dir = broker.directory().to_str().unwrap();
    let partition = |number: i32, size: usize| {
        json!({
            "partition": number, "leader": 3, "leader_epoch": 0, "replicas": [3], "isr": [3],
            "sizes": [{ "broker": 3, "size_bytes": size, "log_dir": log_dir }],
        })
    };
    let expected = json!({
        "topic": "v", "topic_id": id.to_string(), "is_internal": false, "partition_count": 2,
        "replication_factor": 1, "size_bytes": size,
        "partitions": [partition(0, 0), partition(1, size)],
    });
    assert_eq!(objects, [expected]);

    let listed = topic(&broker, &["list", "--json"]).objects();
    let counts: Vec<_> = listed
        .iter()
        .map(|topic| {
            (
                topic["topic"].as_str().unwrap(),
                topic["partition_count"].as_u64(),
            )
        })
        .collect();
    assert_eq!(counts, [("t", Some(3)), ("u", Some(1)), ("v", Some(2))]);
}

#[test]
fn topics_are_deleted_by_name_and_by_id() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    let a = create(&mut wire, "a", 1, &[]);
    for name in ["b", "c"] {
        create(&mut wire, name, 1, &[]);
    }
    let id = from_uuid(a.id).to_string();
    assert_eq!(topic(&broker, &["delete", "b", "--id", &id]).done(), "");
    assert_eq!(topic(&broker, &["list"]).done(), "c\n");
    topic(&broker, &["delete", "--id", &id]).failed("UNKNOWN_TOPIC_ID");
    let begins_with_hyphen = "-AAAAAAAAAAAAAAAAAAAAA";
    topic(&broker, &["delete", "--id", begins_with_hyphen]).failed("UNKNOWN_TOPIC_ID");
    topic(&broker, &["delete", "x"]).failed("UNKNOWN_TOPIC_OR_PARTITION");
    // Misuse is clap's.
    assert_eq!(topic(&broker, &["delete"]).code, Some(2));
    assert_eq!(topic(&broker, &["delete", "--id", "no-id"]).code, Some(2));
}

#[test]
fn a_topic_that_does_not_exist_is_an_error_and_said_in_json() {
    let broker = TestBroker::start(&[]);
    create(&mut broker.connect(), "a", 1, &[]);
    let ran = topic(&broker, &["describe", "--json", "a", "x"]);
    ran.failed("topic `x`: UNKNOWN_TOPIC_OR_PARTITION (3)");
    let objects: Vec<Value> = ran
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(objects[0]["topic"], "a");
    let unknown = json!({ "topic": "x", "error": "UNKNOWN_TOPIC_OR_PARTITION (3)" });
    assert_eq!(objects[1], unknown);
}

#[test]
fn producers_of_a_partition_are_described() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    let configs = [("message.timestamp.type", "LogAppendTime")];
    let written = create(&mut wire, "t", 2, &configs);
    let (id, epoch) = new_producer(&mut wire);
    let records = sequenced((id, epoch), 0, &["a", "b"]);
    produce(&mut wire, &written, 1, &records);
    let command = ["describe-producers", "--topic", "t", "--partition"];
    let describe = |more: &[&str]| topic(&broker, &[&command[..], more].concat());

    let objects = describe(&["1", "--json"]).objects();

    assert_eq!(objects.len(), 1);
    let last = objects[0]["last_timestamp_ms"].as_i64().unwrap();
    assert!((0..=now()).contains(&last));
    let expected = json!({
        "topic": "t", "partition": 1, "producer_id": id, "producer_epoch": epoch,
        "last_sequence": 1, "last_timestamp_ms": last, "coordinator_epoch": null,
        "current_txn_start_offset": null,
    });
    assert_eq!(objects[0], expected);
    let text = describe(&["1"]).done();
    let expected = format!(
        "ProducerId: {id}\tProducerEpoch: {epoch}\tLatestCoordinatorEpoch: -1\t\
         LastSequence: 1\tLastTimestamp: {last}\tCurrentTransactionStartOffset: None\n"
    );
    assert_eq!(text, expected);
    assert_eq!(describe(&["0"]).done(), "");
    describe(&["2"]).failed("partition 2");
    let unknown = ["describe-producers", "--topic", "x", "--partition", "0"];
    topic(&broker, &unknown).failed("UNKNOWN_TOPIC_OR_PARTITION");
}

#[test]
fn every_shell_gets_its_completions() {
    for shell in ["bash", "zsh", "fish"] {
        let script = ringlog(&["completions", shell]).done();
        for word in ["add-partitions", "bootstrap-server", "completions"] {
            assert!(script.contains(word), "{shell}: no {word}");
        }
    }
    assert_eq!(ringlog(&["completions", "tcsh"]).code, Some(2));
}
