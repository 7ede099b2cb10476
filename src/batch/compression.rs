//! Codecs of record batches: compressing a payload, and bounded decompression as a stream.

mod lz4;
mod snappy;

use std::borrow::Cow;
use std::io::{self, Read, Write};

use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;
use zstd::stream::read::Decoder as ZstdDecoder;
use zstd::zstd_safe::{DCtx, DParameter, ResetDirective};

use super::error::BatchError;
use super::header::BatchView;
use super::walk::RecordSource;

/// Most bytes that one batch may hold when decompressed: 128 times the default
/// `max.message.bytes`. Kafka has no such limit; without one, 1 MiB of zstd is 30 GiB of records,
/// and a shard does nothing else while it reads them.
pub const DECOMPRESSED_SIZE_MAX: usize = 128 * 1024 * 1024;

/// Largest zstd window: what level 22, the highest that Kafka's clients offer, declares. The memory
/// is touched only as far as data is decompressed into it.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// Bytes decompressed at a time.
const WINDOW_SIZE: usize = 64 * 1024;

/// A block buffer, or zstd's state with its window, that grew beyond this is not kept for the next
/// batch: the largest LZ4 block, and the window of zstd's usual levels.
const KEPT_SIZE_MAX: usize = 4 * 1024 * 1024;

/// How records are compressed: the number in a batch's attributes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Codec {
    #[default]
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

impl Codec {
    pub const ALL: [Codec; 5] = [
        Codec::None,
        Codec::Gzip,
        Codec::Snappy,
        Codec::Lz4,
        Codec::Zstd,
    ];

    /// The codec of a number in attributes; [`BatchError::UnknownCodec`] for 5 to 7.
    pub fn from_id(id: u8) -> Result<Codec, BatchError> {
        let codec = Codec::ALL.get(usize::from(id)).copied();
        codec.ok_or(BatchError::UnknownCodec(id))
    }

    /// The number in attributes.
    pub fn id(self) -> u8 {
        self as u8
    }

    /// The name in `compression.type`.
    pub fn name(self) -> &'static str {
        match self {
            Codec::None => "none",
            Codec::Gzip => "gzip",
            Codec::Snappy => "snappy",
            Codec::Lz4 => "lz4",
            Codec::Zstd => "zstd",
        }
    }

    /// The codec of a `compression.type`.
    pub fn from_name(name: &str) -> Option<Codec> {
        Codec::ALL.into_iter().find(|codec| codec.name() == name)
    }
}

/// A codec and how hard it tries.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Compression {
    pub codec: Codec,
    /// gzip 1-9 (default 6), zstd -131072 to 22 (default 3). snappy has no levels; lz4 has one
    /// here, Kafka's fast one, whatever is asked for.
    pub level: Option<i32>,
}

impl From<Codec> for Compression {
    fn from(codec: Codec) -> Compression {
        Compression { codec, level: None }
    }
}

impl Compression {
    /// Appends `payload`, compressed, to `out`.
    pub(super) fn compress(self, payload: &[u8], out: &mut Vec<u8>) {
        let written = match self.codec {
            Codec::None => out.write_all(payload),
            Codec::Gzip => {
                let level = self.level.unwrap_or(6).clamp(0, 9) as u32;
                let mut encoder = GzEncoder::new(out, flate2::Compression::new(level));
                encoder
                    .write_all(payload)
                    .and_then(|()| encoder.try_finish())
            }
            Codec::Snappy => {
                snappy::compress(payload, out);
                Ok(())
            }
            Codec::Lz4 => lz4::compress(payload, out),
            Codec::Zstd => zstd::bulk::compress(payload, self.level.unwrap_or(3))
                .and_then(|compressed| out.write_all(&compressed)),
        };
        written.expect("compressing into memory fails for no input");
    }
}

/// Decompresses batches, one at a time, and keeps its memory for the next. One a shard; a new one
/// is free until it meets a compressed batch.
#[derive(Default)]
pub struct Decompressor {
    window: Vec<u8>,
    block: Vec<u8>,
    zstd: Option<DCtx<'static>>,
}

impl std::fmt::Debug for Decompressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decompressor").finish_non_exhaustive()
    }
}

impl Decompressor {
    pub fn new() -> Decompressor {
        Decompressor::default()
    }

