//! Names: directories, small files, locks, what is missing.

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use ringlog::io::{Disk, IoClass, OpenOptions, Reactor, WRITE_UNIT};

use crate::cases::{Case, Context, PATIENCE, case, writable};

/// Long enough to be waited for, short enough for a test: nothing depends on how long it is.
const SHORT: Duration = Duration::from_millis(20);

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(1, small_files_are_replaced_whole),
        case!(1, two_replacements_of_one_file_do_not_mix),
        case!(1, a_small_file_that_is_too_large_is_an_error),
        case!(1, names_are_listed_renamed_and_removed),
        case!(1, an_open_file_survives_the_loss_of_its_name),
        case!(1, files_can_be_opened_while_they_are_renamed),
        case!(1, what_is_missing_is_not_found),
        case!(1, what_is_no_file_cannot_be_opened),
        case!(1, a_lock_file_has_one_holder),
        case!(1, a_locked_file_is_waited_for),
        case!(1, the_disk_has_facts),
    ]
}

async fn names(disk: &Disk, directory: &Path) -> Vec<String> {
    let entries = disk.list_dir(directory).await.unwrap();
    entries.into_iter().map(|entry| entry.name).collect()
}

async fn small_files_are_replaced_whole(reactor: Reactor, context: Context) {
    let disk = context.disk(&reactor).await;
    let path = context.path("checkpoint");
    for contents in [&b"first"[..], b"", b"a longer second one", b"3"] {
        disk.write_file(&path, contents.to_vec()).await.unwrap();
        assert_eq!(disk.read_file(&path, 100).await.unwrap(), contents);
    }
    assert_eq!(names(&disk, &context.directory).await, ["checkpoint"]);
}

async fn two_replacements_of_one_file_do_not_mix(reactor: Reactor, context: Context) {
    let disk = context.disk(&reactor).await;
    let path = context.path("checkpoint");
    let writes: Vec<_> = (0..8u8)
        .map(|byte| disk.write_file(&path, vec![byte; 10_000 + usize::from(byte)]))
        .collect();
    for write in writes {
        write.await.unwrap();
    }
    let contents = disk.read_file(&path, 20_000).await.unwrap();
    let byte = contents[0];
    assert_eq!(contents, vec![byte; 10_000 + usize::from(byte)]);
    assert_eq!(names(&disk, &context.directory).await, ["checkpoint"]);
}

async fn a_small_file_that_is_too_large_is_an_error(reactor: Reactor, context: Context) {
    let disk = context.disk(&reactor).await;
    let path = context.path("file");
    disk.write_file(&path, vec![1; 100]).await.unwrap();
    assert_eq!(disk.read_file(&path, 100).await.unwrap().len(), 100);
    assert!(disk.read_file(&path, 99).await.is_err());
}

async fn names_are_listed_renamed_and_removed(reactor: Reactor, context: Context) {
    let disk = context.disk(&reactor).await;
    let deep = context.path("b/deep/er");
    disk.create_dir_all(&deep).await.unwrap();
    disk.create_dir_all(&deep).await.unwrap();
    disk.write_file(&context.path("a"), vec![1]).await.unwrap();
    disk.write_file(&context.path("c"), vec![2; 7])
        .await
        .unwrap();
    let entries = disk.list_dir(&context.directory).await.unwrap();
    let seen: Vec<_> = entries
        .iter()
        .map(|entry| (entry.name.as_str(), entry.is_dir, entry.size))
        .collect();
    assert_eq!(seen, [("a", false, 1), ("b", true, 0), ("c", false, 7)]);

    disk.rename(&context.path("c"), &context.path("a"))
        .await
        .unwrap();
    disk.rename(&context.path("b"), &context.path("d"))
        .await
        .unwrap();
    disk.sync_dir(&context.directory).await.unwrap();
    assert_eq!(names(&disk, &context.directory).await, ["a", "d"]);
    let replaced = disk.read_file(&context.path("a"), 10).await.unwrap();
    assert_eq!(replaced, [2; 7]);
    assert_eq!(names(&disk, &context.path("d")).await, ["deep"]);

    disk.remove_file(&context.path("a")).await.unwrap();
    disk.remove_dir_all(&context.path("d")).await.unwrap();
    assert!(names(&disk, &context.directory).await.is_empty());
}

