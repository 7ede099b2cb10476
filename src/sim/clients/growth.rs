//! Partitions added while everybody writes and reads.

use super::cast::Cast;
use crate::client::{Admin, ClientError};
use crate::sim::checker::Invariant;
use crate::sim::tally::State;
use crate::types::ErrorCode;

/// Partitions of a topic, at most: a world stays small.
const PARTITION_COUNT_MAX: usize = 6;

/// Adds one partition to the topic of a name. What becomes of a call that fails is not known: the
/// topic has the partition, or will have it, or never.
pub(super) async fn grow(cast: &Cast, admin: &Admin, name: &str) {
    let ledger = &cast.ledger;
    let Some(state) = ledger.name_state(name) else {
        return;
    };
    let growing = {
        let mut topics = ledger.topics.borrow_mut();
        topics.growing(state.topic_id, PARTITION_COUNT_MAX)
    };
    let Some(wanted) = growing else { return };
    let count = wanted as i32;
    let called = admin.create_partitions(&[(name, count)], false).await;
    let result = called.and_then(|mut results| results.remove(0).result);
    cast.note(|| format!("grows {name} to {count} partitions: {result:?}"));
    let code = result.as_ref().err().and_then(ClientError::code);
    let mut topics = ledger.topics.borrow_mut();
    match result {
        Ok(_) => {
            topics.has_partitions(state.topic_id, wanted);
            ledger.reached(State::PartitionsAdded);
        }
        Err(_) if code == Some(ErrorCode::InvalidPartitions) => {
            if !topics.may_have_grown(name, wanted) {
                ledger.violated(
                    Invariant::Topics
                        .broken(format!("{name} has {count} partitions, nobody added them")),
                );
            }
            topics.has_partitions(state.topic_id, wanted);
        }
        Err(_) => {
            topics.growth_strayed(name, wanted);
            ledger.reached(State::GrowthUnknown);
        }
    }
}
