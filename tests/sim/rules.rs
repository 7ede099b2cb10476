//! Each rule of durability, broken on purpose: the log's model must notice.

use std::panic::catch_unwind;

use ringlog::io::sim::FaultPlan;
use ringlog::log::BrokenRule;

use crate::log_model::{Emphasis, Ending, run_seed_with};

/// Seeds within which a broken rule must be noticed, and operations of each.
const SEEDS_MAX: u64 = 200;
const STEPS: u64 = 300;

/// What shows that a rule is broken soonest.
pub(crate) fn emphasis(rule: BrokenRule) -> Emphasis {
    let none = FaultPlan::none();
    let (ending, faults, unflushed_bytes_max) = match rule {
        BrokenRule::LocksNothing => {
            let slow = FaultPlan {
                slow_disk: 0.3,
                ..none
            };
            (Some(Ending::Kill), Some(slow), None)
        }
        BrokenRule::IgnoresUnflushedLimit => {
            let slow = FaultPlan {
                slow_disk: 0.3,
                ..none
            };
            (Some(Ending::PowerCut), Some(slow), Some(16 << 10))
        }
        BrokenRule::CheckpointsAhead => (Some(Ending::PowerCut), Some(none), None),
        BrokenRule::RetriesFailedFlush => {
            let failing = FaultPlan {
                flush_error: 0.01,
                ..none
            };
            (Some(Ending::PowerCut), Some(failing), None)
        }
        BrokenRule::RecyclesWhileRead => {
            let slow = FaultPlan {
                // A read that takes long beside a roll that does not.
                slow_disk: 0.02,
                ..none
            };
            (Some(Ending::Stop), Some(slow), None)
        }
        BrokenRule::BelievesOldBatches => (Some(Ending::Kill), Some(none), Some(4 << 10)),
        BrokenRule::PassesTheMark => (Some(Ending::Kill), Some(none), None),
        _ => (None, None, None),
    };
    let recycles = matches!(
        rule,
        BrokenRule::RecyclesWhileRead | BrokenRule::BelievesOldBatches | BrokenRule::PassesTheMark
    );
    Emphasis {
        broken_rule: Some(rule),
        ending,
        faults,
        unflushed_bytes_max,
        recycles,
    }
}

/// Plays a seed, which panics where the rule is noticed.
pub(crate) fn run(seed: u64, emphasis: &Emphasis) {
    run_seed_with(seed, STEPS, false, emphasis);
}

/// The first seed that fails.
fn noticed_at(emphasis: &Emphasis) -> Option<u64> {
    (0..SEEDS_MAX).find(|&seed| catch_unwind(|| run(seed, emphasis)).is_err())
}

#[test]
fn every_broken_rule_is_noticed() {
    let missed: Vec<_> = BrokenRule::ALL
        .into_iter()
        // The model's disk corrupts nothing: those rules' tests are in `corruption` and `damage`.
        // What hides behind a size comes out once in 100,000 of its seeds: `two_crashes`.
        .filter(|&rule| {
            !matches!(
                rule,
                BrokenRule::CutsCorruption
                    | BrokenRule::LeavesHiddenBytes
                    | BrokenRule::ServesUnchecked
            )
        })
        .map(|rule| (rule, noticed_at(&emphasis(rule))))
        .filter(|(_, seed)| seed.is_none())
        .collect();
    assert!(missed.is_empty(), "not noticed: {missed:?}");
}
