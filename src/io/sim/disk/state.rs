//! The disk: operations in flight, files, names, locks.

use std::collections::BTreeMap;
use std::io::Result;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use nix::libc;

use super::super::ProcessId;
use super::super::faults::{
    DiskFault, FailRule, FaultCounts, FaultPlan, SLOW_DISK_FACTOR, STUCK_DISK_DURATION_MAX,
};
use super::super::random::Random;
use super::Survival;
use super::inode::{Inode, SyncPoint, UNIT, WriteInFlight};
use super::names::{Names, Node, system_error};
use super::operation::{Completion, DiskOperation, DiskOutput};
use crate::io::DirEntry;

/// The writes of a killed process land at most this long after its death, in nanoseconds
/// (measured: 0.4 to 53 ms).
const LATE_WRITE_DELAY_MAX: u64 = 60_000_000;

/// No operation takes longer, however slow the disk is made, in nanoseconds: below what a start
/// waits for the locks of the dead. What is stuck takes longer.
const DURATION_MAX: u64 = 1_000_000_000;

/// What a small file's new contents are called until they are complete, as on the real machine.
const ASIDE_SUFFIX: &str = ".tmp";

/// What the world adds to an operation: what may go wrong, and where it is counted.
pub(in crate::io::sim) struct Conditions<'a> {
    pub(in crate::io::sim) plan: &'a FaultPlan,
    pub(in crate::io::sim) counts: &'a mut FaultCounts,
}

struct Descriptor {
    inode: u64,
    process: ProcessId,
    path: Arc<Path>,
    writable: bool,
    in_flight_count: u32,
    is_closed: bool,
}

struct Submitted {
    process: ProcessId,
    operation: DiskOperation,
    point: SyncPoint,
    /// Killed: it goes on, but not before this.
    not_before: u64,
    is_orphan: bool,
    /// A flush, and the device dropped what it should have kept: it fails.
    is_doomed: bool,
    completion: Completion,
}

/// A machine's disk.
pub(in crate::io::sim) struct DiskState {
    pub(super) names: Names,
    pub(super) inodes: BTreeMap<u64, Inode>,
    /// Files that had no name when they were last looked at, and were open.
    unnamed: Vec<u64>,
    descriptors: BTreeMap<u64, Descriptor>,
    submitted: BTreeMap<u64, Submitted>,
    next_id: u64,
    /// Counts what lands, completes or changes: what a sync covers is a comparison of it.
    sequence: u64,
    pub(in crate::io::sim) capacity_size: u64,
    used_unit_count: u64,
    power_cut_count: u64,
    /// What is below each is on a device of its own. The capacity and the power they share.
    pub(in crate::io::sim) mounts: Vec<PathBuf>,
    pub(in crate::io::sim) fail_rules: Vec<FailRule>,
    pub(in crate::io::sim) slow_factor: u64,
    /// Nanoseconds that every operation of a kind takes longer.
    pub(in crate::io::sim) delays: Vec<(DiskFault, u64)>,
    /// Names whose renaming takes so many nanoseconds.
    pub(in crate::io::sim) stuck_renames: Vec<(PathBuf, u64)>,
    latency: Random,
    chance: Random,
}

impl DiskState {
    pub(in crate::io::sim) fn new(seed: u64, machine: u64, capacity_size: u64) -> DiskState {
        DiskState {
            names: Names::new(),
            inodes: BTreeMap::new(),
            unnamed: Vec::new(),
            descriptors: BTreeMap::new(),
            submitted: BTreeMap::new(),
            next_id: 1,
            sequence: 0,
            capacity_size,
            used_unit_count: 0,
            power_cut_count: 0,
            mounts: Vec::new(),
            fail_rules: Vec::new(),
            slow_factor: 1,
            delays: Vec::new(),
            stuck_renames: Vec::new(),
            latency: Random::stream(seed, "disk latency", machine),
            chance: Random::stream(seed, "disk faults", machine),
        }
    }

