//! What a case is, and all of them.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use ringlog::io::{Accepted, Disk, File, MeshBuilder, OpenOptions, Reactor};

/// The budget of background traffic that drivers start the shards with.
pub(crate) const BACKGROUND_BYTES_MAX: usize = 256 << 10;
/// How long a case waits for something that must come: far more than it ever takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A case under way on one shard.
pub(crate) type Running = Pin<Box<dyn Future<Output = ()>>>;

/// One thing that every side must do. It panics when the side does not.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// On how many shards `run` is called, at the same time.
    pub(crate) shard_count: usize,
    pub(crate) run: fn(Reactor, Context) -> Running,
}

/// What the driver gives each shard of a case. The mesh builders are clones of one for all shards.
#[derive(Clone)]
pub(crate) struct Context {
    /// A directory of this case alone; its parent exists, it may itself not.
    pub(crate) directory: PathBuf,
    pub(crate) messages: MeshBuilder<u64>,
    pub(crate) connections: MeshBuilder<Accepted>,
}

impl Context {
    pub(crate) fn new(directory: PathBuf, shard_count: usize) -> Context {
        Context {
            directory,
            messages: MeshBuilder::new(shard_count),
            connections: MeshBuilder::new(shard_count),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// The disk, with the case's directory made.
    pub(crate) async fn disk(&self, reactor: &Reactor) -> Disk {
        let disk = reactor.disk();
        disk.create_dir_all(&self.directory)
            .await
            .expect("make the directory of the case");
        disk
    }

    /// A file of the case, made if it is not there, open for writing.
    pub(crate) async fn file(&self, disk: &Disk, name: &str) -> File {
        disk.open(&self.path(name), writable())
            .await
            .expect("open a file of the case")
    }
}

pub(crate) fn writable() -> OpenOptions {
    OpenOptions {
        write: true,
        create: true,
        lock_within: None,
    }
}

/// Lets every task run that can.
pub(crate) async fn settle(reactor: &Reactor) {
    for _ in 0..20 {
        reactor.yield_now().await;
    }
}

/// A case from an async function of (Reactor, Context).
macro_rules! case {
    ($shard_count:expr, $run:path) => {
        $crate::cases::Case {
            name: stringify!($run),
            shard_count: $shard_count,
            run: |reactor, context| Box::pin($run(reactor, context)),
        }
    };
}
pub(crate) use case;

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(crate::disk::cases());
    cases.extend(crate::names::cases());
    cases.extend(crate::net::cases());
    cases.extend(crate::mesh::cases());
    cases.extend(crate::time::cases());
    cases.extend(crate::sync::cases());
    cases
}

/// Bytes that tell where they belong: no two units, and no two neighbours, are alike.
pub(crate) fn pattern(position: usize, size: usize) -> Vec<u8> {
    (position..position + size)
        .map(|at| {
            (at as u64)
                .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                .to_be_bytes()[0]
        })
        .collect()
}
