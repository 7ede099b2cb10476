//! `docs/protocol.md` says what the table of APIs and the heads of the handlers say, and why the
//! other APIs of Kafka 4.1 are not there.
//!
//! `UPDATE=1 cargo test --test protocol_doc` writes it.

#![allow(
    clippy::disallowed_methods,
    reason = "it reads the sources and writes a document"
)]

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use ringlog::protocol::{API_TABLE, ApiRow, FEATURES, OrderingClass};

const DOCUMENT: &str = "docs/protocol.md";

const INTRODUCTION: &str = "\
# The protocol

<!-- Generated: `UPDATE=1 cargo test --test protocol_doc` writes this file from the table in
`src/protocol/api.rs` and from the heads of `src/server/handlers/`. -->

Ringlog speaks the protocol of Kafka 4.1. An API that it has, it has in every version of Kafka 4.1;
what is not built is not advertised, so that a client knows.

- **ApiVersions** in a version that is too new is answered in version 0 with UNSUPPORTED_VERSION and
  the versions of ApiVersions alone. Any other unknown version or key closes the connection, with a
  line in the log.
- Requests of a connection are answered in their order. Those behind one \"overlap\" with it or are
  handled \"one at a time\", as stands below.
- Bytes behind a request's body and tagged fields that nobody knows are ignored. A length that the
  bytes at hand cannot fill closes the connection.
- An answer's `throttle_time_ms` is 0: there are no quotas.
";

/// An API of Kafka 4.1 that is not built.
struct Absent {
    key: i16,
    name: &'static str,
    versions: &'static str,
    why: &'static str,
}

const fn absent(key: i16, name: &'static str, versions: &'static str, why: &'static str) -> Absent {
    Absent {
        key,
        name,
        versions,
        why,
    }
}

const ONE_NODE: &str = "there is one node: nothing is between brokers or controllers";
const GROUPS: &str = "consumer groups are not built yet";
const TRANSACTIONS: &str = "transactions are not built yet";
const SECURITY: &str = "there is no authentication and no authorizer yet";
const QUOTAS: &str = "there are no quotas";
const SHARE: &str = "share groups are not built yet";
const REPLICAS: &str = "every partition has one replica, on this node";
const TELEMETRY: &str =
    "advertised only by brokers with a telemetry receiver, which there is none of";

