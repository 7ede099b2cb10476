//! The tasks of a shard that have not ended. glommio leaves a task that waits when its executor
//! goes: with its files open, its locks held, its sockets bound. So who spawns is remembered.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use glommio::{Task, TaskQueueHandle};

#[derive(Clone, Default)]
pub(super) struct Tasks {
    slots: Rc<RefCell<Slots>>,
}

#[derive(Default)]
struct Slots {
    running: Vec<Option<Task<()>>>,
    free: Vec<usize>,
}

impl Tasks {
    /// Starts a task. It is not polled inside this call.
    pub(super) fn spawn(&self, future: Pin<Box<dyn Future<Output = ()>>>) {
        let mut slots = self.slots.borrow_mut();
        let slot = slots.free.pop().unwrap_or_else(|| {
            slots.running.push(None);
            slots.running.len() - 1
        });
        let tasks = self.clone();
        let remembered = async move {
            future.await;
            tasks.forget(slot);
        };
        let task = glommio::spawn_local_into(remembered, TaskQueueHandle::default());
        slots.running[slot] = Some(task.expect("the default queue is always there"));
    }

    /// How many have not ended.
    pub(super) fn count(&self) -> usize {
        let slots = self.slots.borrow();
        slots.running.len() - slots.free.len()
    }

    fn forget(&self, slot: usize) {
        let mut slots = self.slots.borrow_mut();
        if let Some(task) = slots.running[slot].take() {
            task.detach();
            slots.free.push(slot);
        }
    }

    /// Gives all tasks up: none is polled again, the executor drops them in its next turn. Returns
    /// whether there were any; dropping one may start others.
    pub(super) fn give_up(&self) -> bool {
        // Out of the cell first: the slots are no longer borrowed when a task is dropped.
        let slots = self.slots.take();
        slots.running.into_iter().flatten().count() > 0
    }
}
