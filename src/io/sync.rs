//! Waiting within one shard. Nothing here knows which executor it runs on.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// Wakes tasks that wait for a condition which they check themselves.
///
/// A [`Notify::notified`] future completes when [`Notify::notify_all`] was called after the future
/// was made. So: make the future, check the condition, then await.
#[derive(Clone, Default)]
pub struct Notify {
    inner: Rc<NotifyInner>,
}

#[derive(Default)]
struct NotifyInner {
    generation: Cell<u64>,
    next_ticket: Cell<u64>,
    waiters: RefCell<BTreeMap<u64, Waker>>,
}

impl Notify {
    pub fn new() -> Notify {
        Notify::default()
    }

    /// Wakes every task that waits now.
    pub fn notify_all(&self) {
        self.inner.generation.set(self.inner.generation.get() + 1);
        let waiters = std::mem::take(&mut *self.inner.waiters.borrow_mut());
        for waker in waiters.into_values() {
            waker.wake();
        }
    }

    /// Completes at the next [`Notify::notify_all`].
    pub fn notified(&self) -> Notified {
        Notified {
            inner: Rc::clone(&self.inner),
            since: self.inner.generation.get(),
            ticket: None,
        }
    }
}

/// See [`Notify::notified`]. Leaves nothing behind when it is dropped.
pub struct Notified {
    inner: Rc<NotifyInner>,
    since: u64,
    ticket: Option<u64>,
}

impl Future for Notified {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let inner = Rc::clone(&self.inner);
        if inner.generation.get() != self.since {
            return Poll::Ready(());
        }
        let ticket = *self.ticket.get_or_insert_with(|| {
            let ticket = inner.next_ticket.get();
            inner.next_ticket.set(ticket + 1);
            ticket
        });
        let mut waiters = inner.waiters.borrow_mut();
        match waiters.get_mut(&ticket) {
            Some(waker) => waker.clone_from(cx.waker()),
            None => {
                waiters.insert(ticket, cx.waker().clone());
            }
        }
        Poll::Pending
    }
}

impl Drop for Notified {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            let waker = self.inner.waiters.borrow_mut().remove(&ticket);
            // Dropping it can drop a task: not while the map is borrowed.
            drop(waker);
        }
    }
}

/// A counted resource with waiters in order of arrival: a large request is not overtaken.
#[derive(Clone)]
pub struct Semaphore {
    inner: Rc<SemaphoreInner>,
}

struct SemaphoreInner {
    capacity: usize,
    available: Cell<usize>,
    next_ticket: Cell<u64>,
    waiters: RefCell<VecDeque<Waiter>>,
}

struct Waiter {
    ticket: u64,
    amount: usize,
    waker: Waker,
}

impl Semaphore {
    pub fn new(capacity: usize) -> Semaphore {
        Semaphore {
            inner: Rc::new(SemaphoreInner {
                capacity,
                available: Cell::new(capacity),
                next_ticket: Cell::new(0),
                waiters: RefCell::new(VecDeque::new()),
            }),
        }
    }

    /// Waits for `amount`; more than the capacity counts as all of it, so that one request that is
    /// larger than the budget can pass when it is alone.
    pub fn acquire(&self, amount: usize) -> Acquire {
        let amount = amount.min(self.inner.capacity);
        Acquire {
            inner: Rc::clone(&self.inner),
            amount,
            ticket: None,
            granted: false,
        }
    }

    /// Takes `amount` if it is there and nobody waits.
    pub fn try_acquire(&self, amount: usize) -> Option<Permit> {
        let amount = amount.min(self.inner.capacity);
        if !self.inner.waiters.borrow().is_empty() || self.inner.available.get() < amount {
            return None;
        }
        self.inner
            .available
            .set(self.inner.available.get() - amount);
        Some(Permit {
            inner: Rc::clone(&self.inner),
            amount,
        })
    }

    pub fn available(&self) -> usize {
        self.inner.available.get()
    }

    pub fn capacity(&self) -> usize {
        self.inner.capacity
    }

