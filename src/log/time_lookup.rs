//! From a time to an offset.

use std::ops::ControlFlow;
use std::rc::Rc;

use super::LogError;
use super::log::LogInner;
use super::read_types::{ReadRequest, TimestampOffset};
use super::reader::{Turn, load_index, read_cold};
use super::segment::{Segment, extension, segment_path};
use super::segment_index::NO_TIMESTAMP;
use crate::batch::{
    BatchError, BatchIter, BatchView, CrcCheck, DECOMPRESSED_SIZE_MAX, Decompressor, Record,
    RecordIter,
};
use crate::types::{Offset, Timestamp};

/// Bytes read at a time while looking for a record.
const LOOKUP_READ_SIZE: usize = 128 << 10;

/// See [`Log::offset_for_timestamp`](super::Log::offset_for_timestamp). As Kafka: through the time
/// index to a batch whose largest timestamp is late enough, then record by record.
pub(super) async fn offset_for_timestamp(
    log: &Rc<LogInner>,
    timestamp: Timestamp,
    end_bound: Offset,
) -> Result<Option<TimestampOffset>, LogError> {
    log.check_readable()?;
    for segment in segments(log) {
        match first_in_segment(log, &segment, timestamp, end_bound).await {
            Ok(None) => {}
            // The log has lost it meanwhile.
            Err(_) if segment.is_dropped.get() => {}
            found => return found,
        }
    }
    Ok(None)
}

/// The first record of one segment that is not earlier than `timestamp`.
async fn first_in_segment(
    log: &Rc<LogInner>,
    segment: &Rc<Segment>,
    timestamp: Timestamp,
    end_bound: Offset,
) -> Result<Option<TimestampOffset>, LogError> {
    if segment.end_offset.get() <= log.state.borrow().log_start_offset
        || segment_max_timestamp(log, segment).await?.0 < timestamp
    {
        return Ok(None);
    }
    let start = {
        let index = load_index(log, segment).await?;
        index.borrow().offset_before(timestamp)
    };
    let end = segment.end_offset.get().min(end_bound);
    let is_late = |record_time: Timestamp| record_time >= timestamp;
    first_record(log, start, end, is_late).await
}

/// See [`Log::max_timestamp`](super::Log::max_timestamp).
pub(super) async fn max_timestamp(log: &Rc<LogInner>) -> Result<Option<TimestampOffset>, LogError> {
    log.check_readable()?;
    let log_start_offset = log.state.borrow().log_start_offset;
    let mut latest = (NO_TIMESTAMP, -1);
    let mut latest_of_first = None;
    for segment in segments(log) {
        if segment.end_offset.get() <= log_start_offset {
            continue;
        }
        if segment.base_offset < log_start_offset {
            // Its latest record may be before the log's start.
            match latest_in_rest(log, &segment, log_start_offset).await {
                Err(_) if segment.is_dropped.get() => {}
                found => latest_of_first = found?,
            }
            continue;
        }
        match segment_max_timestamp(log, &segment).await {
            Ok(of_segment) if of_segment.0 > latest.0 => latest = of_segment,
            Ok(_) => {}
            // The log has lost it meanwhile.
            Err(_) if segment.is_dropped.get() => {}
            Err(error) => return Err(error),
        }
    }
    let (timestamp, last_offset_of_batch) = latest;
    let is_in_first = |found: &TimestampOffset| found.timestamp >= timestamp;
    if latest_of_first.as_ref().is_some_and(is_in_first) || timestamp == NO_TIMESTAMP {
        return Ok(latest_of_first);
    }
    let end = log.state.borrow().log_end_offset;
    let is_latest = |record_time: Timestamp| record_time == timestamp;
    first_record(log, last_offset_of_batch, end, is_latest).await
}

/// The record with the largest timestamp of what a segment has from `start` on, the first of
/// several. What the index says of the whole segment is right if that record is one of them;
/// otherwise the batches from `start` on are looked through.
async fn latest_in_rest(
    log: &Rc<LogInner>,
    segment: &Rc<Segment>,
    start: Offset,
) -> Result<Option<TimestampOffset>, LogError> {
    let (timestamp, last_offset_of_batch) = segment_max_timestamp(log, segment).await?;
    if timestamp == NO_TIMESTAMP {
        return Ok(None);
    }
    if last_offset_of_batch >= start {
        let end = last_offset_of_batch + 1;
        let is_latest = |record_time: Timestamp| record_time == timestamp;
        let found = first_record(log, last_offset_of_batch, end, is_latest).await?;
        if found.is_some() {
            return Ok(found);
        }
    }
    let mut latest: Option<TimestampOffset> = None;
    let end = segment.end_offset.get();
    scan(log, start, end, |decompressor, batch, log_start_offset| {
        let known = latest.map_or(NO_TIMESTAMP, |found| found.timestamp);
        if batch.max_timestamp > known {
            let found = latest_of_batch(decompressor, batch, log_start_offset)?;
            latest = found.filter(|found| found.timestamp > known).or(latest);
        }
        Ok(ControlFlow::Continue(()))
    })
    .await?;
    Ok(latest)
}

fn segments(log: &LogInner) -> Vec<Rc<Segment>> {
    log.core.borrow().segments.values().cloned().collect()
}

