//! Files and directories.

use std::cell::RefCell;
use std::future::Future;
use std::io::{ErrorKind, Result};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;

use super::buffer::{BufferFiller, BufferSide};
use super::reactor::Side;
use super::{Reactor, Semaphore, Task, WriteBuffer, sim, uring};
use crate::metrics::{Counter, Distribution, Gauge, ShardMetrics};

/// The unit of a write: its position and size are multiples of it. Never less than the device's
/// physical block: a smaller write makes the device rewrite acknowledged neighbours.
pub const WRITE_UNIT: usize = 4096;

/// Size of one write of zeros by [`File::write_zeros`].
const ZERO_WRITE_SIZE: usize = 256 << 10;

/// Buffers of zeros kept for the next writes of zeros, per shard.
const ZERO_BUFFERS_MAX: usize = 8;

/// What disk traffic is for. The device serves in order of arrival, so that a commit waits behind
/// whatever was submitted before it: background bytes in flight are bounded per shard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IoClass {
    /// Commits and reads of the tail: never wait for the budget.
    Commit,
    /// Everything else: cold reads, zeroing, recovery, retention.
    Background,
}

/// How a file is opened.
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    /// Open for writing too.
    pub write: bool,
    /// Make the file if it is not there. Its name is durable only after [`Disk::sync_dir`].
    pub create: bool,
    /// Take an exclusive flock on the very descriptor that writes, waiting at most so long. The
    /// writes of a killed process can land after its death; its locks go only after them.
    pub lock_within: Option<Duration>,
}

/// An entry of a directory.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct DirEntry {
    pub name: String,
    pub is_dir: bool,
    /// Size in bytes; 0 for directories.
    pub size: u64,
}

/// Kind of filesystem, by statfs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileSystem {
    Ext4,
    Xfs,
    Btrfs,
    Tmpfs,
    /// Another one, with its magic number.
    Other(i64),
}

/// What the block device says of its volatile cache (`queue/write_cache`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WriteCache {
    WriteBack,
    WriteThrough,
    Unknown,
}

/// What can be found out about the disk under a directory; logged at start.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DiskFacts {
    /// The device beneath, whichever part of it: what one failed flush may have taken writes from.
    pub device: u64,
    /// The directory itself, on its file system: two names with the same numbers are one directory.
    pub directory: (u64, u64),
    pub file_system: FileSystem,
    /// Whether the filesystem has a journal; `None` if it cannot be told.
    pub journal: Option<bool>,
    /// Mounted with `barrier=0` or `nobarrier`: a flush would flush nothing.
    pub barriers_off: bool,
    pub write_cache: WriteCache,
    pub logical_block_size: u32,
    pub physical_block_size: u32,
    pub free_bytes: u64,
    pub total_bytes: u64,
    /// Another after each start of the machine: what the system has of the disk in memory lasts as
    /// long. Fit for a file's name.
    pub boot_id: String,
}

/// The disk, as one shard sees it.
#[derive(Clone)]
pub struct Disk {
    reactor: Reactor,
    background: Semaphore,
    metrics: ShardMetrics,
    /// Of zeros, as large as [`ZERO_WRITE_SIZE`].
    zero_buffers: Rc<RefCell<Vec<WriteBuffer>>>,
}

macro_rules! on_disk {
    ($disk:expr, $handle:ident => $call:expr) => {
        match &$disk.reactor.side {
            Side::Uring($handle) => $call,
            Side::Sim($handle) => $call,
        }
    };
}

impl Disk {
    pub(in crate::io) fn new(reactor: Reactor, background: Semaphore) -> Disk {
        Disk {
            reactor,
            background,
            metrics: ShardMetrics::new(),
            zero_buffers: Rc::default(),
        }
    }

    /// The same disk, whose reads, writes and flushes of files are counted in `metrics`.
    pub fn metered(self, metrics: ShardMetrics) -> Disk {
        Disk { metrics, ..self }
    }

    /// A zeroed buffer for one write; `size` is a multiple of [`WRITE_UNIT`].
    pub fn buffer(&self, size: usize) -> WriteBuffer {
        WriteBuffer::check_size(size);
        match &self.reactor.side {
            Side::Uring(handle) => WriteBuffer {
                side: BufferSide::Uring(handle.allocate_buffer(size)),
            },
            Side::Sim(_) => WriteBuffer {
                side: BufferSide::Sim(vec![0; size]),
            },
        }
    }

    /// A buffer for one write to be filled; `size` is a multiple of [`WRITE_UNIT`].
    pub fn unfilled_buffer(&self, size: usize) -> BufferFiller {
        WriteBuffer::check_size(size);
        BufferFiller::new(match &self.reactor.side {
            Side::Uring(handle) => BufferSide::Uring(handle.allocate_unfilled(size)),
            Side::Sim(_) => BufferSide::Sim(vec![0; size]),
        })
    }

