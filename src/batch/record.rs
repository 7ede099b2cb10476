//! Records in memory: reading them one by one, and writing them.
//!
//! ```text
//! length varint, attributes i8 (unused), timestamp delta varlong, offset delta varint,
//! key length varint (-1: null), key, value length varint (-1: null), value,
//! header count varint, then for each: key length varint, key, value length varint, value
//! ```

use super::error::BatchError;
use super::header::{BatchHeader, TimestampType};
use super::varint::{length_size, read_varint, read_varlong, varlong_size};
use super::varint::{write_varint, write_varlong};
use crate::types::{Offset, Timestamp};

/// One record. Key, value and headers are slices of the (decompressed) batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    pub offset: Offset,
    /// In ms; the batch's when it has LogAppendTime.
    pub timestamp: Timestamp,
    pub key: Option<&'a [u8]>,
    /// `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    pub headers: Headers<'a>,
}

/// One header of a record. The key is UTF-8 by convention; brokers do not check it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    pub key: &'a [u8],
    pub value: Option<&'a [u8]>,
}

/// The headers of a record, in order; keys may repeat. Read as they are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Headers<'a> {
    count: u32,
    /// Already checked by [`RecordIter`]: holds exactly `count` headers.
    bytes: &'a [u8],
}

impl Headers<'_> {
    pub fn len(&self) -> usize {
        self.count as usize
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = Header<'a>;

    fn next(&mut self) -> Option<Header<'a>> {
        self.count = self.count.checked_sub(1)?;
        let mut fields = Fields(self.bytes);
        let header = fields.header().expect("headers were checked when read");
        self.bytes = fields.0;
        Some(header)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.len(), Some(self.len()))
    }
}

/// Reads the records of one batch. Ends after the last one or after the first error.
///
/// Checks all lengths, nothing else: offsets may have gaps (compaction). What a producer may send
/// is checked by [`super::validate_produce`].
#[derive(Clone, Debug)]
pub struct RecordIter<'a> {
    rest: &'a [u8],
    base_offset: Offset,
    base_timestamp: Timestamp,
    /// The timestamp of all records of a LogAppendTime batch.
    log_append_time: Option<Timestamp>,
    index: i32,
    count: i32,
}

impl<'a> RecordIter<'a> {
    /// `records` are the decompressed records of the batch that `header` is of.
    pub fn new(header: &BatchHeader, records: &'a [u8]) -> RecordIter<'a> {
        let log_append_time = match header.timestamp_type() {
            TimestampType::CreateTime => None,
            TimestampType::LogAppendTime => Some(header.max_timestamp),
        };
        RecordIter {
            rest: records,
            base_offset: header.base_offset,
            base_timestamp: header.base_timestamp,
            log_append_time,
            index: 0,
            count: header.record_count.max(0),
        }
    }

    fn read(&mut self) -> Result<Record<'a>, &'static str> {
        let mut outer = Fields(self.rest);
        let length = outer.varint()?;
        let length = usize::try_from(length).map_err(|_| "negative length")?;
        let mut fields = Fields(outer.take(length)?);
        fields.take(1)?;
        let timestamp_delta = fields.varlong()?;
        let offset_delta = fields.varint()?;
        let key = fields.nullable()?;
        let value = fields.nullable()?;
        let headers = fields.headers()?;
        self.rest = outer.0;
        let create_time = self.base_timestamp.wrapping_add(timestamp_delta);
        Ok(Record {
            offset: self.base_offset.wrapping_add(i64::from(offset_delta)),
            timestamp: self.log_append_time.unwrap_or(create_time),
            key,
            value,
            headers,
        })
    }
}

impl<'a> Iterator for RecordIter<'a> {
    type Item = Result<Record<'a>, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.index == self.count {
            return None;
        }
        let index = self.index;
        let read = self.read();
        self.index += 1;
        let result = match read {
            Err(fault) => Err(BatchError::Record { index, fault }),
            Ok(_) if self.index == self.count && !self.rest.is_empty() => {
                Err(BatchError::TrailingBytes)
            }
            Ok(record) => Ok(record),
        };
        if result.is_err() {
            self.index = self.count;
        }
        Some(result)
    }
}

