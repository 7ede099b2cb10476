//! The log directory before anything is opened in it: is it ours, is it free, can it be trusted?

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::directory_format;
use super::error::ShardError;
use crate::config::BrokerConfig;
use crate::io::{Disk, DiskFacts, FileLock, FileSystem, Reactor, WriteCache};
use crate::log_state::MetaProperties;
use crate::types::TopicId;

const META_PROPERTIES: &str = "meta.properties";
const LOCK_FILE: &str = ".lock";

/// Written as the last thing of a clean stop, removed as the first of a start (Kafka's name).
const CLEAN_SHUTDOWN_MARKER: &str = ".kafka_cleanshutdown";

/// A small text file is never larger.
const TEXT_SIZE_MAX: usize = 64 << 10;

/// How long a start waits for a lock that somebody holds, and how often it looks.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(2);
const LOCK_RETRY_PAUSE: Duration = Duration::from_millis(20);

/// A broker needs at least this much room to start: metadata, first segments, their zeros.
const FREE_SPACE_MIN: u64 = 16 << 20;

/// A log directory that is this process's until it is dropped.
pub(super) struct PreparedDirectory {
    pub(super) path: PathBuf,
    pub(super) cluster_id: String,
    pub(super) was_stopped_cleanly: bool,
    pub(super) facts: DiskFacts,
    _lock: FileLock,
}

/// Checks, locks and if need be formats the broker's log directory.
pub(super) async fn prepare(
    reactor: &Reactor,
    config: &BrokerConfig,
) -> Result<PreparedDirectory, ShardError> {
    let [path] = &config.log_dirs[..] else {
        return Err(ShardError::Directory(format!(
            "log.dirs names {} directories, one is supported so far; name one",
            config.log_dirs.len()
        )));
    };
    let disk = reactor.disk();
    let fail = |what: String| ShardError::directory(path, what);
    disk.create_dir_all(path).await.map_err(|error| {
        fail(format!(
            "cannot be made: {error}; choose another with log.dirs"
        ))
    })?;
    let facts = disk
        .facts(path)
        .await
        .map_err(|error| fail(format!("no facts: {error}")))?;
    check_facts(path, &facts)?;
    let lock = lock(reactor, &disk, &path.join(LOCK_FILE))
        .await
        .map_err(|error| match error.kind() {
            ErrorKind::WouldBlock => fail(
                "is in use by another process; stop that one or choose another with log.dirs"
                    .to_owned(),
            ),
            _ => fail(format!("cannot be locked: {error}")),
        })?;
    directory_format::check(&disk, path).await?;
    let properties = identity(reactor, &disk, path, config).await?;
    let was_stopped_cleanly = take_marker(&disk, path).await?;
    Ok(PreparedDirectory {
        path: path.clone(),
        cluster_id: properties.cluster_id,
        was_stopped_cleanly,
        facts,
        _lock: lock,
    })
}

/// Takes the directory's lock. That of a process that was killed may go a little later than the
/// process: whoever restarts it at once need not try again.
async fn lock(reactor: &Reactor, disk: &Disk, path: &Path) -> std::io::Result<FileLock> {
    let deadline = reactor.now() + LOCK_WAIT_MAX;
    loop {
        match disk.lock_file(path).await {
            Err(error) if error.kind() == ErrorKind::WouldBlock && reactor.now() < deadline => {
                reactor.sleep(LOCK_RETRY_PAUSE).await;
            }
            taken => return taken,
        }
    }
}

/// Formats the broker's log directory and nothing else; the cluster id, and whether the directory
/// had one already.
pub(super) async fn format(
    reactor: &Reactor,
    config: &BrokerConfig,
) -> Result<(String, bool), ShardError> {
    let was_there = match &config.log_dirs[..] {
        [path] => read_identity(&reactor.disk(), path).await?.is_some(),
        _ => false,
    };
    Ok((prepare(reactor, config).await?.cluster_id, was_there))
}

fn check_facts(path: &Path, facts: &DiskFacts) -> Result<(), ShardError> {
    if facts.file_system == FileSystem::Tmpfs {
        let what = "is on tmpfs, which keeps nothing; choose a directory on a disk with log.dirs";
        return Err(ShardError::directory(path, what));
    }
    if facts.free_bytes < FREE_SPACE_MIN {
        let what = format!(
            "the disk is full ({} bytes free, {FREE_SPACE_MIN} needed to start); free some space",
            facts.free_bytes
        );
        return Err(ShardError::directory(path, what));
    }
    Ok(())
}

