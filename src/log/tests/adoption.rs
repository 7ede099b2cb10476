//! Logs that Kafka wrote, with what its compaction leaves: taken over, read, recovered, damaged.

use super::*;
use crate::batch::HEADER_SIZE;
use crate::log_state::{ProducerState, encode_partition_metadata};

/// Batches of one record, by their offsets: some are missing, before and at the active segment too.
const SEGMENTS: [(Offset, &[Offset]); 3] = [(0, &[]), (40, &[44, 45, 52]), (60, &[60, 61, 65])];
const END: Offset = 66;

fn kept() -> impl Iterator<Item = Offset> {
    SEGMENTS
        .into_iter()
        .flat_map(|(_, offsets)| offsets)
        .copied()
}

fn kafkas_batch(base_offset: Offset) -> Vec<u8> {
    let options = BatchOptions {
        base_offset,
        partition_leader_epoch: 3,
        ..BatchOptions::default()
    };
    let mut builder = BatchBuilder::new(options, 0);
    builder.append(1000 + base_offset, None, Some(VALUE), &[]);
    builder.close().to_vec()
}

fn partition_path() -> PathBuf {
    Path::new(DIRECTORY).join("t-0")
}

/// A partition as Kafka leaves it, without entries in its indexes.
fn put_kafkas(sim: &Simulation) {
    let put = |name: &str, contents: &[u8]| {
        let path = partition_path().join(name);
        sim.put_file(MachineId::FIRST, &path, contents).unwrap();
    };
    for (base_offset, offsets) in SEGMENTS {
        let batches: Vec<u8> = offsets.iter().flat_map(|&o| kafkas_batch(o)).collect();
        put(&format!("{base_offset:020}.log"), &batches);
        put(&format!("{base_offset:020}.index"), &[]);
        put(&format!("{base_offset:020}.timeindex"), &[]);
    }
    put(
        "partition.metadata",
        encode_partition_metadata(TopicId([7; 16])).as_bytes(),
    );
    put("leader-epoch-checkpoint", b"0\n1\n3 44\n");
    let snapshot = ProducerState::default().encode_snapshot();
    put(&format!("{END:020}.snapshot"), &snapshot);
}

fn kafkas() -> KafkasLog {
    KafkasLog {
        path: partition_path(),
        topic_id: TopicId([7; 16]),
        recovery_point: END,
        log_start_offset: 41,
    }
}

async fn taken_over(reactor: &Reactor) -> Log {
    let checkpoint = examine(reactor, &kafkas()).await.unwrap();
    adopt(reactor, &partition_path(), &checkpoint)
        .await
        .unwrap();
    open(reactor, small_segments()).await.1
}

/// The offsets that can be read, from each offset on.
async fn check_reads(log: &Log, expected: &[Offset]) {
    let end = log.state().log_end_offset;
    for from in 41..end {
        let first = expected.iter().find(|&&offset| offset >= from);
        let batches = read(log, from).await.unwrap();
        let bytes = batches.pieces.concat();
        let found = (bytes.len() >= HEADER_SIZE).then(|| BatchHeader::parse(&bytes).unwrap());
        assert_eq!(
            found.map(|header| header.base_offset),
            first.copied(),
            "from {from}"
        );
    }
}

fn with_kafkas<F: Future<Output = ()> + 'static>(process: impl FnOnce(Reactor) -> F) -> Simulation {
    let sim = simulation(1);
    put_kafkas(&sim);
    run(&sim, process);
    sim
}

#[test]
fn a_log_of_kafkas_is_read_across_its_gaps_and_goes_on_without() {
    let sim = with_kafkas(|reactor| async move {
        let log = taken_over(&reactor).await;
        {
            let state = log.state();
            assert_eq!((state.log_start_offset, state.log_end_offset), (41, END));
            assert_eq!(state.epochs.latest_epoch(), Some(3));
        }
        let mut expected: Vec<Offset> = kept().collect();
        check_reads(&log, &expected).await;
        let now = reactor.wall_clock();
        append_at(&log, 4, now, now);
        log.flush_all().await.unwrap();
        expected.push(END);
        check_reads(&log, &expected).await;
    });
    // It was killed: what was appended is recovered behind the gaps.
    run(&sim, |reactor| async move {
        let (_, log) = open(&reactor, small_segments()).await;
        assert_eq!(log.state().log_end_offset, END + 1);
        let expected: Vec<Offset> = kept().chain([END]).collect();
        check_reads(&log, &expected).await;
    });
}

