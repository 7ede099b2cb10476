//! What a shard gives to the disk at the same time.

use super::*;

/// A write of the largest size at a time.
const BUDGET: usize = 1 << 20;

#[test]
fn a_small_write_does_not_wait_behind_large_ones_of_others() {
    run(&simulation(43), |reactor| async move {
        let disk = reactor.disk();
        disk.create_dir_all(Path::new(DIRECTORY)).await.unwrap();
        let options = DirectoryOptions {
            write_bytes_in_flight_max: BUDGET,
            ..DirectoryOptions::new(PathBuf::from(DIRECTORY), TailBudget::new(0))
        };
        let directory = LogDirectory::open(&reactor, options).await.unwrap();
        let large = open_log(&directory, "large", LogConfig::default()).await;
        let small = open_log(&directory, "small", LogConfig::default()).await;
        for _ in 0..64 {
            append_sized(&reactor, &large, BUDGET - 100);
        }
        // Its first writes are at the disk, and the next ones wait for the budget.
        reactor.yield_now().await;
        append_sized(&reactor, &small, 100);
        small.flush_all().await.unwrap();
        let core = large.inner.core.borrow();
        assert!(core.written_bytes < core.appended_bytes / 2);
    });
}
