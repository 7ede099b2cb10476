//! Files as the front sees them: each call is one operation given to the machine's disk.

use std::cell::Cell;
use std::future::poll_fn;
use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;

use super::super::world::SharedWorld;
use super::super::{Handle, MachineId};
use super::operation::{Completion, DiskOperation, DiskOutput};
use crate::io::{DirEntry, DiskFacts, FileSystem, OpenOptions, WRITE_UNIT, WriteCache};

/// How often a lock that somebody has is asked for again: from the first, doubling to the last.
const LOCK_RETRY_INTERVAL_MIN: Duration = Duration::from_micros(500);
const LOCK_RETRY_INTERVAL_MAX: Duration = Duration::from_millis(16);

impl Handle {
    /// Submits an operation now and waits for its end. Dropping the future drops the result only.
    async fn on_disk(&self, operation: DiskOperation) -> Result<DiskOutput> {
        let completion = Completion::default();
        let submitted =
            self.world()
                .lock()
                .submit_disk(self.process(), operation, completion.clone());
        if let Err(broken_rule) = submitted {
            panic!("{broken_rule}");
        }
        poll_fn(|cx| completion.poll(cx)).await
    }

    async fn done(&self, operation: DiskOperation) -> Result<()> {
        match self.on_disk(operation).await? {
            DiskOutput::Done => Ok(()),
            other => unreachable!("an operation without a result gave {other:?}"),
        }
    }

    pub(in crate::io) async fn open_file(
        &self,
        path: &Path,
        options: OpenOptions,
    ) -> Result<SimFile> {
        let operation = DiskOperation::Open {
            path: path.to_owned(),
            write: options.write,
            create: options.create,
        };
        let (descriptor, size) = match self.on_disk(operation).await? {
            DiskOutput::Opened { descriptor, size } => (descriptor, size),
            other => unreachable!("an open gave {other:?}"),
        };
        let file = SimFile {
            handle: self.clone(),
            opened: Opened {
                world: self.world().clone(),
                machine: self.machine(),
                descriptor,
            },
            size: Cell::new(size),
        };
        if let Some(wait_max) = options.lock_within {
            file.lock(path, wait_max).await?;
            // The dead may have extended it while this waited for their lock.
            file.size.set(
                self.world()
                    .lock()
                    .machine(self.machine())
                    .disk
                    .size_of(descriptor),
            );
        }
        Ok(file)
    }

    pub(in crate::io) async fn create_dir_all(&self, path: &Path) -> Result<()> {
        self.done(DiskOperation::CreateDirAll {
            path: path.to_owned(),
        })
        .await
    }

    pub(in crate::io) async fn remove_dir_all(&self, path: &Path) -> Result<()> {
        self.done(DiskOperation::RemoveDirAll {
            path: path.to_owned(),
        })
        .await
    }

    pub(in crate::io) async fn remove_file(&self, path: &Path) -> Result<()> {
        self.done(DiskOperation::RemoveFile {
            path: path.to_owned(),
        })
        .await
    }

    pub(in crate::io) async fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.done(DiskOperation::Rename {
            from: from.to_owned(),
            to: to.to_owned(),
        })
        .await
    }

    pub(in crate::io) async fn rename_each(
        &self,
        names: Vec<(PathBuf, PathBuf)>,
    ) -> Vec<Result<()>> {
        let mut outcomes = Vec::with_capacity(names.len());
        for (from, to) in &names {
            outcomes.push(self.rename(from, to).await);
        }
        outcomes
    }

    pub(in crate::io) async fn remove_each(&self, paths: Vec<PathBuf>) -> Vec<Result<()>> {
        let mut outcomes = Vec::with_capacity(paths.len());
        for path in &paths {
            outcomes.push(self.remove_file(path).await);
        }
        outcomes
    }

    pub(in crate::io) async fn sync_dir(&self, path: &Path) -> Result<()> {
        self.done(DiskOperation::SyncDir {
            path: path.to_owned(),
        })
        .await
    }

    pub(in crate::io) async fn list_dir(&self, path: &Path) -> Result<Vec<DirEntry>> {
        match self
            .on_disk(DiskOperation::ListDir {
                path: path.to_owned(),
            })
            .await?
        {
            DiskOutput::Entries(entries) => Ok(entries),
            other => unreachable!("a listing gave {other:?}"),
        }
    }

    pub(in crate::io) async fn read_file(&self, path: &Path, size_max: usize) -> Result<Vec<u8>> {
        let operation = DiskOperation::ReadFile {
            path: path.to_owned(),
            size_max,
        };
        match self.on_disk(operation).await? {
            DiskOutput::Data(bytes) => Ok(bytes.into()),
            other => unreachable!("a read gave {other:?}"),
        }
    }

    pub(in crate::io) async fn write_file(&self, path: &Path, contents: Vec<u8>) -> Result<()> {
        let contents = Bytes::from(contents);
        self.done(DiskOperation::WriteFile {
            path: path.to_owned(),
            contents,
        })
        .await
    }

    pub(in crate::io) async fn lock_file(&self, path: &Path) -> Result<SimFileLock> {
        let options = OpenOptions {
            write: true,
            create: true,
            lock_within: Some(Duration::ZERO),
        };
        Ok(SimFileLock {
            _opened: self.open_file(path, options).await?.opened,
        })
    }

    pub(in crate::io) async fn facts(&self, path: &Path) -> Result<DiskFacts> {
        let ((used, total), power_cut_count, device, directory) = {
            let mut world = self.world().lock();
            let disk = &world.machine(self.machine()).disk;
            let directory = disk.find_directory(path)?;
            let device = disk.device_of(path);
            (disk.usage(), disk.power_cut_count(), device, directory)
        };
        Ok(DiskFacts {
            device,
            directory: (device, directory),
            file_system: FileSystem::Ext4,
            journal: Some(true),
            barriers_off: false,
            write_cache: WriteCache::WriteBack,
            logical_block_size: 512,
            physical_block_size: WRITE_UNIT as u32,
            free_bytes: total.saturating_sub(used),
            total_bytes: total,
            boot_id: format!("boot-{power_cut_count}"),
        })
    }
}

