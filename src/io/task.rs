//! A task on its own: the handle of something that was spawned.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// The result of a spawned task, to be awaited. Dropping it detaches the task, it never cancels.
#[must_use = "await it, or call detach()"]
pub struct Task<T> {
    slot: Rc<Slot<T>>,
}

pub(in crate::io) struct Slot<T> {
    state: RefCell<State<T>>,
}

enum State<T> {
    Running(Option<Waker>),
    Finished(T),
    Taken,
}

impl<T> Task<T> {
    /// The handle, and the slot that the task's wrapper completes.
    pub(in crate::io) fn new() -> (Task<T>, Rc<Slot<T>>) {
        let slot = Rc::new(Slot {
            state: RefCell::new(State::Running(None)),
        });
        (
            Task {
                slot: Rc::clone(&slot),
            },
            slot,
        )
    }

    /// Lets the task run on its own.
    pub fn detach(self) {}

    /// Whether the task has ended.
    pub fn is_finished(&self) -> bool {
        !matches!(*self.slot.state.borrow(), State::Running(_))
    }
}

impl<T> Slot<T> {
    pub(in crate::io) fn complete(&self, value: T) {
        let before = self.state.replace(State::Finished(value));
        if let State::Running(Some(waker)) = before {
            waker.wake();
        }
    }
}

impl<T> Future for Task<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let mut state = self.slot.state.borrow_mut();
        match std::mem::replace(&mut *state, State::Taken) {
            State::Finished(value) => Poll::Ready(value),
            State::Running(_) => {
                *state = State::Running(Some(cx.waker().clone()));
                Poll::Pending
            }
            State::Taken => panic!("a task was awaited after it had given its result"),
        }
    }
}
