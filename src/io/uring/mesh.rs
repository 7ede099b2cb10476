//! Messages between shards: a ring of bounded size for each ordered pair (glommio's shared
//! channel), which wakes a sleeping executor through its eventfd.
//!
//! One task for each sender moves messages from its ring into the receiver's inbox. Polling all
//! rings from one task instead would leave another waker in every idle ring each time, and glommio
//! counts a task's wakers with 16 bits.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

use glommio::channels::shared_channel::{
    ConnectedReceiver, ConnectedSender, SharedReceiver, SharedSender, new_bounded,
};
use glommio::{GlommioError, ResourceType};

use super::handle::{Handle, InFlight};
use crate::io::{Notify, Task};
use crate::types::ShardId;

/// Messages in the ring between two shards.
const RING_MESSAGE_COUNT: usize = 1024;
/// Messages of one sender that wait in the receiver's inbox; the rest stay in the ring.
const INBOX_MESSAGE_COUNT_MAX: usize = 1024;

/// The rings of a mesh, until each shard has taken its ends.
pub struct UringMeshBuilder<M: Send + 'static> {
    /// By sender, then by receiver.
    rings: Arc<Mutex<Vec<Vec<Ring<M>>>>>,
}

struct Ring<M: Send + 'static> {
    sender: Option<SharedSender<M>>,
    receiver: Option<SharedReceiver<M>>,
}

impl<M: Send + 'static> Clone for UringMeshBuilder<M> {
    fn clone(&self) -> Self {
        UringMeshBuilder {
            rings: Arc::clone(&self.rings),
        }
    }
}

impl<M: Send + 'static> UringMeshBuilder<M> {
    pub(in crate::io) fn new(shard_count: usize) -> Self {
        let ring = |from: usize, to: usize| {
            let ends = (from != to).then(|| new_bounded(RING_MESSAGE_COUNT));
            let (sender, receiver) = ends.unzip();
            Ring { sender, receiver }
        };
        let rings = (0..shard_count)
            .map(|from| (0..shard_count).map(|to| ring(from, to)).collect())
            .collect();
        UringMeshBuilder {
            rings: Arc::new(Mutex::new(rings)),
        }
    }

    pub(in crate::io) async fn join(self, handle: &Handle) -> UringMesh<M> {
        let me = handle.shard();
        let (senders, receivers) = self.take_ends(me, handle.shard_count());
        // Each connects in a task of its own: one after the other, three shards could each wait for
        // the next.
        let senders: Vec<Option<Task<ConnectedSender<M>>>> = senders
            .into_iter()
            .map(|sender| Some(spawn(handle, sender?.connect())))
            .collect();
        let receivers: Vec<Option<Task<ConnectedReceiver<M>>>> = receivers
            .into_iter()
            .map(|receiver| Some(spawn(handle, receiver?.connect())))
            .collect();
        let mut outboxes = Vec::with_capacity(senders.len());
        for sender in senders {
            outboxes.push(match sender {
                Some(sender) => Some(Rc::new(Outbox::new(sender.await))),
                None => None,
            });
        }
        let inbox = Rc::new(Inbox::new(receivers.len()));
        for (from, receiver) in receivers.into_iter().enumerate() {
            if let Some(receiver) = receiver {
                let receiver = receiver.await;
                let inbox = Rc::clone(&inbox);
                handle.spawn(Box::pin(move_in(receiver, from, inbox)));
            }
        }
        UringMesh {
            handle: handle.clone(),
            outboxes,
            inbox,
        }
    }

    #[expect(clippy::type_complexity, reason = "both ends of a row of rings")]
    fn take_ends(
        &self,
        me: ShardId,
        shard_count: usize,
    ) -> (Vec<Option<SharedSender<M>>>, Vec<Option<SharedReceiver<M>>>) {
        let mut rings = self.rings.lock().expect("no shard panics while it joins");
        assert_eq!(
            rings.len(),
            shard_count,
            "the mesh was made for another number of shards"
        );
        let senders: Vec<_> = rings[me.index()]
            .iter_mut()
            .map(|ring| ring.sender.take())
            .collect();
        let receivers: Vec<_> = rings
            .iter_mut()
            .map(|row| row[me.index()].receiver.take())
            .collect();
        let taken = senders.iter().flatten().count();
        assert_eq!(taken, shard_count - 1, "shard {me} has joined twice");
        (senders, receivers)
    }
}

fn spawn<T: 'static>(handle: &Handle, future: impl Future<Output = T> + 'static) -> Task<T> {
    let (task, slot) = Task::new();
    handle.spawn(Box::pin(async move { slot.complete(future.await) }));
    task
}

/// One shard's end.
pub struct UringMesh<M: Send + 'static> {
    handle: Handle,
    outboxes: Vec<Option<Rc<Outbox<M>>>>,
    inbox: Rc<Inbox<M>>,
}

impl<M: Send + 'static> UringMesh<M> {
    pub(in crate::io) fn push(&self, to: ShardId, message: M) {
        match &self.outboxes[to.index()] {
            None => self.inbox.push(to.index(), message),
            Some(outbox) => {
                if outbox.push(message) == Drain::Start {
                    // What was pushed before the shard ends still arrives, if the peer takes it.
                    let in_flight = self.handle.in_flight();
                    self.handle
                        .spawn(Box::pin(drain(Rc::clone(outbox), in_flight)));
                }
            }
        }
    }

    pub(in crate::io) async fn receive(&self) -> (ShardId, M) {
        poll_fn(|cx| match self.inbox.pop() {
            Some((from, message)) => Poll::Ready((ShardId(from as u16), message)),
            None => {
                self.inbox.receiver.replace(Some(cx.waker().clone()));
                Poll::Pending
            }
        })
        .await
    }

    pub(in crate::io) fn outbox_count(&self) -> usize {
        let outboxes = self.outboxes.iter().flatten();
        outboxes.map(|outbox| outbox.count()).sum()
    }
}

