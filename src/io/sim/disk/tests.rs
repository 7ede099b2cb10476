use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::future::Future;
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use nix::libc;

use super::super::{DiskFault, FaultCounts, FaultPlan, MachineId, SimOptions, Simulation};
use crate::io::{Disk, File, IoClass, OpenOptions, Reactor, WRITE_UNIT};

const HERE: MachineId = MachineId::FIRST;
const UNIT: u64 = WRITE_UNIT as u64;
/// Enough seeds that whatever a power cut may leave is left in one of them.
const SEED_COUNT: u64 = 60;

const CREATE: OpenOptions = OpenOptions {
    write: true,
    create: true,
    lock_within: None,
};

async fn write(file: &File, disk: &Disk, unit: u64, fill: u8) -> std::io::Result<()> {
    write_units(file, disk, unit, 1, fill).await
}

async fn write_units(
    file: &File,
    disk: &Disk,
    unit: u64,
    count: usize,
    fill: u8,
) -> std::io::Result<()> {
    let mut buffer = disk.buffer(count * WRITE_UNIT);
    buffer.as_mut_slice().fill(fill);
    file.write_at(buffer, unit * UNIT, IoClass::Commit)
        .await
        .map(|_| ())
}

/// A file `/d/name` of so many units of 1s, durable with its name.
async fn durable_file(disk: &Disk, name: &str, unit_count: usize) -> File {
    disk.create_dir_all(Path::new("/d")).await.unwrap();
    let path = Path::new("/d").join(name);
    let file = disk.open(&path, CREATE).await.unwrap();
    write_units(&file, disk, 0, unit_count, 1).await.unwrap();
    file.sync_all().await.unwrap();
    disk.sync_dir(Path::new("/d")).await.unwrap();
    disk.sync_dir(Path::new("/")).await.unwrap();
    file
}

/// Runs `body` on fresh worlds, cuts the power after it, and returns what `/d/a` held, a byte a
/// unit, by seed; `None` where its name was lost.
fn survivors<F: Future<Output = ()> + 'static>(
    body: impl Fn(Reactor) -> F + Copy + 'static,
) -> BTreeSet<Option<Vec<u8>>> {
    let cut = |seed| {
        let sim = Simulation::new(SimOptions::with_seed(seed));
        sim.run(HERE, body);
        sim.power_cut(HERE);
        assert_eq!(sim.fault_counts().power_cuts, 1);
        let contents = sim.file_contents(HERE, Path::new("/d/a"))?;
        Some(contents.chunks(WRITE_UNIT).map(|unit| unit[0]).collect())
    };
    (0..SEED_COUNT).map(cut).collect()
}

fn sets(all: &[&[u8]]) -> BTreeSet<Option<Vec<u8>>> {
    all.iter().map(|units| Some(units.to_vec())).collect()
}

#[test]
fn an_unflushed_overwrite_survives_in_some_seeds() {
    let left = survivors(|reactor| async move {
        let disk = reactor.disk();
        let file = durable_file(&disk, "a", 2).await;
        write(&file, &disk, 0, 2).await.unwrap();
        write(&file, &disk, 1, 2).await.unwrap();
    });
    assert_eq!(left, sets(&[&[1, 1], &[1, 2], &[2, 1], &[2, 2]]));
}

#[test]
fn a_device_flush_makes_overwrites_of_other_files_durable() {
    let left = survivors(|reactor| async move {
        let disk = reactor.disk();
        let file = durable_file(&disk, "a", 2).await;
        let flush = disk.device_flush(Path::new("/d/flush")).await.unwrap();
        write(&file, &disk, 0, 2).await.unwrap();
        flush.flush().await.unwrap();
        write(&file, &disk, 1, 2).await.unwrap();
    });
    assert_eq!(left, sets(&[&[2, 1], &[2, 2]]));
}

