//! Messages between shards.

use super::reactor::Side;
use super::{Reactor, sim, uring};
use crate::types::ShardId;

/// Makes the mesh of one message type: created once, cloned to each shard, joined there.
pub struct MeshBuilder<M: Send + 'static> {
    uring: uring::UringMeshBuilder<M>,
    sim: sim::SimMeshBuilder<M>,
}

impl<M: Send + 'static> Clone for MeshBuilder<M> {
    fn clone(&self) -> Self {
        MeshBuilder {
            uring: self.uring.clone(),
            sim: self.sim.clone(),
        }
    }
}

impl<M: Send + 'static> MeshBuilder<M> {
    pub fn new(shard_count: usize) -> MeshBuilder<M> {
        MeshBuilder {
            uring: uring::UringMeshBuilder::new(shard_count),
            sim: sim::SimMeshBuilder::new(shard_count),
        }
    }

    /// Called once on every shard; returns when all of them have.
    pub async fn join(self, reactor: &Reactor) -> Mesh<M> {
        let side = match &reactor.side {
            Side::Uring(handle) => MeshSide::Uring(self.uring.join(handle).await),
            Side::Sim(handle) => MeshSide::Sim(self.sim.join(handle).await),
        };
        Mesh { side }
    }
}

/// One shard's end of the mesh. FIFO for each pair of shards; nothing is lost while both run.
///
/// There is no answer in it: who wants one puts an id into the message.
pub struct Mesh<M: Send + 'static> {
    side: MeshSide<M>,
}

enum MeshSide<M: Send + 'static> {
    Uring(uring::UringMesh<M>),
    Sim(sim::SimMesh<M>),
}

impl<M: Send + 'static> Mesh<M> {
    /// Queues a message for a shard, this one included. Never waits: what does not fit into the
    /// ring between the two cores waits in order in this shard's outbox. The bound on both is the
    /// admission of requests, since every message is caused by one.
    pub fn push(&self, to: ShardId, message: M) {
        match &self.side {
            MeshSide::Uring(mesh) => mesh.push(to, message),
            MeshSide::Sim(mesh) => mesh.push(to, message),
        }
    }

    /// The next message from any shard, and who sent it. Fair between senders. One task receives.
    pub async fn receive(&self) -> (ShardId, M) {
        match &self.side {
            MeshSide::Uring(mesh) => mesh.receive().await,
            MeshSide::Sim(mesh) => mesh.receive().await,
        }
    }

    /// Messages that wait in this shard's outboxes because a ring was full.
    pub fn outbox_count(&self) -> usize {
        match &self.side {
            MeshSide::Uring(mesh) => mesh.outbox_count(),
            MeshSide::Sim(mesh) => mesh.outbox_count(),
        }
    }
}
