//! Snappy in its two framings: xerial's (snappy-java), a header and blocks with a length each, and
//! bare, one block without a length, as librdkafka sends it.

use std::io::{self, Read};

/// Start of xerial's framing, before its version and the oldest version that can read it.
const XERIAL_MAGIC: &[u8; 8] = b"\x82SNAPPY\0";
const XERIAL_VERSIONS: [u8; 8] = [0, 0, 0, 1, 0, 0, 0, 1];
const XERIAL_HEADER_SIZE: usize = 16;

/// Uncompressed bytes of a xerial block: what snappy-java writes.
const XERIAL_BLOCK_SIZE: usize = 32 * 1024;

/// The densest element of the format is a copy of 64 bytes that takes 3, so no valid block is
/// longer than this many times its size.
const RATIO_MAX: usize = 22;

/// Appends `payload` in xerial's framing.
pub(super) fn compress(payload: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(XERIAL_MAGIC);
    out.extend_from_slice(&XERIAL_VERSIONS);
    let mut encoder = snap::raw::Encoder::new();
    for block in payload.chunks(XERIAL_BLOCK_SIZE) {
        let length_position = out.len();
        let start = length_position + 4;
        out.resize(start + snap::raw::max_compress_len(block.len()), 0);
        let size = encoder
            .compress(block, &mut out[start..])
            .expect("the room is the format's upper bound");
        out[length_position..start].copy_from_slice(&(size as u32).to_be_bytes());
        out.truncate(start + size);
    }
}

/// Reads either framing, block by block.
pub(super) struct Blocks<'a> {
    rest: &'a [u8],
    is_xerial: bool,
    /// Memory for the current block, and the part of it that has not been read.
    block: &'a mut Vec<u8>,
    start: usize,
    end: usize,
    size_max: usize,
}

impl<'a> Blocks<'a> {
    /// A block that declares more than `size_max` bytes is an error before anything is allocated,
    /// [`io::ErrorKind::FileTooLarge`].
    pub(super) fn new(payload: &'a [u8], block: &'a mut Vec<u8>, size_max: usize) -> Blocks<'a> {
        let is_xerial = payload.len() >= XERIAL_HEADER_SIZE && payload.starts_with(XERIAL_MAGIC);
        Blocks {
            rest: if is_xerial {
                &payload[XERIAL_HEADER_SIZE..]
            } else {
                payload
            },
            is_xerial,
            block,
            start: 0,
            end: 0,
            size_max,
        }
    }

    fn next_block(&mut self) -> io::Result<()> {
        let compressed = if self.is_xerial {
            let (length, rest) = self.rest.split_at_checked(4).ok_or_else(invalid)?;
            let length = u32::from_be_bytes(length.try_into().expect("four bytes"));
            let parts = rest.split_at_checked(length as usize);
            let (compressed, rest) = parts.ok_or_else(invalid)?;
            self.rest = rest;
            compressed
        } else {
            std::mem::take(&mut self.rest)
        };
        let size = snap::raw::decompress_len(compressed)?;
        if size > compressed.len().saturating_mul(RATIO_MAX) {
            return Err(invalid());
        }
        if size > self.size_max {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        if self.block.len() < size {
            self.block.resize(size, 0);
        }
        self.start = 0;
        self.end = snap::raw::Decoder::new().decompress(compressed, &mut self.block[..size])?;
        Ok(())
    }
}

impl Read for Blocks<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.start == self.end {
            if self.rest.is_empty() {
                return Ok(0);
            }
            self.next_block()?;
        }
        let size = out.len().min(self.end - self.start);
        out[..size].copy_from_slice(&self.block[self.start..self.start + size]);
        self.start += size;
        Ok(size)
    }
}

fn invalid() -> io::Error {
    io::ErrorKind::InvalidData.into()
}
