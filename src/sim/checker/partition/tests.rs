//! Each invariant, kept and broken.

use super::*;

fn record(number: u64) -> Record {
    Record {
        producer: 3,
        number,
    }
}

/// Records 0 to 4 at offsets 10 to 14, acknowledged with a promise.
fn filled(survives: Survives) -> PartitionChecker {
    let mut partition = PartitionChecker::default();
    for number in 0..5 {
        see(&mut partition, 10 + number as Offset, number, survives).unwrap();
    }
    partition
}

fn see(
    partition: &mut PartitionChecker,
    offset: Offset,
    number: u64,
    survives: Survives,
) -> Result<(), Violation> {
    partition.observe(
        offset,
        record(number),
        Guarantee::OnceInOrder,
        survives,
        true,
    )
}

#[track_caller]
fn red(result: Result<(), Violation>, part: &str) {
    let fault = result.expect_err("a broken invariant is found");
    assert!(fault.text.contains(part), "{fault}");
}

#[test]
fn an_offset_keeps_its_value() {
    let mut partition = filled(Survives::Kill);
    see(&mut partition, 12, 2, Survives::Kill).unwrap();
    red(
        see(&mut partition, 12, 7, Survives::Kill),
        "changed its value",
    );
}

#[test]
fn nothing_is_there_twice_and_order_is_kept() {
    let mut partition = filled(Survives::Kill);
    red(see(&mut partition, 20, 2, Survives::Kill), "twice");
    see(&mut partition, 30, 9, Survives::Kill).unwrap();
    red(see(&mut partition, 31, 8, Survives::Kill), "out of order");
    red(see(&mut partition, 9, 6, Survives::Kill), "out of order");
    see(&mut partition, 29, 8, Survives::Kill).unwrap();
    let mut any = filled(Survives::Kill);
    for offset in [20, 18] {
        any.observe(offset, record(2), Guarantee::Any, Survives::Kill, true)
            .unwrap();
    }
    let mut once = PartitionChecker::default();
    let mut see_once = |offset, number| {
        once.observe(
            offset,
            record(number),
            Guarantee::AtMostOnce,
            Survives::Kill,
            true,
        )
    };
    see_once(3, 2).unwrap();
    see_once(4, 1).unwrap();
    red(see_once(5, 1), "twice");
}

#[test]
fn the_high_watermark_does_not_go_back() {
    let mut partition = filled(Survives::Kill);
    assert_eq!(partition.end_floor(), 15);
    red(
        partition.observe_end(14, 15, Survives::Kill),
        "high watermark",
    );
    partition.observe_end(20, 15, Survives::Kill).unwrap();
    assert_eq!(partition.end_floor(), 20);
    partition.power_cut();
    assert_eq!(partition.end_floor(), 0);
    let mut partition = filled(Survives::PowerCut);
    partition.observe_end(20, 15, Survives::PowerCut).unwrap();
    partition.power_cut();
    assert_eq!(partition.end_floor(), 20);
}

#[test]
fn what_is_not_visible_is_no_floor() {
    let mut partition = PartitionChecker::default();
    partition
        .observe(7, record(0), Guarantee::OnceInOrder, Survives::Kill, false)
        .unwrap();
    assert_eq!(partition.end_floor(), 0);
    red(partition.check_end(7), "is lost");
}

#[test]
fn what_must_survive_a_power_cut_does() {
    let mut partition = filled(Survives::PowerCut);
    partition.power_cut();
    red(
        see(&mut partition, 12, 7, Survives::Kill),
        "changed its value",
    );
    red(partition.check_end(14), "is lost");
    partition.check_end(15).unwrap();
}

