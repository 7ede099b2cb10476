//! Files: reads, writes, sizes, flushes, the budget of background traffic.

use ringlog::io::{IoClass, OpenOptions, Reactor, WRITE_UNIT, WriteBuffer};

use crate::cases::{
    BACKGROUND_BYTES_MAX, Case, Context, PATIENCE, case, pattern, settle, writable,
};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(1, reads_at_every_alignment_are_short_only_at_the_end),
        case!(1, size_follows_writes_and_cuts),
        case!(1, what_lies_behind_a_cut_comes_back_as_zeros),
        case!(1, concurrent_writes_to_different_units_all_land),
        case!(1, a_write_whose_future_is_dropped_lands),
        case!(1, a_buffer_comes_back_from_its_write),
        case!(1, buffers_are_zeroed),
        case!(1, zeros_are_written_over_any_range),
        case!(1, a_second_open_sees_what_was_written),
        case!(1, a_file_opened_for_reading_refuses_writes),
        case!(1, empty_files_first_do_not_spoil_later_reads),
        case!(1, a_device_flush_file_is_made_once),
        case!(1, background_traffic_is_served_in_order_within_its_budget),
        case!(1, a_background_request_larger_than_the_budget_passes),
        case!(2, two_shards_read_and_write_one_file),
    ]
}

fn filled(mut buffer: WriteBuffer, position: usize) -> WriteBuffer {
    let size = buffer.size();
    buffer
        .as_mut_slice()
        .copy_from_slice(&pattern(position, size));
    buffer
}

async fn reads_at_every_alignment_are_short_only_at_the_end(reactor: Reactor, context: Context) {
    let disk = context.disk(&reactor).await;
    let file = context.file(&disk, "file").await;
    let buffer = filled(disk.buffer(3 * WRITE_UNIT), 0);
    file.write_at(buffer, 0, IoClass::Commit).await.unwrap();
    let size = 3 * WRITE_UNIT - 123;
    file.set_size(size as u64).await.unwrap();
    let all = pattern(0, size);
    let positions = [
        0,
        1,
        511,
        512,
        4095,
        4096,
        4097,
        8000,
        size - 1,
        size,
        size + 1,
        20_000,
    ];
    let sizes = [1, 2, 511, 512, 513, 4096, 5000, 8192, 20_000];
    for position in positions {
        for wanted in sizes {
            let read = file.read_at(position as u64, wanted, IoClass::Commit).await;
            let start = position.min(size);
            let end = (position + wanted).min(size);
            let expected = all.get(start..end).unwrap_or_default();
            assert_eq!(read.unwrap(), expected, "{wanted} bytes at {position}");
        }
    }
}

async fn size_follows_writes_and_cuts(reactor: Reactor, context: Context) {
    let disk = context.disk(&reactor).await;
    let file = context.file(&disk, "file").await;
    assert_eq!(file.size(), 0);
    let unit = WRITE_UNIT as u64;
    let write = |position| file.write_at(disk.buffer(WRITE_UNIT), position, IoClass::Commit);
    write(0).await.unwrap();
    assert_eq!(file.size(), unit);
    write(2 * unit).await.unwrap();
    assert_eq!(file.size(), 3 * unit);
    write(0).await.unwrap();
    assert_eq!(file.size(), 3 * unit, "a write inside does not change it");
    file.set_size(5000).await.unwrap();
    assert_eq!(file.size(), 5000);
    let reopened = disk.open(&context.path("file"), OpenOptions::default());
    assert_eq!(reopened.await.unwrap().size(), 5000);
    assert_eq!(file.clone().size(), 5000, "clones are the same file");
    file.sync_all().await.unwrap();
    let listed = disk.list_dir(&context.directory).await.unwrap();
    assert_eq!(listed[0].size, 5000);
}

async fn what_lies_behind_a_cut_comes_back_as_zeros(reactor: Reactor, context: Context) {
    let disk = context.disk(&reactor).await;
    let file = context.file(&disk, "file").await;
    let buffer = filled(disk.buffer(2 * WRITE_UNIT), 0);
    file.write_at(buffer, 0, IoClass::Commit).await.unwrap();
    file.set_size(100).await.unwrap();
    let read = file.read_at(0, 2 * WRITE_UNIT, IoClass::Commit).await;
    assert_eq!(read.unwrap(), pattern(0, 100));
    file.set_size(9000).await.unwrap();
    let read = file.read_at(0, 9000, IoClass::Commit).await.unwrap();
    assert_eq!(read[..100], pattern(0, 100));
    assert_eq!(read[100..], vec![0; 8900], "the extended part is a hole");
}

