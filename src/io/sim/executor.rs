//! Tasks of all shards of all processes, on one thread.

use std::any::Any;
use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use super::ProcessId;
use super::random::Random;
use crate::types::ShardId;

pub(super) type TaskFuture = Pin<Box<dyn Future<Output = ()>>>;

/// A task's slot. A slot is used again, a key is not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct TaskKey {
    pub(super) slot: u32,
    generation: u32,
}

/// Whose task it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct TaskOwner {
    pub(super) process: ProcessId,
    pub(super) shard: ShardId,
    /// The queue of that shard, from [`Executor::add_queue`].
    pub(super) queue: u32,
    /// The body that the shard was started with: the shard ends with it.
    pub(super) is_body: bool,
}

/// The ready tasks of one shard of one process. Which one runs is drawn, but in rounds: all of
/// `current` run before any of `next`, so that who yields lets in whoever was ready.
#[derive(Default)]
struct ShardQueue {
    current: Vec<TaskKey>,
    next: Vec<TaskKey>,
}

impl ShardQueue {
    fn is_empty(&self) -> bool {
        self.current.is_empty() && self.next.is_empty()
    }
}

struct Queues {
    queues: Vec<ShardQueue>,
    /// The queues that have something, in no order.
    busy: Vec<u32>,
    /// The task that is woken now has yielded.
    is_yielding: bool,
    /// Splits the other woken tasks over the rounds.
    rounds: Random,
}

/// Tasks that were woken. Wakers reach it from anywhere.
pub(super) struct Ready {
    queues: Mutex<Queues>,
}

impl Ready {
    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, queue: u32, key: TaskKey) {
        let mut queues = self.lock();
        let joins_round = !queues.is_yielding && queues.rounds.coin();
        let slot = &mut queues.queues[queue as usize];
        let was_empty = slot.is_empty();
        match joins_round {
            true => slot.current.push(key),
            false => slot.next.push(key),
        }
        if was_empty {
            queues.busy.push(queue);
        }
    }

    /// Takes a task: `drawn` chooses among the shards that have one, then among its tasks.
    fn take(&self, drawn: u64) -> TaskKey {
        let mut queues = self.lock();
        let queues = &mut *queues;
        let busy = below((drawn >> 16) & 0xffff, 16, queues.busy.len());
        let slot = &mut queues.queues[queues.busy[busy] as usize];
        if slot.current.is_empty() {
            std::mem::swap(&mut slot.current, &mut slot.next);
        }
        let index = below(drawn >> 32, 32, slot.current.len());
        let key = slot.current.swap_remove(index);
        if slot.is_empty() {
            queues.busy.swap_remove(busy);
        }
        key
    }
}

/// A number below `bound` from `bits` drawn bits.
fn below(drawn: u64, bits: u32, bound: usize) -> usize {
    ((drawn * bound as u64) >> bits) as usize
}

struct TaskWaker {
    key: TaskKey,
    queue: u32,
    queued: AtomicBool,
    ready: Arc<Ready>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::Relaxed) {
            self.ready.push(self.queue, self.key);
        }
    }
}

struct TaskEntry {
    owner: TaskOwner,
    /// Away while it is polled.
    future: Option<TaskFuture>,
    state: Arc<TaskWaker>,
    waker: Waker,
}

struct Slot {
    generation: u32,
    task: Option<TaskEntry>,
}

#[derive(Default)]
struct Slab {
    slots: Vec<Slot>,
    free: Vec<u32>,
    closed: bool,
}

/// Runs tasks one poll at a time; which one is the caller's choice.
pub(super) struct Executor {
    slab: RefCell<Slab>,
    ready: Arc<Ready>,
    kept: RefCell<Vec<(ProcessId, Box<dyn Any>)>>,
}

impl Executor {
    pub(super) fn new(seed: u64) -> Executor {
        let queues = Queues {
            queues: Vec::new(),
            busy: Vec::new(),
            is_yielding: false,
            rounds: Random::stream(seed, "rounds", 0),
        };
        Executor {
            slab: RefCell::default(),
            ready: Arc::new(Ready {
                queues: Mutex::new(queues),
            }),
            kept: RefCell::default(),
        }
    }

    /// Adds a task, ready to run.
    pub(super) fn spawn(&self, owner: TaskOwner, future: TaskFuture) {
        let mut slab = self.slab.borrow_mut();
        if slab.closed {
            drop(slab);
            drop(future);
            return;
        }
        let slot = slab.free.pop().unwrap_or_else(|| {
            slab.slots.push(Slot {
                generation: 0,
                task: None,
            });
            (slab.slots.len() - 1) as u32
        });
        let entry = &mut slab.slots[slot as usize];
        let key = TaskKey {
            slot,
            generation: entry.generation,
        };
        let state = Arc::new(TaskWaker {
            key,
            queue: owner.queue,
            queued: AtomicBool::new(true),
            ready: Arc::clone(&self.ready),
        });
        let waker = Waker::from(Arc::clone(&state));
        entry.task = Some(TaskEntry {
            owner,
            future: Some(future),
            state,
            waker,
        });
        drop(slab);
        self.ready.push(owner.queue, key);
    }