#[test]
fn a_power_cut_may_take_the_rest_from_one_place_on() {
    let mut partition = filled(Survives::Kill);
    // All before a fact that survives do, too.
    see(&mut partition, 11, 1, Survives::PowerCut).unwrap();
    partition.power_cut();
    assert_eq!(partition.doubtful_count(), 3);
    partition.check_end(12).unwrap();
    red(partition.check_end(11), "is lost");
    // Seen again: it is there, and certain.
    see(&mut partition, 12, 2, Survives::Kill).unwrap();
    assert_eq!(partition.doubtful_count(), 2);
    red(
        see(&mut partition, 12, 7, Survives::Kill),
        "changed its value",
    );
    // Another one where it was: it and what was behind it is lost, and may come again elsewhere.
    see(&mut partition, 13, 5, Survives::Kill).unwrap();
    assert_eq!(partition.doubtful_count(), 0);
    see(&mut partition, 15, 6, Survives::Kill).unwrap();
}

#[test]
fn what_was_written_after_a_cut_says_nothing_of_what_was_before() {
    let mut partition = filled(Survives::Kill);
    partition.power_cut();
    // The log was cut at 11; 11 to 13 were written again, and nobody has seen them.
    see(&mut partition, 14, 8, Survives::Kill).unwrap();
    partition.power_cut();
    see(&mut partition, 14, 8, Survives::Kill).unwrap();
    see(&mut partition, 12, 6, Survives::Kill).unwrap();
    see(&mut partition, 13, 7, Survives::Kill).unwrap();
    partition.check_end(15).unwrap();
}

#[test]
fn a_lost_record_may_come_again_elsewhere() {
    let mut partition = filled(Survives::Kill);
    partition.power_cut();
    see(&mut partition, 11, 3, Survives::Kill).unwrap();
    see(&mut partition, 12, 4, Survives::Kill).unwrap();
    assert_eq!(partition.doubtful_count(), 1);
    red(see(&mut partition, 13, 4, Survives::Kill), "twice");
}

#[test]
fn what_a_start_has_found_is_durable() {
    let mut partition = filled(Survives::Kill);
    partition.opened();
    partition.power_cut();
    assert_eq!(partition.doubtful_count(), 0);
    red(partition.check_end(12), "is lost");
}

#[test]
fn deleted_records_stay_away_and_others_do_not_go() {
    let mut log = PartitionChecker::default();
    assert!(!log.may_be_deleted());
    assert_eq!(log.observe_start(0, 0), Ok(()));
    assert!(
        log.observe_start(1, 0).is_err(),
        "nobody has asked for that"
    );
    log.deleting(5);
    // Not acknowledged yet: both are possible, and what is between.
    for start in [0, 3, 5] {
        assert_eq!(log.observe_start(start, 0), Ok(()));
    }
    assert!(
        log.deleted(5, 4).is_err(),
        "it was acknowledged, and not done"
    );
    assert!(log.observe_start(3, log.start_floor()).is_err(), "it was 5");
    assert_eq!(log.deleted(5, 5), Ok(()));
    log.power_cut();
    assert!(
        log.observe_start(4, log.start_floor()).is_err(),
        "they are back"
    );
    assert!(
        log.observe_start(6, log.start_floor()).is_err(),
        "too much is gone"
    );
    // A smaller one changes nothing.
    log.deleting(2);
    assert_eq!(log.deleted(2, 5), Ok(()));
    assert_eq!(log.start_floor(), 5);
}

#[test]
fn what_is_appended_behind_a_cut_may_be_found_only_through_the_damage_of_its_segment() {
    let mut partition = filled(Survives::PowerCut);
    let damage = Damage {
        unreadable: 10..12,
        silent_from: None,
    };
    partition.damaged(damage);
    assert!(!partition.judge_damage(None));
    assert_eq!(partition.readable_behind(11), Some(12));
    assert_eq!(partition.readable_behind(12), None);
    assert!(partition.judge_damage(Some(11)));
    assert_eq!(partition.readable_behind(12), Some(Offset::MAX));
}

#[test]
fn a_deleted_partition_stays_a_damaged_one() {
    let mut partition = filled(Survives::PowerCut);
    partition.damaged(Damage {
        unreadable: 10..12,
        silent_from: None,
    });
    partition.forget_facts();
    assert!(partition.is_damaged());
    assert_eq!(partition.check_end(0), Ok(()));
}
