//! Empty files that a dead process has opened late: they are no segments.

use super::*;

/// Four segments of three records.
const RECORDS: i64 = 12;

/// Between the second segment and the third.
const STRAY: &str = "00000000000000000004.log";

/// Starts on what is there, with a stray file in the middle: everything is read, and the file gone.
fn is_whole_with_a_stray(sim: &Simulation) {
    let path = Path::new(DIRECTORY).join("t-0").join(STRAY);
    sim.put_file(MachineId::FIRST, &path, &[]).unwrap();
    run(sim, |reactor| async move {
        let (directory, log) = open(&reactor, small_segments()).await;
        assert_eq!(log.state().log_end_offset, RECORDS);
        for offset in 0..RECORDS {
            let found = read(&log, offset).await.unwrap();
            assert_eq!(found.next_offset, offset + 1);
        }
        assert_eq!(files(&reactor, STRAY).await, [""; 0]);
        directory.stop().await.unwrap();
    });
}

#[test]
fn a_stray_file_does_not_part_a_stopped_log() {
    let sim = simulation(1);
    run(&sim, |reactor| async move {
        let (directory, log) = open(&reactor, small_segments()).await;
        append(&reactor, &log, RECORDS as usize).await;
        directory.stop().await.unwrap();
    });
    is_whole_with_a_stray(&sim);
}

#[test]
fn a_stray_file_does_not_end_a_log_that_is_recovered() {
    let sim = simulation(1);
    run(&sim, |reactor| async move {
        let (_directory, log) = open(&reactor, small_segments()).await;
        append(&reactor, &log, RECORDS as usize).await;
    });
    is_whole_with_a_stray(&sim);
}
