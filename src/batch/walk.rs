//! One pass over the records of a batch that a producer sent, without keeping any of them.
//!
//! The same walk reads records from memory and from a decompressor's window, so it asks for bytes
//! where it needs to look at them and skips keys and values.

use super::error::BatchError;
use super::header::{BatchHeader, NO_TIMESTAMP};
use super::record::{BAD_VARINT, CUT_OFF};
use super::varint::{VARINT_SIZE_MAX, VARLONG_SIZE_MAX, read_varint, read_varlong};
use crate::types::Timestamp;

/// Bytes that a walk reads from front to back.
pub(super) trait RecordSource {
    /// What comes next: at least `want` bytes, fewer only where the records end.
    fn fill(&mut self, want: usize) -> Result<&[u8], BatchError>;

    /// Goes past `size` bytes that `fill` has shown.
    fn consume(&mut self, size: usize);

    /// Goes past `size` bytes; false if the records end before.
    fn skip(&mut self, size: usize) -> Result<bool, BatchError>;
}

impl RecordSource for &[u8] {
    #[inline]
    fn fill(&mut self, _want: usize) -> Result<&[u8], BatchError> {
        Ok(self)
    }

    #[inline]
    fn consume(&mut self, size: usize) {
        *self = &self[size..];
    }

    #[inline]
    fn skip(&mut self, size: usize) -> Result<bool, BatchError> {
        let rest = self.get(size..);
        *self = rest.unwrap_or_default();
        Ok(rest.is_some())
    }
}

/// What every record must satisfy.
#[derive(Clone, Copy, Debug)]
pub(super) struct RecordRules {
    /// Timestamps that are accepted, both ends included. [`NO_TIMESTAMP`] always is.
    pub(super) timestamp_min: Timestamp,
    pub(super) timestamp_max: Timestamp,
    pub(super) needs_key: bool,
}

impl RecordRules {
    #[inline(always)]
    pub(super) fn check(
        &self,
        index: i32,
        has_key: bool,
        timestamp: Timestamp,
    ) -> Result<(), BatchError> {
        if self.needs_key && !has_key {
            return Err(BatchError::MissingKey(index));
        }
        let in_range = (self.timestamp_min..=self.timestamp_max).contains(&timestamp);
        if !in_range && timestamp != NO_TIMESTAMP {
            return Err(BatchError::Timestamp {
                index,
                timestamp,
                min: self.timestamp_min,
                max: self.timestamp_max,
            });
        }
        Ok(())
    }
}

/// What the walk learnt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct RecordSummary {
    /// Largest create time, [`NO_TIMESTAMP`] if no record has a later one.
    pub(super) max_timestamp: Timestamp,
    /// Offset delta of the first record with that timestamp; 0 without one.
    pub(super) max_timestamp_delta: i32,
}

/// Longest start of a record: length, attributes, timestamp delta, offset delta, key length.
const PREFIX_SIZE_MAX: usize = VARINT_SIZE_MAX + 1 + VARLONG_SIZE_MAX + 2 * VARINT_SIZE_MAX;

/// Reads exactly the records that `header` promises: lengths that add up, offset deltas 0, 1, 2
/// and so on, nothing behind the last, and `rules` kept by each.
pub(super) fn walk_records<S: RecordSource>(
    source: &mut S,
    header: &BatchHeader,
    rules: &RecordRules,
) -> Result<RecordSummary, BatchError> {
    let mut summary = RecordSummary {
        max_timestamp: NO_TIMESTAMP,
        max_timestamp_delta: 0,
    };
    for index in 0..header.record_count {
        let start = record_start(source, index)?;
        if start.offset_delta != index {
            let fault = "offset deltas must count from 0";
            return Err(BatchError::Record { index, fault });
        }
        let timestamp = header.base_timestamp.wrapping_add(start.timestamp_delta);
        rules.check(index, start.key_length >= 0, timestamp)?;
        if timestamp > summary.max_timestamp {
            summary.max_timestamp = timestamp;
            summary.max_timestamp_delta = index;
        }
        let mut body = Body {
            source,
            index,
            rest: start.rest,
        };
        body.skip(start.key_length)?;
        body.value_and_headers()?;
    }
    if source.fill(1)?.is_empty() {
        Ok(summary)
    } else {
        Err(BatchError::TrailingBytes)
    }
}

