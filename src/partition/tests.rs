//! Tests of the partition leader: one a rule. `tests/model.rs` drives it through random orders.

use super::*;
use crate::config::AckClass;
use crate::log_state::{LogState, ProducerBatch};
use crate::types::{ErrorCode, Monotonic};

mod model;

const LATER: Monotonic = Monotonic(1_000_000);

fn policy(ack_class: AckClass) -> LeaderPolicy {
    LeaderPolicy {
        ack_class,
        min_insync_replicas: 1,
    }
}

fn batch(record_count: i32) -> BatchSummary {
    BatchSummary {
        last_offset_delta: record_count - 1,
        producer: None,
        max_timestamp: 1000,
        log_append_time: None,
    }
}

fn from_producer(base_sequence: i32, record_count: i32) -> BatchSummary {
    BatchSummary {
        producer: Some(ProducerBatch {
            producer_id: 5,
            producer_epoch: 0,
            base_sequence,
            last_offset_delta: record_count - 1,
            is_transactional: false,
        }),
        ..batch(record_count)
    }
}

fn written(written_end: i64, durable_end: i64) -> Event {
    Event::Progress(Progress {
        written_end,
        durable_end,
    })
}

fn leads(leader_epoch: i32) -> Event {
    Event::BecomeLeader {
        leader_epoch,
        replicas: vec![7],
        isr: vec![7],
    }
}

/// A leader with its log.
struct Driven {
    leader: Leader,
    log: LogState,
    tickets: Ticket,
}

impl Driven {
    /// Not leading yet, on an empty log.
    fn idle(ack_class: AckClass) -> Driven {
        let log = LogState::default();
        Driven {
            leader: Leader::new(7, policy(ack_class), Progress::default(), &log),
            log,
            tickets: 0,
        }
    }

    fn new(ack_class: AckClass) -> Driven {
        let mut driven = Driven::idle(ack_class);
        driven.step(leads(0));
        driven
    }

    fn step(&mut self, event: Event) -> Vec<Effect> {
        self.step_at(Monotonic(0), event)
    }

    fn step_at(&mut self, now: Monotonic, event: Event) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.leader.step(now, event, &mut self.log, &mut effects);
        effects
    }

    fn produce(&mut self, batch: BatchSummary, acks: Acks) -> Vec<Effect> {
        self.tickets += 1;
        self.step(Event::Produce {
            ticket: self.tickets,
            batch,
            acks,
            deadline: LATER,
        })
    }

    /// What these events complete: ticket, error, base offset.
    fn completed(&mut self, event: Event) -> Vec<(Ticket, ErrorCode, i64)> {
        completed(&self.step(event))
    }
}

fn completed(effects: &[Effect]) -> Vec<(Ticket, ErrorCode, i64)> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Complete { ticket, outcome } => {
                Some((*ticket, outcome.error, outcome.base_offset))
            }
            _ => None,
        })
        .collect()
}

const OK: ErrorCode = ErrorCode::None;

#[test]
fn batches_get_consecutive_offsets_and_the_leaders_epoch() {
    let mut driven = Driven::idle(AckClass::PowerSafe);
    driven.step(leads(4));
    let appends: Vec<Effect> = [3, 1]
        .into_iter()
        .map(|count| driven.produce(batch(count), Acks::All).remove(0))
        .collect();
    let append = |ticket, base_offset, last_offset| Effect::Append {
        ticket,
        base_offset,
        last_offset,
        leader_epoch: 4,
    };
    assert_eq!(appends, [append(1, 0, 2), append(2, 3, 3)]);
    assert_eq!(driven.log.log_end_offset, 4);
}

#[test]
fn acks_one_waits_for_the_write() {
    for class in [AckClass::PowerSafe, AckClass::KillSafe] {
        let mut driven = Driven::new(class);
        let effects = driven.produce(batch(2), Acks::Leader);
        assert_eq!(completed(&effects), []);
        driven.produce(batch(2), Acks::Leader);
        assert_eq!(driven.completed(written(1, 0)), []);
        assert_eq!(driven.completed(written(3, 0)), [(1, OK, 0)]);
        assert_eq!(driven.completed(written(4, 0)), [(2, OK, 2)]);
    }
}

#[test]
fn acks_all_waits_for_the_flush_in_class_p_and_for_the_write_in_class_k() {
    let mut driven = Driven::new(AckClass::PowerSafe);
    driven.produce(batch(2), Acks::All);
    assert_eq!(driven.step(written(2, 1)), [Effect::HighWatermark(1)]);
    assert_eq!(driven.completed(written(2, 2)), [(1, OK, 0)]);
    assert_eq!(driven.leader.high_watermark(), 2);

    let mut driven = Driven::new(AckClass::KillSafe);
    driven.produce(batch(2), Acks::All);
    assert_eq!(driven.completed(written(2, 0)), [(1, OK, 0)]);
    assert_eq!(driven.leader.high_watermark(), 2);
}

