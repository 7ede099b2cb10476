//! What the machine can do without a broker, measured in the same run: the yardstick of a report.

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use ringlog::io::{Disk, File, IoClass, OpenOptions, Reactor, WriteBuffer};

use crate::clients;
use crate::latency_log::{LatencyLog, LatencySummary};

/// Large writes: 1 MiB, 16 in flight, around a file that was written before.
const WRITE_SIZE: usize = 1 << 20;
const WRITE_DEPTH: usize = 16;
pub(crate) const FILE_SIZE: u64 = 1 << 30;
/// A durable append of a large batch.
const APPEND_SIZE: usize = 128 << 10;
/// A durable append of one record.
const SMALL_SIZE: usize = 4 << 10;
/// Bytes handed to the loopback interface at once.
const SEND_SIZE: usize = 1 << 20;

/// The bare machine.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub(crate) struct RawReport {
    /// O_DIRECT, 1 MiB, queue depth 16, already-written blocks: before and after the run.
    pub(crate) disk_mb_per_s: Vec<f64>,
    /// 128 KiB to already-written blocks, then a flush of the device.
    pub(crate) append_128k_us: Option<LatencySummary>,
    /// One TCP stream over the loopback interface.
    pub(crate) loopback_mb_per_s: Option<f64>,
}

impl RawReport {
    /// The smaller one of the disk's and the loopback interface's best: MB/s.
    pub(crate) fn limit_mb_per_s(&self) -> Option<f64> {
        let disk = self.disk_mb_per_s.iter().copied().reduce(f64::max);
        disk.into_iter()
            .chain(self.loopback_mb_per_s)
            .reduce(f64::min)
    }
}

/// A file of already-written blocks to probe the disk with. Dropping it removes the file; it stays
/// until the load is over, since on a disk mounted with `discard` its removal would disturb.
pub(crate) struct DiskProbe {
    path: PathBuf,
    duration: Duration,
}

impl DiskProbe {
    /// Writes the file in `directory`.
    pub(crate) fn create(directory: &Path, duration: Duration) -> Result<DiskProbe> {
        let path = directory.join("raw");
        let file = path.clone();
        clients::run(move |reactor| {
            let path = file.clone();
            async move {
                let file = open(&reactor, &path).await?;
                write_around(&reactor, &file, None).await?;
                file.sync_all().await.context("flushing the probe's file")
            }
        })?;
        Ok(DiskProbe { path, duration })
    }

    /// MB/s of large writes.
    pub(crate) fn write_rate(&self) -> Result<f64> {
        let (path, duration) = (self.path.clone(), self.duration);
        clients::run(move |reactor| {
            let path = path.clone();
            async move {
                let file = open(&reactor, &path).await?;
                write_around(&reactor, &file, Some(duration)).await
            }
        })
    }

    /// 128 KiB and a flush, one after the other.
    pub(crate) fn append_latency(&self) -> Result<LatencySummary> {
        self.one_by_one(APPEND_SIZE, true)
    }

    /// 4 KiB, with or without a flush, one after the other.
    pub(crate) fn small_write_latency(&self, flushes: bool) -> Result<LatencySummary> {
        self.one_by_one(SMALL_SIZE, flushes)
    }

    fn one_by_one(&self, size: usize, flushes: bool) -> Result<LatencySummary> {
        let (path, duration) = (self.path.clone(), self.duration);
        clients::run(move |reactor| {
            let path = path.clone();
            async move {
                let file = open(&reactor, &path).await?;
                let mut buffer = filled(&reactor.disk(), size);
                let mut log = LatencyLog::new();
                let end = reactor.now() + duration;
                let mut position = 0;
                while reactor.now() < end {
                    let started = reactor.now();
                    buffer = file.write_at(buffer, position, IoClass::Commit).await?;
                    if flushes {
                        file.sync_data().await?;
                    }
                    log.record(reactor.now() - started);
                    position = (position + size as u64) % FILE_SIZE;
                }
                Ok(log.summary())
            }
        })
    }
}

