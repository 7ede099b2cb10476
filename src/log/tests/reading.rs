use super::*;
use crate::metrics::Counter;

/// What one read asks for: less than the log has, in many.
const SIZE_MAX: usize = 128 << 10;

#[test]
fn a_reader_that_comes_back_finds_its_next_bytes_read() {
    run(&simulation(41), |reactor| async move {
        let config = LogConfig {
            segment_size_max: 1 << 30,
            ..small_segments()
        };
        let (directory, log) = open(&reactor, config).await;
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
