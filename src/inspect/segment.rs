//! One segment: every batch against its CRC, the one before it, and the indexes.

use std::io::Result;
use std::path::{Path, PathBuf};

use super::batch_walk::{BatchWalk, StoredBatch};
use super::files::{Files, ReadAt, read_small_file};
use super::index_check::IndexCheck;
use super::report::{Report, Severity};
use crate::batch::{
    BatchHeader, BatchView, DECOMPRESSED_SIZE_MAX, Decompressor, LOG_OVERHEAD, RecordIter, ScanEnd,
};
use crate::io::WRITE_UNIT;
use crate::log::{
    self, MAGIC_END, Remainder, RestBounds, RestWalk, ScanStop, discontinuity, extension,
    mark_place, replay_batch, segment_path,
};
use crate::log_state::LogState;
use crate::types::Offset;

/// One read of what lies behind the valid batches.
const READ_SIZE: usize = 1 << 20;

/// How a segment is looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct SegmentOptions {
    pub(super) base_offset: Offset,
    /// Below it offsets may be missing between batches: Kafka's compaction takes them.
    pub(super) gaps_end: Offset,
    /// Decompress and read every record.
    pub(super) is_deep: bool,
    /// The index files are complete and exact; otherwise they may be behind or ahead.
    pub(super) is_settled: bool,
    /// How bad it is if there is no index file.
    pub(super) index_missing: Option<Severity>,
}

/// What a scan leaves behind.
pub(super) struct ScannedSegment {
    pub(super) stop: ScanStop,
    pub(super) offset_entry_count: usize,
    pub(super) time_entry_count: usize,
    pub(super) gap_count: u64,
}

/// Who looks on while a segment is scanned.
pub(super) trait BatchObserver {
    /// Before a valid batch is taken into `state`; its first byte is at `position`.
    fn before(&mut self, batch: &StoredBatch<'_>, state: &LogState, report: &mut Report<'_>);
}

/// Reads the valid batches of a segment into `state`, whose end they continue, and checks them.
pub(super) fn scan(
    (files, directory): (&dyn Files, &Path),
    options: &SegmentOptions,
    state: &mut LogState,
    observer: &mut dyn BatchObserver,
    report: &mut Report<'_>,
) -> Result<ScannedSegment> {
    let path = segment_path(directory, options.base_offset, extension::LOG);
    let file = files.open(&path)?;
    let mut indexes = load_indexes(files, directory, options, report)?;
    let counts = |index: &Option<IndexCheck>| index.as_ref().map_or(0, IndexCheck::entry_count);
    let (offset_entry_count, time_entry_count) = (counts(&indexes[0]), counts(&indexes[1]));
    let mut gap_count = 0;
    let mut decompressor = Decompressor::new();
    let mut walk = BatchWalk::new(&*file, 0);
    let stop = loop {
        let Some(batch) = walk.next_batch()? else {
            break ScanStop::new(walk.position(), fault_of(walk.end()));
        };
        let header = batch.header;
        let position = batch.position;
        let is_gap =
            header.base_offset < options.gaps_end && header.base_offset > state.log_end_offset;
        let expected = match is_gap {
            true => header.base_offset,
            false => state.log_end_offset,
        };
        let fault = batch.crc.err().map(|error| error.to_string());
        if let Some(fault) = fault.or_else(|| discontinuity(&header, expected, state)) {
            break ScanStop::new(position, fault);
        }
        gap_count += u64::from(is_gap);
        observer.before(&batch, state, report);
        for index in indexes.iter_mut().flatten() {
            index.batch(position, &header, report);
        }
        if let Some(view) = &batch.view {
            if options.is_deep
                && let Some(fault) = wrong_records(view, &mut decompressor)
            {
                report.add(Severity::Problem, &path, Some(position), fault);
            }
            replay_batch(&mut decompressor, view, state);
        }
        state.log_end_offset = header.next_offset();
        report.summary.batch_count += 1;
        report.summary.record_count += u64::from(header.record_count.max(0).unsigned_abs());
        report.summary.byte_count += header.size_in_bytes() as u64;
    };
    for index in indexes.into_iter().flatten() {
        index.finish(report);
    }
    report.summary.segment_count += 1;
    Ok(ScannedSegment {
        stop,
        offset_entry_count,
        time_entry_count,
        gap_count,
    })
}

fn fault_of(end: Option<ScanEnd>) -> String {
    match end {
        None | Some(ScanEnd::Complete | ScanEnd::Zeros) => String::new(),
        Some(ScanEnd::Truncated { .. }) => "the file ends inside a batch".to_owned(),
        Some(ScanEnd::Corrupt(error)) => error.to_string(),
    }
}