async fn concurrent_writes_to_different_units_all_land(reactor: Reactor, context: Context) {
    const COUNT: usize = 64;
    let disk = context.disk(&reactor).await;
    let file = context.file(&disk, "file").await;
    // Every 7th modulo 64: all of them, in no order that a disk would like.
    let positions = (0..COUNT).map(|index| (index * 7 % COUNT) * WRITE_UNIT);
    let writes: Vec<_> = positions
        .map(|position| {
            let buffer = filled(disk.buffer(WRITE_UNIT), position);
            file.write_at(buffer, position as u64, IoClass::Commit)
        })
        .collect();
    for write in writes {
        write.await.unwrap();
    }
    file.sync_data().await.unwrap();
    let size = COUNT * WRITE_UNIT;
    let read = file.read_at(0, size, IoClass::Commit).await.unwrap();
    assert!(read == pattern(0, size), "a unit has other bytes");
}

async fn a_write_whose_future_is_dropped_lands(reactor: Reactor, context: Context) {
    let disk = context.disk(&reactor).await;
    let file = context.file(&disk, "file").await;
    drop(file.write_at(filled(disk.buffer(WRITE_UNIT), 0), 0, IoClass::Commit));
    let landed = async {
        loop {
            let read = file.read_at(0, WRITE_UNIT, IoClass::Commit).await.unwrap();
            if read == pattern(0, WRITE_UNIT) {
                break;
            }
            reactor.yield_now().await;
        }
    };
    let landed = reactor.timeout(PATIENCE, landed).await;
    assert!(landed.is_some(), "the write has not landed");
}

async fn a_buffer_comes_back_from_its_write(reactor: Reactor, context: Context) {
    let disk = context.disk(&reactor).await;
    let file = context.file(&disk, "file").await;
    let mut buffer = filled(disk.buffer(2 * WRITE_UNIT), 0);
    for round in 0..3 {
        let position = (round * 2 * WRITE_UNIT) as u64;
        let written = file.write_at(buffer, position, IoClass::Commit).await;
        buffer = written.unwrap();
        assert_eq!(buffer.as_slice(), pattern(0, 2 * WRITE_UNIT));
    }
    assert_eq!(file.size(), 6 * WRITE_UNIT as u64);
}

async fn buffers_are_zeroed(reactor: Reactor, context: Context) {
    let disk = context.disk(&reactor).await;
    for size in [1, 2, 16, 64, 256, 16, 1, 2].map(|units| units * WRITE_UNIT) {
        let mut buffer = disk.buffer(size);
        assert_eq!(buffer.size(), size);
        let is_zeroed = buffer.as_slice().iter().all(|byte| *byte == 0);
        assert!(is_zeroed, "a buffer of {size} bytes");
        buffer.as_mut_slice().fill(0xff);
    }
}

async fn zeros_are_written_over_any_range(reactor: Reactor, context: Context) {
    const UNITS: usize = 200;
    let disk = context.disk(&reactor).await;
    let file = context.file(&disk, "file").await;
    let buffer = filled(disk.buffer(UNITS * WRITE_UNIT), 0);
    file.write_at(buffer, 0, IoClass::Commit).await.unwrap();
    let (start, end) = (3 * WRITE_UNIT, (UNITS - 5) * WRITE_UNIT);
    file.write_zeros(start as u64, end as u64, IoClass::Background)
        .await
        .unwrap();
    let read = file.read_at(0, UNITS * WRITE_UNIT, IoClass::Commit).await;
    let read = read.unwrap();
    assert!(read[..start] == pattern(0, start), "before the range");
    let is_zeroed = read[start..end].iter().all(|byte| *byte == 0);
    assert!(is_zeroed, "in the range");
    let rest = pattern(end, 5 * WRITE_UNIT);
    assert!(read[end..] == rest, "behind the range");
}

async fn a_second_open_sees_what_was_written(reactor: Reactor, context: Context) {
    let disk = context.disk(&reactor).await;
    let file = context.file(&disk, "file").await;
    let buffer = filled(disk.buffer(WRITE_UNIT), 0);
    file.write_at(buffer, 0, IoClass::Commit).await.unwrap();
    let other = disk.open(&context.path("file"), OpenOptions::default());
    let other = other.await.unwrap();
    assert_eq!(other.size(), WRITE_UNIT as u64);
    assert_eq!(other.path(), context.path("file"));
    let read = other.read_at(0, 2 * WRITE_UNIT, IoClass::Commit).await;
    assert_eq!(read.unwrap(), pattern(0, WRITE_UNIT));
}

