//! The administrator: the only one who creates and deletes the planned topics. A call whose fate is
//! unknown is repeated until it is known; what was sent before may still be carried out after that,
//! as long as the broker lives, so that the name is left alone until the next one.

use super::cast::Cast;
use super::{growth, settings};
use crate::client::{Admin, ClientError, OffsetSpec};
use crate::sim::checker::{Invariant, NameState, Seen, TopicListing};
use crate::sim::scenario::TopicPlan;
use crate::sim::tally::State;
use crate::types::{ErrorCode, TopicId};

/// Longest pause between two calls, ms.
const PAUSE_MS_MAX: u64 = 25;

pub(super) async fn run(cast: Cast) {
    let client = cast.connect(cast.options(5)).await;
    let admin = Administrator {
        admin: Admin::new(&client),
        cast,
    };
    for plan in admin.cast.ledger.scenario.topics.clone() {
        admin.create(&plan).await;
    }
    while !admin.cast.is_over() {
        admin.cast.ledger.step();
        admin.step().await;
        admin.cast.pause(PAUSE_MS_MAX).await;
    }
}

/// Lists all topics and checks the list; used by the administrator and by the last inspection.
pub(super) async fn list(cast: &Cast, admin: &Admin) -> Result<(), ClientError> {
    let ledger = &cast.ledger;
    let (alive, gone) = {
        let topics = ledger.topics.borrow();
        (topics.alive(), topics.gone())
    };
    cast.note(|| "lists".to_owned());
    let views = admin.describe_topics(None).await?;
    cast.note(|| format!("lists {views:?}"));
    let listings: Vec<_> = views
        .iter()
        .filter(|view| !view.error.is_error())
        .map(|view| TopicListing {
            name: view.name.to_string(),
            topic_id: view.topic_id,
            partition_count: view.partitions.len(),
        })
        .collect();
    let checked = ledger.topics.borrow().check_list(&listings, &alive, &gone);
    for listing in ledger.check(checked).unwrap_or_default() {
        appeared(cast, &listing);
    }
    let mut topics = ledger.topics.borrow_mut();
    for listing in &listings {
        topics.has_partitions(listing.topic_id, listing.partition_count);
    }
    Ok(())
}

/// A topic is there whose creation nobody has acknowledged.
fn appeared(cast: &Cast, listing: &TopicListing) {
    let ledger = &cast.ledger;
    let is_auto = ledger.scenario.auto_topics.contains(&listing.name);
    ledger.reached(match is_auto {
        true => State::TopicAutoCreated,
        false => State::TopicCreated,
    });
    created(cast, listing);
}

fn created(cast: &Cast, listing: &TopicListing) {
    let ledger = &cast.ledger;
    let expected = ledger.scenario.expected(&listing.name);
    let Some((partition_count, is_power_safe)) = expected else {
        return ledger
            .violated(Invariant::Topics.broken(format!("{} was never asked for", listing.name)));
    };
    let mut topics = ledger.topics.borrow_mut();
    ledger.check(topics.created(listing, partition_count, is_power_safe));
}

struct Administrator {
    cast: Cast,
    admin: Admin,
}

impl Administrator {
    async fn step(&self) {
        let ledger = &self.cast.ledger;
        let plans = &ledger.scenario.topics;
        let plan = plans[ledger.below(plans.len() as u64) as usize].clone();
        let is_alive = ledger.name_state(&plan.name).is_some();
        match ledger.below(13) {
            0 if is_alive && self.may_touch(&plan.name) => {
                self.delete(&plan.name).await;
                if !ledger.one_in(4) && self.may_touch(&plan.name) {
                    self.cast.pause(PAUSE_MS_MAX).await;
                    self.create(&plan).await;
                }
            }
            1..=3 => {
                // It fails when the broker does; the next one tells.
                let _ = list(&self.cast, &self.admin).await;
            }
            4 | 5 if is_alive => self.list_offsets(&plan.name).await,
            6 if is_alive => self.delete_records(&plan).await,
            7 if is_alive => growth::grow(&self.cast, &self.admin, &plan.name).await,
            10 | 11 if is_alive => {
                settings::change_topic(&self.cast, &self.admin, &plan.name).await;
            }
            12 => settings::change_brokers(&self.cast, &self.admin).await,
            _ if !is_alive && self.may_touch(&plan.name) => self.create(&plan).await,
            _ => {}
        }
    }

    /// Whether nothing that was sent before may still create or delete the topic.
    fn may_touch(&self, name: &str) -> bool {
        let ledger = &self.cast.ledger;
        let topics = ledger.topics.borrow();
        !topics.may_change_by_itself(name, ledger.life.get())
    }

    /// Nobody knows whether a creation or deletion was, or will be, carried out.
    fn left_unanswered(&self, name: &str) {
        let ledger = &self.cast.ledger;
        let mut topics = ledger.topics.borrow_mut();
        topics.left_unanswered(name, ledger.life.get());
    }