#[test]
fn acks_zero_is_complete_when_it_is_written_however_long_that_takes() {
    let mut driven = Driven::new(AckClass::PowerSafe);
    let effects = driven.produce(batch(1), Acks::None);
    assert_eq!(completed(&effects), []);
    let timers = effects.iter().filter(|e| matches!(e, Effect::SetTimer(_)));
    assert_eq!(timers.count(), 0);
    assert_eq!(driven.completed(written(1, 0)), [(1, OK, 0)]);
}

#[test]
fn a_retry_waits_as_long_as_the_first_try_and_gets_its_offset() {
    let mut driven = Driven::new(AckClass::PowerSafe);
    driven.produce(batch(10), Acks::All);
    driven.produce(from_producer(0, 2), Acks::All);
    let effects = driven.produce(from_producer(0, 2), Acks::All);
    assert!(
        effects.is_empty(),
        "neither appended again nor answered: {effects:?}"
    );
    driven.produce(from_producer(0, 2), Acks::Leader);
    assert_eq!(driven.log.log_end_offset, 12);
    assert_eq!(driven.completed(written(12, 10)), [(4, OK, 10), (1, OK, 0)]);
    assert_eq!(
        driven.completed(written(12, 12)),
        [(2, OK, 10), (3, OK, 10)]
    );
    // One that comes when all is done is answered at once.
    let effects = driven.produce(from_producer(0, 2), Acks::All);
    assert_eq!(completed(&effects), [(5, OK, 10)]);
}

#[test]
fn a_gap_in_the_sequence_or_an_old_epoch_is_refused_and_changes_nothing() {
    let mut driven = Driven::new(AckClass::PowerSafe);
    let mut first = from_producer(0, 1);
    first.producer.as_mut().expect("a producer").producer_epoch = 3;
    driven.produce(first, Acks::All);
    let before = driven.log.clone();
    let mut gap = from_producer(2, 1);
    gap.producer.as_mut().expect("a producer").producer_epoch = 3;
    let refused = driven.produce(gap, Acks::None);
    assert_eq!(
        completed(&refused),
        [(2, ErrorCode::OutOfOrderSequenceNumber, -1)]
    );
    let refused = driven.produce(from_producer(1, 1), Acks::All);
    assert_eq!(
        completed(&refused),
        [(3, ErrorCode::InvalidProducerEpoch, -1)]
    );
    assert_eq!(driven.log, before);
}

#[test]
fn log_append_time_comes_back_also_for_a_retry() {
    let mut driven = Driven::new(AckClass::KillSafe);
    let stamped = |time| BatchSummary {
        log_append_time: Some(time),
        max_timestamp: time,
        ..from_producer(0, 1)
    };
    driven.produce(stamped(50), Acks::All);
    driven.produce(stamped(60), Acks::All);
    let times: Vec<i64> = driven
        .step(written(1, 0))
        .iter()
        .filter_map(|effect| match effect {
            Effect::Complete { outcome, .. } => Some(outcome.log_append_time),
            _ => None,
        })
        .collect();
    assert_eq!(times, [50, 50]);
}

#[test]
fn too_few_in_sync_replicas_refuse_acks_all_only_and_hold_the_high_watermark() {
    let mut driven = Driven::idle(AckClass::KillSafe);
    driven.step(Event::PolicyChanged(LeaderPolicy {
        min_insync_replicas: 2,
        ..policy(AckClass::KillSafe)
    }));
    driven.step(Event::BecomeLeader {
        leader_epoch: 0,
        replicas: vec![7, 8],
        isr: vec![7],
    });
    let refused = driven.produce(batch(1), Acks::All);
    assert_eq!(completed(&refused), [(1, ErrorCode::NotEnoughReplicas, -1)]);
    assert_eq!(driven.log.log_end_offset, 0);
    driven.produce(batch(1), Acks::Leader);
    assert_eq!(driven.completed(written(1, 1)), [(2, OK, 0)]);
    assert_eq!(driven.leader.high_watermark(), 0);
    let lower = Event::PolicyChanged(policy(AckClass::KillSafe));
    assert_eq!(driven.step(lower), [Effect::HighWatermark(1)]);
}