/// Kafka 4.1's APIs besides the table's.
const ABSENT: &[Absent] = &[
    absent(8, "OffsetCommit", "2-9", GROUPS),
    absent(9, "OffsetFetch", "1-9", GROUPS),
    absent(11, "JoinGroup", "0-9", GROUPS),
    absent(12, "Heartbeat", "0-4", GROUPS),
    absent(13, "LeaveGroup", "0-5", GROUPS),
    absent(14, "SyncGroup", "0-5", GROUPS),
    absent(15, "DescribeGroups", "0-6", GROUPS),
    absent(16, "ListGroups", "0-5", GROUPS),
    absent(17, "SaslHandshake", "0-1", SECURITY),
    absent(24, "AddPartitionsToTxn", "0-5", TRANSACTIONS),
    absent(25, "AddOffsetsToTxn", "0-4", TRANSACTIONS),
    absent(26, "EndTxn", "0-5", TRANSACTIONS),
    absent(27, "WriteTxnMarkers", "1", TRANSACTIONS),
    absent(28, "TxnOffsetCommit", "0-5", TRANSACTIONS),
    absent(29, "DescribeAcls", "1-3", SECURITY),
    absent(30, "CreateAcls", "1-3", SECURITY),
    absent(31, "DeleteAcls", "1-3", SECURITY),
    absent(
        34,
        "AlterReplicaLogDirs",
        "1-2",
        "a partition stays where it is while the broker runs; a moved one is found at the start",
    ),
    absent(36, "SaslAuthenticate", "0-2", SECURITY),
    absent(38, "CreateDelegationToken", "1-3", SECURITY),
    absent(39, "RenewDelegationToken", "1-2", SECURITY),
    absent(40, "ExpireDelegationToken", "1-2", SECURITY),
    absent(41, "DescribeDelegationToken", "1-3", SECURITY),
    absent(42, "DeleteGroups", "0-2", GROUPS),
    absent(43, "ElectLeaders", "0-2", REPLICAS),
    absent(45, "AlterPartitionReassignments", "0-1", REPLICAS),
    absent(46, "ListPartitionReassignments", "0", REPLICAS),
    absent(47, "OffsetDelete", "0", GROUPS),
    absent(48, "DescribeClientQuotas", "0-1", QUOTAS),
    absent(49, "AlterClientQuotas", "0-1", QUOTAS),
    absent(50, "DescribeUserScramCredentials", "0", SECURITY),
    absent(51, "AlterUserScramCredentials", "0", SECURITY),
    absent(52, "Vote", "0-2", ONE_NODE),
    absent(53, "BeginQuorumEpoch", "0-1", ONE_NODE),
    absent(54, "EndQuorumEpoch", "0-1", ONE_NODE),
    absent(
        55,
        "DescribeQuorum",
        "0-2",
        "there is no quorum to describe on one node",
    ),
    absent(56, "AlterPartition", "2-3", ONE_NODE),
    absent(
        57,
        "UpdateFeatures",
        "0-2",
        "the levels of features are those of the release",
    ),
    absent(58, "Envelope", "0", ONE_NODE),
    absent(59, "FetchSnapshot", "0-1", ONE_NODE),
    absent(62, "BrokerRegistration", "0-4", ONE_NODE),
    absent(63, "BrokerHeartbeat", "0-1", ONE_NODE),
    absent(64, "UnregisterBroker", "0", ONE_NODE),
    absent(65, "DescribeTransactions", "0", TRANSACTIONS),
    absent(66, "ListTransactions", "0-2", TRANSACTIONS),
    absent(67, "AllocateProducerIds", "0", ONE_NODE),
    absent(68, "ConsumerGroupHeartbeat", "0-1", GROUPS),
    absent(69, "ConsumerGroupDescribe", "0-1", GROUPS),
    absent(70, "ControllerRegistration", "0", ONE_NODE),
    absent(71, "GetTelemetrySubscriptions", "0", TELEMETRY),
    absent(72, "PushTelemetry", "0", TELEMETRY),
    absent(73, "AssignReplicasToDirs", "0", ONE_NODE),
    absent(76, "ShareGroupHeartbeat", "1", SHARE),
    absent(77, "ShareGroupDescribe", "1", SHARE),
    absent(78, "ShareFetch", "1", SHARE),
    absent(79, "ShareAcknowledge", "1", SHARE),
    absent(80, "AddRaftVoter", "0", ONE_NODE),
    absent(81, "RemoveRaftVoter", "0", ONE_NODE),
    absent(82, "UpdateRaftVoter", "0", ONE_NODE),
    absent(83, "InitializeShareGroupState", "0", SHARE),
    absent(84, "ReadShareGroupState", "0", SHARE),
    absent(85, "WriteShareGroupState", "0", SHARE),
    absent(86, "DeleteShareGroupState", "0", SHARE),
    absent(87, "ReadShareGroupStateSummary", "0", SHARE),
    absent(90, "DescribeShareGroupOffsets", "0", SHARE),
    absent(91, "AlterShareGroupOffsets", "0", SHARE),
    absent(92, "DeleteShareGroupOffsets", "0", SHARE),
];

/// Keys that Kafka had and 4.1 has not: LeaderAndIsr, StopReplica, UpdateMetadata,
/// ControlledShutdown; and those of streams groups, which 4.1 knows and does not advertise.
const GONE_OR_UNSTABLE: &[i16] = &[4, 5, 6, 7, 88, 89];

/// The last key of Kafka 4.1.
const LAST_KEY: i16 = 92;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// `CreateTopics` is in `create_topics.rs`.
fn handler_path(name: &str) -> PathBuf {
    let mut file = String::new();
    for (index, c) in name.char_indices() {
        if c.is_ascii_uppercase() && index > 0 {
            file.push('_');
        }
        file.push(c.to_ascii_lowercase());
    }
    root()
        .join("src/server/handlers")
        .join(format!("{file}.rs"))
}

/// The documentation at the head of a module, as paragraphs.
fn head(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| {
        panic!(
            "{}: {error}: each API has a handler's file of its name",
            path.display()
        )
    });
    let lines = text.lines().map_while(|line| line.strip_prefix("//!"));
    let lines: Vec<&str> = lines.map(str::trim).collect();
    let paragraphs = lines.split(|line| line.is_empty());
    paragraphs
        .map(|lines| without_code_links(&lines.join(" ")))
        .filter(|paragraph| !paragraph.is_empty())
        .collect()
}

/// Links into the code, `[text](crate::module)` and `[text]`, become their text.
fn without_code_links(paragraph: &str) -> String {
    let mut plain = String::new();
    let mut rest = paragraph;
    while let Some((before, link)) = rest.split_once('[') {
        plain.push_str(before);
        let (text, behind) = link.split_once(']').expect("a bracket is closed");
        plain.push_str(text);
        rest = match behind.strip_prefix("(crate::") {
            Some(target) => target.split_once(')').map_or("", |(_, behind)| behind),
            None => behind,
        };
    }
    plain.push_str(rest);
    plain
}

