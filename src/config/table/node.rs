//! Who the broker is and where it keeps its data.

use super::super::key::{Key, Kind, Valid};

pub(super) const KEYS: &[Key] = &[
    Key::broker("node.id", Kind::Int)
        .aliases(&["broker.id"])
        .default("1")
        .valid(Valid::AtLeast(0))
        .doc(
            "Id of this node, unique in its cluster. Written to `meta.properties` at format; a \
             directory of another node is refused.",
        ),
    Key::broker("cluster.id", Kind::String).own().doc(
        "Id of the cluster. Not set: the one in `meta.properties`, or a random one when an empty \
         directory is formatted. Set: must agree with `meta.properties`.",
    ),
    Key::broker("log.dirs", Kind::StringList).doc(
        "Directories for partitions, comma separated, each on a disk of its own. Not set: \
         `log.dir`.",
    ),
    Key::broker("log.dir", Kind::String)
        .default("./ringlog-data")
        .doc("The directory for partitions when `log.dirs` is not set."),
];
