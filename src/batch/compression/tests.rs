use super::*;
use crate::batch::{BatchBuilder, BatchOptions};
use proptest::prelude::*;

fn compressed(codec: Codec, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Compression::from(codec).compress(payload, &mut out);
    out
}

fn decompressed(codec: Codec, bytes: &[u8], size_max: usize) -> Result<Vec<u8>, BatchError> {
    let mut decompressor = Decompressor::new();
    decompress_with(&mut decompressor, codec, bytes, size_max)
}

fn decompress_with(
    decompressor: &mut Decompressor,
    codec: Codec,
    bytes: &[u8],
    size_max: usize,
) -> Result<Vec<u8>, BatchError> {
    let mut all = Vec::new();
    decompressor.with_stream(codec, bytes, size_max, |stream| {
        while !stream.fill(1)?.is_empty() {
            let window = stream.fill(1)?;
            all.extend_from_slice(window);
            let size = window.len();
            stream.consume(size);
        }
        Ok(())
    })?;
    Ok(all)
}

/// Text that compresses, over several blocks of every codec, with a stretch that does not.
fn sample() -> Vec<u8> {
    let mut sample = b"the quick brown fox ".repeat(10_000);
    let mut state = 1u64;
    sample.extend((0..100_000).map(|_| {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (state >> 33) as u8
    }));
    sample
}

#[test]
fn every_codec_gives_back_what_it_was_given() {
    let sample = sample();
    let mut decompressor = Decompressor::new();
    for codec in Codec::ALL {
        for size in [0, 1, 100, 65_535, 65_536, 65_537, sample.len()] {
            let bytes = compressed(codec, &sample[..size]);
            let back = decompress_with(&mut decompressor, codec, &bytes, DECOMPRESSED_SIZE_MAX);
            assert_eq!(back.as_deref(), Ok(&sample[..size]), "{codec:?} {size}");
        }
    }
}

#[test]
fn levels_are_honoured() {
    let lines = (0..20_000u32).map(|i| format!("line {} of {}; ", i.wrapping_mul(7919) % 9973, i));
    let sample = lines.collect::<String>().into_bytes();
    for (codec, low, high) in [(Codec::Gzip, 1, 9), (Codec::Zstd, 1, 19)] {
        let size = |level| {
            let mut out = Vec::new();
            let level = Some(level);
            Compression { codec, level }.compress(&sample, &mut out);
            assert_eq!(
                decompressed(codec, &out, sample.len()).as_ref(),
                Ok(&sample)
            );
            out.len()
        };
        assert_ne!(size(high), size(low), "{codec:?}");
    }
}

#[test]
fn bare_snappy_is_read_too() {
    let sample = sample();
    let bare = snap::raw::Encoder::new().compress_vec(&sample).unwrap();
    assert_eq!(decompressed(Codec::Snappy, &bare, sample.len()), Ok(sample));
}

#[test]
fn an_lz4_frame_with_all_its_options_is_read() {
    let sample = sample();
    let info = lz4_flex::frame::FrameInfo::new()
        .block_size(lz4_flex::frame::BlockSize::Max256KB)
        .block_mode(lz4_flex::frame::BlockMode::Independent)
        .content_size(Some(sample.len() as u64))
        .block_checksums(true)
        .content_checksum(true);
    let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(&sample).unwrap();
    let frame = encoder.finish().unwrap();
    assert_eq!(decompressed(Codec::Lz4, &frame, sample.len()), Ok(sample));
    let mut damaged = frame;
    let position = damaged.len() / 2;
    damaged[position] ^= 1;
    let error = decompressed(Codec::Lz4, &damaged, usize::MAX).unwrap_err();
    assert_eq!(error, BatchError::Decompression(Codec::Lz4));
}