async fn read_identity(disk: &Disk, path: &Path) -> Result<Option<MetaProperties>, ShardError> {
    let fail = |what: String| ShardError::directory(path, what);
    match disk
        .read_file(&path.join(META_PROPERTIES), TEXT_SIZE_MAX)
        .await
    {
        Ok(bytes) => {
            let properties = MetaProperties::decode(&String::from_utf8_lossy(&bytes));
            properties
                .map(Some)
                .map_err(|error| fail(format!("{META_PROPERTIES}: {error}")))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(fail(format!("{META_PROPERTIES}: {error}"))),
    }
}

async fn identity(
    reactor: &Reactor,
    disk: &Disk,
    path: &Path,
    config: &BrokerConfig,
) -> Result<MetaProperties, ShardError> {
    let fail = |what: String| ShardError::directory(path, what);
    let Some(properties) = read_identity(disk, path).await? else {
        return format_directory(reactor, disk, path, config).await;
    };
    if let Some(wanted) = &config.cluster_id
        && *wanted != properties.cluster_id
    {
        return Err(fail(format!(
            "belongs to cluster {}, the configuration says {wanted}; correct cluster.id or choose \
             another directory with log.dirs",
            properties.cluster_id
        )));
    }
    if properties.node_id != config.node_id {
        return Err(fail(format!(
            "belongs to node {}, the configuration says {}; correct node.id or choose another \
             directory with log.dirs",
            properties.node_id, config.node_id
        )));
    }
    Ok(properties)
}

async fn format_directory(
    reactor: &Reactor,
    disk: &Disk,
    path: &Path,
    config: &BrokerConfig,
) -> Result<MetaProperties, ShardError> {
    let fail = |what: String| ShardError::directory(path, what);
    let entries = disk
        .list_dir(path)
        .await
        .map_err(|error| fail(error.to_string()))?;
    // What a format that was interrupted leaves behind, and what mkfs makes.
    let is_ours =
        |name: &str| name == LOCK_FILE || name == "lost+found" || name.starts_with("meta.");
    if let Some(other) = entries.iter().find(|entry| !is_ours(&entry.name)) {
        return Err(fail(format!(
            "is not empty ({}) and has no {META_PROPERTIES}; choose an empty directory with \
             log.dirs",
            other.name
        )));
    }
    let random_id = || {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&reactor.random().to_be_bytes());
        bytes[8..].copy_from_slice(&reactor.random().to_be_bytes());
        TopicId(bytes)
    };
    let properties = MetaProperties {
        cluster_id: config
            .cluster_id
            .clone()
            .unwrap_or_else(|| random_id().to_string()),
        node_id: config.node_id,
        directory_id: random_id(),
    };
    sync_ancestors(disk, path).await.map_err(fail)?;
    let text = properties.encode().into_bytes();
    disk.write_file(&path.join(META_PROPERTIES), text)
        .await
        .map_err(|error| fail(format!("{META_PROPERTIES} cannot be written: {error}")))?;
    Ok(properties)
}

/// Makes the directory's own name durable, and those of the directories above it: any of them may
/// just have been made. A power cut would take the directory with all that is in it.
async fn sync_ancestors(disk: &Disk, path: &Path) -> Result<(), String> {
    for ancestor in path.ancestors().skip(1) {
        // A relative path ends with an empty one.
        let ancestor = match ancestor.as_os_str().is_empty() {
            true => Path::new("."),
            false => ancestor,
        };
        match disk.sync_dir(ancestor).await {
            Ok(()) => {}
            // Not ours, and so not made just now.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {}
            Err(error) => {
                let ancestor = ancestor.display();
                return Err(format!(
                    "{ancestor}, which it is in, cannot be synced: {error}"
                ));
            }
        }
    }
    Ok(())
}

/// Whether there was a marker; it is durably gone before the first append.
async fn take_marker(disk: &Disk, path: &Path) -> Result<bool, ShardError> {
    let fail = |error: std::io::Error| ShardError::directory(path, error);
    match disk.remove_file(&path.join(CLEAN_SHUTDOWN_MARKER)).await {
        Ok(()) => {
            disk.sync_dir(path).await.map_err(fail)?;
            Ok(true)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(fail(error)),
    }
}

/// The last thing of a clean stop.
pub(super) async fn write_marker(disk: &Disk, path: &Path) -> Result<(), ShardError> {
    let text = b"{\"version\":0,\"brokerEpoch\":-1}".to_vec();
    disk.write_file(&path.join(CLEAN_SHUTDOWN_MARKER), text)
        .await
        .map_err(|error| ShardError::directory(path, error))
}

/// What an operator should know of the disk, a line each.
pub(super) fn describe(facts: &DiskFacts) -> Vec<String> {
    let journal = match facts.journal {
        Some(true) => "with a journal",
        Some(false) => "without a journal",
        None => "journal unknown",
    };
    let cache = match facts.write_cache {
        WriteCache::WriteBack => "write back (flushes are needed and made)",
        WriteCache::WriteThrough => "write through",
        WriteCache::Unknown => "unknown",
    };
    let mut lines = vec![format!(
        "file system {:?} {journal}, write cache {cache}, {:.1} of {:.1} GB free",
        facts.file_system,
        facts.free_bytes as f64 / 1e9,
        facts.total_bytes as f64 / 1e9
    )];
    if facts.barriers_off {
        lines.push("barriers are off: a power cut can lose acknowledged records".to_owned());
    }
    lines
}
