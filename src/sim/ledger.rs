//! What the clients write down and the driver reads: it outlives every broker of a seed.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use super::checker::{
    Damage, Guarantee, Invariant, NameState, Record, RecordRegistry, Seen, Topics, Violation,
};
use super::scenario::Scenario;
use super::tally::{State, Tally};
use crate::batch::Decompressor;
use crate::client::{ClientError, FetchedPartition};
use crate::io::sim::Random;
use crate::log::{DamageReport, Landmarks};
use crate::types::{Offset, PartitionIndex, TopicId};

/// Shared by the driver and all clients of a seed, on one thread.
pub(super) struct Ledger {
    pub(super) scenario: Scenario,
    pub(super) topics: RefCell<Topics>,
    registry: RefCell<RecordRegistry>,
    random: RefCell<Random>,
    tally: RefCell<Tally>,
    decompressor: RefCell<Decompressor>,
    violation: RefCell<Option<Violation>>,
    /// Operations of clients so far.
    steps: Cell<u64>,
    /// Clients end as soon as what they have begun is answered.
    pub(super) is_over: Cell<bool>,
    /// Clients that have not ended, by what they are.
    clients: RefCell<BTreeMap<&'static str, usize>>,
    /// Brokers started so far.
    pub(super) life: Cell<u64>,
    pub(super) power_cut_count: Cell<u64>,
    /// Power cuts, and starts that may have missed what the disk took: what was heard before may be
    /// gone.
    pub(super) loss_count: Cell<u64>,
    /// What pauses are multiplied by: in a calm life timers of seconds come.
    pub(super) pace: Cell<u32>,
    /// Settings were changed by which a batch may be refused that was sound when it was made.
    pub(super) may_refuse: Cell<bool>,
    /// A change of settings may still be carried out that nobody waits for any more.
    pub(super) has_stray_settings: Cell<bool>,
    /// A disk has failed since the last power cut: what it gives may be anything.
    pub(super) is_disk_suspect: Cell<bool>,
    /// Of all brokers.
    pub(super) landmarks: Landmarks,
    /// The directories of logs that the disk has damaged.
    damaged_logs: RefCell<BTreeMap<PathBuf, (TopicId, PartitionIndex)>>,
}

impl Ledger {
    pub(super) fn new(scenario: Scenario, random: Random) -> Rc<Ledger> {
        Rc::new(Ledger {
            scenario,
            topics: RefCell::default(),
            registry: RefCell::default(),
            random: RefCell::new(random),
            tally: RefCell::new(Tally::new()),
            decompressor: RefCell::new(Decompressor::new()),
            violation: RefCell::default(),
            steps: Cell::new(0),
            is_over: Cell::new(false),
            clients: RefCell::default(),
            life: Cell::new(0),
            power_cut_count: Cell::new(0),
            loss_count: Cell::new(0),
            pace: Cell::new(1),
            may_refuse: Cell::new(false),
            has_stray_settings: Cell::new(false),
            is_disk_suspect: Cell::new(false),
            landmarks: Landmarks::counting(),
            damaged_logs: RefCell::default(),
        })
    }

    pub(super) fn below(&self, bound: u64) -> u64 {
        self.random.borrow_mut().below(bound)
    }

    pub(super) fn one_in(&self, count: u64) -> bool {
        self.below(count) == 0
    }

    /// A pause of up to so many milliseconds, mostly a short one.
    pub(super) fn pause(&self, ms_max: u64) -> Duration {
        let max = match self.below(4) {
            0 => ms_max,
            _ => ms_max / 8 + 1,
        };
        Duration::from_micros(self.below(max * 1_000)) * self.pace.get()
    }

    /// One operation of a client.
    pub(super) fn step(&self) {
        self.steps.set(self.steps.get() + 1);
    }

    pub(super) fn steps(&self) -> u64 {
        self.steps.get()
    }

    pub(super) fn reached(&self, state: State) {
        self.tally.borrow_mut().reached(state);
    }

    pub(super) fn tally(&self) -> Tally {
        self.tally.borrow().clone()
    }

