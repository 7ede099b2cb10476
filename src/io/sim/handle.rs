//! A shard's handle: what the front calls.

use std::any::Any;
use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::events::TimerKey;
use super::executor::{Executor, TaskFuture, TaskOwner};
use super::random::Random;
use super::world::SharedWorld;
use super::{MachineId, ProcessId};
use crate::io::{Descriptors, Semaphore};
use crate::types::{Monotonic, ShardId, Timestamp};

/// The simulated side of a [`Reactor`](crate::io::Reactor).
#[derive(Clone)]
pub struct Handle {
    inner: Rc<Inner>,
}

struct Inner {
    world: SharedWorld,
    executor: Rc<Executor>,
    process: ProcessId,
    machine: MachineId,
    shard: ShardId,
    queue: u32,
    shard_count: usize,
    started_at: u64,
    background_budget: Semaphore,
    random: RefCell<Random>,
}

impl Handle {
    pub(super) fn new(
        world: SharedWorld,
        executor: Rc<Executor>,
        process: ProcessId,
        shard: ShardId,
        shard_count: usize,
    ) -> Handle {
        let mut locked = world.lock();
        let (machine, started_at) = {
            let process = locked.process(process);
            (process.machine, process.started_at)
        };
        let stream = u64::from(process.0) << 16 | u64::from(shard.0);
        let random = Random::stream(locked.options.seed, "reactor", stream);
        let budget = locked.options.background_bytes_in_flight_max;
        drop(locked);
        let queue = executor.add_queue();
        Handle {
            inner: Rc::new(Inner {
                world,
                executor,
                process,
                machine,
                shard,
                queue,
                shard_count,
                started_at,
                background_budget: Semaphore::new(budget),
                random: RefCell::new(random),
            }),
        }
    }

    pub(super) fn world(&self) -> &SharedWorld {
        &self.inner.world
    }

    pub(super) fn process(&self) -> ProcessId {
        self.inner.process
    }

    pub(super) fn machine(&self) -> MachineId {
        self.inner.machine
    }

    pub(in crate::io) fn shard(&self) -> ShardId {
        self.inner.shard
    }

    pub(in crate::io) fn shard_count(&self) -> usize {
        self.inner.shard_count
    }

    pub(in crate::io) fn now(&self) -> Monotonic {
        Monotonic(self.inner.world.lock().now - self.inner.started_at)
    }

    pub(in crate::io) fn wall_clock(&self) -> Timestamp {
        self.inner.world.lock().wall_clock(self.inner.machine)
    }

    pub(in crate::io) fn random(&self) -> u64 {
        self.inner.random.borrow_mut().next_u64()
    }

    pub(in crate::io) async fn sleep(&self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let deadline = self.inner.world.lock().now.saturating_add(nanos);
        Sleep {
            world: self.inner.world.clone(),
            deadline,
            timer: None,
        }
        .await;
    }

    pub(in crate::io) async fn yield_now(&self) {
        let mut has_yielded = false;
        poll_fn(|cx| {
            if std::mem::replace(&mut has_yielded, true) {
                return Poll::Ready(());
            }
            self.inner.executor.wake_yielded(cx.waker());
            Poll::Pending
        })
        .await;
    }

    /// See [`Reactor::keep_until_end`](crate::io::Reactor::keep_until_end).
    pub(in crate::io) fn keep_until_end(&self, value: Box<dyn Any>) {
        self.inner.executor.keep(self.inner.process, value);
    }

    pub(in crate::io) fn spawn(&self, future: TaskFuture) {
        self.spawn_task(future, false);
    }

    /// Starts the task that the shard ends with.
    pub(super) fn spawn_body(&self, future: TaskFuture) {
        self.spawn_task(future, true);
    }

    fn spawn_task(&self, future: TaskFuture, is_body: bool) {
        let owner = TaskOwner {
            process: self.inner.process,
            shard: self.inner.shard,
            queue: self.inner.queue,
            is_body,
        };
        self.inner.executor.spawn(owner, future);
    }

    pub(in crate::io) async fn beside<T>(&self, work: impl FnOnce() -> T) -> T {
        self.sleep(Duration::ZERO).await;
        work()
    }

    pub(in crate::io) fn descriptors(&self) -> Option<Descriptors> {
        None
    }

    pub(in crate::io) fn background_budget(&self) -> Semaphore {
        self.inner.background_budget.clone()
    }
}

struct Sleep {
    world: SharedWorld,
    deadline: u64,
    timer: Option<TimerKey>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let world = self.world.clone();
        let mut world = world.lock();
        if world.now >= self.deadline {
            return Poll::Ready(());
        }
        match self.timer {
            Some(timer) => world.events.set_timer_waker(timer, cx.waker()),
            None => {
                self.timer = Some(world.events.add_timer(self.deadline, cx.waker().clone()));
            }
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(timer) = self.timer {
            self.world.lock().events.cancel_timer(timer);
        }
    }
}