#[test]
fn a_single_replica_is_enough_whatever_min_insync_replicas_says() {
    let mut driven = Driven::new(AckClass::KillSafe);
    driven.step(Event::PolicyChanged(LeaderPolicy {
        min_insync_replicas: 3,
        ..policy(AckClass::KillSafe)
    }));
    driven.produce(batch(1), Acks::All);
    assert_eq!(driven.completed(written(1, 0)), [(1, OK, 0)]);
}

#[test]
fn a_follower_in_sync_holds_the_high_watermark_back() {
    let mut driven = Driven::idle(AckClass::KillSafe);
    driven.step(Event::BecomeLeader {
        leader_epoch: 0,
        replicas: vec![7, 8],
        isr: vec![7, 8],
    });
    driven.produce(batch(1), Acks::All);
    assert_eq!(driven.step(written(1, 1)), []);
}

#[test]
fn an_epoch_starts_in_the_cache_before_its_first_append() {
    let mut driven = Driven::new(AckClass::KillSafe);
    driven.produce(batch(5), Acks::Leader);
    let effects = driven.step(leads(3));
    let started = Effect::EpochStarted {
        leader_epoch: 3,
        start_offset: 5,
    };
    assert_eq!(effects, [started]);
    assert_eq!(driven.log.epochs.epoch_for_offset(5), Some(3));
    assert_eq!(driven.log.epochs.epoch_for_offset(4), Some(0));
    // A stale or repeated appointment changes nothing (rule R1).
    for stale in [3, 2] {
        assert_eq!(driven.step(leads(stale)), []);
        assert_eq!(driven.leader.leader_epoch(), 3);
    }
    // Who waited from before the new epoch still gets the answer.
    assert_eq!(driven.completed(written(5, 5)), [(1, OK, 0)]);
}

#[test]
fn an_epoch_that_is_not_empty_stays_in_the_history() {
    let mut driven = Driven::new(AckClass::KillSafe);
    driven.produce(batch(5), Acks::None);
    driven.step(written(5, 5));
    driven.step(leads(1));
    let starts: Vec<_> = driven
        .log
        .epochs
        .entries()
        .iter()
        .map(|entry| (entry.epoch, entry.start_offset))
        .collect();
    assert_eq!(starts, [(0, 0), (1, 5)]);
}

#[test]
fn whoever_waits_is_told_when_the_leader_stops() {
    let cases = [
        (Event::LogFailed, ErrorCode::KafkaStorageError),
        (Event::Resign, ErrorCode::NotLeaderOrFollower),
        (Event::Deleted, ErrorCode::UnknownTopicOrPartition),
    ];
    for (event, error) in cases {
        let mut driven = Driven::new(AckClass::PowerSafe);
        driven.produce(batch(1), Acks::All);
        driven.produce(batch(1), Acks::Leader);
        let told = driven.completed(event.clone());
        assert_eq!(told, [(2, error, -1), (1, error, -1)], "{event:?}");
        assert_eq!(driven.completed(event), []);
        let refused = driven.produce(batch(1), Acks::All);
        assert_eq!(completed(&refused), [(3, error, -1)]);
        assert_eq!(driven.log.log_end_offset, 2);
        assert_eq!(driven.leader.check_serving(-1), Err(error));
    }
}

#[test]
fn a_full_log_takes_nothing_and_is_read_up_to_what_was_acknowledged() {
    let mut driven = Driven::new(AckClass::KillSafe);
    driven.produce(batch(1), Acks::All);
    driven.step(written(1, 1));
    driven.produce(batch(1), Acks::All);
    let error = ErrorCode::KafkaStorageError;
    assert_eq!(driven.completed(Event::LogFull), [(2, error, -1)]);
    // What completes beside the write that failed is not shown.
    assert_eq!(driven.step(written(2, 2)), []);
    let refused = driven.produce(batch(1), Acks::Leader);
    assert_eq!(completed(&refused), [(3, error, -1)]);
    assert_eq!(driven.leader.check_serving(-1), Ok(()));
    assert_eq!(driven.leader.read_bound(Isolation::ReadUncommitted), 1);
    // It never takes records again, and a failure of another kind ends reading, too.
    driven.step(leads(9));
    let refused = driven.produce(batch(1), Acks::Leader);
    assert_eq!(completed(&refused), [(4, error, -1)]);
    driven.step(Event::LogFailed);
    assert_eq!(driven.leader.check_serving(-1), Err(error));
    driven.step(Event::LogFull);
    assert_eq!(driven.leader.check_serving(-1), Err(error));
}

