use super::*;
use crate::protocol::messages::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic};
use crate::protocol::messages::{FetchRequest, TopicName};
use crate::protocol::{StrBytes, to_uuid};
use crate::types::{ErrorCode, Monotonic, TopicId};

const BY_ID: i16 = 18;
const BY_NAME: i16 = 12;

fn at(seconds: u64) -> Monotonic {
    Monotonic(seconds * 1_000_000_000)
}

fn cache(slots: usize) -> SessionCache {
    SessionCache::new(slots, 1..1000)
}

/// Topic `topic` with (partition, fetch offset).
fn named(version: i16, topic: u8, partitions: &[(i32, i64)]) -> FetchTopic {
    let partitions = partitions.iter().map(|&(partition, offset)| {
        FetchPartition::default()
            .with_partition(partition)
            .with_fetch_offset(offset)
            .with_partition_max_bytes(100)
    });
    let named = FetchTopic::default().with_partitions(partitions.collect());
    match version >= 13 {
        true => named.with_topic_id(to_uuid(TopicId([topic; 16]))),
        false => named.with_topic(TopicName(StrBytes::from_string(format!("t{topic}")))),
    }
}

fn request(id: i32, epoch: i32, topics: Vec<FetchTopic>) -> FetchRequest {
    FetchRequest::default()
        .with_session_id(id)
        .with_session_epoch(epoch)
        .with_topics(topics)
}

fn told(high_watermark: i64) -> PartitionAnswer {
    PartitionAnswer {
        has_records: false,
        is_error: false,
        is_diverging: false,
        high_watermark,
        log_start_offset: 0,
    }
}

fn quiet(high_watermarks: &[i64]) -> impl Iterator<Item = PartitionAnswer> {
    let all: Vec<_> = high_watermarks.iter().map(|&offset| told(offset)).collect();
    all.into_iter()
}

/// A new session of one topic with these partitions, each told high watermark 0.
fn open(cache: &mut SessionCache, now: Monotonic, version: i16, partitions: &[(i32, i64)]) -> i32 {
    let topics = vec![named(version, 1, partitions)];
    let mut full = request(0, 0, topics);
    let context = cache.begin(now, version, &mut full).unwrap();
    assert!(matches!(context, FetchContext::Full));
    let high_watermarks = vec![0; partitions.len()];
    let random = now.0 / 1_000_000_000 * 10 + partitions.len() as u64;
    let answers = quiet(&high_watermarks);
    cache.open(now, random, version, &full.topics, answers)
}

fn incremental(
    cache: &mut SessionCache,
    version: i16,
    request: &mut FetchRequest,
) -> IncrementalFetch {
    match cache.begin(at(1), version, request) {
        Ok(FetchContext::Incremental(fetch)) => fetch,
        other => panic!("no incremental fetch: {other:?}"),
    }
}

fn partitions(request: &FetchRequest) -> Vec<(i32, i64)> {
    let all = request.topics.iter().flat_map(|topic| &topic.partitions);
    all.map(|one| (one.partition, one.fetch_offset)).collect()
}

#[test]
fn a_request_within_a_session_names_all_its_partitions() {
    for version in [BY_NAME, BY_ID] {
        let mut cache = cache(2);
        let id = open(&mut cache, at(0), version, &[(0, 5), (1, 6), (2, 7)]);
        assert!((1..1000).contains(&id));
        assert_eq!((cache.session_count(), cache.partition_count()), (1, 3));

        let mut next = request(id, 1, Vec::new());
        let fetch = incremental(&mut cache, version, &mut next);
        assert_eq!(partitions(&next), [(0, 5), (1, 6), (2, 7)]);
        assert_eq!(next.topics.len(), 1);
        assert_eq!(fetch.session_id(), id);
        assert_eq!(fetch.finish(quiet(&[0, 0, 0])), Ok(vec![false; 3]));

        // Moves one, adds one, forgets one.
        let mut next = request(id, 2, vec![named(version, 1, &[(1, 60), (9, 0)])]);
        let gone = named(version, 1, &[]);
        next.forgotten_topics_data = vec![
            ForgottenTopic::default()
                .with_topic(gone.topic)
                .with_topic_id(gone.topic_id)
                .with_partitions(vec![0, 77]),
        ];
        incremental(&mut cache, version, &mut next);
        assert_eq!(partitions(&next), [(1, 60), (2, 7), (9, 0)]);
        assert_eq!(cache.partition_count(), 3);
    }
}

