//! Record batches: what a Produce request costs before it reaches its partition, and what our
//! producer pays to make one. `cargo bench -p bench --bench batch`.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ringlog::batch::{
    BatchBuilder, BatchOptions, BatchView, Codec, DECOMPRESSED_SIZE_MAX, Decompressor,
    ProduceLimits, RecordIter, TimestampType, validate_produce,
};

/// A producer's default `batch.size`, and what a busy one fills.
const BATCH_SIZES: [usize; 2] = [16 * 1024, 256 * 1024];
const RECORD_SIZES: [usize; 2] = [100, 1024];
const NOW: i64 = 1_700_000_000_000;

const LIMITS: ProduceLimits = ProduceLimits {
    produce_version: 13,
    max_message_bytes: 1_048_588,
    decompressed_size_max: DECOMPRESSED_SIZE_MAX,
    compression: None,
    timestamp_type: TimestampType::CreateTime,
    timestamp_before_max_ms: i64::MAX,
    timestamp_after_max_ms: 3_600_000,
    is_compacted: false,
    now: NOW,
};

/// A record value that compresses to about half: every other eight bytes are noise.
fn value(size: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut value = Vec::with_capacity(size + 16);
    while value.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        value.extend_from_slice(&state.to_be_bytes());
        value.extend_from_slice(b"some txt");
    }
    value.truncate(size);
    value
}

fn build(codec: Codec, batch_size: usize, values: &[Vec<u8>]) -> Bytes {
    let options = BatchOptions {
        compression: codec.into(),
        ..BatchOptions::default()
    };
    let mut builder = BatchBuilder::new(options, batch_size);
    for (index, value) in values.iter().enumerate() {
        builder.append(NOW + index as i64 / 8, None, Some(value), &[]);
    }
    builder.close()
}

/// Name, codec, batch size, values, and the finished batch.
type BatchCase = (String, Codec, usize, Vec<Vec<u8>>, Bytes);

/// Every case.
fn cases() -> Vec<BatchCase> {
    let mut cases = Vec::new();
    for codec in [Codec::None, Codec::Lz4, Codec::Zstd] {
        for batch_size in BATCH_SIZES {
            for record_size in RECORD_SIZES {
                let count = batch_size / record_size;
                let values: Vec<_> = (0..count).map(|i| value(record_size, i as u64)).collect();
                let name = format!("{}/{}KiB/{record_size}B", codec.name(), batch_size / 1024);
                let batch = build(codec, batch_size, &values);
                cases.push((name, codec, batch_size, values, batch));
            }
        }
    }
    cases
}

fn validate(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("validate");
    let mut decompressor = Decompressor::new();
    for (name, _, batch_size, _, batch) in cases() {
        group.throughput(Throughput::Bytes(batch_size as u64));
        group.bench_with_input(
            BenchmarkId::from_parameter(name),
            &batch,
            |bencher, batch| {
                bencher.iter(|| validate_produce(black_box(batch), &LIMITS, &mut decompressor))
            },
        );
    }
    group.finish();
}

fn read(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("read");
    let mut decompressor = Decompressor::new();
    for (name, _, batch_size, _, batch) in cases() {
        group.throughput(Throughput::Bytes(batch_size as u64));
        group.bench_with_input(
            BenchmarkId::from_parameter(name),
            &batch,
            |bencher, batch| {
                bencher.iter(|| {
                    let view = BatchView::parse(black_box(batch)).expect("a good batch");
                    let records = decompressor.records(&view, DECOMPRESSED_SIZE_MAX);
                    let records = records.expect("good records");
                    let values = RecordIter::new(view.header(), &records);
                    values
                        .map(|r| r.expect("a record").value.map_or(0, <[u8]>::len))
                        .sum::<usize>()
                })
            },
        );
    }
    group.finish();
}

fn make(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("build");
    for (name, codec, batch_size, values, _) in cases() {
        group.throughput(Throughput::Bytes(batch_size as u64));
        group.bench_with_input(
            BenchmarkId::from_parameter(name),
            &values,
            |bencher, values| bencher.iter(|| build(codec, batch_size, black_box(values))),
        );
    }
    group.finish();
}

criterion_group!(benches, validate, read, make);
criterion_main!(benches);