#[test]
fn a_flush_covers_only_what_had_completed_when_it_was_submitted() {
    let left = survivors(|reactor| async move {
        let disk = reactor.disk();
        let file = durable_file(&disk, "a", 1).await;
        let flush = disk.device_flush(Path::new("/d/flush")).await.unwrap();
        let flushed = flush.flush();
        reactor.yield_now().await;
        reactor.yield_now().await;
        write(&file, &disk, 0, 2).await.unwrap();
        flushed.await.unwrap();
    });
    assert_eq!(left, sets(&[&[1], &[2]]));
}

#[test]
fn a_sync_of_a_written_file_covers_only_itself() {
    let left = survivors(|reactor| async move {
        let disk = reactor.disk();
        let file = durable_file(&disk, "a", 1).await;
        let other = durable_file(&disk, "b", 1).await;
        write(&file, &disk, 0, 2).await.unwrap();
        write(&other, &disk, 0, 2).await.unwrap();
        other.sync_data().await.unwrap();
    });
    assert_eq!(left, sets(&[&[1], &[2]]));
}

#[test]
fn new_blocks_need_a_sync_of_their_own_file() {
    // Appended and device-flushed only: the size, or the block behind it, may be lost.
    let left = survivors(|reactor| async move {
        let disk = reactor.disk();
        let file = durable_file(&disk, "a", 1).await;
        let flush = disk.device_flush(Path::new("/d/flush")).await.unwrap();
        write(&file, &disk, 1, 2).await.unwrap();
        flush.flush().await.unwrap();
    });
    assert_eq!(left, sets(&[&[1], &[1, 2], &[1, 0]]));
    // A hole inside the synced size: its size stays, its block may not.
    let left = survivors(|reactor| async move {
        let disk = reactor.disk();
        let file = durable_file(&disk, "a", 1).await;
        file.set_size(2 * UNIT).await.unwrap();
        file.sync_all().await.unwrap();
        let flush = disk.device_flush(Path::new("/d/flush")).await.unwrap();
        write(&file, &disk, 1, 2).await.unwrap();
        flush.flush().await.unwrap();
    });
    assert_eq!(left, sets(&[&[1, 0], &[1, 2]]));
    // Its own sync, of either kind, is enough.
    let left = survivors(|reactor| async move {
        let disk = reactor.disk();
        let file = durable_file(&disk, "a", 1).await;
        write(&file, &disk, 1, 2).await.unwrap();
        file.sync_data().await.unwrap();
    });
    assert_eq!(left, sets(&[&[1, 2]]));
}

#[test]
fn zeros_written_ahead_make_later_writes_flushable_by_the_device() {
    let left = survivors(|reactor| async move {
        let disk = reactor.disk();
        let file = durable_file(&disk, "a", 1).await;
        let flush = disk.device_flush(Path::new("/d/flush")).await.unwrap();
        file.write_zeros(UNIT, 3 * UNIT, IoClass::Background)
            .await
            .unwrap();
        file.sync_data().await.unwrap();
        write(&file, &disk, 1, 2).await.unwrap();
        flush.flush().await.unwrap();
    });
    assert_eq!(left, sets(&[&[1, 2, 0]]));
}

#[test]
fn a_cut_is_durable_only_after_sync_all() {
    let left = survivors(|reactor| async move {
        let disk = reactor.disk();
        let file = durable_file(&disk, "a", 3).await;
        file.set_size(UNIT).await.unwrap();
        file.sync_data().await.unwrap();
    });
    assert_eq!(left, sets(&[&[1], &[1, 1, 1]]));
    let left = survivors(|reactor| async move {
        let disk = reactor.disk();
        let file = durable_file(&disk, "a", 3).await;
        file.set_size(UNIT).await.unwrap();
        file.sync_all().await.unwrap();
    });
    assert_eq!(left, sets(&[&[1]]));
}

