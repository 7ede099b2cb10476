//! Partitions in memory: sound ones, and each with one thing wrong.

use std::collections::BTreeMap;
use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};

use super::*;
use crate::batch::{BatchBuilder, BatchOptions, Producer};
use crate::io::DirEntry;
use crate::log_state::{
    LeaderEpochCache, LogState, OffsetIndexEntry, ProducerBatch, RecoveryCheckpoint,
    TimeIndexEntry, encode_partition_metadata,
};
use crate::types::{Offset, TopicId};

const DIRECTORY: &str = "/data/t-0";

/// Bytes that class P may have unflushed here.
const UNFLUSHED_MAX: u64 = 4096;

#[derive(Clone, Default)]
struct MemoryFiles(BTreeMap<PathBuf, Vec<u8>>);

struct MemoryFile(Vec<u8>);

impl Files for MemoryFiles {
    fn list(&self, directory: &Path) -> Result<Vec<DirEntry>> {
        let entry = |(path, bytes): (&PathBuf, &Vec<u8>)| DirEntry {
            name: path.file_name().unwrap().to_string_lossy().into_owned(),
            is_dir: false,
            size: bytes.len() as u64,
        };
        let inside = self.0.iter();
        Ok(inside
            .filter(|(path, _)| path.parent() == Some(directory))
            .map(entry)
            .collect())
    }

    fn open(&self, path: &Path) -> Result<Box<dyn ReadAt>> {
        match self.0.get(path) {
            Some(bytes) => Ok(Box::new(MemoryFile(bytes.clone()))),
            None => Err(Error::from(ErrorKind::NotFound)),
        }
    }
}

impl ReadAt for MemoryFile {
    fn size(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, position: u64, buffer: &mut [u8]) -> Result<usize> {
        let rest = self.0.get(position as usize..).unwrap_or_default();
        let size = rest.len().min(buffer.len());
        buffer[..size].copy_from_slice(&rest[..size]);
        Ok(size)
    }
}

impl MemoryFiles {
    fn put(&mut self, name: &str, bytes: &[u8]) {
        self.0
            .insert(Path::new(DIRECTORY).join(name), bytes.to_vec());
    }

    fn file(&mut self, name: &str) -> &mut Vec<u8> {
        let path = Path::new(DIRECTORY).join(name);
        self.0.get_mut(&path).expect("the file is there")
    }

    fn remove(&mut self, name: &str) {
        self.0.remove(&Path::new(DIRECTORY).join(name));
    }

    fn verify(&self, options: PartitionOptions) -> (Summary, Vec<Finding>) {
        let mut findings = Vec::new();
        let mut sink = |finding| findings.push(finding);
        let mut report = Report::new(&mut sink);
        verify_partition(self, Path::new(DIRECTORY), &options, &mut report).unwrap();
        let summary = report.summary;
        (summary, findings)
    }
}

const CLEAN: PartitionOptions = PartitionOptions {
    was_stopped_cleanly: true,
    recovery_point: 0,
    is_deep: true,
};

const CRASHED: PartitionOptions = PartitionOptions {
    was_stopped_cleanly: false,
    ..CLEAN
};

macro_rules! golden {
    ($directory:literal: $($name:literal),*) => {{
        let mut files = MemoryFiles::default();
        $(files.put($name, include_bytes!(concat!(
            "../../tests/golden/segments/", $directory, "/", $name
        )));)*
        files
    }};
}

/// Three segments, two leader epochs, indexes and snapshots, of Kafka 4.1.1.
fn kafkas() -> MemoryFiles {
    golden!("indexed-0":
        "00000000000000000000.index", "00000000000000000000.log",
        "00000000000000000000.timeindex", "00000000000000000060.index",
        "00000000000000000060.log", "00000000000000000060.snapshot",
        "00000000000000000060.timeindex", "00000000000000000110.index",
        "00000000000000000110.log", "00000000000000000110.snapshot",
        "00000000000000000110.timeindex", "00000000000000000130.snapshot",
        "leader-epoch-checkpoint", "partition.metadata")
}

/// A transactional producer and its markers.
fn kafkas_transactions() -> MemoryFiles {
    golden!("txn-0":
        "00000000000000000000.index", "00000000000000000000.log",
        "00000000000000000000.timeindex", "00000000000000000033.snapshot",
        "leader-epoch-checkpoint", "partition.metadata")
}

