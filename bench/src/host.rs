//! What the machine is, and who has used its cores.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use nix::sys::statfs::statfs;
use nix::unistd::{SysconfVar, sysconf};

/// What a reader of a report must know of the machine.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub(crate) struct HostFacts {
    pub(crate) cpu_model: String,
    /// Cores that this process may use.
    pub(crate) core_count: usize,
    pub(crate) kernel: String,
    pub(crate) memory_bytes: u64,
    /// Type and options of the filesystem that the run's directory is on.
    pub(crate) file_system: Option<String>,
}

/// Reads the facts; `directory` is where the run writes.
pub(crate) fn facts(directory: Option<&Path>) -> HostFacts {
    HostFacts {
        cpu_model: field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".to_owned()),
        core_count: ringlog::io::available_cpus().len(),
        kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        memory_bytes: memory_bytes(),
        file_system: directory.and_then(file_system),
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The value of the first `name : value` line.
fn field(path: &str, name: &str) -> Option<String> {
    read(path).lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim().to_owned())
    })
}

fn memory_bytes() -> u64 {
    let kib = field("/proc/meminfo", "MemTotal");
    let kib = kib.and_then(|text| text.trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// Type, device and options of the mount that holds `directory`.
fn file_system(directory: &Path) -> Option<String> {
    let directory = fs::canonicalize(directory).ok()?;
    let mounts = read("/proc/self/mounts");
    let mount = mounts
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            let device = words.next()?;
            let point = words.next()?;
            let (kind, options) = (words.next()?, words.next()?);
            let is_above = directory.starts_with(point);
            is_above.then(|| (point.len(), format!("{kind} on {device} ({options})")))
        })
        .max_by_key(|(depth, _)| *depth);
    let block_size = statfs(&directory).ok()?.block_size();
    mount.map(|(_, text)| format!("{text}, blocks of {block_size}"))
}

/// Share of the machine's time that its host gave to others, between two readings.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct StealClock {
    steal: u64,
    total: u64,
}

impl StealClock {
    pub(crate) fn now() -> StealClock {
        let text = read("/proc/stat");
        let first = text.lines().next().unwrap_or_default();
        let ticks: Vec<u64> = first
            .split_whitespace()
            .skip(1)
            .filter_map(|word| word.parse().ok())
            .collect();
        StealClock {
            steal: ticks.get(7).copied().unwrap_or(0),
            // Guest time, in the last two, is part of user time.
            total: ticks.iter().take(8).sum(),
        }
    }

    /// In percent.
    pub(crate) fn percent_since(self, earlier: StealClock) -> f64 {
        let total = self.total.saturating_sub(earlier.total).max(1);
        100.0 * self.steal.saturating_sub(earlier.steal) as f64 / total as f64
    }
}

/// CPU time in seconds, user and system.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct CpuTimes {
    /// `None`: the broker is not on this machine, or its pid was not given.
    pub(crate) broker: Option<f64>,
    pub(crate) client: f64,
}

impl CpuTimes {
    pub(crate) fn since(self, earlier: CpuTimes) -> CpuTimes {
        let broker = self.broker.zip(earlier.broker);
        CpuTimes {
            broker: broker.map(|(later, earlier)| later - earlier),
            client: self.client - earlier.client,
        }
    }
}

/// Where the broker's CPU time is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BrokerCpu {
    /// In this process: threads `shard-N`, the threads that they start (which inherit the name),
    /// and the kernel's workers for their rings.
    Embedded,
    /// A process of this machine.
    Process(u32),
    Unknown,
}

/// Adds up CPU time by thread. Sampled often, because the time of a thread is gone with it.
pub(crate) struct CpuMeter {
    broker: BrokerCpu,
    ticks_per_second: f64,
    /// Ticks by thread as last seen.
    threads: BTreeMap<i32, u64>,
    broker_ticks: u64,
    client_ticks: u64,
}

impl CpuMeter {
    pub(crate) fn new(broker: BrokerCpu) -> CpuMeter {
        let ticks = sysconf(SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100);
        CpuMeter {
            broker,
            ticks_per_second: ticks as f64,
            threads: BTreeMap::new(),
            broker_ticks: 0,
            client_ticks: 0,
        }
    }

    /// What has been used since the meter was made and in the threads that were there then.
    pub(crate) fn sample(&mut self) -> CpuTimes {
        self.sample_threads();
        let seconds = |ticks: u64| ticks as f64 / self.ticks_per_second;
        CpuTimes {
            broker: match self.broker {
                BrokerCpu::Embedded => Some(seconds(self.broker_ticks)),
                BrokerCpu::Process(pid) => ticks_of(&format!("/proc/{pid}/stat")).map(seconds),
                BrokerCpu::Unknown => None,
            },
            client: seconds(self.client_ticks),
        }
    }

    fn sample_threads(&mut self) {
        let Ok(entries) = fs::read_dir("/proc/self/task") else {
            return;
        };
        for entry in entries.flatten() {
            let Ok(thread) = entry.file_name().to_string_lossy().parse::<i32>() else {
                continue;
            };
            let Some(ticks) = ticks_of(&format!("/proc/self/task/{thread}/stat")) else {
                continue;
            };
            // Less than before: the number of a thread that has ended was given to a new one.
            let known = self.threads.insert(thread, ticks);
            let before = known.filter(|&before| before <= ticks).unwrap_or(0);
            if ticks == before {
                continue;
            }
            // Asked each time: a new thread has its parent's name for a moment.
            match self.is_broker(thread) {
                true => self.broker_ticks += ticks - before,
                false => self.client_ticks += ticks - before,
            }
        }
    }

    fn is_broker(&self, thread: i32) -> bool {
        if self.broker != BrokerCpu::Embedded {
            return false;
        }
        let name = |thread: i32| read(&format!("/proc/self/task/{thread}/comm"));
        let own = name(thread);
        match own.trim().strip_prefix("iou-wrk-") {
            // Nearly all that is left to workers is disk work: the broker's, if in doubt.
            Some(owner) => match owner.parse() {
                Ok(owner) => !name(owner).starts_with(crate::clients::THREAD_NAME),
                Err(_) => true,
            },
            None => own.starts_with("shard-"),
        }
    }
}

/// User and system time of a `stat` file, in clock ticks.
fn ticks_of(path: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    // The name, in parentheses, may hold anything.
    let (_, fields) = text.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_counted_for_whoever_does_it() {
        let mut meter = CpuMeter::new(BrokerCpu::Embedded);
        let before = meter.sample();
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let worker = std::thread::Builder::new().name("shard-7".to_owned());
        let worker = worker
            .spawn(
                move || while let Err(std::sync::mpsc::TryRecvError::Empty) = stopped.try_recv() {},
            )
            .unwrap();
        // Waits for the condition: the broker's thread has worked for three ticks.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while meter.sample().since(before).broker < Some(0.03) {
            assert!(std::time::Instant::now() < deadline, "no time was counted");
        }
        drop(stop);
        worker.join().unwrap();
        let mut other = CpuMeter::new(BrokerCpu::Process(std::process::id()));
        let (whole, threads) = (other.sample().broker.unwrap(), meter.sample());
        assert!(whole > 0.0 && threads.broker.unwrap() >= 0.03);
        assert_eq!(CpuMeter::new(BrokerCpu::Unknown).sample().broker, None);
    }
}