/// Cuts fields off the front of a record.
struct Fields<'a>(&'a [u8]);

pub(super) const BAD_VARINT: &str = "cut-off or over-long number";
pub(super) const CUT_OFF: &str = "a length exceeds the record";

impl<'a> Fields<'a> {
    fn varint(&mut self) -> Result<i32, &'static str> {
        let (value, size) = read_varint(self.0).ok_or(BAD_VARINT)?;
        self.0 = &self.0[size..];
        Ok(value)
    }

    fn varlong(&mut self) -> Result<i64, &'static str> {
        let (value, size) = read_varlong(self.0).ok_or(BAD_VARINT)?;
        self.0 = &self.0[size..];
        Ok(value)
    }

    fn take(&mut self, size: usize) -> Result<&'a [u8], &'static str> {
        let (taken, rest) = self.0.split_at_checked(size).ok_or(CUT_OFF)?;
        self.0 = rest;
        Ok(taken)
    }

    /// Any negative length is null, as Kafka reads it.
    fn nullable(&mut self) -> Result<Option<&'a [u8]>, &'static str> {
        match usize::try_from(self.varint()?) {
            Ok(size) => self.take(size).map(Some),
            Err(_) => Ok(None),
        }
    }

    fn header(&mut self) -> Result<Header<'a>, &'static str> {
        let key = self.nullable()?.ok_or("header without key")?;
        let value = self.nullable()?;
        Ok(Header { key, value })
    }

    /// The headers, which must end with the record.
    fn headers(&mut self) -> Result<Headers<'a>, &'static str> {
        let count = u32::try_from(self.varint()?).map_err(|_| "negative header count")?;
        let bytes = self.0;
        for _ in 0..count {
            self.header()?;
        }
        if !self.0.is_empty() {
            return Err("length exceeds the fields");
        }
        Ok(Headers { count, bytes })
    }
}

/// What goes into a record, relative to its batch.
pub(super) struct RecordParts<'a> {
    pub(super) offset_delta: i32,
    pub(super) timestamp_delta: i64,
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: Option<&'a [u8]>,
    pub(super) headers: &'a [Header<'a>],
}

impl RecordParts<'_> {
    /// Bytes after the length field.
    fn body_size(&self) -> usize {
        let mut size = 1 + varlong_size(self.timestamp_delta);
        size += varlong_size(i64::from(self.offset_delta));
        size += nullable_size(self.key) + nullable_size(self.value);
        size += varlong_size(self.headers.len() as i64);
        for header in self.headers {
            size += nullable_size(Some(header.key)) + nullable_size(header.value);
        }
        size
    }

    /// Bytes of the record.
    pub(super) fn size_in_bytes(&self) -> usize {
        let body_size = self.body_size();
        varlong_size(body_size as i64) + body_size
    }

    /// Appends the record to `out`.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let body_size = self.body_size();
        assert!(
            body_size <= i32::MAX as usize,
            "a record has less than 2 GiB"
        );
        write_varlong(out, body_size as i64);
        out.push(0);
        write_varlong(out, self.timestamp_delta);
        write_varint(out, self.offset_delta);
        write_nullable(out, self.key);
        write_nullable(out, self.value);
        write_varlong(out, self.headers.len() as i64);
        for header in self.headers {
            write_nullable(out, Some(header.key));
            write_nullable(out, header.value);
        }
    }
}

fn nullable_size(bytes: Option<&[u8]>) -> usize {
    length_size(bytes.map(<[u8]>::len)) + bytes.map_or(0, <[u8]>::len)
}

fn write_nullable(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        Some(bytes) => {
            write_varlong(out, bytes.len() as i64);
            out.extend_from_slice(bytes);
        }
        None => write_varint(out, -1),
    }
}

#[cfg(test)]
mod tests;