#[test]
fn what_kafka_wrote_is_sound() {
    let (summary, findings) = kafkas().verify(CLEAN);
    assert_eq!(findings, []);
    assert_eq!(
        (
            summary.segment_count,
            summary.batch_count,
            summary.record_count
        ),
        (3, 65, 130)
    );
    let (summary, findings) = kafkas_transactions().verify(CLEAN);
    assert_eq!(findings, []);
    assert_eq!((summary.segment_count, summary.record_count), (1, 33));
}

#[test]
fn any_byte_that_changes_is_seen() {
    let sound = kafkas();
    let names = [
        ("00000000000000000000.log", 11),
        ("00000000000000000060.log", 11),
        ("00000000000000000060.index", 1),
        ("00000000000000000110.snapshot", 1),
    ];
    for (name, step) in names {
        let size = sound.clone().file(name).len();
        for position in (0..size).step_by(step) {
            let mut files = sound.clone();
            files.file(name)[position] ^= 1;
            let (summary, findings) = files.verify(CLEAN);
            assert!(
                summary.problem_count > 0,
                "{name} byte {position}: {findings:?}"
            );
        }
    }
    // Of a time entry: the offset may be any of its batch, as older Kafkas wrote it.
    for position in [0, 3, 7, 8] {
        let mut files = sound.clone();
        files.file("00000000000000000060.timeindex")[position] ^= 1;
        assert!(files.verify(CLEAN).0.problem_count > 0, "byte {position}");
    }
}

#[test]
fn epochs_that_are_not_those_of_the_batches_are_seen() {
    let mut files = kafkas();
    let text = String::from_utf8(files.file("leader-epoch-checkpoint").clone()).unwrap();
    assert_eq!(text, "0\n2\n0 0\n2 110\n");
    for wrong in [
        "0\n2\n0 0\n3 110\n",
        "0\n2\n0 0\n2 108\n",
        "0\n1\n0 0\n",
        "0\n2\n2 110\n0 0\n",
    ] {
        files.put("leader-epoch-checkpoint", wrong.as_bytes());
        assert!(files.verify(CLEAN).0.problem_count > 0, "{wrong:?}");
    }
    // An older copy of the file is usual after a crash.
    files.put("leader-epoch-checkpoint", b"0\n1\n0 0\n");
    assert_eq!(files.verify(CRASHED).0.problem_count, 0);
}

#[test]
fn compaction_leaves_gaps_in_kafkas_logs() {
    let mut files = kafkas();
    let segment = files.file("00000000000000000060.log");
    segment.drain(279..2 * 279);
    files.remove("00000000000000000060.index");
    files.remove("00000000000000000060.timeindex");
    let (summary, findings) = files.verify(CLEAN);
    assert_eq!(summary.problem_count, 0, "{findings:?}");
    assert!(
        findings
            .iter()
            .any(|finding| finding.text.contains("in 1 places"))
    );
}

const BATCH_RECORDS: i64 = 2;
const FIRST: &str = "00000000000000000000.log";
const SECOND: &str = "00000000000000000010.log";

fn batch(base_offset: Offset) -> Vec<u8> {
    let mut builder = BatchBuilder::new(
        BatchOptions {
            base_offset,
            partition_leader_epoch: 0,
            producer: Some(Producer {
                id: 9,
                epoch: 0,
                base_sequence: base_offset as i32,
            }),
            ..BatchOptions::default()
        },
        0,
    );
    for index in 0..BATCH_RECORDS {
        builder.append(1000 + base_offset + index, None, Some(&[b'x'; 700]), &[]);
    }
    builder.close().to_vec()
}

fn replay(state: &mut LogState, base_offset: Offset) {
    let batch = ProducerBatch {
        producer_id: 9,
        producer_epoch: 0,
        base_sequence: base_offset as i32,
        last_offset_delta: 1,
        is_transactional: false,
    };
    state
        .producers
        .apply(&batch, base_offset, 1001 + base_offset);
    state.epochs.assign(0, base_offset);
    state.log_end_offset = base_offset + BATCH_RECORDS;
}

