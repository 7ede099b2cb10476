//! What a log is configured with.

use std::time::Duration;

/// The settings of one log; the shard fills them from the topic's and the broker's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogConfig {
    /// Bytes after which a segment is rolled (`segment.bytes`).
    pub segment_size_max: u64,
    /// Time after which a segment that has records is rolled, in ms (`segment.ms`).
    pub roll_ms: i64,
    /// Bytes between entries of the indexes (`index.interval.bytes`).
    pub index_interval_bytes: u64,
    /// Bytes of an index after which a segment is rolled (`segment.index.bytes`).
    pub index_size_max: usize,
    /// Class P: every append causes a flush (`flush.before.ack`, or `flush.messages` = 1).
    pub flush_before_ack: bool,
    /// Records after which a flush is made (`flush.messages`).
    pub flush_messages: i64,
    /// Time after which an append is flushed, in ms (`flush.ms`); `i64::MAX` is never.
    pub flush_ms: i64,
    /// Class P: bytes that may be written behind the last completed flush
    /// (`log.unflushed.bytes.max`). Recovery relies on it.
    pub unflushed_bytes_max: u64,
    /// Age at which segments are dropped, in ms (`retention.ms`); `None`: never.
    pub retention_ms: Option<i64>,
    /// Logical bytes above which the oldest segments are dropped (`retention.bytes`); `None`: no
    /// limit.
    pub retention_size: Option<u64>,
    /// How long the files of dropped segments stay (`file.delete.delay.ms`).
    pub file_delete_delay: Duration,
}

impl Default for LogConfig {
    fn default() -> LogConfig {
        LogConfig {
            segment_size_max: 1 << 30,
            roll_ms: 7 * 24 * 3600 * 1000,
            index_interval_bytes: 4096,
            index_size_max: 10 << 20,
            flush_before_ack: true,
            flush_messages: i64::MAX,
            flush_ms: i64::MAX,
            unflushed_bytes_max: 64 << 20,
            retention_ms: None,
            retention_size: None,
            file_delete_delay: Duration::from_secs(60),
        }
    }
}
