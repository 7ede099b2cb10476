//! ListOffsets: what needs no look into the log.

use super::leader::{Isolation, Leader};
use crate::log_state::LogState;
use crate::types::{ErrorCode, LeaderEpoch, Offset, Timestamp};

/// What a ListOffsets request asks for with its `timestamp` field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OffsetSpec {
    /// -1
    Latest,
    /// -2
    Earliest,
    /// -3: the record with the highest timestamp (KIP-734).
    MaxTimestamp,
    /// -4: the earliest one that is not only in tiered storage (KIP-405).
    EarliestLocal,
    /// -5: the latest one in tiered storage (KIP-1005).
    LatestTiered,
    /// The first record that is not earlier.
    Timestamp(Timestamp),
}

impl OffsetSpec {
    /// Reads the field of a request of `api_version`; `UNSUPPORTED_VERSION` for a special value
    /// that this version does not have, and for any other negative one.
    pub fn from_wire(timestamp: i64, api_version: i16) -> Result<OffsetSpec, ErrorCode> {
        let (spec, since) = match timestamp {
            -1 => (OffsetSpec::Latest, 0),
            -2 => (OffsetSpec::Earliest, 0),
            -3 => (OffsetSpec::MaxTimestamp, 7),
            -4 => (OffsetSpec::EarliestLocal, 8),
            -5 => (OffsetSpec::LatestTiered, 9),
            0.. => (OffsetSpec::Timestamp(timestamp), 0),
            _ => return Err(ErrorCode::UnsupportedVersion),
        };
        match api_version >= since {
            true => Ok(spec),
            false => Err(ErrorCode::UnsupportedVersion),
        }
    }
}

/// The answer, or what to look up for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OffsetAnswer {
    /// Answer this, with timestamp -1. An epoch of -1 is "none".
    Known {
        offset: Offset,
        leader_epoch: LeaderEpoch,
    },
    /// Look up the first record at or after `timestamp`. If there is none, or it is at `end` or
    /// behind, answer `not_found` with offset and timestamp -1.
    SearchTimestamp {
        timestamp: Timestamp,
        end: Offset,
        not_found: ErrorCode,
    },
    /// The same for the record with the highest timestamp.
    SearchMaxTimestamp { end: Offset, not_found: ErrorCode },
}

impl Leader {
    /// Answers a ListOffsets request, as Kafka's `Partition.fetchOffsetForTimestamp`.
    ///
    /// `OFFSET_NOT_AVAILABLE` (known from v5 on; below, answer `LEADER_NOT_AVAILABLE`) while a new
    /// leader does not know how far its predecessor had committed.
    pub fn list_offset(
        &self,
        spec: OffsetSpec,
        isolation: Isolation,
        log: &LogState,
    ) -> Result<OffsetAnswer, ErrorCode> {
        let end = self.read_bound(isolation);
        let lagging = isolation != Isolation::LogEnd && self.lags_behind_epoch_start();
        let not_found = match lagging {
            true => ErrorCode::OffsetNotAvailable,
            false => ErrorCode::None,
        };
        match spec {
            OffsetSpec::Latest if lagging => Err(ErrorCode::OffsetNotAvailable),
            OffsetSpec::Latest => Ok(OffsetAnswer::Known {
                offset: end,
                leader_epoch: self.leader_epoch(),
            }),
            // Without tiered storage all of the log is local.
            OffsetSpec::Earliest | OffsetSpec::EarliestLocal => Ok(OffsetAnswer::Known {
                offset: log.log_start_offset,
                leader_epoch: log
                    .epochs
                    .epoch_for_offset(log.log_start_offset)
                    .unwrap_or(-1),
            }),
            OffsetSpec::LatestTiered => Ok(OffsetAnswer::Known {
                offset: -1,
                leader_epoch: -1,
            }),
            OffsetSpec::MaxTimestamp => Ok(OffsetAnswer::SearchMaxTimestamp { end, not_found }),
            OffsetSpec::Timestamp(timestamp) => Ok(OffsetAnswer::SearchTimestamp {
                timestamp,
                end,
                not_found,
            }),
        }
    }
}
