//! The stall soak: two reactors exchange messages while other threads fight them for the cores. An
//! executor that parks with work in its queue, or loses a wake-up, stops here for good; a blip of
//! some milliseconds is no failure. See the notes in `ringlog::io::uring`.

#![allow(
    clippy::disallowed_methods,
    reason = "it watches the reactors from outside"
)]

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ringlog::io::{Mesh, MeshBuilder, Reactor, ReactorOptions, uring};
use ringlog::types::ShardId;

/// How long each variant runs.
const SOAK: Duration = Duration::from_secs(3);
/// Without a message for so long, it hangs.
const STALL: Duration = Duration::from_secs(10);
/// How often progress is looked at.
const CHECK_INTERVAL: Duration = Duration::from_millis(20);
/// Threads that do nothing but take time from the shards.
const CONTENDER_COUNT: usize = 4;
/// Messages under way at once: one shows lost wake-ups, many fill the ring.
const IN_FLIGHT_COUNTS: [u64; 2] = [1, 3000];
/// The message that ends the exchange.
const LAST: u64 = u64::MAX;

#[test]
fn reactors_never_stall_under_contention() {
    uring::preflight().expect("this test needs io_uring");
    let stop_contenders = Arc::new(AtomicBool::new(false));
    let contenders: Vec<_> = (0..CONTENDER_COUNT)
        .map(|_| {
            let stop = Arc::clone(&stop_contenders);
            thread::spawn(move || contend(&stop))
        })
        .collect();
    for spin_before_park in [Duration::ZERO, Duration::from_micros(50)] {
        for in_flight_count in IN_FLIGHT_COUNTS {
            let exchanged = soak(spin_before_park, in_flight_count);
            let variant = format!("spin {spin_before_park:?}, {in_flight_count} in flight");
            assert!(exchanged > 0, "{variant}: nothing was exchanged");
        }
    }
    stop_contenders.store(true, Ordering::Relaxed);
    for contender in contenders {
        contender.join().expect("a contender only counts");
    }
}

fn contend(stop: &AtomicBool) {
    let mut count = 0u64;
    while !stop.load(Ordering::Relaxed) {
        for _ in 0..10_000 {
            count = black_box(count.wrapping_add(1));
        }
    }
}

/// Exchanges messages for a while; how many.
fn soak(spin_before_park: Duration, in_flight_count: u64) -> u64 {
    let options = ReactorOptions {
        name: "stall".to_owned(),
        shard_count: 2,
        spin_before_park,
        ..ReactorOptions::default()
    };
    let mesh = MeshBuilder::<u64>::new(2);
    let stop = Arc::new(AtomicBool::new(false));
    let exchanged = Arc::new(AtomicU64::new(0));
    let (stopping, counting) = (Arc::clone(&stop), Arc::clone(&exchanged));
    let shards = uring::start(options, move |reactor: Reactor| {
        let (mesh, stop, exchanged) = (mesh.clone(), stopping.clone(), counting.clone());
        async move {
            let shard = reactor.shard();
            let mesh = mesh.join(&reactor).await;
            if shard == ShardId(0) {
                serve(&mesh, in_flight_count, &stop, &exchanged).await;
            } else {
                send_back(&reactor, &mesh).await;
            }
        }
    });
    let shards = shards.expect("start two shards");

    let started = Instant::now();
    let (mut seen, mut seen_at) = (0, started);
    // A hang is seen through to its end, however long the soak.
    while started.elapsed() < SOAK || seen_at.elapsed() > SOAK / 2 {
        thread::sleep(CHECK_INTERVAL);
        let now = exchanged.load(Ordering::Relaxed);
        if now != seen {
            (seen, seen_at) = (now, Instant::now());
        }
        assert!(
            seen_at.elapsed() < STALL,
            "no message for {STALL:?} after {seen}: \
             spin {spin_before_park:?}, {in_flight_count} in flight"
        );
    }
    stop.store(true, Ordering::Relaxed);
    for result in shards.join() {
        result.expect("a shard ends");
    }
    seen
}

async fn serve(mesh: &Mesh<u64>, in_flight_count: u64, stop: &AtomicBool, exchanged: &AtomicU64) {
    for message in 0..in_flight_count {
        mesh.push(ShardId(1), message);
    }
    for received in 0.. {
        let (_, message) = mesh.receive().await;
        assert_eq!(message, received % in_flight_count, "out of order");
        exchanged.fetch_add(1, Ordering::Relaxed);
        if stop.load(Ordering::Relaxed) {
            break;
        }
        mesh.push(ShardId(1), message);
    }
    mesh.push(ShardId(1), LAST);
    while mesh.receive().await.1 != LAST {}
}

async fn send_back(reactor: &Reactor, mesh: &Mesh<u64>) {
    loop {
        let (_, message) = mesh.receive().await;
        mesh.push(ShardId(0), message);
        if message == LAST {
            break;
        }
    }
    while mesh.outbox_count() > 0 {
        reactor.yield_now().await;
    }
}