    async fn create(&self, plan: &TopicPlan) {
        let ledger = &self.cast.ledger;
        let generation = ledger.topics.borrow().generation(&plan.name);
        let mut is_unknown = false;
        while ledger.name_state(&plan.name).is_none() && !self.has_stopped() {
            ledger.topics.borrow_mut().creating(&plan.name);
            let topic = plan.new_topic();
            let called = self.admin.create_topics(&[topic], false).await;
            let result = called.and_then(|mut results| results.remove(0).result);
            let name = &plan.name;
            self.cast.note(|| format!("creates {name}: {result:?}"));
            let code = result.as_ref().err().and_then(ClientError::code);
            match result {
                Ok(topic_id) => self.acknowledged(plan, topic_id),
                Err(_) if code == Some(ErrorCode::TopicAlreadyExists) => {
                    if !is_unknown {
                        let name = &plan.name;
                        ledger.violated(
                            Invariant::Topics
                                .broken(format!("{name} is there, and nobody has created it")),
                        );
                    }
                    let _ = list(&self.cast, &self.admin).await;
                }
                Err(_) => {
                    self.left_unanswered(&plan.name);
                    if !std::mem::replace(&mut is_unknown, true) {
                        ledger.reached(State::CreationUnknown);
                    }
                    self.cast.pause(PAUSE_MS_MAX).await;
                }
            }
        }
        if generation > 0 && ledger.name_state(&plan.name).is_some() {
            ledger.reached(State::TopicRecreatedUnderLoad);
        }
    }

    fn acknowledged(&self, plan: &TopicPlan, topic_id: TopicId) {
        self.cast.ledger.reached(State::TopicCreated);
        let listing = TopicListing {
            name: plan.name.clone(),
            topic_id,
            partition_count: plan.partition_count as usize,
        };
        created(&self.cast, &listing);
    }

    async fn delete(&self, name: &str) {
        let ledger = &self.cast.ledger;
        ledger.topics.borrow_mut().deleting(name);
        let mut is_unknown = false;
        while !self.has_stopped() {
            let called = self.admin.delete_topics(&[name]).await;
            let result = called.and_then(|mut results| results.remove(0).result);
            let code = result.as_ref().err().and_then(ClientError::code);
            self.cast.note(|| format!("deletes {name}: {result:?}"));
            let is_gone = code == Some(ErrorCode::UnknownTopicOrPartition);
            if is_gone && !is_unknown {
                return ledger.violated(
                    Invariant::Topics.broken(format!("{name} is gone, nobody has deleted it")),
                );
            }
            if result.is_ok() || is_gone {
                ledger.topics.borrow_mut().deleted(name);
                return ledger.reached(State::TopicDeleted);
            }
            self.left_unanswered(name);
            if !std::mem::replace(&mut is_unknown, true) {
                ledger.reached(State::DeletionUnknown);
            }
            self.cast.pause(PAUSE_MS_MAX).await;
        }
    }

    /// Deletes the oldest records of a partition.
    async fn delete_records(&self, plan: &TopicPlan) {
        let ledger = &self.cast.ledger;
        let name = plan.name.as_str();
        let partition = ledger.below(plan.partition_count as u64) as i32;
        let Some(NameState { topic_id, .. }) = ledger.name_state(name) else {
            return;
        };
        let before = {
            let mut topics = ledger.topics.borrow_mut();
            let found = topics.partition_mut(topic_id, partition);
            let Some(checker) = ledger.check(found) else {
                return;
            };
            let before = ledger.below(checker.end_floor() as u64 + 1) as i64;
            checker.deleting(before);
            before
        };
        let asked = [(partition, Some(before))];
        let called = self.admin.delete_records(name, &asked).await;
        self.cast
            .note(|| format!("deletes records of {name}-{partition} before {before}: {called:?}"));
        let mut topics = ledger.topics.borrow_mut();
        let Ok([Ok(start)]) = called.as_deref() else {
            return topics.deletion_strayed(name, before);
        };
        let found = topics.partition_mut(topic_id, partition);
        let deleted = found.and_then(|checker| checker.deleted(before, *start));
        ledger.check(deleted.map_err(|fault| topics.named(topic_id, partition, fault)));
        ledger.reached(State::RecordsDeleted);
    }

    /// The high watermark of each partition is not below what was seen before; the log begins where
    /// deletions have left it.
    async fn list_offsets(&self, name: &str) {
        let ledger = &self.cast.ledger;
        let Some(state) = ledger.name_state(name) else {
            return;
        };
        let losses = ledger.loss_count.get();
        // One partition an answer: a call names each once.
        let asked: Vec<_> = {
            let topics = ledger.topics.borrow();
            let topic = topics.get(state.topic_id).expect("a name's topic is known");
            let partitions = (0..).zip(&topic.partitions);
            let specs = partitions.flat_map(|(partition, checker)| {
                [
                    (partition, OffsetSpec::Latest, checker.end_floor()),
                    (partition, OffsetSpec::Earliest, checker.start_floor()),
                ]
            });
            specs.collect()
        };
        for (partition, spec, floor) in asked {
            let listed = self.admin.list_offsets(name, &[(partition, spec)]).await;
            let Ok([Some(offset)]) = listed.as_deref() else {
                return;
            };
            let is_comparable =
                ledger.name_state(name) == Some(state) && ledger.loss_count.get() == losses;
            if !is_comparable {
                return;
            }
            let mut topics = ledger.topics.borrow_mut();
            let survives = topics.survives(state.topic_id, Seen::Read);
            let Some(checker) = ledger.check(topics.partition_mut(state.topic_id, partition))
            else {
                return;
            };
            let checked = match spec {
                OffsetSpec::Earliest => checker.observe_start(*offset, floor),
                OffsetSpec::Latest => checker.observe_end(*offset, floor, survives),
                _ => Ok(()),
            };
            let named = checked.map_err(|fault| topics.named(state.topic_id, partition, fault));
            ledger.check(named);
        }
        ledger.reached(State::ListedOffsets);
    }

    /// Whether going on is of no use: what is wrong is known.
    fn has_stopped(&self) -> bool {
        self.cast.ledger.violation().is_some()
    }
}
