//! What can be wrong with a batch, and what the client is told.

use super::compression::Codec;
use crate::types::{ErrorCode, Offset, Timestamp};

/// Why a batch is refused. [`BatchError::error_code`] is what a producer sees, as Kafka answers it
/// (measured on 4.1.1); the message is fit for `error_message` of a Produce response.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BatchError {
    #[error("no record batch")]
    Empty,
    #[error("the batch needs {needed} bytes, {available} are there")]
    Truncated { needed: usize, available: usize },
    #[error("batch length {0} is below that of a header")]
    Length(i32),
    #[error("message format {0} is no longer written; record batches must have magic 2")]
    OldMagic(i8),
    #[error("unknown magic {0}")]
    UnknownMagic(i8),
    #[error("{0} bytes follow the batch; exactly one batch per partition is allowed")]
    MoreThanOne(usize),
    #[error("base offset is {0}, a producer must send 0")]
    BaseOffset(Offset),
    #[error("the batch has {size} bytes, max.message.bytes is {max}")]
    TooLarge { size: usize, max: usize },
    #[error("stored CRC {stored:#010x}, computed {computed:#010x}")]
    Crc { stored: u32, computed: u32 },
    #[error("record count {count} does not fit last offset delta {last_offset_delta}")]
    Count { count: i32, last_offset_delta: i32 },
    #[error("clients may not write control records")]
    Control,
    #[error("producer id {producer_id} with sequence {base_sequence}")]
    Sequence {
        producer_id: i64,
        base_sequence: i32,
    },
    #[error("unknown compression codec {0}")]
    UnknownCodec(u8),
    #[error("zstd needs Produce version 7")]
    ZstdTooEarly,
    #[error("a producer may not set the timestamp type to LogAppendTime")]
    TimestampType,
    #[error("timestamp {timestamp} of record {index} is out of range [{min}, {max}]")]
    Timestamp {
        index: i32,
        timestamp: Timestamp,
        min: Timestamp,
        max: Timestamp,
    },
    #[error("record {0} has no key, which a compacted topic needs")]
    MissingKey(i32),
    #[error("record {index}: {fault}")]
    Record { index: i32, fault: &'static str },
    #[error("bytes follow the last record")]
    TrailingBytes,
    #[error("the records cannot be decompressed ({0:?})")]
    Decompression(Codec),
    #[error("the records exceed {0} bytes when decompressed")]
    DecompressedTooLarge(usize),
    #[error("control record: {0}")]
    ControlRecord(&'static str),
}

impl BatchError {
    /// What the producer of such a batch is answered.
    pub fn error_code(&self) -> ErrorCode {
        match self {
            BatchError::Length(_) | BatchError::UnknownMagic(_) | BatchError::Crc { .. } => {
                ErrorCode::CorruptMessage
            }
            BatchError::TooLarge { .. } => ErrorCode::MessageTooLarge,
            BatchError::ZstdTooEarly => ErrorCode::UnsupportedCompressionType,
            BatchError::TimestampType | BatchError::Timestamp { .. } => ErrorCode::InvalidTimestamp,
            BatchError::Empty
            | BatchError::Truncated { .. }
            | BatchError::OldMagic(_)
            | BatchError::MoreThanOne(_)
            | BatchError::BaseOffset(_)
            | BatchError::Count { .. }
            | BatchError::Control
            | BatchError::Sequence { .. }
            | BatchError::UnknownCodec(_)
            | BatchError::MissingKey(_)
            | BatchError::Record { .. }
            | BatchError::TrailingBytes
            | BatchError::Decompression(_)
            | BatchError::DecompressedTooLarge(_)
            | BatchError::ControlRecord(_) => ErrorCode::InvalidRecord,
        }
    }

    /// Whether Kafka's leader finds it at its log. The others are found before, by who takes the
    /// request (`ProduceRequest.validateRecords`, CRC, sizes): an answer that says so has no log
    /// start offset.
    pub fn is_of_leader(&self) -> bool {
        match self {
            BatchError::BaseOffset(_)
            | BatchError::Count { .. }
            | BatchError::Control
            | BatchError::Sequence { .. }
            | BatchError::UnknownCodec(_)
            | BatchError::TimestampType
            | BatchError::Timestamp { .. }
            | BatchError::MissingKey(_)
            | BatchError::Record { .. }
            | BatchError::TrailingBytes
            | BatchError::Decompression(_)
            | BatchError::DecompressedTooLarge(_)
            | BatchError::ControlRecord(_) => true,
            BatchError::Empty
            | BatchError::Truncated { .. }
            | BatchError::Length(_)
            | BatchError::OldMagic(_)
            | BatchError::UnknownMagic(_)
            | BatchError::MoreThanOne(_)
            | BatchError::TooLarge { .. }
            | BatchError::Crc { .. }
            | BatchError::ZstdTooEarly => false,
        }
    }

    /// The record at fault, counted from 0, for `record_errors` of a Produce response (KIP-467).
    pub fn record_index(&self) -> Option<i32> {
        match self {
            BatchError::Timestamp { index, .. }
            | BatchError::MissingKey(index)
            | BatchError::Record { index, .. } => Some(*index),
            _ => None,
        }
    }
}
