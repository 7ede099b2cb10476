//! Taking back the end of a log's files: for recovery, which cuts what a crash has torn, and for
//! truncation (rule 7).

use std::path::{Path, PathBuf};

use super::LogError;
use super::segment::{align_down, align_up};
use crate::io::{Disk, File, IoClass, WRITE_UNIT};

/// Cuts a file at `position`, durably: zeros up to byte `end`, the last one that may not be zero,
/// so that nothing behind the cut can come back to life, then the size.
pub(super) async fn cut_file(
    disk: &Disk,
    (file, path): (&File, &Path),
    position: u64,
    end: u64,
) -> Result<(), LogError> {
    if end > position {
        zero_behind(disk, (file, path), position, end).await?;
    }
    if file.size() != position {
        let cut = file.set_size(position).await;
        cut.map_err(|error| LogError::io(path, error))?;
    }
    let synced = file.sync_all().await;
    synced.map_err(|error| LogError::flush(path, error))
}

/// Zeros from `position` to `end`: the two units in which the first torn batch begins come last,
/// when the rest is durable. As long as anything is left behind it, its length must say how far the
/// last flush may have come, or the next recovery would take the rest for corruption.
pub(super) async fn zero_behind(
    disk: &Disk,
    (file, path): (&File, &Path),
    position: u64,
    end: u64,
) -> Result<(), LogError> {
    let failed = |error| LogError::io(path, error);
    let class = IoClass::Background;
    let unit_start = align_down(position);
    let head_end = align_up(end).min(unit_start + 2 * WRITE_UNIT as u64);
    if align_up(end) > head_end {
        let zeroed = file.write_zeros(head_end, align_up(end), class).await;
        zeroed.map_err(failed)?;
        let synced = file.sync_all().await;
        synced.map_err(|error| LogError::flush(path, error))?;
    }
    let kept = (position - unit_start) as usize;
    let mut buffer = disk.buffer((head_end - unit_start) as usize);
    let unit = file.read_at(unit_start, kept, class).await;
    buffer.as_mut_slice()[..kept].copy_from_slice(&unit.map_err(failed)?);
    let written = file.write_at(buffer, unit_start, class).await;
    written.map_err(failed)?;
    let synced = file.sync_all().await;
    synced.map_err(|error| LogError::flush(path, error))
}

/// Removes files of the log in `directory`, durably; one that is gone is no error.
pub(super) async fn remove_files(
    disk: &Disk,
    directory: &Path,
    paths: Vec<PathBuf>,
) -> Result<(), LogError> {
    for path in paths {
        match disk.remove_file(&path).await {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(LogError::io(&path, error)),
        }
    }
    let synced = disk.sync_dir(directory).await;
    synced.map_err(|error| LogError::flush(directory, error))
}
