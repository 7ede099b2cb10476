//! A counting allocator: how much memory a piece of work has reserved at once. Also that of
//! `tests/memory.rs`.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

struct Counting;

static RESERVED: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let reserved = RESERVED.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(reserved, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        RESERVED.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes that are reserved now.
pub(crate) fn reserved() -> usize {
    RESERVED.load(Ordering::Relaxed)
}

/// The most that `work` had reserved at once, bytes, and what it returned. What C code reserves is
/// not counted; libFuzzer's limit on the process holds it.
pub(crate) fn measured<T>(work: impl FnOnce() -> T) -> (usize, T) {
    let before = reserved();
    PEAK.store(before, Ordering::Relaxed);
    let result = work();
    let peak = PEAK.load(Ordering::Relaxed).saturating_sub(before);
    (peak, result)
}
