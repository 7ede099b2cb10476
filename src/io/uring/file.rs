//! Files opened for direct IO.

use std::cell::Cell;
use std::fs::{File, TryLockError};
use std::io::{Error, ErrorKind, Result};
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use glommio::io::{DmaFile, OwnedDmaFile};

use super::errors::os_error;
use super::handle::Handle;
use super::memory::DmaMemory;
use super::primer;
use crate::io::{OpenOptions, WRITE_UNIT};

/// How often a lock that somebody else holds is tried again.
const LOCK_RETRY_INTERVAL: Duration = Duration::from_millis(5);

/// A file opened for direct IO by one shard.
pub struct UringFile {
    handle: Handle,
    /// Always there, except while it is being dropped.
    file: Option<DmaFile>,
    /// What this handle knows: at open, then by its own writes and cuts. glommio would ask by the
    /// path, which may have been renamed.
    size: Cell<u64>,
}

/// A name for an open descriptor that nobody can rename or remove.
pub(super) fn descriptor_path(descriptor: RawFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{descriptor}"))
}

impl Handle {
    pub(in crate::io) async fn open_file(
        &self,
        path: &Path,
        options: OpenOptions,
    ) -> Result<UringFile> {
        let _in_flight = self.in_flight();
        let name = path.to_owned();
        let (write, create) = (options.write, options.create);
        let (anchor, device) = self
            .blocking(move || {
                let anchor = File::options()
                    .read(true)
                    .write(write)
                    .create(create)
                    .truncate(false)
                    .open(&name)?;
                let metadata = anchor.metadata()?;
                if !metadata.is_file() {
                    return Err(Error::new(
                        ErrorKind::InvalidInput,
                        format!("{} is not a regular file", name.display()),
                    ));
                }
                Ok((anchor, metadata.dev()))
            })
            .await?;
        primer::prime(self, parent_of(path), device).await?;
        let file = glommio::io::OpenOptions::new()
            .read(true)
            .write(write)
            .dma_open(descriptor_path(anchor.as_raw_fd()))
            .await
            .map_err(os_error)?;
        drop(anchor);
        let file = UringFile {
            handle: self.clone(),
            file: Some(file),
            size: Cell::new(0),
        };
        if let Some(patience) = options.lock_within {
            file.lock_within(path, patience).await?;
        }
        // After the lock: until then a dead process's writes may still have been landing.
        file.size.set(file.borrowed().metadata()?.len());
        Ok(file)
    }
}

/// The directory that a file's name stands in.
pub(super) fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

impl UringFile {
    fn file(&self) -> &DmaFile {
        self.file.as_ref().expect("open until it is dropped")
    }

    /// The descriptor as the standard library's file, for calls that do not block.
    fn borrowed(&self) -> ManuallyDrop<File> {
        // SAFETY: the descriptor is open as long as `self`, and the file is never dropped.
        ManuallyDrop::new(unsafe { File::from_raw_fd(self.file().as_raw_fd()) })
    }

    /// A second descriptor of the same open file: it keeps it open during a blocking call.
    fn duplicate(&self) -> Result<OwnedFd> {
        // SAFETY: the descriptor is open as long as `self`.
        unsafe { BorrowedFd::borrow_raw(self.file().as_raw_fd()) }.try_clone_to_owned()
    }

    async fn lock_within(&self, path: &Path, patience: Duration) -> Result<()> {
        let deadline = self.handle.now() + patience;
        loop {
            match self.borrowed().try_lock() {
                Ok(()) => return Ok(()),
                Err(TryLockError::Error(error)) => return Err(error),
                Err(TryLockError::WouldBlock) if self.handle.now() >= deadline => {
                    return Err(Error::new(
                        ErrorKind::WouldBlock,
                        format!(
                            "{} is still locked after {patience:?}: stop the process that has it",
                            path.display()
                        ),
                    ));
                }
                Err(TryLockError::WouldBlock) => self.handle.sleep(LOCK_RETRY_INTERVAL).await,
            }
        }
    }

    pub(in crate::io) fn size(&self) -> u64 {
        self.size.get()
    }

    pub(in crate::io) async fn write_at(
        &self,
        memory: DmaMemory,
        position: u64,
    ) -> Result<DmaMemory> {
        let _in_flight = self.handle.in_flight();
        let size = memory.as_slice().len();
        let buffer = Rc::new(memory.buffer);
        let mut written = self.write_some(Rc::clone(&buffer), position).await?;
        while written < size {
            // Rare: the rest goes out once more from its last whole unit, the same bytes again.
            let whole = written - written % WRITE_UNIT;
            let mut rest = DmaMemory::zeroed(size - whole);
            rest.as_mut_slice()
                .copy_from_slice(&buffer.as_bytes()[whole..]);
            let more = self
                .write_some(Rc::new(rest.buffer), position + whole as u64)
                .await?;
            if whole + more <= written {
                return Err(ErrorKind::WriteZero.into());
            }
            written = whole + more;
        }
        let end = position + size as u64;
        self.size.set(self.size.get().max(end));
        let buffer = Rc::try_unwrap(buffer);
        let buffer = buffer.expect("the ring lets go of a buffer when its write has completed");
        Ok(DmaMemory { buffer })
    }

    async fn write_some(&self, buffer: Rc<glommio::io::DmaBuffer>, position: u64) -> Result<usize> {
        let written = self.file().write_rc_at(buffer, position).await;
        match written.map_err(os_error)? {
            0 => Err(ErrorKind::WriteZero.into()),
            written => Ok(written),
        }
    }

    pub(in crate::io) async fn read_at(&self, position: u64, size: usize) -> Result<Bytes> {
        let _in_flight = self.handle.in_flight();
        let end = position + size as u64;
        let mut bytes = BytesMut::with_capacity(size);
        let mut at = position;
        while at < end {
            let unit_start = at - at % WRITE_UNIT as u64;
            let read_size = ((end - unit_start) as usize).next_multiple_of(WRITE_UNIT);
            let read = self.file().read_at_aligned(unit_start, read_size).await;
            let read = read.map_err(os_error)?;
            let skipped = (at - unit_start) as usize;
            if read.len() <= skipped {
                break;
            }
            let taken = (read.len() - skipped).min((end - at) as usize);
            bytes.extend_from_slice(&read[skipped..skipped + taken]);
            at += taken as u64;
        }
        Ok(bytes.freeze())
    }

    pub(in crate::io) async fn sync_data(&self) -> Result<()> {
        let _in_flight = self.handle.in_flight();
        self.file().fdatasync().await.map_err(os_error)
    }

    pub(in crate::io) async fn sync_all(&self) -> Result<()> {
        let file = File::from(self.duplicate()?);
        self.handle.blocking(move || file.sync_all()).await
    }

    pub(in crate::io) async fn set_size(&self, size: u64) -> Result<()> {
        let file = File::from(self.duplicate()?);
        self.handle.blocking(move || file.set_len(size)).await?;
        self.size.set(size);
        Ok(())
    }
}

impl Drop for UringFile {
    fn drop(&mut self) {
        // Closes now; a `DmaFile` by itself would be closed in the executor's next turn.
        drop(self.file.take().map(OwnedDmaFile::from));
    }
}
