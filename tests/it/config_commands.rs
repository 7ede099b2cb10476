//! `ringlog config` and `ringlog topic alter`, as their users run them.

use std::process::Command;

use serde_json::Value;

use crate::broker::TestBroker;
use crate::topics::create;

/// Exit code, standard output, standard error.
fn ringlog(broker: &TestBroker, arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_ringlog"))
        .args(arguments)
        .args(["--bootstrap-server", &broker.address().to_string()])
        .output()
        .expect("the binary can be run");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it writes text");
    let code = output.status.code().expect("it ends by itself");
    (code, text(output.stdout), text(output.stderr))
}

/// What a command that goes well prints.
fn done(broker: &TestBroker, arguments: &[&str]) -> String {
    let (code, out, err) = ringlog(broker, arguments);
    assert_eq!((code, err.as_str()), (0, ""), "{arguments:?}");
    out
}

#[test]
fn topics_are_described_and_altered() {
    let broker = TestBroker::start(&[]);
    create(&mut broker.connect(), "t", 1, &[]);
    let describe = ["config", "describe", "--topic", "t"];
    let in_file = "segment.bytes=1048576\tSTATIC_BROKER_CONFIG\t\
        (over log.segment.bytes=1073741824 DEFAULT_CONFIG)\n";
    assert_eq!(done(&broker, &describe), in_file);
    let alter = ["config", "alter", "--topic", "t"];
    let edits = [
        "--set",
        "retention.ms=5000",
        "--set",
        "flush.ms=9",
        "--append",
        "cleanup.policy=compact",
    ];
    assert_eq!(done(&broker, &[&alter[..], &edits].concat()), "");
    let edits = ["--delete", "flush.ms", "--config", "flush.messages=7"];
    done(&broker, &[&["topic", "alter", "t"][..], &edits].concat());
    let edits = ["--subtract", "cleanup.policy=delete"];
    done(&broker, &[&alter[..], &edits].concat());
    let shown = done(&broker, &describe);
    let lines: Vec<_> = shown
        .lines()
        .map(|line| line.split('\t').next().unwrap())
        .collect();
    assert_eq!(
        lines,
        [
            "cleanup.policy=compact",
            "flush.messages=7",
            "retention.ms=5000",
            "segment.bytes=1048576",
        ]
    );
    let edits = ["--set", "retention.ms=1", "--validate-only"];
    done(&broker, &[&alter[..], &edits].concat());
    let one = [&describe[..], &["retention.ms"]].concat();
    assert_eq!(
        done(&broker, &one),
        "retention.ms=5000\tDYNAMIC_TOPIC_CONFIG\n"
    );
}

#[test]
fn brokers_are_described_and_altered() {
    let broker = TestBroker::start(&[]);
    let set = ["--set", "log.retention.ms=22000"];
    done(
        &broker,
        &[&["config", "alter", "--broker", "default"][..], &set].concat(),
    );
    let of_all = ["config", "describe", "--broker", "default"];
    let expected = "log.retention.ms=22000\tDYNAMIC_DEFAULT_BROKER_CONFIG\n";
    assert_eq!(done(&broker, &of_all), expected);
    let one = [
        "config",
        "describe",
        "--broker",
        "1",
        "--json",
        "log.retention.ms",
    ];
    let json: Value = serde_json::from_str(&done(&broker, &one)).expect("it is JSON");
    assert_eq!(json["value"], "22000");
    assert_eq!(json["source"], "DYNAMIC_DEFAULT_BROKER_CONFIG");
    assert_eq!(json["read_only"], false);
    assert_eq!(json["synonyms"][1]["name"], "log.retention.hours");
    let all = done(&broker, &["config", "describe", "--broker", "1", "--all"]);
    assert!(
        all.contains("\nnum.partitions=1\tDEFAULT_CONFIG\n"),
        "{all}"
    );
    let some = done(&broker, &["config", "describe", "--broker", "1"]);
    assert!(!some.contains("num.partitions"), "{some}");
    let edits = ["--delete", "log.retention.ms", "--json"];
    let said = done(
        &broker,
        &[&["config", "alter", "--broker", "default"][..], &edits].concat(),
    );
    let said: Value = serde_json::from_str(&said).expect("it is JSON");
    assert_eq!(said["changes"][0]["operation"], "delete");
    assert_eq!(done(&broker, &of_all), "");
}

#[test]
fn what_cannot_be_done_is_one_sentence() {
    let broker = TestBroker::start(&[]);
    create(&mut broker.connect(), "t", 1, &[]);
    let cases: [(&[&str], i32, &str); 7] = [
        (
            &["config", "alter", "--topic", "t", "--set", "retention.ms=x"],
            1,
            "Invalid value x for configuration retention.ms: Not a number of type LONG",
        ),
        (
            &[
                "config",
                "alter",
                "--topic",
                "nope",
                "--set",
                "retention.ms=1",
            ],
            1,
            "The topic 'nope' does not exist.",
        ),
        (
            &[
                "config",
                "alter",
                "--broker",
                "1",
                "--set",
                "num.partitions=2",
            ],
            1,
            "Cannot update these configs dynamically: Set(num.partitions)",
        ),
        (&["config", "alter", "--topic", "t"], 1, "nothing to change"),
        (
            &["config", "alter", "--topic", "t", "--set", "x"],
            1,
            "`x` is not KEY=VALUE",
        ),
        (
            &["config", "describe", "--topic", "t", "nope"],
            1,
            "topic `t` has no key `nope`",
        ),
        (
            &["config", "describe", "--broker", "x"],
            2,
            "a broker's id is a number",
        ),
    ];
    for (arguments, expected, reason) in cases {
        let (code, out, err) = ringlog(&broker, arguments);
        assert_eq!((code, out.as_str()), (expected, ""), "{arguments:?}: {err}");
        assert!(err.contains(reason), "{arguments:?}: {err}");
        assert!(expected == 2 || err.lines().count() == 1, "{err}");
    }
}
