//! Rule 6: the budget for zeros ahead is for those that are ahead.

use std::path::Path;

use ringlog::io::sim::{MachineId, SimOptions, Simulation};
use ringlog::log::DirectoryOptions;

use crate::one_log::{append, directory_options, open};

const SEGMENT: &str = "/data/events-0/00000000000000000000.log";

/// Less than the log gets.
const ZERO_AHEAD_BYTES_MAX: u64 = 1 << 20;
const BATCHES: usize = 4_000;

#[test]
fn a_log_larger_than_the_budget_still_has_zeros_ahead() {
    let sim = Simulation::new(SimOptions::with_seed(1));
    let size = sim.run(MachineId::FIRST, |reactor| async move {
        let options = DirectoryOptions {
            zero_ahead_bytes_max: ZERO_AHEAD_BYTES_MAX,
            ..directory_options()
        };
        let (_directory, log) = open(&reactor, options).await.unwrap();
        let mut size = 0;
        for _ in 0..BATCHES {
            size += append(&log, reactor.wall_clock());
            log.flush_all().await.unwrap();
        }
        size
    });
    assert!(size > 2 * ZERO_AHEAD_BYTES_MAX);
    let file = sim.file_contents(MachineId::FIRST, Path::new(SEGMENT));
    let ahead = file.unwrap().len() as u64 - size;
    assert!(ahead >= 64 << 10, "{ahead} bytes are ahead of the appender");
}
