//! All connections and listeners of a world.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{Error, ErrorKind, Result};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};

use super::super::events::Event;
use super::super::faults::PACKET_DELAY_MAX;
use super::super::random::Random;
use super::super::trace::Step;
use super::super::world::World;
use super::super::{MachineId, ProcessId};

/// Connections that a listener holds until they are accepted; more are refused.
const ACCEPT_BACKLOG_COUNT_MAX: usize = 1024;

/// The first port given to who asks for none, as in Linux.
const FIRST_EPHEMERAL_PORT: u16 = 32768;

/// Usual time from one end to the other in nanoseconds, on one machine and between two.
const LOOPBACK_LATENCY: u64 = 15_000;
const NETWORK_LATENCY: u64 = 120_000;

/// How long a delivery across a partition waits before it is tried again.
const RETRANSMIT_INTERVAL: u64 = 200_000_000;

/// One end of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::io::sim) struct EndId {
    pub(super) connection: u64,
    pub(super) side: usize,
}

impl EndId {
    /// The side that was listened on.
    fn is_accepted(self) -> bool {
        self.side == 1
    }

    fn peer(self) -> EndId {
        EndId {
            side: 1 - self.side,
            ..self
        }
    }
}

/// What travels towards an end.
enum Packet {
    Data(Bytes),
    Finish,
    Reset,
}

struct End {
    process: ProcessId,
    machine: MachineId,
    address: SocketAddr,
    in_transit: VecDeque<Packet>,
    last_arrival: u64,
    received: VecDeque<Bytes>,
    /// Bytes in transit and received: what the peer's window is charged with.
    unread_size: usize,
    /// The peer sends no more.
    is_finished_by_peer: bool,
    /// This end sends no more.
    is_finished: bool,
    is_reset: bool,
    /// Shut down from this side: reads end.
    is_shut: bool,
    is_closed: bool,
    /// What is sent to it is lost, and nobody is told.
    is_deaf: bool,
    /// Its peer has gone without a word.
    is_left_alone: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl End {
    fn wake(&mut self) {
        for waker in [self.reader.take(), self.writer.take()]
            .into_iter()
            .flatten()
        {
            waker.wake();
        }
    }

    fn reset(&mut self) {
        self.is_reset = true;
        self.in_transit.clear();
        self.received.clear();
        self.unread_size = 0;
        self.wake();
    }
}

struct ListenerState {
    process: ProcessId,
    machine: MachineId,
    address: SocketAddr,
    backlog: VecDeque<EndId>,
    acceptor: Option<Waker>,
}

/// How an end goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Parting {
    InOrder,
    Reset,
    /// Its peer is not told, and learns of it when it sends something.
    Silence,
}

/// Something arrives.
pub(in crate::io::sim) enum NetworkEvent {
    Deliver(EndId),
}

pub(in crate::io::sim) struct Network {
    connections: BTreeMap<u64, [End; 2]>,
    listeners: BTreeMap<u64, ListenerState>,
    blocked: BTreeSet<(MachineId, MachineId)>,
    next_id: u64,
    next_port: u16,
    window_size: usize,
    random: Random,
}

fn closed() -> Error {
    Error::new(
        ErrorKind::BrokenPipe,
        "the connection is closed on this side",
    )
}

fn reset() -> Error {
    Error::new(ErrorKind::ConnectionReset, "connection reset by peer")
}

impl Network {
    pub(in crate::io::sim) fn new(seed: u64, window_size: usize) -> Network {
        assert!(
            window_size > 0,
            "a connection that takes no bytes never moves"
        );
        Network {
            connections: BTreeMap::new(),
            listeners: BTreeMap::new(),
            blocked: BTreeSet::new(),
            next_id: 1,
            next_port: FIRST_EPHEMERAL_PORT,
            window_size,
            random: Random::stream(seed, "network", 0),
        }
    }

