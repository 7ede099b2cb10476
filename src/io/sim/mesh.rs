//! Messages between the shards of one simulated process.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use super::Handle;
use super::events::Event;
use super::world::World;
use crate::types::ShardId;

/// Messages that a ring between two shards takes before the sender's outbox does.
const RING_MESSAGE_COUNT_MAX: usize = 128;

/// Shared by the shards until they have joined, and after.
pub struct SimMeshBuilder<M> {
    shared: Arc<Mutex<Shared<M>>>,
}

struct Shared<M> {
    shard_count: usize,
    joined: Vec<bool>,
    joiners: Vec<Waker>,
    /// From shard `i` to shard `j` at `i * shard_count + j`: FIFO, with the times of arrival.
    queues: Vec<VecDeque<(u64, M)>>,
    receivers: Vec<Option<Waker>>,
}

fn lock<M>(shared: &Mutex<Shared<M>>) -> MutexGuard<'_, Shared<M>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<M> Clone for SimMeshBuilder<M> {
    fn clone(&self) -> Self {
        SimMeshBuilder {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<M: Send + 'static> SimMeshBuilder<M> {
    pub(in crate::io) fn new(shard_count: usize) -> Self {
        let queue_count = shard_count * shard_count;
        SimMeshBuilder {
            shared: Arc::new(Mutex::new(Shared {
                shard_count,
                joined: vec![false; shard_count],
                joiners: Vec::new(),
                queues: (0..queue_count).map(|_| VecDeque::new()).collect(),
                receivers: vec![None; shard_count],
            })),
        }
    }

    pub(in crate::io) async fn join(self, handle: &Handle) -> SimMesh<M> {
        {
            let mut shared = lock(&self.shared);
            let joined = &mut shared.joined[handle.shard().index()];
            assert!(!*joined, "shard {} joined a mesh twice", handle.shard());
            *joined = true;
            shared.joiners.drain(..).for_each(Waker::wake);
        }
        poll_fn(|cx| {
            let mut shared = lock(&self.shared);
            if shared.joined.iter().all(|joined| *joined) {
                return Poll::Ready(());
            }
            shared.joiners.push(cx.waker().clone());
            Poll::Pending
        })
        .await;
        SimMesh {
            handle: handle.clone(),
            shared: self.shared,
        }
    }
}

/// One shard's end.
pub struct SimMesh<M> {
    handle: Handle,
    shared: Arc<Mutex<Shared<M>>>,
}

impl<M: Send + 'static> SimMesh<M> {
    pub(in crate::io) fn push(&self, to: ShardId, message: M) {
        let mut world = self.handle.world().lock();
        let mut shared = lock(&self.shared);
        let queue = self.handle.shard().index() * shared.shard_count + to.index();
        let queue = &mut shared.queues[queue];
        let after = queue.back().map_or(0, |(arrives_at, _)| *arrives_at);
        let arrives_at = world.draw_mesh_arrival(self.handle.shard(), to).max(after);
        queue.push_back((arrives_at, message));
        if shared.receivers[to.index()].is_some() {
            self.wake_at(&mut world, to, arrives_at);
        }
    }

    /// Wakes the receiver of a shard then, if it waits then.
    fn wake_at(&self, world: &mut World, to: ShardId, at: u64) {
        // Weak: a message may own a socket, which must not be dropped with the world locked.
        let shared = Arc::downgrade(&self.shared);
        let wake = move || {
            if let Some(shared) = shared.upgrade()
                && let Some(waker) = lock(&shared).receivers[to.index()].take()
            {
                waker.wake();
            }
        };
        world.events.schedule(at, Event::Mesh(Box::new(wake)));
    }

    pub(in crate::io) async fn receive(&self) -> (ShardId, M) {
        poll_fn(|cx| {
            let mut world = self.handle.world().lock();
            let mut shared = lock(&self.shared);
            let to = self.handle.shard();
            let arrivals = || {
                let queues = shared
                    .queues
                    .iter()
                    .skip(to.index())
                    .step_by(shared.shard_count);
                let first = queues.map(|queue| queue.front().map(|(arrives_at, _)| *arrives_at));
                first.enumerate().filter_map(|(from, at)| Some((from, at?)))
            };
            let now = world.now;
            let sender_count = arrivals().filter(|(_, at)| *at <= now).count();
            if sender_count > 0 {
                let drawn = world.draw_mesh_sender(sender_count);
                let mut arrived = arrivals().filter(|(_, at)| *at <= now);
                let (from, _) = arrived.nth(drawn).expect("as many senders as were counted");
                drop(arrived);
                let queue = from * shared.shard_count + to.index();
                let (_, message) = shared.queues[queue].pop_front().expect("it has arrived");
                return Poll::Ready((ShardId(from as u16), message));
            }
            if let Some(next_at) = arrivals().map(|(_, at)| at).min() {
                self.wake_at(&mut world, to, next_at);
            }
            shared.receivers[to.index()] = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    pub(in crate::io) fn outbox_count(&self) -> usize {
        let shared = lock(&self.shared);
        let from = self.handle.shard().index() * shared.shard_count;
        let queues = &shared.queues[from..from + shared.shard_count];
        queues
            .iter()
            .map(|queue| queue.len().saturating_sub(RING_MESSAGE_COUNT_MAX))
            .sum()
    }
}
