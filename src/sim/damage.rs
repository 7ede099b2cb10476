//! A disk that damages what it holds: bits rot, writes that had succeeded are lost or have gone
//! somewhere else. Only in segments, and only where a batch is: the rest has tests of its own.
//!
//! # Non-obvious
//! - A write that went astray stays in its own file. In the file of another partition it could be a
//!   batch that fits there in every respect: no reader could tell (docs/reliability.md).

use std::ops::Range;
use std::path::{Path, PathBuf};

use super::checker::{Damage, Lifecycle};
use super::ledger::Ledger;
use super::swarm::Fault;
use super::tally::State;
use crate::batch::{BatchIter, CrcCheck};
use crate::io::WRITE_UNIT;
use crate::io::sim::{MachineId, Random, Simulation};
use crate::log_state::decode_partition_metadata;
use crate::types::{Offset, PartitionIndex, TopicId};

const UNIT: u64 = WRITE_UNIT as u64;

const SEGMENT_SUFFIX: &str = ".log";
const PARTITION_METADATA: &str = "partition.metadata";

/// One whole batch of a segment.
struct Placed {
    bytes: Range<u64>,
    offsets: Range<Offset>,
}

/// A segment of a partition that clients know of.
struct Found {
    topic_id: TopicId,
    partition: PartitionIndex,
    /// The directory of the log.
    log: PathBuf,
    file: PathBuf,
    contents: Vec<u8>,
    batches: Vec<Placed>,
    /// Where the next segment with a batch begins. One without says nothing: it is made when the
    /// batches before it are appended, which may never come to the disk.
    next_segment: Option<Offset>,
}

/// Damages something that a drawn partition has on disk; not always, since it may have nothing.
pub(super) fn strike(
    (sim, machine): (&Simulation, MachineId),
    ledger: &Ledger,
    random: &mut Random,
    fault: Fault,
) {
    let Some(found) = find(sim, machine, ledger, random) else {
        return;
    };
    // The newest batches as often as all others.
    let count = found.batches.len() as u64;
    let index = match random.coin() {
        true => count - 1 - random.below(count.min(3)),
        false => random.below(count),
    };
    let batch = &found.batches[index as usize];
    let hit = match fault {
        Fault::BitRot => {
            let position = random.between(batch.bytes.start, batch.bytes.end - 1);
            let is_done = sim.corrupt(machine, &found.file, position);
            is_done.then_some(position..position + 1)
        }
        Fault::LostWrite => found.lose(sim, machine, batch, random),
        _ => found.misdirect(sim, machine, batch, random),
    };
    if let Some(hit) = hit {
        found.tell((sim, machine), ledger, fault, &hit);
    }
}

impl Found {
    /// The unit that a batch begins in or one behind it, and how many of its bytes an earlier write
    /// had brought: up to a border of batches.
    fn draw_unit(&self, batch: &Placed, random: &mut Random) -> (u64, usize) {
        let (first, last) = (batch.bytes.start / UNIT, (batch.bytes.end - 1) / UNIT);
        let unit = random.between(first, last);
        let is_border = unit == first && random.coin();
        let kept_size = if is_border {
            batch.bytes.start % UNIT
        } else {
            0
        };
        (unit, kept_size as usize)
    }

    fn lose(
        &self,
        sim: &Simulation,
        machine: MachineId,
        batch: &Placed,
        random: &mut Random,
    ) -> Option<Range<u64>> {
        let (unit, kept_size) = self.draw_unit(batch, random);
        let is_done = sim.lose_write(machine, &self.file, unit, kept_size);
        is_done.then_some(unit * UNIT + kept_size as u64..(unit + 1) * UNIT)
    }

    fn misdirect(
        &self,
        sim: &Simulation,
        machine: MachineId,
        batch: &Placed,
        random: &mut Random,
    ) -> Option<Range<u64>> {
        let unit_count = (self.contents.len() as u64).div_ceil(UNIT);
        let (from, kept_size) = self.draw_unit(batch, random);
        let to = random.below(unit_count);
        let is_done = to != from && sim.misdirect_write(machine, &self.file, (from, to), kept_size);
        let start = (from * UNIT + kept_size as u64).min(to * UNIT);
        is_done.then_some(start..(from.max(to) + 1) * UNIT)
    }

