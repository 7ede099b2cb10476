//! The named stages of a request, in the order of its path.
//!
//! The stages of one request follow each other without gaps, whichever shard they run on, so
//! their sum is the time from the first byte read to the last byte sent.

use std::fmt;

use crate::types::Monotonic;

use super::shard_metrics::ShardMetrics;

macro_rules! stages {
    ($($variant:ident, $name:literal, $doc:literal;)*) => {
        /// A part of a request's time.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Stage {
            $(#[doc = $doc] $variant,)*
        }

        impl Stage {
            /// In the order of the path.
            pub const ALL: &[Stage] = &[$(Stage::$variant,)*];

            /// As in histograms, pages and reports.
            pub fn name(self) -> &'static str {
                [$($name,)*][self as usize]
            }

            /// What happens in it.
            pub fn doc(self) -> &'static str {
                [$($doc,)*][self as usize]
            }
        }
    };
}

stages! {
    ReadFrame, "read_frame", "From the frame's first byte to its last.";
    Admit, "admit", "Waiting for memory to decode in.";
    Decode, "decode", "Checking lengths against the frame, decoding.";
    Validate, "validate", "Produce: authorising, checking batches, grouping by owner.";
    Session, "session", "Fetch: the session's partitions, grouping by owner.";
    Enqueue, "enqueue", "On the way to the owner shard, until it starts.";
    Append, "append", "Produce: sequence, offset, copy into the aligned buffer.";
    Write, "write", "Produce: until the batch is in the written part of the log.";
    Flush, "flush", "Produce: until the batch is in the durable part of the log.";
    WaitHighWatermark, "wait_high_watermark", "Produce: until the other replicas have it.";
    ReadMemory, "read_memory", "Fetch: finding and slicing batches in the tail cache.";
    ReadDisk, "read_disk", "Fetch: reading batches from disk.";
    WaitRecords, "wait_records", "Fetch: parked until there are enough bytes, or max wait.";
    Handle, "handle", "Any other request: all of its work.";
    ReplyQueue, "reply_queue", "Behind the replies to the connection's earlier requests.";
    Send, "send", "Encoding, until the socket has taken the last byte.";
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name())
    }
}

/// Measures the stages of one request; travels with it, also between shards.
///
/// All shards must read one clock: a lap that starts on one and ends on another is measured in
/// the difference of their times.
#[derive(Clone, Copy, Debug)]
pub struct StageClock {
    api_key: i16,
    started: Monotonic,
    last: Monotonic,
}

impl StageClock {
    /// Starts when the first byte of the request is there.
    pub fn start(api_key: i16, now: Monotonic) -> StageClock {
        StageClock {
            api_key,
            started: now,
            last: now,
        }
    }

    /// The stage has ended: records the time since the last one did.
    pub fn lap(&mut self, metrics: &ShardMetrics, stage: Stage, now: Monotonic) {
        metrics.record_stage(self.api_key, stage, now.since(self.last));
        self.last = now;
    }

    /// The last byte was sent: records the whole time.
    pub fn finish(self, metrics: &ShardMetrics, now: Monotonic) {
        metrics.record_request(self.api_key, now.since(self.started));
    }
}
