//! A change of a name that the disk holds back for longer than the process that asked for it waits:
//! whoever comes next must not be there when it happens.

use std::path::Path;
use std::time::Duration;

use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::{DeleteTopicsRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use ringlog::io::sim::{MachineId, SimOptions, Simulation};

use crate::frames::{Frames, Started, launch};
use crate::stages::Client;

const SHARD_COUNT: u16 = 2;

/// Longer than a stop waits for clients and a start for the locks of the dead.
const STUCK: Duration = Duration::from_secs(25);

const DELETE_VERSION: i16 = 6;

fn start(sim: &Simulation) -> Started {
    let settings = ["listeners=PLAINTEXT://127.0.0.1:9092", "log.dirs=/data"];
    launch(sim, SHARD_COUNT.into(), &settings, drop)
}

/// Deletes a topic, whose directory the disk renames late, and stops the broker before that;
/// whether the next one found the directory in use.
fn was_in_use(seed: u64) -> bool {
    let sim = Simulation::new(SimOptions::with_seed(seed));
    let first = start(&sim);
    assert_eq!(first.refusal, None);
    let partition = Path::new("/data/stages-0");
    sim.run(MachineId::FIRST, |reactor| async move {
        Client::connect(&reactor, SHARD_COUNT).await;
    });
    sim.stick_rename(MachineId::FIRST, partition, STUCK);
    sim.start(MachineId::FIRST, 1, |reactor| async move {
        let topic = DeleteTopicState::default()
            .with_name(Some(TopicName(StrBytes::from_static_str("stages"))));
        let request = DeleteTopicsRequest::default()
            .with_topics(vec![topic])
            .with_timeout_ms(1_000);
        let mut frames = Frames::connect(&reactor).await;
        frames.send(DELETE_VERSION, &request).await;
        std::future::pending::<()>().await;
    });
    sim.run_until(|sim| sim.fault_counts().stuck_operations == 1);
    first.stop.set();
    sim.run_until(|sim| !sim.is_running(first.process));
    let exists = || {
        let file = partition.join("partition.metadata");
        sim.file_contents(MachineId::FIRST, &file).is_some()
    };
    assert!(exists(), "it is not renamed yet");
    let Some(refusal) = start(&sim).refusal else {
        // The rename ended with its process. This broker has put the directory aside.
        assert!(!exists());
        return false;
    };
    assert!(refusal.contains("in use by another process"), "{refusal}");
    assert!(exists(), "it is not renamed yet");
    sim.run_for(STUCK);
    assert!(!exists(), "it was renamed");
    assert_eq!(start(&sim).refusal, None);
    true
}

#[test]
fn a_directory_is_in_use_until_the_last_change_of_a_name_in_it_has_ended() {
    let in_use = (0..8).filter(|&seed| was_in_use(seed)).count();
    assert!((1..8).contains(&in_use), "{in_use} of 8");
}
