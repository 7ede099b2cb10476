//! Segments, batches, flushing.

use super::super::key::{Key, Kind, Support, Valid, same, times};

const MS_PER_HOUR: i64 = 3_600_000;
const NEVER: &str = "9223372036854775807";

const TIMESTAMP_TYPES: Valid = Valid::OneOf(&["CreateTime", "LogAppendTime"]);
const COMPRESSION_TYPES: Valid =
    Valid::OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]);
const JITTER: Support = Support::Stored("rolling early at random");
const PREPARED: Support = Support::Stored("nothing: the log always writes into prepared blocks");

const SEGMENT_BYTES_DOC: &str = "A segment is rolled before it grows beyond this size.";
const INDEX_INTERVAL_DOC: &str =
    "An entry is added to the offset and time index after this many bytes of log.";
const INDEX_SIZE_DOC: &str = "Size of an index at which its segment is rolled.";
const PREALLOCATE_DOC: &str = "Kafka's switch for preallocated segments.";
const FLUSH_BEFORE_ACK_DOC: &str = "Class P: an append is flushed to the device before acks=all is \
    answered, on every replica in sync, so that acknowledged records survive a power cut. false \
    (class K): the write is completed, which survives the death of the process.";
const FLUSH_MESSAGES_DOC: &str =
    "Records appended between two flushes of a class K log; 1 makes the topic class P.";
const FLUSH_MS_DOC: &str = "Longest time that a record of a class K log stays unflushed.";
const MAX_MESSAGE_DOC: &str = "Size of the largest record batch, as stored.";
const TIMESTAMP_TYPE_DOC: &str =
    "CreateTime keeps the producer's timestamps, LogAppendTime sets the broker's.";
const TIMESTAMP_BEFORE_DOC: &str =
    "A record's CreateTime may be this much earlier than the broker's clock.";
const TIMESTAMP_AFTER_DOC: &str =
    "A record's CreateTime may be this much later than the broker's clock.";
const COMPRESSION_DOC: &str = "Compression of stored batches; `producer` keeps the producer's, any \
    other compresses batches with another codec anew.";
const GZIP_LEVEL_DOC: &str =
    "Level of gzip where `compression.type` is gzip; -1 is its own default.";
const LZ4_LEVEL_DOC: &str = "Level of lz4 where `compression.type` is lz4.";
const ZSTD_LEVEL_DOC: &str = "Level of zstd where `compression.type` is zstd.";

