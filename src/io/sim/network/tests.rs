use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::super::{FaultPlan, MachineId, ProcessId, SimOptions, Simulation};
use crate::io::{Accepted, MeshBuilder, Reactor, Stream};
use crate::types::ShardId;

const HERE: MachineId = MachineId::FIRST;
const TIMEOUT: Duration = Duration::from_secs(1);

fn address() -> SocketAddr {
    "0.0.0.0:9092".parse().unwrap()
}

fn at(machine: MachineId) -> SocketAddr {
    SocketAddr::new(machine.address(), 9092)
}

/// A process that sends back whatever comes, then the end of the stream.
fn start_echo(sim: &Simulation, machine: MachineId) -> ProcessId {
    let process = sim.start(machine, 1, |reactor| async move {
        let listener = reactor.listen(address()).await.unwrap();
        loop {
            let stream = reactor.adopt(listener.accept().await.unwrap()).unwrap();
            reactor.spawn(echo(stream)).detach();
        }
    });
    sim.run_for(Duration::from_millis(1));
    process
}

async fn echo(stream: Stream) -> std::io::Result<()> {
    let (mut reader, mut writer, _) = stream.split()?;
    let mut bytes = BytesMut::new();
    while reader.read(&mut bytes, 1 << 20).await? > 0 {
        writer.send(&[bytes.split().freeze()]).await?;
    }
    writer.finish()
}

async fn round_trip(reactor: &Reactor, to: SocketAddr, size: usize) -> std::io::Result<Vec<u8>> {
    let stream = reactor.connect(to, TIMEOUT).await?;
    let (mut reader, mut writer, _) = stream.split()?;
    let sent: Vec<u8> = (0..size).map(|index| (index % 251) as u8).collect();
    let sending = reactor.spawn(async move {
        let (head, tail) = sent.split_at(sent.len() / 3);
        writer
            .send(&[Bytes::copy_from_slice(head), Bytes::copy_from_slice(tail)])
            .await?;
        writer.finish()?;
        std::io::Result::Ok(writer)
    });
    let mut received = BytesMut::new();
    while reader.read(&mut received, 100_000).await? > 0 {}
    sending.await?;
    Ok(received.to_vec())
}

#[test]
fn bytes_come_back_in_order_through_windows_that_are_smaller() {
    for seed in 0..10 {
        let options = SimOptions {
            socket_buffer_size: 10_000,
            ..SimOptions::with_seed(seed)
        };
        let sim = Simulation::new(options);
        let other = sim.add_machine();
        start_echo(&sim, other);
        let back = sim.run(HERE, move |reactor| async move {
            round_trip(&reactor, at(other), 300_000).await.unwrap()
        });
        assert_eq!(back.len(), 300_000);
        assert!(
            back.iter()
                .enumerate()
                .all(|(index, byte)| *byte == (index % 251) as u8)
        );
    }
}

#[test]
fn a_sender_waits_for_a_reader_who_does_not_read() {
    let sim = Simulation::new(SimOptions {
        socket_buffer_size: 5_000,
        ..SimOptions::default()
    });
    let sent_size = Rc::new(Cell::new(0));
    sim.start(HERE, 1, |reactor| {
        let sent_size = Rc::clone(&sent_size);
        async move {
            let listener = reactor.listen(address()).await.unwrap();
            let stream = reactor.connect(at(HERE), TIMEOUT).await.unwrap();
            let (_reader, mut writer, _) = stream.split().unwrap();
            let _accepted = listener.accept().await.unwrap();
            loop {
                writer
                    .send(&[Bytes::from_static(&[0; 1000])])
                    .await
                    .unwrap();
                sent_size.set(sent_size.get() + 1000);
            }
        }
    });
    sim.run_for(Duration::from_secs(10));
    assert_eq!(sent_size.get(), 5_000);
}

#[test]
fn connecting_fails_where_nobody_listens_and_listening_where_somebody_does() {
    let sim = Simulation::new(SimOptions::default());
    let kinds = sim.run(HERE, |reactor| async move {
        let refused = reactor
            .connect(at(HERE), TIMEOUT)
            .await
            .err()
            .unwrap()
            .kind();
        let listener = reactor.listen(address()).await.unwrap();
        let taken = reactor
            .listen("127.0.0.1:9092".parse().unwrap())
            .await
            .err()
            .unwrap()
            .kind();
        let foreign = reactor
            .listen("10.0.9.9:1".parse().unwrap())
            .await
            .err()
            .unwrap()
            .kind();
        let any = reactor
            .listen("127.0.0.1:0".parse().unwrap())
            .await
            .unwrap();
        assert_ne!(any.local_address().port(), 0);
        reactor.connect(any.local_address(), TIMEOUT).await.unwrap();
        drop(listener);
        let again = reactor.listen(address()).await;
        assert!(again.is_ok(), "the address is free again");
        [refused, taken, foreign]
    });
    let expected = [
        ErrorKind::ConnectionRefused,
        ErrorKind::AddrInUse,
        ErrorKind::AddrNotAvailable,
    ];
    assert_eq!(kinds, expected);
}

