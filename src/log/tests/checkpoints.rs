//! Checkpoints that say what the segments do not have.

use super::*;
use crate::log_state::RecoveryCheckpoint;

fn log_path(name: &str) -> PathBuf {
    Path::new(DIRECTORY).join("t-0").join(name)
}

/// Puts another start of the log into its newest checkpoint.
fn set_log_start(sim: &Simulation, log_start_offset: Offset) {
    let path = log_path(CHECKPOINT_FILE);
    let contents = sim.file_contents(MachineId::FIRST, &path).unwrap();
    let (mut checkpoint, _) = RecoveryCheckpoint::newest(&contents).unwrap();
    checkpoint.state.log_start_offset = log_start_offset;
    let mut slot = checkpoint.encode();
    slot.resize(contents.len() / 2, 0);
    let both = [&slot[..], &slot].concat();
    sim.put_file(MachineId::FIRST, &path, &both).unwrap();
}

/// It would move with the end of the log: what is appended were gone after the next start.
#[test]
fn a_log_that_ends_before_its_start_is_corrupt_and_stays_as_it_is() {
    let sim = simulation(1);
    run(&sim, |reactor| async move {
        let (directory, log) = open(&reactor, small_segments()).await;
        append(&reactor, &log, 5).await;
        directory.stop().await.unwrap();
    });
    set_log_start(&sim, 255);
    for _ in 0..2 {
        run(&sim, |reactor| async move {
            let directory = open_directory(&reactor).await;
            let error = try_open(&directory, small_segments()).await.err();
            let Some(LogError::Corrupt { fault, .. }) = error else {
                panic!("opened, or {error:?}");
            };
            assert_eq!(fault, "the records end below the log's start 255");
        });
    }
    set_log_start(&sim, 0);
    run(&sim, |reactor| async move {
        let (_directory, log) = open(&reactor, small_segments()).await;
        for offset in 0..5 {
            assert_eq!(read(&log, offset).await.unwrap().next_offset, offset + 1);
        }
    });
}

/// Else readers would be sent to a start that is out of range, for ever.
#[test]
fn a_log_whose_first_segments_are_gone_starts_with_the_next() {
    let sim = simulation(2);
    run(&sim, |reactor| async move {
        let (directory, log) = open(&reactor, small_segments()).await;
        append(&reactor, &log, 8).await;
        directory.stop().await.unwrap();
        let first = log_path("00000000000000000000.log");
        reactor.disk().remove_file(&first).await.unwrap();
    });
    for _ in 0..2 {
        run(&sim, |reactor| async move {
            let (_directory, log) = open(&reactor, small_segments()).await;
            assert_eq!(log.state().log_start_offset, 3);
            for offset in 3..8 {
                assert_eq!(read(&log, offset).await.unwrap().next_offset, offset + 1);
            }
        });
    }
}

/// Appends a batch of ten records.
fn append_ten(reactor: &Reactor, log: &Log) {
    let now = reactor.wall_clock();
    let mut builder = BatchBuilder::new(BatchOptions::default(), 0);
    for _ in 0..10 {
        builder.append(now, None, Some(VALUE), &[]);
    }
    let bytes = builder.close();
    let header = BatchHeader::parse(&bytes).unwrap();
    let plan = AppendPlan {
        size: bytes.len(),
        last_offset_delta: 9,
        max_timestamp: now,
    };
    log.prepare_append(&plan, now);
    let base_offset = log.state().log_end_offset;
    log.state().log_end_offset += 10;
    log.append(BatchToAppend {
        head: header.head(base_offset, 0),
        body: bytes.slice(HEAD_SIZE..),
        base_offset,
        last_offset: base_offset + 9,
        max_timestamp: now,
    });
}

/// The log's start is inside of the batch in which the cut is, so that the batch goes, and the
/// start goes back with the end. Killed at any moment, the log is what it was or what it was to
/// become.
#[test]
fn a_truncation_through_the_batch_with_the_start_may_be_cut_short() {
    let mut ends = std::collections::BTreeSet::new();
    for step in 0..80 {
        let sim = simulation(1);
        run(&sim, move |reactor| async move {
            let (_directory, log) = open(&reactor, LogConfig::default()).await;
            for _ in 0..2 {
                append_ten(&reactor, &log);
            }
            log.flush_all().await.unwrap();
            log.raise_log_start(15).await.unwrap();
            let truncated = log.truncate_to(17);
            reactor
                .timeout(Duration::from_micros(50 * step), truncated)
                .await;
        });
        let found = sim.run(MachineId::FIRST, |reactor| async move {
            let (_directory, log) = open(&reactor, LogConfig::default()).await;
            let state = log.state();
            (state.log_start_offset, state.log_end_offset)
        });
        assert!([(15, 20), (10, 20), (10, 10)].contains(&found), "{found:?}");
        ends.insert(found);
    }
    assert!(
        ends.contains(&(15, 20)) && ends.contains(&(10, 10)),
        "{ends:?}"
    );
}

/// Each waits for a flush and for what is being sealed: one for each who asks, and the last waits
/// for all of them.
#[test]
fn who_waits_for_a_checkpoint_that_is_being_made_shares_the_next() {
    run(&simulation(3), |reactor| async move {
        let (_directory, log) = open(&reactor, small_segments()).await;
        append(&reactor, &log, 5).await;
        let before = log.inner.checkpoint.next_number();
        let mut waiting = Vec::new();
        for _ in 0..10 {
            let now = reactor.wall_clock();
            let end = append_at(&log, 0, now, now) + 1;
            let inner = Rc::clone(&log.inner);
            waiting.push(reactor.spawn(async move {
                checkpoint::advance(&inner).await.unwrap();
                assert!(inner.checkpoint.recovery_point() >= end);
            }));
            // It has begun to wait, and the first one to be made.
            reactor.yield_now().await;
        }
        for waited in waiting {
            waited.await;
        }
        let made = log.inner.checkpoint.next_number() - before;
        assert!((1..=3).contains(&made), "{made} checkpoints");
    });
}