#[test]
fn only_what_the_client_does_not_know_is_answered() {
    let mut cache = cache(1);
    let id = open(
        &mut cache,
        at(0),
        BY_ID,
        &[(0, 0), (1, 0), (2, 0), (3, 0), (4, 0)],
    );
    let mut next = request(id, 1, Vec::new());
    let fetch = incremental(&mut cache, BY_ID, &mut next);
    let answers = [
        PartitionAnswer {
            has_records: true,
            ..told(0)
        },
        told(5),
        PartitionAnswer {
            log_start_offset: 1,
            ..told(0)
        },
        PartitionAnswer {
            is_error: true,
            log_start_offset: -1,
            ..told(-1)
        },
        told(0),
    ];
    let selected = fetch.finish(answers.into_iter()).unwrap();
    assert_eq!(selected, [true, true, true, true, false]);
    // The one with records comes last now; an error that went away is told.
    let mut next = request(id, 2, Vec::new());
    let fetch = incremental(&mut cache, BY_ID, &mut next);
    let order: Vec<i32> = partitions(&next).iter().map(|one| one.0).collect();
    assert_eq!(order, [1, 2, 3, 4, 0]);
    let answers = [
        told(5),
        PartitionAnswer {
            log_start_offset: 1,
            ..told(0)
        },
        told(0),
        told(0),
        told(0),
    ];
    let selected = fetch.finish(answers.into_iter()).unwrap();
    assert_eq!(selected, [false, false, true, false, false]);
    // A log that parts from ours is told each time.
    for epoch in [3, 4] {
        let mut next = request(id, epoch, Vec::new());
        let fetch = incremental(&mut cache, BY_ID, &mut next);
        let mut answers = vec![told(0); 5];
        (answers[0].high_watermark, answers[1].log_start_offset) = (5, 1);
        answers[0].is_diverging = true;
        let selected = fetch.finish(answers.into_iter()).unwrap();
        assert_eq!(selected, [true, false, false, false, false]);
    }
}

#[test]
fn epochs_ids_and_ways_of_naming_must_be_right() {
    let mut cache = cache(4);
    let id = open(&mut cache, at(0), BY_ID, &[(0, 0)]);
    let by_name = open(&mut cache, at(0), BY_NAME, &[(0, 0)]);
    assert_ne!(id, by_name);
    let begin = |cache: &mut SessionCache, version, id, epoch| {
        let context = cache.begin(at(1), version, &mut request(id, epoch, Vec::new()));
        context.map(drop)
    };
    for (id, epoch, version, expected) in [
        (0, 1, BY_ID, ErrorCode::FetchSessionIdNotFound),
        (0, -2, BY_ID, ErrorCode::FetchSessionIdNotFound),
        (4711, 1, BY_ID, ErrorCode::FetchSessionIdNotFound),
        (-1, 1, BY_ID, ErrorCode::FetchSessionIdNotFound),
        (id, 2, BY_ID, ErrorCode::InvalidFetchSessionEpoch),
        (id, -2, BY_ID, ErrorCode::InvalidFetchSessionEpoch),
        (id, i32::MAX, BY_ID, ErrorCode::InvalidFetchSessionEpoch),
        (id, 1, BY_NAME, ErrorCode::FetchSessionTopicIdError),
        (by_name, 1, BY_ID, ErrorCode::FetchSessionTopicIdError),
    ] {
        assert_eq!(
            begin(&mut cache, version, id, epoch),
            Err(expected),
            "{id} {epoch}"
        );
    }
    // None of that moved the session on; what is right does, once.
    assert_eq!(begin(&mut cache, BY_ID, id, 1), Ok(()));
    let again = begin(&mut cache, BY_ID, id, 1);
    assert_eq!(again, Err(ErrorCode::InvalidFetchSessionEpoch));
    assert_eq!(begin(&mut cache, BY_NAME, by_name, 1), Ok(()));
}

#[test]
fn an_epoch_that_ran_out_goes_on_at_1() {
    assert_eq!(session::next_epoch(0), 1);
    assert_eq!(session::next_epoch(i32::MAX - 1), i32::MAX);
    assert_eq!(session::next_epoch(i32::MAX), 1);
}

#[test]
fn the_slower_of_two_requests_of_one_epoch_hears_that_it_was_overtaken() {
    let mut cache = cache(1);
    let id = open(&mut cache, at(0), BY_ID, &[(0, 0)]);
    let slow = incremental(&mut cache, BY_ID, &mut request(id, 1, Vec::new()));
    let fast = incremental(&mut cache, BY_ID, &mut request(id, 2, Vec::new()));
    assert_eq!(fast.finish(quiet(&[3])), Ok(vec![true]));
    let overtaken = slow.finish(quiet(&[3]));
    assert_eq!(overtaken, Err(ErrorCode::InvalidFetchSessionEpoch));
}

#[test]
fn a_session_ends_when_it_is_closed_replaced_or_empty() {
    let mut cache = cache(4);
    let ids: Vec<i32> = (0..3)
        .map(|_| open(&mut cache, at(0), BY_NAME, &[(0, 0)]))
        .collect();
    let closed = cache.begin(at(1), BY_NAME, &mut request(ids[0], -1, Vec::new()));
    assert!(matches!(closed, Ok(FetchContext::Sessionless)));
    let replaced = cache.begin(at(1), BY_NAME, &mut request(ids[1], 0, Vec::new()));
    assert!(matches!(replaced, Ok(FetchContext::Full)));
    let mut last = request(ids[2], 1, Vec::new());
    last.forgotten_topics_data = vec![
        ForgottenTopic::default()
            .with_topic(TopicName(StrBytes::from_static_str("t1")))
            .with_partitions(vec![0]),
    ];
    let emptied = cache.begin(at(1), BY_NAME, &mut last);
    assert!(matches!(emptied, Ok(FetchContext::Sessionless)));
    assert_eq!((cache.session_count(), cache.partition_count()), (0, 0));
}

