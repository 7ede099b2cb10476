//! Topics by name and id. A topic that was created is there with all its partitions until somebody
//! deletes it; one that was deleted never comes back under its id.

use std::collections::BTreeMap;

use super::invariant::{Invariant, Violation};
use super::partition::{PartitionChecker, Survives};
use super::records::{Guarantee, Record};
use crate::types::{Offset, PartitionIndex, TopicId};

/// Where a topic is in its life, as far as clients were told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::sim) enum Lifecycle {
    Alive,
    /// A deletion was sent and not answered.
    Deleting,
    Deleted,
}

/// One topic under one id.
#[derive(Debug)]
pub(in crate::sim) struct Topic {
    pub(in crate::sim) name: String,
    pub(in crate::sim) lifecycle: Lifecycle,
    /// In class P for certain: no change of it is under way, or may be.
    pub(in crate::sim) is_power_safe: bool,
    /// Goes up when that changes: what was sent before is not judged by what holds now.
    pub(in crate::sim) class_changes: u64,
    /// Those that it has, and behind them those that it may have.
    pub(in crate::sim) partitions: Vec<PartitionChecker>,
    /// How many it has for certain: somebody was told.
    pub(in crate::sim) partition_count: usize,
}

/// What one name stands for.
#[derive(Clone, Debug, Default)]
struct Name {
    current: Option<TopicId>,
    /// Goes up with each creation and deletion.
    generation: u64,
    /// A creation was sent and not answered: the topic may turn up.
    may_appear: bool,
    /// A deletion of records before this offset may still be carried out, whatever the name stands
    /// for then: its fate is unknown.
    stray_deletion: Offset,
    /// A growth to so many partitions may still be carried out, whatever the name stands for then:
    /// its fate is unknown.
    stray_partition_count: usize,
    /// A change to class K may still be carried out, whatever the name stands for then: its fate is
    /// unknown.
    stray_class_change: bool,
    /// The broker's life in which a creation or deletion was last sent and not answered. As long as
    /// it lasts, that may be carried out, whatever the name stands for then.
    unanswered_in: Option<u64>,
    /// Retention may delete anything, whatever the name stands for: it was asked for.
    has_retention: bool,
}

/// A topic as a Metadata answer lists it.
#[derive(Clone, Debug)]
pub(in crate::sim) struct TopicListing {
    pub(in crate::sim) name: String,
    pub(in crate::sim) topic_id: TopicId,
    pub(in crate::sim) partition_count: usize,
}

/// What a client knew when it sent something by name: an answer is told apart by it from one about
/// an earlier or later topic of that name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::sim) struct NameState {
    generation: u64,
    pub(in crate::sim) topic_id: TopicId,
}

/// All topics that there ever were.
#[derive(Debug, Default)]
pub(in crate::sim) struct Topics {
    by_id: BTreeMap<TopicId, Topic>,
    names: BTreeMap<String, Name>,
}

impl Topics {
    pub(in crate::sim) fn get(&self, topic_id: TopicId) -> Option<&Topic> {
        self.by_id.get(&topic_id)
    }

    pub(in crate::sim) fn iter(&self) -> impl Iterator<Item = (TopicId, &Topic)> {
        self.by_id.iter().map(|(id, topic)| (*id, topic))
    }

    pub(in crate::sim) fn partitions_mut(&mut self) -> impl Iterator<Item = &mut PartitionChecker> {
        self.by_id
            .values_mut()
            .flat_map(|topic| &mut topic.partitions)
    }

    pub(in crate::sim) fn partition_mut(
        &mut self,
        topic_id: TopicId,
        partition: PartitionIndex,
    ) -> Result<&mut PartitionChecker, Violation> {
        let topic = self.by_id.get_mut(&topic_id);
        let topic = topic.ok_or_else(|| {
            Invariant::Topics.broken(format!("there never was a topic {topic_id}"))
        })?;
        let index = usize::try_from(partition).unwrap_or(usize::MAX);
        let name = &topic.name;
        let found = topic.partitions.get_mut(index);
        found
            .ok_or_else(|| Invariant::Topics.broken(format!("{name} has no partition {partition}")))
    }

