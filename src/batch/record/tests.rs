use super::*;
use crate::batch::{BatchBuilder, BatchOptions, BatchView};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

type OwnedRecord = (
    i64,
    Option<Vec<u8>>,
    Option<Vec<u8>>,
    Vec<(Vec<u8>, Option<Vec<u8>>)>,
);

fn any_record() -> impl Strategy<Value = OwnedRecord> {
    let bytes = || vec(any::<u8>(), 0..80);
    let headers = vec((vec(any::<u8>(), 0..10), option::of(bytes())), 0..4);
    (
        -1i64..i64::MAX / 2,
        option::of(bytes()),
        option::of(bytes()),
        headers,
    )
}

proptest! {
    #[test]
    fn what_is_appended_is_read(records in vec(any_record(), 1..20)) {
        let mut builder = BatchBuilder::new(BatchOptions::default(), 0);
        for (timestamp, key, value, headers) in &records {
            let headers: Vec<_> = headers
                .iter()
                .map(|(key, value)| Header { key, value: value.as_deref() })
                .collect();
            builder.append(*timestamp, key.as_deref(), value.as_deref(), &headers);
        }
        let bytes = builder.close();
        let batch = BatchView::parse(&bytes).unwrap();
        let read: Vec<OwnedRecord> = RecordIter::new(batch.header(), batch.payload())
            .map(|record| {
                let record = record.unwrap();
                let headers = record.headers;
                prop_assert_eq!(headers.len(), headers.count());
                let headers = headers.map(|h| (h.key.to_vec(), h.value.map(<[u8]>::to_vec)));
                let (key, value) = (record.key, record.value);
                let (key, value) = (key.map(<[u8]>::to_vec), value.map(<[u8]>::to_vec));
                Ok((record.timestamp, key, value, headers.collect()))
            })
            .collect::<Result<_, TestCaseError>>()?;
        prop_assert_eq!(read, records);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes: Vec<u8>, count: i32) {
        let mut builder = BatchBuilder::new(BatchOptions::default(), 0);
        builder.append(0, None, None, &[]);
        let mut header = BatchHeader::parse(&builder.close()).unwrap();
        header.record_count = count;
        for record in RecordIter::new(&header, &bytes).flatten() {
            record.headers.for_each(drop);
        }
    }
}

#[test]
fn lengths_that_lie_are_faults() {
    let mut builder = BatchBuilder::new(BatchOptions::default(), 0);
    builder.append(0, None, None, &[]);
    let header = BatchHeader::parse(&builder.close()).unwrap();
    // length, attributes, timestamp delta, offset delta, key, value, headers
    let good = [12, 0, 0, 0, 1, 1, 0];
    assert!(RecordIter::new(&header, &good).next().unwrap().is_ok());
    let bad: [&[u8]; 9] = [
        &[14, 0, 0, 0, 1, 1, 0],
        &[10, 0, 0, 0, 1, 1, 0],
        &[1, 0, 0, 0, 1, 1, 0],
        &[14, 0, 0, 0, 1, 1, 0, 0],
        &[12, 0, 0, 0, 40, 1, 0],
        &[12, 0, 0, 0, 1, 40, 0],
        &[12, 0, 0, 0, 1, 1, 1],
        &[12, 0, 0, 0, 1, 1, 2],
        &[16, 0, 0, 0, 1, 1, 2, 1, 0],
    ];
    for bytes in bad {
        let mut records = RecordIter::new(&header, bytes);
        let error = records.next().unwrap().unwrap_err();
        assert!(
            matches!(error, BatchError::Record { index: 0, .. }),
            "{bytes:?}"
        );
        assert!(records.next().is_none());
    }
    let trailing = [&good[..], &[0]].concat();
    let error = RecordIter::new(&header, &trailing).next().unwrap();
    assert_eq!(error, Err(BatchError::TrailingBytes));
}
