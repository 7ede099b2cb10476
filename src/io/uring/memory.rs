//! Memory for writes, and what the allocator keeps.

use glommio::io::DmaBuffer;
#[cfg(target_env = "gnu")]
use nix::libc;

/// Blocks from this size on, bytes, are mapped by themselves and go back to the system when they
/// are freed.
#[cfg(target_env = "gnu")]
const MAPPED_SIZE_MIN: libc::c_int = 4 << 20;

/// Freed memory at the end of a thread's heap beyond this, bytes, goes back to the system.
#[cfg(target_env = "gnu")]
const KEPT_SIZE_MAX: libc::c_int = 8 << 20;

/// Bounds the memory that is freed and not given back. Left alone, glibc raises both limits by the
/// largest block that was ever freed, up to 64 MiB for each thread: one large answer, and the
/// process stays larger by as much.
pub(super) fn bound_kept_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it changes two numbers of the allocator, under the allocator's own lock.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_SIZE_MIN);
        libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT_SIZE_MAX);
    }
}

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
