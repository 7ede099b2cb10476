//! A broker as a process: the `ringlog` binary.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::broker::settings;
use crate::eventually;
use crate::wire::Wire;

/// Pages of `/proc/PID/statm`, bytes.
const PAGE_SIZE: usize = 4096;

/// The limit that a broker may raise its own to.
const HARD_DESCRIPTORS_MAX: u64 = 4096;

/// A running broker process; killed when dropped.
pub(crate) struct BrokerProcess {
    child: Child,
    address: SocketAddr,
    /// Open as long as the process may write.
    _stdout: BufReader<ChildStdout>,
}

/// How a process ended that should not have started.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) code: Option<i32>,
    pub(crate) stderr: String,
}

impl Failed {
    /// It failed with one sentence, and that says all of `told`.
    pub(crate) fn check(&self, told: &[&str]) {
        let Failed { code, stderr } = self;
        assert_eq!(*code, Some(1), "{stderr}");
        let lines: Vec<&str> = stderr.lines().collect();
        assert_eq!(lines.len(), 1, "not one sentence: {stderr}");
        for told in told {
            assert!(stderr.contains(told), "nothing about {told:?}: {stderr}");
        }
    }
}

fn command(directory: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringlog"));
    command.arg("start").stdin(Stdio::null());
    for setting in settings(directory, more) {
        command.arg("-o").arg(setting);
    }
    command
}

impl BrokerProcess {
    /// Starts one and waits for its banner.
    pub(crate) fn start(directory: &Path, more: &[&str]) -> BrokerProcess {
        BrokerProcess::start_with(directory, more, Stdio::inherit())
    }

    /// As [`BrokerProcess::start`]; what it says of errors goes to a file.
    pub(crate) fn start_logged(directory: &Path, more: &[&str], log: &Path) -> BrokerProcess {
        let log = std::fs::File::create(log).unwrap();
        BrokerProcess::start_with(directory, more, Stdio::from(log))
    }

    fn start_with(directory: &Path, more: &[&str], stderr: Stdio) -> BrokerProcess {
        let mut child = command(directory, more)
            .env("RINGLOG_LOG", "error")
            .env("NO_COLOR", "1")
            .stderr(stderr)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary can be run");
        let mut stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut banner = String::new();
        stdout.read_line(&mut banner).unwrap();
        let address = banner.trim().rsplit(' ').next().unwrap_or_default();
        let address = address
            .parse()
            .unwrap_or_else(|_| panic!("no address in the banner: {banner:?}"));
        BrokerProcess {
            child,
            address,
            _stdout: stdout,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn connect(&self) -> Wire {
        Wire::connect(self.address)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        kill(pid, signal).expect("it is our child");
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let child = &mut self.child;
        eventually("the process ends", || child.try_wait().unwrap())
    }

    /// kill -9, and its end.
    pub(crate) fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        self.wait();
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Descriptors that it has open.
    pub(crate) fn descriptor_count(&self) -> u64 {
        let open = std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap();
        open.count() as u64
    }

    /// Sets how many descriptors it may have, from now on.
    pub(crate) fn limit_descriptors(&self, count: u64) {
        let limit = libc::rlimit {
            rlim_cur: count,
            rlim_max: HARD_DESCRIPTORS_MAX,
        };
        let pid = i32::try_from(self.child.id()).unwrap();
        // SAFETY: the new limit is read, the old one is not asked for.
        let done = unsafe { libc::prlimit(pid, libc::RLIMIT_NOFILE, &limit, std::ptr::null_mut()) };
        assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
    }

    /// Memory that it has resident, bytes.
    pub(crate) fn resident_size(&self) -> usize {
        let statm = std::fs::read_to_string(format!("/proc/{}/statm", self.child.id())).unwrap();
        let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
        pages * PAGE_SIZE
    }
}

impl Drop for BrokerProcess {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a broker that must not start; `before` runs in the child just before the binary.
pub(crate) fn start_in_vain(
    directory: &Path,
    more: &[&str],
    before: impl FnMut() -> std::io::Result<()> + Send + Sync + 'static,
) -> Failed {
    let mut command = command(directory, more);
    command
        .env("RINGLOG_LOG", "off")
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    // SAFETY: what the tests run there are single system calls.
    unsafe { command.pre_exec(before) };
    let mut child = command.spawn().expect("the binary can be run");
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        eventually("the start fails", || child.try_wait().unwrap())
    }));
    let Ok(status) = ended else {
        let _ = child.kill();
        let _ = child.wait();
        panic!("the broker started");
    };
    let mut stderr = String::new();
    let mut pipe = child.stderr.take().expect("it is piped");
    pipe.read_to_string(&mut stderr).unwrap();
    Failed {
        code: status.code(),
        stderr,
    }
}