#[test]
fn the_active_segments_index_is_rebuilt_across_gaps() {
    let sim = with_kafkas(|reactor| async move {
        let checkpoint = examine(&reactor, &kafkas()).await.unwrap();
        let with_entries = crate::log_state::RecoveryCheckpoint {
            offset_index_entry_count: 9,
            ..checkpoint
        };
        let adopted = adopt(&reactor, &partition_path(), &with_entries).await;
        adopted.unwrap();
    });
    run(&sim, |reactor| async move {
        let (_, log) = open(&reactor, small_segments()).await;
        assert_eq!(log.state().log_end_offset, END);
        check_reads(&log, &kept().collect::<Vec<_>>()).await;
    });
}

#[test]
fn a_gap_above_what_was_taken_over_is_the_end_of_the_log() {
    let sim = with_kafkas(|reactor| async move {
        taken_over(&reactor).await;
    });
    let path = partition_path().join("00000000000000000060.log");
    let mut bytes = sim.file_contents(MachineId::FIRST, &path).unwrap();
    bytes.extend(kafkas_batch(END + 4));
    sim.put_file(MachineId::FIRST, &path, &bytes).unwrap();
    run(&sim, |reactor| async move {
        let (_, log) = open(&reactor, small_segments()).await;
        assert_eq!(log.state().log_end_offset, END);
    });
}

#[test]
fn without_its_checkpoint_a_log_with_gaps_is_offline_and_not_cut() {
    let sim = with_kafkas(|reactor| async move {
        taken_over(&reactor).await;
        let checkpoint = partition_path().join(CHECKPOINT_FILE);
        reactor.disk().remove_file(&checkpoint).await.unwrap();
    });
    let contents = |base: Offset| {
        let path = segment_path(&partition_path(), base, extension::LOG);
        sim.file_contents(MachineId::FIRST, &path)
    };
    let before = SEGMENTS.map(|(base, _)| contents(base));
    run(&sim, |reactor| async move {
        let directory = open_directory(&reactor).await;
        let opened = try_open(&directory, small_segments()).await;
        let Err(LogError::Corrupt { fault, .. }) = opened.map(|_| ()) else {
            panic!("it is not known whether the gaps are legal");
        };
        assert!(fault.contains("offsets are missing"), "{fault}");
    });
    assert!(
        SEGMENTS.map(|(base, _)| contents(base)) == before,
        "it was cut"
    );
}

#[test]
fn what_a_clean_stop_does_not_leave_is_unfit() {
    let put = |sim: &Simulation, name: &str, bytes: &[u8]| {
        let path = partition_path().join(name);
        sim.put_file(MachineId::FIRST, &path, bytes).unwrap();
    };
    let torn = kafkas_batch(60);
    let open_transaction = {
        let mut state = ProducerState::default();
        let batch = ProducerBatch {
            producer_id: 9,
            producer_epoch: 0,
            base_sequence: 0,
            last_offset_delta: 0,
            is_transactional: true,
        };
        state.apply(&batch, 65, 1000);
        state.encode_snapshot()
    };
    let last = format!("{END:020}.snapshot");
    for (name, bytes, told) in [
        (
            "00000000000000000060.log",
            &torn[..torn.len() - 1],
            "start Kafka",
        ),
        (
            "00000000000000000060.log",
            &torn,
            "the records end at offset 61",
        ),
        (
            "00000000000000000040.txnindex",
            &[0; 34],
            "aborted transactions",
        ),
        ("00000000000000000040.log.swap", &[], "left of a compaction"),
        (
            &last,
            &open_transaction,
            "producer 9 has a transaction open",
        ),
        (&last, &[1], &last),
        ("leader-epoch-checkpoint", b"9\n", "leader-epoch-checkpoint"),
        (
            "partition.metadata",
            encode_partition_metadata(TopicId([8; 16])).as_bytes(),
            "topic id",
        ),
    ] {
        let sim = simulation(1);
        put_kafkas(&sim);
        put(&sim, name, bytes);
        let told = told.to_owned();
        run(&sim, |reactor| async move {
            let Err(AdoptionError::Unfit(what)) = examine(&reactor, &kafkas()).await else {
                panic!("{told}: it was accepted");
            };
            assert!(what.contains(&told), "{told}: {what}");
        });
    }
}