#[test]
fn a_write_in_flight_is_torn_by_a_power_cut() {
    let (mut left, mut counts) = (BTreeSet::new(), FaultCounts::default());
    for seed in 0..200 {
        let sim = Simulation::new(SimOptions::with_seed(seed));
        let submitted = Rc::new(Cell::new(false));
        let process = sim.start(HERE, 1, |reactor| {
            let submitted = Rc::clone(&submitted);
            async move {
                let disk = reactor.disk();
                let file = durable_file(&disk, "a", 3).await;
                let writing = write_units(&file, &disk, 0, 3, 2);
                submitted.set(true);
                writing.await.unwrap();
                std::future::pending().await
            }
        });
        sim.run_until(|_| submitted.get());
        sim.run_steps(1);
        sim.power_cut(HERE);
        assert!(!sim.is_running(process));
        let contents = sim.file_contents(HERE, Path::new("/d/a")).unwrap();
        left.insert(
            contents
                .chunks(WRITE_UNIT)
                .map(|unit| unit[0])
                .collect::<Vec<_>>(),
        );
        counts.torn_writes += sim.fault_counts().torn_writes;
    }
    assert_eq!(left.len(), 8, "every subset of three units: {left:?}");
    assert!(counts.torn_writes > 10);
}

#[test]
fn a_name_needs_a_sync_of_its_directory() {
    let left = survivors(|reactor| async move {
        let disk = reactor.disk();
        durable_file(&disk, "b", 1).await;
        let file = disk.open(Path::new("/d/a"), CREATE).await.unwrap();
        write(&file, &disk, 0, 2).await.unwrap();
        file.sync_all().await.unwrap();
    });
    assert_eq!(left, BTreeSet::from([None, Some(vec![2])]));
    let left = survivors(|reactor| async move {
        let disk = reactor.disk();
        durable_file(&disk, "a", 1).await;
        disk.remove_file(Path::new("/d/a")).await.unwrap();
    });
    assert_eq!(left, BTreeSet::from([None, Some(vec![1])]));
    let left = survivors(|reactor| async move {
        let disk = reactor.disk();
        durable_file(&disk, "b", 1).await;
        disk.rename(Path::new("/d/b"), Path::new("/d/a"))
            .await
            .unwrap();
        disk.sync_dir(Path::new("/d")).await.unwrap();
    });
    assert_eq!(left, sets(&[&[1]]));
}

#[test]
fn write_file_is_whole_and_durable_and_never_half() {
    let left = survivors(|reactor| async move {
        let disk = reactor.disk();
        durable_file(&disk, "a", 1).await;
        disk.write_file(Path::new("/d/a"), vec![2; WRITE_UNIT])
            .await
            .unwrap();
    });
    assert_eq!(left, sets(&[&[2]]));
    let left = survivors(|reactor| async move {
        let disk = reactor.disk();
        durable_file(&disk, "a", 1).await;
        disk.write_file(Path::new("/d/a"), vec![2; 2 * WRITE_UNIT])
            .detach();
        reactor.yield_now().await;
        reactor.yield_now().await;
    });
    assert_eq!(left, sets(&[&[1], &[2, 2]]));
}

#[test]
fn removed_directories_give_their_room_back() {
    let sim = Simulation::new(SimOptions::with_seed(1));
    let free = sim.run(HERE, |reactor| async move {
        let disk = reactor.disk();
        let root = Path::new("/");
        let before = disk.facts(root).await.unwrap().free_bytes;
        let file = durable_file(&disk, "a", 8).await;
        let filled = disk.facts(root).await.unwrap().free_bytes;
        drop(file);
        disk.remove_dir_all(Path::new("/d")).await.unwrap();
        disk.sync_dir(root).await.unwrap();
        [before, filled, disk.facts(root).await.unwrap().free_bytes]
    });
    assert_eq!(free[0] - free[1], 8 * UNIT);
    assert_eq!(free[0], free[2]);
}

