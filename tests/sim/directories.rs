//! Two log directories, one of which fails while the broker serves: on which shard its disk says
//! so must not matter.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;

use kafka_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsTopic,
};
use kafka_protocol::messages::{DeleteRecordsRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use ringlog::io::Reactor;
use ringlog::io::sim::{DiskFault, MachineId, ProcessId, SimOptions, Simulation};
use ringlog::shard::ShardError;
use ringlog::types::ErrorCode;

use crate::frames::{Frames, launch, start_broker};
use crate::stages::Client;

const TWO: &str = "log.dirs=/first,/second";

const SHARD_COUNT: u16 = 2;

/// Partitions of the client's topic.
const PARTITIONS: i32 = 8;

/// How the shards of a broker have ended.
type Ends = Rc<RefCell<Vec<Result<(), ShardError>>>>;

fn world(seed: u64, mounts: &[&str]) -> Simulation {
    let sim = Simulation::new(SimOptions::with_seed(seed));
    for path in mounts {
        sim.mount(MachineId::FIRST, Path::new(path));
    }
    sim
}

/// A broker that may end with an error; how its shards have ended.
fn start_frail(sim: &Simulation) -> (ProcessId, Ends) {
    let settings = ["listeners=PLAINTEXT://127.0.0.1:9092", TWO];
    let ends = Ends::default();
    let ended = Rc::clone(&ends);
    let note = move |end| ended.borrow_mut().push(end);
    let started = launch(sim, SHARD_COUNT.into(), &settings, note);
    assert_eq!(started.refusal, None);
    (started.process, ends)
}

/// Which partitions of the client's topic lie in a directory.
fn partitions_in(sim: &Simulation, path: &str) -> Vec<i32> {
    let is_there = |partition: &i32| {
        let name = format!("{path}/stages-{partition}/partition.metadata");
        sim.file_contents(MachineId::FIRST, Path::new(&name))
            .is_some()
    };
    (0..PARTITIONS).filter(is_there).collect()
}

fn fail_flushes_below(sim: &Simulation, path: &'static str) {
    sim.fail_disk(MachineId::FIRST, DiskFault::Flush, 1, move |at| {
        at.starts_with(path)
    });
}

#[test]
fn a_failed_directory_takes_its_partitions_of_every_shard_and_no_others() {
    let mut shards_told = [false; SHARD_COUNT as usize];
    for seed in 0..8 {
        let sim = Rc::new(world(seed, &["/second"]));
        let stop = start_broker(&sim, SHARD_COUNT.into(), &[TWO]);
        let world = Rc::clone(&sim);
        let told = sim.run(MachineId::FIRST, |reactor| async move {
            let mut client = Client::connect(&reactor, SHARD_COUNT).await;
            let lost = partitions_in(&world, "/second");
            let kept = partitions_in(&world, "/first");
            assert_eq!((lost.len(), kept.len()), (4, 4));
            for partition in 0..PARTITIONS {
                client.produce(partition, 100).await;
            }
            fail_flushes_below(&world, "/second");
            let first = lost[seed as usize % lost.len()];
            for &partition in [first].iter().chain(&lost) {
                let error = client.try_produce(partition, 100).await;
                assert_eq!(
                    error,
                    ErrorCode::KafkaStorageError,
                    "seed {seed}: {partition}"
                );
            }
            for &partition in &kept {
                client.produce(partition, 100).await;
                assert_eq!(client.try_fetch(partition).await, (ErrorCode::None, true));
            }
            for &partition in &lost {
                let read = client.try_fetch(partition).await;
                assert_eq!(read, (ErrorCode::KafkaStorageError, false), "{partition}");
            }
            assert_eq!(client.leaderless().await, lost);
            client.owner(first, SHARD_COUNT)
        });
        shards_told[told.index()] = true;
        // The others stop cleanly, and word of the failed flush is left.
        stop.set();
        sim.run_for(std::time::Duration::from_secs(60));
        let file = |name: &str| {
            sim.file_contents(MachineId::FIRST, Path::new(name))
                .is_some()
        };
        assert!(file("/first/.kafka_cleanshutdown"));
        assert!(!file("/second/.kafka_cleanshutdown"));
        assert!(file("/second/ringlog-flush-failed.boot-0"));
        assert!(!file("/first/ringlog-flush-failed.boot-0"));
    }
    assert_eq!(shards_told, [true; SHARD_COUNT as usize]);
}

/// Asks for the deletion of what lies before an offset, and waits for the answer.
pub(crate) async fn delete_before(reactor: &Reactor, partition: i32, offset: i64) {
    let partition = DeleteRecordsPartition::default()
        .with_partition_index(partition)
        .with_offset(offset);
    let topic = DeleteRecordsTopic::default()
        .with_name(TopicName(StrBytes::from_static_str("stages")))
        .with_partitions(vec![partition]);
    let request = DeleteRecordsRequest::default()
        .with_timeout_ms(30_000)
        .with_topics(vec![topic]);
    let mut frames = Frames::connect(reactor).await;
    frames.call(2, &request).await;
}

/// Checkpoints of a log are wanted, and records come, as the first one fails: between the failure
/// and word of it the records must not be taken for appended.
#[test]
fn records_that_come_as_a_log_fails_are_refused() {
    const IN_FLIGHT: usize = 20;
    const DELETIONS: i64 = 16;
    const ROUNDS: usize = 20;
    let mut refused = 0;
    for seed in 0..20 {
        let sim = Rc::new(world(seed, &["/second"]));
        start_broker(&sim, 1, &[TWO]);
        let world = Rc::clone(&sim);
        refused += sim.run(MachineId::FIRST, |reactor| async move {
            let mut client = Client::connect(&reactor, 1).await;
            let partition = partitions_in(&world, "/second")[0];
            for _ in 0..DELETIONS {
                client.produce(partition, 100).await;
            }
            world.fail_disk(MachineId::FIRST, DiskFault::Write, 1, move |at| {
                at.ends_with(format!("stages-{partition}/ringlog-checkpoint"))
            });
            let deleting: Vec<_> = (1..=DELETIONS)
                .map(|offset| {
                    let own = reactor.clone();
                    let delete = async move { delete_before(&own, partition, offset).await };
                    reactor.spawn(delete)
                })
                .collect();
            let mut refused = 0;
            for _ in 0..ROUNDS {
                for _ in 0..IN_FLIGHT {
                    client.send_produce(partition, 100).await;
                }
                for _ in 0..IN_FLIGHT {
                    match client.produced().await {
                        ErrorCode::None => assert_eq!(refused, 0, "seed {seed}"),
                        ErrorCode::KafkaStorageError => refused += 1,
                        other => panic!("seed {seed}: {other:?}"),
                    }
                }
            }
            for deleted in deleting {
                deleted.await;
            }
            refused
        });
    }
    assert!(refused > 0, "no log has failed while records came");
}

#[test]
fn the_broker_ends_with_the_metadatas_directory_and_with_the_device_below_it() {
    // Of two directories on one device a failed flush takes both.
    for (mounts, failing) in [(&["/second"][..], "/first"), (&[], "/second")] {
        let sim = Rc::new(world(1, mounts));
        let (process, ends) = start_frail(&sim);
        let world = Rc::clone(&sim);
        sim.start(MachineId::FIRST, 1, move |reactor| {
            let world = Rc::clone(&world);
            async move {
                let mut client = Client::connect(&reactor, SHARD_COUNT).await;
                let in_failing = partitions_in(&world, failing);
                fail_flushes_below(&world, failing);
                client.send_produce(in_failing[0], 100).await;
            }
        });
        sim.run_until(|sim| !sim.is_running(process));
        let ends = ends.borrow();
        let error = ends.iter().find_map(|end| end.clone().err());
        let said = error.expect("it is an error").to_string();
        assert!(said.contains("keeps the metadata there"), "{said}");
        assert!(said.contains(failing), "{said}");
    }
}

#[test]
fn a_directory_whose_flush_failed_is_offline_until_the_machine_starts_anew() {
    let sim = Rc::new(world(2, &["/second"]));
    let stop = start_broker(&sim, SHARD_COUNT.into(), &[TWO]);
    let world = Rc::clone(&sim);
    let lost = sim.run(MachineId::FIRST, |reactor| async move {
        let mut client = Client::connect(&reactor, SHARD_COUNT).await;
        let lost = partitions_in(&world, "/second")[0];
        client.produce(lost, 100).await;
        fail_flushes_below(&world, "/second");
        client.try_produce(lost, 100).await;
        lost
    });
    stop.set();
    sim.run_for(std::time::Duration::from_secs(60));
    for expected in [ErrorCode::KafkaStorageError, ErrorCode::None] {
        let stop = start_broker(&sim, SHARD_COUNT.into(), &[TWO]);
        sim.run(MachineId::FIRST, |reactor| async move {
            let mut client = Client::connect_again(&reactor, SHARD_COUNT).await;
            assert_eq!(client.try_produce(lost, 100).await, expected);
        });
        stop.set();
        sim.run_for(std::time::Duration::from_secs(60));
        sim.power_cut(MachineId::FIRST);
    }
}
