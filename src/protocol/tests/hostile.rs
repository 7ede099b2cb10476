//! Lengths that lie, and bodies that stop short: for every API, version and direction.

use bytes::Bytes;

use super::round_trip;
use crate::protocol::hostile::{Direction, Fill, Sample, sample};
use crate::protocol::{API_TABLE, ApiKey, ApiRow, Fault, check_request};

const FILLS: [Fill; 4] = [
    Fill {
        element_count: 1,
        text_size: 3,
        unknown_tag_count: 0,
        null: false,
    },
    Fill {
        element_count: 3,
        text_size: 5,
        unknown_tag_count: 1,
        null: false,
    },
    Fill {
        element_count: 1,
        text_size: 130,
        unknown_tag_count: 2,
        null: true,
    },
    Fill {
        element_count: 0,
        text_size: 0,
        unknown_tag_count: 0,
        null: false,
    },
];

/// Every sample with its API, direction and version.
fn samples() -> impl Iterator<Item = (&'static ApiRow, Direction, i16, Sample)> {
    API_TABLE.iter().flat_map(|row| {
        row.decoded.iter().flat_map(move |version| {
            [Direction::Request, Direction::Response]
                .into_iter()
                .flat_map(move |direction| {
                    let bodies = FILLS.into_iter();
                    bodies.map(move |fill| {
                        (
                            row,
                            direction,
                            version,
                            sample(row, direction, version, fill),
                        )
                    })
                })
        })
    })
}

#[test]
fn samples_of_the_layouts_survive_the_crates_codec() {
    for (row, direction, version, sample) in samples() {
        let body = Bytes::from(sample.body);
        let again = round_trip(row.key, direction, version, body.clone())
            .unwrap_or_else(|error| panic!("{} v{version} {direction:?}: {error}", row.name));
        // An empty array of a tagged field is its default, which the encoder leaves out.
        let has_empty_tag = again.len() < body.len();
        assert!(
            again == body || has_empty_tag,
            "{} v{version} {direction:?}: {body:02x?} became {again:02x?}",
            row.name
        );
    }
}

#[test]
fn a_lie_about_any_length_is_an_error() {
    let mut lie_count = 0;
    for (row, direction, version, sample) in samples() {
        for (field, body) in sample.lying_bodies() {
            lie_count += 1;
            let shown = format!("{body:02x?}");
            let outcome = round_trip(row.key, direction, version, body.into());
            assert!(
                outcome.is_err(),
                "{} v{version} {direction:?}: a lie in {field} passed: {shown}",
                row.name
            );
        }
    }
    assert!(lie_count > 10_000, "only {lie_count} lies were told");
}

#[test]
fn a_body_cut_anywhere_is_an_error() {
    for (row, direction, version, sample) in samples() {
        for end in 0..sample.body.len() {
            let cut = Bytes::copy_from_slice(&sample.body[..end]);
            assert!(
                round_trip(row.key, direction, version, cut).is_err(),
                "{} v{version} {direction:?}: {end} of {} bytes passed",
                row.name,
                sample.body.len()
            );
        }
    }
}

#[test]
fn bytes_behind_a_body_are_ignored() {
    for (row, direction, version, sample) in samples() {
        let without = round_trip(row.key, direction, version, sample.body.clone().into());
        let with = round_trip(
            row.key,
            direction,
            version,
            [&sample.body[..], &[0; 3]].concat().into(),
        );
        assert_eq!(with, without, "{} v{version} {direction:?}", row.name);
    }
}

#[test]
fn the_bodies_that_ended_the_process() {
    let metadata = check_request(ApiKey::Metadata, 1, vec![0x7f, 0xff, 0xff, 0xff].into());
    let error = metadata.expect_err("2^31-1 topics in no bytes");
    assert_eq!(error.field, "topics");
    assert_eq!(
        error.fault,
        Fault::Truncated {
            needed: 0x7fff_ffff,
            remaining: 0
        }
    );
    assert_eq!(
        error.to_string(),
        "topics at byte 4: needs 2147483647 bytes, 0 are left"
    );
    let produce = [
        &[0xff; 2][..],
        &[0xff; 2],
        &[0; 4],
        &[0x7f, 0xff, 0xff, 0xff],
    ]
    .concat();
    let error = check_request(ApiKey::Produce, 7, produce.into()).expect_err("2^31-1 topics");
    assert_eq!(error.field, "topic_data");
}

#[test]
fn a_known_tag_must_be_as_long_as_it_says() {
    // The crate reads a known tag without regard for its size: the walk must not go elsewhere.
    let fill = Fill {
        element_count: 0,
        text_size: 2,
        unknown_tag_count: 0,
        null: false,
    };
    let sample = sample(ApiKey::Fetch.row(), Direction::Request, 15, fill);
    let site = sample
        .lengths
        .iter()
        .find(|site| site.field == "replica_state");
    let site = site.expect("replica_state is tagged in v15");
    let body = sample.with_length(site, &[12]);
    let error = check_request(ApiKey::Fetch, 15, body.into()).expect_err("size 12 of 13");
    assert_eq!(
        (error.field, error.fault),
        (
            "replica_state",
            Fault::TagSize {
                size: 12,
                found: 13
            }
        )
    );
}

#[test]
fn empty_elements_may_not_fill_the_memory() {
    // 4 Mi topics with empty names: 8 MiB on the wire, near 300 MiB decoded.
    const TOPIC_COUNT: u32 = 4 << 20;
    let length = TOPIC_COUNT + 1;
    let mut body = vec![0x80, 0x80, 0x80, 0x82, 0x00];
    body[0] = length as u8 | 0x80;
    body.extend(std::iter::repeat_n([1, 0], TOPIC_COUNT as usize).flatten());
    body.extend([0; 4]);
    let error = check_request(ApiKey::Metadata, 9, body.into()).expect_err("too large");
    assert_eq!(error.field, "topics");
    assert!(matches!(error.fault, Fault::TooLarge { .. }), "{error}");
}