#[test]
fn a_kill_may_leave_a_small_file_old_or_new_with_a_rest_aside() {
    let mut left = BTreeSet::new();
    for seed in 0..SEED_COUNT {
        let sim = Simulation::new(SimOptions::with_seed(seed));
        let submitted = Rc::new(Cell::new(false));
        let killed = sim.start(HERE, 1, |reactor| {
            let submitted = Rc::clone(&submitted);
            async move {
                let disk = reactor.disk();
                disk.write_file(Path::new("/a"), vec![1]).await.unwrap();
                disk.write_file(Path::new("/a"), vec![2]).detach();
                reactor.yield_now().await;
                reactor.yield_now().await;
                submitted.set(true);
                std::future::pending().await
            }
        });
        sim.run_until(|_| submitted.get());
        sim.kill(killed);
        sim.run_for(Duration::from_secs(1));
        let is_aside = sim.file_contents(HERE, Path::new("/a.tmp")).is_some();
        left.insert((sim.file_contents(HERE, Path::new("/a")).unwrap(), is_aside));
    }
    assert_eq!(
        left,
        BTreeSet::from([(vec![1], false), (vec![1], true), (vec![2], false)])
    );
}

/// Kills a process with a write in flight, starts another at once, and returns what that read first
/// and what was there in the end.
fn read_after_kill(seed: u64, lock: bool) -> (u8, u8, FaultCounts) {
    let sim = Simulation::new(SimOptions::with_seed(seed));
    let submitted = Rc::new(Cell::new(false));
    let lock_within = lock.then_some(Duration::from_secs(1));
    let options = OpenOptions {
        lock_within,
        ..CREATE
    };
    let killed = sim.start(HERE, 1, |reactor| {
        let (submitted, options) = (Rc::clone(&submitted), options.clone());
        async move {
            let disk = reactor.disk();
            drop(durable_file(&disk, "a", 1).await);
            let file = disk.open(Path::new("/d/a"), options).await.unwrap();
            let mut buffer = disk.buffer(WRITE_UNIT);
            buffer.as_mut_slice().fill(2);
            file.write_at(buffer, 0, IoClass::Commit).detach();
            reactor.yield_now().await;
            reactor.yield_now().await;
            submitted.set(true);
            std::future::pending().await
        }
    });
    sim.run_until(|_| submitted.get());
    sim.kill(killed);
    let first = sim.run(HERE, |reactor| async move {
        let file = reactor
            .disk()
            .open(Path::new("/d/a"), options)
            .await
            .unwrap();
        file.read_at(0, 1, IoClass::Commit).await.unwrap()[0]
    });
    sim.run_for(Duration::from_secs(1));
    let last = sim.file_contents(HERE, Path::new("/d/a")).unwrap()[0];
    (first, last, sim.fault_counts())
}

#[test]
fn writes_of_a_killed_process_land_late_but_never_after_its_lock() {
    let changed = |lock| {
        let runs = (0..SEED_COUNT).map(|seed| read_after_kill(seed, lock));
        let (mut changed_count, mut late_count) = (0, 0);
        for (first, last, counts) in runs {
            changed_count += u32::from(first != last);
            late_count += counts.late_writes;
            assert_eq!(counts.kills, 1);
        }
        (changed_count, late_count)
    };
    let (changed_count, late_count) = changed(false);
    assert!(
        changed_count > 10,
        "{changed_count} changed behind a reader without the lock"
    );
    assert!(late_count > 10);
    let (changed_count, late_count) = changed(true);
    assert_eq!(changed_count, 0, "with the lock nothing changes any more");
    assert!(late_count > 10);
}

#[test]
fn a_lock_keeps_others_out_while_it_is_held() {
    let sim = Simulation::new(SimOptions::with_seed(1));
    let path = Path::new("/lock");
    let owner = sim.start(HERE, 1, |reactor| async move {
        let _lock = reactor.disk().lock_file(path).await.unwrap();
        std::future::pending().await
    });
    sim.run_for(Duration::from_millis(1));
    let try_lock = || {
        sim.run(HERE, |reactor| async move {
            let disk = reactor.disk();
            let lock_within = Some(Duration::from_millis(20));
            let waiting = disk.open(
                path,
                OpenOptions {
                    lock_within,
                    ..CREATE
                },
            );
            let lock = disk
                .lock_file(path)
                .await
                .map(drop)
                .map_err(|error| error.kind());
            (lock, waiting.await.map(drop).map_err(|error| error.kind()))
        })
    };
    assert_eq!(
        try_lock(),
        (Err(ErrorKind::WouldBlock), Err(ErrorKind::WouldBlock))
    );
    sim.kill(owner);
    let (first, second) = try_lock();
    assert!(first.is_ok() || second.is_ok());
}

