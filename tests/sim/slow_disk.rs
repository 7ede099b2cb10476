//! Producers that are faster than the disk: what the broker holds for them has a limit.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use ringlog::io::Reactor;
use ringlog::io::sim::{MachineId, SimOptions, Simulation};
use ringlog::types::ErrorCode;

use crate::frames::{scrape, start_broker};
use crate::stages::{Client, PRODUCE_VERSION};

/// The broker's `shard.request.memory.bytes`.
const REQUEST_MEMORY: f64 = (16 << 20) as f64;

/// Fits `socket.request.max.bytes`.
const RECORD_SIZE: usize = 1_000_000;

/// Every write takes as long as the simulated disk can: four of 1 MiB a second.
const SLOWNESS: u64 = 1_000_000;

fn world_with_a_slow_disk() -> Simulation {
    let sim = Simulation::new(SimOptions::with_seed(3));
    start_broker(&sim, 1, &[]);
    sim.set_disk_slowness(MachineId::FIRST, SLOWNESS);
    sim
}

async fn unwritten(reactor: &Reactor) -> f64 {
    scrape(reactor).await.sum("ringlog_unwritten_bytes", &[])
}

/// Sends until the broker takes no more for half a second; how many requests it took.
async fn send_unanswered(reactor: &Reactor, mut client: Client) -> u32 {
    let sent = Rc::new(Cell::new(0));
    let mut request = client.produce_request(client.near, RECORD_SIZE);
    request.acks = 0;
    let sending = {
        let sent = Rc::clone(&sent);
        reactor.spawn(async move {
            for _ in 0..200 {
                client.frames.send(PRODUCE_VERSION, &request).await;
                sent.set(sent.get() + 1);
            }
            client
        })
    };
    reactor.sleep(Duration::from_millis(500)).await;
    drop(sending);
    sent.get()
}

#[test]
fn what_nobody_waits_for_takes_no_more_memory_than_requests_may() {
    let sim = world_with_a_slow_disk();
    sim.run(MachineId::FIRST, |reactor| async move {
        let client = Client::connect(&reactor, 1).await;
        let sent = send_unanswered(&reactor, client).await;
        assert!(
            sent > 10,
            "a slow disk is no reason to take nothing: {sent}"
        );
        let unwritten = unwritten(&reactor).await;
        assert!(
            unwritten <= REQUEST_MEMORY,
            "{unwritten} bytes, {sent} requests"
        );
    });
}

#[test]
fn requests_that_time_out_again_and_again_take_no_more_memory_each_time() {
    let sim = world_with_a_slow_disk();
    sim.run(MachineId::FIRST, |reactor| async move {
        let mut client = Client::connect(&reactor, 1).await;
        let mut request = client.produce_request(client.near, RECORD_SIZE);
        request.timeout_ms = 1;
        let (mut largest, mut timed_out) = (0.0f64, 0);
        for _ in 0..10 {
            for _ in 0..16 {
                client.frames.send(PRODUCE_VERSION, &request).await;
            }
            for _ in 0..16 {
                let answer = client
                    .frames
                    .receive::<kafka_protocol::messages::ProduceRequest>(PRODUCE_VERSION);
                let answer = answer.await.expect("an answer");
                let code = answer.responses[0].partition_responses[0].error_code;
                timed_out += u32::from(code == ErrorCode::RequestTimedOut.code());
            }
            largest = largest.max(unwritten(&reactor).await);
        }
        assert!(timed_out > 20, "the disk was not slow: {timed_out}");
        assert!(largest <= 2.0 * REQUEST_MEMORY, "{largest} bytes");
        // The disk does not owe anything for ever.
        while unwritten(&reactor).await > 0.0 {
            reactor.sleep(Duration::from_secs(1)).await;
        }
        client.produce(client.near, RECORD_SIZE).await;
    });
}
