//! The files of dropped segments, used again.

use super::*;
use crate::metrics::Counter;

/// Of 16 units: 51 batches.
const SEGMENT_SIZE: u64 = 64 << 10;
const BATCHES: usize = 51;
const DELAY: Duration = Duration::from_secs(1);

/// Longer than a spare is kept.
const LONG: Duration = Duration::from_secs(3_700);

fn recycling() -> LogConfig {
    LogConfig {
        segment_size_max: SEGMENT_SIZE,
        file_delete_delay: DELAY,
        ..small_segments()
    }
}

fn recycled(directory: &LogDirectory) -> u64 {
    directory
        .metrics()
        .snapshot()
        .counter(Counter::SegmentsRecycled)
}

/// Drops all segments but the active one, and waits until their files may be used.
async fn drop_all(reactor: &Reactor, log: &Log) {
    let active = log.inner.core.borrow().active().base_offset;
    log.raise_log_start(active).await.unwrap();
    log.drop_old_segments(Offset::MAX).await.unwrap();
    reactor.sleep(2 * DELAY).await;
}

/// A log whose next segment takes over the file of its first, which `log_end_offset` is in.
async fn with_spare(reactor: &Reactor, directory: &LogDirectory, config: LogConfig) -> Log {
    let log = try_open(directory, config).await.unwrap();
    append(reactor, &log, BATCHES + 1).await;
    drop_all(reactor, &log).await;
    log
}

fn log_file(base_offset: Offset) -> PathBuf {
    segment_path(
        &Path::new(DIRECTORY).join("t-0"),
        base_offset,
        extension::LOG,
    )
}

#[test]
fn the_next_segment_takes_over_the_file_of_a_dropped_one() {
    let sim = simulation(1);
    run(&sim, |reactor| async move {
        let directory = open_directory(&reactor).await;
        let log = with_spare(&reactor, &directory, recycling()).await;
        let spare = ["00000000000000000000.log.deleted"];
        assert_eq!(files(&reactor, ".deleted").await, spare);
        append(&reactor, &log, BATCHES).await;
        assert_eq!(recycled(&directory), 1);
        assert!(files(&reactor, ".deleted").await.is_empty());
        let segment = log.inner.core.borrow().active().clone();
        assert_eq!(segment.base_offset, 2 * BATCHES as i64);
        let file = segment.open_file().unwrap();
        assert_eq!(
            file.size(),
            SEGMENT_SIZE - 4096,
            "whole units of the old one"
        );
        assert!(segment.covered.get().contains(0, file.size()));
        assert!(!segment.needs_file_sync.get());
    });
    sim.power_cut(MachineId::FIRST);
    run(&sim, |reactor| async move {
        let (directory, log) = open(&reactor, recycling()).await;
        assert_eq!(log.state().log_end_offset, 2 * BATCHES as i64 + 1);
        assert_eq!(
            read(&log, 2 * BATCHES as i64).await.unwrap().next_offset,
            103
        );
        let segment = log.inner.core.borrow().active().clone();
        let file = segment.open_file().unwrap();
        assert_eq!(file.size(), segment.size.get(), "what was old is cut");
        append(&reactor, &log, BATCHES).await;
        directory.stop().await.unwrap();
    });
}

#[test]
fn a_recycled_segment_outgrows_its_file() {
    let sim = simulation(2);
    run(&sim, |reactor| async move {
        let directory = open_directory(&reactor).await;
        let log = with_spare(&reactor, &directory, recycling()).await;
        let large = 4 * SEGMENT_SIZE;
        append(&reactor, &log, BATCHES).await;
        log.set_config(LogConfig {
            segment_size_max: large,
            ..recycling()
        });
        append(&reactor, &log, 3 * BATCHES).await;
        assert_eq!(recycled(&directory), 1);
        let segment = log.inner.core.borrow().active().clone();
        assert!(segment.mark.get().is_none());
        assert!(segment.size.get() > 2 * SEGMENT_SIZE);
    });
    sim.power_cut(MachineId::FIRST);
    run(&sim, |reactor| async move {
        let (_directory, log) = open(&reactor, recycling()).await;
        let end = log.state().log_end_offset;
        assert_eq!(end, 5 * BATCHES as i64 + 1);
        assert_eq!(read(&log, end - 1).await.unwrap().next_offset, end);
    });
}