#[test]
fn an_lz4_frame_that_java_cannot_read_is_refused() {
    let sample = sample();
    let info = lz4_flex::frame::FrameInfo::new()
        .block_mode(lz4_flex::frame::BlockMode::Linked)
        .block_size(lz4_flex::frame::BlockSize::Max64KB);
    let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(&sample).unwrap();
    let linked = encoder.finish().unwrap();
    let frame = compressed(Codec::Lz4, &sample);
    let no_end_mark = frame[..frame.len() - 4].to_vec();
    let mut bad_header = frame.clone();
    bad_header[6] ^= 1;
    let mut trailing = frame;
    trailing.push(0);
    for frame in [linked, no_end_mark, bad_header, trailing] {
        let error = decompressed(Codec::Lz4, &frame, usize::MAX).unwrap_err();
        assert_eq!(error, BatchError::Decompression(Codec::Lz4));
    }
}

#[test]
fn every_truncation_is_an_error() {
    let payload = b"0123456789abcdef".repeat(20);
    for codec in &Codec::ALL[1..] {
        let bytes = compressed(*codec, &payload);
        for size in 1..bytes.len() {
            let back = decompressed(*codec, &bytes[..size], usize::MAX);
            // Xerial's framing has no end: a cut between its header and a block is an empty stream.
            let is_empty_snappy = *codec == Codec::Snappy && size == 16;
            assert!(back.is_err() || is_empty_snappy, "{codec:?} cut at {size}");
        }
    }
}

#[test]
fn a_bomb_stops_at_the_limit() {
    const LIMIT: usize = 1024 * 1024;
    let zeros = vec![0; 64 * LIMIT];
    for codec in &Codec::ALL[1..] {
        let bytes = compressed(*codec, &zeros);
        let error = decompressed(*codec, &bytes, LIMIT).unwrap_err();
        assert_eq!(error, BatchError::DecompressedTooLarge(LIMIT), "{codec:?}");
    }
}

#[test]
fn memory_of_a_large_batch_is_not_kept() {
    let zeros = vec![0; 4 * KEPT_SIZE_MAX];
    let mut decompressor = Decompressor::new();
    let bare = snap::raw::Encoder::new().compress_vec(&zeros).unwrap();
    let wide_window = zstd::stream::encode_all(&zeros[..], 19).unwrap();
    for (codec, bytes) in [(Codec::Snappy, bare), (Codec::Zstd, wide_window)] {
        let back = decompress_with(&mut decompressor, codec, &bytes, zeros.len());
        assert_eq!(back.map(|back| back.len()), Ok(zeros.len()));
        assert!(decompressor.block.capacity() <= KEPT_SIZE_MAX);
        assert!(decompressor.zstd.is_none());
    }
    let usual = compressed(Codec::Zstd, &sample());
    decompress_with(&mut decompressor, Codec::Zstd, &usual, zeros.len()).unwrap();
    assert!(
        decompressor.zstd.is_some(),
        "usual batches share their context"
    );
}

#[test]
fn a_promised_size_reserves_nothing() {
    // A bare snappy block that declares 4 GiB less one, and one within the limit but beyond what
    // its few bytes can hold.
    for declared in [
        &[0xff, 0xff, 0xff, 0xff, 0x0f][..],
        &[0x80, 0x80, 0x80, 0x10],
    ] {
        let bytes = [declared, &[0; 16]].concat();
        let mut block = Vec::new();
        let mut blocks = snappy::Blocks::new(&bytes, &mut block, DECOMPRESSED_SIZE_MAX);
        assert!(blocks.read(&mut [0; 16]).is_err());
        assert_eq!(block.capacity(), 0);
    }
}

#[test]
fn records_of_a_plain_batch_are_its_own_bytes() {
    let mut builder = BatchBuilder::new(BatchOptions::default(), 0);
    builder.append(1, None, Some(b"value"), &[]);
    let bytes = builder.close();
    let batch = BatchView::parse(&bytes).unwrap();
    let records = Decompressor::new().records(&batch, 0).unwrap();
    assert!(std::ptr::eq(&*records, batch.payload()));
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic_nor_exceed_the_limit(
        codec in 1u8..5, bytes: Vec<u8>, frame_size in 0usize..24,
    ) {
        const LIMIT: usize = 4096;
        let codec = Codec::from_id(codec).unwrap();
        let start = compressed(codec, &b"abc".repeat(50));
        let bytes = [&start[..frame_size.min(start.len())], &bytes].concat();
        if let Ok(back) = decompressed(codec, &bytes, LIMIT) {
            prop_assert!(back.len() <= LIMIT);
        }
    }
}