    /// What a name stands for; `None` when there is no such topic, or nobody knows.
    pub(in crate::sim) fn state_of(&self, name: &str) -> Option<NameState> {
        let name = self.names.get(name)?;
        Some(NameState {
            generation: name.generation,
            topic_id: name.current?,
        })
    }

    pub(in crate::sim) fn generation(&self, name: &str) -> u64 {
        self.names.get(name).map_or(0, |name| name.generation)
    }

    /// A creation of this name is sent.
    pub(in crate::sim) fn creating(&mut self, name: &str) {
        self.names.entry(name.to_owned()).or_default().may_appear = true;
    }

    /// A creation or deletion of this name got no answer in this life of the broker.
    pub(in crate::sim) fn left_unanswered(&mut self, name: &str, life: u64) {
        let known = self.names.entry(name.to_owned()).or_default();
        known.unanswered_in = Some(life);
    }

    /// Whether the name may come to stand for something else without a new request.
    pub(in crate::sim) fn may_change_by_itself(&self, name: &str, life: u64) -> bool {
        let known = self.names.get(name);
        known.is_some_and(|known| known.unanswered_in == Some(life))
    }

    /// A topic is there: its creation was acknowledged, or it was listed after one that was sent.
    pub(in crate::sim) fn created(
        &mut self,
        listing: &TopicListing,
        wanted_partition_count: usize,
        is_power_safe: bool,
    ) -> Result<(), Violation> {
        let TopicListing {
            name,
            topic_id,
            partition_count,
        } = listing;
        let stray = self.names.get(name).map_or(0, |n| n.stray_partition_count);
        let may_have = stray.max(wanted_partition_count);
        if !(wanted_partition_count..=may_have).contains(partition_count) {
            return Err(Invariant::Topics.broken(format!(
                "{name} was created with {wanted_partition_count} partitions and has \
                 {partition_count}"
            )));
        }
        if self.by_id.contains_key(topic_id) {
            return Err(Invariant::Topics.broken(format!(
                "{name} was created under an id of before: {topic_id}"
            )));
        }
        let known = self.names.entry(name.clone()).or_default();
        if let Some(current) = known.current {
            return Err(Invariant::Topics.broken(format!("{name} is {topic_id}, it was {current}")));
        }
        known.current = Some(*topic_id);
        known.generation += 1;
        known.may_appear = false;
        let stray_deletion = match known.has_retention {
            true => Offset::MAX,
            false => known.stray_deletion,
        };
        let is_power_safe = is_power_safe && !known.stray_class_change;
        let partitions = (0..may_have).map(|_| {
            let mut partition = PartitionChecker::default();
            partition.deleting(stray_deletion);
            partition
        });
        let topic = Topic {
            name: name.clone(),
            lifecycle: Lifecycle::Alive,
            is_power_safe,
            class_changes: 0,
            partitions: partitions.collect(),
            partition_count: *partition_count,
        };
        self.by_id.insert(*topic_id, topic);
        Ok(())
    }

    /// What became of a deletion of records is not known.
    pub(in crate::sim) fn deletion_strayed(&mut self, name: &str, before: Offset) {
        let known = self.names.entry(name.to_owned()).or_default();
        known.stray_deletion = known.stray_deletion.max(before);
    }

    /// A change of the topic's class is sent, or one to class P (`is_power_safe`) was acknowledged:
    /// whoever has sent something before is told by the generation.
    pub(in crate::sim) fn class_changed(&mut self, name: &str, is_power_safe: bool) {
        let known = self.names.entry(name.to_owned()).or_default();
        known.generation += 1;
        let is_power_safe = is_power_safe && !known.stray_class_change;
        if let Some(topic) = known.current.and_then(|id| self.by_id.get_mut(&id)) {
            topic.is_power_safe = is_power_safe;
            topic.class_changes += 1;
        }
    }

