//! The one table of metric names. A row makes the enum's variant and what is shown of it.

/// What a value counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unit {
    Count,
    Bytes,
    Nanoseconds,
}

/// What is shown of a metric.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Metric {
    /// In snake case, without prefix; unique among all metrics.
    pub name: &'static str,
    pub unit: Unit,
    pub doc: &'static str,
}

macro_rules! metrics {
    ($(#[$meta:meta])* $kind:ident {
        $($variant:ident, $name:literal, $unit:ident, $doc:literal;)*
    }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum $kind {
            $(#[doc = $doc] $variant,)*
        }

        impl $kind {
            pub const ALL: &[$kind] = &[$($kind::$variant,)*];

            const TABLE: &[Metric] = &[
                $(Metric { name: $name, unit: Unit::$unit, doc: $doc },)*
            ];

            /// The row of the table.
            pub fn metric(self) -> Metric {
                Self::TABLE[self as usize]
            }
        }
    };
}

metrics! {
    /// Only goes up while the shard lives.
    Counter {
        ConnectionsAccepted, "connections_accepted", Count, "Connections accepted.";
        ConnectionsClosed, "connections_closed", Count, "Connections closed, whoever closed them.";
        ConnectionsRefused, "connections_refused", Count, "Connections closed at once: too many.";
        ConnectionsIdleClosed, "connections_idle_closed", Count, "Connections closed for idleness.";
        RequestsMalformed, "requests_malformed", Count, "Requests that closed their connection.";
        ReceivedBytes, "received_bytes", Bytes, "Bytes of requests, size prefixes included.";
        SentBytes, "sent_bytes", Bytes, "Bytes of responses, size prefixes included.";
        AdmissionWaits, "admission_waits", Count, "Requests that waited for memory.";
        ProducedRecords, "produced_records", Count, "Records appended for producers.";
        ProducedBytes, "produced_bytes", Bytes, "Bytes of batches appended for producers.";
        ProducedBatches, "produced_batches", Count, "Batches appended for producers.";
        DuplicateBatches, "duplicate_batches", Count, "Retried batches that were there already.";
        FetchedBytesMemory, "fetched_memory_bytes", Bytes, "Bytes served from the tail cache.";
        FetchedBytesDirect, "fetched_direct_bytes", Bytes, "Bytes served from O_DIRECT reads.";
        FetchWakeups, "fetch_wakeups", Count, "Parked fetches that read again.";
        FetchesExpired, "fetches_expired", Count, "Parked fetches answered by their max wait.";
        FetchSessionEvictions, "fetch_session_evictions", Count, "Fetch sessions that had to go.";
        ProducesExpired, "produces_expired", Count, "Batches whose producer waited in vain.";
        ProducersForgotten, "producers_forgotten", Count, "Idempotent producers that expired.";
        DiskWrites, "disk_writes", Count, "Writes submitted to log files.";
        DiskWrittenBytes, "disk_written_bytes", Bytes, "Bytes of those writes, padding included.";
        DiskFlushes, "disk_flushes", Count, "Device flushes (fdatasync) submitted.";
        DiskReads, "disk_reads", Count, "Reads submitted to log files.";
        DiskReadBytes, "disk_read_bytes", Bytes, "Bytes of those reads.";
        CorruptBatches, "corrupt_batches", Count, "Damaged places found in log files, each once.";
        VerifiedBatches, "verified_batches", Count, "Stored batches read and found sound.";
        VerifiedBytes, "verified_bytes", Bytes, "Bytes of segments read to verify them.";
        DiskErrors, "disk_errors", Count, "Failed operations on log directories.";
        SegmentsRolled, "segments_rolled", Count, "Segments closed for a new one.";
        SegmentsRecycled, "segments_recycled", Count, "New segments in the file of a dropped one.";
        MeshMessages, "mesh_messages", Count, "Messages sent to other shards.";
    }
}

metrics! {
    /// Goes up and down; the value of the broker is the sum over its shards.
    Gauge {
        Connections, "connections", Count, "Open connections.";
        Partitions, "partitions", Count, "Partitions whose log is open.";
        OfflinePartitions, "offline_partitions", Count, "Partitions whose log cannot be opened.";
        LogSizeBytes, "log_size_bytes", Bytes, "Bytes of batches in all logs.";
        LogOffsets, "log_offsets", Count, "Offsets from log start to log end, over all logs.";
        RequestMemoryBytes, "request_memory_bytes", Bytes, "Memory of requests in flight.";
        RequestMemoryLimitBytes, "request_memory_limit_bytes", Bytes, "What that may be at most.";
        RequestMemoryWaiters, "request_memory_waiters", Count, "Connections that wait for memory.";
        ResponseMemoryBytes, "response_memory_bytes", Bytes, "Records that answers hold.";
        TailCacheBytes, "tail_cache_bytes", Bytes, "Memory of the tail cache.";
        UnwrittenBytes, "unwritten_bytes", Bytes, "Bytes appended and not written.";
        UnflushedBytes, "unflushed_bytes", Bytes, "Bytes written and not flushed.";
        ParkedProduces, "parked_produces", Count, "Produces that wait for the high watermark.";
        ParkedFetches, "parked_fetches", Count, "Fetches that wait for records.";
        FetchSessions, "fetch_sessions", Count, "Incremental fetch sessions.";
        FetchSessionPartitions, "fetch_session_partitions", Count, "Partitions of those sessions.";
        CommitDepth, "commit_depth", Count, "Commits and tail reads in flight at the disk.";
        BackgroundDepthBytes, "background_depth_bytes", Bytes, "Background bytes at the disk.";
        ReactorTasks, "reactor_tasks", Count, "Tasks that have not ended.";
        ReactorOperations, "reactor_operations", Count,
            "Operations on files, and calls on threads, that have not ended.";
        ReactorTimers, "reactor_timers", Count, "Timers that are set.";
        BackgroundWaiting, "background_waiting", Count, "Background work that waits for the disk.";
    }
}

metrics! {
    /// How values are spread.
    Distribution {
        DiskWriteTime, "disk_write_time", Nanoseconds, "One write, submitted to completed.";
        DiskFlushTime, "disk_flush_time", Nanoseconds, "One device flush, submitted to completed.";
        DiskReadTime, "disk_read_time", Nanoseconds, "One read, submitted to completed.";
        DiskWriteSize, "disk_write_size", Bytes, "Bytes of one write.";
        FlushSize, "flush_size", Bytes, "Bytes of batches that one flush made durable.";
        FlushLogs, "flush_logs", Count, "Logs that one flush covered.";
        BackgroundWaitTime, "background_wait_time", Nanoseconds,
            "Background work waiting for its share of the disk.";
        SendSize, "send_size", Bytes, "Bytes handed to the socket at once.";
        ReactorStallTime, "reactor_stall_time", Nanoseconds, "How late a timer of the shard fired.";
    }
}

/// How values are spread over requests: label `api`.
pub const REQUEST_TIME: Metric = Metric {
    name: "request_time",
    unit: Unit::Nanoseconds,
    doc: "Whole requests, from the first byte read to the last byte sent.",
};

/// As [`REQUEST_TIME`] by the parts of [`Stage`](super::Stage): labels `api`, `stage`.
pub const STAGE_TIME: Metric = Metric {
    name: "stage_time",
    unit: Unit::Nanoseconds,
    doc: "Requests by stage; the stages of a request add up to its time.",
};

/// Answers with an error code, counted by partition where the answer has one each: labels `api`,
/// `error`.
pub const REQUEST_ERRORS: Metric = Metric {
    name: "request_errors",
    unit: Unit::Count,
    doc: "Error codes in answers.",
};

/// Always 1: labels `version`, `cluster_id`, `node_id`.
pub const BUILD_INFO: Metric = Metric {
    name: "build_info",
    unit: Unit::Count,
    doc: "Which broker this is.",
};

/// Of the process.
pub const UPTIME: Metric = Metric {
    name: "uptime",
    unit: Unit::Nanoseconds,
    doc: "Time since the broker started.",
};

/// For each log directory: label `directory`, its path.
pub const LOG_DIRECTORY_ONLINE: Metric = Metric {
    name: "log_directory_online",
    unit: Unit::Count,
    doc: "1 while a log directory works, 0 when it is offline.",
};

/// As [`LOG_DIRECTORY_ONLINE`]; not shown of one that is offline.
pub const LOG_DIRECTORY_FREE: Metric = Metric {
    name: "log_directory_free",
    unit: Unit::Bytes,
    doc: "Free bytes of a log directory's file system.",
};

/// The rows that are not of a shard.
pub const FAMILIES: &[Metric] = &[
    REQUEST_TIME,
    STAGE_TIME,
    REQUEST_ERRORS,
    BUILD_INFO,
    UPTIME,
    LOG_DIRECTORY_ONLINE,
    LOG_DIRECTORY_FREE,
];