#[test]
fn two_writes_in_flight_to_one_unit_are_a_broken_rule() {
    let sim = Simulation::new(SimOptions::with_seed(1));
    let run = || {
        sim.run(HERE, |reactor| async move {
            let disk = reactor.disk();
            let file = durable_file(&disk, "a", 4).await;
            let first = file.write_at(disk.buffer(2 * WRITE_UNIT), 0, IoClass::Commit);
            let second = file.write_at(disk.buffer(WRITE_UNIT), UNIT, IoClass::Commit);
            first.await.unwrap();
            second.await.unwrap();
        });
    };
    let panic = catch_unwind(AssertUnwindSafe(run)).unwrap_err();
    let message = panic.downcast_ref::<String>().unwrap();
    assert!(
        message.contains("two writes cover the same unit of /d/a"),
        "{message}"
    );
}

#[test]
fn reads_during_a_write_see_whole_units() {
    let mut seen = BTreeSet::new();
    for seed in 0..100 {
        let sim = Simulation::new(SimOptions::with_seed(seed));
        seen.insert(sim.run(HERE, |reactor| async move {
            let disk = reactor.disk();
            let file = durable_file(&disk, "a", 2).await;
            let mut buffer = disk.buffer(2 * WRITE_UNIT);
            buffer.as_mut_slice().fill(2);
            let writing = file.write_at(buffer, 0, IoClass::Commit);
            let read = file
                .read_at(0, 2 * WRITE_UNIT, IoClass::Commit)
                .await
                .unwrap();
            writing.await.unwrap();
            for unit in read.chunks(WRITE_UNIT) {
                assert!(
                    unit.iter().all(|byte| *byte == unit[0]),
                    "a unit is never half"
                );
            }
            [read[0], read[WRITE_UNIT]]
        }));
    }
    assert_eq!(seen, BTreeSet::from([[1, 1], [1, 2], [2, 1], [2, 2]]));
}

#[test]
fn completions_come_out_of_order() {
    let orders: BTreeSet<Vec<u64>> = (0..30)
        .map(|seed| {
            let sim = Simulation::new(SimOptions::with_seed(seed));
            sim.run(HERE, |reactor| async move {
                let disk = reactor.disk();
                let file = durable_file(&disk, "a", 3).await;
                let order = Rc::new(RefCell::new(Vec::new()));
                let tasks: Vec<_> = (0..3)
                    .map(|unit| {
                        let (file, disk, order) = (file.clone(), disk.clone(), Rc::clone(&order));
                        reactor.spawn(async move {
                            write(&file, &disk, unit, 2).await.unwrap();
                            order.borrow_mut().push(unit);
                        })
                    })
                    .collect();
                for task in tasks {
                    task.await;
                }
                order.take()
            })
        })
        .collect();
    assert_eq!(orders.len(), 6, "{orders:?}");
}

fn code(result: std::io::Result<()>) -> Option<i32> {
    result.err().and_then(|error| error.raw_os_error())
}

#[test]
fn chosen_operations_fail() {
    let sim = Simulation::new(SimOptions::with_seed(1));
    for fault in [DiskFault::Read, DiskFault::Write, DiskFault::Flush] {
        sim.fail_disk(HERE, fault, 1, |path| path.ends_with("a"));
    }
    sim.run(HERE, |reactor| async move {
        let disk = reactor.disk();
        disk.create_dir_all(Path::new("/d")).await.unwrap();
        let file = disk.open(Path::new("/d/a"), CREATE).await.unwrap();
        let other = disk.open(Path::new("/d/b"), CREATE).await.unwrap();
        write(&other, &disk, 0, 1).await.unwrap();
        for expected in [Some(libc::EIO), None] {
            assert_eq!(code(write(&file, &disk, 0, 1).await), expected);
            assert_eq!(code(file.sync_data().await), expected);
            assert_eq!(
                code(file.read_at(0, 1, IoClass::Commit).await.map(drop)),
                expected
            );
        }
    });
    let counts = sim.fault_counts();
    assert_eq!(
        (counts.read_errors, counts.write_errors, counts.flush_errors),
        (1, 1, 1)
    );
}