#[test]
fn a_file_that_somebody_reads_is_no_spare_yet() {
    run(&simulation(3), |reactor| async move {
        let (directory, log) = open(&reactor, recycling()).await;
        let segment = log.inner.core.borrow().active().clone();
        append(&reactor, &log, BATCHES + 1).await;
        let lease = segment.lease();
        drop_all(&reactor, &log).await;
        append(&reactor, &log, BATCHES).await;
        assert_eq!(recycled(&directory), 0);
        drop(lease);
        reactor.sleep(DELAY).await;
        append(&reactor, &log, BATCHES).await;
        assert_eq!(recycled(&directory), 1);
    });
}

#[test]
fn a_log_has_one_spare_and_not_for_long() {
    run(&simulation(4), |reactor| async move {
        let (directory, log) = open(&reactor, recycling()).await;
        append(&reactor, &log, 3 * BATCHES + 1).await;
        drop_all(&reactor, &log).await;
        let spare = ["00000000000000000000.log.deleted"];
        assert_eq!(
            files(&reactor, ".deleted").await,
            spare,
            "the others are gone"
        );
        reactor.sleep(LONG).await;
        assert!(files(&reactor, ".deleted").await.is_empty());
        append(&reactor, &log, BATCHES).await;
        assert_eq!(recycled(&directory), 0);
    });
}

#[test]
fn a_spare_in_use_is_not_removed_when_its_time_is_over() {
    run(&simulation(5), |reactor| async move {
        let directory = open_directory(&reactor).await;
        let log = with_spare(&reactor, &directory, recycling()).await;
        append(&reactor, &log, BATCHES).await;
        reactor.sleep(LONG).await;
        append(&reactor, &log, 1).await;
        assert_eq!(read(&log, 102).await.unwrap().next_offset, 103);
        assert_eq!(read(&log, 103).await.unwrap().next_offset, 104);
        directory.stop().await.unwrap();
    });
}

#[test]
fn what_gains_nothing_is_removed() {
    let class_k = LogConfig {
        flush_before_ack: false,
        ..recycling()
    };
    run(&simulation(6), |reactor| async move {
        let directory = open_directory(&reactor).await;
        let log = with_spare(&reactor, &directory, class_k).await;
        assert!(files(&reactor, ".deleted").await.is_empty(), "class K");
        log.delete().await.unwrap();
        let log = try_open(&directory, recycling()).await.unwrap();
        append(&reactor, &log, BATCHES + 1).await;
        // Small beside what the segments are to be now.
        log.set_config(LogConfig {
            segment_size_max: 4 * SEGMENT_SIZE,
            ..recycling()
        });
        drop_all(&reactor, &log).await;
        assert!(files(&reactor, ".deleted").await.is_empty(), "small");
    });
}

#[test]
fn a_segment_that_was_cut_is_not_used_again() {
    run(&simulation(7), |reactor| async move {
        let (directory, log) = open(&reactor, recycling()).await;
        append(&reactor, &log, 5).await;
        log.truncate_to(3).await.unwrap();
        append(&reactor, &log, BATCHES).await;
        drop_all(&reactor, &log).await;
        append(&reactor, &log, BATCHES).await;
        assert_eq!(recycled(&directory), 0);
    });
}

#[test]
fn a_deleted_log_takes_its_spare_along() {
    run(&simulation(8), |reactor| async move {
        let directory = open_directory(&reactor).await;
        let log = with_spare(&reactor, &directory, recycling()).await;
        log.delete().await.unwrap();
        let log = try_open(&directory, recycling()).await.unwrap();
        append(&reactor, &log, BATCHES + 1).await;
        assert_eq!(recycled(&directory), 0);
        reactor.sleep(LONG).await;
        append(&reactor, &log, BATCHES).await;
        assert_eq!(read(&log, 0).await.unwrap().next_offset, 1);
    });
}

#[test]
fn a_spare_that_a_crash_left_is_removed() {
    let sim = simulation(9);
    run(&sim, |reactor| async move {
        let directory = open_directory(&reactor).await;
        with_spare(&reactor, &directory, recycling()).await;
    });
    run(&sim, |reactor| async move {
        let (_directory, _log) = open(&reactor, recycling()).await;
        reactor.sleep(DELAY).await;
        assert!(files(&reactor, ".deleted").await.is_empty());
    });
}

/// Less than lies behind the end of a recycled segment and before its mark.
const UNFLUSHED_BYTES_MAX: u64 = 2048;

fn limited() -> LogConfig {
    LogConfig {
        unflushed_bytes_max: UNFLUSHED_BYTES_MAX,
        ..recycling()
    }
}

