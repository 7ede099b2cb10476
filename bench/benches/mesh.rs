//! Round trips of messages between shards.
//!
//! The figures are those of the machine with nothing else on it: two shards that spin want two idle
//! cores. `sleeping` is what a wake-up through the kernel costs; `64 in flight` is the cost of one
//! message when the wake-up is shared.

use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ringlog::io::{Mesh, MeshBuilder, Reactor, ReactorOptions, uring};
use ringlog::types::ShardId;

/// The message that ends a measurement.
const LAST: u64 = u64::MAX;

/// Time for `round_trips` between shard 0 and the last shard.
fn measure(
    shard_count: usize,
    spin_before_park: Duration,
    in_flight_count: u64,
    round_trips: u64,
) -> Duration {
    let options = ReactorOptions {
        name: "bench".to_owned(),
        shard_count,
        cpus: uring::available_cpus(),
        spin_before_park,
        ..ReactorOptions::default()
    };
    let mesh = MeshBuilder::<u64>::new(shard_count);
    let shards = uring::start(options, move |reactor: Reactor| {
        let mesh = mesh.clone();
        async move {
            let mesh = mesh.join(&reactor).await;
            let last = ShardId(reactor.shard_count() as u16 - 1);
            if reactor.shard() == ShardId(0) {
                Some(go_round(&reactor, &mesh, last, in_flight_count, round_trips).await)
            } else {
                send_back(&mesh).await;
                None
            }
        }
    });
    let results = shards.expect("start the shards").join();
    let elapsed = results
        .into_iter()
        .map(|result| result.expect("a shard ends"))
        .next();
    elapsed.flatten().expect("shard 0 measures")
}

async fn go_round(
    reactor: &Reactor,
    mesh: &Mesh<u64>,
    to: ShardId,
    in_flight_count: u64,
    round_trips: u64,
) -> Duration {
    let started = reactor.now();
    let ahead = in_flight_count.min(round_trips);
    for message in 0..ahead {
        mesh.push(to, message);
    }
    for received in 0..round_trips {
        mesh.receive().await;
        if received + ahead < round_trips {
            mesh.push(to, received);
        }
    }
    let elapsed = reactor.now().since(started);
    mesh.push(to, LAST);
    mesh.receive().await;
    elapsed
}

async fn send_back(mesh: &Mesh<u64>) {
    loop {
        let (from, message) = mesh.receive().await;
        mesh.push(from, message);
        if message == LAST {
            break;
        }
    }
}

fn round_trip(c: &mut Criterion) {
    let spinning = Duration::from_micros(50);
    let variants = [
        ("one shard", 1, spinning, 1),
        ("two shards", 2, spinning, 1),
        ("two shards, sleeping", 2, Duration::ZERO, 1),
        ("two shards, 64 in flight", 2, spinning, 64),
    ];
    let mut group = c.benchmark_group("mesh round trip");
    group.throughput(Throughput::Elements(1));
    for (name, shard_count, spin_before_park, in_flight_count) in variants {
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|round_trips| {
                measure(shard_count, spin_before_park, in_flight_count, round_trips)
            });
        });
    }
    group.finish();
}

criterion_group!(benches, round_trip);
criterion_main!(benches);
