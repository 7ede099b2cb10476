//! Which partition of `__consumer_offsets` or `__transaction_state` a group or transactional id
//! belongs to; its leader is the coordinator.

/// `java.lang.String.hashCode`: over UTF-16 code units, 32 bits, no normalisation.
pub fn java_hash(text: &str) -> i32 {
    text.encode_utf16().fold(0i32, |hash, unit| {
        hash.wrapping_mul(31).wrapping_add(i32::from(unit))
    })
}

/// The partition of `key` among `partition_count` (positive, assertion), as Kafka's
/// `Utils.abs(key.hashCode) % count`, where the absolute value of `i32::MIN` is 0.
pub fn coordinator_partition(key: &str, partition_count: i32) -> i32 {
    assert!(
        partition_count > 0,
        "partition count {partition_count} of a coordinator's topic"
    );
    java_hash(key).checked_abs().unwrap_or(0) % partition_count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_of_java_17() {
        let vectors = [
            ("", 0, 0),
            ("test", 3556498, 48),
            ("hello", 99162322, 22),
            ("polygenelubricants", i32::MIN, 0),
            ("my-group", -1906497762, 12),
            ("console-consumer-12345", 158455506, 6),
            ("grüppe", -1233264812, 12),
            ("😀-grp", 928360827, 27),
            ("connect-cluster", 1440343063, 13),
        ];
        for (key, hash, partition) in vectors {
            assert_eq!(java_hash(key), hash, "hash of {key:?}");
            assert_eq!(
                coordinator_partition(key, 50),
                partition,
                "partition of {key:?}"
            );
        }
    }
}
