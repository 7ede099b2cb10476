use super::*;

const VERSION: i16 = 18;

fn wanted(topic_id: u8, partition: i32, position: Offset) -> Wanted {
    Wanted {
        partition: TopicPartition::new("t", partition),
        topic_id: TopicId([topic_id; 16]),
        number: 0,
        position,
    }
}

/// (session id, epoch, which are named, partitions forgotten)
fn asked(session: &mut Session, wanted: &[Wanted]) -> (i32, i32, Vec<usize>, Vec<i32>) {
    let plan = session.plan(VERSION, true, wanted);
    let forgotten = plan.forgotten.iter().map(|(one, _)| one.partition);
    (
        plan.session_id,
        plan.session_epoch,
        plan.named,
        forgotten.collect(),
    )
}

#[test]
fn a_poll_names_what_has_changed() {
    let mut session = Session::default();
    let first = [wanted(1, 0, 5), wanted(1, 1, 6), wanted(1, 2, 7)];
    assert_eq!(asked(&mut session, &first), (0, 0, vec![0, 1, 2], vec![]));
    session.answered(9);
    assert_eq!(asked(&mut session, &first), (9, 1, vec![], vec![]));
    session.answered(9);
    let moved = [wanted(1, 0, 5), wanted(1, 2, 8), wanted(1, 3, 0)];
    assert_eq!(asked(&mut session, &moved), (9, 2, vec![1, 2], vec![1]));
    session.answered(9);
    // Made anew: the old one is forgotten by its id, the new one named.
    let anew = [wanted(2, 0, 5), wanted(1, 2, 8), wanted(1, 3, 0)];
    let plan = session.plan(VERSION, true, &anew);
    assert_eq!((plan.session_epoch, plan.named), (3, vec![0]));
    let forgotten = (TopicPartition::new("t", 0), TopicId([1; 16]));
    assert_eq!(plan.forgotten, [forgotten]);
}

#[test]
fn a_session_is_ended_by_its_id_and_only_where_there_is_one() {
    let mut session = Session::default();
    assert_eq!(session.end(), None);
    let all = [wanted(1, 0, 5)];
    asked(&mut session, &all);
    session.answered(9);
    let end = session.end().unwrap();
    assert_eq!((end.session_id, end.session_epoch), (9, -1));
    assert!(end.named.is_empty() && end.forgotten.is_empty());
    // Not known to the broker any more.
    asked(&mut session, &all);
    session.refused(ErrorCode::FetchSessionIdNotFound);
    assert_eq!(session.end(), None);
}

#[test]
fn without_a_session_every_poll_names_all_and_asks_for_one() {
    let mut session = Session::default();
    let all = [wanted(1, 0, 5), wanted(1, 1, 6)];
    for _ in 0..3 {
        assert_eq!(asked(&mut session, &all), (0, 0, vec![0, 1], vec![]));
        session.answered(0);
    }
    // Brokers from before there were sessions are not asked for one.
    let plan = session.plan(6, false, &all);
    assert_eq!((plan.session_epoch, plan.named.len()), (-1, 2));
}

#[test]
fn a_session_that_is_refused_or_lost_is_opened_anew() {
    let all = [wanted(1, 0, 5)];
    let opened = || {
        let mut session = Session::default();
        asked(&mut session, &all);
        session.answered(9);
        asked(&mut session, &all);
        session
    };
    for (error, id) in [
        (ErrorCode::FetchSessionIdNotFound, 0),
        (ErrorCode::InvalidFetchSessionEpoch, 9),
        (ErrorCode::FetchSessionTopicIdError, 9),
    ] {
        let mut session = opened();
        assert!(session.refused(error));
        assert_eq!(asked(&mut session, &all), (id, 0, vec![0], vec![]));
        // The same again would go round for ever.
        assert!(!session.refused(error), "{error}");
    }
    let mut session = opened();
    assert!(!session.refused(ErrorCode::KafkaStorageError));
    // The connection broke: the broker is to forget the old one.
    session.restart();
    assert_eq!(asked(&mut session, &all), (9, 0, vec![0], vec![]));
    // Topics without an id: the session cannot go on with names.
    session.answered(9);
    let plan = session.plan(12, false, &all);
    assert_eq!((plan.session_id, plan.session_epoch), (9, 0));
    assert_eq!(plan.named, [0]);
}

#[test]
fn what_was_told_once_holds() {
    let mut session = Session::default();
    let part = wanted(1, 0, 5);
    asked(&mut session, std::slice::from_ref(&part));
    assert_eq!(session.holds(&part.partition), None);
    let told = Told {
        high_watermark: 5,
        log_start_offset: 1,
    };
    session.told(&part.partition, told);
    session.answered(9);
    assert_eq!(session.holds(&part.partition), Some(told));
    assert_eq!(asked(&mut session, &[]).3, [0]);
    assert_eq!(session.holds(&part.partition), None);
}