    /// Opens a file for direct IO.
    pub fn open(&self, path: &Path, options: OpenOptions) -> Task<Result<File>> {
        let disk = self.clone();
        let path = path.to_owned();
        self.reactor.spawn(async move {
            let side = match &disk.reactor.side {
                Side::Uring(handle) => {
                    FileSide::Uring(Rc::new(handle.open_file(&path, options).await?))
                }
                Side::Sim(handle) => {
                    FileSide::Sim(Rc::new(handle.open_file(&path, options).await?))
                }
            };
            Ok(File {
                disk,
                path: Rc::from(path),
                side,
            })
        })
    }

    /// Makes a directory and its parents. Names are durable after [`Disk::sync_dir`] of the parent.
    pub fn create_dir_all(&self, path: &Path) -> Task<Result<()>> {
        let (disk, path) = (self.clone(), path.to_owned());
        self.reactor
            .spawn(async move { on_disk!(disk, handle => handle.create_dir_all(&path).await) })
    }

    /// Removes a directory with all that is in it.
    pub fn remove_dir_all(&self, path: &Path) -> Task<Result<()>> {
        let (disk, path) = (self.clone(), path.to_owned());
        self.reactor
            .spawn(async move { on_disk!(disk, handle => handle.remove_dir_all(&path).await) })
    }

    pub fn remove_file(&self, path: &Path) -> Task<Result<()>> {
        let (disk, path) = (self.clone(), path.to_owned());
        self.reactor
            .spawn(async move { on_disk!(disk, handle => handle.remove_file(&path).await) })
    }

    /// Renames a file or directory, replacing a file. Durable after [`Disk::sync_dir`].
    pub fn rename(&self, from: &Path, to: &Path) -> Task<Result<()>> {
        let (disk, from, to) = (self.clone(), from.to_owned(), to.to_owned());
        self.reactor
            .spawn(async move { on_disk!(disk, handle => handle.rename(&from, &to).await) })
    }

    /// [`Disk::rename`] of several, one after the other; the outcome of each. On the real disk one
    /// trip to a thread that may block, and not one for each.
    pub fn rename_each(&self, names: Vec<(PathBuf, PathBuf)>) -> Task<Vec<Result<()>>> {
        let disk = self.clone();
        self.reactor
            .spawn(async move { on_disk!(disk, handle => handle.rename_each(names).await) })
    }

    /// [`Disk::remove_file`] of several, as [`Disk::rename_each`].
    pub fn remove_each(&self, paths: Vec<PathBuf>) -> Task<Vec<Result<()>>> {
        let disk = self.clone();
        self.reactor
            .spawn(async move { on_disk!(disk, handle => handle.remove_each(paths).await) })
    }

    /// Makes the names in a directory durable. It flushes no data of files.
    pub fn sync_dir(&self, path: &Path) -> Task<Result<()>> {
        let (disk, path) = (self.clone(), path.to_owned());
        self.reactor
            .spawn(async move { on_disk!(disk, handle => handle.sync_dir(&path).await) })
    }

    /// The entries of a directory, sorted by name.
    pub fn list_dir(&self, path: &Path) -> Task<Result<Vec<DirEntry>>> {
        let (disk, path) = (self.clone(), path.to_owned());
        self.reactor
            .spawn(async move { on_disk!(disk, handle => handle.list_dir(&path).await) })
    }

    /// A whole small file; an error if it is larger than `size_max`.
    pub fn read_file(&self, path: &Path, size_max: usize) -> Task<Result<Vec<u8>>> {
        let (disk, path) = (self.clone(), path.to_owned());
        self.reactor
            .spawn(async move { on_disk!(disk, handle => handle.read_file(&path, size_max).await) })
    }

    /// Replaces a whole small file so that after a crash either the old or the new contents are
    /// there: written aside, synced, renamed, directory synced. Durable when it returns.
    pub fn write_file(&self, path: &Path, contents: Vec<u8>) -> Task<Result<()>> {
        let (disk, path) = (self.clone(), path.to_owned());
        self.reactor.spawn(async move {
            on_disk!(disk, handle => handle.write_file(&path, contents).await)
        })
    }

    /// Takes the lock file of a directory for as long as the guard lives; `WouldBlock` when another
    /// process has it.
    pub fn lock_file(&self, path: &Path) -> Task<Result<FileLock>> {
        let (disk, path) = (self.clone(), path.to_owned());
        self.reactor.spawn(async move {
            Ok(match &disk.reactor.side {
                Side::Uring(handle) => FileLock::Uring(handle.lock_file(&path).await?),
                Side::Sim(handle) => FileLock::Sim(handle.lock_file(&path).await?),
            })
        })
    }

