use super::*;
use crate::log_state::{EpochEntry, ProducerBatch, SequenceCheck};

fn end_of(log: &Log) -> Offset {
    log.state().log_end_offset
}

/// Ten batches in four segments (0-2, 3-5, 6-8, 9), cut, and looked at before and after a restart.
fn cut_at(offset: Offset, segments: &'static [&'static str]) {
    let sim = simulation(offset as u64);
    run(&sim, move |reactor| async move {
        let (directory, log) = open(&reactor, small_segments()).await;
        append(&reactor, &log, 10).await;
        assert_eq!(log.truncate_to(offset).await.unwrap(), offset);
        let check = async |log: &Log| {
            assert_eq!((end_of(log), log.durable_end()), (offset, offset));
            assert_eq!(files(&reactor, ".log").await, segments);
            let gone = read(log, offset + 1).await.unwrap_err();
            assert!(matches!(gone, LogError::OffsetOutOfRange { .. }));
            for kept in 0..offset {
                assert_eq!(read(log, kept).await.unwrap().next_offset, kept + 1);
            }
        };
        check(&log).await;
        append(&reactor, &log, 4).await;
        assert_eq!(log.truncate_to(offset).await.unwrap(), offset);
        check(&log).await;
        directory.stop().await.unwrap();
    });
    run(&sim, move |reactor| async move {
        let (_directory, log) = open(&reactor, small_segments()).await;
        assert_eq!(end_of(&log), offset);
        append(&reactor, &log, 3).await;
        for kept in 0..offset + 3 {
            assert_eq!(read(&log, kept).await.unwrap().next_offset, kept + 1);
        }
    });
}

#[test]
fn inside_the_active_segment_or_a_sealed_one_or_between_two() {
    const LOGS: [&str; 4] = [
        "00000000000000000000.log",
        "00000000000000000003.log",
        "00000000000000000006.log",
        "00000000000000000009.log",
    ];
    cut_at(9, &LOGS);
    cut_at(8, &LOGS[..3]);
    cut_at(6, &LOGS[..3]);
    cut_at(4, &LOGS[..2]);
    cut_at(1, &LOGS[..1]);
    cut_at(0, &LOGS[..1]);
}

#[test]
fn what_is_not_there_is_not_cut() {
    run(&simulation(30), |reactor| async move {
        let (_directory, log) = open(&reactor, small_segments()).await;
        append(&reactor, &log, 5).await;
        assert_eq!(log.truncate_to(5).await.unwrap(), 5);
        assert_eq!(log.truncate_to(100).await.unwrap(), 5);
        log.raise_log_start(3).await.unwrap();
        let below = log.truncate_to(2).await.unwrap_err();
        assert!(matches!(below, LogError::OffsetOutOfRange { .. }));
        assert_eq!(log.truncate_to(3).await.unwrap(), 3);
        assert_eq!(log.state().log_start_offset, 3);
    });
}

/// A leader says where an epoch ended; the follower cuts there.
#[test]
fn to_where_the_leaders_epoch_ended() {
    run(&simulation(31), |reactor| async move {
        let (_directory, log) = open(&reactor, small_segments()).await;
        let now = reactor.wall_clock();
        for epoch in [1, 1, 1, 1, 3, 3, 3, 5] {
            append_at(&log, epoch, now, now);
        }
        let asked = |epoch| {
            let state = log.state();
            state.epochs.end_offset_for(epoch, state.log_end_offset)
        };
        assert_eq!(asked(4), Some((3, 7)));
        assert_eq!(log.truncate_to(5).await.unwrap(), 5);
        let entry = |epoch, start_offset| EpochEntry {
            epoch,
            start_offset,
        };
        assert_eq!(log.state().epochs.entries(), [entry(1, 0), entry(3, 4)]);
        assert_eq!(append_at(&log, 6, now, now), 5);
        assert_eq!(asked(5), Some((3, 5)));
    });
}

#[test]
fn nothing_of_the_old_end_comes_back_after_a_power_cut() {
    let sim = simulation(32);
    run(&sim, |reactor| async move {
        // One segment: the cut is inside of it, valid batches behind it.
        let (_directory, log) = open(&reactor, LogConfig::default()).await;
        append(&reactor, &log, 20).await;
        assert_eq!(log.truncate_to(4).await.unwrap(), 4);
    });
    sim.power_cut(MachineId::FIRST);
    let path = Path::new(DIRECTORY).join("t-0/00000000000000000000.log");
    let contents = sim.file_contents(MachineId::FIRST, &path).unwrap();
    run(&sim, move |reactor| async move {
        let (_directory, log) = open(&reactor, LogConfig::default()).await;
        assert_eq!(end_of(&log), 4);
        assert_eq!(contents.len() as u64, log.size_in_bytes());
    });
}

#[test]
fn a_producer_goes_on_where_the_cut_log_ends() {
    run(&simulation(33), |reactor| async move {
        let (_directory, log) = open(&reactor, small_segments()).await;
        let batch = |base_sequence| ProducerBatch {
            producer_id: 7,
            producer_epoch: 0,
            base_sequence,
            last_offset_delta: 0,
            is_transactional: false,
        };
        for sequence in 0..8 {
            append_of(&reactor, &log, batch(sequence));
        }
        assert_eq!(log.truncate_to(5).await.unwrap(), 5);
        let check = |sequence| log.state().producers.check(&batch(sequence));
        assert!(matches!(check(4), SequenceCheck::Duplicate(_)));
        assert_eq!(check(5), SequenceCheck::New);
        assert!(matches!(check(8), SequenceCheck::Refused(_)));
    });
}

#[test]
fn a_snapshot_that_a_crash_prevented_is_made_up_for() {
    let sim = simulation(34);
    let batch = |producer_id, base_sequence| ProducerBatch {
        producer_id,
        producer_epoch: 0,
        base_sequence,
        last_offset_delta: 0,
        is_transactional: false,
    };
    run(&sim, move |reactor| async move {
        let (_directory, log) = open(&reactor, small_segments()).await;
        append_of(&reactor, &log, batch(7, 0));
        for sequence in 0..3 {
            append_of(&reactor, &log, batch(8, sequence));
        }
        log.flush_all().await.unwrap();
        let second = Path::new(DIRECTORY).join("t-0/00000000000000000003.snapshot");
        reactor.disk().remove_file(&second).await.unwrap();
    });
    run(&sim, move |reactor| async move {
        let (_directory, log) = open(&reactor, small_segments()).await;
        for sequence in 0..3 {
            append_of(&reactor, &log, batch(9, sequence));
        }
        log.raise_log_start(3).await.unwrap();
        log.drop_old_segments(Offset::MAX).await.unwrap();
        log.truncate_to(4).await.unwrap();
        let check = log.state().producers.check(&batch(7, 0));
        assert!(matches!(check, SequenceCheck::Duplicate(_)), "{check:?}");
    });
}
