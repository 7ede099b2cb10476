//! Reading by assignment with long polls, from the beginning, from the end, from anywhere.

use std::collections::BTreeMap;
use std::time::Duration;

use super::cast::Cast;
use crate::client::{Client, ClientError, FetchOptions, Fetcher, OffsetReset, StartOffset};
use crate::sim::checker::{Invariant, NameState, Survives};
use crate::sim::tally::State;
use crate::types::ErrorCode;

/// Longest pause before another assignment, ms.
const PAUSE_MS_MAX: u64 = 10;

/// How long a reader waits before it looks at the world again.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// One in so many polls ends an assignment.
const REASSIGN_EVERY: u64 = 25;

pub(super) async fn run(cast: Cast) {
    let client = cast.connect(cast.options(5)).await;
    while !cast.is_over() && cast.ledger.violation().is_none() {
        cast.ledger.step();
        Round::begin(&cast, &client).read().await;
        cast.pause(PAUSE_MS_MAX).await;
    }
}

/// One assignment: what its topics were when it began.
struct Round<'a> {
    cast: &'a Cast,
    fetcher: Fetcher,
    states: BTreeMap<String, NameState>,
    loss_count: u64,
}

impl<'a> Round<'a> {
    fn begin(cast: &'a Cast, client: &Client) -> Round<'a> {
        let ledger = &cast.ledger;
        let options = FetchOptions {
            max_wait: Duration::from_millis(1 << ledger.below(9)),
            min_bytes: 1 << ledger.below(10),
            max_bytes: 256 << ledger.below(10),
            partition_max_bytes: 128 << ledger.below(10),
            reset: OffsetReset::Error,
            ..FetchOptions::default()
        };
        let names = ledger.scenario.names();
        let states = names.into_iter().filter_map(|name| {
            let state = ledger.name_state(name)?;
            Some((name.to_owned(), state))
        });
        Round {
            fetcher: Fetcher::new(client, options),
            states: states.collect(),
            loss_count: ledger.loss_count.get(),
            cast,
        }
    }

    async fn read(&self) {
        if self.assign().await.is_err() {
            return;
        }
        let ledger = &self.cast.ledger;
        while !self.cast.is_over() && !ledger.one_in(REASSIGN_EVERY) {
            let reactor = &self.cast.reactor;
            let next = reactor.timeout(LOOK_INTERVAL, self.fetcher.next()).await;
            if !self.is_current() {
                return;
            }
            match next {
                None => {}
                Some(Ok(fetched)) => {
                    let state = self.states[&*fetched.topic];
                    ledger.read(state.topic_id, &fetched);
                }
                Some(Err(error)) => return self.refused(&error),
            }
        }
    }

    async fn assign(&self) -> Result<(), ClientError> {
        let ledger = &self.cast.ledger;
        for (name, state) in &self.states {
            let ends: Vec<_> = {
                let topics = ledger.topics.borrow();
                let topic = topics.get(state.topic_id).expect("a name's topic is known");
                let known = topic.partitions.iter().take(topic.partition_count);
                known.map(|p| p.end_floor()).collect()
            };
            for (partition, end) in (0..).zip(ends) {
                let start = match ledger.below(4) {
                    0 => StartOffset::Earliest,
                    1 => StartOffset::Latest,
                    _ => StartOffset::Offset(ledger.below(end as u64 + 1) as i64),
                };
                if end > 0 && start == StartOffset::Earliest {
                    ledger.reached(State::ReadAgain);
                }
                self.fetcher.assign(name, partition, start).await?;
            }
        }
        Ok(())
    }

    /// Whether what arrives is about the topics of this round, and from after the last loss.
    fn is_current(&self) -> bool {
        let ledger = &self.cast.ledger;
        let mut states = self.states.iter();
        self.loss_count == ledger.loss_count.get()
            && states.all(|(name, state)| ledger.name_state(name) == Some(*state))
    }

    /// What ends the reading of a partition of a topic that is there.
    fn refused(&self, error: &ClientError) {
        let ledger = &self.cast.ledger;
        let may_be = match error {
            // What is not power-safe may have been lost while the position was behind it.
            ClientError::Broker { code, .. } if *code == ErrorCode::OffsetOutOfRange => {
                // Nor is there what was deleted.
                let topics = ledger.topics.borrow();
                let has_cut = ledger.power_cut_count.get() > 0;
                self.states.values().any(|state| {
                    let seen = crate::sim::checker::Seen::Read;
                    let is_kept = topics.survives(state.topic_id, seen) == Survives::PowerCut;
                    let topic = topics.get(state.topic_id).expect("a name's topic is known");
                    let is_deleted = topic.partitions.iter().any(|p| p.may_be_deleted());
                    let is_damaged = topic.partitions.iter().any(|p| p.is_damaged());
                    has_cut && !is_kept || is_deleted || is_damaged
                })
            }
            ClientError::Corrupt { .. } => return ledger.got_damage(error),
            ClientError::Broker { code, .. } => code.is_retriable(),
            _ => true,
        };
        if !may_be {
            ledger.violated(Invariant::NotRefused.broken(format!("a reader was told: {error}")));
        }
    }
}
