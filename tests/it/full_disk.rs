//! A disk without room: a broker does not start on it, and one that runs into its end loses nothing
//! that it has acknowledged. Needs a loop device; skipped, with the reason, where there is none.

use std::process::Command;

use nix::sys::signal::Signal;
use ringlog::types::ErrorCode;

use crate::broker::directory;
use crate::process::{BrokerProcess, start_in_vain};
use crate::records::batch;
use crate::topics::{ACKS_ALL, code, create, produce_request, values};

/// A small file system of its own; unmounted when dropped.
struct SmallDisk {
    directory: tempfile::TempDir,
}

impl SmallDisk {
    /// `None`, with the reason printed, where nothing can be mounted.
    fn mount(size: u64) -> Option<SmallDisk> {
        let directory = directory();
        let image = directory.path().join("image");
        std::fs::File::create(&image)
            .unwrap()
            .set_len(size)
            .unwrap();
        let disk = SmallDisk { directory };
        std::fs::create_dir(disk.path()).unwrap();
        let run = |command: &mut Command| command.output().is_ok_and(|done| done.status.success());
        let made = run(Command::new("mkfs.ext4").arg("-q").arg(&image));
        let mounted = made
            && run(Command::new("mount")
                .args(["-o", "loop"])
                .arg(&image)
                .arg(disk.path()));
        if !mounted {
            eprintln!("skipped: an image cannot be mounted (not root, or no loop devices)");
        }
        mounted.then_some(disk)
    }

    fn path(&self) -> std::path::PathBuf {
        self.directory.path().join("disk")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Not mounted where mounting failed.
        let _ = Command::new("umount").arg(self.path()).output();
    }
}

#[test]
fn no_start_without_room() {
    let Some(disk) = SmallDisk::mount(14 << 20) else {
        return;
    };
    let failed = start_in_vain(&disk.path(), &[], || Ok(()));
    let path = disk.path();
    failed.check(&[path.to_str().unwrap(), "full", "free some space"]);
}

#[test]
fn what_was_acknowledged_before_the_disk_was_full_is_there_when_it_has_room_again() {
    let Some(disk) = SmallDisk::mount(96 << 20) else {
        return;
    };
    // Room that is given back later.
    let ballast = disk.directory.path().join("disk/ballast");
    let mut broker = BrokerProcess::start(&disk.path().join("data"), &[]);
    std::fs::write(&ballast, vec![0; 40 << 20]).unwrap();
    let mut wire = broker.connect();
    let topic = create(&mut wire, "t", 2, &[]);
    let mut acknowledged = [Vec::new(), Vec::new()];
    for index in 0..400 {
        let partition = index % 2;
        let value = format!("{index} {}", "x".repeat(500_000));
        let records = Some(batch(&[&value]));
        let request = produce_request(13, ACKS_ALL, &topic, partition as i32, records);
        let sent = wire.send(13, &request);
        let answer = wire.receive(sent);
        let answer = &answer.responses[0].partition_responses[0];
        if answer.error_code != 0 {
            assert_eq!(answer.error_code, code(ErrorCode::KafkaStorageError));
            break;
        }
        assert_eq!(answer.base_offset, acknowledged[partition].len() as i64);
        acknowledged[partition].push(value);
    }
    let count = acknowledged.iter().map(Vec::len).sum::<usize>();
    assert!((10..200).contains(&count), "{count} times 500 KB on 96 MiB");
    // No clean stop any more, and no marker of one.
    broker.signal(Signal::SIGTERM);
    assert_eq!(broker.wait().code(), Some(1));
    assert!(!disk.path().join("data/.kafka_cleanshutdown").exists());
    std::fs::remove_file(&ballast).unwrap();
    let broker = BrokerProcess::start(&disk.path().join("data"), &[]);
    let mut wire = broker.connect();
    for (partition, expected) in (0..).zip(&acknowledged) {
        let stored = values(&mut wire, &topic, partition);
        // What failed may be there too, once.
        assert!(stored.len() <= expected.len() + 1);
        assert!(stored.starts_with(expected), "{} of {count}", stored.len());
    }
}
