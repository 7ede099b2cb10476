//! The directory of a run: `ringlog-bench-<pid>-<start>` below a base directory, removed when the
//! run is over. Those of runs that have died are removed by the next run.
//!
//! # Non-obvious
//! - A run holds a lock on the file `lock` in its directory; a directory whose lock is free belongs
//!   to a dead run. Making and sweeping directories happens under one lock of the base directory,
//!   so that a directory which has no lock yet is not taken for a dead one.

use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result, bail};
use nix::sys::statfs::{TMPFS_MAGIC, statfs};

use crate::checker::Written;

const PREFIX: &str = "ringlog-bench-";
const LOCK: &str = "lock";
const BASE_LOCK: &str = ".ringlog-bench.lock";
/// What `--keep` leaves: the directory is not swept, and `bench consume --kept` reads it.
const MANIFEST: &str = "kept.json";
/// `RAMFS_MAGIC` of linux/magic.h.
const RAMFS_MAGIC: i64 = 0x8584_58f6;

/// What is in a kept directory.
#[derive(Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Manifest {
    pub(crate) topic: String,
    pub(crate) written: Written,
}

/// A run's directory, locked. Dropping it removes the directory.
pub(crate) struct Workspace {
    path: PathBuf,
    is_kept: bool,
    _lock: File,
}

/// `target/bench-data` where cargo works, otherwise `bench-data`, in the current directory.
pub(crate) fn default_base() -> PathBuf {
    match Path::new("target").is_dir() {
        true => PathBuf::from("target/bench-data"),
        false => PathBuf::from("bench-data"),
    }
}

impl Workspace {
    /// Sweeps `base` and makes a new directory in it. `needed` bytes must be free.
    pub(crate) fn create(base: &Path, needed: u64) -> Result<Workspace> {
        fs::create_dir_all(base).with_context(|| {
            format!(
                "cannot make {}; choose another directory with --dir",
                base.display()
            )
        })?;
        check_disk(base)?;
        let base_lock = lock_file(&base.join(BASE_LOCK))?;
        base_lock
            .lock()
            .with_context(|| format!("cannot lock {}", base.display()))?;
        sweep(base)?;
        let free = free_bytes(base)?;
        if free < needed {
            bail!(
                "{} has {free} bytes free and this run may write {needed}; lower --max-bytes or \
                 choose another disk with --dir",
                base.display()
            );
        }
        let started = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        let name = format!("{PREFIX}{}-{}", std::process::id(), started.as_micros());
        let path = base.join(name);
        fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        let lock = lock_file(&path.join(LOCK))?;
        lock.try_lock()
            .with_context(|| format!("cannot lock {}", path.display()))?;
        Ok(Workspace {
            path,
            is_kept: false,
            _lock: lock,
        })
    }

    /// Opens the directory of an earlier run with `--keep`; it stays.
    pub(crate) fn open(path: &Path) -> Result<(Workspace, Manifest)> {
        let manifest = path.join(MANIFEST);
        let text = fs::read_to_string(&manifest).with_context(|| {
            format!(
                "cannot read {}; name a directory that `bench produce --keep` has left",
                manifest.display()
            )
        })?;
        let manifest = serde_json::from_str(&text)
            .with_context(|| format!("cannot understand {}", manifest.display()))?;
        let lock = lock_file(&path.join(LOCK))?;
        if let Err(TryLockError::WouldBlock) = lock.try_lock() {
            bail!("{} is in use by another run", path.display());
        }
        let workspace = Workspace {
            path: path.to_owned(),
            is_kept: true,
            _lock: lock,
        };
        Ok((workspace, manifest))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the embedded broker keeps its partitions.
    pub(crate) fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    /// The directory stays when the run is over.
    pub(crate) fn keep(&mut self, manifest: &Manifest) -> Result<()> {
        let text = serde_json::to_string(manifest)?;
        let path = self.path.join(MANIFEST);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        self.is_kept = true;
        Ok(())
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        if !self.is_kept && fs::remove_dir_all(&self.path).is_err() {
            tracing::warn!(path = %self.path.display(), "could not be removed; the next run will");
        }
    }
}

/// Bytes that this process may still write to the disk under `path`.
pub(crate) fn free_bytes(path: &Path) -> Result<u64> {
    let space = nix::sys::statvfs::statvfs(path)
        .with_context(|| format!("cannot ask for the free space of {}", path.display()))?;
    Ok(space.blocks_available() * space.fragment_size())
}

/// A disk in memory has no durable writes to measure.
fn check_disk(base: &Path) -> Result<()> {
    let kind = statfs(base)
        .with_context(|| format!("cannot ask for the filesystem of {}", base.display()))?
        .filesystem_type();
    if kind == TMPFS_MAGIC || kind.0 == RAMFS_MAGIC {
        bail!(
            "{} is in memory (tmpfs); name a directory on a disk with --dir",
            base.display()
        );
    }
    Ok(())
}

fn lock_file(path: &Path) -> Result<File> {
    let options = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path);
    options.with_context(|| format!("cannot open {}", path.display()))
}

/// Removes the directories of dead runs. The base directory is locked.
fn sweep(base: &Path) -> Result<()> {
    let entries = fs::read_dir(base).with_context(|| format!("cannot read {}", base.display()))?;
    for entry in entries.flatten() {
        let path = entry.path();
        let is_run = entry.file_name().to_string_lossy().starts_with(PREFIX) && path.is_dir();
        if !is_run || path.join(MANIFEST).exists() || is_locked(&path) {
            continue;
        }
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                tracing::warn!(path = %path.display(), %error, "a dead run's directory stays");
            }
            _ => tracing::info!(path = %path.display(), "removed what a dead run has left"),
        }
    }
    Ok(())
}

fn is_locked(run: &Path) -> bool {
    match File::open(run.join(LOCK)) {
        Ok(lock) => matches!(lock.try_lock(), Err(TryLockError::WouldBlock)),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests;
