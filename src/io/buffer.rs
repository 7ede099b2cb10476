//! Memory that can be handed to the disk.

use super::uring;

/// An aligned buffer for one write. Its size is a multiple of [`WRITE_UNIT`](super::WRITE_UNIT),
/// its contents start as zeros (fresh DMA memory is not zeroed by itself).
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