#[test]
fn links_into_the_code_become_their_text() {
    let plain = without_code_links("see [`a`](crate::a), [b] and (c)");
    assert_eq!(plain, "see `a`, b and (c)");
}

fn versions(row: &ApiRow) -> String {
    match (row.decoded.min, row.decoded.max) {
        (min, max) if min == max => min.to_string(),
        (min, max) => format!("{min}-{max}"),
    }
}

/// What the head of the API's handler says, without the name and versions that it begins with.
fn prose(row: &ApiRow) -> String {
    let path = handler_path(row.name);
    let paragraphs = head(&path);
    let first = paragraphs.first().map_or("", String::as_str);
    let (min, max) = (row.decoded.min, row.decoded.max);
    let range = match min == max {
        true => format!("version {min}"),
        false => format!("versions {min}-{max}"),
    };
    let start = format!("{} ({}), {range}: ", row.name, row.key.code());
    let summary = first.strip_prefix(&start).unwrap_or_else(|| {
        panic!(
            "{} must begin with `{start}`, as the table has it",
            path.display()
        )
    });
    let mut letters = summary.chars();
    let capital = letters.next().map(|c| c.to_ascii_uppercase());
    let summary: String = capital.into_iter().chain(letters).collect();
    std::iter::once(summary)
        .chain(paragraphs[1..].iter().cloned())
        .collect::<Vec<_>>()
        .join("\n\n")
}

fn document() -> String {
    let mut text = INTRODUCTION.to_owned();
    let out = &mut text;
    writeln!(out, "\n## Features\n").unwrap();
    writeln!(out, "| feature | levels | finalized |\n|---|---|---|").unwrap();
    for feature in FEATURES {
        let (name, min, max) = (feature.name, feature.level_min, feature.level_max);
        writeln!(
            out,
            "| `{name}` | {min}-{max} | {} |",
            feature.finalized_level
        )
        .unwrap();
    }
    writeln!(out, "\n## What is built\n").unwrap();
    writeln!(
        out,
        "| key | API | versions | flexible from | requests behind it |"
    )
    .unwrap();
    writeln!(out, "|---|---|---|---|---|").unwrap();
    for row in &API_TABLE {
        let order = match row.ordering {
            OrderingClass::OnDispatch => "overlap",
            OrderingClass::OnReply => "one at a time",
        };
        let advertised = match row.advertised == row.decoded {
            true => String::new(),
            false => format!(
                " (advertised {}-{})",
                row.advertised.min, row.advertised.max
            ),
        };
        let (key, name) = (row.key.code(), row.name);
        let (versions, flexible) = (versions(row), row.flexible_from);
        writeln!(
            out,
            "| {key} | {name} | {versions}{advertised} | {flexible} | {order} |"
        )
        .unwrap();
    }
    for row in &API_TABLE {
        writeln!(out, "\n### {} ({})\n", row.name, row.key.code()).unwrap();
        writeln!(out, "{}", prose(row)).unwrap();
    }
    writeln!(out, "\n## What is not built\n").unwrap();
    writeln!(out, "The other APIs of Kafka 4.1, with its versions.\n").unwrap();
    writeln!(out, "| key | API | versions | why |\n|---|---|---|---|").unwrap();
    for absent in ABSENT {
        let Absent {
            key,
            name,
            versions,
            why,
        } = absent;
        writeln!(out, "| {key} | {name} | {versions} | {why} |").unwrap();
    }
    text
}

#[test]
fn every_api_of_kafka_is_built_or_has_a_reason() {
    let built = API_TABLE.iter().map(|row| row.key.code());
    let explained = ABSENT.iter().map(|absent| absent.key);
    let known: BTreeSet<i16> = built.chain(explained).collect();
    let gone = |key: &i16| GONE_OR_UNSTABLE.contains(key);
    let expected: BTreeSet<i16> = (0..=LAST_KEY).filter(|key| !gone(key)).collect();
    assert_eq!(known, expected);
    assert_eq!(API_TABLE.len() + ABSENT.len(), known.len(), "one is both");
    assert!(ABSENT.is_sorted_by_key(|absent| absent.key));
}

#[test]
fn the_document_is_that_of_the_table() {
    let path = root().join(DOCUMENT);
    let expected = document();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &expected).unwrap();
        return;
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    let differing = found.lines().zip(expected.lines());
    let first = differing
        .into_iter()
        .find(|(found, expected)| found != expected);
    assert!(
        found == expected,
        "{DOCUMENT} is stale; `UPDATE=1 cargo test --test protocol_doc` writes it. The first line \
         that differs (found, expected): {first:?}"
    );
}