impl<M: Send + 'static> Drop for UringMesh<M> {
    fn drop(&mut self) {
        // The tasks that fill the inbox give up their rings; peers then drop what they send.
        self.inbox.closed.set(true);
        self.inbox.closing.notify_all();
    }
}

/// What is on its way to one other shard.
struct Outbox<M: Send + 'static> {
    sender: ConnectedSender<M>,
    /// What did not fit into the ring, in order.
    waiting: RefCell<VecDeque<M>>,
    /// A task is moving them; it has one more in its hands, older than all that wait.
    is_draining: Cell<bool>,
}

#[derive(PartialEq)]
enum Drain {
    Start,
    No,
}

impl<M: Send + 'static> Outbox<M> {
    fn new(sender: ConnectedSender<M>) -> Outbox<M> {
        Outbox {
            sender,
            waiting: RefCell::default(),
            is_draining: Cell::new(false),
        }
    }

    fn count(&self) -> usize {
        self.waiting.borrow().len() + usize::from(self.is_draining.get())
    }

    fn push(&self, message: M) -> Drain {
        if self.is_draining.get() {
            self.waiting.borrow_mut().push_back(message);
            return Drain::No;
        }
        match self.sender.try_send(message) {
            Err(GlommioError::WouldBlock(ResourceType::Channel(message))) => {
                self.waiting.borrow_mut().push_back(message);
                self.is_draining.set(true);
                Drain::Start
            }
            // The peer has ended, and what it would have done with the message with it.
            Err(_) | Ok(()) => Drain::No,
        }
    }
}

/// Moves an outbox into its ring as fast as there is room.
async fn drain<M: Send + 'static>(outbox: Rc<Outbox<M>>, _in_flight: InFlight) {
    loop {
        let next = outbox.waiting.borrow_mut().pop_front();
        let Some(message) = next else {
            break;
        };
        if outbox.sender.send(message).await.is_err() {
            outbox.waiting.borrow_mut().clear();
        }
    }
    outbox.is_draining.set(false);
}

/// What has come in, by sender.
struct Inbox<M> {
    queues: Vec<RefCell<VecDeque<M>>>,
    /// The sender whose turn is next.
    next: Cell<usize>,
    /// The task that receives.
    receiver: RefCell<Option<Waker>>,
    /// By sender: its task, when its queue was full.
    full: Vec<RefCell<Option<Waker>>>,
    closing: Notify,
    closed: Cell<bool>,
}

impl<M> Inbox<M> {
    fn new(shard_count: usize) -> Inbox<M> {
        Inbox {
            queues: (0..shard_count).map(|_| RefCell::default()).collect(),
            next: Cell::new(0),
            receiver: RefCell::new(None),
            full: (0..shard_count).map(|_| RefCell::default()).collect(),
            closing: Notify::new(),
            closed: Cell::new(false),
        }
    }

    fn push(&self, from: usize, message: M) {
        self.queues[from].borrow_mut().push_back(message);
        if let Some(receiver) = self.receiver.take() {
            receiver.wake();
        }
    }

    fn pop(&self) -> Option<(usize, M)> {
        let count = self.queues.len();
        let turns = (0..count).map(|turn| (self.next.get() + turn) % count);
        for from in turns {
            let message = self.queues[from].borrow_mut().pop_front();
            if let Some(message) = message {
                self.next.set((from + 1) % count);
                if let Some(task) = self.full[from].take() {
                    task.wake();
                }
                return Some((from, message));
            }
        }
        None
    }

    async fn room(&self, from: usize) {
        poll_fn(|cx| {
            if self.queues[from].borrow().len() < INBOX_MESSAGE_COUNT_MAX {
                return Poll::Ready(());
            }
            self.full[from].replace(Some(cx.waker().clone()));
            Poll::Pending
        })
        .await;
    }
}

/// Moves one sender's messages from its ring into the inbox.
async fn move_in<M: Send + 'static>(
    receiver: ConnectedReceiver<M>,
    from: usize,
    inbox: Rc<Inbox<M>>,
) {
    while !inbox.closed.get() {
        inbox.room(from).await;
        let closing = inbox.closing.notified();
        let received = futures_lite::future::or(receiver.recv(), async {
            closing.await;
            None
        });
        match received.await {
            Some(message) => inbox.push(from, message),
            None => break,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inbox_is_fair_between_senders() {
        let inbox = Inbox::new(3);
        for message in 0..100 {
            inbox.push(1, message);
        }
        assert_eq!(inbox.pop(), Some((1, 0)));
        inbox.push(0, 1000);
        inbox.push(2, 2000);
        inbox.push(2, 2001);
        let order: Vec<_> = std::iter::from_fn(|| inbox.pop()).take(6).collect();
        let expected = [(2, 2000), (0, 1000), (1, 1), (2, 2001), (1, 2), (1, 3)];
        assert_eq!(order, expected);
    }
}
