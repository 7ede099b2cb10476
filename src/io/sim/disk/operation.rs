//! What is asked of a disk, and how its answer comes back.

use std::io::Result;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use super::super::faults::DiskFault;
use super::super::random::Random;
use crate::io::{DirEntry, WRITE_UNIT};

/// Usual durations in nanoseconds, roughly those of a virtio disk.
const WRITE_LATENCY: u64 = 40_000;
const WRITE_LATENCY_PER_UNIT: u64 = 1_000;
const READ_LATENCY: u64 = 30_000;
const FLUSH_LATENCY: u64 = 80_000;
const NAME_LATENCY: u64 = 10_000;

/// How likely what is not durable survives a power cut; drawn once for each cut, since the extremes
/// find other bugs than the middle.
#[derive(Clone, Copy, Debug)]
pub(super) enum Survival {
    Nothing,
    Everything,
    Some(f64),
}

impl Survival {
    pub(super) fn draw(random: &mut Random) -> Survival {
        match random.below(5) {
            0 => Survival::Nothing,
            1 => Survival::Everything,
            _ => Survival::Some(random.fraction()),
        }
    }

    pub(super) fn keeps(self, random: &mut Random) -> bool {
        random.chance(self.probability())
    }

    pub(super) fn probability(self) -> f64 {
        match self {
            Survival::Nothing => 0.0,
            Survival::Everything => 1.0,
            Survival::Some(probability) => probability,
        }
    }
}

/// One operation on a disk.
#[derive(Clone, Debug)]
pub(in crate::io::sim) enum DiskOperation {
    Open {
        path: PathBuf,
        write: bool,
        create: bool,
    },
    CreateDirAll {
        path: PathBuf,
    },
    RemoveDirAll {
        path: PathBuf,
    },
    RemoveFile {
        path: PathBuf,
    },
    Rename {
        from: PathBuf,
        to: PathBuf,
    },
    SyncDir {
        path: PathBuf,
    },
    ListDir {
        path: PathBuf,
    },
    ReadFile {
        path: PathBuf,
        size_max: usize,
    },
    WriteFile {
        path: PathBuf,
        contents: Bytes,
    },
    Write {
        descriptor: u64,
        position: u64,
        data: Bytes,
    },
    Read {
        descriptor: u64,
        position: u64,
        size: usize,
    },
    Sync {
        descriptor: u64,
        all: bool,
    },
    SetSize {
        descriptor: u64,
        size: u64,
    },
}

impl DiskOperation {
    pub(super) fn descriptor(&self) -> Option<u64> {
        match self {
            DiskOperation::Write { descriptor, .. }
            | DiskOperation::Read { descriptor, .. }
            | DiskOperation::Sync { descriptor, .. }
            | DiskOperation::SetSize { descriptor, .. } => Some(*descriptor),
            _ => None,
        }
    }

    /// Which kind of fault can hit it.
    pub(super) fn fault(&self) -> Option<DiskFault> {
        match self {
            DiskOperation::Write { .. } => Some(DiskFault::Write),
            DiskOperation::Read { .. } | DiskOperation::ReadFile { .. } => Some(DiskFault::Read),
            DiskOperation::Sync { .. }
            | DiskOperation::SyncDir { .. }
            | DiskOperation::WriteFile { .. } => Some(DiskFault::Flush),
            _ => None,
        }
    }

    pub(super) fn usual_latency(&self) -> u64 {
        match self {
            DiskOperation::Write { data, .. } => {
                WRITE_LATENCY + WRITE_LATENCY_PER_UNIT * (data.len() / WRITE_UNIT) as u64
            }
            DiskOperation::Read { .. } | DiskOperation::ReadFile { .. } => READ_LATENCY,
            DiskOperation::Sync { .. }
            | DiskOperation::SyncDir { .. }
            | DiskOperation::WriteFile { .. } => FLUSH_LATENCY,
            _ => NAME_LATENCY,
        }
    }

    /// What tells it from others in the trace.
    pub(in crate::io::sim) fn trace_detail(&self) -> u64 {
        let of_path =
            |path: &PathBuf| u64::from(crc32c::crc32c(path.as_os_str().as_encoded_bytes()));
        match self {
            DiskOperation::Open { path, .. } => of_path(path) | 1 << 32,
            DiskOperation::CreateDirAll { path } => of_path(path) | 2 << 32,
            DiskOperation::RemoveDirAll { path } => of_path(path) | 3 << 32,
            DiskOperation::RemoveFile { path } => of_path(path) | 4 << 32,
            DiskOperation::Rename { from, to } => (of_path(from) ^ of_path(to)) | 5 << 32,
            DiskOperation::SyncDir { path } => of_path(path) | 6 << 32,
            DiskOperation::ListDir { path } => of_path(path) | 7 << 32,
            DiskOperation::ReadFile { path, .. } => of_path(path) | 8 << 32,
            DiskOperation::WriteFile { path, contents } => {
                (of_path(path) ^ u64::from(crc32c::crc32c(contents))) | 9 << 32
            }
            DiskOperation::Write { position, data, .. } => {
                position << 32 ^ u64::from(crc32c::crc32c(data))
            }
            DiskOperation::Read { position, size, .. } => position << 32 ^ *size as u64,
            DiskOperation::Sync { descriptor, all } => descriptor << 1 | u64::from(*all),
            DiskOperation::SetSize { size, .. } => *size,
        }
    }
}

/// What an operation gives.
#[derive(Debug)]
pub(super) enum DiskOutput {
    Done,
    Opened { descriptor: u64, size: u64 },
    Entries(Vec<DirEntry>),
    Data(Bytes),
}

/// Where the result of an operation is awaited.
#[derive(Clone, Default)]
pub(in crate::io::sim) struct Completion {
    slot: Arc<Mutex<CompletionSlot>>,
}

#[derive(Default)]
struct CompletionSlot {
    result: Option<Result<DiskOutput>>,
    waker: Option<Waker>,
}

impl Completion {
    pub(super) fn complete(&self, result: Result<DiskOutput>) {
        let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        slot.result = Some(result);
        if let Some(waker) = slot.waker.take() {
            waker.wake();
        }
    }

    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<Result<DiskOutput>> {
        let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        match slot.result.take() {
            Some(result) => Poll::Ready(result),
            None => {
                slot.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}
