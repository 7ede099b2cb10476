//! The end of a log: a clean stop, or deletion.

use std::rc::Rc;

use super::committer::FlushPhase;
use super::log::LogInner;
use super::removal::Target;
use super::segment::{Segment, extension, segment_path};
use super::{Landmark, LogDirectory, LogError, checkpoint, roll};
use crate::types::TopicPartition;

/// Largest name of a file (Linux).
const NAME_SIZE_MAX: usize = 255;

/// Name of Kafka's leader epoch checkpoint.
pub const LEADER_EPOCH_CHECKPOINT: &str = "leader-epoch-checkpoint";

/// See [`Log::stop`](super::Log::stop).
pub(super) async fn stop(log: &Rc<LogInner>) -> Result<(), LogError> {
    log.check_open()?;
    log.is_closed.set(true);
    log.flush_all().await?;
    end_rolls(log).await?;
    let sealing = log.sealing.acquire(1).await;
    let active = Rc::clone(log.core.borrow().active());
    roll::finish_file(log, &active).await?;
    let index = active.loaded_index().expect("the active index is loaded");
    index.borrow_mut().seal();
    roll::write_indexes(log, &active).await?;
    log.checkpoint.indexes_written(&active);
    drop(sealing);
    write_state_files(log).await?;
    checkpoint::make(log).await?;
    log.directory.keep_entry(log);
    close(log).await;
    Ok(())
}

/// Waits until the rolls under way have made and sealed their segments.
pub(super) async fn end_rolls(log: &LogInner) -> Result<(), LogError> {
    let segments: Vec<_> = log.core.borrow().segments.values().cloned().collect();
    for segment in segments {
        let is_active = Rc::ptr_eq(&segment, log.core.borrow().active());
        loop {
            let changed = segment.changed.notified();
            if segment.names_synced.get() && (is_active || segment.is_sealed.get()) {
                break;
            }
            log.directory.failure().map_or(Ok(()), Err)?;
            changed.await;
        }
    }
    Ok(())
}

/// Kafka's files of the state at the end of the log: its producers and its leader epochs.
async fn write_state_files(log: &LogInner) -> Result<(), LogError> {
    let (log_end_offset, snapshot, epochs) = {
        let state = log.state.borrow();
        let snapshot = state.producers.encode_snapshot();
        (state.log_end_offset, snapshot, state.epochs.encode())
    };
    let _names = log.names.acquire(1).await;
    let snapshot_path = segment_path(&log.path, log_end_offset, extension::SNAPSHOT);
    let epochs_path = log.path.join(LEADER_EPOCH_CHECKPOINT);
    for (path, contents) in [
        (snapshot_path, snapshot),
        (epochs_path, epochs.into_bytes()),
    ] {
        let written = log.directory.disk().write_file(&path, contents).await;
        written.map_err(|error| LogError::replacing(&path, error))?;
    }
    Ok(())
}

/// Closes the files when nothing of the log is under way any more.
async fn close(log: &Rc<LogInner>) {
    let _running = log.checkpoint.pause().await;
    let _names = log.names.acquire(1).await;
    log.checkpoint.close();
    log.read_ahead.borrow_mut().clear();
    log.spare.take();
    let segments: Vec<_> = log.core.borrow().segments.values().cloned().collect();
    for segment in segments {
        segment.file.replace(None);
    }
    log.directory.forget(log);
}

/// See [`Log::delete`](super::Log::delete).
pub(super) async fn delete(log: &Rc<LogInner>) -> Result<(), LogError> {
    log.check_open()?;
    log.is_closed.set(true);
    if log.flush_phase.get() != FlushPhase::Idle {
        log.directory.reached(Landmark::DeletionDuringFlush);
    }
    // What was submitted runs to its end before the names move.
    log.flush_all().await?;
    end_rolls(log).await?;
    close(log).await;
    let segments = log.core.borrow().segments.values().cloned().collect();
    put_aside(&log.directory, &log.partition, segments).await
}

/// Renames a partition's directory out of use, and removes it once nobody reads `segments`.
async fn put_aside(
    directory: &LogDirectory,
    partition: &TopicPartition,
    segments: Vec<Rc<Segment>>,
) -> Result<(), LogError> {
    let name = partition.to_string();
    let path = directory.path().join(&name);
    let reactor = directory.reactor();
    let id = (u128::from(reactor.random()) << 64) | u128::from(reactor.random());
    let suffix = format!(".{id:032x}-delete");
    let kept = name.len().min(NAME_SIZE_MAX - suffix.len());
    let aside = directory.path().join(format!("{}{suffix}", &name[..kept]));
    let disk = directory.disk();
    let failed = |error| LogError::io(&path, error);
    disk.rename(&path, &aside).await.map_err(failed)?;
    let synced = disk.sync_dir(directory.path()).await;
    synced.map_err(|error| LogError::flush(directory.path(), error))?;
    directory.removals().forget_below(&path);
    let target = Target::Directory {
        path: aside,
        is_moved_durably: true,
    };
    directory.remove_later(directory.delete_delay(), target, segments);
    Ok(())
}

impl LogDirectory {
    /// As [`Log::delete`](super::Log::delete), for a log that could not be opened.
    pub async fn delete_unopened(&self, partition: &TopicPartition) -> Result<(), LogError> {
        let deleted = put_aside(self, partition, Vec::new()).await;
        deleted.inspect_err(|error| self.fail_if_flush(error))
    }
}
