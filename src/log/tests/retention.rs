use std::time::Duration;

use super::*;

const HOUR_MS: i64 = 3_600_000;

fn start_of(log: &Log) -> Offset {
    log.state().log_start_offset
}

#[test]
fn too_much_goes_but_never_below_the_limit() {
    run(&simulation(1), |reactor| async move {
        let config = LogConfig {
            retention_size: Some(3 * 4096),
            ..small_segments()
        };
        let (_directory, log) = open(&reactor, config).await;
        // Three batches a segment, of about 1,270 bytes: 15 of them are five segments.
        append(&reactor, &log, 15).await;
        let size = log.size_in_bytes() / 15;
        assert!(log.apply_retention(15, 0).await.unwrap());
        log.drop_old_segments(Offset::MAX).await.unwrap();
        // Four segments are above the limit, three below: the fourth stays.
        assert_eq!(start_of(&log), 3);
        assert_eq!(log.size_in_bytes(), 12 * size);
        assert!(!log.apply_retention(15, 0).await.unwrap());
    });
}

#[test]
fn too_old_goes_by_the_newest_record_of_a_segment() {
    run(&simulation(2), |reactor| async move {
        let config = LogConfig {
            retention_ms: Some(HOUR_MS),
            ..small_segments()
        };
        let (_directory, log) = open(&reactor, config).await;
        let now = reactor.wall_clock();
        let old = now - HOUR_MS - 1;
        for timestamp in [old, old, old, old, now - HOUR_MS, old, old, old, old, now] {
            append_at(&log, 0, timestamp, now);
        }
        log.flush_all().await.unwrap();
        assert!(log.apply_retention(10, now).await.unwrap());
        // The third segment is old too, but behind one that is not.
        assert_eq!(start_of(&log), 3);
        assert!(!log.apply_retention(10, now).await.unwrap());
        assert!(log.apply_retention(10, now + 1).await.unwrap());
        assert_eq!(start_of(&log), 9);
    });
}

#[test]
fn a_log_that_is_too_old_as_a_whole_is_rolled_and_goes_on() {
    run(&simulation(3), |reactor| async move {
        let config = LogConfig {
            retention_ms: Some(HOUR_MS),
            ..small_segments()
        };
        let (directory, log) = open(&reactor, config.clone()).await;
        append(&reactor, &log, 5).await;
        let later = reactor.wall_clock() + HOUR_MS + 1;
        assert!(log.apply_retention(5, later).await.unwrap());
        assert_eq!(log.drop_old_segments(Offset::MAX).await.unwrap(), 2);
        assert_eq!((start_of(&log), log.size_in_bytes()), (5, 0));
        // Empty: nothing is left to roll.
        assert!(!log.apply_retention(5, later).await.unwrap());
        append(&reactor, &log, 2).await;
        assert_eq!(read(&log, 6).await.unwrap().next_offset, 7);
        directory.stop().await.unwrap();
    });
}

#[test]
fn nothing_goes_at_or_behind_the_high_watermark() {
    run(&simulation(4), |reactor| async move {
        let config = LogConfig {
            retention_size: Some(0),
            ..small_segments()
        };
        let (_directory, log) = open(&reactor, config).await;
        append(&reactor, &log, 9).await;
        assert!(!log.apply_retention(2, 0).await.unwrap());
        assert!(log.apply_retention(5, 0).await.unwrap());
        assert_eq!(start_of(&log), 3);
        assert!(log.apply_retention(8, 0).await.unwrap());
        assert_eq!(start_of(&log), 6, "the active segment is not below 8");
    });
}

#[test]
fn records_without_a_time_are_as_old_as_their_segment() {
    run(&simulation(5), |reactor| async move {
        let config = LogConfig {
            retention_ms: Some(HOUR_MS),
            ..small_segments()
        };
        let (_directory, log) = open(&reactor, config).await;
        let now = reactor.wall_clock();
        (0..4).for_each(|_| {
            append_at(&log, 0, -1, now);
        });
        log.flush_all().await.unwrap();
        assert!(!log.apply_retention(4, now + HOUR_MS).await.unwrap());
        assert!(log.apply_retention(4, now + HOUR_MS + 1).await.unwrap());
        assert_eq!(start_of(&log), 4);
    });
}

#[test]
fn files_go_after_the_delay_and_the_start_is_there_after_a_power_cut() {
    let sim = simulation(6);
    run(&sim, |reactor| async move {
        let config = LogConfig {
            file_delete_delay: Duration::from_secs(60),
            ..small_segments()
        };
        let (_directory, log) = open(&reactor, config).await;
        append(&reactor, &log, 9).await;
        assert!(log.raise_log_start(7).await.unwrap());
        assert!(!log.raise_log_start(6).await.unwrap(), "never back");
        assert_eq!(log.drop_old_segments(Offset::MAX).await.unwrap(), 2);
        assert_eq!(files(&reactor, ".log").await.len(), 1);
        let deleted = [
            "00000000000000000000.index.deleted",
            "00000000000000000000.log.deleted",
            "00000000000000000000.timeindex.deleted",
            "00000000000000000003.index.deleted",
            "00000000000000000003.log.deleted",
            "00000000000000000003.snapshot.deleted",
            "00000000000000000003.timeindex.deleted",
        ];
        assert_eq!(files(&reactor, ".deleted").await, deleted);
        let refused = read(&log, 6).await.unwrap_err();
        assert!(matches!(refused, LogError::OffsetOutOfRange { .. }));
        assert_eq!(read(&log, 7).await.unwrap().next_offset, 8);
        reactor.sleep(Duration::from_secs(59)).await;
        assert_eq!(files(&reactor, ".deleted").await, deleted);
        reactor.sleep(Duration::from_secs(2)).await;
        assert!(files(&reactor, ".deleted").await.is_empty());
    });
    sim.power_cut(MachineId::FIRST);
    run(&sim, |reactor| async move {
        let (_directory, log) = open(&reactor, small_segments()).await;
        assert_eq!(start_of(&log), 7);
        assert_eq!(files(&reactor, ".log").await.len(), 1);
    });
}