#[test]
fn an_accepted_connection_may_move_to_another_shard() {
    let sim = Simulation::new(SimOptions::default());
    let mesh = MeshBuilder::<Accepted>::new(2);
    sim.start(HERE, 2, |reactor| {
        let mesh = mesh.clone();
        async move {
            let mesh = mesh.join(&reactor).await;
            if reactor.shard() == ShardId(0) {
                let listener = reactor.listen(address()).await.unwrap();
                loop {
                    mesh.push(ShardId(1), listener.accept().await.unwrap());
                }
            }
            loop {
                let (_, accepted) = mesh.receive().await;
                reactor
                    .spawn(echo(reactor.adopt(accepted).unwrap()))
                    .detach();
            }
        }
    });
    sim.run_for(Duration::from_millis(1));
    let back = sim.run(HERE, |reactor| async move {
        round_trip(&reactor, at(HERE), 1000).await.unwrap()
    });
    assert_eq!(back.len(), 1000);
}

#[test]
fn a_closer_ends_the_reader_here_and_there() {
    let sim = Simulation::new(SimOptions::default());
    start_echo(&sim, HERE);
    let ends = sim.run(HERE, |reactor| async move {
        let stream = reactor.connect(at(HERE), TIMEOUT).await.unwrap();
        let (mut reader, mut writer, closer) = stream.split().unwrap();
        let reading = reactor.spawn(async move {
            reader
                .read(&mut BytesMut::new(), 10)
                .await
                .map_err(|error| error.kind())
        });
        reactor.sleep(Duration::from_millis(1)).await;
        closer.close();
        let sent = writer.send(&[Bytes::from_static(b"x")]).await;
        (reading.await, sent.map_err(|error| error.kind()))
    });
    assert_eq!(ends, (Ok(0), Err(ErrorKind::BrokenPipe)));
}

/// What a client sees whose server is struck by `strike` while it waits for an answer.
fn read_end(seed: u64, strike: impl Fn(&Simulation, ProcessId)) -> Result<usize, ErrorKind> {
    let sim = Simulation::new(SimOptions::with_seed(seed));
    let server = sim.add_machine();
    let silent = sim.start(server, 1, |reactor| async move {
        let listener = reactor.listen(address()).await.unwrap();
        let stream = reactor.adopt(listener.accept().await.unwrap()).unwrap();
        let (mut reader, _writer, _) = stream.split().unwrap();
        while reader.read(&mut BytesMut::new(), 10).await.is_ok() {}
    });
    sim.run_for(Duration::from_millis(1));
    let seen = Rc::new(RefCell::new(None));
    sim.start(HERE, 1, |reactor| {
        let seen = Rc::clone(&seen);
        async move {
            let stream = reactor.connect(at(server), TIMEOUT).await.unwrap();
            let (mut reader, mut writer, _) = stream.split().unwrap();
            writer
                .send(&[Bytes::from_static(b"request")])
                .await
                .unwrap();
            let end = reader.read(&mut BytesMut::new(), 10).await;
            *seen.borrow_mut() = Some(end.map_err(|error| error.kind()));
        }
    });
    sim.run_for(Duration::from_millis(50));
    strike(&sim, silent);
    sim.run_until(|_| seen.borrow().is_some());
    seen.take().unwrap()
}

#[test]
fn the_connections_of_the_dead_end() {
    let seen = |strike: fn(&Simulation, ProcessId)| -> BTreeSet<_> {
        (0..20).map(|seed| read_end(seed, strike)).collect()
    };
    let reset = Err(ErrorKind::ConnectionReset);
    assert_eq!(
        seen(|sim, process| sim.kill(process)),
        BTreeSet::from([Ok(0), reset])
    );
    assert_eq!(
        seen(|sim, _| sim.power_cut(MachineId(1))),
        BTreeSet::from([reset])
    );
    assert_eq!(
        seen(|sim, process| sim.reset_connections(process)),
        BTreeSet::from([reset])
    );
}

