//! What changes the directory, in this order. Each step is durable before the next one begins.

use std::io::ErrorKind;
use std::path::Path;

use super::super::ShardError;
use super::super::metadata_log::MetadataLog;
use super::TakeOverError;
use super::plan::{META_PROPERTIES, Plan, read_identity};
use crate::io::{Disk, Reactor};
use crate::log::{CHECKPOINT_FILE, DirectoryOptions, LogDirectory, TailBudget, adopt};

/// What Kafka's `meta.properties` is called once the directory is not Kafka's any more.
pub(in crate::shard) const KAFKAS_META_PROPERTIES: &str = "meta.properties.kafka";

/// Of the metadata log, Kafka's as ours.
pub(super) const METADATA_LOG: &str = "__cluster_metadata-0";

/// What Kafka's metadata log is called afterwards.
pub(super) const KAFKAS_METADATA_LOG: &str = "__cluster_metadata-0.kafka";

/// Where ours is made, inside of Kafka's: a log directory with nothing else in it.
pub(super) const ASIDE: &str = "ringlog";

/// Kafka's metadata log has nothing by which [`finish`] would take it for ours.
pub(super) async fn check_place(reactor: &Reactor, path: &Path) -> Result<(), TakeOverError> {
    let place = path.join(METADATA_LOG);
    match exists(&reactor.disk(), &place.join(CHECKPOINT_FILE)).await? {
        false => Ok(()),
        true => Err(TakeOverError::Refused(format!(
            "there is a {CHECKPOINT_FILE} in {METADATA_LOG}, which is not Kafka's; move it away"
        ))),
    }
}

/// Everything that leaves the directory Kafka's.
pub(super) async fn prepare(
    reactor: &Reactor,
    path: &Path,
    plan: &Plan,
) -> Result<(), TakeOverError> {
    for (log, checkpoint) in &plan.logs {
        adopt(reactor, log, checkpoint).await?;
    }
    let disk = reactor.disk();
    let kafkas = path.join(METADATA_LOG);
    let aside = kafkas.join(ASIDE);
    remove_all(&disk, &aside).await?;
    let made = disk.create_dir_all(&aside).await;
    made.map_err(|error| TakeOverError::io(&aside, error))?;
    sync(&disk, &kafkas).await?;
    let options = DirectoryOptions::new(aside, TailBudget::new(0));
    let directory = LogDirectory::open(reactor, options).await?;
    let written = write_metadata(reactor, &directory, plan).await;
    directory.failure_noted().await;
    written.map_err(|error| TakeOverError::Disk(error.to_string()))?;
    directory.stop().await?;
    sync(&disk, directory.path()).await
}

/// Our log of the metadata.
async fn write_metadata(
    reactor: &Reactor,
    directory: &LogDirectory,
    plan: &Plan,
) -> Result<(), ShardError> {
    let log = MetadataLog::open(directory).await?;
    for group in &plan.groups {
        log.append(reactor, group).await?;
    }
    Ok(())
}

/// From here on Kafka does not start on this directory any more, and we do.
pub(super) async fn commit(reactor: &Reactor, path: &Path) -> Result<(), TakeOverError> {
    let disk = reactor.disk();
    let (from, to) = (
        path.join(META_PROPERTIES),
        path.join(KAFKAS_META_PROPERTIES),
    );
    rename(&disk, &from, &to).await?;
    sync(&disk, path).await
}

/// What is left to do after the commit, wherever an earlier start has come to.
pub(super) async fn finish(reactor: &Reactor, path: &Path) -> Result<(), TakeOverError> {
    let disk = reactor.disk();
    let (place, kafkas) = (path.join(METADATA_LOG), path.join(KAFKAS_METADATA_LOG));
    let aside = kafkas.join(ASIDE);
    // It is durable now at the latest, also if the start that did it died before.
    sync(&disk, path).await?;
    if exists(&disk, &place).await? && !exists(&disk, &place.join(CHECKPOINT_FILE)).await? {
        rename(&disk, &place, &kafkas).await?;
        sync(&disk, path).await?;
    }
    if !exists(&disk, &place).await? {
        rename(&disk, &aside.join(METADATA_LOG), &place).await?;
        sync(&disk, path).await?;
        sync(&disk, &aside).await?;
    }
    remove_all(&disk, &aside).await?;
    let properties = read_identity(&disk, &path.join(KAFKAS_META_PROPERTIES)).await?;
    let file = path.join(META_PROPERTIES);
    let written = disk
        .write_file(&file, properties.encode().into_bytes())
        .await;
    written.map_err(|error| TakeOverError::io(&file, error))
}

async fn exists(disk: &Disk, path: &Path) -> Result<bool, TakeOverError> {
    let parent = path.parent().expect("it is in the log directory");
    let entries = match disk.list_dir(parent).await {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        entries => entries.map_err(|error| TakeOverError::io(parent, error))?,
    };
    Ok(entries.iter().any(|entry| parent.join(&entry.name) == path))
}

async fn rename(disk: &Disk, from: &Path, to: &Path) -> Result<(), TakeOverError> {
    let renamed = disk.rename(from, to).await;
    renamed.map_err(|error| TakeOverError::io(from, error))
}

async fn sync(disk: &Disk, path: &Path) -> Result<(), TakeOverError> {
    let synced = disk.sync_dir(path).await;
    synced.map_err(|error| TakeOverError::flush(path, error))
}

async fn remove_all(disk: &Disk, path: &Path) -> Result<(), TakeOverError> {
    match disk.remove_dir_all(path).await {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(TakeOverError::io(path, error)),
        _ => Ok(()),
    }
}