/// Kills the log when its recycled segment has `count` batches; the segment's file. What it held
/// before are batches with this value.
fn killed_in_a_recycled_segment(sim: &Simulation, value: &'static [u8], count: usize) -> PathBuf {
    let base_offset = 2 * BATCHES as i64;
    run(sim, move |reactor| async move {
        let (directory, log) = open(&reactor, limited()).await;
        let now = reactor.wall_clock();
        for _ in 0..=BATCHES {
            let mut builder = BatchBuilder::new(BatchOptions::default(), 0);
            builder.append(now, None, Some(value), &[]);
            append_bytes(&log, builder.close(), 0, now);
            log.flush_all().await.unwrap();
        }
        drop_all(&reactor, &log).await;
        append(&reactor, &log, BATCHES - 1).await;
        for _ in 0..count {
            append(&reactor, &log, 1).await;
        }
        assert_eq!(recycled(&directory), 1);
        assert_eq!(log.inner.core.borrow().active().base_offset, base_offset);
    });
    log_file(base_offset)
}

fn reopened(sim: &Simulation, broken_rule: Option<BrokenRule>) -> Result<Offset, LogError> {
    sim.run(MachineId::FIRST, move |reactor| async move {
        let directory = open_broken_directory(&reactor, broken_rule).await;
        let log = try_open(&directory, limited()).await?;
        let end = log.state().log_end_offset;
        Ok(end)
    })
}

#[test]
fn old_batches_are_no_corruption_and_do_not_come_back() {
    for broken_rule in [None, Some(BrokenRule::BelievesOldBatches)] {
        let sim = simulation(10);
        let path = killed_in_a_recycled_segment(&sim, VALUE, 3);
        let before = sim.file_contents(MachineId::FIRST, &path).unwrap();
        assert_eq!(before.len() as u64, SEGMENT_SIZE - 4096);
        let opened = reopened(&sim, broken_rule);
        if broken_rule.is_some() {
            assert!(
                matches!(opened, Err(LogError::Corrupt { .. })),
                "{opened:?}"
            );
            continue;
        }
        assert_eq!(opened.unwrap(), 2 * BATCHES as i64 + 3);
        let after = sim.file_contents(MachineId::FIRST, &path).unwrap();
        assert!(
            before.starts_with(&after) && after.len() < 4096,
            "its batches"
        );
    }
}

/// A batch with an offset that the log has not come to, as a record's value may hold one.
fn stored_batch() -> &'static [u8] {
    let mut builder = BatchBuilder::new(BatchOptions::default(), 0);
    builder.append(0, None, Some(&[7; 1_000]), &[]);
    let bytes = builder.close();
    let header = BatchHeader::parse(&bytes).unwrap();
    let head = header.head(1_000_000, 0);
    let mut stored = [&head[..], &bytes[HEAD_SIZE..]].concat();
    stored.resize(VALUE.len(), 0);
    stored.leak()
}

#[test]
fn batches_inside_of_old_records_are_nothing() {
    let sim = simulation(11);
    killed_in_a_recycled_segment(&sim, stored_batch(), 3);
    assert_eq!(reopened(&sim, None).unwrap(), 2 * BATCHES as i64 + 3);
}

#[test]
fn damage_in_a_recycled_segment_is_still_found() {
    let sim = simulation(12);
    let path = killed_in_a_recycled_segment(&sim, VALUE, 20);
    assert!(sim.corrupt(MachineId::FIRST, &path, 2_000));
    let opened = reopened(&sim, None);
    assert!(
        matches!(opened, Err(LogError::Corrupt { .. })),
        "{opened:?}"
    );
}

#[test]
fn a_mark_is_of_one_segment_in_one_place() {
    let sim = simulation(13);
    let path = killed_in_a_recycled_segment(&sim, VALUE, 3);
    let file = sim.file_contents(MachineId::FIRST, &path).unwrap();
    let place = mark_place(file.len() as u64).unwrap();
    let unit = &file[place as usize..];
    let base_offset = 2 * BATCHES as i64;
    // An eighth of what is before the mark, in whole units.
    assert_eq!(written_at_most(unit, base_offset, place), Some(8192));
    assert_eq!(written_at_most(unit, 0, place), None);
    assert_eq!(written_at_most(unit, base_offset, place - 4096), None);
    let mut damaged = unit.to_vec();
    damaged[30] ^= 1;
    assert_eq!(written_at_most(&damaged, base_offset, place), None);
    assert_eq!(mark_place(file.len() as u64 - 1), None);
    assert_eq!(mark_place(0), None);
}