impl Drop for DiskProbe {
    fn drop(&mut self) {
        // What is left goes with the run's directory.
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn open(reactor: &Reactor, path: &Path) -> Result<File> {
    let options = OpenOptions {
        write: true,
        create: true,
        lock_within: None,
    };
    let opened = reactor.disk().open(path, options).await;
    opened.with_context(|| format!("cannot open {} for direct writes", path.display()))
}

/// Letters: a disk may recognise zeros and not write them.
fn filled(disk: &Disk, size: usize) -> WriteBuffer {
    let mut buffer = disk.buffer(size);
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    for word in buffer.as_mut_slice().chunks_exact_mut(8) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        word.copy_from_slice(&random.to_be_bytes());
    }
    buffer
}

/// Large writes from the start of the file: once through it, or round and round for a time. Returns
/// MB/s.
async fn write_around(reactor: &Reactor, file: &File, duration: Option<Duration>) -> Result<f64> {
    let disk = reactor.disk();
    let buffers: Vec<_> = (0..WRITE_DEPTH)
        .map(|_| filled(&disk, WRITE_SIZE))
        .collect();
    let started = reactor.now();
    let end = duration.map(|duration| started + duration);
    let next = Rc::new(Cell::new(0_u64));
    let writers = buffers.into_iter().map(|mut buffer| {
        let (own, file, next) = (reactor.clone(), file.clone(), Rc::clone(&next));
        reactor.spawn(async move {
            loop {
                let at = next.get();
                if end.map_or(at >= FILE_SIZE, |end| own.now() >= end) {
                    return std::io::Result::Ok(());
                }
                next.set(at + WRITE_SIZE as u64);
                let position = at % FILE_SIZE;
                buffer = file.write_at(buffer, position, IoClass::Commit).await?;
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.context("writing the probe's file")?;
    }
    Ok(next.get() as f64 / 1e6 / (reactor.now() - started).as_secs_f64())
}

/// MB/s of one TCP stream over the loopback interface, large writes, two threads.
pub(crate) fn loopback_rate(duration: Duration) -> Result<f64> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("the loopback probe")?;
    let mut sender = TcpStream::connect(listener.local_addr()?).context("the loopback probe")?;
    let (mut receiver, _) = listener.accept().context("the loopback probe")?;
    let receiving = std::thread::spawn(move || -> std::io::Result<u64> {
        let mut buffer = vec![0; SEND_SIZE];
        let mut size = 0;
        loop {
            match receiver.read(&mut buffer)? {
                0 => return Ok(size),
                count => size += count as u64,
            }
        }
    });
    let buffer = vec![b'A'; SEND_SIZE];
    let started = Instant::now();
    while started.elapsed() < duration {
        sender.write_all(&buffer).context("the loopback probe")?;
    }
    sender.shutdown(Shutdown::Write)?;
    let received = receiving.join();
    let size = received.map_err(|_| anyhow!("the loopback probe has panicked"))??;
    Ok(size as f64 / 1e6 / started.elapsed().as_secs_f64())
}

/// An answer of the same size for each message, over the loopback interface, from a thread that
/// does nothing else: what a round trip costs a client before any broker does anything.
pub(crate) fn echo_latency(size: usize, duration: Duration) -> Result<LatencySummary> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("the echo probe")?;
    let address = listener.local_addr()?;
    let echoing = std::thread::spawn(move || -> std::io::Result<()> {
        let (mut stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        let mut message = vec![0; size];
        while stream.read_exact(&mut message).is_ok() {
            stream.write_all(&message)?;
        }
        Ok(())
    });
    let summary = clients::run(move |reactor| async move {
        let stream = reactor.connect(address, Duration::from_secs(10)).await?;
        let (mut reader, mut writer, _closer) = stream.split()?;
        let message = bytes::Bytes::from(vec![b'A'; size]);
        let mut answer = bytes::BytesMut::with_capacity(size);
        let mut log = LatencyLog::new();
        let end = reactor.now() + duration;
        while reactor.now() < end {
            let started = reactor.now();
            writer.send(std::slice::from_ref(&message)).await?;
            answer.clear();
            while answer.len() < size {
                let missing = size - answer.len();
                if reader.read(&mut answer, missing).await? == 0 {
                    return Err(anyhow!("the echo probe was cut off"));
                }
            }
            log.record(reactor.now() - started);
        }
        Ok(log.summary())
    })?;
    let ended = echoing.join();
    ended.map_err(|_| anyhow!("the echo probe has panicked"))??;
    Ok(summary)
}
