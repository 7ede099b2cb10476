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

/// Why a directory of a newer release, or one of Kafka's (decision 9), is refused, with nothing
/// changed in it; an error is its disk's. The caller holds the directory's lock.
pub(super) async fn refusal(disk: &Disk, path: &Path) -> std::io::Result<Option<ShardError>> {
    let refuse = |what: String| Ok(Some(ShardError::directory(path, what)));
    let properties = path.join(META_PROPERTIES);
    let text = match disk.read_file(&properties, TEXT_SIZE_MAX).await {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    match format_version(&String::from_utf8_lossy(&text)) {
        Err(error) => refuse(format!("{META_PROPERTIES}: {error}")),
        Ok(Some(version)) if version > FORMAT_VERSION => refuse(format!(
            "is in format {version}, which a newer release wrote; this one reads up to \
             {FORMAT_VERSION}: start the newer release, or choose another directory with log.dirs"
        )),
        Ok(Some(_)) => Ok(None),
        Ok(None) => {
            let file = kafkas_file(disk, path).await?;
            file.map_or(Ok(None), |name| {
                refuse(format!(
                    "was written by Apache Kafka ({name} says so), and Ringlog does not take over \
                     Kafka's directories; nothing was changed: choose another with log.dirs, and \
                     copy the topics from a running Kafka"
                ))
            })
        }
    }
}

/// A file that only Kafka writes, if there is one.
async fn kafkas_file(disk: &Disk, path: &Path) -> std::io::Result<Option<String>> {
    let entries = disk.list_dir(path).await?.into_iter();
    let mut names = entries.map(|entry| entry.name);
    Ok(names.find(|name| KAFKAS_FILES.contains(&name.as_str())))
}
