//! Requests to other shards and their answers.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use super::message::{Message, Reply, Request};
use crate::io::{Mesh, OneshotReceiver, OneshotSender, oneshot};
use crate::metrics::{Counter, ShardMetrics};
use crate::types::ShardId;

/// This shard's view of the others: sends requests, matches answers. Lives on its shard.
#[derive(Clone)]
pub(super) struct Peers {
    inner: Rc<Inner>,
}

struct Inner {
    mesh: Mesh<Message>,
    metrics: ShardMetrics,
    next_call: Cell<u64>,
    /// Who waits for which answer. Bounded by the requests that were admitted.
    waiting: RefCell<BTreeMap<u64, OneshotSender<Reply>>>,
}

/// Where an answer goes: a request's sender and the number that it gave the request.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct ReturnAddress {
    pub(super) shard: ShardId,
    pub(super) call: u64,
}

impl Peers {
    pub(super) fn new(mesh: Mesh<Message>, metrics: ShardMetrics) -> Peers {
        Peers {
            inner: Rc::new(Inner {
                mesh,
                metrics,
                next_call: Cell::new(0),
                waiting: RefCell::new(BTreeMap::new()),
            }),
        }
    }

    /// Sends a request. It is on its way, in order, when this returns. The answer is `None` only
    /// when this shard stops first.
    pub(super) fn call(&self, to: ShardId, request: Request) -> OneshotReceiver<Reply> {
        let call = self.inner.next_call.get();
        self.inner.next_call.set(call + 1);
        let (sender, receiver) = oneshot();
        self.inner.waiting.borrow_mut().insert(call, sender);
        self.tell(to, Message::Request { call, request });
        receiver
    }

    /// Sends what has no answer.
    pub(super) fn tell(&self, to: ShardId, message: Message) {
        self.inner.metrics.increment(Counter::MeshMessages);
        self.inner.mesh.push(to, message);
    }

    pub(super) fn answer(&self, to: ReturnAddress, reply: Reply) {
        let call = to.call;
        self.tell(to.shard, Message::Reply { call, reply });
    }

    /// Hands an answer to whoever waits for it; one that nobody waits for any more is dropped.
    pub(super) fn answered(&self, call: u64, reply: Reply) {
        let waiting = self.inner.waiting.borrow_mut().remove(&call);
        if let Some(sender) = waiting {
            sender.send(reply);
        }
    }

    pub(super) async fn receive(&self) -> (ShardId, Message) {
        self.inner.mesh.receive().await
    }
}