#[test]
fn after_a_failed_flush_a_successful_one_proves_nothing() {
    let mut left = BTreeSet::new();
    for seed in 0..SEED_COUNT {
        let sim = Simulation::new(SimOptions::with_seed(seed));
        sim.fail_disk(HERE, DiskFault::Flush, 1, |path| path.ends_with("flush"));
        sim.run(HERE, |reactor| async move {
            let disk = reactor.disk();
            let file = durable_file(&disk, "a", 1).await;
            let flush = disk.open(Path::new("/d/flush"), CREATE).await.unwrap();
            write(&file, &disk, 0, 2).await.unwrap();
            assert_eq!(code(flush.sync_data().await), Some(libc::EIO));
            flush.sync_data().await.unwrap();
            assert_eq!(file.read_at(0, 1, IoClass::Commit).await.unwrap()[0], 2);
        });
        sim.power_cut(HERE);
        left.insert(sim.file_contents(HERE, Path::new("/d/a")).unwrap()[0]);
    }
    assert_eq!(left, BTreeSet::from([1, 2]));
}

#[test]
fn what_a_failed_write_has_left_and_a_sync_has_covered_stays() {
    let mut read = BTreeSet::new();
    for seed in 0..SEED_COUNT {
        let sim = Simulation::new(SimOptions::with_seed(seed));
        sim.run(HERE, |reactor| async move {
            durable_file(&reactor.disk(), "a", 1).await;
        });
        sim.fail_disk(HERE, DiskFault::Write, 1, |path| path.ends_with("a"));
        let found = sim.run(HERE, |reactor| async move {
            let disk = reactor.disk();
            let file = disk.open(Path::new("/d/a"), CREATE).await.unwrap();
            assert_eq!(code(write(&file, &disk, 1, 2).await), Some(libc::EIO));
            write(&file, &disk, 2, 3).await.unwrap();
            file.sync_all().await.unwrap();
            file.read_at(UNIT, 1, IoClass::Commit).await.unwrap()[0]
        });
        sim.power_cut(HERE);
        let left = sim.file_contents(HERE, Path::new("/d/a")).unwrap();
        assert_eq!(left[UNIT as usize], found, "seed {seed}");
        read.insert(found);
    }
    assert_eq!(read, BTreeSet::from([0, 2]));
}

#[test]
fn a_full_disk_takes_overwrites_only() {
    let sim = Simulation::new(SimOptions::with_seed(1));
    sim.set_disk_capacity(HERE, 3 * UNIT);
    sim.run(HERE, |reactor| async move {
        let disk = reactor.disk();
        let file = durable_file(&disk, "a", 2).await;
        assert_eq!(
            code(write_units(&file, &disk, 2, 2, 1).await),
            Some(libc::ENOSPC)
        );
        write(&file, &disk, 2, 1).await.unwrap();
        assert_eq!(code(write(&file, &disk, 3, 1).await), Some(libc::ENOSPC));
        write(&file, &disk, 0, 2).await.unwrap();
        let replaced = disk.write_file(Path::new("/d/small"), vec![1]).await;
        assert_eq!(code(replaced), Some(libc::ENOSPC));
    });
    assert_eq!(sim.fault_counts().no_space, 3);
}