    pub(super) fn client_begins(&self, what: &'static str) {
        *self.clients.borrow_mut().entry(what).or_default() += 1;
    }

    pub(super) fn client_ends(&self, what: &'static str) {
        let mut clients = self.clients.borrow_mut();
        let count = clients.get_mut(what).expect("it has begun");
        *count -= 1;
        if *count == 0 {
            clients.remove(what);
        }
    }

    /// The clients that have not ended, by what they are.
    pub(super) fn clients(&self) -> Vec<&'static str> {
        self.clients.borrow().keys().copied().collect()
    }

    /// What is wrong, if something is: the first that was found.
    pub(super) fn violation(&self) -> Option<Violation> {
        self.violation.borrow().clone()
    }

    pub(super) fn violated(&self, what: Violation) {
        self.violation.borrow_mut().get_or_insert(what);
    }

    /// Notes what is wrong, if something is.
    pub(super) fn check<T>(&self, result: Result<T, Violation>) -> Option<T> {
        result.map_err(|what| self.violated(what)).ok()
    }

    pub(super) fn add_producer(&self, guarantee: Guarantee) -> u32 {
        self.registry.borrow_mut().add_producer(guarantee)
    }

    pub(super) fn next_record(&self, producer: u32) -> Record {
        self.registry.borrow_mut().next(producer)
    }

    /// How often the topic's class was changed, as far as anybody knows.
    pub(super) fn class_changes(&self, topic_id: TopicId) -> u64 {
        let topics = self.topics.borrow();
        topics.get(topic_id).map_or(0, |topic| topic.class_changes)
    }

    /// What a name stands for now.
    pub(super) fn name_state(&self, name: &str) -> Option<NameState> {
        self.topics.borrow().state_of(name)
    }

    /// Records that follow each other from `base_offset` on were acknowledged.
    pub(super) fn acknowledged(
        &self,
        topic_id: TopicId,
        partition: PartitionIndex,
        base_offset: Offset,
        records: &[Record],
        seen: Seen,
    ) {
        for (offset, &record) in (base_offset..).zip(records) {
            self.observe(topic_id, partition, offset, record, seen);
        }
        self.reached(match seen {
            Seen::AcknowledgedByLeader => State::AcknowledgedByLeader,
            Seen::AcknowledgedByAll | Seen::Read => State::AcknowledgedByAll,
        });
    }

    fn observe(
        &self,
        topic_id: TopicId,
        partition: PartitionIndex,
        offset: Offset,
        record: Record,
        seen: Seen,
    ) {
        tracing::debug!(%topic_id, partition, offset, %record, ?seen, "observed");
        let guarantee = self.registry.borrow().seen(record);
        let observed = guarantee.and_then(|guarantee| {
            let mut topics = self.topics.borrow_mut();
            topics.observe(topic_id, partition, offset, (record, guarantee), seen)
        });
        self.check(observed);
    }

    /// Batches that a fetch brought: offsets without gaps, records that were sent.
    pub(super) fn read(&self, topic_id: TopicId, fetched: &FetchedPartition) {
        let partition = fetched.partition;
        let mut expected = fetched.fetch_offset;
        let read = {
            let mut decompressor = self.decompressor.borrow_mut();
            fetched.for_each_record(&mut decompressor, |record| {
                let result = if record.offset == expected {
                    Record::of_value(record.value.unwrap_or_default())
                } else {
                    Err(Invariant::Contiguous.broken(format!(
                        "offset {} follows {}",
                        record.offset,
                        expected - 1
                    )))
                };
                expected = record.offset + 1;
                match result {
                    Ok(sent) => {
                        self.observe(topic_id, partition, record.offset, sent, Seen::Read);
                        ControlFlow::Continue(())
                    }
                    Err(fault) => {
                        let topics = self.topics.borrow();
                        self.violated(topics.named(topic_id, partition, fault));
                        ControlFlow::Break(())
                    }
                }
            })
        };
        if let Err(error) = read {
            self.got_damage(&error);
        } else if expected != fetched.next_offset && self.violation().is_none() {
            let fault = format!(
                "records end at {expected}, batches at {}",
                fetched.next_offset
            );
            let fault = Invariant::Contiguous.broken(fault);
            self.violated(self.topics.borrow().named(topic_id, partition, fault));
        }
    }

    /// A reader has got something that is no sound batch: brokers check what they read, too.
    pub(super) fn got_damage(&self, error: &ClientError) {
        if !self.is_disk_suspect.get() {
            self.violated(Invariant::Sent.broken(error.to_string()));
        }
    }

    /// Whether the disk has damaged a partition of one of these topics.
    pub(super) fn may_be_damaged(&self, topic_ids: impl IntoIterator<Item = TopicId>) -> bool {
        let topics = self.topics.borrow();
        let mut known = topic_ids.into_iter().filter_map(|id| topics.get(id));
        known.any(|topic| topic.partitions.iter().any(|p| p.is_damaged()))
    }

    /// The machine of the broker has lost its power, and no client has an answer left from before.
    pub(super) fn power_cut(&self) {
        self.power_cut_count.set(self.power_cut_count.get() + 1);
        self.loss_count.set(self.loss_count.get() + 1);
        self.is_disk_suspect.set(false);
        let mut topics = self.topics.borrow_mut();
        topics
            .partitions_mut()
            .for_each(|partition| partition.power_cut());
    }

    /// A broker serves what it has found. What is in a directory that is offline was not recovered
    /// (`is_all_open`), nor is a log that stays closed.
    pub(super) fn opened(&self, is_all_open: bool) {
        let told = self.note_reports();
        let damaged = self.damaged_logs.borrow();
        let mut topics = self.topics.borrow_mut();
        for (log, (topic_id, partition)) in &*damaged {
            let Ok(checker) = topics.partition_mut(*topic_id, *partition) else {
                continue;
            };
            checker.set_offline(told.offline.contains(log));
            if checker.judge_damage(told.cuts.get(log).copied()) {
                self.loss_count.set(self.loss_count.get() + 1);
            }
        }
        if is_all_open {
            let partitions = topics.partitions_mut();
            partitions.for_each(|partition| partition.opened());
        }
    }

    /// Whether the disk has damaged anything.
    pub(super) fn has_damage(&self) -> bool {
        !self.damaged_logs.borrow().is_empty()
    }

    /// A file of the log in this directory was damaged.
    pub(super) fn damaged(
        &self,
        log: &Path,
        (topic_id, partition): (TopicId, PartitionIndex),
        damage: Damage,
    ) {
        let mut topics = self.topics.borrow_mut();
        if let Ok(checker) = topics.partition_mut(topic_id, partition) {
            checker.damaged(damage);
            let mut logs = self.damaged_logs.borrow_mut();
            logs.insert(log.to_owned(), (topic_id, partition));
        }
    }

    /// Takes in what brokers have told of damage.
    pub(super) fn note_reports(&self) -> Told {
        let mut told = Told::default();
        for report in self.landmarks.take_reports() {
            tracing::debug!(?report, "told of damage");
            let (log, state) = match &report {
                DamageReport::Cut { log, end } => {
                    let least: &mut Offset = told.cuts.entry(log.clone()).or_insert(*end);
                    *least = (*least).min(*end);
                    (Some(log.as_path()), State::DamageCut)
                }
                DamageReport::Offline { file, .. } => {
                    told.offline.extend(file.parent().map(Path::to_owned));
                    (file.parent(), State::DamageOffline)
                }
                DamageReport::Unreadable { file, .. } => (file.parent(), State::DamageRefused),
            };
            let damaged = self.damaged_logs.borrow();
            let Some((topic_id, partition)) = log.and_then(|log| damaged.get(log)) else {
                continue;
            };
            self.reached(state);
            let mut topics = self.topics.borrow_mut();
            if let Ok(checker) = topics.partition_mut(*topic_id, *partition) {
                checker.damage_reported();
            }
        }
        told
    }
}

/// What brokers have told of damage since it was last asked for, by the directories of the logs.
#[derive(Default)]
pub(super) struct Told {
    /// Where a log ends since a cut.
    cuts: BTreeMap<PathBuf, Offset>,
    offline: BTreeSet<PathBuf>,
}
