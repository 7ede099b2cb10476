//! Segments that are rolled faster than they can be sealed.

use super::*;
use crate::log::writer::UNSEALED_SEGMENTS_MAX;

const BATCHES: usize = 40;

/// Each batch in a segment of its own.
fn tiny_segments() -> LogConfig {
    LogConfig {
        segment_size_max: 1,
        ..small_segments()
    }
}

fn unsealed_and_written(log: &Log) -> usize {
    let core = log.inner.core.borrow();
    let segments = core.segments.values();
    let begun = segments.filter(|segment| segment.submitted_position.get() > 0);
    begun.filter(|segment| !segment.is_sealed.get()).count()
}

#[test]
fn no_more_is_written_while_many_segments_are_not_sealed() {
    run(&simulation(4), |reactor| async move {
        let (directory, log) = open(&reactor, tiny_segments()).await;
        for _ in 0..BATCHES {
            let now = reactor.wall_clock();
            append_at(&log, 0, now, now);
        }
        let mut most = 0;
        while log.durable_end() < BATCHES as Offset {
            most = most.max(unsealed_and_written(&log));
            reactor.sleep(Duration::from_micros(50)).await;
        }
        assert_eq!(most, UNSEALED_SEGMENTS_MAX);
        assert_eq!(log.inner.core.borrow().segments.len(), BATCHES);
        directory.stop().await.unwrap();
    });
}
