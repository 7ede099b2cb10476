//! Before anything in a log directory is changed: is it in a format that this release reads?

use std::io::ErrorKind;
use std::path::Path;

use super::error::ShardError;
use super::takeover::KAFKAS_META_PROPERTIES;
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

/// Whose a log directory is.
pub(super) enum Origin {
    /// Ours, in a format that this release reads, or nobody's yet.
    Ours,
    /// Kafka's; a file that only Kafka writes.
    Kafkas(String),
    /// It was Kafka's: a start has begun to make it ours and has not ended that.
    TakeOverUnderWay,
    /// A newer release's, or its format cannot be told: why it is refused.
    Refused(ShardError),
}

/// Whose a directory is, with nothing changed in it; an error is its disk's. The caller holds the
/// directory's lock.
pub(super) async fn origin(disk: &Disk, path: &Path) -> std::io::Result<Origin> {
    let refuse = |what: String| Ok(Origin::Refused(ShardError::directory(path, what)));
    let properties = path.join(META_PROPERTIES);
    let text = match disk.read_file(&properties, TEXT_SIZE_MAX).await {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let is_under_way = has(disk, path, &[KAFKAS_META_PROPERTIES]).await?.is_some();
            return Ok(match is_under_way {
                true => Origin::TakeOverUnderWay,
                false => Origin::Ours,
            });
        }
        Err(error) => return Err(error),
    };
    match format_version(&String::from_utf8_lossy(&text)) {
        Err(error) => refuse(format!("{META_PROPERTIES}: {error}")),
        Ok(Some(version)) if version > FORMAT_VERSION => refuse(format!(
            "is in format {version}, which a newer release wrote; this one reads up to \
             {FORMAT_VERSION}: start the newer release, or choose another directory with log.dirs"
        )),
        Ok(Some(_)) => Ok(Origin::Ours),
        Ok(None) => {
            let kafkas = has(disk, path, &KAFKAS_FILES).await?;
            Ok(kafkas.map_or(Origin::Ours, Origin::Kafkas))
        }
    }
}

/// The first of these files that is there.
async fn has(disk: &Disk, path: &Path, wanted: &[&str]) -> std::io::Result<Option<String>> {
    let entries = disk.list_dir(path).await?.into_iter();
    let mut names = entries.map(|entry| entry.name);
    Ok(names.find(|name| wanted.contains(&name.as_str())))
}
