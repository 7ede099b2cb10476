//! Producer ids in blocks (Kafka's `ProducerIdControlManager`).

use super::machine::Controller;
use super::request::{ControllerReply, Outcome, ProducerIdBlock};
use crate::metadata::{MetadataRecord, ProducerIdsRecord};
use crate::types::ErrorCode;

/// Ids in a block: a shard asks the controller once for so many producers.
pub const PRODUCER_ID_BLOCK_SIZE: i64 = 1000;

impl Controller {
    /// A block is spent when its record is durable, whether the shard uses it or not: an id is
    /// never handed out twice.
    pub(super) fn allocate_producer_ids(&self) -> Outcome {
        let first = self.image.next_producer_id();
        let Some(next_producer_id) = first.checked_add(PRODUCER_ID_BLOCK_SIZE) else {
            let exhausted = Err(ErrorCode::UnknownServerError);
            return Controller::answer(ControllerReply::AllocateProducerIds(exhausted));
        };
        let block = ProducerIdBlock {
            first,
            count: PRODUCER_ID_BLOCK_SIZE,
        };
        Outcome {
            records: vec![MetadataRecord::ProducerIds(ProducerIdsRecord {
                next_producer_id,
            })],
            reply: ControllerReply::AllocateProducerIds(Ok(block)),
        }
    }
}
