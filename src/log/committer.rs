//! Group commit: one flush makes durable what was written, of all logs of a directory, by the time
//! it is submitted. While it is in flight the next group gathers; there is no timer.
//!
//! A flush of the device serves the logs whose writes went to already-written blocks inside a
//! synced size (rule 5); the others sync their own files, several at a time.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use super::log::{Core, LogInner};
use super::segment::{Segment, extension, segment_path};
use super::{BrokenRule, LogDirectory, LogError};
use crate::io::{Notify, OneshotSender, Semaphore, oneshot};
use crate::metrics::Distribution;
use crate::types::Offset;

/// Syncs of single files in flight at most, per directory and shard.
const FILE_SYNCS_IN_FLIGHT_MAX: usize = 16;

/// Where a log is with its flush. At most one flush of a log is in flight.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum FlushPhase {
    Idle,
    /// On the committer's list.
    Wanted,
    Running,
    /// Wanted again since the running one was submitted.
    RunningAndWanted,
}

/// What gathers flushes and submits them.
pub(super) struct Committer {
    wanted: RefCell<Vec<Weak<LogInner>>>,
    /// Who waits for the next flush of the device to complete.
    waiting: RefCell<Vec<OneshotSender<Result<(), LogError>>>>,
    changed: Notify,
    is_stopped: Cell<bool>,
    file_syncs: Semaphore,
}

/// What a flush covers: the prefix of completed writes when it was submitted.
struct FlushMark {
    written_end: Offset,
    written_bytes: u64,
    segments: Vec<(Rc<Segment>, u64)>,
}

impl Committer {
    pub(super) fn new() -> Committer {
        Committer {
            wanted: RefCell::new(Vec::new()),
            waiting: RefCell::default(),
            changed: Notify::new(),
            is_stopped: Cell::new(false),
            file_syncs: Semaphore::new(FILE_SYNCS_IN_FLIGHT_MAX),
        }
    }

    /// Has everything flushed that the log has written by the time the next flush is submitted.
    pub(super) fn request(&self, log: &Rc<LogInner>) {
        match log.flush_phase.get() {
            FlushPhase::Idle => {
                let core = log.core.borrow();
                if core.written_bytes > core.durable_bytes {
                    log.flush_phase.set(FlushPhase::Wanted);
                    self.wanted.borrow_mut().push(Rc::downgrade(log));
                    self.changed.notify_all();
                }
            }
            FlushPhase::Running => log.flush_phase.set(FlushPhase::RunningAndWanted),
            FlushPhase::Wanted | FlushPhase::RunningAndWanted => {}
        }
    }

    /// A flush of the device that is submitted after this call, shared with the logs and with
    /// others who ask for one.
    pub(super) async fn shared_device_flush(&self) -> Result<(), LogError> {
        if self.is_stopped.get() {
            return Err(LogError::Closed);
        }
        let (waiting, flushed) = oneshot();
        self.waiting.borrow_mut().push(waiting);
        self.changed.notify_all();
        flushed.await.unwrap_or(Err(LogError::Closed))
    }

    pub(super) fn stop(&self) {
        self.is_stopped.set(true);
        self.waiting.borrow_mut().clear();
        self.changed.notify_all();
    }

    /// The committer's task.
    pub(super) async fn run(directory: LogDirectory) {
        let committer = directory.committer();
        while !committer.is_stopped.get() {
            let changed = committer.changed.notified();
            let wanted = std::mem::take(&mut *committer.wanted.borrow_mut());
            let waiting = std::mem::take(&mut *committer.waiting.borrow_mut());
            if wanted.is_empty() && waiting.is_empty() {
                changed.await;
                continue;
            }
            let (by_device, by_file): (Vec<_>, Vec<_>) = wanted
                .into_iter()
                .filter_map(|log| log.upgrade())
                .partition(|log| directory.flushes_by_device() && is_covered(log));
            for log in by_file {
                let reactor = log.reactor.clone();
                reactor.spawn(sync_files(log)).detach();
            }
            if !by_device.is_empty() || !waiting.is_empty() {
                flush_device(&directory, by_device, waiting).await;
            }
        }
    }
}

fn is_covered(log: &LogInner) -> bool {
    let core = log.core.borrow();
    let is_forced = log.directory.breaks(BrokenRule::FlushesTheDeviceOnly);
    is_forced || core.unflushed.iter().all(|segment| segment.is_covered())
}

