//! Files that are out of use go from the disk: later, one after the other, and large ones in steps.
//!
//! Freeing blocks is disk traffic too: where the filesystem is mounted with `discard`, the removal
//! of one segment of 1 GiB kept flushes waiting for up to 480 ms, with a 99.9th percentile of 110
//! to 210 ms (measured); in steps of 16 MiB with pauses that one is 35 ms.
//!
//! # Non-obvious
//! - What waits here is found by its name (`.deleted`, `-delete`) after a restart, and removed
//!   then.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::rc::{Rc, Weak};
use std::time::Duration;

use super::log::LogInner;
use super::segment::Segment;
use super::{BrokenRule, LogDirectory, LogError, spare};
use crate::io::{File, Notify, OpenOptions};
use crate::types::Monotonic;

/// A file is shrunk by so much at a time before its name goes.
const STEP_SIZE: u64 = 16 << 20;

/// Between two steps at least; otherwise as long as the step before took, so that the device is
/// left alone for half of the time.
const PAUSE_MIN: Duration = Duration::from_millis(10);

/// Files whose names go in one go: those of a few segments.
const REMOVED_TOGETHER_MAX: usize = 16;

/// What is to be removed.
pub(super) enum Target {
    /// Files with their sizes.
    Files(Vec<(PathBuf, u64)>),
    /// The same, of a segment that was dropped; its file may become a spare of its log.
    Segment {
        files: Vec<(PathBuf, u64)>,
        segment: Rc<Segment>,
        log: Weak<LogInner>,
    },
    /// A spare of a log, unless it is in use by now.
    Spare {
        path: PathBuf,
        size: u64,
        log: Weak<LogInner>,
    },
    Directory {
        path: PathBuf,
        /// Its name was made durable. Otherwise a loss of power may give it the old one back, and
        /// what is removed by then would be missing in a log.
        is_moved_durably: bool,
    },
}

struct Removal {
    target: Target,
    /// What may still be read: a file that somebody reads is not shrunk.
    segments: Vec<Rc<Segment>>,
}

/// What a directory has to remove, by when.
#[derive(Default)]
pub(super) struct Removals {
    pub(super) changed: Notify,
    due: RefCell<BTreeMap<(Monotonic, u64), Removal>>,
    next_number: Cell<u64>,
}

impl Removals {
    pub(super) fn add(&self, at: Monotonic, target: Target, segments: Vec<Rc<Segment>>) {
        let number = self.next_number.get();
        self.next_number.set(number + 1);
        let removal = Removal { target, segments };
        self.due.borrow_mut().insert((at, number), removal);
        self.changed.notify_all();
    }

    /// The directory `path` moves away, with all that waits for its removal in it: another one may
    /// take its place.
    pub(super) fn forget_below(&self, path: &Path) {
        self.due
            .borrow_mut()
            .retain(|_, removal| match &mut removal.target {
                Target::Files(files) | Target::Segment { files, .. } => {
                    files.retain(|(file, _)| !file.starts_with(path));
                    !files.is_empty()
                }
                Target::Spare { path: file, .. } => !file.starts_with(path),
                Target::Directory { .. } => true,
            });
    }

    fn next_due(&self) -> Option<Monotonic> {
        let due = self.due.borrow();
        due.first_key_value().map(|((at, _), _)| *at)
    }
}

/// A directory's task that removes.
pub(super) async fn run(directory: LogDirectory) {
    let reactor = directory.reactor().clone();
    let removals = directory.removals();
    while !directory.is_stopped() {
        let changed = removals.changed.notified();
        let now = reactor.now();
        match removals.next_due() {
            None => changed.await,
            Some(at) if at > now => {
                reactor.timeout(at - now, changed).await;
            }
            Some(_) => {
                let next = removals.due.borrow_mut().pop_first();
                let (_, removal) = next.expect("something is due");
                remove(&directory, removal).await;
            }
        }
    }
}