#[test]
fn a_partition_holds_bytes_back_until_it_heals() {
    let sim = Simulation::new(SimOptions::default());
    let server = sim.add_machine();
    start_echo(&sim, server);
    let back = Rc::new(Cell::new(false));
    let connected = Rc::new(Cell::new(false));
    sim.start(HERE, 1, |reactor| {
        let (back, connected) = (Rc::clone(&back), Rc::clone(&connected));
        async move {
            let stream = reactor.connect(at(server), TIMEOUT).await.unwrap();
            let (mut reader, mut writer, _) = stream.split().unwrap();
            connected.set(true);
            reactor.sleep(Duration::from_millis(10)).await;
            writer.send(&[Bytes::from_static(b"ping")]).await.unwrap();
            reader.read(&mut BytesMut::new(), 10).await.unwrap();
            back.set(true);
        }
    });
    sim.run_until(|_| connected.get());
    sim.partition_one_way(server, HERE);
    sim.run_for(Duration::from_secs(5));
    assert!(!back.get());
    let timed_out = sim.run(HERE, move |reactor| async move {
        reactor
            .connect(at(server), TIMEOUT)
            .await
            .err()
            .unwrap()
            .kind()
    });
    assert_eq!(timed_out, ErrorKind::TimedOut);
    sim.heal(HERE, server);
    sim.run_for(Duration::from_secs(1));
    assert!(back.get());
    assert!(sim.fault_counts().held_deliveries > 1);
}

#[test]
fn network_faults_of_the_plan_fire_and_are_counted() {
    let sim = Simulation::new(SimOptions::with_seed(1));
    start_echo(&sim, HERE);
    sim.set_faults(FaultPlan {
        connection_reset: 0.1,
        connection_refused: 0.1,
        ..FaultPlan::none()
    });
    let failed_count = sim.run(HERE, |reactor| async move {
        let mut failed_count = 0;
        for _ in 0..200 {
            failed_count += u64::from(round_trip(&reactor, at(HERE), 1000).await.is_err());
        }
        failed_count
    });
    let counts = sim.fault_counts();
    assert!(counts.connection_resets > 10 && counts.connections_refused > 10);
    assert_eq!(
        failed_count,
        counts.connection_resets + counts.connections_refused
    );
}

/// A client that sends a byte now and then; how its last two attempts to get one back ended.
async fn talk(reactor: Reactor, to: SocketAddr, ends: Rc<RefCell<Vec<Option<ErrorKind>>>>) {
    let stream = reactor.connect(to, TIMEOUT).await.unwrap();
    let (mut reader, mut writer, _) = stream.split().unwrap();
    for _ in 0..2 {
        reactor.sleep(Duration::from_millis(10)).await;
        let _ = writer.send(&[Bytes::from_static(b"a")]).await;
        let mut answer = BytesMut::new();
        let read = reader.read(&mut answer, 100);
        let read = reactor.timeout(Duration::from_millis(500), read).await;
        let end = match read {
            None => Some(ErrorKind::TimedOut),
            Some(Err(error)) => Some(error.kind()),
            Some(Ok(_)) => None,
        };
        ends.borrow_mut().push(end);
    }
}

#[test]
fn a_half_open_connection_is_found_when_something_is_sent() {
    let sim = Simulation::new(SimOptions::with_seed(1));
    let server = sim.add_machine();
    start_echo(&sim, server);
    let ends: Rc<RefCell<Vec<_>>> = Rc::default();
    let told = Rc::clone(&ends);
    let client = sim.start(HERE, 1, move |reactor| {
        talk(reactor, at(server), Rc::clone(&told))
    });
    sim.run_until(|_| ends.borrow().len() == 1);
    sim.set_faults(FaultPlan {
        half_open: 1.0,
        ..FaultPlan::none()
    });
    sim.power_cut(server);
    // Nobody can reset what the server's machine has forgotten.
    sim.reset_connections(client);
    sim.run_until(|sim| !sim.is_running(client));
    assert_eq!(*ends.borrow(), [None, Some(ErrorKind::ConnectionReset)]);
    assert_eq!(sim.fault_counts().half_open_connections, 1);
}

#[test]
fn a_forgotten_connection_says_nothing_any_more() {
    let sim = Simulation::new(SimOptions::with_seed(1));
    start_echo(&sim, HERE);
    let ends: Rc<RefCell<Vec<_>>> = Rc::default();
    let told = Rc::clone(&ends);
    let client = sim.start(HERE, 1, move |reactor| {
        talk(reactor, at(HERE), Rc::clone(&told))
    });
    sim.run_until(|_| ends.borrow().len() == 1);
    sim.forget_a_connection(client);
    sim.run_until(|sim| !sim.is_running(client));
    assert_eq!(*ends.borrow(), [None, Some(ErrorKind::TimedOut)]);
    assert_eq!(sim.fault_counts().half_open_connections, 1);
}

#[test]
fn late_packets_keep_their_order() {
    let sim = Simulation::new(SimOptions::with_seed(1));
    start_echo(&sim, HERE);
    sim.set_faults(FaultPlan {
        packet_delay: 0.2,
        ..FaultPlan::none()
    });
    let back = sim.run(HERE, |reactor| async move {
        round_trip(&reactor, at(HERE), 500_000).await.unwrap()
    });
    assert!(
        back.iter()
            .enumerate()
            .all(|(index, byte)| *byte == (index % 251) as u8)
    );
    assert!(sim.fault_counts().delayed_packets > 0);
}
