//! ApiVersions: what this broker says of itself (KIP-35, KIP-511, KIP-584).

use bytes::{BufMut, Bytes, BytesMut};

use super::StrBytes;
use super::api::{API_TABLE, ApiKey};
use super::frame::FRAME_PREFIX_SIZE;
use super::messages::ApiVersionsResponse;
use super::messages::api_versions_response::{
    ApiVersion, FinalizedFeatureKey, SupportedFeatureKey,
};
use crate::types::ErrorCode;

/// A feature of the cluster (KIP-584): the levels that this broker supports and the one in force.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Feature {
    pub name: &'static str,
    pub level_min: i16,
    pub level_max: i16,
    pub finalized_level: i16,
}

/// What a single broker of Kafka 4.1 says. A feature is listed when what it stands for is built.
pub const FEATURES: &[Feature] = &[
    Feature {
        name: "kraft.version",
        level_min: 0,
        level_max: 1,
        finalized_level: 1,
    },
    Feature {
        name: "metadata.version",
        level_min: 7,
        level_max: 27,
        finalized_level: 27,
    },
];

/// The first version whose clients bear a supported feature with minimum 0: the admin client of
/// Java 3.7.2 dies of one in v3 (KAFKA-17011).
const ZERO_LEVEL_VERSION_MIN: i16 = 4;

/// The response to a request of a version that we know. `finalized_epoch` is the offset of the
/// metadata that the finalized levels come from, >= 0. Fields that a version does not have are
/// left at their defaults.
pub fn api_versions_response(version: i16, finalized_epoch: i64) -> ApiVersionsResponse {
    let response = ApiVersionsResponse::default().with_api_keys(
        API_TABLE
            .iter()
            .map(|row| {
                ApiVersion::default()
                    .with_api_key(row.key.code())
                    .with_min_version(row.advertised.min)
                    .with_max_version(row.advertised.max)
            })
            .collect(),
    );
    if !ApiKey::ApiVersions.row().is_flexible(version) {
        return response;
    }
    let is_listed = |feature: &&Feature| version >= ZERO_LEVEL_VERSION_MIN || feature.level_min > 0;
    let supported = FEATURES.iter().filter(is_listed).map(|feature| {
        SupportedFeatureKey::default()
            .with_name(StrBytes::from_static_str(feature.name))
            .with_min_version(feature.level_min)
            .with_max_version(feature.level_max)
    });
    let finalized = FEATURES.iter().map(|feature| {
        FinalizedFeatureKey::default()
            .with_name(StrBytes::from_static_str(feature.name))
            .with_min_version_level(feature.finalized_level)
            .with_max_version_level(feature.finalized_level)
    });
    response
        .with_supported_features(supported.collect())
        .with_finalized_features_epoch(finalized_epoch)
        .with_finalized_features(finalized.collect())
}

/// The frame that answers a version that we do not know: version 0, UNSUPPORTED_VERSION, and the
/// versions of ApiVersions alone, from which the client picks one (Kafka's
/// `ApiVersionsRequest.getErrorResponse`).
pub fn unknown_version_reply(correlation_id: i32) -> Bytes {
    const BODY_SIZE: usize = 2 + 4 + 6;
    const HEADER_SIZE: usize = 4;
    let row = ApiKey::ApiVersions.row();
    let mut frame = BytesMut::with_capacity(FRAME_PREFIX_SIZE + HEADER_SIZE + BODY_SIZE);
    frame.put_i32((HEADER_SIZE + BODY_SIZE) as i32);
    frame.put_i32(correlation_id);
    frame.put_i16(ErrorCode::UnsupportedVersion.code());
    frame.put_i32(1);
    frame.put_i16(row.key.code());
    frame.put_i16(row.advertised.min);
    frame.put_i16(row.advertised.max);
    frame.freeze()
}

/// Whether a client software name or version (v3 and later) is `[a-zA-Z0-9]`, or several of
/// `[a-zA-Z0-9.-]` that begin and end so; if not the answer is INVALID_REQUEST (KIP-511).
pub fn is_client_software_valid(text: &str) -> bool {
    let bytes = text.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else {
        return false;
    };
    first.is_ascii_alphanumeric()
        && last.is_ascii_alphanumeric()
        && bytes
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'))
}