async fn remove(directory: &LogDirectory, removal: Removal) {
    for segment in &removal.segments {
        segment.unread().await;
    }
    let disk = directory.disk();
    let (files, path) = match removal.target {
        Target::Files(files) => (files, None),
        Target::Segment {
            files,
            segment,
            log,
        } => (without_spare(directory, files, &segment, &log).await, None),
        Target::Spare { path, size, log } => {
            if let Some(log) = log.upgrade() {
                spare::give_up(&log, &path);
            }
            (vec![(path, size)], None)
        }
        Target::Directory {
            path,
            is_moved_durably,
        } => {
            if !is_moved_durably && let Err(error) = disk.sync_dir(directory.path()).await {
                directory.fail(&LogError::flush(directory.path(), error));
                return;
            }
            let entries = disk.list_dir(&path).await.unwrap_or_default();
            let files = entries.into_iter().filter(|entry| !entry.is_dir);
            let files = files.map(|entry| (path.join(&entry.name), entry.size));
            (files.collect(), Some(path))
        }
    };
    for some in files.chunks(REMOVED_TOGETHER_MAX) {
        if directory.is_stopped() {
            return;
        }
        remove_files(directory, some).await;
    }
    if let Some(path) = path
        && let Err(error) = disk.remove_dir_all(&path).await
        && error.kind() != ErrorKind::NotFound
    {
        tracing::warn!(path = %path.display(), %error, "a deleted log stays on disk");
    }
}

/// What is to be removed of a dropped segment: all but its file, if that becomes a spare.
async fn without_spare(
    directory: &LogDirectory,
    mut files: Vec<(PathBuf, u64)>,
    segment: &Segment,
    log: &Weak<LogInner>,
) -> Vec<(PathBuf, u64)> {
    if !directory.breaks(BrokenRule::RecyclesWhileRead) {
        segment.unread().await;
    }
    if let Some(log) = log.upgrade()
        && let Some(kept) = spare::offer(&log, segment).await
    {
        files.retain(|(path, _)| *path != kept);
    }
    files
}

/// Cuts a file in steps until at most one is left above `size`.
pub(super) async fn shrink(
    directory: &LogDirectory,
    file: &File,
    size: u64,
) -> std::io::Result<()> {
    let reactor = directory.reactor();
    let mut left = file.size();
    while left > size.saturating_add(STEP_SIZE) && !directory.is_stopped() {
        left -= STEP_SIZE;
        let started = reactor.now();
        file.set_size(left).await?;
        let pause = (reactor.now() - started).max(PAUSE_MIN);
        reactor.sleep(pause).await;
    }
    Ok(())
}

/// Removes files, large ones in steps; one that is gone is no error.
async fn remove_files(directory: &LogDirectory, files: &[(PathBuf, u64)]) {
    let disk = directory.disk();
    let mut names = Vec::with_capacity(files.len());
    for (path, size) in files {
        let shrunk = match *size > STEP_SIZE {
            true => shrink_to_nothing(directory, path).await,
            false => Ok(()),
        };
        match shrunk {
            Ok(()) => names.push(path.clone()),
            Err(error) => stays(path, &error),
        }
    }
    if directory.is_stopped() {
        return;
    }
    let outcomes = disk.remove_each(names.clone()).await;
    for (path, outcome) in names.iter().zip(outcomes) {
        outcome.unwrap_or_else(|error| stays(path, &error));
    }
}

fn stays(path: &Path, error: &std::io::Error) {
    if error.kind() != ErrorKind::NotFound {
        tracing::warn!(path = %path.display(), %error, "a deleted file stays on disk");
    }
}

async fn shrink_to_nothing(directory: &LogDirectory, path: &Path) -> std::io::Result<()> {
    let options = OpenOptions {
        write: true,
        ..OpenOptions::default()
    };
    let file = directory.disk().open(path, options).await?;
    shrink(directory, &file, 0).await
}
