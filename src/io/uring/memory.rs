//! Memory for writes.

use glommio::io::DmaBuffer;

/// Aligned, zeroed memory for one write. From the system's allocator, not from the ring's
/// registered buffers: those are pinned and count against RLIMIT_MEMLOCK.
pub struct DmaMemory {
    pub(super) buffer: DmaBuffer,
}

impl DmaMemory {
    pub(super) fn zeroed(size: usize) -> DmaMemory {
        let mut buffer = glommio::allocate_dma_buffer_global(size);
        buffer.as_bytes_mut().fill(0);
        DmaMemory { buffer }
    }

    pub(in crate::io) fn as_slice(&self) -> &[u8] {
        self.buffer.as_bytes()
    }

    pub(in crate::io) fn as_mut_slice(&mut self) -> &mut [u8] {
        self.buffer.as_bytes_mut()
    }
}
