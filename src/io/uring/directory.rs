//! Names and small files: blocking calls on the shard's pool.

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

use super::file::parent_of;
use super::handle::Handle;
use crate::io::DirEntry;

/// What a file's new contents are called until they are complete; the next replacement of the same
/// file overwrites one that a crash has left.
const ASIDE_SUFFIX: &str = ".tmp";

/// A lock file, locked as long as this lives.
pub struct UringFileLock {
    _file: File,
}

impl Handle {
    pub(in crate::io) async fn create_dir_all(&self, path: &Path) -> Result<()> {
        let path = path.to_owned();
        self.blocking(move || fs::create_dir_all(path)).await
    }

    pub(in crate::io) async fn remove_dir_all(&self, path: &Path) -> Result<()> {
        let path = path.to_owned();
        self.blocking(move || fs::remove_dir_all(path)).await
    }

    pub(in crate::io) async fn remove_file(&self, path: &Path) -> Result<()> {
        let path = path.to_owned();
        self.blocking(move || fs::remove_file(path)).await
    }

    pub(in crate::io) async fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        let (from, to) = (from.to_owned(), to.to_owned());
        self.blocking(move || fs::rename(from, to)).await
    }

    pub(in crate::io) async fn rename_each(
        &self,
        names: Vec<(PathBuf, PathBuf)>,
    ) -> Vec<Result<()>> {
        self.beside(move || {
            let outcomes = names.into_iter().map(|(from, to)| fs::rename(from, to));
            outcomes.collect()
        })
        .await
    }

    pub(in crate::io) async fn remove_each(&self, paths: Vec<PathBuf>) -> Vec<Result<()>> {
        self.beside(move || paths.into_iter().map(fs::remove_file).collect())
            .await
    }

    pub(in crate::io) async fn sync_dir(&self, path: &Path) -> Result<()> {
        let path = path.to_owned();
        self.blocking(move || File::open(path)?.sync_all()).await
    }

    pub(in crate::io) async fn list_dir(&self, path: &Path) -> Result<Vec<DirEntry>> {
        let path = path.to_owned();
        self.blocking(move || list(&path)).await
    }

    pub(in crate::io) async fn read_file(&self, path: &Path, size_max: usize) -> Result<Vec<u8>> {
        let path = path.to_owned();
        self.blocking(move || read_bounded(&path, size_max)).await
    }

    pub(in crate::io) async fn write_file(&self, path: &Path, contents: Vec<u8>) -> Result<()> {
        let path = path.to_owned();
        // Two at once would write into the same file aside.
        let _turn = self.replace_turn(path.clone()).await;
        self.blocking(move || replace(&path, &contents)).await
    }

    pub(in crate::io) async fn lock_file(&self, path: &Path) -> Result<UringFileLock> {
        let path = path.to_owned();
        self.blocking(move || {
            let file = File::options()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(&path)?;
            let is_taken = match file.try_lock() {
                Ok(()) => lock_against_kafka(&file),
                Err(TryLockError::Error(error)) => Err(error),
                Err(TryLockError::WouldBlock) => Ok(false),
            };
            match is_taken? {
                true => Ok(UringFileLock { _file: file }),
                false => Err(Error::new(
                    ErrorKind::WouldBlock,
                    format!("{} is locked by another process", path.display()),
                )),
            }
        })
        .await
    }
}

/// Takes the lock by fcntl as well: Kafka's (`FileLock.java`) knows no flock. It belongs to the
/// open file, as a flock does. `false` when another process has it.
fn lock_against_kafka(file: &File) -> Result<bool> {
    let whole_file = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    match fcntl(file, FcntlArg::F_OFD_SETLK(&whole_file)) {
        Ok(_) => Ok(true),
        Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn list(path: &Path) -> Result<Vec<DirEntry>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let metadata = match entry.metadata() {
            // Removed since its name was read.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            metadata => metadata?,
        };
        entries.push(DirEntry {
            name: entry.file_name().to_string_lossy().into_owned(),
            is_dir: metadata.is_dir(),
            size: if metadata.is_dir() { 0 } else { metadata.len() },
        });
    }
    entries.sort();
    Ok(entries)
}

fn read_bounded(path: &Path, size_max: usize) -> Result<Vec<u8>> {
    let mut contents = Vec::new();
    File::open(path)?
        .take(size_max as u64 + 1)
        .read_to_end(&mut contents)?;
    if contents.len() > size_max {
        return Err(Error::new(
            ErrorKind::InvalidData,
            format!("{} is larger than {size_max} bytes", path.display()),
        ));
    }
    Ok(contents)
}

fn replace(path: &Path, contents: &[u8]) -> Result<()> {
    let mut aside = OsString::from(path);
    aside.push(ASIDE_SUFFIX);
    let aside = PathBuf::from(aside);
    let mut file = File::create(&aside)?;
    file.write_all(contents)?;
    file.sync_all()?;
    fs::rename(&aside, path)?;
    File::open(parent_of(path))?.sync_all()
}