/// What a log of nine records says where it starts, `steps` of 20 us after its start began to move
/// to 7; and what the next process finds after a kill at that moment.
fn told_and_found(steps: u32) -> (Offset, Offset) {
    let sim = simulation(11);
    let told = sim.run(MachineId::FIRST, move |reactor| async move {
        let (_directory, log) = open(&reactor, small_segments()).await;
        append(&reactor, &log, 9).await;
        let raised = log.clone();
        let raising = reactor.spawn(async move { raised.raise_log_start(7).await });
        reactor.sleep(Duration::from_micros(20) * steps).await;
        drop(raising);
        start_of(&log)
    });
    let found = sim.run(MachineId::FIRST, |reactor| async move {
        let (_directory, log) = open(&reactor, small_segments()).await;
        start_of(&log)
    });
    (told, found)
}

#[test]
fn a_start_that_was_told_does_not_go_back() {
    let cases: Vec<_> = (0..40).map(told_and_found).collect();
    assert!(cases.iter().all(|(told, found)| told <= found), "{cases:?}");
    for told in [0, 7] {
        assert!(cases.iter().any(|case| case.0 == told), "{cases:?}");
    }
}

#[test]
fn what_a_crash_left_between_start_and_files_goes_at_the_next_start() {
    let sim = simulation(7);
    run(&sim, |reactor| async move {
        let (_directory, log) = open(&reactor, small_segments()).await;
        append(&reactor, &log, 9).await;
        // The process dies before it drops anything.
        assert!(log.raise_log_start(6).await.unwrap());
        // One of two segments had its name changed.
        let path = Path::new(DIRECTORY).join("t-0/00000000000000000003.log");
        let aside = path.with_added_extension("deleted");
        reactor.disk().rename(&path, &aside).await.unwrap();
    });
    run(&sim, |reactor| async move {
        let (_directory, log) = open(&reactor, small_segments()).await;
        assert_eq!(start_of(&log), 6);
        assert_eq!(
            files(&reactor, ".log").await,
            ["00000000000000000006.log"],
            "both are out of use at once"
        );
        reactor.sleep(Duration::from_secs(1)).await;
        assert!(files(&reactor, ".deleted").await.is_empty());
    });
}

#[test]
fn who_reads_a_segment_while_it_is_dropped_ends_well() {
    run(&simulation(8), |reactor| async move {
        let config = LogConfig {
            file_delete_delay: Duration::ZERO,
            segment_size_max: 64 << 20,
            ..small_segments()
        };
        let (_directory, log) = open(&reactor, config).await;
        append(&reactor, &log, 3).await;
        let segment = log.inner.core.borrow().active().clone();
        let lease = segment.lease();
        let later = reactor.wall_clock();
        log.set_config(LogConfig {
            retention_size: Some(0),
            file_delete_delay: Duration::ZERO,
            ..small_segments()
        });
        assert!(log.apply_retention(3, later).await.unwrap());
        log.drop_old_segments(Offset::MAX).await.unwrap();
        reactor.sleep(Duration::from_secs(5)).await;
        assert_eq!(files(&reactor, ".log.deleted").await.len(), 1);
        drop(lease);
        reactor.sleep(Duration::from_secs(5)).await;
        assert!(files(&reactor, ".deleted").await.is_empty());
    });
}

#[test]
fn a_new_log_keeps_its_files_when_an_old_one_of_its_name_is_removed() {
    run(&simulation(9), |reactor| async move {
        let config = LogConfig {
            file_delete_delay: Duration::from_secs(30),
            ..small_segments()
        };
        let directory = open_directory(&reactor).await;
        for _ in 0..2 {
            let log = try_open(&directory, config.clone()).await.unwrap();
            append(&reactor, &log, 5).await;
            log.raise_log_start(3).await.unwrap();
            log.drop_old_segments(Offset::MAX).await.unwrap();
            reactor.sleep(Duration::from_secs(10)).await;
            assert_eq!(files(&reactor, ".log.deleted").await.len(), 1);
            log.delete().await.unwrap();
        }
        let log = try_open(&directory, config).await.unwrap();
        append(&reactor, &log, 5).await;
        log.raise_log_start(3).await.unwrap();
        log.drop_old_segments(Offset::MAX).await.unwrap();
        // The first two are due, the third is not.
        reactor.sleep(Duration::from_secs(25)).await;
        assert_eq!(files(&reactor, ".log.deleted").await.len(), 1);
        let aside = async || {
            let entries = reactor.disk().list_dir(Path::new(DIRECTORY)).await;
            let names = entries.unwrap().into_iter().map(|entry| entry.name);
            names.filter(|name| name.ends_with("-delete")).count()
        };
        assert_eq!(aside().await, 2, "their directories stay for a minute");
        reactor.sleep(Duration::from_secs(60)).await;
        assert_eq!(aside().await, 0);
    });
}
