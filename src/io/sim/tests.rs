use std::cell::RefCell;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::*;
use crate::io::{IoClass, Mesh, MeshBuilder, OpenOptions, Reactor};
use crate::types::ShardId;

const HERE: MachineId = MachineId::FIRST;

fn simulation(seed: u64) -> Simulation {
    Simulation::new(SimOptions {
        keep_trace: true,
        ..SimOptions::with_seed(seed)
    })
}

/// A process that uses everything once: mesh, disk, network, timers, chance.
async fn busy_shard(reactor: Reactor, mesh: MeshBuilder<u64>) {
    let mesh = mesh.join(&reactor).await;
    let shard = reactor.shard();
    let other = ShardId(1 - shard.0);
    for round in 0..8 {
        mesh.push(other, round);
    }
    let disk = reactor.disk();
    let directory = Path::new("/data");
    disk.create_dir_all(directory).await.unwrap();
    let path = directory.join(shard.to_string());
    let options = OpenOptions {
        write: true,
        create: true,
        lock_within: None,
    };
    let file = disk.open(&path, options).await.unwrap();
    let writes: Vec<_> = (0..8)
        .map(|unit| file.write_at(disk.buffer(4096), unit * 4096, IoClass::Commit))
        .collect();
    for write in writes {
        write.await.unwrap();
        let (from, _) = mesh.receive().await;
        assert_eq!(from, other);
        reactor
            .sleep(Duration::from_nanos(reactor.random() % 100_000))
            .await;
    }
    file.sync_all().await.unwrap();
    let address = "127.0.0.1:9092".parse().unwrap();
    if shard.0 == 0 {
        let listener = reactor.listen(address).await.unwrap();
        let stream = reactor.adopt(listener.accept().await.unwrap()).unwrap();
        let (mut reader, _writer, _) = stream.split().unwrap();
        let mut bytes = BytesMut::new();
        while reader.read(&mut bytes, 100).await.unwrap() > 0 {}
        assert_eq!(bytes.len(), 5000);
    } else {
        let stream = loop {
            match reactor.connect(address, Duration::from_secs(1)).await {
                Ok(stream) => break stream,
                Err(_) => reactor.sleep(Duration::from_millis(1)).await,
            }
        };
        let (_reader, mut writer, _) = stream.split().unwrap();
        writer.send(&[Bytes::from(vec![7; 5000])]).await.unwrap();
    }
}

fn busy_trace(seed: u64) -> (u64, String) {
    let sim = simulation(seed);
    let mesh = MeshBuilder::new(2);
    let process = sim.start(HERE, 2, |reactor| busy_shard(reactor, mesh.clone()));
    sim.run_until(|sim| !sim.is_running(process));
    assert!(sim.has_finished(process));
    (sim.trace_hash(), sim.trace_text().unwrap())
}

#[test]
fn one_seed_gives_one_trace_and_another_seed_another() {
    let mut hashes = BTreeSet::new();
    for seed in 0..20 {
        let (first, second) = (busy_trace(seed), busy_trace(seed));
        assert_eq!(first, second, "seed {seed}");
        hashes.insert(first.0);
    }
    assert_eq!(hashes.len(), 20);
}

#[test]
fn the_order_of_ready_tasks_is_drawn() {
    let orders: BTreeSet<Vec<u32>> = (0..50)
        .map(|seed| {
            simulation(seed).run(HERE, |reactor| async move {
                let order = Rc::new(RefCell::new(Vec::new()));
                let tasks: Vec<_> = (0..3)
                    .map(|number| {
                        let order = Rc::clone(&order);
                        reactor.spawn(async move { order.borrow_mut().push(number) })
                    })
                    .collect();
                for task in tasks {
                    task.await;
                }
                order.take()
            })
        })
        .collect();
    assert_eq!(orders.len(), 6, "every order of three tasks: {orders:?}");
}