    fn new_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id - 1
    }

    fn tick(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    /// Takes an operation; returns its id and how long it will take, or what rule it breaks.
    pub(in crate::io::sim) fn submit(
        &mut self,
        process: ProcessId,
        operation: DiskOperation,
        completion: Completion,
        conditions: Conditions<'_>,
    ) -> std::result::Result<(u64, u64), String> {
        let id = self.new_id();
        let mut point = SyncPoint {
            sequence: self.sequence,
            size: 0,
            device_wide: false,
        };
        if let Some(descriptor) = operation.descriptor() {
            let descriptor = self
                .descriptors
                .get_mut(&descriptor)
                .expect("open descriptors only");
            descriptor.in_flight_count += 1;
            let inode = self
                .inodes
                .get_mut(&descriptor.inode)
                .expect("open files are kept");
            point.size = inode.size();
            point.device_wide = inode.is_clean();
            if let DiskOperation::Write { position, data, .. } = &operation {
                let write = WriteInFlight::new(id, *position, data.clone());
                if let Some(other) = inode.overlapping_write(&write.units()) {
                    return Err(format!(
                        "two writes cover the same unit of {}: units {:?} while {:?} is in flight",
                        descriptor.path.display(),
                        write.units(),
                        other.units(),
                    ));
                }
                inode.in_flight.push(write);
            }
        }
        let mut duration = self.latency.latency(operation.usual_latency()) * self.slow_factor;
        if self.chance.chance(conditions.plan.slow_disk) {
            duration *= SLOW_DISK_FACTOR;
            conditions.counts.slow_operations += 1;
        }
        let kind = operation.fault();
        let delays = self.delays.iter().filter(|(of, _)| Some(*of) == kind);
        duration += delays.map(|(_, delay)| delay).sum::<u64>();
        duration = duration.min(DURATION_MAX);
        if self.chance.chance(conditions.plan.stuck_disk) {
            let longest = STUCK_DISK_DURATION_MAX.as_nanos() as u64;
            duration = self.chance.between(DURATION_MAX, longest);
            conditions.counts.stuck_operations += 1;
        }
        if let DiskOperation::Rename { from, .. } = &operation
            && let Some((_, stuck)) = self.stuck_renames.iter().find(|(path, _)| path == from)
        {
            duration = *stuck;
            conditions.counts.stuck_operations += 1;
        }
        let submitted = Submitted {
            process,
            operation,
            point,
            not_before: 0,
            is_orphan: false,
            is_doomed: false,
            completion,
        };
        self.submitted.insert(id, submitted);
        Ok((id, duration))
    }

    /// When an operation may complete at the earliest; `None` when a power cut took it.
    pub(in crate::io::sim) fn not_before(&self, id: u64) -> Option<u64> {
        self.submitted
            .get(&id)
            .map(|submitted| submitted.not_before)
    }

    /// Carries an operation out, at its end; whether it failed. Returns the fault that hit it.
    pub(in crate::io::sim) fn complete(
        &mut self,
        id: u64,
        mut conditions: Conditions<'_>,
    ) -> Option<DiskFault> {
        let submitted = self
            .submitted
            .remove(&id)
            .expect("an operation completes once");
        // A flush that fails when nobody is left to note it is a second fault: it is not survived
        // (docs/durability.md).
        let is_drawn =
            !(submitted.is_orphan && submitted.operation.fault() == Some(DiskFault::Flush));
        let drawn = is_drawn
            .then(|| self.draw_fault(&submitted.operation, &mut conditions))
            .flatten();
        let fault = drawn.or(submitted.is_doomed.then_some(DiskFault::Flush));
        let result = match fault {
            Some(fault) => {
                self.fail(id, &submitted, fault);
                Err(system_error(libc::EIO))
            }
            None => self.carry_out(id, &submitted),
        };
        if matches!(submitted.operation, DiskOperation::SyncDir { .. }) {
            let is_bare = self.inodes.values().any(Inode::has_cached_units);
            conditions.counts.bare_directory_syncs += u64::from(is_bare);
        }
        if result
            .as_ref()
            .is_err_and(|error| error.raw_os_error() == Some(libc::ENOSPC))
        {
            conditions.counts.no_space += 1;
        }
        if submitted.is_orphan && matches!(submitted.operation, DiskOperation::Write { .. }) {
            conditions.counts.late_writes += 1;
        }
        if let Some(descriptor) = submitted.operation.descriptor() {
            self.descriptors
                .get_mut(&descriptor)
                .expect("kept while used")
                .in_flight_count -= 1;
            self.release_if_done(descriptor);
        } else if submitted.is_orphan {
            // The kernel gives up a dead process's files after its last system call has ended.
            let of_dead = self.descriptors.iter();
            let of_dead = of_dead.filter(|(_, entry)| entry.process == submitted.process);
            let of_dead: Vec<u64> = of_dead.map(|(id, _)| *id).collect();
            of_dead.into_iter().for_each(|id| self.release_if_done(id));
        }
        submitted.completion.complete(result);
        fault
    }

    fn draw_fault(
        &mut self,
        operation: &DiskOperation,
        conditions: &mut Conditions<'_>,
    ) -> Option<DiskFault> {
        let fault = operation.fault()?;
        let path = self.path_of(operation);
        let ruled = self
            .fail_rules
            .iter_mut()
            .any(|rule| rule.fires(fault, &path));
        let (probability, count) = match fault {
            DiskFault::Read => (
                conditions.plan.read_error,
                &mut conditions.counts.read_errors,
            ),
            DiskFault::Write => (
                conditions.plan.write_error,
                &mut conditions.counts.write_errors,
            ),
            DiskFault::Flush => (
                conditions.plan.flush_error,
                &mut conditions.counts.flush_errors,
            ),
        };
        let is_spared = conditions.plan.spares(&path);
        let fires = (self.chance.chance(probability) && !is_spared) || ruled;
        *count += u64::from(fires);
        fires.then_some(fault)
    }

    fn path_of(&self, operation: &DiskOperation) -> PathBuf {
        match operation {
            DiskOperation::SyncDir { path }
            | DiskOperation::WriteFile { path, .. }
            | DiskOperation::ReadFile { path, .. } => path.clone(),
            other => {
                let descriptor = other.descriptor().expect("faults hit files");
                self.descriptors[&descriptor].path.to_path_buf()
            }
        }
    }

    /// What an operation that fails leaves behind.
    fn fail(&mut self, id: u64, submitted: &Submitted, fault: DiskFault) {
        match &submitted.operation {
            DiskOperation::Write { descriptor, .. } => {
                let sequence = self.tick();
                let inode = self.inodes.get_mut(&self.descriptors[descriptor].inode);
                let inode = inode.expect("open files are kept");
                let units = inode.in_flight.iter().find(|write| write.id == id);
                let units = units.expect("a write is in flight").units();
                let before = inode.unit_count();
                inode.land_some(units, &mut self.chance, 0.5, sequence);
                inode.abandon_write(id, sequence);
                self.used_unit_count += inode.unit_count() - before;
            }
            DiskOperation::WriteFile { path, contents } if self.chance.coin() => {
                // Renamed, but the directory's sync failed.
                let _ = self.write_file(path, contents.clone());
            }
            _ if fault == DiskFault::Flush && !submitted.is_doomed => {
                // The device says so to all who wait for a flush, and only to them.
                let device = self.device_of(&self.path_of(&submitted.operation));
                let flushes = self.submitted.iter().filter(|(_, other)| {
                    other.operation.fault() == Some(DiskFault::Flush)
                        && self.device_of(&self.path_of(&other.operation)) == device
                });
                let doomed: Vec<u64> = flushes.map(|(id, _)| *id).collect();
                for id in doomed {
                    let other = self.submitted.get_mut(&id);
                    other.expect("it was just seen").is_doomed = true;
                }
                let cached = self.inodes.values_mut();
                for inode in cached.filter(|i| i.device == device && i.has_cached_units()) {
                    inode.lose_cached(&mut self.chance);
                }
            }
            _ => {}
        }
    }

    fn carry_out(&mut self, id: u64, submitted: &Submitted) -> Result<DiskOutput> {
        let sequence = self.tick();
        match &submitted.operation {
            DiskOperation::Open {
                path,
                write,
                create,
            } => {
                return self.open(submitted, path, *write, *create);
            }
            DiskOperation::CreateDirAll { path } => {
                let next_id = &mut self.next_id;
                self.names.create_dir_all(path, sequence, || {
                    *next_id += 1;
                    *next_id - 1
                })?;
            }
            DiskOperation::RemoveDirAll { path } => {
                // A killed process may have come only a part of the way.
                let count_max = if submitted.is_orphan {
                    self.chance.below(4)
                } else {
                    u64::MAX
                };
                self.names.remove_dir_all(path, sequence, count_max)?;
                self.collect_unnamed();
            }
            DiskOperation::RemoveFile { path } => {
                self.names.remove_file(path, sequence)?;
                self.collect_unnamed();
            }
            DiskOperation::Rename { from, to } => self.names.rename(from, to, sequence)?,
            DiskOperation::SyncDir { path } => {
                let directory = self.names.find_directory(path)?;
                self.names.sync(directory, submitted.point.sequence);
                self.collect_unnamed();
            }
            DiskOperation::ListDir { path } => return self.list_dir(path),
            DiskOperation::ReadFile { path, size_max } => return self.read_file(path, *size_max),
            DiskOperation::WriteFile { path, contents } => {
                self.write_file(path, contents.clone())?;
                if let Some(parent) = path.parent() {
                    let directory = self.names.find_directory(parent)?;
                    self.names.sync(directory, self.sequence);
                }
            }
            DiskOperation::Write { descriptor, .. } => {
                self.complete_write(id, *descriptor, sequence)?;
            }
            DiskOperation::Read {
                descriptor,
                position,
                size,
            } => {
                return Ok(DiskOutput::Data(self.read(*descriptor, *position, *size)));
            }
            DiskOperation::Sync { descriptor, all } => {
                self.sync(self.descriptors[descriptor].inode, submitted.point, *all);
            }
            DiskOperation::SetSize { descriptor, size } => {
                let inode = self.descriptors[descriptor].inode;
                let inode = self.inodes.get_mut(&inode).expect("open files are kept");
                let before = inode.unit_count();
                inode.set_size(*size, sequence);
                self.used_unit_count -= before - inode.unit_count();
            }
        }
        Ok(DiskOutput::Done)
    }

    fn open(
        &mut self,
        submitted: &Submitted,
        path: &Path,
        write: bool,
        create: bool,
    ) -> Result<DiskOutput> {
        let inode = match self.names.find_file(path) {
            Ok(inode) => inode,
            Err(error) if create && error.raw_os_error() == Some(libc::ENOENT) => {
                let inode = self.new_id();
                self.names.set_file(path, inode, self.sequence)?;
                let device = self.device_of(path);
                self.inodes.insert(inode, Inode::on(device));
                inode
            }
            Err(error) => return Err(error),
        };
        let descriptor = self.new_id();
        let entry = self.inodes.get_mut(&inode).expect("named files are kept");
        entry.open_count += 1;
        let opened = DiskOutput::Opened {
            descriptor,
            size: entry.size(),
        };
        self.descriptors.insert(
            descriptor,
            Descriptor {
                inode,
                process: submitted.process,
                path: Arc::from(path),
                writable: write,
                in_flight_count: 0,
                is_closed: false,
            },
        );
        if submitted.is_orphan {
            self.close(descriptor);
        }
        Ok(opened)
    }

    fn complete_write(&mut self, id: u64, descriptor: u64, sequence: u64) -> Result<()> {
        let descriptor = &self.descriptors[&descriptor];
        let inode = self
            .inodes
            .get_mut(&descriptor.inode)
            .expect("open files are kept");
        if !descriptor.writable {
            inode.abandon_write(id, sequence);
            return Err(system_error(libc::EBADF));
        }
        let write = inode.in_flight.iter().find(|write| write.id == id);
        let units = write
            .expect("a write is in flight until it completes")
            .units();
        let new_count = inode.missing_unit_count(units);
        if (self.used_unit_count + new_count) * UNIT > self.capacity_size {
            inode.abandon_write(id, sequence);
            return Err(system_error(libc::ENOSPC));
        }
        let before = inode.unit_count();
        inode.complete_write(id, sequence);
        self.used_unit_count += inode.unit_count() - before;
        Ok(())
    }

    fn read(&mut self, descriptor: u64, position: u64, size: usize) -> Bytes {
        let sequence = self.sequence;
        let inode = self.descriptors[&descriptor].inode;
        let inode = self.inodes.get_mut(&inode).expect("open files are kept");
        if !inode.in_flight.is_empty() {
            let before = inode.unit_count();
            let units = position / UNIT..position.saturating_add(size as u64).div_ceil(UNIT);
            inode.land_some(units, &mut self.chance, 0.3, sequence);
            self.used_unit_count += inode.unit_count() - before;
        }
        inode.read(position, size)
    }

    fn sync(&mut self, inode: u64, point: SyncPoint, all: bool) {
        if point.device_wide {
            let device = self.inodes[&inode].device;
            let cached = self.inodes.values_mut();
            for inode in cached.filter(|i| i.device == device && i.has_cached_units()) {
                inode.flush_data(point.sequence);
            }
        }
        let inode = self.inodes.get_mut(&inode).expect("open files are kept");
        inode.flush_data(point.sequence);
        inode.sync_metadata(point, all);
    }

    fn list_dir(&self, path: &Path) -> Result<DiskOutput> {
        let entries = self.names.list(path)?.map(|(name, node)| DirEntry {
            name: name.to_owned(),
            is_dir: matches!(node, Node::Directory(_)),
            size: match node {
                Node::File(inode) => self.inodes[&inode].size(),
                Node::Directory(_) => 0,
            },
        });
        Ok(DiskOutput::Entries(entries.collect()))
    }

    fn read_file(&self, path: &Path, size_max: usize) -> Result<DiskOutput> {
        let inode = &self.inodes[&self.names.find_file(path)?];
        if inode.size() > size_max as u64 {
            let message = format!(
                "{} has {} bytes, more than the {size_max} allowed",
                path.display(),
                inode.size()
            );
            return Err(std::io::Error::new(
                std::io::ErrorKind::InvalidData,
                message,
            ));
        }
        Ok(DiskOutput::Data(inode.read(0, size_max)))
    }

    fn write_file(&mut self, path: &Path, contents: Bytes) -> Result<()> {
        let entry = Inode::durable(&contents, self.device_of(path));
        if (self.used_unit_count + entry.unit_count()) * UNIT > self.capacity_size {
            return Err(system_error(libc::ENOSPC));
        }
        let inode = self.new_id();
        let sequence = self.tick();
        self.names.set_file(path, inode, sequence)?;
        self.used_unit_count += entry.unit_count();
        self.inodes.insert(inode, entry);
        self.collect_unnamed();
        Ok(())
    }

    /// What an interrupted replacement of a small file leaves: a part of the new contents, aside.
    fn leave_aside(&mut self, operation: &DiskOperation) {
        if let DiskOperation::WriteFile { path, contents } = operation
            && self.chance.coin()
        {
            let mut aside = path.clone().into_os_string();
            aside.push(ASIDE_SUFFIX);
            let size = self.chance.below(contents.len() as u64 + 1) as usize;
            // On a full disk, or where the directory is gone, nothing is left.
            let _ = self.write_file(Path::new(&aside), contents.slice(..size));
        }
    }

    /// Forgets files without a name, a reader or a way back.
    fn collect_unnamed(&mut self) {
        self.unnamed.extend(self.names.take_unnamed());
        self.unnamed.retain(|id| {
            let Some(inode) = self.inodes.get(id).filter(|_| !self.names.has_name(*id)) else {
                return false;
            };
            if inode.open_count == 0 {
                self.used_unit_count -= inode.unit_count();
                self.inodes.remove(id);
                return false;
            }
            true
        });
    }

    /// Tries to take the flock of a descriptor.
    pub(in crate::io::sim) fn try_lock(&mut self, descriptor: u64) -> bool {
        let inode = self.descriptors[&descriptor].inode;
        let inode = self.inodes.get_mut(&inode).expect("open files are kept");
        let holder = *inode.locked_by.get_or_insert(descriptor);
        holder == descriptor
    }

    /// A file's size now.
    pub(in crate::io::sim) fn size_of(&self, descriptor: u64) -> u64 {
        self.inodes[&self.descriptors[&descriptor].inode].size()
    }

    /// The last handle of a descriptor is gone. The file is closed, and its lock released, after
    /// its operations in flight. Unknown descriptors went with a power cut.
    pub(in crate::io::sim) fn close(&mut self, descriptor: u64) {
        if let Some(entry) = self.descriptors.get_mut(&descriptor) {
            entry.is_closed = true;
            self.release_if_done(descriptor);
        }
    }

    fn release_if_done(&mut self, id: u64) {
        let descriptor = &self.descriptors[&id];
        let process = descriptor.process;
        let is_naming = |submitted: &Submitted| {
            let is_of_dead = submitted.is_orphan && submitted.process == process;
            is_of_dead && submitted.operation.descriptor().is_none()
        };
        if !descriptor.is_closed
            || descriptor.in_flight_count > 0
            || self.submitted.values().any(is_naming)
        {
            return;
        }
        let inode = self
            .inodes
            .get_mut(&descriptor.inode)
            .expect("open files are kept");
        inode.open_count -= 1;
        if inode.locked_by == Some(id) {
            inode.locked_by = None;
        }
        self.descriptors.remove(&id);
    }

    /// A process was killed: its writes in flight land late, other operations late or never, its
    /// files are closed.
    pub(in crate::io::sim) fn kill(&mut self, process: ProcessId, now: u64) {
        for (id, submitted) in &mut self.submitted {
            if submitted.process != process || submitted.is_orphan {
                continue;
            }
            submitted.is_orphan = true;
            submitted.not_before = match self.chance.below(4) {
                0 => 0,
                _ => now + self.chance.below(LATE_WRITE_DELAY_MAX),
            };
            if let Some(descriptor) = submitted.operation.descriptor() {
                let inode = self.inodes.get_mut(&self.descriptors[&descriptor].inode);
                let inode = inode.expect("open files are kept");
                inode
                    .in_flight
                    .iter_mut()
                    .filter(|w| w.id == *id)
                    .for_each(|w| w.live = false);
            }
        }
        let chance = &mut self.chance;
        let given_up = self.submitted.extract_if(.., |_, submitted| {
            let is_of_file = submitted.operation.descriptor().is_some();
            submitted.process == process && !is_of_file && chance.coin()
        });
        let given_up: Vec<Submitted> = given_up.map(|(_, submitted)| submitted).collect();
        for submitted in given_up {
            self.leave_aside(&submitted.operation);
        }
        let closed = self
            .descriptors
            .iter()
            .filter(|(_, entry)| entry.process == process);
        let closed: Vec<u64> = closed.map(|(id, _)| *id).collect();
        closed
            .into_iter()
            .for_each(|descriptor| self.close(descriptor));
    }

    /// The power is gone: a drawn part of what was not durable survives. The machine's processes
    /// are dead already.
    pub(in crate::io::sim) fn power_cut(&mut self, counts: &mut FaultCounts) {
        self.power_cut_count += 1;
        let survival = Survival::draw(&mut self.chance);
        let sequence = self.tick();
        for inode in self.inodes.values_mut() {
            let probability = survival.probability();
            let chance = &mut self.chance;
            counts.torn_writes += inode.land_some(0..u64::MAX, chance, probability, sequence);
        }
        for (_, submitted) in std::mem::take(&mut self.submitted) {
            if submitted.operation.descriptor().is_some() {
                continue;
            }
            match survival.keeps(&mut self.chance) {
                true => self.begin(submitted.operation),
                false => self.leave_aside(&submitted.operation),
            }
        }
        self.descriptors.clear();
        counts.lost_names += self.names.power_cut(&mut self.chance, survival);
        for inode in self.inodes.values_mut() {
            inode.power_cut(&mut self.chance, survival, counts);
        }
        self.used_unit_count = self.inodes.values().map(Inode::unit_count).sum();
        self.collect_unnamed();
    }

    /// What an operation on names has done of itself when the power goes: it is not synced.
    fn begin(&mut self, operation: DiskOperation) {
        let sequence = self.tick();
        // An operation that would have failed changes nothing.
        let _ = match &operation {
            DiskOperation::CreateDirAll { path } => {
                let next_id = &mut self.next_id;
                self.names.create_dir_all(path, sequence, || {
                    *next_id += 1;
                    *next_id - 1
                })
            }
            DiskOperation::RemoveDirAll { path } => {
                self.names.remove_dir_all(path, sequence, u64::MAX)
            }
            DiskOperation::RemoveFile { path } => self.names.remove_file(path, sequence),
            DiskOperation::Rename { from, to } => self.names.rename(from, to, sequence),
            DiskOperation::WriteFile { path, contents } => self.write_file(path, contents.clone()),
            _ => Ok(()),
        };
    }

    /// Bytes that are used and that there are.
    pub(in crate::io::sim) fn usage(&self) -> (u64, u64) {
        (self.used_unit_count * UNIT, self.capacity_size)
    }

    pub(in crate::io::sim) fn power_cut_count(&self) -> u64 {
        self.power_cut_count
    }

    /// The number of a directory.
    pub(in crate::io::sim) fn find_directory(&self, path: &Path) -> Result<u64> {
        self.names.find_directory(path)
    }

    /// The number of the device that a path is on.
    pub(in crate::io::sim) fn device_of(&self, path: &Path) -> u64 {
        let mounted = self.mounts.iter().rposition(|at| path.starts_with(at));
        mounted.map_or(0, |index| index as u64 + 1)
    }

    /// Puts a durable file there, with the directories above it.
    pub(in crate::io::sim) fn put_file(&mut self, path: &Path, contents: &[u8]) -> Result<()> {
        if let Some(parent) = path.parent() {
            self.begin(DiskOperation::CreateDirAll {
                path: parent.to_owned(),
            });
        }
        self.write_file(path, Bytes::copy_from_slice(contents))?;
        self.names.sync_everything();
        Ok(())
    }
}
