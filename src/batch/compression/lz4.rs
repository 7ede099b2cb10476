//! LZ4 frames as Kafka's own reader takes them: one frame of independent blocks, no dictionary.
//! Anything else would be stored and then break every Java consumer, so it is refused here. The
//! frame reader of `lz4_flex` is not used: it takes a frame without its end mark.

use std::io::{self, Read, Write};

use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
use twox_hash::XxHash32;

const MAGIC: [u8; 4] = [0x04, 0x22, 0x4d, 0x18];

/// Flags: version 01 and independent blocks are required, the reserved bits and the dictionary's
/// must be clear, the others say what follows.
const FLAGS_FIXED_MASK: u8 = 0b1110_0011;
const FLAGS_FIXED: u8 = 0b0110_0000;
const FLAG_BLOCK_CHECKSUM: u8 = 0b0001_0000;
const FLAG_CONTENT_SIZE: u8 = 0b0000_1000;
const FLAG_CONTENT_CHECKSUM: u8 = 0b0000_0100;

/// In a block's size: its bytes are not compressed.
const UNCOMPRESSED_BIT: u32 = 0x8000_0000;

/// Appends `payload` as a frame of 64 KiB blocks without checksums, as the Java client writes it.
pub(super) fn compress(payload: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    let info = FrameInfo::new()
        .block_size(BlockSize::Max64KB)
        .block_mode(BlockMode::Independent);
    let mut encoder = FrameEncoder::with_frame_info(info, out);
    encoder.write_all(payload)?;
    encoder.finish().map_err(io::Error::from)?;
    Ok(())
}

/// Reads one frame.
pub(super) struct Frame<'a> {
    rest: &'a [u8],
    stage: Stage,
    has_block_checksum: bool,
    has_content_checksum: bool,
    block_size_max: usize,
    /// Memory for the current block, and the part of it that has not been read.
    block: &'a mut Vec<u8>,
    start: usize,
    end: usize,
}

#[derive(PartialEq)]
enum Stage {
    Header,
    Blocks,
    End,
}

impl<'a> Frame<'a> {
    /// Uses `block` for at most one block, 4 MiB.
    pub(super) fn new(payload: &'a [u8], block: &'a mut Vec<u8>) -> Frame<'a> {
        Frame {
            rest: payload,
            stage: Stage::Header,
            has_block_checksum: false,
            has_content_checksum: false,
            block_size_max: 0,
            block,
            start: 0,
            end: 0,
        }
    }

    fn header(&mut self) -> io::Result<()> {
        if self.take(4)? != MAGIC {
            return Err(invalid());
        }
        let descriptor = self.rest;
        let fixed = self.take(2)?;
        let (flags, size_class) = (fixed[0], fixed[1] >> 4);
        let has_reserved_bits = fixed[1] & 0x8f != 0;
        if flags & FLAGS_FIXED_MASK != FLAGS_FIXED || has_reserved_bits || size_class < 4 {
            return Err(invalid());
        }
        if flags & FLAG_CONTENT_SIZE != 0 {
            self.take(8)?;
        }
        let descriptor = &descriptor[..descriptor.len() - self.rest.len()];
        if self.take(1)?[0] != (xxh32(descriptor) >> 8) as u8 {
            return Err(invalid());
        }
        self.has_block_checksum = flags & FLAG_BLOCK_CHECKSUM != 0;
        self.has_content_checksum = flags & FLAG_CONTENT_CHECKSUM != 0;
        self.block_size_max = 1 << (8 + 2 * u32::from(size_class));
        self.stage = Stage::Blocks;
        Ok(())
    }

    fn next_block(&mut self) -> io::Result<()> {
        let field = self.take_u32()?;
        let size = (field & !UNCOMPRESSED_BIT) as usize;
        if size == 0 {
            // The content checksum is not verified: the batch's CRC covers the same bytes, and
            // Kafka skips it too.
            if self.has_content_checksum {
                self.take(4)?;
            }
            self.stage = Stage::End;
            return if self.rest.is_empty() {
                Ok(())
            } else {
                Err(invalid())
            };
        }
        if size > self.block_size_max {
            return Err(invalid());
        }
        let stored = self.take(size)?;
        if self.has_block_checksum && self.take_u32()? != xxh32(stored) {
            return Err(invalid());
        }
        if self.block.len() < self.block_size_max {
            self.block.resize(self.block_size_max, 0);
        }
        self.start = 0;
        self.end = if field & UNCOMPRESSED_BIT != 0 {
            self.block[..size].copy_from_slice(stored);
            size
        } else {
            let room = &mut self.block[..self.block_size_max];
            lz4_flex::block::decompress_into(stored, room).map_err(|_| invalid())?
        };
        Ok(())
    }

    fn take(&mut self, size: usize) -> io::Result<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(size).ok_or_else(invalid)?;
        self.rest = rest;
        Ok(taken)
    }

    fn take_u32(&mut self) -> io::Result<u32> {
        let bytes = self.take(4)?;
        Ok(u32::from_le_bytes(bytes.try_into().expect("four bytes")))
    }
}

impl Read for Frame<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.start == self.end {
            match self.stage {
                Stage::Header => self.header()?,
                Stage::Blocks => self.next_block()?,
                Stage::End => return Ok(0),
            }
        }
        let size = out.len().min(self.end - self.start);
        out[..size].copy_from_slice(&self.block[self.start..self.start + size]);
        self.start += size;
        Ok(size)
    }
}

fn xxh32(bytes: &[u8]) -> u32 {
    XxHash32::oneshot(0, bytes)
}

fn invalid() -> io::Error {
    io::ErrorKind::InvalidData.into()
}