fn checkpoint(number: u64) -> RecoveryCheckpoint {
    let mut state = LogState::default();
    (0..16)
        .step_by(2)
        .for_each(|base_offset| replay(&mut state, base_offset));
    RecoveryCheckpoint {
        number,
        state,
        segment_base_offset: 10,
        segment_position: 3 * batch(10).len() as u64,
        offset_index_entry_count: 1,
        time_index_entry_count: 1,
        unflushed_bytes_max: UNFLUSHED_MAX,
        ..RecoveryCheckpoint::default()
    }
}

fn slots(first: &RecoveryCheckpoint, second: &RecoveryCheckpoint) -> Vec<u8> {
    let slot = |checkpoint: &RecoveryCheckpoint| {
        let mut bytes = checkpoint.encode();
        bytes.resize(4096, 0);
        bytes
    };
    [slot(first), slot(second)].concat()
}

/// One of ours, killed: offsets 0 to 9 sealed, 10 to 29 in the active segment, the recovery point
/// at 16, zeros ahead.
fn ours() -> MemoryFiles {
    let mut files = MemoryFiles::default();
    let batches =
        |range: std::ops::Range<i64>| -> Vec<u8> { range.step_by(2).flat_map(batch).collect() };
    let size = batch(0).len() as u32;
    let index = |relative_offset, position| {
        let entry = OffsetIndexEntry {
            relative_offset,
            position,
        };
        entry.encode().to_vec()
    };
    let times = |timestamp, relative_offset| {
        let entry = TimeIndexEntry {
            timestamp,
            relative_offset,
        };
        entry.encode().to_vec()
    };
    files.put(FIRST, &batches(0..10));
    files.put("00000000000000000000.index", &index(5, 2 * size));
    files.put("00000000000000000000.timeindex", &times(1005, 5));
    let mut active = batches(10..30);
    active.resize(active.len() + 5000, 0);
    files.put(SECOND, &active);
    let padded = |mut bytes: Vec<u8>| {
        bytes.resize(4096, 0);
        bytes
    };
    files.put("00000000000000000010.index", &padded(index(3, size)));
    files.put("00000000000000000010.timeindex", &padded(times(1013, 3)));
    let mut state = LogState::default();
    (0..10)
        .step_by(2)
        .for_each(|base_offset| replay(&mut state, base_offset));
    let snapshot = state.producers.encode_snapshot();
    files.put("00000000000000000010.snapshot", &snapshot);
    files.put("ringlog-checkpoint", &slots(&checkpoint(4), &checkpoint(5)));
    let metadata = encode_partition_metadata(TopicId([7; 16]));
    files.put("partition.metadata", metadata.as_bytes());
    files
}

#[test]
fn what_a_killed_broker_left_is_sound() {
    let (summary, findings) = ours().verify(CRASHED);
    assert_eq!(findings, []);
    assert_eq!((summary.batch_count, summary.record_count), (15, 30));
}

/// Puts the end of an older segment's file behind the active segment's batches, and a mark.
fn recycle(files: &mut MemoryFiles) {
    let active = files.file(SECOND);
    active.truncate(10 * batch(10).len());
    let written = active.len().next_multiple_of(4096);
    active.resize(written, 0);
    let old: Vec<u8> = (0..10).step_by(2).flat_map(batch).collect();
    active.extend_from_slice(&old[100..]);
    let place = active.len().next_multiple_of(4096);
    active.resize(place, 1);
    let mut mark = [b"RINGLOGW".to_vec(), 10_i64.to_be_bytes().to_vec()].concat();
    for value in [place, written + 4096] {
        mark.extend_from_slice(&(value as u64).to_be_bytes());
    }
    mark.extend_from_slice(&crc32c::crc32c(&mark).to_be_bytes());
    mark.resize(4096, 0);
    active.extend_from_slice(&mark);
}