    /// What can be found out about the disk under `path`.
    pub fn facts(&self, path: &Path) -> Task<Result<DiskFacts>> {
        let (disk, path) = (self.clone(), path.to_owned());
        self.reactor
            .spawn(async move { on_disk!(disk, handle => handle.facts(&path).await) })
    }

    /// Opens the dedicated flush file of a log directory, making it at the first time.
    ///
    /// It is never written in place: only of a file that has nothing to sync is the sync one of the
    /// whole device, and the write of a process that was killed would land at any time.
    pub fn device_flush(&self, path: &Path) -> Task<Result<DeviceFlush>> {
        let (disk, path) = (self.clone(), path.to_owned());
        self.reactor.spawn(async move {
            let options = OpenOptions {
                write: true,
                ..OpenOptions::default()
            };
            let file = match disk.open(&path, options.clone()).await {
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    disk.write_file(&path, vec![0; WRITE_UNIT]).await?;
                    disk.open(&path, options).await?
                }
                opened => opened?,
            };
            // One of an earlier release may have been written and not synced.
            file.sync_all().await?;
            Ok(DeviceFlush { file })
        })
    }

    /// Bytes of background traffic that may still be submitted now.
    pub fn background_bytes_available(&self) -> usize {
        self.background.available()
    }
}

/// A lock file's guard.
pub enum FileLock {
    Uring(uring::UringFileLock),
    Sim(sim::SimFileLock),
}

/// A file opened for direct IO by one shard. Clones share the descriptor; it is closed after the
/// last clone and the last operation are gone.
#[derive(Clone)]
pub struct File {
    disk: Disk,
    path: Rc<Path>,
    side: FileSide,
}

#[derive(Clone)]
enum FileSide {
    Uring(Rc<uring::UringFile>),
    Sim(Rc<sim::SimFile>),
}

macro_rules! on_file {
    ($side:expr, $file:ident => $call:expr) => {
        match $side {
            FileSide::Uring($file) => $call,
            FileSide::Sim($file) => $call,
        }
    };
}

impl File {
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Size in bytes as this handle knows it: at open, then by its own writes and cuts.
    pub fn size(&self) -> u64 {
        on_file!(&self.side, file => file.size())
    }

    /// Writes a whole buffer; `position` is a multiple of [`WRITE_UNIT`]. Submitted at once. Gives
    /// the buffer back when every byte has been taken by the device: safe against the death of this
    /// process, not yet against a power cut. After an error the file's contents are unknown.
    pub fn write_at(
        &self,
        buffer: WriteBuffer,
        position: u64,
        class: IoClass,
    ) -> Task<Result<WriteBuffer>> {
        assert!(
            position.is_multiple_of(WRITE_UNIT as u64),
            "write at {position} of {} is not on a unit of {WRITE_UNIT}",
            self.path.display()
        );
        let file = self.clone();
        let size = buffer.size();
        self.disk.reactor.spawn(async move {
            let _permit = file.disk.budget(class, size).await;
            let metrics = &file.disk.metrics;
            metrics.increment(Counter::DiskWrites);
            metrics.add(Counter::DiskWrittenBytes, size as u64);
            metrics.record(Distribution::DiskWriteSize, size as u64);
            let writing = file.write_now(buffer, position);
            let measured = (class, size, Distribution::DiskWriteTime);
            file.disk.measure(measured, writing).await
        })
    }

    async fn write_now(&self, buffer: WriteBuffer, position: u64) -> Result<WriteBuffer> {
        match (&self.side, buffer.side) {
            (FileSide::Uring(file), BufferSide::Uring(memory)) => {
                let memory = file.write_at(memory, position).await?;
                Ok(WriteBuffer {
                    side: BufferSide::Uring(memory),
                })
            }
            (FileSide::Sim(file), BufferSide::Sim(memory)) => {
                let memory = file.write_at(memory, position).await?;
                Ok(WriteBuffer {
                    side: BufferSide::Sim(memory),
                })
            }
            _ => panic!("a buffer of the other side"),
        }
    }

    /// Writes zeros from `position` to `end` (both multiples of [`WRITE_UNIT`]), one bounded write
    /// after the other.
    pub fn write_zeros(&self, position: u64, end: u64, class: IoClass) -> Task<Result<()>> {
        let file = self.clone();
        self.disk.reactor.spawn(async move {
            let mut at = position;
            while at < end {
                let size = usize::try_from(end - at)
                    .map_or(ZERO_WRITE_SIZE, |rest| rest.min(ZERO_WRITE_SIZE));
                let zeros = file.disk.take_zeros(size);
                let zeros = file.write_at(zeros, at, class).await?;
                file.disk.keep_zeros(zeros);
                at += size as u64;
            }
            Ok(())
        })
    }