async fn a_file_opened_for_reading_refuses_writes(reactor: Reactor, context: Context) {
    let disk = context.disk(&reactor).await;
    drop(context.file(&disk, "file").await);
    let file = disk.open(&context.path("file"), OpenOptions::default());
    let file = file.await.unwrap();
    let written = file.write_at(disk.buffer(WRITE_UNIT), 0, IoClass::Commit);
    assert!(
        written.await.is_err(),
        "written through a reading descriptor"
    );
    assert_eq!(file.size(), 0);
}

/// The real machine decides with the first file how all others are read.
async fn empty_files_first_do_not_spoil_later_reads(reactor: Reactor, context: Context) {
    let disk = context.disk(&reactor).await;
    let opening: Vec<_> = (0..8)
        .map(|index| disk.open(&context.path(&format!("empty-{index}")), writable()))
        .collect();
    for file in opening {
        let file = file.await.unwrap();
        let read = file.read_at(0, 100, IoClass::Commit).await.unwrap();
        assert!(read.is_empty());
        let buffer = filled(disk.buffer(WRITE_UNIT), 0);
        file.write_at(buffer, 0, IoClass::Commit).await.unwrap();
        let read = file.read_at(10, 90, IoClass::Commit).await.unwrap();
        assert_eq!(read, pattern(10, 90));
    }
}

async fn a_device_flush_file_is_made_once(reactor: Reactor, context: Context) {
    let disk = context.disk(&reactor).await;
    let path = context.path("flush");
    for _ in 0..2 {
        let flush = disk.device_flush(&path).await.unwrap();
        let flushes = [flush.flush(), flush.flush(), flush.clone().flush()];
        for flushed in flushes {
            flushed.await.unwrap();
        }
        let listed = disk.list_dir(&context.directory).await.unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0].size, WRITE_UNIT as u64);
    }
}

async fn background_traffic_is_served_in_order_within_its_budget(
    reactor: Reactor,
    context: Context,
) {
    let disk = context.disk(&reactor).await;
    let file = context.file(&disk, "file").await;
    file.set_size(4 * BACKGROUND_BYTES_MAX as u64)
        .await
        .unwrap();
    assert_eq!(disk.background_bytes_available(), BACKGROUND_BYTES_MAX);
    let size = BACKGROUND_BYTES_MAX;
    // Served as they ask, which is not the order of the calls unless others get their turn.
    let first = file.write_at(disk.buffer(size), 0, IoClass::Background);
    settle(&reactor).await;
    let second = file.write_at(disk.buffer(size), size as u64, IoClass::Background);
    settle(&reactor).await;
    let small = file.read_at(0, 1, IoClass::Background);
    let commit = file.read_at(0, 1, IoClass::Commit);
    commit.await.unwrap();
    let read = small.await.unwrap();
    assert_eq!(read.len(), 1);
    assert!(
        first.is_finished() && second.is_finished(),
        "a small request has overtaken large ones"
    );
    first.await.unwrap();
    second.await.unwrap();
    assert_eq!(disk.background_bytes_available(), BACKGROUND_BYTES_MAX);
}

async fn a_background_request_larger_than_the_budget_passes(reactor: Reactor, context: Context) {
    let disk = context.disk(&reactor).await;
    let file = context.file(&disk, "file").await;
    let size = 2 * BACKGROUND_BYTES_MAX;
    let buffer = filled(disk.buffer(size), 0);
    file.write_at(buffer, 0, IoClass::Background).await.unwrap();
    let read = file.read_at(0, size, IoClass::Background).await.unwrap();
    assert!(read == pattern(0, size));
}

async fn two_shards_read_and_write_one_file(reactor: Reactor, context: Context) {
    let mesh = context.messages.clone().join(&reactor).await;
    let disk = context.disk(&reactor).await;
    let file = context.file(&disk, "file").await;
    let mine = reactor.shard().index() * WRITE_UNIT;
    let buffer = filled(disk.buffer(WRITE_UNIT), mine);
    file.write_at(buffer, mine as u64, IoClass::Commit)
        .await
        .unwrap();
    let other = ringlog::types::ShardId(1 - reactor.shard().0);
    mesh.push(other, 0);
    mesh.receive().await;
    let read = file.read_at(0, 2 * WRITE_UNIT, IoClass::Commit).await;
    assert_eq!(read.unwrap(), pattern(0, 2 * WRITE_UNIT));
}
