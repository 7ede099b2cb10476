//! The first direct read of an executor on a device.
//!
//! glommio decides at the first direct open on a device, once per executor, whether the device can
//! be polled: by reading the file that is being opened. From an empty file (or a hole) the kernel
//! answers without asking the device, the probe says yes, and every later read of the executor
//! fails with EOPNOTSUPP. So the first file is one of our own: nameless, in the directory of the
//! file to be opened, with one written and synced unit, which is then read back. That read is also
//! the self-test: a disk that cannot do it is found at start.

use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Result, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use glommio::io::DmaFile;
use nix::libc;

use super::errors::os_error;
use super::file::descriptor_path;
use super::handle::Handle;
use crate::io::WRITE_UNIT;

const PRIMER_BYTE: u8 = 0xa5;
/// Name of the primer, followed by the process id, where a file cannot be made without one.
const PRIMER_NAME: &str = ".ringlog-primer-";

/// Makes sure that direct IO to `device` (st_dev) has been probed on this executor. Where nothing
/// can be written next to the file, the file itself must do for the probe.
pub(super) async fn prime(handle: &Handle, directory: &Path, device: u64) -> Result<()> {
    if handle.is_primed(device) {
        return Ok(());
    }
    let _turn = handle.priming().acquire(1).await;
    if handle.is_primed(device) {
        return Ok(());
    }
    let near = directory.to_owned();
    let name = format!("{PRIMER_NAME}{}-{}", std::process::id(), handle.shard());
    let primer = match handle.blocking(move || make_primer(&near, &name)).await {
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem
            ) =>
        {
            return Ok(());
        }
        primer => primer?,
    };
    let read = read_back(&primer).await;
    let primer_closed = handle.blocking(move || {
        drop(primer);
        Ok(())
    });
    primer_closed.await?;
    read.map_err(|error| {
        let directory = directory.display();
        Error::new(
            error.kind(),
            format!("the disk under {directory} failed the first direct read: {error}"),
        )
    })?;
    handle.set_primed(device);
    Ok(())
}

fn make_primer(directory: &Path, name: &str) -> Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    let nameless = options
        .clone()
        .custom_flags(libc::O_TMPFILE)
        .open(directory);
    let mut primer = match nameless {
        Err(error) if matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::EISDIR)) => {
            let path: PathBuf = directory.join(name);
            let primer = options.create(true).truncate(true).open(&path)?;
            std::fs::remove_file(&path)?;
            primer
        }
        nameless => nameless?,
    };
    primer.write_all(&[PRIMER_BYTE; WRITE_UNIT])?;
    primer.sync_all()?;
    Ok(primer)
}

async fn read_back(primer: &File) -> Result<()> {
    let file = DmaFile::open(descriptor_path(primer.as_raw_fd()))
        .await
        .map_err(os_error)?;
    let read = file.read_at_aligned(0, WRITE_UNIT).await.map_err(os_error);
    let is_same = read.map(|bytes| bytes.len() == WRITE_UNIT && bytes.iter().all(is_primer_byte));
    file.close().await.map_err(os_error)?;
    if is_same? {
        Ok(())
    } else {
        Err(Error::new(
            ErrorKind::InvalidData,
            "it returned other bytes than were written and synced",
        ))
    }
}

fn is_primer_byte(byte: &u8) -> bool {
    *byte == PRIMER_BYTE
}
