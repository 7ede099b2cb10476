//! DeleteRecords: how far the start of a log may move.

use super::leader::Leader;
use crate::types::{ErrorCode, Offset};

/// The offset of a request that means "all that may be read".
const HIGH_WATERMARK: Offset = -1;

impl Leader {
    /// Where the log is to start when a client deletes what lies before `offset` (-1: the high
    /// watermark), as Kafka's `Partition.deleteRecordsOnLeader`. An offset below the start changes
    /// nothing and is no error.
    ///
    /// `POLICY_VIOLATION` where `cleanup.policy` has no `delete` (`is_deletable`),
    /// `OFFSET_OUT_OF_RANGE` for another negative offset and beyond the high watermark, or what the
    /// partition answers while it does not lead.
    pub fn delete_records(&self, offset: Offset, is_deletable: bool) -> Result<Offset, ErrorCode> {
        self.check_serving(-1)?;
        if !is_deletable {
            return Err(ErrorCode::PolicyViolation);
        }
        let high_watermark = self.high_watermark();
        match offset {
            HIGH_WATERMARK => Ok(high_watermark),
            0.. if offset <= high_watermark => Ok(offset),
            _ => Err(ErrorCode::OffsetOutOfRange),
        }
    }
}
