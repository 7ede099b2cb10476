//! What only the real machine has: threads, and what is left when they end. The rest is in the
//! conformance suite.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::BytesMut;

use super::{ShardError, StartError, start};
use crate::io::{FileSystem, IoClass, OpenOptions, Reactor, ReactorOptions, WRITE_UNIT};
use crate::types::ShardId;

fn shards(shard_count: usize) -> ReactorOptions {
    ReactorOptions {
        name: "test".to_owned(),
        shard_count,
        ..ReactorOptions::default()
    }
}

fn run_one<T: Send + 'static, F: Future<Output = T> + 'static>(
    body: impl Fn(Reactor) -> F + Clone + Send + 'static,
) -> T {
    let mut results = start(shards(1), body).expect("start a shard").join();
    results.remove(0).expect("the shard ends")
}

#[test]
fn results_come_in_the_order_of_the_shards() {
    let started = start(shards(3), |reactor| async move {
        // The first ends last.
        let steps = 3 - u64::from(reactor.shard().0);
        reactor.sleep(Duration::from_millis(20 * steps)).await;
        (reactor.shard(), reactor.shard_count())
    });
    let results = started.expect("start three shards").join();
    for (index, result) in results.into_iter().enumerate() {
        let shard = ShardId(u16::try_from(index).unwrap());
        assert_eq!(result.unwrap(), (shard, 3));
    }
}

#[test]
fn a_panic_is_told_and_the_others_end() {
    let started = start(shards(2), |reactor| async move {
        assert_eq!(reactor.shard(), ShardId(1), "only shard 1 lives");
        7
    });
    let results = started.expect("start two shards").join();
    match &results[0] {
        Err(ShardError::Panicked { shard, message }) => {
            assert_eq!(*shard, ShardId(0));
            assert!(message.contains("only shard 1 lives"), "{message}");
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(results[1], Ok(7)));
}

#[test]
fn when_one_reactor_cannot_start_nobody_runs() {
    let ran = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&ran);
    let options = ReactorOptions {
        cpus: vec![super::available_cpus()[0], 100_000],
        ..shards(2)
    };
    let started = start(options, move |_| {
        counting.fetch_add(1, Ordering::Relaxed);
        async {}
    });
    match started.map(|_| ()) {
        Err(StartError::Reactor { shard, source }) => {
            assert_eq!(shard, ShardId(1));
            assert!(source.to_string().contains("100000"), "{source}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(ran.load(Ordering::Relaxed), 0);
}

#[test]
fn what_was_called_last_is_done_and_locks_go_with_their_shard() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("segment");
    let sizes = (1..=3).map(|round| {
        let path = path.clone();
        run_one(move |reactor| {
            let path = path.clone();
            async move {
                let disk = reactor.disk();
                let options = OpenOptions {
                    write: true,
                    create: true,
                    lock_within: Some(Duration::ZERO),
                };
                let file = disk.open(&path, options).await.expect("nobody has it");
                let position = round * WRITE_UNIT as u64;
                let buffer = disk.buffer(WRITE_UNIT);
                drop(file.write_at(buffer, position, IoClass::Commit));
                let opened = file.size();
                // A task that never ends holds it open, and locked.
                let sleeper = reactor.clone();
                let holding = reactor.spawn(async move {
                    sleeper.sleep(Duration::from_secs(1000)).await;
                    drop(file);
                });
                holding.detach();
                opened
            }
        })
    });
    let unit = WRITE_UNIT as u64;
    assert_eq!(sizes.collect::<Vec<_>>(), [0, 2 * unit, 3 * unit]);
}

#[test]
fn a_disk_in_memory_works_and_is_known() {
    let memory = Path::new("/dev/shm");
    let Ok(directory) = tempfile::tempdir_in(memory) else {
        return;
    };
    let path = directory.path().join("file");
    let (file_system, read) = run_one(move |reactor| {
        let path = path.clone();
        async move {
            let disk = reactor.disk();
            let facts = disk.facts(path.parent().unwrap()).await.unwrap();
            let options = OpenOptions {
                write: true,
                create: true,
                lock_within: None,
            };
            let file = disk.open(&path, options).await.unwrap();
            let mut buffer = disk.buffer(WRITE_UNIT);
            buffer.as_mut_slice()[5] = 55;
            file.write_at(buffer, 0, IoClass::Commit).await.unwrap();
            let read = file.read_at(5, 1, IoClass::Commit).await.unwrap();
            (facts.file_system, read)
        }
    });
    if file_system == FileSystem::Tmpfs {
        assert_eq!(read, [55][..]);
    }
}

/// A peer that has sent much before it is read.
#[test]
fn what_is_read_at_once_is_bounded_whatever_has_come() {
    const READ_SIZE_MAX: usize = 1 << 20;
    let listener = Arc::new(std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let address = listener.local_addr().unwrap();
    let sizes = run_one(move |reactor| {
        let listener = Arc::clone(&listener);
        async move {
            let stream = reactor.connect(address, Duration::from_secs(5)).await;
            let (mut reader, _writer, _closer) = stream.unwrap().split().unwrap();
            let (mut peer, _) = listener.accept().unwrap();
            peer.set_nonblocking(true).unwrap();
            // As much as the sockets take while nobody reads.
            let mut sent = 0;
            while let Ok(size) = std::io::Write::write(&mut peer, &[7; READ_SIZE_MAX]) {
                sent += size;
            }
            let mut into = BytesMut::with_capacity(sent);
            let mut sizes = Vec::new();
            while into.len() < sent {
                let left = sent - into.len();
                sizes.push(reader.read(&mut into, left).await.unwrap());
            }
            assert!(into.iter().all(|&byte| byte == 7));
            sizes
        }
    });
    let all: usize = sizes.iter().sum();
    assert!(all > 2 * READ_SIZE_MAX, "the sockets took only {all} bytes");
    assert!(sizes.iter().all(|&size| size <= READ_SIZE_MAX), "{sizes:?}");
}