    fn new_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id - 1
    }

    fn new_port(&mut self) -> u16 {
        let port = self.next_port;
        self.next_port = port.checked_add(1).unwrap_or(FIRST_EPHEMERAL_PORT);
        port
    }

    pub(super) fn listen(
        &mut self,
        process: ProcessId,
        machine: MachineId,
        mut address: SocketAddr,
    ) -> Result<(u64, SocketAddr)> {
        let ip = address.ip();
        if !ip.is_unspecified() && !ip.is_loopback() && ip != machine.address() {
            let message = format!("{ip} is not an address of this machine");
            return Err(Error::new(ErrorKind::AddrNotAvailable, message));
        }
        if address.port() == 0 {
            address.set_port(self.new_port());
        }
        let is_taken = self.listeners.values().any(|other| {
            let overlaps = other.address.ip() == ip
                || other.address.ip().is_unspecified()
                || ip.is_unspecified();
            other.machine == machine && other.address.port() == address.port() && overlaps
        });
        if is_taken {
            return Err(Error::new(
                ErrorKind::AddrInUse,
                format!("{address} is in use"),
            ));
        }
        let id = self.new_id();
        let backlog = VecDeque::new();
        let state = ListenerState {
            process,
            machine,
            address,
            backlog,
            acceptor: None,
        };
        self.listeners.insert(id, state);
        Ok((id, address))
    }

    /// The machine that an address is on, seen from one.
    pub(super) fn machine_of(&self, from: MachineId, ip: IpAddr) -> Option<MachineId> {
        if ip.is_loopback() || ip.is_unspecified() {
            return Some(from);
        }
        MachineId::of_address(ip)
    }

    pub(super) fn is_blocked(&self, from: MachineId, to: MachineId) -> bool {
        !self.blocked.is_empty() && self.blocked.contains(&(from, to))
    }

    /// How long a packet takes from one machine to another.
    pub(super) fn draw_latency(&mut self, from: MachineId, to: MachineId) -> u64 {
        let usual = if from == to {
            LOOPBACK_LATENCY
        } else {
            NETWORK_LATENCY
        };
        self.random.latency(usual)
    }

    pub(super) fn draw(&mut self, probability: f64) -> bool {
        self.random.chance(probability)
    }

    /// Makes a connection to whoever listens on an address.
    pub(super) fn connect(
        &mut self,
        process: ProcessId,
        machine: MachineId,
        to: SocketAddr,
    ) -> Result<EndId> {
        let target = self.machine_of(machine, to.ip());
        let connection = self.new_id();
        let port = self.new_port();
        let listener = self.listeners.values_mut().find(|listener| {
            Some(listener.machine) == target
                && listener.address.port() == to.port()
                && (listener.address.ip() == to.ip()
                    || listener.address.ip().is_unspecified()
                    || to.ip().is_unspecified())
        });
        let Some(listener) = listener.filter(|l| l.backlog.len() < ACCEPT_BACKLOG_COUNT_MAX) else {
            let message = format!("connection to {to} refused");
            return Err(Error::new(ErrorKind::ConnectionRefused, message));
        };
        let from_ip = match to.ip().is_loopback() {
            true => IpAddr::V4(Ipv4Addr::LOCALHOST),
            false => machine.address(),
        };
        let ends = [
            new_end(process, machine, SocketAddr::new(from_ip, port)),
            new_end(listener.process, listener.machine, to),
        ];
        self.connections.insert(connection, ends);
        listener.backlog.push_back(EndId {
            connection,
            side: 1,
        });
        if let Some(waker) = listener.acceptor.take() {
            waker.wake();
        }
        Ok(EndId {
            connection,
            side: 0,
        })
    }

    pub(super) fn poll_accept(&mut self, listener: u64, cx: &mut Context<'_>) -> Poll<EndId> {
        let listener = self
            .listeners
            .get_mut(&listener)
            .expect("its handle is alive");
        match listener.backlog.pop_front() {
            Some(end) => Poll::Ready(end),
            None => {
                listener.acceptor = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Stops listening; connections that nobody accepted are reset.
    pub(super) fn close_listener(world: &mut World, listener: u64) {
        let Some(listener) = world.network.listeners.remove(&listener) else {
            return;
        };
        for end in listener.backlog {
            Network::close(world, end, Parting::Reset);
        }
    }

    fn end(&mut self, end: EndId) -> Option<&mut End> {
        Some(&mut self.connections.get_mut(&end.connection)?[end.side])
    }

    pub(super) fn address(&self, end: EndId) -> Option<SocketAddr> {
        Some(self.connections.get(&end.connection)?[end.side].address)
    }

    pub(super) fn peer_address(&self, end: EndId) -> Option<SocketAddr> {
        self.address(end.peer())
    }

    fn send_packet(world: &mut World, to: EndId, packet: Packet) {
        let network = &mut world.network;
        let Some(ends) = network.connections.get(&to.connection) else {
            return;
        };
        let (from, machine) = (ends[1 - to.side].machine, ends[to.side].machine);
        let mut latency = network.draw_latency(from, machine);
        if network.random.chance(world.plan.packet_delay) {
            latency += network.random.below(PACKET_DELAY_MAX.as_nanos() as u64);
            world.counts.delayed_packets += 1;
        }
        let end = network.end(to).expect("just seen");
        let arrives_at = (world.now + latency).max(end.last_arrival);
        end.last_arrival = arrives_at;
        end.in_transit.push_back(packet);
        world
            .events
            .schedule(arrives_at, Event::Network(NetworkEvent::Deliver(to)));
    }

    /// Takes as much of the bytes as the window lets in; returns how many.
    pub(super) fn poll_send(
        world: &mut World,
        from: EndId,
        bytes: &Bytes,
        cx: &mut Context<'_>,
    ) -> Poll<Result<usize>> {
        if world.network.random.chance(world.plan.connection_reset) {
            world.counts.answers_reset += u64::from(from.is_accepted());
            Network::reset_connection(world, from.connection);
        }
        let window_size = world.network.window_size;
        let Some(end) = world.network.end(from) else {
            return Poll::Ready(Err(reset()));
        };
        if end.is_reset {
            return Poll::Ready(Err(reset()));
        }
        if end.is_finished || end.is_shut {
            return Poll::Ready(Err(closed()));
        }
        let peer = world.network.end(from.peer()).expect("both ends or none");
        let room = window_size.saturating_sub(peer.unread_size);
        if room == 0 {
            let end = world.network.end(from).expect("just seen");
            end.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let size = room.min(bytes.len());
        peer.unread_size += size;
        Network::send_packet(world, from.peer(), Packet::Data(bytes.slice(..size)));
        Poll::Ready(Ok(size))
    }

    /// Reads some of what has arrived, not always all.
    pub(super) fn poll_read(
        &mut self,
        at: EndId,
        into: &mut BytesMut,
        size_max: usize,
        cx: &mut Context<'_>,
    ) -> Poll<Result<usize>> {
        let is_split = self.random.below(8) == 0;
        let split = self.random.next_u64();
        let Some(end) = self.end(at) else {
            return Poll::Ready(Err(reset()));
        };
        if end.is_reset {
            return Poll::Ready(Err(reset()));
        }
        if end.is_shut {
            return Poll::Ready(Ok(0));
        }
        let available: usize = end.received.iter().map(Bytes::len).sum();
        if available == 0 {
            if end.is_finished_by_peer {
                return Poll::Ready(Ok(0));
            }
            end.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let mut size = available.min(size_max);
        if is_split {
            size = 1 + (split % size as u64) as usize;
        }
        let mut left = size;
        while left > 0 {
            let first = end
                .received
                .front_mut()
                .expect("as many bytes as were counted");
            let taken = first.split_to(left.min(first.len()));
            left -= taken.len();
            into.extend_from_slice(&taken);
            if first.is_empty() {
                end.received.pop_front();
            }
        }
        end.unread_size -= size;
        let writer = self.end(at.peer()).and_then(|peer| peer.writer.take());
        if let Some(writer) = writer {
            writer.wake();
        }
        Poll::Ready(Ok(size))
    }

    /// Sends no more from this end.
    pub(super) fn finish(world: &mut World, from: EndId) -> Result<()> {
        let end = world.network.end(from).ok_or_else(reset)?;
        if end.is_reset {
            return Err(reset());
        }
        if !std::mem::replace(&mut end.is_finished, true) {
            Network::send_packet(world, from.peer(), Packet::Finish);
        }
        Ok(())
    }

    /// Shuts both directions down from this end.
    pub(super) fn shut(world: &mut World, at: EndId) {
        // A connection that is reset already is as shut as can be.
        let _ = Network::finish(world, at);
        if let Some(end) = world.network.end(at) {
            end.is_shut = true;
            end.wake();
        }
    }

    /// An end is gone. Bytes that it leaves unread reset the connection, as in a kernel.
    pub(super) fn close(world: &mut World, at: EndId, parting: Parting) {
        let Some(end) = world.network.end(at) else {
            return;
        };
        if std::mem::replace(&mut end.is_closed, true) {
            return;
        }
        let has_unread = !end.received.is_empty();
        let was_finished = std::mem::replace(&mut end.is_finished, true);
        let was_reset = end.is_reset;
        match parting {
            _ if was_reset => {}
            Parting::Silence => {
                world.counts.half_open_connections += 1;
                if let Some(peer) = world.network.end(at.peer()) {
                    peer.in_transit.clear();
                    peer.is_left_alone = true;
                }
            }
            Parting::Reset => Network::send_packet(world, at.peer(), Packet::Reset),
            Parting::InOrder if has_unread => {
                Network::send_packet(world, at.peer(), Packet::Reset);
            }
            Parting::InOrder if was_finished => {}
            Parting::InOrder => Network::send_packet(world, at.peer(), Packet::Finish),
        }
        world.network.forget_if_done(at.connection);
    }

    /// Lets a drawn connection of a process be forgotten on its way, as by a translator of
    /// addresses: neither end hears of the other again.
    pub(in crate::io::sim) fn forget_a_connection(world: &mut World, process: ProcessId) {
        let ends = world.network.connections_of(process);
        if ends.is_empty() {
            return;
        }
        let drawn = world.network.random.below(ends.len() as u64) as usize;
        let connection = ends[drawn].connection;
        if let Some(ends) = world.network.connections.get_mut(&connection) {
            ends.iter_mut().for_each(|end| end.is_deaf = true);
            world.counts.half_open_connections += 1;
            world.record_fault("connection forgotten", connection);
        }
    }

    fn forget_if_done(&mut self, connection: u64) {
        if let Some(ends) = self.connections.get(&connection)
            && ends.iter().all(|end| end.is_closed)
        {
            self.connections.remove(&connection);
        }
    }

    pub(in crate::io::sim) fn run_event(world: &mut World, event: NetworkEvent) {
        let NetworkEvent::Deliver(to) = event;
        let Some(ends) = world.network.connections.get(&to.connection) else {
            return;
        };
        let (from, machine) = (ends[1 - to.side].machine, ends[to.side].machine);
        if world.network.is_blocked(from, machine) {
            world.counts.held_deliveries += 1;
            let again = world.now + RETRANSMIT_INTERVAL;
            world
                .events
                .schedule(again, Event::Network(NetworkEvent::Deliver(to)));
            return;
        }
        let end = world.network.end(to).expect("just seen");
        // A reset takes what is in transit with it.
        let Some(packet) = end.in_transit.pop_front() else {
            return;
        };
        let mut size = 0;
        match packet {
            _ if end.is_deaf => {}
            Packet::Data(_) if end.is_closed => {
                Network::send_packet(world, to.peer(), Packet::Reset);
            }
            Packet::Data(bytes) => {
                size = bytes.len() as u64;
                end.received.push_back(bytes);
                end.wake();
            }
            Packet::Finish => {
                end.is_finished_by_peer = true;
                end.wake();
            }
            Packet::Reset => end.reset(),
        }
        world.trace.record(
            world.now,
            Step::Deliver {
                connection: to.connection,
                size,
            },
        );
    }

    /// Resets a connection on both ends now: what is in transit is lost.
    fn reset_connection(world: &mut World, connection: u64) {
        if let Some(ends) = world.network.connections.get_mut(&connection) {
            ends.iter_mut().for_each(End::reset);
            world.counts.connection_resets += 1;
            world.record_fault("connection reset", connection);
        }
    }

    /// Resets every connection of a process, but for those whose other end can tell nobody.
    pub(in crate::io::sim) fn reset_connections(world: &mut World, process: ProcessId) {
        for at in world.network.connections_of(process) {
            if world.network.end(at).is_some_and(|end| !end.is_left_alone) {
                Network::reset_connection(world, at.connection);
            }
        }
    }

    fn connections_of(&self, process: ProcessId) -> Vec<EndId> {
        let ends = self.connections.iter().flat_map(|(connection, ends)| {
            (0..2).map(|side| {
                (
                    EndId {
                        connection: *connection,
                        side,
                    },
                    &ends[side],
                )
            })
        });
        ends.filter(|(_, end)| end.process == process)
            .map(|(id, _)| id)
            .collect()
    }

    /// A process was killed: its connections end in order or by a reset, or, when its machine lost
    /// the power, always by one; or the peer is not told, where the plan says so.
    pub(in crate::io::sim) fn kill(world: &mut World, process: ProcessId, is_power_cut: bool) {
        let listeners = world.network.listeners.iter();
        let listeners = listeners.filter(|(_, listener)| listener.process == process);
        for listener in listeners.map(|(id, _)| *id).collect::<Vec<_>>() {
            Network::close_listener(world, listener);
        }
        for end in world.network.connections_of(process) {
            let is_reset = is_power_cut || world.network.random.coin();
            let half_open = world.plan.half_open;
            let is_silent = is_power_cut && world.network.random.chance(half_open);
            let parting = match is_reset {
                _ if is_silent => Parting::Silence,
                true => Parting::Reset,
                false => Parting::InOrder,
            };
            Network::close(world, end, parting);
        }
    }

    /// Holds back everything from one machine to another, or lets it through again.
    pub(in crate::io::sim) fn set_blocked(
        &mut self,
        from: MachineId,
        to: MachineId,
        blocked: bool,
    ) {
        match blocked {
            true => self.blocked.insert((from, to)),
            false => self.blocked.remove(&(from, to)),
        };
    }
}

fn new_end(process: ProcessId, machine: MachineId, address: SocketAddr) -> End {
    End {
        process,
        machine,
        address,
        in_transit: VecDeque::new(),
        last_arrival: 0,
        received: VecDeque::new(),
        unread_size: 0,
        is_finished_by_peer: false,
        is_finished: false,
        is_reset: false,
        is_shut: false,
        is_closed: false,
        is_deaf: false,
        is_left_alone: false,
        reader: None,
        writer: None,
    }
}
