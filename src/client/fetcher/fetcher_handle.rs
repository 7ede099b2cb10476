//! What the user of a fetcher holds.

use std::rc::Rc;

use super::fetched::FetchedPartition;
use super::options::{FetchOptions, StartOffset};
use super::poll::Shared;
use crate::client::admin::{Admin, OffsetSpec};
use crate::client::error::ClientError;
use crate::client::routing::Client;
use crate::types::{Offset, PartitionIndex, TopicPartition};

/// Reads assigned partitions. Dropping it ends its polls and its sessions at the brokers, behind
/// the drop; [`Fetcher::close`] waits for that.
pub struct Fetcher {
    shared: Rc<Shared>,
}

impl Drop for Fetcher {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl Fetcher {
    pub fn new(client: &Client, options: FetchOptions) -> Fetcher {
        let shared = Shared::new(client, options);
        client.reactor().spawn(Rc::clone(&shared).run()).detach();
        Fetcher { shared }
    }

    /// Starts reading a partition, or moves to another position in it; what is buffered of it is
    /// dropped. Returns the position.
    pub async fn assign(
        &self,
        topic: &str,
        partition: PartitionIndex,
        start: StartOffset,
    ) -> Result<Offset, ClientError> {
        let client = &self.shared.client;
        let view = client.topic_with(topic, partition).await?;
        let count = view.partitions.len();
        if usize::try_from(partition).map_or(true, |index| index >= count) {
            return Err(ClientError::UnknownPartition {
                topic: topic.into(),
                partition,
                count,
            });
        }
        let position = start_position(client, topic, partition, start).await?;
        let key = TopicPartition::new(view.name, partition);
        self.unassign(topic, partition);
        let backoff = client.retry_backoff();
        self.shared
            .assignment
            .borrow_mut()
            .insert(key, position, backoff);
        self.shared.work.notify_all();
        Ok(position)
    }

    /// Stops reading a partition; what is buffered of it is dropped.
    pub fn unassign(&self, topic: &str, partition: PartitionIndex) {
        let key = TopicPartition::new(topic, partition);
        self.shared.assignment.borrow_mut().partitions.remove(&key);
        self.shared.forget(&key);
    }

    /// The next batches of any partition, in the order of offsets for each. Waits as long as it
    /// takes.
    ///
    /// An error is about one partition, which is no longer assigned afterwards; what can be
    /// repeated is, without telling.
    pub async fn next(&self) -> Result<FetchedPartition, ClientError> {
        loop {
            let arrived = self.shared.arrived.notified();
            if let Some(fetched) = self.shared.take() {
                return fetched;
            }
            arrived.await;
        }
    }

    /// Ends the polls, and the sessions at the brokers. Takes no longer than a poll under way does,
    /// and a second more.
    pub async fn close(self) {
        self.shared.close_and_wait().await;
    }

    /// The offset of the next poll, behind everything that is buffered.
    pub fn position(&self, topic: &str, partition: PartitionIndex) -> Option<Offset> {
        self.shared.assignment.borrow().position(topic, partition)
    }
}

/// The offset that a start means now.
pub(super) async fn start_position(
    client: &Client,
    topic: &str,
    partition: PartitionIndex,
    start: StartOffset,
) -> Result<Offset, ClientError> {
    let admin = Admin::new(client);
    let look_up = async |spec| {
        let offsets = admin.list_offsets(topic, &[(partition, spec)]).await?;
        Ok::<_, ClientError>(offsets.first().copied().flatten())
    };
    let spec = match start {
        StartOffset::Offset(offset) => return Ok(offset),
        StartOffset::Earliest => OffsetSpec::Earliest,
        StartOffset::Latest => OffsetSpec::Latest,
        StartOffset::Timestamp(timestamp) => OffsetSpec::Timestamp(timestamp),
    };
    let found = match look_up(spec).await? {
        None if spec != OffsetSpec::Latest => look_up(OffsetSpec::Latest).await?,
        found => found,
    };
    Ok(found.unwrap_or(0))
}
