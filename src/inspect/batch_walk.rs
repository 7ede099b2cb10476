//! The batches of a segment, one after the other, in bounded memory.

use std::io::{Error, ErrorKind, Result};

use super::files::ReadAt;
use crate::batch::{
    BatchError, BatchHeader, BatchView, CRC_START, HEADER_SIZE, LOG_OVERHEAD, ScanEnd,
};

/// One read.
const READ_SIZE: usize = 1 << 20;

/// The largest batch that is held in memory; of a larger one only header and CRC are looked at.
const BATCH_IN_MEMORY_SIZE_MAX: usize = 256 << 20;

/// A batch as it lies in a file.
#[derive(Debug)]
pub struct StoredBatch<'a> {
    /// Where it begins.
    pub position: u64,
    pub header: BatchHeader,
    /// [`BatchError::Crc`] if its bytes are not those that were sealed.
    pub crc: std::result::Result<(), BatchError>,
    /// With its records, unless it is too large to be held in memory.
    pub view: Option<BatchView<'a>>,
}

/// Reads batches from a position on, until the first bytes that are none.
pub struct BatchWalk<'a> {
    file: &'a dyn ReadAt,
    /// Where the next batch begins.
    position: u64,
    buffer: Vec<u8>,
    /// Position of the buffer's first byte.
    buffer_position: u64,
    end: Option<ScanEnd>,
}

impl<'a> BatchWalk<'a> {
    pub fn new(file: &'a dyn ReadAt, position: u64) -> BatchWalk<'a> {
        BatchWalk {
            file,
            position,
            buffer: Vec::new(),
            buffer_position: position,
            end: None,
        }
    }

    /// Byte after the last batch that was returned.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Why there are no more batches; `None` while there may be.
    pub fn end(&self) -> Option<ScanEnd> {
        self.end
    }

    /// The next batch. It lends the walk's memory, so it goes before the one after it comes.
    pub fn next_batch(&mut self) -> Result<Option<StoredBatch<'_>>> {
        if self.end.is_some() {
            return Ok(None);
        }
        let position = self.position;
        let header = match self.read_header()? {
            Ok(header) => header,
            Err(end) => {
                self.end = Some(end);
                return Ok(None);
            }
        };
        let size = header.size_in_bytes();
        self.position += size as u64;
        if size > BATCH_IN_MEMORY_SIZE_MAX {
            let computed = self.crc_of(position, size)?;
            let crc = match computed == header.crc {
                true => Ok(()),
                false => Err(BatchError::Crc {
                    stored: header.crc,
                    computed,
                }),
            };
            return Ok(Some(StoredBatch {
                position,
                header,
                crc,
                view: None,
            }));
        }
        let bytes = self.fill(position, size)?;
        let view = BatchView::parse(bytes).map_err(|_| shrunk())?;
        Ok(Some(StoredBatch {
            position,
            header,
            crc: view.check_crc(),
            view: Some(view),
        }))
    }

    /// The header at the walk's position, of a batch that is there to its end.
    fn read_header(&mut self) -> Result<std::result::Result<BatchHeader, ScanEnd>> {
        let position = self.position;
        let left = self.file.size().saturating_sub(position);
        let bytes = self.fill(position, HEADER_SIZE)?;
        let bytes = &bytes[..bytes.len().min(HEADER_SIZE)];
        if bytes.is_empty() {
            return Ok(Err(ScanEnd::Complete));
        }
        if bytes.len() >= LOG_OVERHEAD && bytes.iter().all(|&byte| byte == 0) {
            return Ok(Err(ScanEnd::Zeros));
        }
        Ok(match BatchHeader::parse(bytes) {
            Ok(header) if header.size_in_bytes() as u64 > left => Err(ScanEnd::Truncated {
                needed: header.size_in_bytes(),
            }),
            Ok(header) => Ok(header),
            Err(BatchError::Truncated { needed, .. }) => Err(ScanEnd::Truncated { needed }),
            Err(error) => Err(ScanEnd::Corrupt(error)),
        })
    }

    /// The bytes from `position` on: `wanted` or more, fewer only where the file ends.
    fn fill(&mut self, position: u64, wanted: usize) -> Result<&[u8]> {
        let buffer_end = self.buffer_position + self.buffer.len() as u64;
        if position < self.buffer_position || position + wanted as u64 > buffer_end {
            let left = self.file.size().saturating_sub(position);
            let size = left.min(wanted.max(READ_SIZE) as u64);
            self.buffer.resize(size as usize, 0);
            let size = self.file.read_at(position, &mut self.buffer)?;
            self.buffer.truncate(size);
            // What one large batch took is given back.
            self.buffer.shrink_to(wanted.max(READ_SIZE));
            self.buffer_position = position;
        }
        Ok(&self.buffer[(position - self.buffer_position) as usize..])
    }

    fn crc_of(&mut self, position: u64, size: usize) -> Result<u32> {
        let end = position + size as u64;
        let mut at = position + CRC_START as u64;
        let mut crc = 0;
        while at < end {
            let bytes = self.fill(at, READ_SIZE)?;
            let piece = bytes.len().min((end - at) as usize);
            if piece == 0 {
                return Err(shrunk());
            }
            crc = crc32c::crc32c_append(crc, &bytes[..piece]);
            at += piece as u64;
        }
        Ok(crc)
    }
}

fn shrunk() -> Error {
    Error::new(
        ErrorKind::UnexpectedEof,
        "the file shrank while it was read",
    )
}