/// The numbers before a record's key.
struct RecordStart {
    timestamp_delta: i64,
    offset_delta: i32,
    key_length: i32,
    /// Bytes of the record from the key on.
    rest: usize,
}

#[inline(always)]
fn record_start<S: RecordSource>(source: &mut S, index: i32) -> Result<RecordStart, BatchError> {
    let bytes = source.fill(PREFIX_SIZE_MAX)?;
    let parsed = parse_start(bytes);
    let (start, size) = parsed.map_err(|fault| BatchError::Record { index, fault })?;
    source.consume(size);
    Ok(start)
}

/// The start of a record and its size.
#[inline(always)]
fn parse_start(bytes: &[u8]) -> Result<(RecordStart, usize), &'static str> {
    let (length, length_size) = read_varint(bytes).ok_or(BAD_VARINT)?;
    let length = usize::try_from(length).map_err(|_| "negative length")?;
    let mut position = length_size + 1;
    let rest = bytes.get(position..).ok_or(CUT_OFF)?;
    let (timestamp_delta, size) = read_varlong(rest).ok_or(BAD_VARINT)?;
    position += size;
    let (offset_delta, size) = read_varint(&bytes[position..]).ok_or(BAD_VARINT)?;
    position += size;
    let (key_length, size) = read_varint(&bytes[position..]).ok_or(BAD_VARINT)?;
    position += size;
    let rest = (length + length_size)
        .checked_sub(position)
        .ok_or(CUT_OFF)?;
    let start = RecordStart {
        timestamp_delta,
        offset_delta,
        key_length,
        rest,
    };
    Ok((start, position))
}

/// A record from its key on. Every step is charged to `rest`, so that nothing outside is touched.
struct Body<'a, S> {
    source: &'a mut S,
    index: i32,
    rest: usize,
}

impl<S: RecordSource> Body<'_, S> {
    #[inline]
    fn value_and_headers(&mut self) -> Result<(), BatchError> {
        let value_length = self.varint()?;
        self.skip(value_length)?;
        let header_count = self.varint()?;
        if header_count < 0 {
            return Err(self.fault("negative header count"));
        }
        for _ in 0..header_count {
            let key_length = self.varint()?;
            if key_length < 0 {
                return Err(self.fault("header without key"));
            }
            self.skip(key_length)?;
            let value_length = self.varint()?;
            self.skip(value_length)?;
        }
        if self.rest != 0 {
            return Err(self.fault("length exceeds the fields"));
        }
        Ok(())
    }

    #[inline]
    fn varint(&mut self) -> Result<i32, BatchError> {
        let bytes = self.source.fill(VARINT_SIZE_MAX)?;
        let Some((value, size)) = read_varint(bytes) else {
            return Err(self.fault(BAD_VARINT));
        };
        self.source.consume(size);
        self.charge(size)?;
        Ok(value)
    }

    /// Skips a key or value of that length; a negative one is null.
    #[inline]
    fn skip(&mut self, length: i32) -> Result<(), BatchError> {
        let size = length.max(0) as usize;
        self.charge(size)?;
        if self.source.skip(size)? {
            Ok(())
        } else {
            Err(self.fault(CUT_OFF))
        }
    }

    #[inline]
    fn charge(&mut self, size: usize) -> Result<(), BatchError> {
        let Some(rest) = self.rest.checked_sub(size) else {
            return Err(self.fault(CUT_OFF));
        };
        self.rest = rest;
        Ok(())
    }

    fn fault(&self, fault: &'static str) -> BatchError {
        BatchError::Record {
            index: self.index,
            fault,
        }
    }
}
