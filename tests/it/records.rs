//! Record batches for tests, sound ones and broken ones, and what a fetch brought back.

use bytes::Bytes;
use ringlog::batch::{
    BatchBuilder, BatchIter, BatchOptions, CRC_START, Codec, CrcCheck, DECOMPRESSED_SIZE_MAX,
    Decompressor, NO_TIMESTAMP, Producer, RecordIter, ScanEnd,
};

/// Bytes 17 to 20 of a batch.
const CRC_POSITION: usize = 17;

/// A batch of records without keys and timestamps.
pub(crate) fn batch<V: AsRef<[u8]>>(values: &[V]) -> Bytes {
    compressed(values, Codec::None)
}

/// The same, compressed.
pub(crate) fn compressed<V: AsRef<[u8]>>(values: &[V], codec: Codec) -> Bytes {
    let options = BatchOptions {
        compression: codec.into(),
        ..BatchOptions::default()
    };
    of_values(options, values)
}

/// A batch of an idempotent producer.
pub(crate) fn sequenced<V: AsRef<[u8]>>(
    (id, epoch): (i64, i16),
    base_sequence: i32,
    values: &[V],
) -> Bytes {
    let producer = Producer {
        id,
        epoch,
        base_sequence,
    };
    let options = BatchOptions {
        producer: Some(producer),
        ..BatchOptions::default()
    };
    of_values(options, values)
}

pub(crate) fn of_values<V: AsRef<[u8]>>(options: BatchOptions, values: &[V]) -> Bytes {
    let mut builder = BatchBuilder::new(options, 0);
    for value in values {
        builder.append(NO_TIMESTAMP, None, Some(value.as_ref()), &[]);
    }
    builder.close()
}

/// A batch of records with these timestamps, ms; the values are the timestamps in decimal.
pub(crate) fn timed(timestamps: &[i64], codec: Codec) -> Bytes {
    let options = BatchOptions {
        compression: codec.into(),
        ..BatchOptions::default()
    };
    let mut builder = BatchBuilder::new(options, 0);
    for timestamp in timestamps {
        let value = timestamp.to_string();
        builder.append(*timestamp, None, Some(value.as_bytes()), &[]);
    }
    builder.close()
}

/// Ms since 1970.
pub(crate) fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    i64::try_from(since.unwrap().as_millis()).unwrap()
}

/// `batch` changed, with a CRC that is right again.
pub(crate) fn changed(batch: &Bytes, change: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    let mut bytes = batch.to_vec();
    change(&mut bytes);
    let crc = crc32c::crc32c(&bytes[CRC_START..]);
    bytes[CRC_POSITION..CRC_START].copy_from_slice(&crc.to_be_bytes());
    Bytes::from(bytes)
}

/// A record as a consumer sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fetched {
    pub(crate) offset: i64,
    pub(crate) timestamp: i64,
    pub(crate) value: String,
}

/// The records of a fetch. Every batch in it must be whole and sound.
pub(crate) fn fetched(records: &Bytes) -> Vec<Fetched> {
    let mut batches = BatchIter::new(records, CrcCheck::Verify);
    let mut decompressor = Decompressor::new();
    let mut all = Vec::new();
    for batch in &mut batches {
        let payload = decompressor.records(&batch, DECOMPRESSED_SIZE_MAX).unwrap();
        for record in RecordIter::new(batch.header(), &payload) {
            let record = record.unwrap();
            all.push(Fetched {
                offset: record.offset,
                timestamp: record.timestamp,
                value: String::from_utf8_lossy(record.value.unwrap_or_default()).into_owned(),
            });
        }
    }
    assert_eq!(batches.end(), Some(ScanEnd::Complete), "a part of a batch");
    all
}
