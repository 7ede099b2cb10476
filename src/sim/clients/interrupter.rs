//! Requests that do not arrive whole, and connections that end before their answer.

use super::cast::Cast;
use super::lane::{ACKS_LEADER, batch_of, produce_request};
use crate::sim::checker::Guarantee;
use crate::sim::tally::State;
use crate::sim::wire::Wire;

/// Longest pause between two interruptions, ms.
const PAUSE_MS_MAX: u64 = 60;

/// Longest time for which half a request hangs, ms.
const HANG_MS_MAX: u64 = 400;

pub(super) async fn run(cast: Cast) {
    let ledger = &cast.ledger;
    let halves = ledger.add_producer(Guarantee::Never);
    let cuts = ledger.add_producer(Guarantee::AtMostOnce);
    while !cast.is_over() {
        ledger.step();
        cast.pause(PAUSE_MS_MAX).await;
        let plans = &ledger.scenario.topics;
        let plan = &plans[ledger.below(plans.len() as u64) as usize];
        let Some(state) = ledger.name_state(&plan.name) else {
            continue;
        };
        let Ok(mut wire) = Wire::connect(&cast.reactor, ledger.scenario.address).await else {
            continue;
        };
        let is_half = ledger.one_in(2);
        let producer = if is_half { halves } else { cuts };
        let records = [ledger.next_record(producer)];
        let batch = batch_of(&records, None, cast.reactor.wall_clock());
        let partition = ledger.below(plan.partition_count as u64) as i32;
        let (version, request) = produce_request(ACKS_LEADER, state.topic_id, partition, batch);
        let mut frame = wire.frame(version, &request);
        if is_half {
            frame.truncate(ledger.below(frame.len() as u64) as usize);
        }
        if wire.write(frame).await.is_err() {
            continue;
        }
        ledger.reached(match is_half {
            true => State::HalfFrame,
            false => State::CutMidRequest,
        });
        if is_half && ledger.one_in(2) {
            cast.pause(HANG_MS_MAX).await;
        }
        wire.close();
    }
}
