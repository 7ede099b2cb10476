use super::*;

/// Epoch 2 from 0, 5 from 10, 6 from 25.
fn cache() -> LeaderEpochCache {
    let mut cache = LeaderEpochCache::default();
    assert!(cache.assign(2, 0));
    assert!(cache.assign(5, 10));
    assert!(cache.assign(6, 25));
    cache
}

#[test]
fn the_end_of_an_epoch_is_the_start_of_the_next_known_one() {
    let cache = cache();
    let cases = [
        (-2, Some((-2, 0))),
        (-1, None),
        (1, Some((1, 0))),
        (2, Some((2, 10))),
        (3, Some((2, 10))),
        (5, Some((5, 25))),
        (6, Some((6, 40))),
        (7, None),
    ];
    for (epoch, expected) in cases {
        assert_eq!(cache.end_offset_for(epoch, 40), expected, "epoch {epoch}");
    }
}

#[test]
fn offsets_belong_to_the_epoch_that_started_before_them() {
    let cache = cache();
    for (offset, expected) in [(0, 2), (9, 2), (10, 5), (24, 5), (25, 6), (1000, 6)] {
        assert_eq!(cache.epoch_for_offset(offset), Some(expected), "{offset}");
    }
    assert_eq!(LeaderEpochCache::default().epoch_for_offset(0), None);
}

#[test]
fn a_contradicting_epoch_replaces_what_it_contradicts() {
    let mut cache = cache();
    assert!(!cache.assign(6, 30), "known");
    assert!(!cache.assign(-1, 30), "no epoch");
    assert!(cache.assign(7, 25), "nothing was written in epoch 6");
    assert_eq!(cache.encode(), "0\n3\n2 0\n5 10\n7 25\n");
    assert!(cache.assign(4, 30));
    assert_eq!(cache.encode(), "0\n2\n2 0\n4 30\n");
}

#[test]
fn truncation_follows_the_log() {
    let mut cut = cache();
    cut.truncate_from_end(25);
    assert_eq!(cut.latest_epoch(), Some(5));
    cut.truncate_from_end(3);
    assert_eq!(cut.encode(), "0\n1\n2 0\n");

    let mut shortened = cache();
    shortened.truncate_from_start(12);
    assert_eq!(shortened.encode(), "0\n2\n5 12\n6 25\n");
}

#[test]
fn kafkas_file_is_read_and_written_to_the_byte() {
    let text = "0\n2\n0 0\n2 110\n";
    assert_eq!(LeaderEpochCache::decode(text).unwrap().encode(), text);
    for bad in ["1\n0\n", "0\n2\n0 0\n", "0\n1\n0\n", "0\n1\nx 0\n", "0\n"] {
        assert!(LeaderEpochCache::decode(bad).is_err(), "{bad:?}");
    }
}