#[test]
fn faults_of_the_plan_fire_and_are_counted() {
    let sim = Simulation::new(SimOptions {
        faults: FaultPlan {
            write_error: 0.5,
            slow_disk: 0.5,
            ..FaultPlan::none()
        },
        ..SimOptions::with_seed(1)
    });
    let failed_count = sim.run(HERE, |reactor| async move {
        let disk = reactor.disk();
        let file = disk.open(Path::new("/a"), CREATE).await.unwrap();
        let mut failed_count = 0;
        for unit in 0..100 {
            failed_count += u64::from(write(&file, &disk, unit, 1).await.is_err());
        }
        failed_count
    });
    let counts = sim.fault_counts();
    assert_eq!(counts.write_errors, failed_count);
    assert!((30..70).contains(&failed_count) && (30..70).contains(&counts.slow_operations));
    assert!(
        sim.now().0 > 30 * 4_000_000,
        "slow operations take their time"
    );
}

#[test]
fn put_and_corrupted_files_are_what_processes_read() {
    let sim = Simulation::new(SimOptions::with_seed(1));
    let path = Path::new("/d/deep/a");
    sim.put_file(HERE, path, &[1; 5000]).unwrap();
    assert!(sim.corrupt(HERE, path, 4999));
    assert!(!sim.corrupt(HERE, path, 1 << 20) && !sim.corrupt(HERE, Path::new("/x"), 0));
    sim.power_cut(HERE);
    let contents = sim.run(HERE, move |reactor| async move {
        let disk = reactor.disk();
        let names = disk.list_dir(Path::new("/d/deep")).await.unwrap();
        assert_eq!((names.len(), names[0].size), (1, 5000));
        let error = disk.read_file(path, 4999).await.unwrap_err();
        assert!(error.to_string().contains("5000 bytes"), "{error}");
        disk.read_file(path, 5000).await.unwrap()
    });
    assert_eq!(contents[..4999], [1; 4999]);
    assert_ne!(contents[4999], 1);
}

#[test]
fn a_write_that_was_lost_or_went_astray_has_succeeded() {
    let sim = Simulation::new(SimOptions::with_seed(1));
    let path = Path::new("/d/a");
    sim.run(HERE, |reactor| async move {
        let disk = reactor.disk();
        let file = durable_file(&disk, "a", 3).await;
        write(&file, &disk, 0, 2).await.unwrap();
        write(&file, &disk, 1, 3).await.unwrap();
    });
    assert!(sim.lose_write(HERE, path, 0, 100));
    assert!(sim.misdirect_write(HERE, path, (1, 2), 0));
    assert!(!sim.lose_write(HERE, path, 7, 0) && !sim.misdirect_write(HERE, path, (0, 7), 0));
    let contents = sim.file_contents(HERE, path).unwrap();
    let bytes = |fill: u8, count: usize| std::iter::repeat_n(fill, count);
    let expected = bytes(2, 100).chain(bytes(0, 2 * WRITE_UNIT - 100));
    let expected: Vec<u8> = expected.chain(bytes(3, WRITE_UNIT)).collect();
    assert!(contents == expected);
    assert_eq!(sim.files(HERE, Path::new("/d")), ["a"]);
    let counts = sim.fault_counts();
    assert_eq!((counts.lost_writes, counts.misdirected_writes), (1, 1));
}

#[test]
fn what_is_stuck_takes_long_and_succeeds() {
    let sim = Simulation::new(SimOptions {
        faults: FaultPlan {
            stuck_disk: 1.0,
            ..FaultPlan::none()
        },
        ..SimOptions::with_seed(1)
    });
    sim.run(HERE, |reactor| async move {
        let disk = reactor.disk();
        let file = disk.open(Path::new("/a"), CREATE).await.unwrap();
        write(&file, &disk, 0, 1).await.unwrap();
        // Of a directory it flushes no data.
        disk.sync_dir(Path::new("/")).await.unwrap();
        file.sync_data().await.unwrap();
    });
    let counts = sim.fault_counts();
    assert_eq!(
        (counts.stuck_operations, counts.bare_directory_syncs),
        (4, 1)
    );
    assert!(sim.now().0 > 4_000_000_000 && sim.now().0 < 121_000_000_000);
}
