//! What a shard's tasks hold of their executor.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::future::Future;
use std::io::Result;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::pin::Pin;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::libc;
use nix::sys::utsname::uname;

use super::memory::DmaMemory;
use super::tasks::Tasks;
use crate::io::{Notify, ReactorLoad, Semaphore};
use crate::types::{Monotonic, ShardId, Timestamp};

/// How long a yielding task stays away: just enough that its executor looks at its rings.
const YIELD: Duration = Duration::from_micros(1);
/// How often an ending shard looks whether its last operations are over.
const SETTLE_POLL_INTERVAL: Duration = Duration::from_micros(100);
/// How often tasks that were started by the end of others are ended too.
const WIND_UP_ROUNDS_MAX: usize = 10;

/// The reactor of one shard, on the real machine. Stays on its thread.
#[derive(Clone)]
pub struct Handle {
    inner: Rc<HandleInner>,
}

struct HandleInner {
    shard: ShardId,
    shard_count: usize,
    /// One for all shards that were started together, so that their times compare.
    epoch: Instant,
    background: Semaphore,
    tasks: Tasks,
    in_flight: Rc<Cell<usize>>,
    timers: Rc<Cell<usize>>,
    listeners_closing: Rc<Cell<usize>>,
    primed_devices: RefCell<BTreeSet<u64>>,
    priming: Semaphore,
    paths_replaced: RefCell<BTreeSet<PathBuf>>,
    path_released: Notify,
    kept: RefCell<Vec<Box<dyn Any>>>,
}

/// Something that must have ended before the executor may: counts itself.
pub(super) struct InFlight {
    count: Rc<Cell<usize>>,
}

impl InFlight {
    fn new(count: &Rc<Cell<usize>>) -> InFlight {
        count.set(count.get() + 1);
        InFlight {
            count: Rc::clone(count),
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.count.set(self.count.get() - 1);
    }
}

impl Handle {
    pub(super) fn new(
        shard: ShardId,
        shard_count: usize,
        epoch: Instant,
        background_bytes_in_flight_max: usize,
    ) -> Handle {
        Handle {
            inner: Rc::new(HandleInner {
                shard,
                shard_count,
                epoch,
                background: Semaphore::new(background_bytes_in_flight_max),
                tasks: Tasks::default(),
                in_flight: Rc::default(),
                timers: Rc::default(),
                listeners_closing: Rc::default(),
                primed_devices: RefCell::default(),
                priming: Semaphore::new(1),
                paths_replaced: RefCell::default(),
                path_released: Notify::new(),
                kept: RefCell::default(),
            }),
        }
    }

    pub(in crate::io) fn shard(&self) -> ShardId {
        self.inner.shard
    }

    pub(in crate::io) fn shard_count(&self) -> usize {
        self.inner.shard_count
    }

    pub(in crate::io) fn now(&self) -> Monotonic {
        let nanos = self.inner.epoch.elapsed().as_nanos();
        Monotonic(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    pub(in crate::io) fn wall_clock(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
        since_epoch.map_or(0, |time| {
            Timestamp::try_from(time.as_millis()).unwrap_or(Timestamp::MAX)
        })
    }

    pub(in crate::io) fn random(&self) -> u64 {
        let mut bytes = [0u8; 8];
        // SAFETY: the buffer is ours and as long as said. The call cannot fail for so few bytes
        // once the system's pool is initialised, which it waits for.
        let filled = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
        assert_eq!(filled, bytes.len() as isize, "getrandom gives 8 bytes");
        u64::from_ne_bytes(bytes)
    }

    pub(in crate::io) fn load(&self) -> ReactorLoad {
        ReactorLoad {
            tasks: self.inner.tasks.count(),
            operations: self.inner.in_flight.get(),
            timers: self.inner.timers.get(),
        }
    }

    pub(in crate::io) async fn sleep(&self, duration: Duration) {
        let _set = InFlight::new(&self.inner.timers);
        glommio::timer::sleep(duration).await;
    }

    pub(in crate::io) async fn yield_now(&self) {
        glommio::timer::sleep(YIELD).await;
    }

    pub(in crate::io) fn spawn(&self, future: Pin<Box<dyn Future<Output = ()>>>) {
        self.inner.tasks.spawn(future);
    }

    pub(in crate::io) fn background_budget(&self) -> Semaphore {
        self.inner.background.clone()
    }

    pub(in crate::io) fn allocate_buffer(&self, size: usize) -> DmaMemory {
        DmaMemory::zeroed(size)
    }

    pub(in crate::io) fn allocate_unfilled(&self, size: usize) -> DmaMemory {
        DmaMemory::uninitialised(size)
    }

    pub(in crate::io) async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>> {
        let host = host.to_owned();
        self.blocking(move || Ok((host.as_str(), port).to_socket_addrs()?.collect()))
            .await
    }

    pub(in crate::io) fn host_name(&self) -> String {
        let name = uname().map(|name| name.nodename().to_string_lossy().into_owned());
        name.unwrap_or_else(|_| "localhost".to_owned())
    }

    /// Runs a blocking call on the shard's pool; it runs to its end even when nobody waits.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        call: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let _in_flight = self.in_flight();
        glommio::executor().spawn_blocking(call).await
    }

    pub(in crate::io) async fn beside<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        let _in_flight = self.in_flight();
        glommio::executor().spawn_blocking(work).await
    }

