//! What topics take on the brokers' disks.

use std::collections::BTreeMap;

use crate::client::{Admin, ClientError};
use crate::types::{NodeId, TopicPartition};

/// Where each partition's replicas lie and how large they are, by broker.
#[derive(Default)]
pub(super) struct Sizes {
    replicas: BTreeMap<TopicPartition, BTreeMap<NodeId, Placed>>,
}

/// A replica on a broker.
pub(super) struct Placed {
    /// Of its records, bytes.
    pub(super) size: u64,
    pub(super) log_dir: String,
}

impl Sizes {
    /// Asks every broker of the cluster. What lies in a directory that is offline is not known.
    pub(super) async fn ask(admin: &Admin) -> Result<Sizes, ClientError> {
        let mut sizes = Sizes::default();
        for &broker in admin.describe_cluster().await?.brokers.keys() {
            for log_dir in admin.describe_log_dirs(broker).await? {
                let path = log_dir.path;
                let replicas = log_dir.replicas.into_iter();
                for (partition, replica) in replicas.filter(|(_, replica)| !replica.is_future) {
                    let placed = Placed {
                        size: replica.size,
                        log_dir: path.clone(),
                    };
                    let on_brokers = sizes.replicas.entry(partition).or_default();
                    on_brokers.insert(broker, placed);
                }
            }
        }
        Ok(sizes)
    }

    /// The replica of a partition on a broker.
    pub(super) fn of(&self, partition: &TopicPartition, broker: NodeId) -> Option<&Placed> {
        self.replicas.get(partition)?.get(&broker)
    }
}
