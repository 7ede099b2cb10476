//! A change of the metadata is there on all shards or on none: who has seen it on one connection
//! does not see the state before on another, however slow the disk is on which a shard makes it
//! true.

use std::cell::Cell;
use std::rc::Rc;

use kafka_protocol::messages::MetadataRequest;
use ringlog::client::{Admin, Client, ClientOptions, NewTopic};
use ringlog::io::Reactor;
use ringlog::io::sim::{MachineId, SimOptions, Simulation};

use crate::frames::{Frames, start_broker};

const SHARD_COUNT: usize = 3;
const METADATA_VERSION: i16 = 12;
const TOPIC_COUNT: usize = 6;

/// How much slower the disk is than usual.
const DISK_SLOWNESS: u64 = 256;

async fn make_topics(reactor: &Reactor) {
    let options = ClientOptions::new("127.0.0.1:9092");
    let admin = Admin::new(&Client::connect(reactor, options).await.unwrap());
    for number in 0..TOPIC_COUNT {
        let topic = NewTopic {
            name: format!("topic-{number}"),
            partition_count: Some(1),
            ..NewTopic::default()
        };
        let created = admin.create_topics(&[topic], false).await;
        created.unwrap().remove(0).result.unwrap();
    }
}

/// How many topics a connection's shard tells of.
async fn count_topics(frames: &mut Frames) -> usize {
    let request = MetadataRequest::default().with_topics(None);
    frames.call(METADATA_VERSION, &request).await.topics.len()
}

#[test]
fn a_change_that_was_seen_on_one_shard_is_seen_on_all() {
    let sim = Simulation::new(SimOptions::with_seed(11));
    start_broker(&sim, SHARD_COUNT, &[]);
    sim.set_disk_slowness(MachineId::FIRST, DISK_SLOWNESS);
    sim.run(MachineId::FIRST, |reactor| async move {
        // The broker gives each shard one of them.
        let mut connections = Vec::new();
        for _ in 0..SHARD_COUNT {
            connections.push(Frames::connect(&reactor).await);
        }
        let is_made = Rc::new(Cell::new(false));
        let making = {
            let (reactor, is_made) = (reactor.clone(), Rc::clone(&is_made));
            reactor.clone().spawn(async move {
                make_topics(&reactor).await;
                is_made.set(true);
            })
        };
        let mut seen = 0;
        while !is_made.get() {
            for frames in &mut connections {
                let count = count_topics(frames).await;
                assert!(count >= seen, "{count} topics, there were {seen}");
                seen = count;
            }
        }
        making.await;
        for frames in &mut connections {
            assert_eq!(count_topics(frames).await, TOPIC_COUNT);
        }
    });
}