#[test]
fn time_jumps_to_what_is_next_and_clocks_are_per_process_and_machine() {
    let sim = simulation(1);
    let other = sim.add_machine();
    sim.run_for(Duration::from_secs(5));
    sim.jump_wall_clock(other, -60_000);
    let read = |machine| {
        sim.run(machine, |reactor| async move {
            reactor.sleep(Duration::from_secs(3600)).await;
            (reactor.now(), reactor.wall_clock())
        })
    };
    let (here_now, here_wall) = read(HERE);
    let (there_now, there_wall) = read(other);
    for now in [here_now, there_now] {
        assert_eq!(
            now.0 / 1_000_000_000,
            3600,
            "counted from the process's start"
        );
    }
    assert_eq!((here_wall - 1_700_000_000_000) / 1000, 3605);
    assert_eq!((there_wall - 1_700_000_000_000) / 1000, 2 * 3600 + 5 - 60);
}

#[test]
fn a_dropped_timer_is_gone() {
    let sim = simulation(1);
    sim.run(HERE, |reactor| async move {
        for _ in 0..10_000 {
            let short = reactor.sleep(Duration::from_micros(1));
            reactor
                .timeout(Duration::from_secs(1000), short)
                .await
                .unwrap();
        }
    });
    while sim.step() {}
    assert!(
        sim.now().0 < 1_000_000_000,
        "no cancelled timer moved the clock"
    );
}

#[test]
fn a_world_that_stands_still_or_never_ends_says_so_with_its_seed() {
    let stuck = |reactor: Reactor| async move {
        let (sender, receiver) = crate::io::oneshot::<()>();
        reactor.spawn(receiver).await;
        drop(sender);
    };
    let endless = |reactor: Reactor| async move {
        loop {
            reactor.yield_now().await;
        }
    };
    let message = |run: &dyn Fn(&Simulation)| {
        let options = SimOptions {
            step_count_max: 1000,
            ..SimOptions::with_seed(4711)
        };
        let sim = Simulation::new(options);
        let panic = catch_unwind(AssertUnwindSafe(|| run(&sim))).unwrap_err();
        panic.downcast_ref::<String>().unwrap().clone()
    };
    let deadlock = message(&|sim| sim.run(HERE, stuck));
    assert!(deadlock.contains("seed 4711: deadlock"), "{deadlock}");
    let limit = message(&|sim| sim.run(HERE, endless));
    assert!(
        limit.contains("seed 4711: still waiting after 1000 steps"),
        "{limit}"
    );
}

struct OnDrop(Rc<RefCell<u32>>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        *self.0.borrow_mut() += 1;
    }
}

#[test]
fn a_killed_process_drops_its_futures_and_others_go_on() {
    let sim = simulation(3);
    let dropped = Rc::new(RefCell::new(0));
    let endless = |reactor: Reactor| {
        let guard = OnDrop(Rc::clone(&dropped));
        async move {
            let _guard = guard;
            loop {
                reactor.sleep(Duration::from_millis(1)).await;
            }
        }
    };
    let (killed, spared) = (sim.start(HERE, 3, endless), sim.start(HERE, 1, endless));
    sim.run_steps(100);
    sim.kill(killed);
    assert_eq!(*dropped.borrow(), 3);
    assert!(!sim.is_running(killed) && !sim.has_finished(killed) && sim.is_running(spared));
    assert_eq!(sim.run_steps(100), 100);
    drop(sim);
    assert_eq!(
        *dropped.borrow(),
        4,
        "a world that ends leaves nothing behind"
    );
}

#[test]
fn a_paused_process_stands_still_until_it_is_resumed() {
    let sim = simulation(5);
    let count = Rc::new(RefCell::new(0));
    let process = sim.start(HERE, 1, |reactor| {
        let count = Rc::clone(&count);
        async move {
            loop {
                reactor.sleep(Duration::from_millis(1)).await;
                *count.borrow_mut() += 1;
            }
        }
    });
    sim.run_for(Duration::from_millis(20));
    sim.pause(process);
    let before = *count.borrow();
    assert!(before > 10);
    sim.run_for(Duration::from_millis(20));
    assert_eq!(*count.borrow(), before);
    sim.resume(process);
    sim.run_for(Duration::from_millis(20));
    assert!(*count.borrow() > before + 10);
}

