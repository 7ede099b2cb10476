//! Memory for writes.

use glommio::io::DmaBuffer;

/// Aligned memory for one write. From the system's allocator, not from the ring's
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

    /// Memory with no contents yet: [`put`](DmaMemory::put) and
    /// [`put_zeros`](DmaMemory::put_zeros) must have set every byte before any is read.
    pub(super) fn uninitialised(size: usize) -> DmaMemory {
        DmaMemory {
            buffer: glommio::allocate_dma_buffer_global(size),
        }
    }

    pub(in crate::io) fn size(&self) -> usize {
        self.buffer.len()
    }

    /// Sets the bytes from `at` on.
    pub(in crate::io) fn put(&mut self, at: usize, bytes: &[u8]) {
        assert!(at <= self.size() && bytes.len() <= self.size() - at);
        // SAFETY: the range is inside the buffer, which nobody else can see. No reference to bytes
        // that are not set is made.
        unsafe {
            let target = self.buffer.as_mut_ptr().add(at);
            target.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        }
    }

    /// Zeros everything from `at` on.
    pub(in crate::io) fn put_zeros(&mut self, at: usize) {
        assert!(at <= self.size());
        // SAFETY: as in `put`.
        unsafe {
            let target = self.buffer.as_mut_ptr().add(at);
            target.write_bytes(0, self.size() - at);
        }
    }

    pub(in crate::io) fn as_slice(&self) -> &[u8] {
        self.buffer.as_bytes()
    }

    pub(in crate::io) fn as_mut_slice(&mut self) -> &mut [u8] {
        self.buffer.as_bytes_mut()
    }
}