    /// Lets the checker know what was hit.
    fn tell(
        &self,
        (sim, machine): (&Simulation, MachineId),
        ledger: &Ledger,
        fault: Fault,
        hit: &Range<u64>,
    ) {
        let mut touched = self.batches.iter().filter(|b| b.bytes.end > hit.start);
        let Some(first) = touched.next().filter(|b| b.bytes.start < hit.end) else {
            return;
        };
        let after = sim.file_contents(machine, &self.file).unwrap_or_default();
        // Behind its end the broker writes, zeroes and cuts: what a stray write has left there
        // shows nothing for long.
        let log_end = self.batches.last().map_or(0, |batch| batch.bytes.end);
        let within = &after[..after.len().min(log_end as usize)];
        let end = within.iter().rposition(|&byte| byte != 0);
        let end = end.map_or(0, |last| last as u64 + 1);
        let mut behind = self.batches.iter().filter(|b| b.bytes.start >= end);
        let silent_from = behind.next().map_or(Offset::MAX, |b| b.offsets.start);
        let is_newest = self.next_segment.is_none();
        let damage = Damage {
            unreadable: first.offsets.start..self.next_segment.unwrap_or(Offset::MAX),
            silent_from: is_newest.then_some(silent_from),
        };
        tracing::debug!(?fault, file = %self.file.display(), ?hit, ?damage, "damaged");
        ledger.damaged(&self.log, (self.topic_id, self.partition), damage);
        ledger.reached(match (fault, is_newest) {
            (Fault::BitRot, false) => State::RotInSealed,
            (Fault::BitRot, true) => State::RotInRecent,
            (Fault::LostWrite, false) => State::LostInSealed,
            (Fault::LostWrite, true) => State::LostInRecent,
            (_, false) => State::MisdirectedInSealed,
            (_, true) => State::MisdirectedInRecent,
        });
    }
}

fn find(
    sim: &Simulation,
    machine: MachineId,
    ledger: &Ledger,
    random: &mut Random,
) -> Option<Found> {
    let (topic_id, partition, log) = draw_log(sim, machine, ledger, random)?;
    let names = sim.files(machine, &log);
    let base_offset = |name: &String| name.strip_suffix(SEGMENT_SUFFIX)?.parse::<Offset>().ok();
    let segments: Vec<Offset> = names.iter().filter_map(base_offset).collect();
    if segments.is_empty() {
        return None;
    }
    let index = random.below(segments.len() as u64) as usize;
    let path = |segment: Offset| log.join(format!("{segment:020}{SEGMENT_SUFFIX}"));
    let contents = |segment| sim.file_contents(machine, &path(segment));
    let has_batch = |&segment: &Offset| contents(segment).is_some_and(|c| !place(&c).is_empty());
    let next_segment = segments[index + 1..].iter().copied().find(has_batch);
    let (file, contents) = (path(segments[index]), contents(segments[index])?);
    let batches = place(&contents);
    (!batches.is_empty()).then_some(Found {
        topic_id,
        partition,
        file,
        contents,
        batches,
        next_segment,
        log,
    })
}

/// A partition of a topic that is there, and where its log is.
fn draw_log(
    sim: &Simulation,
    machine: MachineId,
    ledger: &Ledger,
    random: &mut Random,
) -> Option<(TopicId, PartitionIndex, PathBuf)> {
    let topics = ledger.topics.borrow();
    let alive: Vec<_> = topics
        .iter()
        .filter(|(_, topic)| topic.lifecycle == Lifecycle::Alive && topic.partition_count > 0)
        .collect();
    if alive.is_empty() {
        return None;
    }
    let (topic_id, topic) = alive[random.below(alive.len() as u64) as usize];
    let partition = random.below(topic.partition_count as u64) as PartitionIndex;
    let name = format!("{}-{partition}", topic.name);
    let directories = &ledger.scenario.config.log_dirs;
    let mut logs = directories.iter().map(|directory| directory.join(&name));
    let log = logs.find(|log| is_of(sim, machine, log, topic_id))?;
    Some((topic_id, partition, log))
}

/// Whether a directory is that of a topic, and not of one before it.
fn is_of(sim: &Simulation, machine: MachineId, log: &Path, topic_id: TopicId) -> bool {
    let metadata = sim.file_contents(machine, &log.join(PARTITION_METADATA));
    let text = metadata.and_then(|bytes| String::from_utf8(bytes).ok());
    text.is_some_and(|text| decode_partition_metadata(&text).is_ok_and(|id| id == topic_id))
}

/// The whole batches that a segment begins with.
fn place(contents: &[u8]) -> Vec<Placed> {
    let mut batches = BatchIter::new(contents, CrcCheck::Verify);
    let mut placed = Vec::new();
    let mut position = 0;
    for batch in &mut batches {
        let end = position + batch.size_in_bytes() as u64;
        placed.push(Placed {
            bytes: position..end,
            offsets: batch.base_offset..batch.next_offset(),
        });
        position = end;
    }
    placed
}
