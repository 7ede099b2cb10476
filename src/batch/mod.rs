//! Record batch v2 (magic 2), viewed in place.
//!
//! ```text
//!  byte  0        8       12      16 17     21      23       27        35       43
//!        base     batch   leader  m  crc    attri-  last     base      max      producer
//!        offset   length  epoch   2  32c    butes   offset   timestamp timestamp id
//!        i64      i32     i32     i8 u32    i16     delta i32 i64      i64      i64
//!  byte 51        53       57      61
//!        producer base     record  records, compressed or not ...
//!        epoch    sequence count
//!        i16      i32      i32
//! ```
//! All numbers are big-endian. `batch length` counts from byte 12. The CRC32C covers byte 21 to the
//! end, so that the log may fill in base offset and leader epoch without computing it again: a log
//! keeps a patched head of [`HEAD_SIZE`] bytes ([`BatchHeader::head`]) and the untouched rest
//! ([`ValidatedBatch::body`]).
//!
//! | question | answered by |
//! |---|---|
//! | what does the header say? | [`BatchHeader`], with its bytes: [`BatchView`] |
//! | may this be stored? | [`validate_produce`] -> [`ValidatedBatch`] |
//! | which batches are in this buffer, and why does it end? | [`BatchIter`], [`ScanEnd`] |
//! | what are the records? | [`Decompressor::records`], then [`RecordIter`] |
//! | how is a batch made? | [`BatchBuilder`], [`with_log_append_time`] |
//! | what does a control batch say? | [`ControlRecord`] |
//!
//! # Non-obvious
//! - `last_offset_delta` is authoritative for offsets, `record_count` for records: compaction may
//!   leave a batch with fewer records than offsets, or none.
//! - A batch with the LogAppendTime attribute has one timestamp, its `max_timestamp`; the deltas of
//!   its records are what the producer wrote and mean nothing.
//! - The timestamps in a header are the producer's claim. Validation replaces `max_timestamp` by
//!   the real one, as Kafka's LogValidator does, at the price of a new CRC.
//! - Snappy comes in two framings: xerial's blocks (Java) and bare (librdkafka). Kafka's readers
//!   take both, so do ours.

mod builder;
mod compression;
mod control;
mod error;
#[cfg(test)]
mod golden;
mod header;
mod recompress;
mod record;
mod scan;
mod validate;
mod varint;
mod walk;

pub use builder::{BatchBuilder, BatchOptions, with_log_append_time};
pub use compression::{Codec, Compression, DECOMPRESSED_SIZE_MAX, Decompressor};
pub use control::{ControlRecord, LeaderChange, control_batch};
pub use error::BatchError;
pub use header::{
    BatchHeader, BatchView, CRC_START, HEAD_SIZE, HEADER_SIZE, LOG_OVERHEAD, NO_LEADER_EPOCH,
    NO_SEQUENCE, NO_TIMESTAMP, Producer, TimestampType,
};
pub use record::{Header, Headers, Record, RecordIter};
pub use scan::{BatchIter, CrcCheck, ScanEnd};
pub use validate::{ProduceLimits, ValidatedBatch, faulty_records, validate_produce};
