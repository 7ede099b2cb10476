//! Bodies that lie or end too early. Each closes its connection, none takes memory or is stored.

use ringlog::batch::{BatchBuilder, BatchOptions, Codec, NO_TIMESTAMP};
use ringlog::protocol::hostile::{Direction, request_frame, sample};
use ringlog::protocol::{API_TABLE, ApiRow};
use ringlog::types::ErrorCode;

use crate::bad_frames::{SMALL, Victim};
use crate::topics::{ACKS_ALL, code, create, end_offset, produce_in};
use crate::wire::Outcome;

/// First, last, and the first with compact lengths.
fn telling_versions(row: &ApiRow) -> Vec<i16> {
    let versions = row.decoded;
    let mut telling = vec![versions.min, versions.max, row.flexible_from];
    telling.retain(|&version| versions.contains(version));
    telling.sort_unstable();
    telling.dedup();
    telling
}

#[test]
fn a_body_cut_at_any_byte_closes_the_connection() {
    let victim = Victim::start();
    for row in &API_TABLE {
        for version in telling_versions(row) {
            let body = sample(row, Direction::Request, version, SMALL).body;
            for end in 0..body.len() {
                let frame = request_frame(row.key, version, 1, &body[..end]);
                let outcome = victim.send_and_stay(&frame);
                let name = row.name;
                assert_eq!(outcome, Outcome::Closed, "{name} v{version} cut at {end}");
            }
        }
    }
    victim.unharmed();
}

#[test]
fn every_length_that_lies_closes_the_connection() {
    let victim = Victim::start();
    for row in &API_TABLE {
        for version in telling_versions(row) {
            let sound = sample(row, Direction::Request, version, SMALL);
            for (field, body) in sound.lying_bodies() {
                let frame = request_frame(row.key, version, 1, &body);
                let outcome = victim.send_and_stay(&frame);
                let name = row.name;
                assert_eq!(outcome, Outcome::Closed, "{name} v{version}: {field} lies");
            }
        }
    }
    victim.unharmed();
}

#[test]
fn requests_before_a_bad_one_are_answered() {
    let victim = Victim::start();
    let row = &API_TABLE[3];
    let good = request_frame(row.key, 12, 1, &[0, 0, 0, 0]);
    let bad = request_frame(row.key, 12, 2, &[0xff, 0xff, 0xff, 0xff, 0x7f]);
    let mut wire = victim.broker.connect();
    wire.write(&[&good[..], &good, &good, &bad, &good].concat());
    for _ in 0..3 {
        assert!(matches!(wire.read(), Outcome::Frame(f) if f[..4] == [0, 0, 0, 1]));
    }
    assert_eq!(wire.read(), Outcome::Closed);
    victim.unharmed();
}

#[test]
fn decompression_bombs_are_refused() {
    let victim = Victim::start();
    let mut wire = victim.broker.connect();
    let topic = create(&mut wire, "t", 1, &[]);
    // 256 MiB of zeros in a record, well below max.message.bytes when compressed.
    let zeros = vec![0; 256 << 20];
    for codec in [Codec::Gzip, Codec::Zstd] {
        let options = BatchOptions {
            compression: codec.into(),
            ..BatchOptions::default()
        };
        let mut bomb = BatchBuilder::new(options, 0);
        bomb.append(NO_TIMESTAMP, None, Some(&zeros), &[]);
        let bomb = bomb.close();
        assert!(bomb.len() < 1_000_000, "{codec:?}: {} bytes", bomb.len());
        let answer = produce_in(&mut wire, 13, ACKS_ALL, &topic, 0, &bomb);
        let expected = [
            ErrorCode::MessageTooLarge,
            ErrorCode::InvalidRecord,
            ErrorCode::CorruptMessage,
        ];
        let expected = expected.map(code);
        assert!(
            expected.contains(&answer.error_code),
            "{codec:?}: {}",
            answer.error_code
        );
    }
    assert_eq!(end_offset(&mut wire, &topic, 0), 0);
    victim.unharmed();
}
