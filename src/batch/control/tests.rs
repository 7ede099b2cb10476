use super::*;
use crate::batch::{BatchIter, BatchView, CrcCheck, NO_SEQUENCE, Producer, RecordIter, golden};

fn only_record<'a>(batch: &BatchView<'a>) -> Record<'a> {
    let mut records = RecordIter::new(batch.header(), batch.payload());
    let record = records.next().unwrap().unwrap();
    assert!(records.next().is_none());
    record
}

#[test]
fn markers_are_read_and_made_as_kafka_does() {
    let batches = BatchIter::new(golden::TRANSACTIONS, CrcCheck::Verify);
    let markers: Vec<_> = batches.filter(|batch| batch.is_control()).collect();
    assert!(markers.len() >= 2);
    for batch in markers {
        let marker = ControlRecord::parse(&only_record(&batch)).unwrap();
        let expected = ControlRecord::EndTransaction {
            is_commit: true,
            coordinator_epoch: 0,
        };
        assert_eq!(marker, expected);
        let options = BatchOptions {
            base_offset: batch.base_offset,
            partition_leader_epoch: 0,
            producer: Some(Producer {
                id: batch.producer_id,
                epoch: batch.producer_epoch,
                base_sequence: NO_SEQUENCE,
            }),
            is_transactional: true,
            ..BatchOptions::default()
        };
        assert_eq!(
            control_batch(&marker, batch.max_timestamp, options),
            batch.bytes()
        );
    }
}

#[test]
fn what_is_made_is_read() {
    let records = [
        ControlRecord::EndTransaction {
            is_commit: false,
            coordinator_epoch: 12,
        },
        ControlRecord::LeaderChange(LeaderChange {
            leader_id: 3,
            voters: (1..200).collect(),
            granting_voters: vec![1, 3],
        }),
    ];
    for record in records {
        let bytes = control_batch(&record, 5, BatchOptions::default());
        let batch = BatchView::parse(&bytes).unwrap();
        assert!(batch.is_control());
        assert_eq!(ControlRecord::parse(&only_record(&batch)), Ok(record));
    }
}

#[test]
fn a_leader_change_of_version_1_skips_directory_ids_and_tags() {
    let mut value = vec![0, 1, 0, 0, 0, 9, 2, 0, 0, 0, 9];
    value.extend_from_slice(&[7; 16]);
    value.extend_from_slice(&[1, 5, 2, 0xaa, 0xbb, 1, 0]);
    let record = Record {
        offset: 0,
        timestamp: 0,
        key: Some(&[0, 0, 0, 2]),
        value: Some(&value),
        headers: RecordIter::new(
            BatchView::parse(golden::TRANSACTIONS).unwrap().header(),
            BatchView::parse(golden::TRANSACTIONS).unwrap().payload(),
        )
        .next()
        .unwrap()
        .unwrap()
        .headers,
    };
    let expected = LeaderChange {
        leader_id: 9,
        voters: vec![9],
        granting_voters: vec![],
    };
    assert_eq!(
        ControlRecord::parse(&record),
        Ok(ControlRecord::LeaderChange(expected))
    );
    for size in 0..value.len() {
        let cut = Record {
            value: Some(&value[..size]),
            ..record
        };
        assert!(ControlRecord::parse(&cut).is_err(), "{size} bytes");
    }
    let unknown = Record {
        key: Some(&[0, 0, 0, 6]),
        ..record
    };
    assert_eq!(ControlRecord::parse(&unknown), Ok(ControlRecord::Other(6)));
}
