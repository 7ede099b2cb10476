//! What is deleted, and when.

use super::super::key::{Key, Kind, Support, Valid, same, times};

const COMPACTION: Support = Support::Stored("compaction");
const POLICIES: Valid = Valid::ListOf(&["compact", "delete"]);

const POLICY_DOC: &str =
    "`delete` drops old segments; `compact` keeps the last record of each key.";
const BYTES_DOC: &str = "Size of a partition above which old segments are deleted. -1: no limit.";
const DELETE_DELAY_DOC: &str = "Time between taking a file out of use and removing it from disk.";

pub(super) const KEYS: &[Key] = &[
    Key::broker("log.cleanup.policy", Kind::List)
        .dynamic()
        .default("delete")
        .valid(POLICIES)
        .support(COMPACTION)
        .doc(POLICY_DOC),
    Key::topic("cleanup.policy", Kind::List, &[same("log.cleanup.policy")])
        .default("delete")
        .valid(POLICIES)
        .support(COMPACTION)
        .doc(POLICY_DOC),
    Key::broker("log.retention.ms", Kind::Long)
        .dynamic()
        .valid(Valid::AtLeast(-1))
        .doc("Age at which a segment is deleted; -1: never. Not set: `log.retention.minutes`."),
    Key::broker("log.retention.minutes", Kind::Int)
        .doc("Age at which a segment is deleted; negative: never. Not set: `log.retention.hours`."),
    Key::broker("log.retention.hours", Kind::Int)
        .default("168")
        .doc("Age at which a segment is deleted; negative: never."),
    Key::topic(
        "retention.ms",
        Kind::Long,
        &[
            same("log.retention.ms"),
            times("log.retention.minutes", 60_000),
            times("log.retention.hours", 3_600_000),
        ],
    )
    .default("604800000")
    .valid(Valid::AtLeast(-1))
    .doc("Age at which a segment is deleted, by its newest timestamp; -1: never."),
    Key::broker("log.retention.bytes", Kind::Long)
        .dynamic()
        .default("-1")
        .doc(BYTES_DOC),
    Key::topic(
        "retention.bytes",
        Kind::Long,
        &[same("log.retention.bytes")],
    )
    .default("-1")
    .doc(BYTES_DOC),
    Key::broker("log.retention.check.interval.ms", Kind::Long)
        .default("300000")
        .valid(Valid::AtLeast(1))
        .doc("How often it is looked for segments that retention deletes."),
    Key::broker("log.segment.delete.delay.ms", Kind::Long)
        .dynamic()
        .default("60000")
        .valid(Valid::AtLeast(0))
        .doc(DELETE_DELAY_DOC),
    Key::topic(
        "file.delete.delay.ms",
        Kind::Long,
        &[same("log.segment.delete.delay.ms")],
    )
    .default("60000")
    .valid(Valid::AtLeast(0))
    .doc(DELETE_DELAY_DOC),
];
