//! The small files beside the segments, the configuration, and directories as `log verify` reads
//! them.
//!
//! Input: which reader, then the file (or what [`crate::directory`] makes a directory of). Odd
//! choices set checksums right.

use std::io::{Error, ErrorKind, Result};
use std::path::Path;

use ringlog::batch::DECOMPRESSED_SIZE_MAX;
use ringlog::config::BrokerConfig;
use ringlog::inspect::{
    BatchWalk, Files, PartitionOptions, ReadAt, Report, verify_log_directory, verify_partition,
    written_at_most,
};
use ringlog::io::DirEntry;
use ringlog::log::mark_place;
use ringlog::log_state::{
    AbortedTransaction, LeaderEpochCache, MetaProperties, OffsetIndexEntry, ProducerState,
    RecoveryCheckpoint, TimeIndexEntry, decode_offsets, decode_partition_metadata, encode_offsets,
    encode_partition_metadata, format_version,
};
use ringlog::metadata::kraft::KraftImage;
use ringlog::metadata::{MetadataDelta, MetadataImage, MetadataRecord};

use crate::directory::{Directory, directory, edit_all, log_directory};
use crate::input::Input;
use crate::memory::measured;
use crate::seal::{seal_batches, seal_checkpoint, seal_snapshot};

/// Memory that the reader of a file may take for each of its bytes, and anyhow.
const MEMORY_PER_BYTE: usize = 64;
const SLACK_SIZE: usize = 64 << 10;

pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let choice = input.u8();
    let (kind, is_sealed) = (choice / 2 % 12, choice % 2 == 1);
    match kind {
        9 => return verify(&mut input),
        10 => return verify_all(&mut input),
        11 => return configuration(input.rest()),
        _ => {}
    }
    let mut bytes = input.rest().to_vec();
    let decompressed = if kind == 8 {
        2 * DECOMPRESSED_SIZE_MAX
    } else {
        0
    };
    let allowed = MEMORY_PER_BYTE * bytes.len() + decompressed + SLACK_SIZE;
    let (peak, ()) = measured(|| match kind {
        0 => snapshot(&mut bytes, is_sealed),
        1 => checkpoint(&mut bytes, is_sealed),
        2 => checkpoint_file(&bytes),
        3 => epochs(&bytes),
        4 => offsets(&bytes),
        5 => properties(&bytes),
        6 => entries(&bytes),
        7 => metadata(&bytes),
        _ => kraft(&mut bytes, is_sealed),
    });
    assert!(
        peak <= allowed,
        "{peak} bytes for a file of {}",
        bytes.len()
    );
}

fn snapshot(bytes: &mut [u8], is_sealed: bool) {
    if is_sealed {
        seal_snapshot(bytes);
    }
    if let Ok(state) = ProducerState::decode_snapshot(bytes) {
        let again = ProducerState::decode_snapshot(&state.encode_snapshot());
        assert_eq!(again.as_ref(), Ok(&state));
    }
}

fn checkpoint(bytes: &mut [u8], is_sealed: bool) {
    if is_sealed {
        seal_checkpoint(bytes);
    }
    if let Ok(checkpoint) = RecoveryCheckpoint::decode(bytes) {
        let again = RecoveryCheckpoint::decode(&checkpoint.encode());
        assert_eq!(again.as_ref(), Ok(&checkpoint));
    }
}

fn checkpoint_file(bytes: &[u8]) {
    let newest = RecoveryCheckpoint::newest(bytes);
    assert!(newest.is_none_or(|(_, slot)| slot < 2));
    let _ = RecoveryCheckpoint::newer_version(bytes);
    let file = InMemory(bytes.to_vec());
    if let Ok(Some(end)) = written_at_most(&file, 0) {
        let place = mark_place(bytes.len() as u64).expect("a mark has a place");
        assert!(end <= place + 4096);
    }
}

fn epochs(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else {
        return;
    };
    let Ok(mut cache) = LeaderEpochCache::decode(text) else {
        return;
    };
    assert_eq!(
        LeaderEpochCache::decode(&cache.encode()).as_ref(),
        Ok(&cache)
    );
    let is_sound = |cache: &LeaderEpochCache| {
        let grows = |pair: &[ringlog::log_state::EpochEntry]| {
            pair[0].epoch < pair[1].epoch && pair[0].start_offset < pair[1].start_offset
        };
        cache.entries().windows(2).all(grows)
    };
    assert!(is_sound(&cache));
    let Some(&middle) = cache.entries().get(cache.entries().len() / 2) else {
        return;
    };
    let end = cache.end_offset_for(middle.epoch, i64::MAX);
    assert!(end.is_some_and(|(epoch, end)| epoch == middle.epoch && end >= middle.start_offset));
    assert_eq!(
        cache.epoch_for_offset(middle.start_offset),
        Some(middle.epoch)
    );
    cache.truncate_from_start(middle.start_offset);
    assert_eq!(cache.entries()[0], middle);
    cache.truncate_from_end(middle.start_offset);
    assert!(cache.entries().is_empty());
}

fn offsets(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else {
        return;
    };
    if let Ok(offsets) = decode_offsets(text) {
        let again = encode_offsets(offsets.iter().map(|(partition, &at)| (partition, at)));
        assert_eq!(decode_offsets(&again), Ok(offsets));
    }
}