/// Largest timestamp of a segment, and the last offset of the batch that has it.
pub(super) async fn segment_max_timestamp(
    log: &LogInner,
    segment: &Rc<Segment>,
) -> Result<(Timestamp, Offset), LogError> {
    if segment.size.get() == 0 {
        return Ok((NO_TIMESTAMP, -1));
    }
    if let Some(known) = segment.max_timestamp.get() {
        return Ok(known);
    }
    let index = load_index(log, segment).await?;
    let index = index.borrow();
    if segment.is_sealed.get() {
        segment.remember_max_timestamp(&index);
    }
    Ok((index.max_timestamp, index.max_timestamp_offset))
}

/// The first record whose timestamp `is_wanted`, in the batches from the one that contains `start`
/// up to `end`.
async fn first_record(
    log: &Rc<LogInner>,
    start: Offset,
    end: Offset,
    is_wanted: impl Fn(Timestamp) -> bool,
) -> Result<Option<TimestampOffset>, LogError> {
    let mut first = None;
    scan(log, start, end, |decompressor, batch, log_start_offset| {
        if !is_possible(batch, &is_wanted) {
            return Ok(ControlFlow::Continue(()));
        }
        first = search_batch(decompressor, batch, log_start_offset, &is_wanted)?;
        Ok(match first {
            Some(_) => ControlFlow::Break(()),
            None => ControlFlow::Continue(()),
        })
    })
    .await?;
    Ok(first)
}

/// Shows the batches from the one that contains `start` up to `end`, with the log's start at that
/// time, until `visit` breaks.
async fn scan(
    log: &Rc<LogInner>,
    start: Offset,
    end: Offset,
    mut visit: impl FnMut(
        &mut Decompressor,
        &BatchView<'_>,
        Offset,
    ) -> Result<ControlFlow<()>, BatchError>,
) -> Result<(), LogError> {
    let mut decompressor = Decompressor::new();
    let mut offset = start;
    while offset < end {
        // It may move while this goes on.
        let log_start_offset = log.state.borrow().log_start_offset;
        offset = offset.max(log_start_offset);
        let request = ReadRequest {
            offset,
            size_max: LOOKUP_READ_SIZE,
            end_bound: end,
        };
        let read = match read_cold(log, request, &mut Turn::unbounded()).await {
            Err(LogError::OffsetOutOfRange {
                log_start_offset, ..
            }) if log_start_offset > offset => {
                continue;
            }
            read => read?,
        };
        if read.size == 0 {
            return Ok(());
        }
        let bytes = read.pieces.concat();
        for batch in BatchIter::new(&bytes, CrcCheck::Skip) {
            match visit(&mut decompressor, &batch, log_start_offset) {
                Ok(ControlFlow::Continue(())) => {}
                Ok(ControlFlow::Break(())) => return Ok(()),
                Err(fault) => {
                    let segment = log.core.borrow().segment_of(batch.base_offset);
                    let base_offset = segment.map_or(0, |segment| segment.base_offset);
                    let path = segment_path(&log.path, base_offset, extension::LOG);
                    let fault = format!("batch at offset {}: {fault}", batch.base_offset);
                    return Err(LogError::corrupt(&path, 0, fault));
                }
            }
        }
        offset = read.next_offset;
        log.reactor.yield_now().await;
    }
    Ok(())
}

/// Whether the batch may have such a record: its largest timestamp is that of one of its records.
fn is_possible(batch: &BatchView<'_>, is_wanted: impl Fn(Timestamp) -> bool) -> bool {
    is_wanted(batch.max_timestamp)
}

fn search_batch(
    decompressor: &mut Decompressor,
    batch: &BatchView<'_>,
    log_start_offset: Offset,
    is_wanted: impl Fn(Timestamp) -> bool,
) -> Result<Option<TimestampOffset>, BatchError> {
    let records = decompressor.records(batch, DECOMPRESSED_SIZE_MAX)?;
    for record in RecordIter::new(batch.header(), &records) {
        let record = record?;
        if record.offset >= log_start_offset && is_wanted(record.timestamp) {
            return Ok(Some(found(batch, &record)));
        }
    }
    Ok(None)
}

/// The record with the largest timestamp, the first of several; none of them has none.
fn latest_of_batch(
    decompressor: &mut Decompressor,
    batch: &BatchView<'_>,
    log_start_offset: Offset,
) -> Result<Option<TimestampOffset>, BatchError> {
    let records = decompressor.records(batch, DECOMPRESSED_SIZE_MAX)?;
    let mut latest: Option<TimestampOffset> = None;
    for record in RecordIter::new(batch.header(), &records) {
        let record = record?;
        let known = latest.map_or(NO_TIMESTAMP, |found| found.timestamp);
        if record.offset >= log_start_offset && record.timestamp > known {
            latest = Some(found(batch, &record));
        }
    }
    Ok(latest)
}

fn found(batch: &BatchView<'_>, record: &Record<'_>) -> TimestampOffset {
    TimestampOffset {
        timestamp: record.timestamp,
        offset: record.offset,
        leader_epoch: batch.partition_leader_epoch,
    }
}
