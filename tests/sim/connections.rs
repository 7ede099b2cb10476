//! Connections where time matters: who is idle, who stops in the middle, who does not read, what a
//! stop waits for. Hours pass at once here.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::{ApiVersionsRequest, FetchRequest};
use ringlog::io::Reactor;
use ringlog::io::sim::{MachineId, SimOptions, Simulation};
use ringlog::types::Monotonic;

use crate::frames::{Frames, start_broker};
use crate::stages::{Client, FETCH_VERSION};

const IDLE_MAX: Duration = Duration::from_secs(600);

/// The reaper looks every second.
const LATE_MAX: Duration = Duration::from_secs(2);

/// What one connection's client has seen: who, and when it was closed.
type Closed = Rc<RefCell<Vec<(&'static str, Monotonic)>>>;

fn new_world() -> Simulation {
    Simulation::new(SimOptions::with_seed(11))
}

/// Notes when a connection ends.
fn watch(reactor: &Reactor, closed: &Closed, name: &'static str, mut frames: Frames) {
    let (reactor_too, closed) = (reactor.clone(), Rc::clone(closed));
    reactor
        .spawn(async move {
            assert_eq!(frames.receive_frame().await, None, "{name}: an answer");
            closed.borrow_mut().push((name, reactor_too.now()));
        })
        .detach();
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

async fn answers(frames: &mut Frames) {
    let response = frames.call(0, &ApiVersionsRequest::default()).await;
    assert_eq!(response.error_code, 0);
}

#[test]
fn idle_connections_are_closed_the_idlest_first_and_long_polls_are_not_idle() {
    let sim = new_world();
    start_broker(&sim, 2, &["connections.max.idle.ms=600000"]);
    sim.run(MachineId::FIRST, |reactor| async move {
        let closed = Closed::default();
        let mut client = Client::connect(&reactor, 2).await;
        let started = reactor.now();
        // Opened in this order, used last in another.
        let mut first = Frames::connect(&reactor).await;
        let mut second = Frames::connect(&reactor).await;
        let silent = Frames::connect(&reactor).await;
        reactor.sleep(seconds(100)).await;
        answers(&mut second).await;
        reactor.sleep(seconds(100)).await;
        answers(&mut first).await;
        watch(&reactor, &closed, "first", first);
        watch(&reactor, &closed, "second", second);
        watch(&reactor, &closed, "silent", silent);
        // Long polls, one after the other, each nearly as long as idleness may be.
        for _ in 0..3 {
            let request = client.fetch_request(0, IDLE_MAX - seconds(10));
            let answer = client.frames.call(FETCH_VERSION, &request).await;
            assert_eq!(answer.error_code, 0);
        }
        let expected = [("silent", 0), ("second", 100), ("first", 200)];
        let closed = closed.borrow();
        assert_eq!(closed.len(), expected.len());
        for ((name, at), (expected, last_used)) in closed.iter().zip(expected) {
            assert_eq!(*name, expected);
            let quiet = at.since(started + seconds(last_used));
            assert!(quiet > IDLE_MAX, "{name} after {quiet:?}");
            assert!(quiet < IDLE_MAX + LATE_MAX, "{name} after {quiet:?}");
        }
    });
}

#[test]
fn a_negative_limit_closes_nobody() {
    let sim = new_world();
    start_broker(&sim, 1, &["connections.max.idle.ms=-1"]);
    sim.run(MachineId::FIRST, |reactor| async move {
        let mut frames = Frames::connect(&reactor).await;
        reactor.sleep(seconds(1000)).await;
        answers(&mut frames).await;
    });
}

#[test]
fn half_a_request_has_half_a_minute() {
    let sim = new_world();
    start_broker(&sim, 1, &["connections.max.idle.ms=-1"]);
    sim.run(MachineId::FIRST, |reactor| async move {
        let closed = Closed::default();
        let mut bystander = Frames::connect(&reactor).await;
        let whole = bystander.frame(0, &ApiVersionsRequest::default());
        bystander
            .writer
            .send(std::slice::from_ref(&whole))
            .await
            .unwrap();
        assert!(bystander.receive_frame().await.is_some());
        let started = reactor.now();
        for (name, size) in [
            ("part of the size", 2),
            ("the size", 4),
            ("all but one", 20),
        ] {
            let mut frames = Frames::connect(&reactor).await;
            let half = whole.slice(..size.min(whole.len() - 1));
            frames.writer.send(&[half]).await.unwrap();
            watch(&reactor, &closed, name, frames);
        }
        reactor.sleep(seconds(29)).await;
        assert_eq!(*closed.borrow(), []);
        reactor.sleep(seconds(4)).await;
        let closed = closed.borrow().clone();
        assert_eq!(closed.len(), 3, "{closed:?}");
        let within = started + seconds(30) + LATE_MAX;
        assert!(closed.iter().all(|(_, at)| *at <= within), "{closed:?}");
        answers(&mut bystander).await;
    });
}

#[test]
fn a_large_request_may_take_as_long_as_its_size_asks_for() {
    let sim = new_world();
    let settings = [
        "socket.request.max.bytes=16777216",
        "connections.max.idle.ms=600000",
    ];
    start_broker(&sim, 1, &settings);
    sim.run(MachineId::FIRST, |reactor| async move {
        // 16 MiB: 30 s and 16 s more. The first comes within that, the second never.
        let mut frames = Frames::connect(&reactor).await;
        let mut promise = 16_777_216i32.to_be_bytes().to_vec();
        promise.extend_from_slice(&[0; 100]);
        let promise = Bytes::from(promise);
        frames.writer.send(&[promise]).await.unwrap();
        let closed = Closed::default();
        watch(&reactor, &closed, "large", frames);
        reactor.sleep(seconds(44)).await;
        assert_eq!(*closed.borrow(), [], "given up too early");
        reactor.sleep(seconds(5)).await;
        assert_eq!(closed.borrow().len(), 1, "kept too long");
    });
}

/// The size prefix of a request of 16 MiB, and a little of it.
async fn promise(reactor: &Reactor) -> Frames {
    let mut frames = Frames::connect(reactor).await;
    let mut promise = 16_777_216i32.to_be_bytes().to_vec();
    promise.extend_from_slice(&[0; 100]);
    frames.writer.send(&[Bytes::from(promise)]).await.unwrap();
    frames
}

#[test]
fn who_promises_a_large_request_and_does_not_send_it_stops_nobody() {
    let sim = new_world();
    let settings = [
        "socket.request.max.bytes=16777216",
        "shard.request.memory.bytes=33554432",
        "connections.max.idle.ms=-1",
    ];
    start_broker(&sim, 1, &settings);
    sim.run(MachineId::FIRST, |reactor| async move {
        let closed = Closed::default();
        let mut bystander = Frames::connect(&reactor).await;
        answers(&mut bystander).await;
        let started = reactor.now();
        // The first one has the memory, the second waits for it.
        watch(&reactor, &closed, "first", promise(&reactor).await);
        watch(&reactor, &closed, "second", promise(&reactor).await);
        reactor.sleep(Duration::from_millis(500)).await;
        answers(&mut bystander).await;
        let mut newcomer = Frames::connect(&reactor).await;
        answers(&mut newcomer).await;
        assert!(
            reactor.now().since(started) < seconds(1),
            "small requests waited"
        );
        reactor.sleep(seconds(2) + LATE_MAX).await;
        let names = |closed: &Closed| closed.borrow().iter().map(|(name, _)| *name).collect();
        let seen: Vec<&str> = names(&closed);
        assert_eq!(seen, ["first"], "others wait for its memory");
        // Nobody waits any more: the second has its time.
        reactor.sleep(seconds(20)).await;
        assert_eq!(closed.borrow().len(), 1);
        watch(&reactor, &closed, "third", promise(&reactor).await);
        reactor.sleep(LATE_MAX).await;
        let seen: Vec<&str> = names(&closed);
        assert_eq!(seen, ["first", "second"]);
        answers(&mut bystander).await;
    });
}

#[test]
fn who_does_not_read_is_closed_like_who_is_idle() {
    let sim = new_world();
    start_broker(&sim, 1, &["connections.max.idle.ms=600000"]);
    sim.run(MachineId::FIRST, |reactor| async move {
        let mut client = Client::connect(&reactor, 1).await;
        client.produce(client.near, 900_000).await;
        let request = client.fetch_request(0, Duration::ZERO);
        client.frames.send(FETCH_VERSION, &request).await;
        // It reads a little from time to time, and is not closed.
        for _ in 0..5 {
            reactor.sleep(seconds(500)).await;
            let mut some = bytes::BytesMut::new();
            let size = client.frames.reader.read(&mut some, 150_000).await.unwrap();
            assert!(size > 0);
        }
        drop(client);
        let mut stuck = Client::connect_again(&reactor, 1).await;
        let request = stuck.fetch_request(0, Duration::ZERO);
        stuck.frames.send(FETCH_VERSION, &request).await;
        reactor.sleep(IDLE_MAX + LATE_MAX).await;
        assert_eq!(stuck.frames.receive_frame().await, None, "it was kept");
    });
}

#[test]
fn a_stop_answers_what_was_read_and_does_not_wait_for_who_does_not_read() {
    let sim = new_world();
    let stop = start_broker(&sim, 2, &[]);
    let told = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&told);
    sim.run(MachineId::FIRST, |reactor| async move {
        let mut client = Client::connect(&reactor, 2).await;
        client.produce(client.near, 900_000).await;
        let mut polling = Client::connect_again(&reactor, 2).await;
        let wait = polling.fetch_request(1, seconds(300));
        polling.frames.send(FETCH_VERSION, &wait).await;
        let mut half = Frames::connect(&reactor).await;
        let frame = half.frame(0, &ApiVersionsRequest::default());
        half.writer.send(&[frame.slice(..10)]).await.unwrap();
        // Its answer is larger than what the network takes.
        let all = client.fetch_request(0, Duration::ZERO);
        client.frames.send(FETCH_VERSION, &all).await;
        reactor.sleep(Duration::from_millis(100)).await;
        stop.set();
        let stopped = reactor.now();
        // In the kernel's queue when the broker stops, or refused.
        assert_eq!(half.receive_frame().await, None);
        let answer = polling.frames.receive::<FetchRequest>(FETCH_VERSION).await;
        seen.borrow_mut()
            .push(answer.map(|answer| answer.error_code));
        assert_eq!(polling.frames.receive_frame().await, None);
        assert!(
            reactor.now().since(stopped) < seconds(1),
            "others were waited for"
        );
        reactor.sleep(seconds(11)).await;
        assert_eq!(
            client.frames.receive_frame().await,
            None,
            "it was waited for"
        );
    });
    assert_eq!(*told.borrow(), [Some(0)]);
    sim.run_for(seconds(5));
}

#[test]
fn who_came_just_before_the_stop_is_answered() {
    let sim = new_world();
    let stop = start_broker(&sim, 2, &[]);
    sim.run(MachineId::FIRST, |reactor| async move {
        stop.set();
        // It takes the broker some milliseconds to see it: these are in the queue by then.
        let mut answered = 0;
        for _ in 0..20 {
            let Ok(mut frames) = Frames::try_connect(&reactor).await else {
                break;
            };
            frames.send(0, &ApiVersionsRequest::default()).await;
            if frames.receive_frame().await.is_some() {
                answered += 1;
            }
        }
        assert!(answered > 0, "nobody was answered");
    });
}
