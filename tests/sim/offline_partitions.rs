//! A partition that damage has put offline does not keep its topic's name: whoever deletes the
//! topic may make it anew.

use std::path::{Path, PathBuf};

use ringlog::client::{Admin, Client as Connection, ClientOptions};
use ringlog::io::Reactor;
use ringlog::io::sim::{MachineId, SimOptions, Simulation};
use ringlog::types::ErrorCode;

use crate::frames::start_broker;
use crate::stages::Client;

const SHARD_COUNT: u16 = 2;

/// The partition that is damaged.
const DAMAGED: i32 = 3;

const SEGMENT: &str = "00000000000000000000.log";
const METADATA: &str = "partition.metadata";
const FOREIGN: &[u8] = b"version: 0\ntopic_id: VIkcWjH_TJ2tpHVO8qK7iA\n";

fn path(file: &str) -> PathBuf {
    Path::new("/data")
        .join(format!("stages-{DAMAGED}"))
        .join(file)
}

async fn delete_topic(reactor: &Reactor) {
    let options = ClientOptions::new("127.0.0.1:9092");
    let admin = Admin::new(&Connection::connect(reactor, options).await.unwrap());
    let mut deleted = admin.delete_topics(&["stages"]).await.unwrap();
    deleted.remove(0).result.unwrap();
}

/// Writes to a topic, damages a file of a partition, starts again, deletes the topic and makes it
/// anew; whether the partition works then. `interferes` does something before the deletion.
fn works_anew(file: &str, contents: &[u8], interferes: impl FnOnce(&Simulation)) -> bool {
    let sim = Simulation::new(SimOptions::with_seed(150_013));
    let stop = start_broker(&sim, SHARD_COUNT.into(), &[]);
    sim.run(MachineId::FIRST, |reactor| async move {
        let mut client = Client::connect(&reactor, SHARD_COUNT).await;
        client.produce(DAMAGED, 10_000).await;
    });
    stop.set();
    sim.run_for(std::time::Duration::from_secs(30));
    sim.put_file(MachineId::FIRST, &path(file), contents)
        .unwrap();
    start_broker(&sim, SHARD_COUNT.into(), &[]);
    sim.run(MachineId::FIRST, |reactor| async move {
        let mut client = Client::connect_again(&reactor, SHARD_COUNT).await;
        let error = client.try_produce(DAMAGED, 100).await;
        assert_eq!(error, ErrorCode::KafkaStorageError);
    });
    interferes(&sim);
    sim.run(MachineId::FIRST, |reactor| async move {
        delete_topic(&reactor).await;
        let mut client = Client::connect(&reactor, SHARD_COUNT).await;
        for partition in (0..8).filter(|&partition| partition != DAMAGED) {
            client.produce(partition, 100).await;
        }
        client.try_produce(DAMAGED, 100).await == ErrorCode::None
    })
}

#[test]
fn a_topic_with_a_damaged_segment_can_be_made_anew() {
    assert!(works_anew(SEGMENT, b"", |_| {}));
}

#[test]
fn a_topic_whose_partition_does_not_say_whose_it_is_can_be_made_anew() {
    assert!(works_anew(METADATA, b"version: 0\ntopic", |_| {}));
}

#[test]
fn the_directory_of_another_topic_is_not_deleted() {
    // Somebody has put it there: only they know what it is.
    let put = |sim: &Simulation| {
        let put = sim.put_file(MachineId::FIRST, &path(METADATA), FOREIGN);
        put.unwrap();
    };
    assert!(!works_anew(SEGMENT, b"", put));
}