#[test]
fn a_failed_log_acknowledges_nothing_any_more_and_never_leads_again() {
    let mut driven = Driven::new(AckClass::KillSafe);
    driven.produce(batch(1), Acks::All);
    driven.step(Event::LogFailed);
    assert_eq!(driven.step(written(1, 1)), []);
    driven.step(Event::Resign);
    driven.step(leads(9));
    assert_eq!(
        driven.leader.check_serving(-1),
        Err(ErrorCode::KafkaStorageError)
    );
    driven.step(Event::Deleted);
    assert_eq!(
        driven.leader.check_serving(-1),
        Err(ErrorCode::UnknownTopicOrPartition)
    );
}

#[test]
fn a_leader_that_resigned_may_lead_again_at_a_higher_epoch() {
    let mut driven = Driven::new(AckClass::KillSafe);
    driven.step(Event::Resign);
    driven.step(leads(0));
    assert!(driven.leader.check_serving(-1).is_err());
    driven.step(leads(1));
    assert_eq!(driven.leader.check_serving(1), Ok(()));
}

#[test]
fn a_request_of_another_epoch_is_refused() {
    let mut driven = Driven::new(AckClass::KillSafe);
    driven.step(leads(5));
    let leader = &driven.leader;
    assert_eq!(leader.check_serving(-1), Ok(()));
    assert_eq!(leader.check_serving(5), Ok(()));
    assert_eq!(leader.check_serving(4), Err(ErrorCode::FencedLeaderEpoch));
    assert_eq!(leader.check_serving(6), Err(ErrorCode::UnknownLeaderEpoch));
}

#[test]
fn one_timer_serves_all_waiters_and_is_set_anew_for_the_rest() {
    let mut driven = Driven::new(AckClass::PowerSafe);
    let mut produce = |ticket, acks, deadline| {
        driven.step(Event::Produce {
            ticket,
            batch: batch(1),
            acks,
            deadline: Monotonic(deadline),
        })
    };
    let timer = |effects: &[Effect]| -> Vec<u64> {
        let times = effects.iter().filter_map(|effect| match effect {
            Effect::SetTimer(at) => Some(at.0),
            _ => None,
        });
        times.collect()
    };
    assert_eq!(timer(&produce(1, Acks::All, 50)), [50]);
    assert!(timer(&produce(2, Acks::All, 60)).is_empty());
    assert_eq!(timer(&produce(3, Acks::Leader, 40)), [40]);
    assert_eq!(driven.step_at(Monotonic(39), Event::Timer), []);
    let effects = driven.step_at(Monotonic(40), Event::Timer);
    assert_eq!(completed(&effects), [(3, ErrorCode::RequestTimedOut, -1)]);
    assert_eq!(timer(&effects), [50]);
    let effects = driven.step_at(Monotonic(70), Event::Timer);
    assert_eq!(completed(&effects).len(), 2);
    assert!(timer(&effects).is_empty());
    // What timed out is in the log nevertheless, and nobody is told twice.
    assert_eq!(driven.completed(written(3, 3)), []);
    assert_eq!(driven.leader.high_watermark(), 3);
}

#[test]
fn the_high_watermark_never_goes_back() {
    let mut driven = Driven::new(AckClass::KillSafe);
    driven.produce(batch(4), Acks::None);
    driven.step(written(4, 1));
    driven.step(Event::PolicyChanged(policy(AckClass::PowerSafe)));
    assert_eq!(driven.leader.high_watermark(), 4);
    driven.step(written(4, 3));
    assert_eq!(driven.leader.high_watermark(), 4);
}

#[test]
fn readers_see_what_their_isolation_allows() {
    let mut driven = Driven::new(AckClass::PowerSafe);
    driven.produce(batch(4), Acks::None);
    driven.step(written(3, 2));
    driven.log.log_start_offset = 1;
    let bound = |isolation| driven.leader.read_bound(isolation);
    assert_eq!(bound(Isolation::LogEnd), 3);
    assert_eq!(bound(Isolation::ReadUncommitted), 2);
    assert_eq!(bound(Isolation::ReadCommitted), 2);
    let check = |offset| {
        let isolation = Isolation::ReadUncommitted;
        driven.leader.check_fetch(offset, isolation, &driven.log)
    };
    assert_eq!(check(0), Err(ErrorCode::OffsetOutOfRange));
    assert_eq!(check(1), Ok(2));
    assert_eq!(check(4), Ok(2), "not readable yet, but not out of range");
    assert_eq!(check(5), Err(ErrorCode::OffsetOutOfRange));
}