async fn an_open_file_survives_the_loss_of_its_name(reactor: Reactor, context: Context) {
    let disk = context.disk(&reactor).await;
    let file = context.file(&disk, "file").await;
    disk.rename(&context.path("file"), &context.path("deleted"))
        .await
        .unwrap();
    let write = |position| file.write_at(disk.buffer(WRITE_UNIT), position, IoClass::Commit);
    write(0).await.unwrap();
    file.sync_all().await.unwrap();
    let entries = disk.list_dir(&context.directory).await.unwrap();
    assert_eq!(entries[0].name, "deleted");
    assert_eq!(entries[0].size, WRITE_UNIT as u64);
    disk.remove_file(&context.path("deleted")).await.unwrap();
    write(WRITE_UNIT as u64).await.unwrap();
    let read = file.read_at(0, 3 * WRITE_UNIT, IoClass::Commit).await;
    assert_eq!(read.unwrap().len(), 2 * WRITE_UNIT);
    file.set_size(10).await.unwrap();
    assert_eq!(file.size(), 10);
}

async fn files_can_be_opened_while_they_are_renamed(reactor: Reactor, context: Context) {
    let disk = context.disk(&reactor).await;
    for round in 0..50 {
        let (from, to) = (round.to_string(), format!("{round}-renamed"));
        drop(context.file(&disk, &from).await);
        let opened = disk.open(&context.path(&from), OpenOptions::default());
        let renamed = disk.rename(&context.path(&from), &context.path(&to));
        renamed.await.unwrap();
        match opened.await {
            Ok(file) => assert_eq!(file.size(), 0),
            Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound),
        }
    }
}

async fn what_is_missing_is_not_found(reactor: Reactor, context: Context) {
    let disk = context.disk(&reactor).await;
    let missing = context.path("missing");
    let inside = context.path("missing/file");
    let errors = [
        disk.open(&missing, OpenOptions::default()).await.err(),
        disk.open(&inside, writable()).await.err(),
        disk.read_file(&missing, 10).await.err(),
        disk.write_file(&inside, vec![]).await.err(),
        disk.remove_file(&missing).await.err(),
        disk.remove_dir_all(&missing).await.err(),
        disk.rename(&missing, &context.path("other")).await.err(),
        disk.list_dir(&missing).await.err(),
        disk.sync_dir(&missing).await.err(),
        disk.lock_file(&inside).await.err(),
        disk.facts(&missing).await.err(),
    ];
    for (index, error) in errors.into_iter().enumerate() {
        let kind = error.map(|error| error.kind());
        assert_eq!(kind, Some(ErrorKind::NotFound), "call {index}");
    }
    assert!(names(&disk, &context.directory).await.is_empty());
}

async fn what_is_no_file_cannot_be_opened(reactor: Reactor, context: Context) {
    let disk = context.disk(&reactor).await;
    let path = context.path("directory");
    disk.create_dir_all(&path).await.unwrap();
    assert!(disk.open(&path, OpenOptions::default()).await.is_err());
    assert!(disk.open(&path, writable()).await.is_err());
}

async fn a_lock_file_has_one_holder(reactor: Reactor, context: Context) {
    let disk = context.disk(&reactor).await;
    let path = context.path(".lock");
    let held = disk.lock_file(&path).await.unwrap();
    for _ in 0..2 {
        let second = disk.lock_file(&path).await.map(drop);
        assert_eq!(second.unwrap_err().kind(), ErrorKind::WouldBlock);
    }
    drop(held);
    let third = disk.lock_file(&path).await;
    assert!(third.is_ok(), "a lock outlives its holder");
}

async fn a_locked_file_is_waited_for(reactor: Reactor, context: Context) {
    let disk = context.disk(&reactor).await;
    let path = context.path("segment");
    let open = |patience| {
        let options = OpenOptions {
            lock_within: Some(patience),
            ..writable()
        };
        disk.open(&path, options)
    };
    let held = open(SHORT).await.unwrap();
    let refused = open(SHORT).await.map(drop);
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::WouldBlock);
    let waiting = open(PATIENCE);
    let sleeper = reactor.clone();
    let buffer = disk.buffer(WRITE_UNIT);
    let releasing = reactor.spawn(async move {
        sleeper.sleep(SHORT).await;
        held.write_at(buffer, 0, IoClass::Commit).await.unwrap();
    });
    let granted = waiting.await.unwrap();
    assert!(releasing.is_finished(), "granted while another had it");
    let size = granted.size();
    assert_eq!(size, WRITE_UNIT as u64, "the size is from before the lock");
    let unlocked = disk.open(&path, OpenOptions::default()).await;
    assert!(unlocked.is_ok(), "who wants no lock is not kept out");
}

async fn the_disk_has_facts(reactor: Reactor, context: Context) {
    let disk = context.disk(&reactor).await;
    let facts = disk.facts(&context.directory).await.unwrap();
    assert!(facts.total_bytes > 0 && facts.free_bytes <= facts.total_bytes);
    for size in [facts.logical_block_size, facts.physical_block_size] {
        assert!(size.is_power_of_two() && size >= 512, "{facts:?}");
    }
}
