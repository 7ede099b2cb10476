//! Before anything in a log directory is changed: is it in a format that this release reads?

use std::io::ErrorKind;
use std::path::Path;

use super::error::ShardError;
use crate::io::Disk;
use crate::log_state::{FORMAT_VERSION, format_version};

const META_PROPERTIES: &str = "meta.properties";

/// A small text file is never larger.
const TEXT_SIZE_MAX: usize = 64 << 10;

/// What a Kafka broker has in its log directory and we never had before `meta.properties` named our
/// format.
const KAFKAS_FILES: [&str; 3] = [
    "bootstrap.checkpoint",
    "replication-offset-checkpoint",
    "cleaner-offset-checkpoint",
];

/// Refuses a directory of a newer release, and one of Kafka's (decision 9), with nothing changed
/// in it. The caller holds the directory's lock.
pub(super) async fn check(disk: &Disk, path: &Path) -> Result<(), ShardError> {
    let fail = |what: String| ShardError::directory(path, what);
    let properties = path.join(META_PROPERTIES);
    let text = match disk.read_file(&properties, TEXT_SIZE_MAX).await {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(fail(format!("{META_PROPERTIES}: {error}"))),
    };
    let version = format_version(&String::from_utf8_lossy(&text))
        .map_err(|error| fail(format!("{META_PROPERTIES}: {error}")))?;
    match version {
        Some(version) if version > FORMAT_VERSION => Err(fail(format!(
            "is in format {version}, which a newer release wrote; this one reads up to \
             {FORMAT_VERSION}: start the newer release, or choose another directory with log.dirs"
        ))),
        Some(_) => Ok(()),
        None => refuse_kafkas(disk, path).await,
    }
}

async fn refuse_kafkas(disk: &Disk, path: &Path) -> Result<(), ShardError> {
    let entries = disk.list_dir(path).await;
    let entries = entries.map_err(|error| ShardError::directory(path, error))?;
    let is_kafkas = |name: &str| KAFKAS_FILES.contains(&name);
    match entries.iter().find(|entry| is_kafkas(&entry.name)) {
        None => Ok(()),
        Some(entry) => Err(ShardError::directory(
            path,
            format!(
                "was written by Apache Kafka ({} says so), and Ringlog does not take over Kafka's \
                 directories; nothing was changed: choose another with log.dirs, and copy the \
                 topics from a running Kafka",
                entry.name
            ),
        )),
    }
}