    pub fn waiter_count(&self) -> usize {
        self.inner.waiters.borrow().len()
    }
}

impl SemaphoreInner {
    fn wake_first(&self) {
        if let Some(first) = self.waiters.borrow().front()
            && self.available.get() >= first.amount
        {
            first.waker.wake_by_ref();
        }
    }
}

/// See [`Semaphore::acquire`].
pub struct Acquire {
    inner: Rc<SemaphoreInner>,
    amount: usize,
    ticket: Option<u64>,
    granted: bool,
}

impl Future for Acquire {
    type Output = Permit;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Permit> {
        let inner = Rc::clone(&self.inner);
        let mut waiters = inner.waiters.borrow_mut();
        let is_first = match self.ticket {
            Some(ticket) => waiters.front().is_some_and(|first| first.ticket == ticket),
            None => waiters.is_empty(),
        };
        if is_first && inner.available.get() >= self.amount {
            inner.available.set(inner.available.get() - self.amount);
            if self.ticket.take().is_some() {
                waiters.pop_front();
            }
            drop(waiters);
            inner.wake_first();
            self.granted = true;
            return Poll::Ready(Permit {
                inner,
                amount: self.amount,
            });
        }
        match self.ticket {
            Some(ticket) => {
                let waiter = waiters.iter_mut().find(|waiter| waiter.ticket == ticket);
                waiter
                    .expect("a waiting ticket is in the queue")
                    .waker
                    .clone_from(cx.waker());
            }
            None => {
                let ticket = inner.next_ticket.get();
                inner.next_ticket.set(ticket + 1);
                self.ticket = Some(ticket);
                let waker = cx.waker().clone();
                waiters.push_back(Waiter {
                    ticket,
                    amount: self.amount,
                    waker,
                });
            }
        }
        Poll::Pending
    }
}

impl Drop for Acquire {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.inner
                .waiters
                .borrow_mut()
                .retain(|waiter| waiter.ticket != ticket);
            self.inner.wake_first();
        }
    }
}

/// What was acquired; given back when dropped.
pub struct Permit {
    inner: Rc<SemaphoreInner>,
    amount: usize,
}

impl Permit {
    pub fn amount(&self) -> usize {
        self.amount
    }

    /// Gives back all but `amount`.
    pub fn shrink_to(&mut self, amount: usize) {
        let surplus = self.amount.saturating_sub(amount);
        self.amount -= surplus;
        self.inner
            .available
            .set(self.inner.available.get() + surplus);
        self.inner.wake_first();
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.inner
            .available
            .set(self.inner.available.get() + self.amount);
        self.inner.wake_first();
    }
}

/// One value from one task to another.
pub fn oneshot<T>() -> (OneshotSender<T>, OneshotReceiver<T>) {
    let shared = Rc::new(RefCell::new(Oneshot {
        value: None,
        waker: None,
        closed: false,
    }));
    (
        OneshotSender {
            shared: Rc::clone(&shared),
        },
        OneshotReceiver { shared },
    )
}

struct Oneshot<T> {
    value: Option<T>,
    waker: Option<Waker>,
    closed: bool,
}

/// The sending end of [`oneshot`].
pub struct OneshotSender<T> {
    shared: Rc<RefCell<Oneshot<T>>>,
}

impl<T> OneshotSender<T> {
    pub fn send(self, value: T) {
        self.shared.borrow_mut().value = Some(value);
    }
}

impl<T> Drop for OneshotSender<T> {
    fn drop(&mut self) {
        let mut shared = self.shared.borrow_mut();
        shared.closed = true;
        let waker = shared.waker.take();
        drop(shared);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// The receiving end of [`oneshot`]: `None` when the sender was dropped without a value.
pub struct OneshotReceiver<T> {
    shared: Rc<RefCell<Oneshot<T>>>,
}

impl<T> Future for OneshotReceiver<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let mut shared = self.shared.borrow_mut();
        if let Some(value) = shared.value.take() {
            return Poll::Ready(Some(value));
        }
        if shared.closed {
            return Poll::Ready(None);
        }
        shared.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}
