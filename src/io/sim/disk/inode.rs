//! A file's contents, with what is in the device's volatile cache kept apart from what survives.

use std::collections::BTreeMap;
use std::ops::Range;

use bytes::{Bytes, BytesMut};

use super::super::faults::FaultCounts;
use super::super::random::Random;
use super::Survival;
use crate::io::WRITE_UNIT;

/// Bytes of a write unit, as they are kept here.
pub(super) const UNIT: u64 = WRITE_UNIT as u64;

/// Versions of one unit that the device's cache keeps: past it the oldest goes to the medium.
const CACHED_VERSION_COUNT_MAX: usize = 8;

/// The version of a unit that a failed flush took: no later flush makes it durable.
const LOST: u64 = u64::MAX;

/// The write that brought a new unit has not completed.
const INCOMPLETE: u64 = u64::MAX;

static ZEROS: [u8; WRITE_UNIT] = [0; WRITE_UNIT];

/// The contents of one unit.
struct Unit {
    /// On the medium: survives anything.
    durable: Bytes,
    /// In the device's cache, oldest first, each with when it landed. A power cut may leave any.
    cached: Vec<(u64, Bytes)>,
    /// `None`: the block is mapped in the inode on the medium. Otherwise when the write that first
    /// filled it completed: only a sync of this very file maps it.
    new_since: Option<u64>,
}

impl Unit {
    fn contents(&self) -> &Bytes {
        self.cached
            .last()
            .map_or(&self.durable, |(_, contents)| contents)
    }

    /// Moves to the medium what had landed by `sequence`.
    fn flush(&mut self, sequence: u64) {
        let flushed = self
            .cached
            .iter()
            .rposition(|(landed, _)| *landed <= sequence);
        if let Some(index) = flushed {
            self.durable = self
                .cached
                .drain(..=index)
                .next_back()
                .expect("not empty")
                .1;
        }
    }

    fn survive(&mut self, random: &mut Random, survival: Survival, counts: &mut FaultCounts) {
        if self.cached.is_empty() {
            return;
        }
        let cached = std::mem::take(&mut self.cached);
        let newest = cached.len() - 1;
        if survival.keeps(random) {
            let index = if random.coin() {
                newest
            } else {
                random.below(newest as u64 + 1) as usize
            };
            let (landed, contents) = &cached[index];
            if *landed != LOST {
                self.durable = contents.clone();
                counts.lost_units += u64::from(index != newest);
                return;
            }
        }
        counts.lost_units += 1;
    }
}

/// A write that was submitted and has not completed. Its units land one by one, seen by reads and
/// power cuts in between; [`Inode::land_some`] draws which, when somebody looks.
pub(super) struct WriteInFlight {
    pub(super) id: u64,
    pub(super) first_unit: u64,
    pub(super) data: Bytes,
    landed: Vec<bool>,
    /// Its process is alive. The writes of the dead may overlap with those of the living.
    pub(super) live: bool,
}

impl WriteInFlight {
    pub(super) fn new(id: u64, position: u64, data: Bytes) -> WriteInFlight {
        let unit_count = data.len() / WRITE_UNIT;
        WriteInFlight {
            id,
            first_unit: position / UNIT,
            data,
            landed: vec![false; unit_count],
            live: true,
        }
    }

    pub(super) fn units(&self) -> Range<u64> {
        self.first_unit..self.first_unit + self.landed.len() as u64
    }
}

/// What a sync promises: the state when it was submitted.
#[derive(Clone, Copy, Debug)]
pub(super) struct SyncPoint {
    pub(super) sequence: u64,
    pub(super) size: u64,
    /// It flushes the whole device, not just this file's blocks.
    pub(super) device_wide: bool,
}