    /// What became of a change to class K is not known.
    pub(in crate::sim) fn class_change_strayed(&mut self, name: &str) {
        let known = self.names.entry(name.to_owned()).or_default();
        known.stray_class_change = true;
    }

    /// Retention is asked for: from now on anything may be deleted.
    pub(in crate::sim) fn retention_begins(&mut self, name: &str) {
        let known = self.names.entry(name.to_owned()).or_default();
        known.has_retention = true;
        if let Some(topic) = known.current.and_then(|id| self.by_id.get_mut(&id)) {
            let partitions = topic.partitions.iter_mut();
            partitions.for_each(|partition| partition.deleting(Offset::MAX));
        }
    }

    /// A deletion of this name is sent.
    pub(in crate::sim) fn deleting(&mut self, name: &str) {
        let known = self.names.entry(name.to_owned()).or_default();
        known.generation += 1;
        if let Some(topic) = known.current.and_then(|id| self.by_id.get_mut(&id)) {
            topic.lifecycle = Lifecycle::Deleting;
        }
    }

    /// A deletion was acknowledged; the id that went.
    pub(in crate::sim) fn deleted(&mut self, name: &str) -> Option<TopicId> {
        let known = self.names.entry(name.to_owned()).or_default();
        known.generation += 1;
        let topic_id = known.current.take()?;
        let topic = self
            .by_id
            .get_mut(&topic_id)
            .expect("a name's topic is known");
        topic.lifecycle = Lifecycle::Deleted;
        // It takes no more facts, and the world is smaller without its.
        topic
            .partitions
            .iter_mut()
            .for_each(PartitionChecker::forget_facts);
        Some(topic_id)
    }

    /// A growth to one partition more is sent, unless the topic has as many as it may have; to how
    /// many.
    pub(in crate::sim) fn growing(
        &mut self,
        topic_id: TopicId,
        partition_count_max: usize,
    ) -> Option<usize> {
        let topic = self.by_id.get_mut(&topic_id)?;
        let wanted = topic.partition_count + 1;
        if wanted > partition_count_max {
            return None;
        }
        if topic.partitions.len() < wanted {
            let mut partition = PartitionChecker::default();
            if self.names.get(&topic.name).is_some_and(|n| n.has_retention) {
                partition.deleting(Offset::MAX);
            }
            topic.partitions.push(partition);
        }
        Some(wanted)
    }

    /// The topic has so many partitions: a growth was acknowledged, or they were listed.
    pub(in crate::sim) fn has_partitions(&mut self, topic_id: TopicId, partition_count: usize) {
        if let Some(topic) = self.by_id.get_mut(&topic_id) {
            topic.partition_count = topic.partition_count.max(partition_count);
        }
    }

    /// What became of a growth is not known.
    pub(in crate::sim) fn growth_strayed(&mut self, name: &str, partition_count: usize) {
        let known = self.names.entry(name.to_owned()).or_default();
        known.stray_partition_count = known.stray_partition_count.max(partition_count);
    }

    /// Whether a growth of this name may be carried out that nobody waits for any more.
    pub(in crate::sim) fn may_have_grown(&self, name: &str, partition_count: usize) -> bool {
        let known = self.names.get(name);
        known.is_some_and(|known| known.stray_partition_count >= partition_count)
    }

    /// The topics that must be listed by an answer to a request that is sent now.
    pub(in crate::sim) fn alive(&self) -> Vec<TopicId> {
        let alive = self
            .iter()
            .filter(|(_, topic)| topic.lifecycle == Lifecycle::Alive);
        alive.map(|(id, _)| id).collect()
    }

    /// Those that must not be listed.
    pub(in crate::sim) fn gone(&self) -> Vec<TopicId> {
        let gone = self
            .iter()
            .filter(|(_, topic)| topic.lifecycle == Lifecycle::Deleted);
        gone.map(|(id, _)| id).collect()
    }

