//! Keys of compaction and tiered storage: Kafka's clients set them when they create topics, so they
//! are checked and kept.

use super::super::key::{Key, Kind, Support, Valid, same};

const COMPACTION: Support = Support::Stored("compaction");
const TIERED: Support = Support::Stored("tiered storage");

const DELETE_RETENTION_DOC: &str =
    "Time for which a compacted topic keeps the mark of a deleted key.";
const DIRTY_RATIO_DOC: &str = "Share of a log that must be uncompacted before it is compacted.";
const MIN_LAG_DOC: &str = "Age before which a record is not compacted.";
const MAX_LAG_DOC: &str = "Age at which a record must become compactable.";
const LOCAL_TIME_DOC: &str =
    "Age at which a tiered segment leaves the local disk; -2: as `retention.ms`.";
const LOCAL_SIZE_DOC: &str = "Local size of a tiered partition; -2: as `retention.bytes`.";

pub(super) const KEYS: &[Key] = &[
    Key::broker("log.cleaner.delete.retention.ms", Kind::Long)
        .dynamic()
        .default("86400000")
        .valid(Valid::AtLeast(0))
        .support(COMPACTION)
        .doc(DELETE_RETENTION_DOC),
    Key::topic(
        "delete.retention.ms",
        Kind::Long,
        &[same("log.cleaner.delete.retention.ms")],
    )
    .default("86400000")
    .valid(Valid::AtLeast(0))
    .support(COMPACTION)
    .doc(DELETE_RETENTION_DOC),
    Key::broker("log.cleaner.min.cleanable.ratio", Kind::Double)
        .dynamic()
        .default("0.5")
        .valid(Valid::Between(0, 1))
        .support(COMPACTION)
        .doc(DIRTY_RATIO_DOC),
    Key::topic(
        "min.cleanable.dirty.ratio",
        Kind::Double,
        &[same("log.cleaner.min.cleanable.ratio")],
    )
    .default("0.5")
    .valid(Valid::Between(0, 1))
    .support(COMPACTION)
    .doc(DIRTY_RATIO_DOC),
    Key::broker("log.cleaner.min.compaction.lag.ms", Kind::Long)
        .dynamic()
        .default("0")
        .valid(Valid::AtLeast(0))
        .support(COMPACTION)
        .doc(MIN_LAG_DOC),
    Key::topic(
        "min.compaction.lag.ms",
        Kind::Long,
        &[same("log.cleaner.min.compaction.lag.ms")],
    )
    .default("0")
    .valid(Valid::AtLeast(0))
    .support(COMPACTION)
    .doc(MIN_LAG_DOC),
    Key::broker("log.cleaner.max.compaction.lag.ms", Kind::Long)
        .dynamic()
        .default("9223372036854775807")
        .valid(Valid::AtLeast(1))
        .support(COMPACTION)
        .doc(MAX_LAG_DOC),
    Key::topic(
        "max.compaction.lag.ms",
        Kind::Long,
        &[same("log.cleaner.max.compaction.lag.ms")],
    )
    .default("9223372036854775807")
    .valid(Valid::AtLeast(1))
    .support(COMPACTION)
    .doc(MAX_LAG_DOC),
    Key::topic("remote.storage.enable", Kind::Boolean, &[])
        .default("false")
        .support(Support::Only(&["false"], "tiered storage is not built"))
        .doc("Whether old segments move to tiered storage."),
    Key::topic("remote.log.copy.disable", Kind::Boolean, &[])
        .default("false")
        .support(TIERED)
        .doc("Whether tiered data is read-only."),
    Key::topic("remote.log.delete.on.disable", Kind::Boolean, &[])
        .default("false")
        .support(TIERED)
        .doc("Whether switching tiered storage off deletes what it holds."),
    Key::broker("log.local.retention.ms", Kind::Long)
        .dynamic()
        .default("-2")
        .valid(Valid::AtLeast(-2))
        .support(TIERED)
        .doc(LOCAL_TIME_DOC),
    Key::topic(
        "local.retention.ms",
        Kind::Long,
        &[same("log.local.retention.ms")],
    )
    .default("-2")
    .valid(Valid::AtLeast(-2))
    .support(TIERED)
    .doc(LOCAL_TIME_DOC),
    Key::broker("log.local.retention.bytes", Kind::Long)
        .dynamic()
        .default("-2")
        .valid(Valid::AtLeast(-2))
        .support(TIERED)
        .doc(LOCAL_SIZE_DOC),
    Key::topic(
        "local.retention.bytes",
        Kind::Long,
        &[same("log.local.retention.bytes")],
    )
    .default("-2")
    .valid(Valid::AtLeast(-2))
    .support(TIERED)
    .doc(LOCAL_SIZE_DOC),
];
