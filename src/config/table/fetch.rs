//! Reading.

use super::super::key::{Key, Kind, Valid};

pub(super) const KEYS: &[Key] = &[
    Key::broker("fetch.max.bytes", Kind::Int)
        .default("57671680")
        .valid(Valid::AtLeast(1024))
        .doc(
            "Size of the records of one fetch response, whatever the client asks for; a first \
              batch that is larger is still returned.",
        ),
    Key::broker("max.incremental.fetch.session.cache.slots", Kind::Int)
        .default("1000")
        .valid(Valid::AtLeast(0))
        .doc("Incremental fetch sessions (KIP-227) that the broker keeps."),
];