#[test]
fn old_batches_in_a_recycled_file_are_no_torn_tail() {
    let mut files = ours();
    recycle(&mut files);
    let (summary, findings) = files.verify(CRASHED);
    assert_eq!((summary.batch_count, summary.problem_count), (15, 0));
    let texts: Vec<_> = findings.iter().map(|finding| &finding.text[..]).collect();
    let expected = "behind it lie batches of the segment that had the file before";
    assert_eq!(texts, [expected]);
    // A stop cuts the file.
    assert!(files.verify(CLEAN).0.problem_count > 0);
    // Without its mark the file is one whose end is torn.
    files.file(SECOND).pop();
    let (_, findings) = files.verify(CRASHED);
    assert!(findings[0].text.starts_with("torn tail"), "{findings:?}");
    // What is torn before the mark still is.
    recycle(&mut files);
    let position = 10 * batch(10).len() - 2 * batch(10).len() + 200;
    files.file(SECOND)[position] ^= 1;
    let (_, findings) = files.verify(CRASHED);
    let wanted = "1 whole batches, which the next start";
    assert!(findings[0].text.contains(wanted), "{findings:?}");
}

/// The last batch of the sealed segment is gone, as compaction may have it.
#[test]
fn a_gap_is_legal_below_the_end_of_what_was_taken_over() {
    for (gaps_end, problems) in [(16, 0), (10, 0), (9, 1), (0, 1)] {
        let mut files = ours();
        let size = batch(0).len();
        files.file(FIRST).truncate(4 * size);
        let taken_over = RecoveryCheckpoint {
            gaps_end,
            ..checkpoint(5)
        };
        files.put("ringlog-checkpoint", &slots(&checkpoint(4), &taken_over));
        let (summary, findings) = files.verify(CRASHED);
        let corrupt = |finding: &&Finding| finding.text.contains("corrupt: the records end");
        let count = findings.iter().filter(corrupt).count();
        assert_eq!(count, problems, "up to {gaps_end}: {findings:?}");
        assert!(summary.problem_count >= problems as u64);
    }
}

/// Breaks one thing, and what is then said, as a problem or as a note.
type Case = (&'static str, fn(&mut MemoryFiles), Severity, &'static str);

const CASES: &[Case] = &[
    (
        "a byte of a sealed segment",
        |files| files.file(FIRST)[3000] ^= 1,
        Severity::Problem,
        "corrupt: stored CRC",
    ),
    (
        "a byte below the recovery point",
        |files| files.file(SECOND)[200] ^= 1,
        Severity::Problem,
        "below the recovery point 16",
    ),
    (
        "a byte of the last batch",
        |files| {
            let position = 10 * batch(10).len() - 3;
            files.file(SECOND)[position] ^= 1;
        },
        Severity::Note,
        "torn tail: stored CRC",
    ),
    (
        "a byte so far before a valid batch that it was flushed",
        |files| {
            let position = 4 * batch(10).len() + 100;
            files.file(SECOND)[position] ^= 1;
        },
        Severity::Problem,
        "not a torn end",
    ),
    (
        "a batch that is gone",
        |files| {
            let size = batch(0).len();
            files.file(FIRST).drain(size..2 * size);
        },
        Severity::Problem,
        "base offset 4 where 2 should be",
    ),
    (
        "an index entry for another offset",
        |files| files.file("00000000000000000000.index")[3] = 4,
        Severity::Problem,
        "entry 0: offset 4, but the batch at its position ends with 5",
    ),
    (
        "an index entry for no batch",
        |files| files.file("00000000000000000000.index")[7] ^= 1,
        Severity::Problem,
        "no batch begins at byte",
    ),
    (
        "a time entry that is too early",
        |files| files.file("00000000000000000000.timeindex")[7] ^= 1,
        Severity::Problem,
        "up to and with offset 5 the largest is 1005",
    ),
    (
        "zeros in a sealed index",
        |files| files.file("00000000000000000000.index").resize(80, 0),
        Severity::Problem,
        "zeros behind the entries",
    ),
    (
        "a sealed index that is gone",
        |files| files.remove("00000000000000000000.index"),
        Severity::Problem,
        "the index is missing",
    ),
    (
        "index entries that the checkpoint names",
        |files| files.file("00000000000000000010.index").clear(),
        Severity::Problem,
        "names 1 and 1 index entries, the files have 0 and 1",
    ),
    (
        "a torn checkpoint",
        |files| files.file("ringlog-checkpoint")[4096 + 50] ^= 1,
        Severity::Note,
        "slot 1 is torn",
    ),
    (
        "two torn checkpoints",
        |files| {
            files.file("ringlog-checkpoint")[50] ^= 1;
            files.file("ringlog-checkpoint")[4096 + 50] ^= 1;
        },
        Severity::Problem,
        "slot 0: stored CRC",
    ),
    (
        "a checkpoint of a newer release",
        |files| files.file("ringlog-checkpoint")[9] = 3,
        Severity::Problem,
        "version 3",
    ),
    (
        "a checkpoint with other producers",
        |files| {
            let mut other = checkpoint(6);
            replay(&mut other.state, 14);
            replay(&mut other.state, 12);
            other.state.log_end_offset = 16;
            *files.file("ringlog-checkpoint") = slots(&other, &checkpoint(5));
        },
        Severity::Problem,
        "producer 9: last is epoch 0 sequence 13",
    ),
    (
        "a recovery point that is no batch's end",
        |files| {
            let mut other = checkpoint(6);
            other.segment_position += 1;
            *files.file("ringlog-checkpoint") = slots(&other, &checkpoint(5));
        },
        Severity::Problem,
        "no batch ends with the recovery point 16",
    ),
    (
        "a snapshot with another sequence",
        |files| {
            let mut state = LogState::default();
            (0..8)
                .step_by(2)
                .for_each(|base_offset| replay(&mut state, base_offset));
            *files.file("00000000000000000010.snapshot") = state.producers.encode_snapshot();
        },
        Severity::Problem,
        "producer 9: last is epoch 0 sequence 7",
    ),
    (
        "a first segment that is gone",
        |files| files.remove(FIRST),
        Severity::Problem,
        "records are gone from offset 0 to 10",
    ),
    (
        "a leader epoch that never was",
        |files| {
            let mut epochs = LeaderEpochCache::default();
            epochs.assign(1, 0);
            files.put("leader-epoch-checkpoint", epochs.encode().as_bytes());
        },
        Severity::Problem,
        "offset 0 is of leader epoch 1, its batch of 0",
    ),
];