/// One flush for all of `logs`, and for those who are `waiting`.
async fn flush_device(
    directory: &LogDirectory,
    logs: Vec<Rc<LogInner>>,
    waiting: Vec<OneshotSender<Result<(), LogError>>>,
) {
    let marks: Vec<_> = logs.into_iter().map(|log| (begin(&log), log)).collect();
    if !marks.is_empty() {
        record_flush(directory, marks.iter().map(|(mark, log)| (mark, &**log)));
    }
    let mut flushed = directory.device_flush().flush().await;
    if flushed.is_err() && directory.breaks(BrokenRule::RetriesFailedFlush) {
        flushed = directory.device_flush().flush().await;
    }
    match flushed {
        Ok(()) => {
            for (mark, log) in marks {
                finish(&log, mark);
            }
            for waiting in waiting {
                waiting.send(Ok(()));
            }
        }
        Err(error) => {
            let error = LogError::flush(directory.path(), error);
            directory.fail(&error);
            for waiting in waiting {
                waiting.send(Err(error.clone()));
            }
        }
    }
}

/// Syncs the files of one log that have unflushed writes.
async fn sync_files(log: Rc<LogInner>) {
    let _permit = log.directory.committer().file_syncs.acquire(1).await;
    let mark = begin(&log);
    record_flush(&log.directory, std::iter::once((&mark, &*log)));
    for (segment, _) in &mark.segments {
        while !segment.names_synced.get() {
            let changed = segment.changed.notified();
            if log.directory.failure().is_some() {
                return;
            }
            changed.await;
        }
        let file = segment.open_file().expect("a written segment is open");
        let mut synced = file.sync_data().await;
        if synced.is_err() && log.directory.breaks(BrokenRule::RetriesFailedFlush) {
            synced = file.sync_data().await;
        }
        if let Err(error) = synced {
            let path = segment_path(&log.path, segment.base_offset, extension::LOG);
            log.directory.fail(&LogError::flush(&path, error));
            return;
        }
    }
    for (segment, position) in &mark.segments {
        segment.update_covered(|covered| covered.file_synced(*position));
    }
    finish(&log, mark);
}

/// What a flush that is submitted next covers, in numbers.
fn record_flush<'a>(
    directory: &LogDirectory,
    logs: impl Iterator<Item = (&'a FlushMark, &'a LogInner)>,
) {
    let (mut count, mut size) = (0, 0);
    for (mark, log) in logs {
        count += 1;
        size += mark.written_bytes - log.core.borrow().durable_bytes;
    }
    directory.metrics().record(Distribution::FlushLogs, count);
    directory.metrics().record(Distribution::FlushSize, size);
}

/// Notes what a flush that is submitted next will cover.
fn begin(log: &LogInner) -> FlushMark {
    assert_eq!(log.flush_phase.get(), FlushPhase::Wanted);
    log.flush_phase.set(FlushPhase::Running);
    let mut core = log.core.borrow_mut();
    FlushMark {
        written_end: core.written_end,
        written_bytes: core.written_bytes,
        segments: take_unflushed(&mut core),
    }
}

/// The segments with writes that no flush covers yet, and how far they are written.
fn take_unflushed(core: &mut Core) -> Vec<(Rc<Segment>, u64)> {
    std::mem::take(&mut core.unflushed)
        .into_iter()
        .map(|segment| {
            segment.has_unflushed.set(false);
            segment.needs_file_sync.set(false);
            let position = segment.written_position.get();
            (segment, position)
        })
        .collect()
}

fn finish(log: &Rc<LogInner>, mut mark: FlushMark) {
    if log.directory.failure().is_some() {
        // Another flush has failed in the meantime: what this one has kept is not known.
        return;
    }
    let phase = log.flush_phase.replace(FlushPhase::Idle);
    let mut core = log.core.borrow_mut();
    if log.directory.breaks(BrokenRule::FlushCountsLaterWrites) {
        mark.written_end = core.written_end;
        mark.written_bytes = core.written_bytes;
        take_unflushed(&mut core);
    }
    assert!(
        mark.written_bytes >= core.durable_bytes,
        "flushes of a log are in order"
    );
    let bytes = mark.written_bytes - core.durable_bytes;
    core.durable_end = mark.written_end;
    core.durable_bytes = mark.written_bytes;
    drop(core);
    if phase == FlushPhase::RunningAndWanted {
        log.directory.request_flush(log);
    }
    let checkpoints = log.directory.checkpoints();
    checkpoints.flushed(log, bytes, mark.written_bytes);
    log.directory.mark_dirty(log);
    log.tell_progress();
}