    /// The records of `batch` for [`super::RecordIter`]: its own bytes if they are not compressed.
    ///
    /// Allocates as it reads, at most `size_max` and the codec's own state
    /// ([`BatchError::DecompressedTooLarge`]); whatever a header promises reserves nothing.
    pub fn records<'a>(
        &mut self,
        batch: &BatchView<'a>,
        size_max: usize,
    ) -> Result<Cow<'a, [u8]>, BatchError> {
        let codec = batch.codec()?;
        if codec == Codec::None {
            return Ok(Cow::Borrowed(batch.payload()));
        }
        let mut records = Vec::new();
        self.with_stream(codec, batch.payload(), size_max, |stream| {
            loop {
                let window = stream.fill(1)?;
                if window.is_empty() {
                    return Ok(());
                }
                records.extend_from_slice(window);
                let size = window.len();
                stream.consume(size);
            }
        })?;
        Ok(Cow::Owned(records))
    }

    /// Lets `read` have the decompressed bytes of `payload` as a stream, which ends in an error
    /// once it has given `size_max`.
    pub(super) fn with_stream<T>(
        &mut self,
        codec: Codec,
        payload: &[u8],
        size_max: usize,
        read: impl FnOnce(&mut DecompressedStream<'_>) -> Result<T, BatchError>,
    ) -> Result<T, BatchError> {
        self.window.resize(WINDOW_SIZE, 0);
        let reader = match codec {
            Codec::None => Reader::Plain(payload),
            Codec::Gzip => Reader::Gzip(Box::new(MultiGzDecoder::new(payload))),
            Codec::Snappy => {
                Reader::Snappy(snappy::Blocks::new(payload, &mut self.block, size_max))
            }
            Codec::Lz4 => Reader::Lz4(lz4::Frame::new(payload, &mut self.block)),
            Codec::Zstd => {
                let context = reset_zstd(&mut self.zstd);
                Reader::Zstd(ZstdDecoder::with_context(payload, context))
            }
        };
        let result = read(&mut DecompressedStream {
            reader,
            codec,
            window: &mut self.window,
            start: 0,
            end: 0,
            budget: size_max,
            size_max,
        });
        self.release_excess();
        result
    }

    fn release_excess(&mut self) {
        if self.block.capacity() > KEPT_SIZE_MAX {
            self.block = Vec::new();
        }
        if (self.zstd.as_ref()).is_some_and(|context| context.sizeof() > KEPT_SIZE_MAX) {
            self.zstd = None;
        }
    }
}

fn reset_zstd<'a>(slot: &'a mut Option<DCtx<'static>>) -> &'a mut DCtx<'static> {
    let context = slot.get_or_insert_with(DCtx::create);
    let reset = context.reset(ResetDirective::SessionAndParameters);
    let limited = context.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX));
    assert!(reset.and(limited).is_ok(), "a zstd context can be reset");
    context
}

enum Reader<'a> {
    Plain(&'a [u8]),
    Gzip(Box<MultiGzDecoder<&'a [u8]>>),
    Snappy(snappy::Blocks<'a>),
    Lz4(lz4::Frame<'a>),
    Zstd(ZstdDecoder<'a, &'a [u8]>),
}

impl Read for Reader<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Reader::Plain(bytes) => bytes.read(out),
            Reader::Gzip(reader) => reader.read(out),
            Reader::Snappy(reader) => reader.read(out),
            Reader::Lz4(reader) => reader.read(out),
            Reader::Zstd(reader) => reader.read(out),
        }
    }
}

/// Decompressed bytes through a window of [`WINDOW_SIZE`].
pub(super) struct DecompressedStream<'a> {
    reader: Reader<'a>,
    codec: Codec,
    window: &'a mut [u8],
    /// What is in the window and not yet consumed.
    start: usize,
    end: usize,
    /// Bytes that may still be read.
    budget: usize,
    size_max: usize,
}

impl RecordSource for DecompressedStream<'_> {
    fn fill(&mut self, want: usize) -> Result<&[u8], BatchError> {
        debug_assert!(want <= self.window.len());
        if self.end - self.start < want {
            self.window.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            while self.end < want {
                let read = self.reader.read(&mut self.window[self.end..]);
                let too_large = BatchError::DecompressedTooLarge(self.size_max);
                let size = read.map_err(|error| match error.kind() {
                    io::ErrorKind::FileTooLarge => too_large,
                    _ => BatchError::Decompression(self.codec),
                })?;
                if size == 0 {
                    break;
                }
                self.end += size;
                self.budget = self.budget.checked_sub(size).ok_or(too_large)?;
            }
        }
        Ok(&self.window[self.start..self.end])
    }

    fn consume(&mut self, size: usize) {
        self.start += size;
        debug_assert!(self.start <= self.end);
    }

    fn skip(&mut self, mut size: usize) -> Result<bool, BatchError> {
        loop {
            let step = size.min(self.end - self.start);
            self.start += step;
            size -= step;
            if size == 0 {
                return Ok(true);
            }
            if self.fill(1)?.is_empty() {
                return Ok(false);
            }
        }
    }
}

#[cfg(test)]
mod tests;
