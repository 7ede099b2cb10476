//! A directory that has failed, as several shards see it. Here they share one reactor.

use super::*;
use crate::io::sim::DiskFault;

/// The same directory as another shard opens it.
async fn open_again(reactor: &Reactor, fault: &DirectoryFault) -> LogDirectory {
    let options = DirectoryOptions {
        fault: fault.clone(),
        ..DirectoryOptions::new(PathBuf::from(DIRECTORY), TailBudget::new(0))
    };
    LogDirectory::open(reactor, options).await.unwrap()
}

/// Flushes only when it is asked.
fn lazy() -> LogConfig {
    LogConfig {
        flush_before_ack: false,
        ..LogConfig::default()
    }
}

/// Waits until all is written, flushed or not.
async fn written(reactor: &Reactor, log: &Log) {
    while log.unwritten_bytes() > 0 {
        reactor.yield_now().await;
    }
}

#[test]
fn what_one_shard_has_written_no_flush_of_it_confirms_after_one_of_another_shard_failed() {
    let sim = Rc::new(simulation(1));
    let world = Rc::clone(&sim);
    run(&sim, |reactor| async move {
        open_directory(&reactor).await;
        let fault = DirectoryFault::default();
        let first = open_again(&reactor, &fault).await;
        let second = open_again(&reactor, &fault).await;
        let failing = open_log(&first, "failing", lazy()).await;
        let other = open_log(&second, "other", lazy()).await;
        for log in [&failing, &other] {
            let now = reactor.wall_clock();
            append_at(log, 0, now, now);
            written(&reactor, log).await;
        }
        world.fail_disk(MachineId::FIRST, DiskFault::Flush, 1, |path| {
            path.to_string_lossy().contains("failing")
        });
        failing.flush_all().await.unwrap_err();
        let refused = other.flush_all().await;
        assert!(
            matches!(refused, Err(LogError::Failed { .. })),
            "{refused:?}"
        );
        assert_eq!(other.durable_end(), 0);
        // Its own tasks end when it is told.
        second.notice_failure();
        first.failure_noted().await;
        assert!(second.stop().await.is_err());
    });
    // Both have left word, in one file.
    let marker = Path::new(DIRECTORY).join("ringlog-flush-failed.boot-0");
    assert!(sim.file_contents(MachineId::FIRST, &marker).is_some());
}

#[test]
fn a_failed_write_ends_its_directory_and_a_failed_flush_its_device() {
    let failed = |make: fn(&Path, std::io::Error) -> LogError| {
        let first = DirectoryFault::default();
        let neighbour = first.of_neighbour();
        first.report(&make(Path::new("/a"), std::io::Error::from_raw_os_error(5)));
        (first.has_failed(), neighbour.has_failed())
    };
    assert_eq!(failed(LogError::io), (true, false));
    assert_eq!(failed(LogError::flush), (true, true));
}

#[test]
fn a_write_without_room_makes_a_directory_full_and_a_failed_flush_takes_it_away() {
    let error = || std::io::Error::from_raw_os_error(nix::libc::ENOSPC);
    let path = Path::new("/a");
    let fault = DirectoryFault::default();
    let neighbour = fault.of_neighbour();
    // Only the first is news.
    assert!(fault.report(&LogError::io(path, error())));
    assert!(!fault.report(&LogError::io(path, error())));
    assert_eq!(fault.state(), DirectoryState::Full);
    assert!(matches!(fault.failure(), Some(LogError::Full { .. })));
    assert_eq!(neighbour.state(), DirectoryState::Works);
    // What it was to make durable may be lost, whatever the reason.
    assert!(fault.report(&LogError::flush(path, error())));
    assert!(matches!(fault.failure(), Some(LogError::Failed { .. })));
    for each in [fault, neighbour] {
        assert_eq!(each.state(), DirectoryState::Lost);
    }
}

#[test]
fn a_topic_that_cannot_be_deleted_durably_ends_the_directory() {
    let sim = Rc::new(simulation(2));
    let world = Rc::clone(&sim);
    run(&sim, |reactor| async move {
        let (directory, log) = open(&reactor, lazy()).await;
        append(&reactor, &log, 1).await;
        world.fail_disk(MachineId::FIRST, DiskFault::Flush, 1, |path| {
            path == Path::new(DIRECTORY)
        });
        log.delete().await.unwrap_err();
        assert!(directory.has_failed());
    });
}

#[test]
fn a_stop_beside_a_deletion_is_a_clean_one() {
    let sim = simulation(3);
    run(&sim, |reactor| async move {
        let (directory, log) = open(&reactor, lazy()).await;
        let now = reactor.wall_clock();
        append_at(&log, 0, now, now);
        let deleted = log.clone();
        let deleting = reactor.spawn(async move { deleted.delete().await });
        while !log.inner.is_closed.get() {
            reactor.yield_now().await;
        }
        assert!(!deleting.is_finished());
        directory.stop().await.unwrap();
    });
}

#[test]
fn no_checkpoint_promises_anything_after_a_failed_flush() {
    run(&simulation(3), |reactor| async move {
        open_directory(&reactor).await;
        let fault = DirectoryFault::default();
        let directory = open_again(&reactor, &fault).await;
        let log = open_log(&directory, "log", lazy()).await;
        append(&reactor, &log, 3).await;
        let file = Path::new(DIRECTORY).join("log-0/ringlog-checkpoint");
        let before = reactor.disk().read_file(&file, usize::MAX).await.unwrap();
        let error = std::io::Error::from_raw_os_error(nix::libc::EIO);
        directory.fail(&LogError::flush(Path::new("another"), error));
        checkpoint::make(&log.inner).await.unwrap_err();
        let after = reactor.disk().read_file(&file, usize::MAX).await.unwrap();
        assert!(before == after, "the checkpoint has changed");
    });
}