#[test]
fn special_timestamps_are_known_from_their_version_on() {
    let cases = [
        (-1, 1, Ok(OffsetSpec::Latest)),
        (-2, 1, Ok(OffsetSpec::Earliest)),
        (-3, 6, Err(ErrorCode::UnsupportedVersion)),
        (-3, 7, Ok(OffsetSpec::MaxTimestamp)),
        (-4, 7, Err(ErrorCode::UnsupportedVersion)),
        (-4, 8, Ok(OffsetSpec::EarliestLocal)),
        (-5, 8, Err(ErrorCode::UnsupportedVersion)),
        (-5, 9, Ok(OffsetSpec::LatestTiered)),
        (-6, 10, Err(ErrorCode::UnsupportedVersion)),
        (i64::MIN, 10, Err(ErrorCode::UnsupportedVersion)),
        (0, 1, Ok(OffsetSpec::Timestamp(0))),
        (i64::MAX, 1, Ok(OffsetSpec::Timestamp(i64::MAX))),
    ];
    for (timestamp, version, expected) in cases {
        let spec = OffsetSpec::from_wire(timestamp, version);
        assert_eq!(spec, expected, "{timestamp} in v{version}");
    }
}

#[test]
fn list_offsets_answers_from_the_bounds() {
    let mut driven = Driven::new(AckClass::PowerSafe);
    driven.produce(batch(4), Acks::None);
    driven.step(written(4, 3));
    driven.log.log_start_offset = 1;
    let ask = |spec| {
        let isolation = Isolation::ReadUncommitted;
        driven.leader.list_offset(spec, isolation, &driven.log)
    };
    let known = |offset, leader_epoch| {
        Ok(OffsetAnswer::Known {
            offset,
            leader_epoch,
        })
    };
    assert_eq!(ask(OffsetSpec::Latest), known(3, 0));
    assert_eq!(ask(OffsetSpec::Earliest), known(1, 0));
    assert_eq!(ask(OffsetSpec::EarliestLocal), known(1, 0));
    assert_eq!(ask(OffsetSpec::LatestTiered), known(-1, -1));
    let search = OffsetAnswer::SearchTimestamp {
        timestamp: 9,
        end: 3,
        not_found: OK,
    };
    assert_eq!(ask(OffsetSpec::Timestamp(9)), Ok(search));
}

#[test]
fn a_new_leader_does_not_know_the_latest_offset_until_its_epoch_is_committed() {
    let mut driven = Driven::new(AckClass::PowerSafe);
    driven.produce(batch(4), Acks::None);
    driven.step(written(4, 2));
    driven.step(leads(1));
    let ask =
        |driven: &Driven, spec, isolation| driven.leader.list_offset(spec, isolation, &driven.log);
    let consumer = Isolation::ReadUncommitted;
    let unknown = ErrorCode::OffsetNotAvailable;
    assert_eq!(ask(&driven, OffsetSpec::Latest, consumer), Err(unknown));
    let search = OffsetAnswer::SearchMaxTimestamp {
        end: 2,
        not_found: unknown,
    };
    assert_eq!(ask(&driven, OffsetSpec::MaxTimestamp, consumer), Ok(search));
    assert!(ask(&driven, OffsetSpec::Earliest, consumer).is_ok());
    assert!(ask(&driven, OffsetSpec::Latest, Isolation::LogEnd).is_ok());
    driven.step(written(4, 4));
    let latest = OffsetAnswer::Known {
        offset: 4,
        leader_epoch: 1,
    };
    assert_eq!(ask(&driven, OffsetSpec::Latest, consumer), Ok(latest));
}

#[test]
fn after_recovery_all_that_was_kept_is_readable_and_a_retry_is_known() {
    let mut driven = Driven::new(AckClass::PowerSafe);
    driven.produce(from_producer(0, 3), Acks::All);
    let progress = Progress {
        written_end: 3,
        durable_end: 3,
    };
    let policy = policy(AckClass::PowerSafe);
    driven.leader = Leader::new(7, policy, progress, &driven.log);
    let effects = driven.step(leads(1));
    assert_eq!(effects[1..], [Effect::HighWatermark(3)]);
    let effects = driven.produce(from_producer(0, 3), Acks::All);
    assert_eq!(completed(&effects), [(2, OK, 0)]);
}

#[test]
#[should_panic(expected = "impossible progress")]
fn a_log_that_claims_more_than_was_appended_is_a_bug() {
    Driven::new(AckClass::PowerSafe).step(written(1, 0));
}

#[test]
fn acks_come_from_the_wire() {
    assert_eq!(Acks::from_wire(0), Ok(Acks::None));
    assert_eq!(Acks::from_wire(1), Ok(Acks::Leader));
    assert_eq!(Acks::from_wire(-1), Ok(Acks::All));
    for other in [2, -2, i16::MAX, i16::MIN] {
        assert_eq!(Acks::from_wire(other), Err(ErrorCode::InvalidRequiredAcks));
    }
}