/// Zeros that are written ahead are most of what is written: they are not copied.
static ZEROS: [u8; 256 << 10] = [0; 256 << 10];

fn contents_of(buffer: &[u8]) -> Bytes {
    match ZEROS.get(..buffer.len()) {
        Some(zeros) if zeros == buffer => Bytes::from_static(zeros),
        _ => Bytes::copy_from_slice(buffer),
    }
}

/// The guard of a lock file.
pub struct SimFileLock {
    _opened: Opened,
}

/// A file opened by one shard.
pub struct SimFile {
    handle: Handle,
    opened: Opened,
    size: Cell<u64>,
}

/// An open descriptor: it is closed when this is dropped.
struct Opened {
    world: SharedWorld,
    machine: MachineId,
    descriptor: u64,
}

impl SimFile {
    pub(in crate::io) fn size(&self) -> u64 {
        self.size.get()
    }

    pub(in crate::io) async fn write_at(&self, buffer: Vec<u8>, position: u64) -> Result<Vec<u8>> {
        let data = contents_of(&buffer);
        let descriptor = self.opened.descriptor;
        self.handle
            .done(DiskOperation::Write {
                descriptor,
                position,
                data,
            })
            .await?;
        self.size
            .set(self.size.get().max(position + buffer.len() as u64));
        Ok(buffer)
    }

    pub(in crate::io) async fn read_at(&self, position: u64, size: usize) -> Result<Bytes> {
        let descriptor = self.opened.descriptor;
        match self
            .handle
            .on_disk(DiskOperation::Read {
                descriptor,
                position,
                size,
            })
            .await?
        {
            DiskOutput::Data(bytes) => Ok(bytes),
            other => unreachable!("a read gave {other:?}"),
        }
    }

    pub(in crate::io) async fn sync_data(&self) -> Result<()> {
        let descriptor = self.opened.descriptor;
        self.handle
            .done(DiskOperation::Sync {
                descriptor,
                all: false,
            })
            .await
    }

    pub(in crate::io) async fn sync_all(&self) -> Result<()> {
        let descriptor = self.opened.descriptor;
        self.handle
            .done(DiskOperation::Sync {
                descriptor,
                all: true,
            })
            .await
    }

    pub(in crate::io) async fn set_size(&self, size: u64) -> Result<()> {
        let descriptor = self.opened.descriptor;
        self.handle
            .done(DiskOperation::SetSize { descriptor, size })
            .await?;
        self.size.set(size);
        Ok(())
    }

    /// Takes the flock of this descriptor, waiting at most so long.
    async fn lock(&self, path: &Path, wait_max: Duration) -> Result<()> {
        let deadline = self.handle.now() + wait_max;
        let mut interval = LOCK_RETRY_INTERVAL_MIN;
        loop {
            let machine = self.handle.machine();
            if self
                .handle
                .world()
                .lock()
                .machine(machine)
                .disk
                .try_lock(self.opened.descriptor)
            {
                return Ok(());
            }
            if self.handle.now() >= deadline {
                let message = format!("{} is locked by another process", path.display());
                return Err(Error::new(ErrorKind::WouldBlock, message));
            }
            self.handle.sleep(interval).await;
            interval = (interval * 2).min(LOCK_RETRY_INTERVAL_MAX);
        }
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        let mut world = self.world.lock();
        world.machine(self.machine).disk.close(self.descriptor);
    }
}