    /// See [`Reactor::keep_until_end`](crate::io::Reactor::keep_until_end).
    pub(in crate::io) fn keep_until_end(&self, value: Box<dyn Any>) {
        self.inner.kept.borrow_mut().push(value);
    }

    /// Drops what was kept until the end.
    pub(super) fn let_go(&self) {
        let kept = self.inner.kept.take();
        drop(kept);
    }

    /// Holds the end of the executor back while it lives.
    pub(super) fn in_flight(&self) -> InFlight {
        InFlight::new(&self.inner.in_flight)
    }

    /// As [`Handle::in_flight`], for a listener that has been dropped and still has its port.
    pub(super) fn listener_closing(&self) -> InFlight {
        InFlight::new(&self.inner.listeners_closing)
    }

    /// Waits until dropped listeners have given their ports back.
    pub(super) async fn listeners_closed(&self) {
        while self.inner.listeners_closing.get() > 0 {
            self.sleep(SETTLE_POLL_INTERVAL).await;
        }
    }

    /// Brings the shard to its end: waits until nothing is in flight any more (the kernel must not
    /// write into memory of an executor that has gone), then drops the tasks that are left.
    pub(super) async fn wind_up(&self) {
        // What was called last is a task that has not run yet.
        self.sleep(SETTLE_POLL_INTERVAL).await;
        self.listeners_closed().await;
        for _ in 0..WIND_UP_ROUNDS_MAX {
            while self.inner.in_flight.get() > 0 {
                self.sleep(SETTLE_POLL_INTERVAL).await;
            }
            // In the same turn: no task can begin anything in between.
            if !self.inner.tasks.give_up() {
                break;
            }
            self.sleep(SETTLE_POLL_INTERVAL).await;
        }
    }

    pub(super) fn is_primed(&self, device: u64) -> bool {
        self.inner.primed_devices.borrow().contains(&device)
    }

    pub(super) fn set_primed(&self, device: u64) {
        self.inner.primed_devices.borrow_mut().insert(device);
    }

    /// One task at a time primes.
    pub(super) fn priming(&self) -> &Semaphore {
        &self.inner.priming
    }

    /// Waits until no other task of this shard replaces this file, and takes its turn.
    pub(super) async fn replace_turn(&self, path: PathBuf) -> ReplaceTurn {
        loop {
            let released = self.inner.path_released.notified();
            if self.inner.paths_replaced.borrow_mut().insert(path.clone()) {
                return ReplaceTurn {
                    inner: Rc::clone(&self.inner),
                    path,
                };
            }
            released.await;
        }
    }
}

/// See [`Handle::replace_turn`].
pub(super) struct ReplaceTurn {
    inner: Rc<HandleInner>,
    path: PathBuf,
}

impl Drop for ReplaceTurn {
    fn drop(&mut self) {
        self.inner.paths_replaced.borrow_mut().remove(&self.path);
        self.inner.path_released.notify_all();
    }
}