#[test]
fn a_partition_that_is_named_twice_is_asked_for_as_it_was_last() {
    let mut cache = cache(1);
    let topics = vec![named(BY_ID, 1, &[(0, 1), (1, 2), (0, 3)])];
    let id = cache.open(at(0), 0, BY_ID, &topics, quiet(&[7, 8, 9]));
    assert_eq!(cache.partition_count(), 2);
    let mut next = request(id, 1, Vec::new());
    let fetch = incremental(&mut cache, BY_ID, &mut next);
    assert_eq!(partitions(&next), [(0, 3), (1, 2)]);
    assert_eq!(fetch.finish(quiet(&[9, 8])), Ok(vec![false, false]));
}

#[test]
fn a_full_cache_lets_the_stale_and_the_smaller_old_ones_go() {
    let old = 1 + EVICTION_AGE_MIN.as_secs();
    let two = &[(0, 0), (1, 0)];
    let mut cache = cache(2);
    let first = open(&mut cache, at(0), BY_ID, &[(0, 0)]);
    let second = open(&mut cache, at(0), BY_ID, two);
    // Both are new: nobody goes, however large the next one is.
    assert_eq!(open(&mut cache, at(1), BY_ID, &[(0, 0), (1, 0), (2, 0)]), 0);
    // Both are old and in use: the smaller one goes for a larger one only.
    for id in [first, second] {
        let used = cache.begin(at(old), BY_ID, &mut request(id, 1, Vec::new()));
        assert!(matches!(used, Ok(FetchContext::Incremental(_))));
    }
    assert_eq!(open(&mut cache, at(old), BY_ID, &[(0, 0)]), 0);
    assert_eq!(cache.take_evictions(), 0);
    let third = open(&mut cache, at(old), BY_ID, two);
    assert!(third > 0);
    assert!(cache.lacks(&request(first, 2, Vec::new())));
    // Unused for long: the one unused longest goes, also for a smaller one.
    let later = at(2 * old + 1);
    let used = cache.begin(later, BY_ID, &mut request(second, 2, Vec::new()));
    assert!(used.is_ok());
    assert!(open(&mut cache, later, BY_ID, &[(0, 0)]) > 0);
    assert!(cache.lacks(&request(third, 1, Vec::new())));
    assert!(!cache.lacks(&request(second, 3, Vec::new())));
    assert_eq!(cache.take_evictions(), 2);
    assert_eq!((cache.session_count(), cache.partition_count()), (2, 3));
}

#[test]
fn without_slots_there_are_no_sessions() {
    let mut cache = cache(0);
    assert_eq!(open(&mut cache, at(0), BY_ID, &[(0, 0)]), 0);
}

#[test]
fn partitions_of_all_sessions_are_limited() {
    let mut cache = cache(10).with_partitions_max(4);
    let id = open(&mut cache, at(0), BY_ID, &[(0, 0), (1, 0)]);
    assert!(id > 0);
    assert_eq!(open(&mut cache, at(0), BY_ID, &[(0, 0), (1, 0), (2, 0)]), 0);
    let mut more = request(id, 1, vec![named(BY_ID, 2, &[(0, 0), (1, 0)])]);
    incremental(&mut cache, BY_ID, &mut more);
    let mut too_many = request(id, 2, vec![named(BY_ID, 3, &[(0, 0)])]);
    let refused = cache.begin(at(1), BY_ID, &mut too_many).map(drop);
    assert_eq!(refused, Err(ErrorCode::FetchSessionIdNotFound));
    assert_eq!((cache.session_count(), cache.partition_count()), (0, 0));
}

#[test]
fn a_session_moves_to_the_shard_that_uses_it() {
    let mut here = SessionCache::of_shard(3, 0, 2);
    let mut there = SessionCache::of_shard(3, 1, 2);
    let id = open(&mut here, at(0), BY_ID, &[(0, 5)]);
    let foreign = open(&mut there, at(0), BY_ID, &[(0, 5)]);
    assert!(id < i32::MAX / 2 && foreign >= i32::MAX / 2);
    let under_way = incremental(&mut here, BY_ID, &mut request(id, 1, Vec::new()));
    let wanted = request(id, 2, Vec::new());
    assert!(there.lacks(&wanted) && !here.lacks(&wanted));
    // There is one slot there, and it is taken by a new session.
    let moved = here.give_away(id).unwrap();
    there.take_in(at(1), id, moved.clone());
    assert!(there.lacks(&wanted));
    there
        .begin(at(1), BY_ID, &mut request(foreign, -1, Vec::new()))
        .unwrap();
    there.take_in(at(1), id, moved);
    let fetch = incremental(&mut there, BY_ID, &mut wanted.clone());
    assert_eq!(fetch.finish(quiet(&[0])), Ok(vec![false]));
    let overtaken = under_way.finish(quiet(&[0]));
    assert_eq!(overtaken, Err(ErrorCode::InvalidFetchSessionEpoch));
    assert!(here.give_away(id).is_none());
}
