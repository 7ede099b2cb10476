//! Cores and memory: all Ringlog's own.

use super::super::key::{Key, Kind, Valid};

pub(super) const KEYS: &[Key] = &[
    Key::broker("shards", Kind::Int)
        .own()
        .default("0")
        .valid(Valid::Between(0, 1024))
        .doc(
            "Number of shards, one thread and core each. 0: as many as the affinity mask and the \
              cgroup's CPU quota allow.",
        ),
    Key::broker("shard.request.memory.bytes", Kind::Long)
        .own()
        .default("268435456")
        .valid(Valid::AtLeast(1_048_576))
        .doc(
            "Memory of one shard for requests in flight; beyond it connections \
              are not read. Not below `socket.request.max.bytes`.",
        ),
    Key::broker("shard.response.memory.bytes", Kind::Long)
        .own()
        .default("67108864")
        .valid(Valid::AtLeast(1_048_576))
        .doc(
            "Memory of one shard for records that answers hold: at most 1 MiB a connection, less \
             when the budget is short, 64 KiB whatever it says.",
        ),
    Key::broker("shard.tail.cache.bytes", Kind::Long)
        .own()
        .default("67108864")
        .valid(Valid::AtLeast(0))
        .doc("Memory of one shard for the newest batches of its partitions."),
    Key::broker("shard.spin.before.park.us", Kind::Long)
        .own()
        .default("50")
        .valid(Valid::Between(0, 1_000_000))
        .doc(
            "Time for which an idle shard polls before it sleeps: latency across cores against \
              idle CPU. On an over-committed machine 0 is right.",
        ),
];
