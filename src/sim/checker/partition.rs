//! One partition: which record is at which offset.
//!
//! What was acknowledged or read is a fact: this record is at this offset. A power cut makes those
//! facts doubtful that nothing had made durable, from some offset on: a log is cut at one place.
//! One that is seen again is certain again; one that is contradicted takes those behind it with it
//! that are as old.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use super::damage::{Damage, Damages};
use super::invariant::{Invariant, Violation};
use super::records::{Guarantee, Record};
use crate::types::Offset;

/// What a fact survives.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(in crate::sim) enum Survives {
    /// The end of the process in any way: acks=1, and everything in class K.
    Kill,
    /// Everything: acks=all and what readers saw, in class P.
    PowerCut,
}

#[derive(Clone, Copy, Debug)]
struct Fact {
    record: Record,
    survives: Survives,
    /// Below a high watermark that some client saw.
    is_visible: bool,
    /// Power cuts before it was made a fact.
    made_after: u64,
    /// The number of the power cut that may have taken it.
    doubtful_since: Option<u64>,
}

impl Fact {
    fn is_doubtful(&self) -> bool {
        self.doubtful_since.is_some()
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(in crate::sim) struct PartitionChecker {
    facts: BTreeMap<Offset, Fact>,
    /// Where the idempotent records are.
    offsets: BTreeMap<Record, Offset>,
    /// The largest high watermark that was seen, and what it survives.
    end_seen: Offset,
    end_survives: Option<Survives>,
    power_cut_count: u64,
    /// Where the log has been seen to start, or a deletion has left it: it never starts before.
    start_floor: Offset,
    /// Before it they may be deleted: somebody asked for it.
    start_ceiling: Offset,
    damages: Damages,
    /// The log stays closed in this life of the broker.
    is_offline: bool,
}

impl PartitionChecker {
    /// A client asks for the deletion of what lies before `before`.
    pub(in crate::sim) fn deleting(&mut self, before: Offset) {
        self.start_ceiling = self.start_ceiling.max(before);
    }

    /// It was acknowledged: the log starts at `start`.
    pub(in crate::sim) fn deleted(
        &mut self,
        before: Offset,
        start: Offset,
    ) -> Result<(), Violation> {
        if start < before {
            return Err(Invariant::LogStart.broken(format!(
                "the log starts at {start} after the deletion of what lies before {before}"
            )));
        }
        self.observe_start(start, self.start_floor)
    }

    /// Before which offset nothing may be there any more: a log that started there was seen.
    pub(in crate::sim) fn start_floor(&self) -> Offset {
        self.start_floor
    }

    /// Whether a position within the log may be before its start.
    pub(in crate::sim) fn may_be_deleted(&self) -> bool {
        self.start_ceiling > 0
    }

    /// The log starts at `start`; `floor` is [`PartitionChecker::start_floor`] when it was asked
    /// for. It never starts before that again.
    pub(in crate::sim) fn observe_start(
        &mut self,
        start: Offset,
        floor: Offset,
    ) -> Result<(), Violation> {
        let ceiling = self.start_ceiling;
        if start < floor {
            return Err(Invariant::LogStart.broken(format!(
                "the log starts at {start}, and has started at {floor}"
            )));
        }
        if start > ceiling {
            return Err(Invariant::LogStart.broken(format!(
                "the log starts at {start}, and only what lies before {ceiling} was to go"
            )));
        }
        self.start_floor = self.start_floor.max(start);
        Ok(())
    }

    /// The topic is deleted. Answers that are under way may still be of a time when damage had cut
    /// the log.
    pub(in crate::sim) fn forget_facts(&mut self) {
        let damages = std::mem::take(&mut self.damages);
        *self = PartitionChecker {
            damages,
            ..PartitionChecker::default()
        };
    }

    /// The disk has damaged a file of the log.
    pub(in crate::sim) fn damaged(&mut self, damage: Damage) {
        self.damages.add(damage);
    }

    /// Whether it ever has.
    pub(in crate::sim) fn is_damaged(&self) -> bool {
        !self.damages.is_empty()
    }

    /// The broker has told of damage, with file and place.
    pub(in crate::sim) fn damage_reported(&mut self) {
        self.damages.reported();
    }

    pub(in crate::sim) fn is_damage_reported(&self) -> bool {
        self.damages.is_reported()
    }

    /// Where reading may go on if it fails at `offset`; `None` where it may not fail.
    pub(in crate::sim) fn readable_behind(&self, offset: Offset) -> Option<Offset> {
        self.damages.readable_behind(offset)
    }

    /// A broker serves after damage; where its recovery says that it has cut the log, if it does.
    /// What it has not told of must be there. Whether something may be gone.
    pub(in crate::sim) fn judge_damage(&mut self, cut_end: Option<Offset>) -> bool {
        let Some(from) = self.damages.judge(cut_end) else {
            return false;
        };
        self.doubt_from(from);
        self.end_seen = self.end_seen.min(from);
        true
    }

    /// Whether the log stays closed in this life of the broker, because of damage.
    pub(in crate::sim) fn set_offline(&mut self, is_offline: bool) {
        self.is_offline = is_offline;
    }

    /// A record was acknowledged at an offset, or (`is_visible`) read there.
    pub(in crate::sim) fn observe(
        &mut self,
        offset: Offset,
        record: Record,
        guarantee: Guarantee,
        survives: Survives,
        is_visible: bool,
    ) -> Result<(), Violation> {
        if offset < 0 {
            return Err(
                Invariant::Answers.broken(format!("{record} was acknowledged at offset {offset}"))
            );
        }
        if let Some(known) = self.facts.get(&offset).copied() {
            if known.record == record {
                let fact = self.facts.get_mut(&offset).expect("just seen");
                if fact.doubtful_since.take().is_some() {
                    fact.made_after = self.power_cut_count;
                }
                fact.survives = fact.survives.max(survives);
                fact.is_visible |= is_visible;
                return Ok(());
            }
            if !known.is_doubtful() {
                return Err(Invariant::Unchanged.broken(format!(
                    "offset {offset} has changed its value: it held {}, now {record}",
                    known.record
                )));
            }
            self.lose_from(offset);
        }
        match guarantee {
            Guarantee::OnceInOrder => self.check_order(offset, record)?,
            Guarantee::AtMostOnce => self.check_once(offset, record)?,
            Guarantee::Any | Guarantee::Never => {}
        }
        if guarantee != Guarantee::Any {
            self.offsets.insert(record, offset);
        }
        let fact = Fact {
            record,
            survives,
            is_visible,
            made_after: self.power_cut_count,
            doubtful_since: None,
        };
        self.facts.insert(offset, fact);
        Ok(())
    }

    /// A high watermark was seen; `floor` is [`PartitionChecker::end_floor`] when it was asked for.
    pub(in crate::sim) fn observe_end(
        &mut self,
        end: Offset,
        floor: Offset,
        survives: Survives,
    ) -> Result<(), Violation> {
        if end < floor {
            return Err(Invariant::HighWatermark.broken(format!(
                "the high watermark is {end} after it was at least {floor}"
            )));
        }
        if end > self.end_seen {
            self.end_seen = end;
            self.end_survives = Some(survives);
        }
        Ok(())
    }

    /// What no high watermark may be below from now on, short of a power cut.
    pub(in crate::sim) fn end_floor(&self) -> Offset {
        let certain = self.facts.iter().rev();
        let visible = certain
            .filter(|(_, fact)| fact.is_visible && !fact.is_doubtful())
            .map(|(offset, _)| offset + 1)
            .next();
        self.end_seen.max(visible.unwrap_or(0))
    }

    /// Whether a record that was read or acknowledged is lost when the log ends at `end`.
    pub(in crate::sim) fn check_end(&self, end: Offset) -> Result<(), Violation> {
        let mut behind = self.facts.range(end..);
        match behind.find(|(_, fact)| !fact.is_doubtful()) {
            Some((offset, fact)) if self.is_damaged() => {
                let text = format!(
                    "the log ends at {end}: {} at offset {offset} is gone, and nobody was told",
                    fact.record
                );
                Err(Invariant::NotCutSilently.broken(text))
            }
            Some((offset, fact)) => Err(Invariant::Kept.broken(format!(
                "the log ends at {end}: {} at offset {offset} is lost",
                fact.record
            ))),
            None => Ok(()),
        }
    }

    /// The machine lost its power.
    pub(in crate::sim) fn power_cut(&mut self) {
        let safe_end = self.safe_end();
        self.doubt_from(safe_end);
        if self.end_survives == Some(Survives::Kill) {
            self.end_seen = safe_end;
        }
        self.damages.power_cut();
    }

    fn doubt_from(&mut self, offset: Offset) {
        self.power_cut_count += 1;
        self.damages.may_end_from(offset);
        for fact in self.facts.range_mut(offset..).map(|(_, fact)| fact) {
            fact.doubtful_since.get_or_insert(self.power_cut_count);
        }
    }

    /// The broker has recovered or opened the log: what it found is durable.
    pub(in crate::sim) fn opened(&mut self) {
        if self.is_offline {
            return;
        }
        for fact in self.facts.values_mut().filter(|fact| !fact.is_doubtful()) {
            fact.survives = Survives::PowerCut;
        }
    }

    /// Facts that a power cut has made doubtful.
    #[cfg(test)]
    fn doubtful_count(&self) -> usize {
        self.facts
            .values()
            .filter(|fact| fact.is_doubtful())
            .count()
    }

    /// The end of what survives a power cut: all before such a fact do, too.
    fn safe_end(&self) -> Offset {
        let mut from_end = self.facts.iter().rev();
        let last =
            from_end.find(|(_, fact)| fact.survives == Survives::PowerCut && !fact.is_doubtful());
        last.map_or(0, |(offset, _)| offset + 1)
    }

    /// A power cut since the one that made the fact at `offset` doubtful has taken it, and with it
    /// what was behind it then.
    fn lose_from(&mut self, offset: Offset) {
        let since = self.facts[&offset].doubtful_since;
        let since = since.expect("only what is doubtful may be lost");
        let behind = self.facts.range(offset..);
        let lost: Vec<_> = behind
            .filter(|(_, fact)| fact.is_doubtful() && fact.made_after < since)
            .map(|(&offset, fact)| (offset, fact.record))
            .collect();
        for (offset, record) in lost {
            self.facts.remove(&offset);
            if self.offsets.get(&record) == Some(&offset) {
                self.offsets.remove(&record);
            }
        }
    }

    fn is_doubtful(&self, offset: Offset) -> bool {
        self.facts.get(&offset).is_some_and(Fact::is_doubtful)
    }

    /// Nothing twice.
    fn check_once(&mut self, offset: Offset, record: Record) -> Result<(), Violation> {
        match self.offsets.get(&record) {
            Some(&other) if self.is_doubtful(other) => self.lose_from(other),
            Some(&other) => {
                return Err(Invariant::Once.broken(format!(
                    "{record} is there twice: at offsets {other} and {offset}"
                )));
            }
            None => {}
        }
        Ok(())
    }

    /// Nothing twice, and the records of a producer in the order of their numbers.
    fn check_order(&mut self, offset: Offset, record: Record) -> Result<(), Violation> {
        self.check_once(offset, record)?;
        while let Some((before, at)) = self.neighbour(record, true)
            && at > offset
        {
            self.must_be_lost(before, at, record, offset)?;
        }
        while let Some((behind, at)) = self.neighbour(record, false)
            && at < offset
        {
            self.must_be_lost(behind, at, record, offset)?;
        }
        Ok(())
    }

    fn must_be_lost(
        &mut self,
        other: Record,
        at: Offset,
        record: Record,
        offset: Offset,
    ) -> Result<(), Violation> {
        if !self.is_doubtful(at) {
            return Err(Invariant::InOrder.broken(format!(
                "out of order: {record} at offset {offset}, {other} at offset {at}"
            )));
        }
        self.lose_from(at);
        Ok(())
    }

    /// The record of the same producer that was sent just before this one or just behind it, of
    /// those that are known.
    fn neighbour(&self, record: Record, before: bool) -> Option<(Record, Offset)> {
        let found = match before {
            true => self.offsets.range(..record).next_back(),
            false => self
                .offsets
                .range((
                    std::ops::Bound::Excluded(record),
                    std::ops::Bound::Unbounded,
                ))
                .next(),
        };
        found
            .filter(|(other, _)| other.producer == record.producer)
            .map(|(other, offset)| (*other, *offset))
    }
}
