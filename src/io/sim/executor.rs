//! Tasks of all shards of all processes, on one thread.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use super::ProcessId;
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
    /// The body that the shard was started with: the shard ends with it.
    pub(super) is_body: bool,
}

/// Tasks that were woken, in no order: the next one is drawn. Wakers reach it from anywhere.
#[derive(Default)]
pub(super) struct Ready {
    keys: Mutex<Vec<TaskKey>>,
}

impl Ready {
    fn push(&self, key: TaskKey) {
        self.keys
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(key);
    }
}

struct TaskWaker {
    key: TaskKey,
    queued: AtomicBool,
    ready: Arc<Ready>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::Relaxed) {
            self.ready.push(self.key);
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
#[derive(Default)]
pub(super) struct Executor {
    slab: RefCell<Slab>,
    ready: Arc<Ready>,
}

impl Executor {
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
        self.ready.push(key);
    }

    pub(super) fn ready_count(&self) -> usize {
        self.ready
            .keys
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }

    /// Takes one of the ready tasks; `None` when it has ended since.
    pub(super) fn take_ready(&self, index: usize) -> Option<(TaskKey, TaskOwner)> {
        let key = self
            .ready
            .keys
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .swap_remove(index);
        let slab = self.slab.borrow();
        let task = slab.get(key)?;
        Some((key, task.owner))
    }

    /// Puts a taken task back among the ready ones.
    pub(super) fn put_back(&self, key: TaskKey) {
        self.ready.push(key);
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

    /// Drops every task and takes no new ones.
    pub(super) fn close(&self) {
        self.slab.borrow_mut().closed = true;
        self.drop_tasks(|_| true);
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
