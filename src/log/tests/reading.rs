use super::*;
use crate::io::Semaphore;
use crate::metrics::Counter;

/// What one read asks for: less than the log has, in many.
const SIZE_MAX: usize = 128 << 10;

fn one_segment() -> LogConfig {
    LogConfig {
        segment_size_max: 1 << 30,
        ..small_segments()
    }
}

#[test]
fn a_reader_that_comes_back_finds_its_next_bytes_read() {
    run(&simulation(41), |reactor| async move {
        let (directory, log) = open(&reactor, one_segment()).await;
        append(&reactor, &log, 8 * SIZE_MAX / VALUE.len()).await;
        let reads = || directory.metrics().snapshot().counter(Counter::DiskReads);
        let before = reads();
        let mut offset = 0;
        for expected in [1, 3, 4] {
            let request = ReadRequest {
                offset,
                size_max: SIZE_MAX,
                end_bound: Offset::MAX,
            };
            let batches = log.read_cold(request).await.unwrap();
            assert!(batches.size > 0 && batches.next_offset > offset);
            offset = batches.next_offset;
            reactor.sleep(Duration::from_secs(1)).await;
            assert_eq!(reads() - before, expected, "reads of the disk");
        }
    });
}

#[test]
fn a_read_in_turn_counts_all_that_it_reads() {
    run(&simulation(42), |reactor| async move {
        let (_directory, log) = open(&reactor, one_segment()).await;
        // About seven times what a read begins with.
        let offset = append_sized(&reactor, &log, 7 * SIZE_MAX);
        log.flush_all().await.unwrap();
        let request = ReadRequest {
            offset,
            size_max: 1,
            end_bound: Offset::MAX,
        };
        // Room for one of the two, and for the beginnings of both.
        let turns = Semaphore::new(8 * SIZE_MAX);
        let reads = [(); 2].map(|()| {
            let (log, turns) = (log.clone(), turns.clone());
            reactor.spawn(async move {
                let read = log.read_cold_in_turn(request, &turns).await.unwrap();
                let (batches, permit) = read;
                assert!(batches.size > 7 * SIZE_MAX);
                assert!(permit.unwrap().amount() >= batches.size);
            })
        });
        for read in reads {
            read.await;
        }
        assert_eq!(turns.available(), turns.capacity());
    });
}