/// The checks of `.index` and `.timeindex`.
fn load_indexes(
    files: &dyn Files,
    directory: &Path,
    options: &SegmentOptions,
    report: &mut Report<'_>,
) -> Result<[Option<IndexCheck>; 2]> {
    let mut load = |extension: &str| -> Result<Option<(PathBuf, Vec<u8>)>> {
        let path = segment_path(directory, options.base_offset, extension);
        match read_small_file(files, &path) {
            Ok(bytes) => Ok(Some((path, bytes))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                if let Some(severity) = options.index_missing {
                    report.add(severity, &path, None, "the index is missing");
                }
                Ok(None)
            }
            Err(error) => Err(error),
        }
    };
    let (offsets, times) = (load(extension::INDEX)?, load(extension::TIME_INDEX)?);
    let (base_offset, is_settled) = (options.base_offset, options.is_settled);
    let offsets = offsets.map(|(path, bytes)| {
        IndexCheck::of_offsets((&path, &bytes), base_offset, is_settled, report)
    });
    let times = times.map(|(path, bytes)| {
        IndexCheck::of_times((&path, &bytes), base_offset, is_settled, report)
    });
    Ok([offsets, times])
}

/// Why the records of a batch are not what its header promises.
fn wrong_records(batch: &BatchView<'_>, decompressor: &mut Decompressor) -> Option<String> {
    let records = match decompressor.records(batch, DECOMPRESSED_SIZE_MAX) {
        Ok(records) => records,
        Err(error) => return Some(error.to_string()),
    };
    let mut count = 0;
    for record in RecordIter::new(batch.header(), &records) {
        match record {
            Ok(record) if record.offset > batch.last_offset() => {
                return Some(format!(
                    "record of offset {} behind the batch's last",
                    record.offset
                ));
            }
            Ok(_) => count += 1,
            Err(error) => return Some(error.to_string()),
        }
    }
    (count != batch.record_count)
        .then(|| format!("{count} records where {} should be", batch.record_count))
}

/// The byte behind which nothing was written to a recycled file of the segment at `base_offset`;
/// `None` for any other file.
pub fn written_at_most(file: &dyn ReadAt, base_offset: Offset) -> Result<Option<u64>> {
    let Some(place) = mark_place(file.size()) else {
        return Ok(None);
    };
    let mut unit = [0; WRITE_UNIT];
    let size = file.read_at(place, &mut unit)?;
    Ok(log::written_at_most(&unit[..size], base_offset, place))
}

/// Looks through everything behind `from` that was, or may have been, written to the segment at
/// `base_offset` of a log that ends at `end_offset`, as recovery does before it cuts.
pub(super) fn examine_rest(
    file: &dyn ReadAt,
    from: u64,
    base_offset: Offset,
    end_offset: Offset,
) -> Result<Remainder> {
    let bounds = RestBounds {
        base_offset,
        end_offset,
        written_at_most: written_at_most(file, base_offset)?,
    };
    let mut walk = RestWalk::new(from, bounds);
    let end = bounds.written_at_most.unwrap_or(file.size());
    let left = file.size().saturating_sub(from);
    let mut piece = vec![0; left.min((READ_SIZE + MAGIC_END) as u64) as usize];
    let mut at = from;
    while at < end {
        // Consecutive pieces overlap so that a header on their border is seen.
        let read = file.read_at(at, &mut piece)?;
        let size = (READ_SIZE as u64).min(end - at) as usize;
        while let Some(position) = walk.candidate(at, &piece[..read], size) {
            let head = &piece[(position - at) as usize..read];
            let is_none = BatchHeader::parse(head).is_ok_and(|header| {
                header.size_in_bytes() as u64 > file.size().saturating_sub(position)
            });
            let mut batches = BatchWalk::new(file, position);
            let batch = if is_none { None } else { batches.next_batch()? };
            let batch = batch.filter(|batch| batch.crc.is_ok());
            walk.found(batch.map(|batch| batch.header).as_ref());
        }
        at += READ_SIZE as u64;
    }
    Ok(walk.end())
}

/// Where the batch ends that begins at `position`, as far as its first bytes say.
pub(super) fn claimed_end(file: &dyn ReadAt, position: u64) -> Result<u64> {
    let mut prefix = [0; LOG_OVERHEAD];
    file.read_at(position, &mut prefix)?;
    let [.., a, b, c, d] = prefix;
    let length = i32::from_be_bytes([a, b, c, d]).max(0);
    Ok(position + LOG_OVERHEAD as u64 + u64::from(length.unsigned_abs()))
}
