//! File systems of a test's own, which can be filled and broken. They need root and loop devices;
//! where they cannot be had a test is skipped, with the reason.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::libc;

use crate::broker::directory;

/// EXT4_IOC_SHUTDOWN, `_IOR('X', 125, __u32)`: every operation fails with EIO from then on.
const SHUT_DOWN: libc::Ioctl = 0x8004_587d;
/// Without bringing the journal to the disk before.
const WITHOUT_FLUSH: u32 = 2;

/// Bytes that are written at once to fill a disk.
const FILL_SIZE: usize = 64 << 10;

fn runs(command: &mut Command) -> bool {
    command.output().is_ok_and(|done| done.status.success())
}

fn make_ext4(image: &Path, size: u64, options: &[&str]) -> bool {
    File::create(image).unwrap().set_len(size).unwrap();
    runs(
        Command::new("mkfs.ext4")
            .args(["-q", "-m", "0"])
            .args(options)
            .arg(image),
    )
}

fn mount_image(image: &Path, at: &Path) -> bool {
    std::fs::create_dir(at).unwrap();
    runs(
        Command::new("mount")
            .args(["-o", "loop"])
            .arg(image)
            .arg(at),
    )
}

fn unmount(at: &Path) {
    // Not mounted where mounting failed.
    let _ = Command::new("umount").arg(at).output();
}

fn skipped() {
    eprintln!("skipped: an image cannot be mounted (not root, or no loop devices)");
}

/// Takes all the room that a file system has.
fn fill(ballast: &Path) {
    let mut file = File::create(ballast).unwrap();
    let zeros = vec![0; FILL_SIZE];
    while file.write_all(&zeros).is_ok() {}
}

/// A small ext4 with a journal; unmounted when dropped.
pub(crate) struct SmallDisk {
    directory: tempfile::TempDir,
}

impl SmallDisk {
    /// `None`, with the reason printed, where nothing can be mounted.
    pub(crate) fn mount(size: u64) -> Option<SmallDisk> {
        let disk = SmallDisk {
            directory: directory(),
        };
        let image = disk.directory.path().join("image");
        let is_mounted = make_ext4(&image, size, &[]) && mount_image(&image, &disk.path());
        if !is_mounted {
            skipped();
        }
        is_mounted.then_some(disk)
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("disk")
    }

    /// Every operation fails from now on, as when a disk is pulled out.
    pub(crate) fn break_down(&self) {
        let root = File::open(self.path()).unwrap();
        // SAFETY: the call reads one number of 32 bits, which lives as long as it.
        let done = unsafe { libc::ioctl(root.as_raw_fd(), SHUT_DOWN, &WITHOUT_FLUSH) };
        assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        unmount(&self.path());
    }
}

/// An ext4 whose writes succeed and whose flushes can be made to fail: its device is a file that
/// the system caches, on a device that has no room for what the cache holds.
pub(crate) struct WornDisk {
    directory: tempfile::TempDir,
}

impl WornDisk {
    /// `None`, with the reason printed, where nothing can be mounted.
    pub(crate) fn mount() -> Option<WornDisk> {
        let disk = WornDisk {
            directory: directory(),
        };
        let (memory, outer) = (disk.place("memory"), disk.place("outer"));
        std::fs::create_dir(&memory).unwrap();
        let tmpfs = ["-t", "tmpfs", "-o", "size=96m", "tmpfs"];
        // No journals, which would notice by themselves.
        let plain = ["-O", "^has_journal"];
        let (device, image) = (memory.join("device"), outer.join("image"));
        let is_mounted = runs(Command::new("mount").args(tmpfs).arg(&memory))
            && make_ext4(&device, 256 << 20, &plain)
            && mount_image(&device, &outer)
            && make_ext4(&image, 128 << 20, &plain)
            && mount_image(&image, &disk.path());
        if !is_mounted {
            skipped();
        }
        is_mounted.then_some(disk)
    }

    fn place(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.place("disk")
    }

    /// No flush of what is written from now on can succeed.
    pub(crate) fn wear_out(&self) {
        fill(&self.place("memory").join("ballast"));
    }
}

impl Drop for WornDisk {
    fn drop(&mut self) {
        for name in ["disk", "outer", "memory"] {
            unmount(&self.place(name));
        }
    }
}