    /// A list of all topics, and what [`Topics::alive`] and [`Topics::gone`] were when it was asked
    /// for. Gives the listed ones that are not known yet and may be there.
    pub(in crate::sim) fn check_list(
        &self,
        list: &[TopicListing],
        alive: &[TopicId],
        gone: &[TopicId],
    ) -> Result<Vec<TopicListing>, Violation> {
        let mut new = Vec::new();
        for listing in list {
            let TopicListing { name, topic_id, .. } = listing;
            if gone.contains(topic_id) {
                return Err(Invariant::Topics
                    .broken(format!("{name} ({topic_id}) is back after its deletion")));
            }
            match self.by_id.get(topic_id) {
                Some(topic) => topic.check_listing(listing)?,
                None if self.names.get(name).is_some_and(|name| name.may_appear) => {
                    new.push(listing.clone());
                }
                None => {
                    return Err(
                        Invariant::Topics.broken(format!("{name} ({topic_id}) was never created"))
                    );
                }
            }
        }
        for topic_id in alive {
            let topic = &self.by_id[topic_id];
            let is_listed = list.iter().any(|listing| listing.topic_id == *topic_id);
            if topic.lifecycle == Lifecycle::Alive && !is_listed {
                return Err(Invariant::Topics.broken(format!(
                    "{} ({topic_id}) is gone, nobody deleted it",
                    topic.name
                )));
            }
        }
        Ok(new)
    }

    /// A record was acknowledged or read under an id.
    pub(in crate::sim) fn observe(
        &mut self,
        topic_id: TopicId,
        partition: PartitionIndex,
        offset: Offset,
        (record, guarantee): (Record, Guarantee),
        seen: Seen,
    ) -> Result<(), Violation> {
        let survives = self.survives(topic_id, seen);
        let is_visible = seen != Seen::AcknowledgedByLeader;
        let topic = self.by_id.get(&topic_id);
        if topic.is_some_and(|topic| topic.lifecycle == Lifecycle::Deleted) {
            return Ok(());
        }
        let checker = self.partition_mut(topic_id, partition)?;
        let observed = checker.observe(offset, record, guarantee, survives, is_visible);
        observed.map_err(|fault| self.named(topic_id, partition, fault))
    }

    /// What a fact of this kind survives.
    pub(in crate::sim) fn survives(&self, topic_id: TopicId, seen: Seen) -> Survives {
        let is_power_safe = self.by_id.get(&topic_id).is_some_and(|t| t.is_power_safe);
        match is_power_safe && seen != Seen::AcknowledgedByLeader {
            true => Survives::PowerCut,
            false => Survives::Kill,
        }
    }

    /// A fault with its partition.
    pub(in crate::sim) fn named(
        &self,
        topic_id: TopicId,
        partition: PartitionIndex,
        fault: Violation,
    ) -> Violation {
        let topic = self.by_id.get(&topic_id);
        let (name, class) = match topic {
            Some(topic) if topic.is_power_safe => (topic.name.as_str(), "class P"),
            Some(topic) => (topic.name.as_str(), "class K"),
            None => ("?", "unknown"),
        };
        let text = &fault.text;
        let text = format!("{name}-{partition} ({topic_id}, {class}): {text}");
        fault.invariant.broken(text)
    }
}

/// How a client came to know where a record is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::sim) enum Seen {
    /// acks=1
    AcknowledgedByLeader,
    /// acks=all
    AcknowledgedByAll,
    Read,
}

impl Topic {
    fn check_listing(&self, listing: &TopicListing) -> Result<(), Violation> {
        let TopicListing {
            name,
            topic_id,
            partition_count,
        } = listing;
        if self.name != *name {
            return Err(Invariant::Topics
                .broken(format!("{topic_id} is called {name}, it was {}", self.name)));
        }
        if !(self.partition_count..=self.partitions.len()).contains(partition_count) {
            return Err(Invariant::Topics.broken(format!(
                "{name} has {partition_count} partitions, it had {} and may have {}",
                self.partition_count,
                self.partitions.len()
            )));
        }
        Ok(())
    }
}
