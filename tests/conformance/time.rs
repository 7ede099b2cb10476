//! Clocks, timers, yielding, stopping.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use ringlog::io::{IoClass, Reactor, StopSignal, WRITE_UNIT};

use crate::cases::{Case, Context, case};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(1, sleepers_wake_in_the_order_of_their_times),
        case!(1, time_goes_forward),
        case!(1, a_timeout_gives_up_and_only_then),
        case!(1, who_yields_lets_everything_else_in),
        case!(1, a_stop_signal_is_seen),
        case!(1, random_numbers_differ),
        case!(2, shards_know_their_numbers),
    ]
}

async fn sleepers_wake_in_the_order_of_their_times(reactor: Reactor, _context: Context) {
    let woken = Rc::new(RefCell::new(Vec::new()));
    let sleepers: Vec<_> = [90, 30, 60, 0, 120]
        .into_iter()
        .map(|ms| {
            let (reactor_, woken) = (reactor.clone(), woken.clone());
            reactor.spawn(async move {
                let before = reactor_.now();
                let duration = Duration::from_millis(ms);
                reactor_.sleep(duration).await;
                assert!(reactor_.now().since(before) >= duration, "slept too short");
                woken.borrow_mut().push(ms);
            })
        })
        .collect();
    for sleeper in sleepers {
        sleeper.await;
    }
    assert_eq!(*woken.borrow(), [0, 30, 60, 90, 120]);
}

async fn time_goes_forward(reactor: Reactor, _context: Context) {
    let start = reactor.now();
    let mut last = start;
    for _ in 0..1000 {
        let now = reactor.now();
        assert!(now >= last);
        last = now;
    }
    reactor.sleep(Duration::from_millis(1)).await;
    assert!(reactor.now() > last);
    // 2020: the simulation's calendar is a plausible one too.
    assert!(reactor.wall_clock() > 1_577_836_800_000);
}

async fn a_timeout_gives_up_and_only_then(reactor: Reactor, _context: Context) {
    let never = std::future::pending::<()>();
    let short = Duration::from_millis(5);
    let before = reactor.now();
    assert_eq!(reactor.timeout(short, never).await, None);
    assert!(reactor.now().since(before) >= short);
    let long = Duration::from_secs(100);
    assert_eq!(reactor.timeout(long, async { 7 }).await, Some(7));
    let sleeping = async {
        reactor.sleep(short).await;
        8
    };
    assert_eq!(reactor.timeout(long, sleeping).await, Some(8));
}

async fn who_yields_lets_everything_else_in(reactor: Reactor, context: Context) {
    let disk = context.disk(&reactor).await;
    let file = context.file(&disk, "file").await;
    let stop = Rc::new(Cell::new(false));
    let busy: Vec<_> = (0..2)
        .map(|_| {
            let (yielder, stop) = (reactor.clone(), stop.clone());
            reactor.spawn(async move {
                let mut rounds = 0u64;
                while !stop.get() {
                    rounds += 1;
                    yielder.yield_now().await;
                }
                rounds
            })
        })
        .collect();
    for round in 0..10 {
        let position = round * WRITE_UNIT as u64;
        file.write_at(disk.buffer(WRITE_UNIT), position, IoClass::Commit)
            .await
            .unwrap();
        file.sync_data().await.unwrap();
        reactor.sleep(Duration::from_millis(1)).await;
    }
    stop.set(true);
    for task in busy {
        assert!(task.await >= 10, "one busy task has starved the other");
    }
}

async fn a_stop_signal_is_seen(reactor: Reactor, _context: Context) {
    let signal = StopSignal::new();
    let (waiter, watched) = (reactor.clone(), signal.clone());
    let stopped = reactor.spawn(async move { waiter.stopped(&watched).await });
    reactor.sleep(Duration::from_millis(30)).await;
    assert!(!stopped.is_finished());
    signal.set();
    stopped.await;
    assert!(signal.is_set());
    reactor.stopped(&signal).await;
}

async fn random_numbers_differ(reactor: Reactor, _context: Context) {
    let mut numbers: Vec<u64> = (0..1000).map(|_| reactor.random()).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 1000);
}

async fn shards_know_their_numbers(reactor: Reactor, context: Context) {
    assert_eq!(reactor.shard_count(), 2);
    assert!(reactor.shard().index() < 2);
    let mesh = context.messages.join(&reactor).await;
    let other = ringlog::types::ShardId(1 - reactor.shard().0);
    let sent = reactor.now();
    mesh.push(other, sent.0);
    let (from, other_sent) = mesh.receive().await;
    assert_eq!(from, other);
    assert!(
        reactor.now().0 >= other_sent,
        "shards that were started together have one clock"
    );
}
