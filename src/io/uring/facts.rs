//! What can be found out about a disk: statfs, the mount's options, the device's queue.

use std::fs;
use std::io::Result;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::libc;
use nix::sys::{statfs, statvfs};

use super::handle::Handle;
use crate::io::{DiskFacts, FileSystem, WRITE_UNIT, WriteCache};

/// Block size where no device says one (tmpfs, network).
const BLOCK_SIZE_UNKNOWN: u32 = WRITE_UNIT as u32;

impl Handle {
    pub(in crate::io) async fn facts(&self, path: &Path) -> Result<DiskFacts> {
        let path = path.to_owned();
        self.blocking(move || facts_of(&path)).await
    }
}

fn facts_of(path: &Path) -> Result<DiskFacts> {
    let metadata = fs::metadata(path)?;
    let device = metadata.dev();
    let file_system = file_system_of(statfs::statfs(path)?.filesystem_type());
    let space = statvfs::statvfs(path)?;
    let fragment_size = space.fragment_size();
    let queue = queue_of(device);
    let number = |name: &str| {
        let text = fs::read_to_string(queue.as_ref()?.join(name)).ok()?;
        text.trim().parse().ok()
    };
    let write_cache = queue
        .as_ref()
        .and_then(|queue| fs::read_to_string(queue.join("write_cache")).ok());
    Ok(DiskFacts {
        device: disk_of(queue.as_deref()).unwrap_or(device),
        directory: (device, metadata.ino()),
        file_system,
        journal: has_journal(file_system, device),
        barriers_off: barriers_off(
            &fs::read_to_string("/proc/self/mountinfo").unwrap_or_default(),
            device,
        ),
        write_cache: match write_cache.as_deref().map(str::trim) {
            Some("write back") => WriteCache::WriteBack,
            Some("write through") => WriteCache::WriteThrough,
            _ => WriteCache::Unknown,
        },
        logical_block_size: number("logical_block_size").unwrap_or(BLOCK_SIZE_UNKNOWN),
        physical_block_size: number("physical_block_size").unwrap_or(BLOCK_SIZE_UNKNOWN),
        free_bytes: space.blocks_available() * fragment_size,
        total_bytes: space.blocks() * fragment_size,
        boot_id: fs::read_to_string("/proc/sys/kernel/random/boot_id")?
            .trim()
            .to_owned(),
    })
}

fn file_system_of(kind: statfs::FsType) -> FileSystem {
    match kind {
        statfs::EXT4_SUPER_MAGIC => FileSystem::Ext4,
        statfs::XFS_SUPER_MAGIC => FileSystem::Xfs,
        statfs::BTRFS_SUPER_MAGIC => FileSystem::Btrfs,
        statfs::TMPFS_MAGIC => FileSystem::Tmpfs,
        other => FileSystem::Other(other.0),
    }
}

fn device_directory(device: u64) -> PathBuf {
    let (major, minor) = (libc::major(device), libc::minor(device));
    PathBuf::from(format!("/sys/dev/block/{major}:{minor}"))
}

/// The queue's directory; a partition has none of its own, its disk is one directory up.
fn queue_of(device: u64) -> Option<PathBuf> {
    let directory = fs::canonicalize(device_directory(device)).ok()?;
    let own = directory.join("queue");
    let queue = if own.is_dir() {
        own
    } else {
        directory.parent()?.join("queue")
    };
    queue.is_dir().then_some(queue)
}

/// The number of the disk that has the queue; its partitions have numbers of their own.
fn disk_of(queue: Option<&Path>) -> Option<u64> {
    let number = fs::read_to_string(queue?.parent()?.join("dev")).ok()?;
    let (major, minor) = number.trim().split_once(':')?;
    Some(libc::makedev(major.parse().ok()?, minor.parse().ok()?))
}

fn has_journal(file_system: FileSystem, device: u64) -> Option<bool> {
    match file_system {
        FileSystem::Xfs => Some(true),
        FileSystem::Tmpfs => Some(false),
        FileSystem::Ext4 => {
            let device = fs::canonicalize(device_directory(device)).ok()?;
            let prefix = format!("{}-", device.file_name()?.to_str()?);
            let mut journals = fs::read_dir("/proc/fs/jbd2").ok()?.flatten();
            Some(journals.any(|entry| entry.file_name().to_string_lossy().starts_with(&prefix)))
        }
        FileSystem::Btrfs | FileSystem::Other(_) => None,
    }
}

/// Whether the device is mounted without barriers. A line of mountinfo: id, parent, major:minor,
/// root, mount point, options, optional fields, "-", type, source, options of the superblock.
fn barriers_off(mountinfo: &str, device: u64) -> bool {
    let number = format!("{}:{}", libc::major(device), libc::minor(device));
    mountinfo
        .lines()
        .filter(|line| line.split(' ').nth(2) == Some(&number))
        .filter_map(|line| line.rsplit(' ').next())
        .flat_map(|options| options.split(','))
        .any(|option| option == "nobarrier" || option == "barrier=0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_without_barriers_is_found_by_its_device() {
        let mountinfo = "27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,nobarrier\n\
                         40 27 7:1 / /mnt rw - ext4 /dev/loop1 rw,barrier=1\n";
        assert!(barriers_off(mountinfo, libc::makedev(254, 0)));
        assert!(!barriers_off(mountinfo, libc::makedev(7, 1)));
        assert!(!barriers_off(mountinfo, libc::makedev(8, 0)));
    }
}
