//! Where a log starts is in its directory's file before a segment below goes: who reads that file,
//! as Kafka does, finds all that it names.

use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use ringlog::io::sim::{MachineId, SimOptions, Simulation};

use crate::directories::delete_before;
use crate::frames::start_broker;
use crate::stages::Client;

const SEEDS: u64 = 4;
const PARTITIONS: i32 = 4;

/// Records of a partition, each in a segment of its own.
const RECORDS: i64 = 4;
const RECORD_SIZE: usize = 600_000;

/// How much slower the disk is than usual, so that the changes take turns.
const DISK_SLOWNESS: u64 = 16;

/// Where a partition starts by the directory's file.
fn start_of(file: &str, partition: i32) -> i64 {
    let line = format!("stages {partition} ");
    let start = file.lines().find_map(|one| one.strip_prefix(&line));
    start.map_or(0, |start| start.parse().unwrap())
}

#[test]
fn the_directorys_file_knows_of_a_start_before_a_segment_goes() {
    for seed in 0..SEEDS {
        let sim = Rc::new(Simulation::new(SimOptions::with_seed(seed)));
        start_broker(&sim, 1, &["log.retention.check.interval.ms=1"]);
        let world = Rc::clone(&sim);
        sim.run(MachineId::FIRST, |reactor| async move {
            let mut client = Client::connect(&reactor, 1).await;
            for partition in (0..PARTITIONS).cycle().take((4 * RECORDS) as usize) {
                client.produce(partition, RECORD_SIZE).await;
            }
            world.set_disk_slowness(MachineId::FIRST, DISK_SLOWNESS);
            for partition in 0..PARTITIONS {
                let own = reactor.clone();
                let deleting = async move {
                    for offset in 1..RECORDS {
                        delete_before(&own, partition, offset).await;
                    }
                };
                reactor.spawn(deleting).detach();
            }
            let contents = |name: &str| world.file_contents(MachineId::FIRST, Path::new(name));
            loop {
                let file = contents("/data/log-start-offset-checkpoint").unwrap_or_default();
                let file = String::from_utf8(file).unwrap();
                let gone: Vec<i64> = (0..PARTITIONS)
                    .map(|partition| {
                        let segment = |at| format!("/data/stages-{partition}/{at:020}.log");
                        let first = (0..RECORDS).find(|&at| contents(&segment(at)).is_some());
                        first.expect("the newest stays")
                    })
                    .collect();
                for (partition, first) in (0..).zip(&gone) {
                    let start = start_of(&file, partition);
                    assert!(
                        start >= *first,
                        "seed {seed}: {first} of {partition}:\n{file}"
                    );
                }
                if gone.iter().all(|&first| first == RECORDS - 1) {
                    break;
                }
                reactor.sleep(Duration::from_micros(20)).await;
            }
        });
    }
}
