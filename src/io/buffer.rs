//! Memory that can be handed to the disk.

use super::uring;

/// An aligned buffer for one write. Its size is a multiple of [`WRITE_UNIT`](super::WRITE_UNIT).
/// One that was not [filled](BufferFiller) starts as zeros (fresh DMA memory is not zeroed by
/// itself).
///
/// The write takes it by value and gives it back: while a write is in flight nobody can change it.
pub struct WriteBuffer {
    pub(in crate::io) side: BufferSide,
}

pub(in crate::io) enum BufferSide {
    Uring(uring::DmaMemory),
    Sim(Vec<u8>),
}

impl WriteBuffer {
    /// Size in bytes.
    pub fn size(&self) -> usize {
        self.as_slice().len()
    }

    pub fn as_slice(&self) -> &[u8] {
        match &self.side {
            BufferSide::Uring(memory) => memory.as_slice(),
            BufferSide::Sim(memory) => memory,
        }
    }

    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        match &mut self.side {
            BufferSide::Uring(memory) => memory.as_mut_slice(),
            BufferSide::Sim(memory) => memory,
        }
    }
}

impl std::fmt::Debug for WriteBuffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "WriteBuffer({} bytes)", self.size())
    }
}

/// A [`WriteBuffer`] that is being filled from its start, without having been zeroed before: that
/// would touch all of it twice.
pub struct BufferFiller {
    pub(in crate::io) side: BufferSide,
    filled: usize,
}

impl BufferFiller {
    pub(in crate::io) fn new(side: BufferSide) -> BufferFiller {
        BufferFiller { side, filled: 0 }
    }

    /// Fills a buffer that was used before.
    pub fn refill(buffer: WriteBuffer) -> BufferFiller {
        BufferFiller::new(buffer.side)
    }

    /// Size of the whole buffer in bytes.
    pub fn size(&self) -> usize {
        match &self.side {
            BufferSide::Uring(memory) => memory.size(),
            BufferSide::Sim(memory) => memory.len(),
        }
    }

    /// Bytes that were put in.
    pub fn filled(&self) -> usize {
        self.filled
    }

    /// Puts bytes behind those that are there.
    ///
    /// # Panics
    /// They do not fit.
    pub fn extend(&mut self, bytes: &[u8]) {
        let end = self.filled + bytes.len();
        assert!(end <= self.size(), "more bytes than the buffer holds");
        match &mut self.side {
            BufferSide::Uring(memory) => memory.put(self.filled, bytes),
            BufferSide::Sim(memory) => memory[self.filled..end].copy_from_slice(bytes),
        }
        self.filled = end;
    }

    /// The buffer, zeros behind what was put in.
    pub fn finish(mut self) -> WriteBuffer {
        let filled = self.filled;
        match &mut self.side {
            BufferSide::Uring(memory) => memory.put_zeros(filled),
            BufferSide::Sim(memory) => memory[filled..].fill(0),
        }
        WriteBuffer { side: self.side }
    }
}

const _: () = assert!(super::WRITE_UNIT.is_power_of_two());

impl WriteBuffer {
    pub(in crate::io) fn check_size(size: usize) {
        assert!(
            size > 0 && size.is_multiple_of(super::WRITE_UNIT),
            "a write buffer of {size} bytes is not a multiple of {}",
            super::WRITE_UNIT
        );
    }
}
