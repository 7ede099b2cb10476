//! Topic keys of compaction and tiered storage: Kafka's clients set them when they create topics,
//! so they are checked and kept.

use super::super::key::{Key, Kind, Support, Valid};

const COMPACTION: Support = Support::Stored("compaction");
const TIERED: Support = Support::Stored("tiered storage");

pub(super) const KEYS: &[Key] = &[
    Key::topic("delete.retention.ms", Kind::Long, &[])
        .default("86400000")
        .valid(Valid::AtLeast(0))
        .support(COMPACTION)
        .doc("Time for which a compacted topic keeps the mark of a deleted key."),
    Key::topic("min.cleanable.dirty.ratio", Kind::Double, &[])
        .default("0.5")
        .valid(Valid::Between(0, 1))
        .support(COMPACTION)
        .doc("Share of a log that must be uncompacted before it is compacted."),
    Key::topic("min.compaction.lag.ms", Kind::Long, &[])
        .default("0")
        .valid(Valid::AtLeast(0))
        .support(COMPACTION)
        .doc("Age before which a record is not compacted."),
    Key::topic("max.compaction.lag.ms", Kind::Long, &[])
        .default("9223372036854775807")
        .valid(Valid::AtLeast(1))
        .support(COMPACTION)
        .doc("Age at which a record must become compactable."),
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
    Key::topic("local.retention.ms", Kind::Long, &[])
        .default("-2")
        .valid(Valid::AtLeast(-2))
        .support(TIERED)
        .doc("Age at which a tiered segment leaves the local disk; -2: as `retention.ms`."),
    Key::topic("local.retention.bytes", Kind::Long, &[])
        .default("-2")
        .valid(Valid::AtLeast(-2))
        .support(TIERED)
        .doc("Local size of a tiered partition; -2: as `retention.bytes`."),
];
