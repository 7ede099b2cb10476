use super::*;
use crate::batch::{RecordIter, golden};

fn records(bytes: &[u8]) -> Vec<(Offset, Timestamp)> {
    let batch = BatchView::parse(bytes).unwrap();
    assert_eq!(batch.check_crc(), Ok(()));
    let payload = golden::payload(&batch);
    RecordIter::new(batch.header(), &payload)
        .map(|record| record.map(|r| (r.offset, r.timestamp)).unwrap())
        .collect()
}

#[test]
fn timestamps_need_not_ascend() {
    let mut builder = BatchBuilder::new(BatchOptions::default(), 0);
    for timestamp in [500, 900, 100, NO_TIMESTAMP] {
        builder.append(timestamp, None, Some(b"x"), &[]);
    }
    let bytes = builder.close();
    let header = BatchHeader::parse(&bytes).unwrap();
    assert_eq!((header.base_timestamp, header.max_timestamp), (500, 900));
    assert_eq!(
        records(&bytes),
        [(0, 500), (1, 900), (2, 100), (3, NO_TIMESTAMP)]
    );
}

#[test]
fn gaps_between_offsets_stay() {
    let options = BatchOptions {
        base_offset: 100,
        ..BatchOptions::default()
    };
    let mut builder = BatchBuilder::new(options, 0);
    builder.append_at(2, 1, None, None, &[]);
    builder.append_at(7, 1, None, None, &[]);
    let bytes = builder.close();
    let header = BatchHeader::parse(&bytes).unwrap();
    assert_eq!((header.record_count, header.last_offset()), (2, 107));
    assert_eq!(records(&bytes), [(102, 1), (107, 1)]);
}

#[test]
fn log_append_time_overrides_the_records_own() {
    for codec in Codec::ALL {
        let mut options = BatchOptions {
            compression: codec.into(),
            ..BatchOptions::default()
        };
        let mut built = Vec::new();
        for log_append_time in [None, Some(7000)] {
            options.log_append_time = log_append_time;
            let mut builder = BatchBuilder::new(options, 0);
            builder.append(5, None, Some(b"a"), &[]);
            builder.append(9, None, Some(b"b"), &[]);
            built.push(builder.close());
        }
        assert_eq!(records(&built[0]), [(0, 5), (1, 9)]);
        assert_eq!(records(&built[1]), [(0, 7000), (1, 7000)]);
        let rewritten = with_log_append_time(&BatchView::parse(&built[0]).unwrap(), 7000);
        assert_eq!(rewritten, built[1]);
    }
}

#[test]
fn the_producer_may_come_late() {
    let mut builder = BatchBuilder::new(BatchOptions::default(), 0);
    builder.append(0, Some(b"k"), None, &[]);
    let producer = Producer {
        id: 4000,
        epoch: 3,
        base_sequence: 77,
    };
    builder.set_producer(producer, true);
    let header = BatchHeader::parse(&builder.close()).unwrap();
    assert_eq!(header.producer(), Some(producer));
    assert!(header.is_transactional());
}
