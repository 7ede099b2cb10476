//! Asking the owners of partitions, and putting their answers back into the order of the question.

use std::collections::BTreeMap;
use std::future::Future;
use std::rc::Rc;

use super::core::Core;
use super::message::{Reply, Request};
use crate::types::{ShardId, TopicIdPartition};

impl Core {
    /// Asks each owner for its items, all at the same time: one answer an item, in their order.
    /// Asked when this returns. `None` when the broker stops.
    pub(super) fn ask_owners<T, A: 'static>(
        self: &Rc<Core>,
        items: Vec<T>,
        partition: fn(&T) -> TopicIdPartition,
        request: fn(Vec<T>) -> Request,
        answers: fn(Reply) -> Option<Vec<A>>,
    ) -> impl Future<Output = Option<Vec<A>>> + use<T, A> {
        let count = items.len();
        let mut by_owner: BTreeMap<ShardId, (Vec<usize>, Vec<T>)> = BTreeMap::new();
        for (index, item) in items.into_iter().enumerate() {
            let owner = self.owner(partition(&item));
            let (indexes, items) = by_owner.entry(owner).or_default();
            indexes.push(index);
            items.push(item);
        }
        let mut asked = Vec::with_capacity(by_owner.len());
        for (owner, (indexes, items)) in by_owner {
            asked.push((indexes, self.ask(owner, request(items))));
        }
        async move {
            let mut all: Vec<Option<A>> = (0..count).map(|_| None).collect();
            for (indexes, reply) in asked {
                for (index, answer) in indexes.into_iter().zip(answers(reply.await?)?) {
                    all[index] = Some(answer);
                }
            }
            all.into_iter().collect()
        }
    }
}
