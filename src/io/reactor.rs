//! The handle of a shard's reactor.

use std::any::Any;
use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use super::net::ListenerSide;
use super::net::StreamSide;
use super::{
    Accepted, Descriptors, Disk, Listener, Mailbox, SocketBuffers, StopSignal, Stream, Task, sim,
    uring,
};
use crate::types::{Monotonic, ShardId, Timestamp};

/// How often a stop signal or a mailbox is looked at.
const STOP_POLL_INTERVAL: Duration = Duration::from_millis(10);

/// A shard's reactor: what its tasks use to reach anything outside. Cheap to clone, never leaves
/// its shard.
#[derive(Clone)]
pub struct Reactor {
    pub(in crate::io) side: Side,
}

#[derive(Clone)]
pub(in crate::io) enum Side {
    Uring(uring::Handle),
    Sim(sim::Handle),
}

/// What a shard's reactor has under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReactorLoad {
    /// Tasks that have not ended.
    pub tasks: usize,
    /// Operations on files, and calls on threads, that have not ended.
    pub operations: usize,
    /// Timers that are set.
    pub timers: usize,
}

macro_rules! on_side {
    ($reactor:expr, $handle:ident => $call:expr) => {
        match &$reactor.side {
            Side::Uring($handle) => $call,
            Side::Sim($handle) => $call,
        }
    };
}

impl Reactor {
    /// The shard that this reactor belongs to.
    pub fn shard(&self) -> ShardId {
        on_side!(self, handle => handle.shard())
    }

    /// How many shards were started together.
    pub fn shard_count(&self) -> usize {
        on_side!(self, handle => handle.shard_count())
    }

    /// Time that only goes forward.
    pub fn now(&self) -> Monotonic {
        on_side!(self, handle => handle.now())
    }

    /// Milliseconds since the Unix epoch. May jump either way.
    pub fn wall_clock(&self) -> Timestamp {
        on_side!(self, handle => handle.wall_clock())
    }

    /// What is under way; `None` in a simulation, which does not count it.
    pub fn load(&self) -> Option<ReactorLoad> {
        match &self.side {
            Side::Uring(handle) => Some(handle.load()),
            Side::Sim(_) => None,
        }
    }

    /// 64 random bits: from the system, or from the simulation's seed.
    pub fn random(&self) -> u64 {
        on_side!(self, handle => handle.random())
    }

    pub async fn sleep(&self, duration: Duration) {
        on_side!(self, handle => handle.sleep(duration).await)
    }

    /// Lets other tasks and completions in; for long work on the CPU.
    pub async fn yield_now(&self) {
        on_side!(self, handle => handle.yield_now().await)
    }

    /// Starts a task on this shard. It runs to its end unless the reactor ends first.
    pub fn spawn<T: 'static>(&self, future: impl Future<Output = T> + 'static) -> Task<T> {
        let (task, slot) = Task::new();
        let wrapped = async move { slot.complete(future.await) };
        on_side!(self, handle => handle.spawn(Box::pin(wrapped)));
        task
    }

    /// Keeps a value until this shard has ended with all that it has begun; in a simulation, until
    /// its process has.
    pub fn keep_until_end(&self, value: impl Any) {
        on_side!(self, handle => handle.keep_until_end(Box::new(value)));
    }

    /// Waits until the signal is set, at most [`STOP_POLL_INTERVAL`] longer.
    pub async fn stopped(&self, signal: &StopSignal) {
        while !signal.is_set() {
            self.sleep(STOP_POLL_INTERVAL).await;
        }
    }

    /// The next value that another thread has put into a mailbox, at most [`STOP_POLL_INTERVAL`]
    /// later.
    pub async fn next_mail<T: Send>(&self, mailbox: &Mailbox<T>) -> T {
        loop {
            if let Some(letter) = mailbox.take() {
                return letter;
            }
            self.sleep(STOP_POLL_INTERVAL).await;
        }
    }

    /// Gives `future` at most `duration`; `None` when it took longer, and then it is dropped.
    /// Never for disk work: dropping its future does not cancel it.
    pub async fn timeout<T>(
        &self,
        duration: Duration,
        future: impl Future<Output = T>,
    ) -> Option<T> {
        futures_lite::future::or(async { Some(future.await) }, async {
            self.sleep(duration).await;
            None
        })
        .await
    }

    /// The disk, as this shard sees it.
    pub fn disk(&self) -> Disk {
        Disk::new(
            self.clone(),
            on_side!(self, handle => handle.background_budget()),
        )
    }

    /// Listens on an address. Fails when another socket listens there, also one of the same user
    /// with SO_REUSEPORT.
    pub async fn listen(&self, address: SocketAddr) -> std::io::Result<Listener> {
        self.listen_with(address, SocketBuffers::default()).await
    }

    /// [`Reactor::listen`] whose connections have these buffers. The unspecified IPv6 address takes
    /// IPv4 connections too.
    pub async fn listen_with(
        &self,
        address: SocketAddr,
        buffers: SocketBuffers,
    ) -> std::io::Result<Listener> {
        let side = match &self.side {
            Side::Uring(handle) => ListenerSide::Uring(handle.listen(address, buffers).await?),
            Side::Sim(handle) => ListenerSide::Sim(handle.listen(address).await?),
        };
        Ok(Listener { side })
    }

    /// Makes an accepted connection, perhaps accepted on another shard, one of this shard's.
    pub fn adopt(&self, accepted: Accepted) -> std::io::Result<Stream> {
        let side = match (&self.side, accepted) {
            (Side::Uring(handle), Accepted::Uring(socket)) => {
                StreamSide::Uring(handle.adopt(socket)?)
            }
            (Side::Sim(handle), Accepted::Sim(socket)) => StreamSide::Sim(handle.adopt(socket)?),
            _ => panic!("a connection of the other side"),
        };
        Ok(Stream { side })
    }

    /// Connects to an address; bounded by `timeout`.
    pub async fn connect(&self, address: SocketAddr, timeout: Duration) -> std::io::Result<Stream> {
        let side = match &self.side {
            Side::Uring(handle) => StreamSide::Uring(handle.connect(address, timeout).await?),
            Side::Sim(handle) => StreamSide::Sim(handle.connect(address, timeout).await?),
        };
        Ok(Stream { side })
    }

    /// Long work on the CPU, on a thread of its own beside this shard's; it runs to its end even
    /// when nobody waits. In the simulation it takes no time.
    pub async fn beside<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        on_side!(self, handle => handle.beside(work).await)
    }

    /// The name of this machine.
    pub fn host_name(&self) -> String {
        on_side!(self, handle => handle.host_name())
    }

    /// How many descriptors there are, and may be; `None` where nothing limits them, as in the
    /// simulation, or the system does not say.
    pub fn descriptors(&self) -> Option<Descriptors> {
        on_side!(self, handle => handle.descriptors())
    }

    /// The addresses of a host name. In the simulation only literal addresses.
    pub async fn resolve(&self, host: &str, port: u16) -> std::io::Result<Vec<SocketAddr>> {
        on_side!(self, handle => handle.resolve(host, port).await)
    }
}