/// Sends numbers from every shard to every shard; checks order by sender, returns by which senders
/// the messages came.
async fn exchange(reactor: Reactor, mesh: MeshBuilder<(u64, Option<SimTicket>)>) -> Vec<u16> {
    let mesh: Mesh<_> = mesh.join(&reactor).await;
    let shard_count = reactor.shard_count() as u16;
    for number in 0..50 {
        for to in 0..shard_count {
            mesh.push(ShardId(to), (number, None));
        }
    }
    let mut next = vec![0; usize::from(shard_count)];
    let mut senders = Vec::new();
    for _ in 0..50 * shard_count {
        let (from, (number, _)) = mesh.receive().await;
        assert_eq!(
            number,
            next[from.index()],
            "messages of one shard keep their order"
        );
        next[from.index()] += 1;
        senders.push(from.0);
    }
    senders
}

/// Stands for what messages carry.
struct SimTicket;

#[test]
fn the_mesh_keeps_order_by_pair_and_mixes_pairs() {
    let mut orders = BTreeSet::new();
    for seed in 0..10 {
        let sim = simulation(seed);
        let mesh = MeshBuilder::new(3);
        let first = Rc::new(RefCell::new(Vec::new()));
        let process = sim.start(HERE, 3, |reactor| {
            let (first, mesh) = (Rc::clone(&first), mesh.clone());
            async move {
                let shard = reactor.shard();
                let senders = exchange(reactor, mesh).await;
                if shard.0 == 0 {
                    *first.borrow_mut() = senders;
                }
            }
        });
        sim.run_until(|sim| !sim.is_running(process));
        orders.insert(first.take());
    }
    assert_eq!(orders.len(), 10);
}

#[test]
fn streams_of_chance_do_not_depend_on_each_other() {
    let numbers = |seed, purpose, index| {
        let mut random = Random::stream(seed, purpose, index);
        [random.next_u64(), random.next_u64()]
    };
    let all = [
        numbers(1, "disk", 0),
        numbers(2, "disk", 0),
        numbers(1, "disk", 1),
        numbers(1, "mesh", 0),
    ];
    assert_eq!(BTreeSet::from(all).len(), 4);
    assert_eq!(numbers(1, "disk", 0), all[0]);
    let mut random = Random::stream(9, "range", 0);
    let drawn: BTreeSet<u64> = (0..1000).map(|_| random.between(3, 7)).collect();
    assert_eq!(drawn, (3..=7).collect());
}

#[test]
fn the_swarm_turns_each_fault_on_in_some_seeds_only() {
    let plans: Vec<FaultPlan> = (0..200)
        .map(|seed| FaultPlan::swarm(&mut Random::stream(seed, "plan", 0)))
        .collect();
    let fields: [fn(&FaultPlan) -> f64; 6] = [
        |plan| plan.read_error,
        |plan| plan.write_error,
        |plan| plan.flush_error,
        |plan| plan.slow_disk,
        |plan| plan.connection_reset,
        |plan| plan.connection_refused,
    ];
    for field in fields {
        let on_count = plans.iter().filter(|plan| field(plan) > 0.0).count();
        assert!((50..150).contains(&on_count), "{on_count}");
    }
}

#[test]
fn a_wall_clock_that_drifts_gains_and_stays_where_it_came() {
    let sim = simulation(1);
    let clock = || sim.run(HERE, |reactor| async move { reactor.wall_clock() });
    let hour = Duration::from_secs(3600);
    let begin = clock();
    sim.drift_wall_clock(HERE, 10_000);
    sim.run_for(hour);
    let gained = clock() - begin - 3_600_000;
    assert!((35_900..36_100).contains(&gained), "{gained} ms");
    sim.drift_wall_clock(HERE, -10_000);
    sim.run_for(hour);
    let left = clock() - begin - 7_200_000;
    assert!((-100..100).contains(&left), "{left} ms");
    assert_eq!(sim.fault_counts().wall_clock_drifts, 2);
}
