//! What a disk does to data at rest: bits that flip, writes that were lost or went elsewhere, seen
//! by the readers of sealed segments and by verification. Nobody gets wrong bytes; what is sound is
//! served.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;

use ringlog::batch::{BatchBuilder, BatchIter, BatchOptions, CrcCheck};
use ringlog::io::Reactor;
use ringlog::io::sim::{MachineId, SimOptions, Simulation};
use ringlog::log::{
    AppendPlan, BrokenRule, DirectoryOptions, Log, LogConfig, LogError, ReadRequest, VerifyPace,
};
use ringlog::metrics::Counter;

use crate::one_log::{append_bytes, directory_options, open_with};

const UNIT: usize = 4096;

/// With its record's and the batch's header a batch of exactly one unit: what a lost or misdirected
/// write leaves is a whole batch with a good CRC.
const VALUE_SIZE: usize = UNIT - 61 - 9;

const BATCHES_PER_SEGMENT: usize = 8;
const SEGMENT_COUNT: usize = 4;

/// In sealed segments.
const BATCH_COUNT: usize = BATCHES_PER_SEGMENT * SEGMENT_COUNT;

const FAST: VerifyPace = VerifyPace {
    bytes_per_second: 1 << 30,
};

fn config() -> LogConfig {
    LogConfig {
        segment_size_max: (UNIT * BATCHES_PER_SEGMENT) as u64,
        roll_ms: i64::MAX,
        // Every batch but the first of a segment has an entry.
        index_interval_bytes: 1,
        ..LogConfig::default()
    }
}

fn segment_path(segment: usize) -> String {
    format!("/data/events-0/{:020}.log", segment * BATCHES_PER_SEGMENT)
}

/// What the record at an offset holds.
fn value(offset: usize) -> Vec<u8> {
    vec![offset as u8; VALUE_SIZE]
}

fn append(reactor: &Reactor, log: &Log, offset: usize) {
    let now = reactor.wall_clock();
    let mut builder = BatchBuilder::new(BatchOptions::default(), 0);
    builder.append(now, None, Some(&value(offset)), &[]);
    let bytes = builder.close();
    assert_eq!(bytes.len(), UNIT);
    let plan = AppendPlan {
        size: bytes.len(),
        last_offset_delta: 0,
        max_timestamp: now,
    };
    log.prepare_append(&plan, now);
    assert_eq!(log.state().log_end_offset, offset as i64);
    append_bytes(log, &bytes, now);
}

/// A log of sealed segments and one batch more, stopped.
fn write_log(sim: &Simulation) {
    sim.run(MachineId::FIRST, |reactor| async move {
        let disk = reactor.disk();
        disk.create_dir_all("/data".as_ref()).await.unwrap();
        let opened = open_with(&reactor, directory_options(), config()).await;
        let (_directory, log) = opened.unwrap();
        for offset in 0..=BATCH_COUNT {
            append(&reactor, &log, offset);
        }
        log.flush_all().await.unwrap();
        log.stop().await.unwrap();
    });
}

/// Changes the bytes of a sealed segment behind the log's back.
fn spoil(sim: &Simulation, segment: usize, change: impl FnOnce(&mut Vec<u8>)) {
    let path = segment_path(segment);
    let mut bytes = sim
        .file_contents(MachineId::FIRST, Path::new(&path))
        .expect("the segment is there");
    assert_eq!(bytes.len(), UNIT * BATCHES_PER_SEGMENT);
    change(&mut bytes);
    let put = sim.put_file(MachineId::FIRST, Path::new(&path), &bytes);
    put.unwrap();
}

fn unit(number: usize) -> std::ops::Range<usize> {
    number * UNIT..(number + 1) * UNIT
}

/// What a reader of each offset gets, and how many damaged places were counted, by readers and
/// then by a verification.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    refused: Vec<usize>,
    counted: u64,
    counted_by_verification: u64,
}

/// Opens the log twice: once for readers, once for verification alone.
fn look(sim: &Simulation) -> Seen {
    let (refused, counted) = sim.run(MachineId::FIRST, |reactor| async move {
        let options = directory_options();
        let metrics = options.metrics.clone();
        let refused = read_each(&reactor, options).await;
        (refused, metrics.snapshot().counter(Counter::CorruptBatches))
    });
    let counted_by_verification = sim.run(MachineId::FIRST, |reactor| async move {
        let options = directory_options();
        let metrics = options.metrics.clone();
        let (_directory, log) = open_with(&reactor, options, config()).await.unwrap();
        log.verify(FAST).await.unwrap();
        log.verify(FAST).await.unwrap();
        log.stop().await.unwrap();
        metrics.snapshot().counter(Counter::CorruptBatches)
    });
    Seen {
        refused,
        counted,
        counted_by_verification,
    }
}