fn properties(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else {
        return;
    };
    let _ = format_version(text);
    if let Ok(properties) = MetaProperties::decode(text) {
        let again = MetaProperties::decode(&properties.encode());
        assert_eq!(again, Ok(properties));
    }
    if let Ok(topic_id) = decode_partition_metadata(text) {
        let again = decode_partition_metadata(&encode_partition_metadata(topic_id));
        assert_eq!(again, Ok(topic_id));
    }
}

fn entries(bytes: &[u8]) {
    for entry in bytes.as_chunks().0 {
        assert_eq!(&OffsetIndexEntry::decode(entry).encode(), entry);
    }
    for entry in bytes.as_chunks().0 {
        assert_eq!(&TimeIndexEntry::decode(entry).encode(), entry);
    }
    for entry in bytes.as_chunks().0 {
        let _ = AbortedTransaction::decode(entry);
    }
}

/// Records of our metadata log, each behind its size: what can be read can be replayed or refused.
fn metadata(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut image = MetadataImage::default();
    while !input.is_empty() {
        let size = usize::from(input.u8());
        let Ok(record) = MetadataRecord::decode(input.take(size)) else {
            continue;
        };
        assert_eq!(
            MetadataRecord::decode(&record.encode()).as_ref(),
            Ok(&record)
        );
        if image.apply(&record, &mut MetadataDelta::default()).is_err() {
            return;
        }
    }
    let mut again = MetadataImage::default();
    for record in image.snapshot() {
        let applied = again.apply(&record, &mut MetadataDelta::default());
        applied.expect("a snapshot replays");
    }
    assert_eq!(again.snapshot(), image.snapshot());
}

fn kraft(bytes: &mut [u8], is_sealed: bool) {
    if is_sealed {
        seal_batches(bytes);
    }
    let mut image = KraftImage::default();
    if let Ok(size) = image.replay_log(bytes) {
        assert!(size <= bytes.len());
    }
    let mut image = KraftImage::default();
    let _ = image.replay_snapshot(bytes);
}

/// `log verify` ends with a report, whatever is there.
fn verify(input: &mut Input<'_>) {
    let flags = input.u8();
    let options = PartitionOptions {
        was_stopped_cleanly: flags & 1 != 0,
        recovery_point: input.i64(),
        is_deep: flags & 2 != 0,
    };
    let files = InDirectory(directory(input));
    let mut sink = |_| {};
    let mut report = Report::new(&mut sink);
    let _ = verify_partition(&files, Path::new("/"), &options, &mut report);
}

/// `log verify` of a whole log directory, ours or Kafka's.
fn verify_all(input: &mut Input<'_>) {
    let flags = input.u8();
    let origin = if flags & 1 == 0 {
        "kafka-4.1.1"
    } else {
        "format-1"
    };
    let mut files = log_directory(origin).clone();
    edit_all(&mut files, input);
    for (name, contents) in &files {
        if name.ends_with(".log") {
            walk(contents);
        }
    }
    let mut sink = |_| {};
    let mut report = Report::new(&mut sink);
    let is_deep = flags & 2 != 0;
    let _ = verify_log_directory(&InDirectory(files), Path::new("/"), is_deep, &mut report);
}

/// As `log dump` goes through a segment: forward, to an end.
fn walk(contents: &[u8]) {
    let file = InMemory(contents.to_vec());
    let mut walk = BatchWalk::new(&file, 0);
    let mut position = 0;
    while let Ok(Some(batch)) = walk.next_batch() {
        assert_eq!(batch.position, position);
        position += batch.header.size_in_bytes() as u64;
    }
    assert!(walk.position() <= file.size());
}

/// A properties file is a configuration, or somebody is told why not.
fn configuration(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else {
        return;
    };
    if let Err(errors) = BrokerConfig::load(Some(("server.properties", text)), &[]) {
        assert!(!errors.to_string().is_empty());
    }
}

struct InMemory(Vec<u8>);

impl ReadAt for InMemory {
    fn size(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, position: u64, buffer: &mut [u8]) -> Result<usize> {
        let start = (position.min(self.size())) as usize;
        let size = buffer.len().min(self.0.len() - start);
        buffer[..size].copy_from_slice(&self.0[start..start + size]);
        Ok(size)
    }
}

/// The files of a directory, by their paths in it; it lies at the root.
struct InDirectory(Directory);

impl Files for InDirectory {
    fn list(&self, directory: &Path) -> Result<Vec<DirEntry>> {
        let mut entries: Vec<DirEntry> = Vec::new();
        for (name, contents) in &self.0 {
            let path = Path::new("/").join(name);
            let Ok(inside) = path.strip_prefix(directory) else {
                continue;
            };
            let mut parts = inside
                .iter()
                .map(|part| part.to_string_lossy().into_owned());
            let Some(name) = parts.next() else { continue };
            let is_dir = parts.next().is_some();
            if entries.last().is_none_or(|last| last.name != name) {
                let size = contents.len() as u64;
                entries.push(DirEntry { name, is_dir, size });
            }
        }
        Ok(entries)
    }

    fn open(&self, path: &Path) -> Result<Box<dyn ReadAt>> {
        let name = path.strip_prefix("/").ok().and_then(|name| name.to_str());
        let contents = name.and_then(|name| self.0.get(name));
        let contents = contents.ok_or(Error::from(ErrorKind::NotFound))?;
        Ok(Box::new(InMemory(contents.clone())))
    }
}
