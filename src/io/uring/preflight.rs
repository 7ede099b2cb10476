//! What must be right before a reactor can start, each fault in one sentence with its remedy.

use std::fs;
use std::num::NonZeroUsize;
use std::os::fd::{FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::libc;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::utsname::uname;

/// Locked memory that the rings need, whoever runs them: glommio refuses to start below it.
const MEMLOCK_MIN: u64 = 512 << 10;
/// Open files below which not even a small broker gets anywhere.
const OPEN_FILES_MIN: u64 = 1024;
/// The first kernel with all operations that are used.
const KERNEL_MIN: (u32, u32) = (5, 8);
/// Size of `struct io_uring_params`.
const RING_PARAMS_SIZE: usize = 120;

/// Why no reactor can start on this machine.
#[derive(Debug, thiserror::Error)]
pub enum PreflightError {
    #[error(
        "the limit on locked memory (RLIMIT_MEMLOCK) is {hard} bytes and io_uring needs \
         {MEMLOCK_MIN}: raise it, with `ulimit -l 1024`, LimitMEMLOCK=infinity in the systemd \
         unit, or `docker run --ulimit memlock=-1`"
    )]
    LockedMemory { hard: u64 },
    #[error(
        "the limit on open files (RLIMIT_NOFILE) is {hard} and at least {OPEN_FILES_MIN} are \
         needed: raise it, with `ulimit -n 100000`, LimitNOFILE=1000000 in the systemd unit, or \
         `docker run --ulimit nofile=1000000`"
    )]
    OpenFiles { hard: u64 },
    #[error(
        "io_uring is switched off (kernel.io_uring_disabled={setting}): switch it on with \
         `sysctl -w kernel.io_uring_disabled=0`"
    )]
    SwitchedOff { setting: String },
    #[error(
        "io_uring is forbidden ({errno}), most likely by a container's seccomp profile: allow \
         io_uring_setup, io_uring_enter and io_uring_register in it, or run with \
         `docker run --security-opt seccomp=unconfined`"
    )]
    Forbidden { errno: Errno },
    #[error(
        "the kernel is {release} and io_uring needs at least {}.{}: run a newer one",
        KERNEL_MIN.0,
        KERNEL_MIN.1
    )]
    KernelTooOld { release: String },
    #[error("io_uring cannot be set up: {errno}")]
    Setup { errno: Errno },
}

/// Checks that reactors can start, and raises the limits on locked memory and open files as far as
/// this process may.
pub fn preflight() -> Result<(), PreflightError> {
    if let Ok(name) = uname() {
        let release = name.release().to_string_lossy();
        if kernel_version(&release).is_some_and(|version| version < KERNEL_MIN) {
            let release = release.into_owned();
            return Err(PreflightError::KernelTooOld { release });
        }
    }
    let hard = raise_limit(Resource::RLIMIT_MEMLOCK);
    if hard < MEMLOCK_MIN {
        return Err(PreflightError::LockedMemory { hard });
    }
    let hard = raise_limit(Resource::RLIMIT_NOFILE);
    if hard < OPEN_FILES_MIN {
        return Err(PreflightError::OpenFiles { hard });
    }
    try_ring()
}

/// Raises the soft limit to the hard one; returns what holds now.
fn raise_limit(resource: Resource) -> u64 {
    let Ok((soft, hard)) = getrlimit(resource) else {
        return u64::MAX;
    };
    if soft < hard && setrlimit(resource, hard, hard).is_err() {
        return soft;
    }
    hard
}

fn try_ring() -> Result<(), PreflightError> {
    let mut params = [0u64; RING_PARAMS_SIZE / 8];
    // SAFETY: the parameters are as large as the kernel's struct and zero, which is valid.
    let result = unsafe { libc::syscall(libc::SYS_io_uring_setup, 1u32, params.as_mut_ptr()) };
    if let Ok(descriptor) = i32::try_from(result)
        && descriptor >= 0
    {
        // SAFETY: the kernel has just given us this descriptor.
        drop(unsafe { OwnedFd::from_raw_fd(descriptor) });
        return Ok(());
    }
    let errno = Errno::last();
    let setting = fs::read_to_string("/proc/sys/kernel/io_uring_disabled").unwrap_or_default();
    let setting = setting.trim();
    Err(match errno {
        Errno::EPERM if setting == "1" || setting == "2" => PreflightError::SwitchedOff {
            setting: setting.to_owned(),
        },
        Errno::EPERM | Errno::EACCES | Errno::ENOSYS => PreflightError::Forbidden { errno },
        errno => PreflightError::Setup { errno },
    })
}

/// Major and minor of a kernel's release, such as `6.18.44-generic`.
fn kernel_version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// The cores that this process may use: its affinity mask, cut to what the cgroup's quota pays for
/// (rounded down, at least one). One shard goes on each.
pub fn available_cpus() -> Vec<usize> {
    let mut cpus = allowed_cpus();
    let quota = std::thread::available_parallelism().map_or(cpus.len(), NonZeroUsize::get);
    cpus.truncate(quota.max(1));
    cpus
}

/// The affinity mask.
pub(super) fn allowed_cpus() -> Vec<usize> {
    let mut cpus: Vec<usize> = core_affinity::get_core_ids()
        .unwrap_or_default()
        .into_iter()
        .map(|core| core.id)
        .collect();
    cpus.sort_unstable();
    cpus
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_versions() {
        let cases = [
            ("6.18.44-fc-v595", Some((6, 18))),
            ("5.8.0", Some((5, 8))),
            ("5.10-rc1", Some((5, 10))),
            ("4.19.112+", Some((4, 19))),
            ("odd", None),
        ];
        for (release, version) in cases {
            assert_eq!(kernel_version(release), version, "{release}");
        }
    }

    #[test]
    fn this_machine_passes_and_has_cores() {
        preflight().expect("the tests need io_uring");
        assert!(!available_cpus().is_empty());
    }

    #[test]
    fn each_fault_is_one_sentence_that_says_what_to_do() {
        let faults = [
            PreflightError::LockedMemory { hard: 65536 },
            PreflightError::OpenFiles { hard: 256 },
            PreflightError::SwitchedOff {
                setting: "2".to_owned(),
            },
            PreflightError::Forbidden {
                errno: Errno::EPERM,
            },
            PreflightError::KernelTooOld {
                release: "4.19.0".to_owned(),
            },
        ];
        for fault in faults {
            let text = fault.to_string();
            assert!(!text.contains('\n') && !text.contains("  "), "{text}");
            assert!(text.contains(": "), "what to do is missing: {text}");
        }
    }
}
