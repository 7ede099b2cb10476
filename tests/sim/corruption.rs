//! Rule 8: what cannot be the torn end of a crash is reported and nothing is cut.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use ringlog::io::sim::{MachineId, SimOptions, Simulation};
use ringlog::log::{BrokenRule, DirectoryOptions, LogError};

use crate::one_log::{append, directory_options, open};

const SEGMENT: &str = "/data/events-0/00000000000000000000.log";

/// Longer than checkpoints are apart.
const CHECKPOINT_WAIT: Duration = Duration::from_secs(12);

/// Appends and flushes `batch_count` batches one by one, then `wait`s and is killed; the size of a
/// batch.
fn write_log(sim: &Simulation, batch_count: u64, wait: Duration) -> u64 {
    let size = Rc::new(RefCell::new(0));
    let told = Rc::clone(&size);
    let process = sim.start(MachineId::FIRST, 1, move |reactor| {
        let told = Rc::clone(&told);
        async move {
            let (_directory, log) = open(&reactor, directory_options()).await.unwrap();
            for _ in 0..batch_count {
                let size = append(&log, reactor.wall_clock());
                log.flush_all().await.unwrap();
                told.replace(size);
            }
            reactor.sleep(wait).await;
            std::future::pending::<()>().await;
        }
    });
    sim.run_for(wait + Duration::from_secs(4));
    sim.kill(process);
    let size = *size.borrow();
    assert!(size > 0, "the log was written");
    size
}

/// Opens the log again: what it says, and the file before and after.
fn reopen(sim: &Simulation, broken_rule: Option<BrokenRule>) -> Result<i64, LogError> {
    sim.run(MachineId::FIRST, move |reactor| async move {
        let options = DirectoryOptions {
            broken_rule,
            ..directory_options()
        };
        let (_directory, log) = open(&reactor, options).await?;
        let end = log.state().log_end_offset;
        Ok(end)
    })
}

/// The damage is reported and the file left alone.
fn is_reported(sim: &Simulation) {
    let path = Path::new(SEGMENT);
    let before = sim.file_contents(MachineId::FIRST, path);
    let opened = reopen(sim, None);
    assert!(
        matches!(opened, Err(LogError::Corrupt { .. })),
        "{opened:?}"
    );
    assert_eq!(sim.file_contents(MachineId::FIRST, path), before);
}

/// With the rule broken the log is cut at the damage.
fn is_cut_at(sim: &Simulation, end: i64) {
    let broken = reopen(sim, Some(BrokenRule::CutsCorruption));
    assert_eq!(broken.unwrap(), end);
}

fn spoil(sim: &Simulation, batch_size: u64, number: u64) {
    let position = number * batch_size + batch_size / 2;
    assert!(sim.corrupt(MachineId::FIRST, Path::new(SEGMENT), position));
}

#[test]
fn a_segment_shorter_than_the_recovery_point_says_is_corrupt() {
    let sim = Simulation::new(SimOptions::with_seed(1));
    let batch_size = write_log(&sim, 20, CHECKPOINT_WAIT);
    let path = Path::new(SEGMENT);
    let contents = sim.file_contents(MachineId::FIRST, path).unwrap();
    let kept = &contents[..5 * batch_size as usize];
    sim.put_file(MachineId::FIRST, path, kept).unwrap();
    is_reported(&sim);
}

#[test]
fn a_damaged_batch_far_before_a_valid_one_is_corrupt() {
    let sim = Simulation::new(SimOptions::with_seed(1));
    let batch_size = write_log(&sim, 40, Duration::ZERO);
    spoil(&sim, batch_size, 3);
    is_reported(&sim);
    is_cut_at(&sim, 3);
}

#[test]
fn a_single_valid_batch_far_behind_the_damage_is_enough() {
    let sim = Simulation::new(SimOptions::with_seed(1));
    let batch_size = write_log(&sim, 40, Duration::ZERO);
    (3..39).for_each(|number| spoil(&sim, batch_size, number));
    is_reported(&sim);
    is_cut_at(&sim, 3);
}

#[test]
fn a_damaged_batch_near_the_end_is_cut() {
    let sim = Simulation::new(SimOptions::with_seed(1));
    let batch_size = write_log(&sim, 40, Duration::ZERO);
    spoil(&sim, batch_size, 37);
    assert_eq!(reopen(&sim, None).unwrap(), 37);
}