/// A file's blocks and metadata.
#[derive(Default)]
pub(super) struct Inode {
    /// The number of the device that it is on.
    pub(super) device: u64,
    size: u64,
    synced_size: u64,
    units: BTreeMap<u64, Unit>,
    /// Mapped units behind a cut that is not synced: they come back if the cut is lost.
    cut_units: BTreeMap<u64, Unit>,
    /// Units with something in the device's cache; may name one twice.
    cached_units: Vec<u64>,
    new_units: Vec<u64>,
    cut_sequence: u64,
    /// When the sync was submitted that gave `synced_size`.
    size_synced_at: u64,
    pub(super) in_flight: Vec<WriteInFlight>,
    pub(super) locked_by: Option<u64>,
    pub(super) open_count: u32,
}

impl Inode {
    /// An empty file.
    pub(super) fn on(device: u64) -> Inode {
        Inode {
            device,
            ..Inode::default()
        }
    }

    /// A file that is on the medium as it stands.
    pub(super) fn durable(contents: &[u8], device: u64) -> Inode {
        let mut inode = Inode {
            size: contents.len() as u64,
            synced_size: contents.len() as u64,
            ..Inode::on(device)
        };
        for (index, chunk) in contents.chunks(WRITE_UNIT).enumerate() {
            let mut unit = chunk.to_vec();
            unit.resize(WRITE_UNIT, 0);
            inode.units.insert(
                index as u64,
                Unit {
                    durable: unit.into(),
                    cached: Vec::new(),
                    new_since: None,
                },
            );
        }
        inode
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    pub(super) fn unit_count(&self) -> u64 {
        self.units.len() as u64
    }

    /// How many of these units would take new blocks.
    pub(super) fn missing_unit_count(&self, units: Range<u64>) -> u64 {
        units.end - units.start - self.units.range(units).count() as u64
    }

    /// Whether nothing was written since the last sync, so that another sync flushes the device.
    pub(super) fn is_clean(&self) -> bool {
        self.cached_units.is_empty() && !self.has_metadata_to_sync() && self.in_flight.is_empty()
    }

    pub(super) fn has_cached_units(&self) -> bool {
        !self.cached_units.is_empty()
    }

    fn has_metadata_to_sync(&self) -> bool {
        !self.new_units.is_empty() || self.size > self.synced_size
    }

    /// A live write in flight that covers one of these units.
    pub(super) fn overlapping_write(&self, units: &Range<u64>) -> Option<&WriteInFlight> {
        self.in_flight.iter().find(|write| {
            let other = write.units();
            write.live && other.start < units.end && units.start < other.end
        })
    }

    fn land(&mut self, index: u64, contents: Bytes, sequence: u64) {
        // Zeros written ahead take no memory.
        let contents = if contents == ZEROS[..] {
            Bytes::from_static(&ZEROS)
        } else {
            contents
        };
        let new_units = &mut self.new_units;
        let unit = self.units.entry(index).or_insert_with(|| {
            new_units.push(index);
            Unit {
                durable: Bytes::from_static(&ZEROS),
                cached: Vec::new(),
                new_since: Some(INCOMPLETE),
            }
        });
        if unit.cached.is_empty() {
            self.cached_units.push(index);
        }
        unit.cached.push((sequence, contents));
        if unit.cached.len() > CACHED_VERSION_COUNT_MAX {
            let (landed, contents) = unit.cached.remove(0);
            if landed != LOST {
                unit.durable = contents;
            }
        }
    }

    /// Lets units of writes in flight land, each with this probability, and returns how many writes
    /// are now there in part. `units` limits it to writes that touch those.
    pub(super) fn land_some(
        &mut self,
        units: Range<u64>,
        random: &mut Random,
        probability: f64,
        sequence: u64,
    ) -> u64 {
        let mut torn_count = 0;
        let mut in_flight = std::mem::take(&mut self.in_flight);
        for write in &mut in_flight {
            let covered = write.units();
            if covered.start >= units.end || units.start >= covered.end {
                continue;
            }
            for slot in 0..write.landed.len() {
                if !write.landed[slot] && random.chance(probability) {
                    write.landed[slot] = true;
                    let at = slot * WRITE_UNIT;
                    let contents = write.data.slice(at..at + WRITE_UNIT);
                    self.land(write.first_unit + slot as u64, contents, sequence);
                }
            }
            let landed_count = write.landed.iter().filter(|landed| **landed).count();
            torn_count += u64::from(landed_count > 0 && landed_count < write.landed.len());
        }
        self.in_flight = in_flight;
        torn_count
    }

    /// The write is done: all of it has landed and counts for the size.
    pub(super) fn complete_write(&mut self, id: u64, sequence: u64) {
        let index = self.in_flight.iter().position(|write| write.id == id);
        let write = self
            .in_flight
            .swap_remove(index.expect("a write completes once"));
        for (slot, landed) in write.landed.iter().enumerate() {
            let index = write.first_unit + slot as u64;
            if !landed {
                let at = slot * WRITE_UNIT;
                self.land(index, write.data.slice(at..at + WRITE_UNIT), sequence);
            }
            if let Some(unit) = self.units.get_mut(&index)
                && unit.new_since == Some(INCOMPLETE)
            {
                unit.new_since = Some(sequence);
            }
        }
        self.size = self.size.max(write.units().end * UNIT);
    }

    /// The write failed; what has landed of it stays, and is as that of any write: what a sync
    /// that begins now covers, a loss of power does not take.
    pub(super) fn abandon_write(&mut self, id: u64, sequence: u64) {
        let Some(index) = self.in_flight.iter().position(|write| write.id == id) else {
            return;
        };
        for index in self.in_flight.swap_remove(index).units() {
            if let Some(unit) = self.units.get_mut(&index)
                && unit.new_since == Some(INCOMPLETE)
            {
                unit.new_since = Some(sequence);
            }
        }
    }

    /// Bytes from `position`, fewer at the end of the file.
    pub(super) fn read(&self, position: u64, size: usize) -> Bytes {
        let end = self.size.min(position.saturating_add(size as u64));
        if position >= end {
            return Bytes::new();
        }
        let mut bytes = BytesMut::with_capacity((end - position) as usize);
        let mut at = position;
        while at < end {
            let (index, from) = (at / UNIT, (at % UNIT) as usize);
            let count = (end - at).min(UNIT - from as u64) as usize;
            match self.units.get(&index) {
                Some(unit) => bytes.extend_from_slice(&unit.contents()[from..from + count]),
                None => bytes.extend_from_slice(&ZEROS[..count]),
            }
            at += count as u64;
        }
        bytes.freeze()
    }

    /// Cuts or extends; the bytes between the new end and the end of its unit become zeros.
    pub(super) fn set_size(&mut self, size: u64, sequence: u64) {
        let kept_units = size.div_ceil(UNIT);
        let edge = size.min(self.size);
        if !edge.is_multiple_of(UNIT)
            && let Some(unit) = self.units.get(&(edge / UNIT))
        {
            let mut contents = unit.contents().to_vec();
            contents[(edge % UNIT) as usize..].fill(0);
            self.land(edge / UNIT, contents.into(), sequence);
        }
        if size < self.size {
            for (index, unit) in self.units.split_off(&kept_units) {
                if unit.new_since.is_none() {
                    self.cut_units.entry(index).or_insert(unit);
                }
            }
            self.cached_units.retain(|index| *index < kept_units);
            self.new_units.retain(|index| *index < kept_units);
            self.cut_sequence = sequence;
        }
        self.size = size;
    }

    /// Moves to the medium what had landed by `sequence`.
    pub(super) fn flush_data(&mut self, sequence: u64) {
        let units = &mut self.units;
        self.cached_units.retain(|index| {
            let Some(unit) = units.get_mut(index) else {
                return false;
            };
            unit.flush(sequence);
            !unit.cached.is_empty()
        });
    }

    /// A flush failed: the device dropped a part of its cache and does not know which. Reads still
    /// see it.
    pub(super) fn lose_cached(&mut self, random: &mut Random) {
        for index in &self.cached_units {
            if let Some(unit) = self.units.get_mut(index) {
                for (landed, _) in &mut unit.cached {
                    if random.coin() {
                        *landed = LOST;
                    }
                }
            }
        }
    }

    /// Makes size and extents durable as they were at the sync's submission. With `all` unset
    /// (fdatasync) only if reading the data needs it: a mere cut stays undone.
    pub(super) fn sync_metadata(&mut self, point: SyncPoint, all: bool) {
        let cut_since = self.cut_sequence > point.sequence;
        if cut_since || !(all || self.has_metadata_to_sync()) {
            return;
        }
        let units = &mut self.units;
        self.new_units.retain(|index| {
            let Some(unit) = units.get_mut(index) else {
                return false;
            };
            let is_synced = unit
                .new_since
                .is_none_or(|completed| completed <= point.sequence);
            if is_synced {
                unit.new_since = None;
            }
            !is_synced
        });
        self.cut_units.clear();
        // Of two syncs the later submitted one may end first.
        if point.sequence >= self.size_synced_at {
            self.size_synced_at = point.sequence;
            self.synced_size = point.size;
        }
    }

    /// The machine lost its power: what is on the medium is all there is.
    pub(super) fn power_cut(
        &mut self,
        random: &mut Random,
        survival: Survival,
        counts: &mut FaultCounts,
    ) {
        self.in_flight.clear();
        self.locked_by = None;
        self.open_count = 0;
        for unit in self.units.values_mut().chain(self.cut_units.values_mut()) {
            unit.survive(random, survival, counts);
        }
        self.metadata_survives(random, survival, counts);
        for unit in self.units.values_mut() {
            unit.new_since = None;
        }
        self.cut_units.clear();
        self.cached_units.clear();
        self.new_units.clear();
        let unit_count = self.size.div_ceil(UNIT);
        self.units.split_off(&unit_count);
        self.synced_size = self.size;
    }

    fn metadata_survives(
        &mut self,
        random: &mut Random,
        survival: Survival,
        counts: &mut FaultCounts,
    ) {
        let is_synced =
            self.new_units.is_empty() && self.cut_units.is_empty() && self.size == self.synced_size;
        if is_synced || survival.keeps(random) {
            return;
        }
        counts.lost_inodes += 1;
        let grew_only = self.cut_units.is_empty() && self.size >= self.synced_size;
        if grew_only && survival.keeps(random) {
            // Some of the extents and of the growth were written back by themselves.
            self.units
                .retain(|_, unit| unit.new_since.is_none() || random.coin());
            let grown_units = (self.size - self.synced_size).div_ceil(UNIT);
            let grown = random.between(0, grown_units) * UNIT;
            self.size = self.size.min(self.synced_size + grown);
            return;
        }
        self.units.retain(|_, unit| unit.new_since.is_none());
        self.units.append(&mut self.cut_units);
        self.size = self.synced_size;
    }

    /// Flips bits of a byte, on the medium and in the cache.
    pub(super) fn corrupt(&mut self, position: u64) -> bool {
        let at = (position % UNIT) as usize;
        self.replace_unit(position / UNIT, |contents| contents[at] ^= 0x5a)
    }

    /// What a unit holds, as a read would see it.
    pub(super) fn unit_contents(&self, index: u64) -> Option<Bytes> {
        self.units.get(&index).map(|unit| unit.contents().clone())
    }

    /// Changes a unit behind everybody's back, on the medium and in the cache; false when there is
    /// no such unit.
    pub(super) fn replace_unit(&mut self, index: u64, change: impl Fn(&mut [u8])) -> bool {
        let Some(unit) = self.units.get_mut(&index) else {
            return false;
        };
        let cached = unit.cached.iter_mut().map(|(_, contents)| contents);
        for contents in cached.chain([&mut unit.durable]) {
            let mut changed = contents.to_vec();
            change(&mut changed);
            *contents = changed.into();
        }
        true
    }
}