    /// Reads up to `size` bytes from any position; fewer only at the end of the file. The bytes may
    /// cross shards.
    pub fn read_at(&self, position: u64, size: usize, class: IoClass) -> Task<Result<Bytes>> {
        let file = self.clone();
        self.disk.reactor.spawn(async move {
            let _permit = file.disk.budget(class, size).await;
            let reading =
                async { on_file!(&file.side, file => file.read_at(position, size).await) };
            let measured = (class, size, Distribution::DiskReadTime);
            let read = file.disk.measure(measured, reading).await;
            let metrics = &file.disk.metrics;
            metrics.increment(Counter::DiskReads);
            if let Ok(bytes) = &read {
                metrics.add(Counter::DiskReadBytes, bytes.len() as u64);
            }
            read
        })
    }

    /// Makes the data of completed writes durable, and the size if reading the data needs it
    /// (fdatasync). A failure is final: never retried.
    pub fn sync_data(&self) -> Task<Result<()>> {
        let file = self.clone();
        self.disk.reactor.spawn(async move {
            let syncing = async { on_file!(&file.side, file => file.sync_data().await) };
            file.disk.measure_flush(syncing).await
        })
    }

    /// Makes data, size and extents durable (fsync).
    pub fn sync_all(&self) -> Task<Result<()>> {
        let file = self.clone();
        self.disk.reactor.spawn(async move {
            let syncing = async { on_file!(&file.side, file => file.sync_all().await) };
            file.disk.measure_flush(syncing).await
        })
    }

    /// Cuts or extends (with a hole) to `size` bytes, any number. Durable after [`File::sync_all`].
    pub fn set_size(&self, size: u64) -> Task<Result<()>> {
        let file = self.clone();
        self.disk
            .reactor
            .spawn(async move { on_file!(&file.side, file => file.set_size(size).await) })
    }
}

impl Disk {
    fn take_zeros(&self, size: usize) -> WriteBuffer {
        let spare = match size {
            ZERO_WRITE_SIZE => self.zero_buffers.borrow_mut().pop(),
            _ => None,
        };
        spare.unwrap_or_else(|| self.buffer(size))
    }

    /// Nobody has changed it: it was only written.
    fn keep_zeros(&self, buffer: WriteBuffer) {
        let mut spare = self.zero_buffers.borrow_mut();
        if buffer.size() == ZERO_WRITE_SIZE && spare.len() < ZERO_BUFFERS_MAX {
            spare.push(buffer);
        }
    }

    async fn budget(&self, class: IoClass, size: usize) -> Option<super::Permit> {
        if class == IoClass::Commit {
            return None;
        }
        let asked = self.reactor.now();
        self.metrics.adjust(Gauge::BackgroundWaiting, 1);
        let permit = self.background.acquire(size).await;
        self.metrics.adjust(Gauge::BackgroundWaiting, -1);
        let waited = self.reactor.now().since(asked);
        self.metrics
            .record_time(Distribution::BackgroundWaitTime, waited);
        Some(permit)
    }

    /// Counts an operation as long as it is at the disk, and how long that is.
    async fn measure<T>(
        &self,
        (class, size, time): (IoClass, usize, Distribution),
        operation: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let (depth, amount) = match class {
            IoClass::Commit => (Gauge::CommitDepth, 1),
            IoClass::Background => (Gauge::BackgroundDepthBytes, size as i64),
        };
        let submitted = self.reactor.now();
        self.metrics.adjust(depth, amount);
        let result = operation.await;
        self.metrics.adjust(depth, -amount);
        let took = self.reactor.now().since(submitted);
        self.metrics.record_time(time, took);
        if result.is_err() {
            self.metrics.increment(Counter::DiskErrors);
        }
        result
    }

    async fn measure_flush(&self, sync: impl Future<Output = Result<()>>) -> Result<()> {
        self.metrics.increment(Counter::DiskFlushes);
        let measured = (IoClass::Commit, 0, Distribution::DiskFlushTime);
        self.measure(measured, sync).await
    }
}

/// One flush of the device for the completed writes of many files: an fdatasync of a file that
/// nobody writes. What it makes durable, and where it may be used: the rules of durability, 5.
#[derive(Clone)]
pub struct DeviceFlush {
    file: File,
}

impl DeviceFlush {
    /// Makes every write durable that had completed when this was called, if it went to blocks that
    /// were already written and inside a size already synced. A failure is final.
    pub fn flush(&self) -> Task<Result<()>> {
        self.file.sync_data()
    }
}
