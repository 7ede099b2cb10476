//! A flush that has failed is final here, too (rule 10 of durability): until the machine was
//! started anew, nobody knows what the disk has, and another attempt would believe it.

use std::io::ErrorKind;
use std::path::Path;

use super::TakeOverError;
use super::steps::{ASIDE, KAFKAS_METADATA_LOG, METADATA_LOG};
use crate::io::{OpenOptions, Reactor};
use crate::log::{FLUSH_FAILED_PREFIX, LogError};

/// The note of a failed flush since the machine was started.
async fn marker(reactor: &Reactor, path: &Path) -> Result<String, TakeOverError> {
    let facts = reactor.disk().facts(path).await;
    let facts = facts.map_err(|error| TakeOverError::io(path, error))?;
    Ok(format!("{FLUSH_FAILED_PREFIX}{}", facts.boot_id))
}

/// An attempt before this one has left no note: for the directory, or for the metadata log that it
/// made inside of Kafka's.
pub(super) async fn check(reactor: &Reactor, path: &Path) -> Result<(), TakeOverError> {
    let marker = marker(reactor, path).await?;
    for place in [
        path.to_owned(),
        path.join(METADATA_LOG).join(ASIDE),
        path.join(KAFKAS_METADATA_LOG).join(ASIDE),
    ] {
        let entries = match reactor.disk().list_dir(&place).await {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            entries => entries.map_err(|error| TakeOverError::io(&place, error))?,
        };
        if entries.iter().any(|entry| entry.name == marker) {
            let marker = place.join(marker);
            return Err(LogError::NotTrusted { marker }.into());
        }
    }
    Ok(())
}

/// Leaves a note if a flush has failed.
pub(super) async fn note(reactor: &Reactor, path: &Path, outcome: &Result<(), TakeOverError>) {
    let Err(TakeOverError::Flush(_)) = outcome else {
        return;
    };
    let options = OpenOptions {
        write: true,
        create: true,
        lock_within: None,
    };
    let Ok(marker) = marker(reactor, path).await else {
        return;
    };
    if let Err(error) = reactor.disk().open(&path.join(&marker), options).await {
        tracing::error!(%marker, %error, "the failed flush cannot be noted on disk");
    }
}
