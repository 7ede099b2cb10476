use std::ops::ControlFlow;

use bytes::Bytes;

use super::scripted_broker::{Broker, TOPIC, client, with_broker};
use crate::batch::{BatchBuilder, BatchOptions, Codec, Decompressor};
use crate::client::{
    ClientError, FetchOptions, FetchedPartition, Fetcher, OffsetReset, StartOffset,
};
use crate::io::Reactor;
use crate::types::ErrorCode;

/// A batch of records `base_offset..base_offset + count`, each with its offset as value.
fn batch(base_offset: i64, count: i64, codec: Codec) -> Bytes {
    let options = BatchOptions {
        base_offset,
        compression: codec.into(),
        ..BatchOptions::default()
    };
    let mut builder = BatchBuilder::new(options, 0);
    for offset in base_offset..base_offset + count {
        builder.append(
            1000 + offset,
            None,
            Some(offset.to_string().as_bytes()),
            &[],
        );
    }
    builder.close()
}

fn together(batches: &[Bytes]) -> Bytes {
    Bytes::from(batches.concat())
}

fn offsets(fetched: &FetchedPartition) -> Vec<i64> {
    let mut offsets = Vec::new();
    let each = |record: &crate::batch::Record<'_>| {
        assert_eq!(record.value, Some(record.offset.to_string().as_bytes()));
        offsets.push(record.offset);
        ControlFlow::Continue(())
    };
    fetched
        .for_each_record(&mut Decompressor::new(), each)
        .unwrap();
    offsets
}

async fn fetcher(reactor: &Reactor, broker: &Broker, answers: Vec<(ErrorCode, Bytes)>) -> Fetcher {
    broker.state.borrow_mut().fetches = answers.into();
    let options = FetchOptions {
        reset: OffsetReset::Earliest,
        ..FetchOptions::default()
    };
    Fetcher::new(&client(reactor).await, options)
}

#[test]
fn batches_cut_anywhere_give_each_record_once() {
    let all = together(&[
        batch(0, 4, Codec::Lz4),
        batch(4, 3, Codec::None),
        batch(7, 3, Codec::Zstd),
    ]);
    let first_size = batch(0, 4, Codec::Lz4).len();
    // Cuts inside the second and third batch, a header among them.
    for cut in [first_size, first_size + 5, first_size + 70, all.len() - 1] {
        let all = all.clone();
        with_broker(cut as u64, 1, move |reactor, broker| async move {
            let rest = together(&[batch(4, 3, Codec::None), batch(7, 3, Codec::Zstd)]);
            let second = match cut == all.len() - 1 {
                true => batch(7, 3, Codec::Zstd),
                false => rest,
            };
            let answers = vec![
                (ErrorCode::None, all.slice(..cut)),
                (ErrorCode::None, second),
            ];
            let fetcher = fetcher(&reactor, &broker, answers).await;
            // Offset 2 lies inside the first batch.
            fetcher
                .assign(TOPIC, 0, StartOffset::Offset(2))
                .await
                .unwrap();
            let mut got = Vec::new();
            while got.last() != Some(&9) {
                got.extend(offsets(&fetcher.next().await.unwrap()));
            }
            assert_eq!(got, (2..10).collect::<Vec<_>>(), "cut at {cut}");
            assert_eq!(fetcher.position(TOPIC, 0), Some(10));
        });
    }
}

#[test]
fn the_end_is_reported_once() {
    with_broker(1, 1, |reactor, broker| async move {
        let answers = vec![(ErrorCode::None, batch(0, 9, Codec::None))];
        let fetcher = fetcher(&reactor, &broker, answers).await;
        fetcher
            .assign(TOPIC, 0, StartOffset::Offset(0))
            .await
            .unwrap();
        let first = fetcher.next().await.unwrap();
        assert!(!first.is_end(), "the high watermark is 10");
        // From here on there is nothing new; 9 < 10, so no end either, until one more arrives.
        let more = (ErrorCode::None, batch(9, 1, Codec::None));
        broker.state.borrow_mut().fetches.push_back(more);
        let last = fetcher.next().await.unwrap();
        assert!(last.is_end());
        assert_eq!(offsets(&last), [9]);
        let silence = reactor
            .timeout(std::time::Duration::from_secs(5), fetcher.next())
            .await;
        assert!(silence.is_none(), "the end was reported again");
    });
}

#[test]
fn errors_of_a_partition_are_repeated_reset_or_told() {
    with_broker(2, 1, |reactor, broker| async move {
        let answers = vec![
            (ErrorCode::NotLeaderOrFollower, Bytes::new()),
            (ErrorCode::OffsetOutOfRange, Bytes::new()),
            (ErrorCode::None, batch(3, 7, Codec::None)),
            (ErrorCode::TopicAuthorizationFailed, Bytes::new()),
        ];
        let fetcher = fetcher(&reactor, &broker, answers).await;
        fetcher
            .assign(TOPIC, 0, StartOffset::Offset(100))
            .await
            .unwrap();
        // The log starts at 3, as ListOffsets says.
        assert_eq!(
            offsets(&fetcher.next().await.unwrap()),
            (3..10).collect::<Vec<_>>()
        );
        assert_eq!(broker.state.borrow().fetch_offsets[..3], [100, 100, 3]);
        let error = fetcher.next().await.unwrap_err();
        assert_eq!(error.code(), Some(ErrorCode::TopicAuthorizationFailed));
        assert_eq!(fetcher.position(TOPIC, 0), None, "it is no longer assigned");
    });
}

#[test]
fn damage_is_found_and_told() {
    let sound = batch(0, 4, Codec::None);
    let mut flipped = sound.to_vec();
    *flipped.last_mut().unwrap() ^= 1;
    let cases = [
        ("a flipped bit", Bytes::from(flipped)),
        ("half a batch and no more", sound.slice(..sound.len() - 1)),
        ("zeros", Bytes::from(vec![0; 200])),
        ("a batch from before", batch(0, 2, Codec::None)),
    ];
    for (name, records) in cases {
        with_broker(3, 1, move |reactor, broker| async move {
            let fetcher = fetcher(&reactor, &broker, vec![(ErrorCode::None, records)]).await;
            fetcher
                .assign(TOPIC, 0, StartOffset::Offset(2))
                .await
                .unwrap();
            let error = fetcher.next().await.unwrap_err();
            assert!(
                matches!(error, ClientError::Corrupt { .. }),
                "{name}: {error}"
            );
        });
    }
}

#[test]
fn a_partition_that_was_added_since_is_found_and_others_are_not() {
    with_broker(1, 1, |reactor, broker| async move {
        let fetcher = fetcher(&reactor, &broker, Vec::new()).await;
        let start = StartOffset::Earliest;
        fetcher.assign(TOPIC, 0, start).await.unwrap();
        broker.add_partition();
        assert_eq!(fetcher.assign(TOPIC, 1, start).await, Ok(0));
        let unknown = fetcher.assign(TOPIC, 2, start).await;
        assert_eq!(
            unknown,
            Err(ClientError::UnknownPartition {
                topic: TOPIC.into(),
                partition: 2,
                count: 2,
            })
        );
    });
}
