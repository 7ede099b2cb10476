//! Brokers that start, and what a new cluster begins with.

use super::machine::Controller;
use super::request::{ControllerReply, Outcome};
use crate::metadata::{FeatureRecord, MetadataRecord, RegisterBroker};
use crate::types::ErrorCode;

/// Finalized features of a new cluster: the levels of Kafka 4.1 (`metadata.version` 27 is 4.1-IV1).
const BOOTSTRAP_FEATURES: &[(&str, i16)] = &[("kraft.version", 1), ("metadata.version", 27)];

/// The first batch of an empty metadata log.
pub fn bootstrap_records() -> Vec<MetadataRecord> {
    BOOTSTRAP_FEATURES
        .iter()
        .map(|&(name, level)| {
            MetadataRecord::Feature(FeatureRecord {
                name: name.into(),
                level,
            })
        })
        .collect()
}

impl Controller {
    /// Replaying the registration bumps the leader epochs: see [`RegisterBroker`].
    pub(super) fn register_broker(&self, request: RegisterBroker) -> Outcome {
        let last = self.image.broker(request.node_id);
        if last.is_some_and(|last| request.broker_epoch <= last.broker_epoch) {
            let stale = Err(ErrorCode::InvalidRequest);
            return Controller::answer(ControllerReply::RegisterBroker(stale));
        }
        Outcome {
            records: vec![MetadataRecord::RegisterBroker(request)],
            reply: ControllerReply::RegisterBroker(Ok(())),
        }
    }
}