    /// A queue for the ready tasks of one more shard.
    pub(super) fn add_queue(&self) -> u32 {
        let mut queues = self.ready.lock();
        queues.queues.push(ShardQueue::default());
        (queues.queues.len() - 1) as u32
    }

    pub(super) fn has_ready(&self) -> bool {
        !self.ready.lock().busy.is_empty()
    }

    /// Takes one of the ready tasks, of which there must be one; `None` when it has ended since.
    pub(super) fn take_ready(&self, drawn: u64) -> Option<(TaskKey, TaskOwner)> {
        let key = self.ready.take(drawn);
        let slab = self.slab.borrow();
        let task = slab.get(key)?;
        Some((key, task.owner))
    }

    /// Puts a taken task back among the ready ones.
    pub(super) fn put_back(&self, key: TaskKey) {
        let owner = self.slab.borrow().get(key).map(|task| task.owner);
        if let Some(owner) = owner {
            self.ready.push(owner.queue, key);
        }
    }

    /// Wakes the running task so that it runs again after all that are ready on its shard.
    pub(super) fn wake_yielded(&self, waker: &Waker) {
        self.ready.lock().is_yielding = true;
        waker.wake_by_ref();
        self.ready.lock().is_yielding = false;
    }

    /// Polls a task once; true when that ended it.
    pub(super) fn poll(&self, key: TaskKey) -> bool {
        let (mut future, waker) = {
            let mut slab = self.slab.borrow_mut();
            let task = slab.get_mut(key).expect("a taken task is there");
            task.state.queued.store(false, Ordering::Relaxed);
            let future = task.future.take().expect("a task is not polled by itself");
            (future, task.waker.clone())
        };
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(()) => {
                let ended = self.slab.borrow_mut().remove(key);
                drop((future, ended));
                true
            }
            Poll::Pending => {
                if let Some(task) = self.slab.borrow_mut().get_mut(key) {
                    task.future = Some(future);
                }
                false
            }
        }
    }

    /// Drops every task of which `doomed` says so, futures and all.
    pub(super) fn drop_tasks(&self, doomed: impl Fn(TaskOwner) -> bool) {
        let mut dropped = Vec::new();
        {
            let mut slab = self.slab.borrow_mut();
            for slot in 0..slab.slots.len() as u32 {
                let entry = &slab.slots[slot as usize];
                let key = TaskKey {
                    slot,
                    generation: entry.generation,
                };
                if entry.task.as_ref().is_some_and(|task| doomed(task.owner)) {
                    dropped.extend(slab.remove(key));
                }
            }
        }
        // Outside the borrow: what a future owns may spawn, wake or close when it goes.
        drop(dropped);
    }

    /// Keeps a value until [`Executor::let_go`].
    pub(super) fn keep(&self, process: ProcessId, value: Box<dyn Any>) {
        self.kept.borrow_mut().push((process, value));
    }

    /// Drops what was kept for a process.
    pub(super) fn let_go(&self, process: ProcessId) {
        let is_its = |(of, _): &mut (ProcessId, _)| *of == process;
        let dropped: Vec<_> = self.kept.borrow_mut().extract_if(.., is_its).collect();
        drop(dropped);
    }

    /// Drops every task and takes no new ones.
    pub(super) fn close(&self) {
        self.slab.borrow_mut().closed = true;
        self.drop_tasks(|_| true);
        let kept = self.kept.take();
        drop(kept);
    }

    /// How many tasks live, for messages about a world that stands still.
    pub(super) fn task_count(&self) -> usize {
        let slab = self.slab.borrow();
        slab.slots.iter().filter(|slot| slot.task.is_some()).count()
    }
}

impl Slab {
    fn get(&self, key: TaskKey) -> Option<&TaskEntry> {
        let slot = &self.slots[key.slot as usize];
        slot.task
            .as_ref()
            .filter(|_| slot.generation == key.generation)
    }

    fn get_mut(&mut self, key: TaskKey) -> Option<&mut TaskEntry> {
        let slot = &mut self.slots[key.slot as usize];
        slot.task
            .as_mut()
            .filter(|_| slot.generation == key.generation)
    }

    fn remove(&mut self, key: TaskKey) -> Option<TaskEntry> {
        let slot = &mut self.slots[key.slot as usize];
        if slot.generation != key.generation {
            return None;
        }
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(key.slot);
        slot.task.take()
    }
}