#[test]
fn each_thing_that_is_wrong_is_named() {
    for (what, breaks, severity, text) in CASES {
        let mut files = ours();
        breaks(&mut files);
        let (_, findings) = files.verify(CRASHED);
        let found =
            |finding: &Finding| finding.severity == *severity && finding.text.contains(text);
        assert!(findings.iter().any(found), "{what}: {findings:#?}");
        let worst = findings.iter().map(|finding| finding.severity).max();
        assert_eq!(worst, Some(*severity), "{what}: {findings:#?}");
    }
}

#[test]
fn after_a_clean_stop_nothing_is_torn() {
    let mut files = ours();
    let position = 10 * batch(10).len() - 3;
    files.file(SECOND)[position] ^= 1;
    let (_, findings) = files.verify(CLEAN);
    let is_told = |finding: &Finding| {
        finding.severity == Severity::Problem && finding.text.contains("torn tail")
    };
    assert!(findings.iter().any(is_told), "{findings:#?}");
}

#[test]
fn names_say_what_files_are() {
    for (name, kind) in [
        (
            "00000000000000000042.log",
            Some(FileKind::Segment { base_offset: 42 }),
        ),
        (
            "00000000000000000042.log.deleted",
            Some(FileKind::Segment { base_offset: 42 }),
        ),
        (
            "00000000000000000042-0000000003.checkpoint",
            Some(FileKind::Segment { base_offset: 0 }),
        ),
        (
            "00000000000000000042.index",
            Some(FileKind::OffsetIndex { base_offset: 42 }),
        ),
        (
            "00000000000000000042.timeindex",
            Some(FileKind::TimeIndex { base_offset: 42 }),
        ),
        (
            "00000000000000000042.txnindex",
            Some(FileKind::TransactionIndex),
        ),
        (
            "00000000000000000042.snapshot",
            Some(FileKind::ProducerSnapshot),
        ),
        (
            "cleaner-offset-checkpoint",
            Some(FileKind::OffsetCheckpoint),
        ),
        ("ringlog-checkpoint", Some(FileKind::RecoveryCheckpoint)),
        ("meta.properties", Some(FileKind::MetaProperties)),
        ("server.log", None),
        (".lock", None),
    ] {
        assert_eq!(FileKind::of(name), kind, "{name}");
    }
}