/// Asks for every offset, twice; those that are refused. What is served is what was written, from
/// the offset on that was asked for.
async fn read_each(reactor: &Reactor, options: DirectoryOptions) -> Vec<usize> {
    let (_directory, log) = open_with(reactor, options, config()).await.unwrap();
    let refused = Rc::new(RefCell::new(Vec::new()));
    for offset in (0..BATCH_COUNT).flat_map(|offset| [offset, offset]) {
        let request = ReadRequest {
            offset: offset as i64,
            size_max: 3 * UNIT,
            end_bound: BATCH_COUNT as i64,
        };
        match log.read_cold(request).await {
            Ok(read) => {
                let bytes = read.pieces.concat();
                let mut expected = offset;
                for batch in BatchIter::new(&bytes, CrcCheck::Verify) {
                    assert_eq!(batch.base_offset, expected as i64, "asked for {offset}");
                    assert!(
                        batch
                            .payload()
                            .windows(100)
                            .any(|part| part == &value(expected)[..100])
                    );
                    expected += 1;
                }
                assert!(expected > offset, "an answer without records at {offset}");
            }
            Err(LogError::Corrupt { path, .. }) => {
                let segment = segment_path(offset / BATCHES_PER_SEGMENT);
                assert_eq!(path, Path::new(&segment), "damage of {offset}");
                refused.borrow_mut().push(offset);
            }
            Err(error) => panic!("at {offset}: {error}"),
        }
    }
    log.stop().await.unwrap();
    let mut refused = refused.take();
    refused.dedup();
    refused
}

/// Writes a log, spoils the second segment and looks.
fn seen_after(change: impl FnOnce(&Simulation)) -> Seen {
    let sim = Simulation::new(SimOptions::with_seed(1));
    write_log(&sim);
    change(&sim);
    look(&sim)
}

/// One place, at the batch with this offset.
fn one(offset: usize) -> Seen {
    Seen {
        refused: vec![offset],
        counted: 1,
        counted_by_verification: 1,
    }
}

#[test]
fn a_sound_log_is_served_and_verified() {
    let nothing = Seen {
        refused: vec![],
        counted: 0,
        counted_by_verification: 0,
    };
    assert_eq!(seen_after(|_| {}), nothing);
}

#[test]
fn a_flipped_bit_is_refused_wherever_it_is() {
    // Offset, length, leader epoch apart, magic, CRC, last offset, records: one of each.
    for inside in [3, 10, 16, 18, 25, 61, 3000, UNIT - 1] {
        let seen = seen_after(|sim| spoil(sim, 1, |bytes| bytes[2 * UNIT + inside] ^= 1));
        assert_eq!(seen, one(10), "byte {inside}");
    }
}

/// Where the log ends nothing says that a batch is cut off, but that it was written.
#[test]
fn a_changed_length_in_the_newest_segment_is_refused() {
    const NEWEST: usize = SEGMENT_COUNT * BATCHES_PER_SEGMENT;
    for changed in [8, 9, 10, 11] {
        let sim = Simulation::new(SimOptions::with_seed(1));
        write_log(&sim);
        let path = segment_path(SEGMENT_COUNT);
        let path = Path::new(&path);
        let mut bytes = sim.file_contents(MachineId::FIRST, path).unwrap();
        bytes[changed] ^= 1;
        sim.put_file(MachineId::FIRST, path, &bytes).unwrap();
        let read = sim.run(MachineId::FIRST, |reactor| async move {
            let opened = open_with(&reactor, directory_options(), config()).await;
            let (_directory, log) = opened.unwrap();
            let request = ReadRequest {
                offset: NEWEST as i64,
                size_max: UNIT,
                end_bound: NEWEST as i64 + 1,
            };
            log.read_cold(request).await
        });
        let is_refused = matches!(&read, Err(LogError::Corrupt { path: p, .. }) if p == path);
        assert!(is_refused, "byte {changed}: {read:?}");
    }
}

#[test]
fn unchecked_a_flipped_bit_is_served() {
    let sim = Simulation::new(SimOptions::with_seed(1));
    write_log(&sim);
    spoil(&sim, 1, |bytes| bytes[2 * UNIT + 3000] ^= 1);
    let served = sim.run(MachineId::FIRST, |reactor| async move {
        let options = DirectoryOptions {
            broken_rule: Some(BrokenRule::ServesUnchecked),
            ..directory_options()
        };
        let (_directory, log) = open_with(&reactor, options, config()).await.unwrap();
        let request = ReadRequest {
            offset: 10,
            size_max: 1,
            end_bound: BATCH_COUNT as i64,
        };
        log.read_cold(request).await.unwrap().pieces.concat()
    });
    assert!(!served.windows(VALUE_SIZE).any(|part| part == value(10)));
}

#[test]
fn a_lost_write_is_refused() {
    // The unit is still what it was before: zeros.
    let seen = seen_after(|sim| spoil(sim, 1, |bytes| bytes[unit(3)].fill(0)));
    assert_eq!(seen, one(11));
}

#[test]
fn a_misdirected_write_is_refused() {
    // The batch of another offset, with a good CRC: of this segment, and of another.
    for from in [14, 20] {
        let seen = seen_after(|sim| {
            let path = segment_path(from / BATCHES_PER_SEGMENT);
            let other = sim
                .file_contents(MachineId::FIRST, Path::new(&path))
                .unwrap();
            let batch = other[unit(from % BATCHES_PER_SEGMENT)].to_vec();
            spoil(sim, 1, |bytes| bytes[unit(4)].copy_from_slice(&batch));
        });
        assert_eq!(seen, one(12), "from {from}");
    }
}

#[test]
fn a_segment_that_became_shorter_is_refused_where_it_ends() {
    let seen = seen_after(|sim| {
        let path = segment_path(1);
        let bytes = sim
            .file_contents(MachineId::FIRST, Path::new(&path))
            .unwrap();
        let cut = sim.put_file(MachineId::FIRST, Path::new(&path), &bytes[..6 * UNIT]);
        cut.unwrap();
    });
    assert_eq!(seen.refused, [14, 15]);
    assert_eq!(seen.counted_by_verification, 1);
}
