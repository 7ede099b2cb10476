//! The kernel's threads that carry out what a ring cannot do without waiting: syncs of files,
//! writes that extend one.
//!
//! # Non-obvious
//! - How many a thread gets is settled by the first ring that it has, and that is a small one of
//!   glommio's: two (`io_init_wq_offload` in Linux's `io_uring/tctx.c`: the entries of that ring,
//!   at most four a processor). All others of its syncs and writes then wait in the kernel, where
//!   nothing of ours sees them.

use std::fs;
use std::os::fd::RawFd;

use nix::libc;

/// Of each kind, for a shard: as many syncs of files as a directory has under way, and as many
/// writes beside them (docs/performance.md).
const WORKERS_MAX: u32 = 32;

/// `IORING_REGISTER_IOWQ_MAX_WORKERS`, since Linux 5.15.
const REGISTER_MAX_WORKERS: libc::c_uint = 19;

/// Raises the limit of the calling thread, which has made its rings. A kernel that does not know
/// the call keeps its own.
pub(super) fn raise_worker_limit() {
    for ring in rings() {
        register(ring, WORKERS_MAX);
    }
}

/// The rings of this process; those of other threads get the same limit.
fn rings() -> Vec<RawFd> {
    let entries = fs::read_dir("/proc/self/fd")
        .into_iter()
        .flatten()
        .flatten();
    let is_ring = |entry: &fs::DirEntry| {
        let target = fs::read_link(entry.path());
        target.is_ok_and(|target| target.as_os_str() == "anon_inode:[io_uring]")
    };
    let names = entries.filter(is_ring).map(|entry| entry.file_name());
    names
        .filter_map(|name| name.to_str()?.parse().ok())
        .collect()
}

/// Sets the limit for workers that are bounded, or with 0 only asks; the one before.
fn register(ring: RawFd, limit: u32) -> Option<u32> {
    let mut limits = [limit, 0];
    let (call, count) = (libc::SYS_io_uring_register, limits.len());
    // SAFETY: the kernel reads and writes two numbers of 32 bits. Of a descriptor that is no ring,
    // or no more, it says so and does nothing.
    let result =
        unsafe { libc::syscall(call, ring, REGISTER_MAX_WORKERS, limits.as_mut_ptr(), count) };
    (result == 0).then_some(limits[0])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::{ReactorOptions, start};

    #[test]
    fn a_shard_has_more_workers_than_its_first_ring_allows() {
        let options = ReactorOptions {
            shard_count: 2,
            ..ReactorOptions::default()
        };
        let limits = |_| async {
            let asked = rings().into_iter().map(|ring| register(ring, 0));
            asked.collect::<Vec<_>>()
        };
        for limits in start(options, limits).unwrap().join() {
            let limits = limits.unwrap();
            assert!(limits.len() > 1, "each shard has rings");
            // Before Linux 5.15 there is no answer.
            let is_raised = |limit: &Option<u32>| limit.is_none_or(|limit| limit == WORKERS_MAX);
            assert!(limits.iter().all(is_raised), "{limits:?}");
        }
    }
}