pub(super) const KEYS: &[Key] = &[
    Key::broker("log.segment.bytes", Kind::Int)
        .dynamic()
        .default("1073741824")
        .valid(Valid::AtLeast(1_048_576))
        .doc(SEGMENT_BYTES_DOC),
    Key::topic("segment.bytes", Kind::Int, &[same("log.segment.bytes")])
        .default("1073741824")
        .valid(Valid::AtLeast(1_048_576))
        .doc(SEGMENT_BYTES_DOC),
    Key::broker("log.roll.ms", Kind::Long)
        .dynamic()
        .valid(Valid::AtLeast(1))
        .doc("Age at which a segment is rolled. Not set: `log.roll.hours`."),
    Key::broker("log.roll.hours", Kind::Int)
        .default("168")
        .valid(Valid::AtLeast(1))
        .doc("Age at which a segment is rolled, when `log.roll.ms` is not set."),
    Key::topic(
        "segment.ms",
        Kind::Long,
        &[same("log.roll.ms"), times("log.roll.hours", MS_PER_HOUR)],
    )
    .default("604800000")
    .valid(Valid::AtLeast(1))
    .doc("Age at which a segment is rolled, by the timestamps of its records."),
    Key::broker("log.roll.jitter.ms", Kind::Long)
        .dynamic()
        .valid(Valid::AtLeast(0))
        .support(JITTER)
        .doc("Largest random time that is taken off it. Not set: `log.roll.jitter.hours`."),
    Key::broker("log.roll.jitter.hours", Kind::Int)
        .default("0")
        .valid(Valid::AtLeast(0))
        .support(JITTER)
        .doc("Largest random time that is taken off it, when `log.roll.jitter.ms` is not set."),
    Key::topic(
        "segment.jitter.ms",
        Kind::Long,
        &[
            same("log.roll.jitter.ms"),
            times("log.roll.jitter.hours", MS_PER_HOUR),
        ],
    )
    .default("0")
    .valid(Valid::AtLeast(0))
    .support(JITTER)
    .doc("Largest random time that is taken off `segment.ms`."),
    Key::broker("log.index.interval.bytes", Kind::Int)
        .dynamic()
        .default("4096")
        .valid(Valid::AtLeast(0))
        .doc(INDEX_INTERVAL_DOC),
    Key::topic(
        "index.interval.bytes",
        Kind::Int,
        &[same("log.index.interval.bytes")],
    )
    .default("4096")
    .valid(Valid::AtLeast(0))
    .doc(INDEX_INTERVAL_DOC),
    Key::broker("log.index.size.max.bytes", Kind::Int)
        .dynamic()
        .default("10485760")
        .valid(Valid::AtLeast(4))
        .doc(INDEX_SIZE_DOC),
    Key::topic(
        "segment.index.bytes",
        Kind::Int,
        &[same("log.index.size.max.bytes")],
    )
    .default("10485760")
    .valid(Valid::AtLeast(4))
    .doc(INDEX_SIZE_DOC),
    Key::broker("log.preallocate", Kind::Boolean)
        .dynamic()
        .default("false")
        .support(PREPARED)
        .doc(PREALLOCATE_DOC),
    Key::topic("preallocate", Kind::Boolean, &[same("log.preallocate")])
        .default("false")
        .support(PREPARED)
        .doc(PREALLOCATE_DOC),
    Key::broker("log.flush.before.ack", Kind::Boolean)
        .dynamic()
        .own()
        .default("true")
        .doc(FLUSH_BEFORE_ACK_DOC),
    Key::topic(
        "flush.before.ack",
        Kind::Boolean,
        &[same("log.flush.before.ack")],
    )
    .own()
    .default("true")
    .doc(FLUSH_BEFORE_ACK_DOC),
    Key::broker("log.flush.interval.messages", Kind::Long)
        .dynamic()
        .default(NEVER)
        .valid(Valid::AtLeast(1))
        .doc(FLUSH_MESSAGES_DOC),
    Key::topic(
        "flush.messages",
        Kind::Long,
        &[same("log.flush.interval.messages")],
    )
    .default(NEVER)
    .valid(Valid::AtLeast(1))
    .doc(FLUSH_MESSAGES_DOC),
    Key::broker("log.flush.interval.ms", Kind::Long)
        .dynamic()
        .valid(Valid::AtLeast(0))
        .doc("Longest time that a record of a class K log stays unflushed. Not set: no limit."),
    Key::topic("flush.ms", Kind::Long, &[same("log.flush.interval.ms")])
        .default(NEVER)
        .valid(Valid::AtLeast(0))
        .doc(FLUSH_MS_DOC),
    Key::broker("log.unflushed.bytes.max", Kind::Long)
        .own()
        .default("16777216")
        .valid(Valid::AtLeast(1_048_576))
        .doc(
            "A class P partition never has more bytes than this written but not flushed. \
             Recovery tells a torn tail from corruption by it. Not below `message.max.bytes`.",
        ),
    Key::broker("log.verify.bytes.per.second", Kind::Long)
        .own()
        .default("1048576")
        .valid(Valid::AtLeast(0))
        .doc(
            "Rate at which the broker reads its sealed segments again and checks every batch, to \
             find damage before a reader does. 0: it does not.",
        ),
    Key::broker("log.verify.interval.ms", Kind::Long)
        .own()
        .default("604800000")
        .valid(Valid::AtLeast(1))
        .doc(
            "A pass over all sealed segments begins at most once in this time; the first no later \
             than ten minutes after the start.",
        ),
    Key::broker("message.max.bytes", Kind::Int)
        .dynamic()
        .default("1048588")
        .valid(Valid::AtLeast(0))
        .doc(MAX_MESSAGE_DOC),
    Key::topic("max.message.bytes", Kind::Int, &[same("message.max.bytes")])
        .default("1048588")
        .valid(Valid::AtLeast(0))
        .doc(MAX_MESSAGE_DOC),
    Key::broker("log.message.timestamp.type", Kind::String)
        .dynamic()
        .default("CreateTime")
        .valid(TIMESTAMP_TYPES)
        .doc(TIMESTAMP_TYPE_DOC),
    Key::topic(
        "message.timestamp.type",
        Kind::String,
        &[same("log.message.timestamp.type")],
    )
    .default("CreateTime")
    .valid(TIMESTAMP_TYPES)
    .doc(TIMESTAMP_TYPE_DOC),
    Key::broker("log.message.timestamp.before.max.ms", Kind::Long)
        .dynamic()
        .default(NEVER)
        .valid(Valid::AtLeast(0))
        .doc(TIMESTAMP_BEFORE_DOC),
    Key::topic(
        "message.timestamp.before.max.ms",
        Kind::Long,
        &[same("log.message.timestamp.before.max.ms")],
    )
    .default(NEVER)
    .valid(Valid::AtLeast(0))
    .doc(TIMESTAMP_BEFORE_DOC),
    Key::broker("log.message.timestamp.after.max.ms", Kind::Long)
        .dynamic()
        .default("3600000")
        .valid(Valid::AtLeast(0))
        .doc(TIMESTAMP_AFTER_DOC),
    Key::topic(
        "message.timestamp.after.max.ms",
        Kind::Long,
        &[same("log.message.timestamp.after.max.ms")],
    )
    .default("3600000")
    .valid(Valid::AtLeast(0))
    .doc(TIMESTAMP_AFTER_DOC),
    Key::broker("compression.type", Kind::String)
        .dynamic()
        .default("producer")
        .valid(COMPRESSION_TYPES)
        .doc(COMPRESSION_DOC),
    Key::topic(
        "compression.type",
        Kind::String,
        &[same("compression.type")],
    )
    .default("producer")
    .valid(COMPRESSION_TYPES)
    .doc(COMPRESSION_DOC),
    Key::broker("compression.gzip.level", Kind::Int)
        .dynamic()
        .default("-1")
        .valid(Valid::BetweenOr(1, 9, -1))
        .doc(GZIP_LEVEL_DOC),
    Key::topic(
        "compression.gzip.level",
        Kind::Int,
        &[same("compression.gzip.level")],
    )
    .default("-1")
    .valid(Valid::BetweenOr(1, 9, -1))
    .doc(GZIP_LEVEL_DOC),
    Key::broker("compression.lz4.level", Kind::Int)
        .dynamic()
        .default("9")
        .valid(Valid::Between(1, 17))
        .support(Support::Stored("lz4's slower levels: its fast one is used"))
        .doc(LZ4_LEVEL_DOC),
    Key::topic(
        "compression.lz4.level",
        Kind::Int,
        &[same("compression.lz4.level")],
    )
    .default("9")
    .valid(Valid::Between(1, 17))
    .support(Support::Stored("lz4's slower levels: its fast one is used"))
    .doc(LZ4_LEVEL_DOC),
    Key::broker("compression.zstd.level", Kind::Int)
        .dynamic()
        .default("3")
        .valid(Valid::Between(-131_072, 22))
        .doc(ZSTD_LEVEL_DOC),
    Key::topic(
        "compression.zstd.level",
        Kind::Int,
        &[same("compression.zstd.level")],
    )
    .default("3")
    .valid(Valid::Between(-131_072, 22))
    .doc(ZSTD_LEVEL_DOC),
    Key::broker("producer.id.expiration.ms", Kind::Int)
        .dynamic()
        .default("86400000")
        .valid(Valid::AtLeast(1))
        .doc(
            "A partition forgets an idempotent producer that has been silent for this long, by its \
             last timestamp and by the time since the broker has heard of it. No less than \
             producers retry for.",
        ),
    Key::broker("producer.id.expiration.check.interval.ms", Kind::Int)
        .default("600000")
        .valid(Valid::AtLeast(1))
        .doc("How often a partition looks for producers to forget."),
];
