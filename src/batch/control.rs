//! Control records: what brokers write into a log between the data. Key: version i16, type i16.
//! A control batch holds one of them (KIP-98, KIP-595).

use bytes::{BufMut, Bytes};

use super::builder::{BatchBuilder, BatchOptions};
use super::error::BatchError;
use super::record::Record;
use crate::types::{NodeId, Timestamp};

const KEY_VERSION: i16 = 0;
const END_TRANSACTION_VERSION: i16 = 0;

/// Most voters that a leader change is read with: far above any quorum, far below memory.
const VOTERS_MAX: usize = 1024;

const ABORT: i16 = 0;
const COMMIT: i16 = 1;
const LEADER_CHANGE: i16 = 2;

/// What a control record says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ControlRecord {
    /// The transaction of the batch's producer ended (Kafka's EndTransactionMarker).
    EndTransaction {
        is_commit: bool,
        coordinator_epoch: i32,
    },
    LeaderChange(LeaderChange),
    /// A type that this version does not read: snapshot headers and footers, KRaft's voters.
    Other(i16),
}

/// A quorum's leader and how it came to be (Kafka's LeaderChangeMessage; of version 1 the
/// directory ids are left out).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LeaderChange {
    pub leader_id: NodeId,
    pub voters: Vec<NodeId>,
    pub granting_voters: Vec<NodeId>,
}

impl ControlRecord {
    /// Reads the only record of a control batch; [`BatchError::ControlRecord`].
    pub fn parse(record: &Record<'_>) -> Result<ControlRecord, BatchError> {
        let mut key = Reader(record.key.unwrap_or_default());
        if key.i16()? < 0 {
            return Err(BatchError::ControlRecord("negative key version"));
        }
        let control_type = key.i16()?;
        let mut value = Reader(record.value.unwrap_or_default());
        match control_type {
            ABORT | COMMIT => {
                if value.i16()? < 0 {
                    return Err(BatchError::ControlRecord("negative marker version"));
                }
                Ok(ControlRecord::EndTransaction {
                    is_commit: control_type == COMMIT,
                    coordinator_epoch: value.i32()?,
                })
            }
            LEADER_CHANGE => value.leader_change().map(ControlRecord::LeaderChange),
            other => Ok(ControlRecord::Other(other)),
        }
    }

    fn key(&self) -> [u8; 4] {
        let control_type = match self {
            ControlRecord::EndTransaction { is_commit, .. } => i16::from(*is_commit),
            ControlRecord::LeaderChange(_) => LEADER_CHANGE,
            ControlRecord::Other(control_type) => *control_type,
        };
        let mut key = [0; 4];
        key[..2].copy_from_slice(&KEY_VERSION.to_be_bytes());
        key[2..].copy_from_slice(&control_type.to_be_bytes());
        key
    }

    fn value(&self) -> Vec<u8> {
        let mut value = Vec::new();
        match self {
            ControlRecord::EndTransaction {
                coordinator_epoch, ..
            } => {
                value.put_i16(END_TRANSACTION_VERSION);
                value.put_i32(*coordinator_epoch);
            }
            ControlRecord::LeaderChange(change) => {
                value.put_i16(0);
                value.put_i32(change.leader_id);
                for voters in [&change.voters, &change.granting_voters] {
                    put_unsigned(&mut value, voters.len() as u32 + 1);
                    for &voter in voters {
                        value.put_i32(voter);
                        value.put_u8(0);
                    }
                }
                value.put_u8(0);
            }
            ControlRecord::Other(_) => panic!("a control record that is not understood"),
        }
        value
    }
}

/// The batch that holds this one control record. `options` says whose: a transaction's end wants
/// its producer without a sequence and `is_transactional`.
pub fn control_batch(record: &ControlRecord, timestamp: Timestamp, options: BatchOptions) -> Bytes {
    let options = BatchOptions {
        is_control: true,
        ..options
    };
    let mut builder = BatchBuilder::new(options, 128);
    builder.append(timestamp, Some(&record.key()), Some(&record.value()), &[]);
    builder.close()
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], BatchError> {
        let cut_off = BatchError::ControlRecord("cut off");
        let (taken, rest) = self.0.split_first_chunk().ok_or(cut_off)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn i16(&mut self) -> Result<i16, BatchError> {
        self.take().map(i16::from_be_bytes)
    }

    fn i32(&mut self) -> Result<i32, BatchError> {
        self.take().map(i32::from_be_bytes)
    }

    /// An unsigned varint.
    fn unsigned(&mut self) -> Result<u32, BatchError> {
        let mut value = 0;
        for shift in (0..35).step_by(7) {
            let [byte] = self.take()?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(BatchError::ControlRecord("over-long number"))
    }

    fn skip_tags(&mut self) -> Result<(), BatchError> {
        for _ in 0..self.unsigned()? {
            self.unsigned()?;
            let size = self.unsigned()? as usize;
            let cut_off = BatchError::ControlRecord("cut off");
            self.0 = self.0.get(size..).ok_or(cut_off)?;
        }
        Ok(())
    }

    fn leader_change(&mut self) -> Result<LeaderChange, BatchError> {
        let version = self.i16()?;
        if !(0..=1).contains(&version) {
            return Err(BatchError::ControlRecord("unknown leader change version"));
        }
        let leader_id = self.i32()?;
        let voters = self.voters(version)?;
        let granting_voters = self.voters(version)?;
        self.skip_tags()?;
        Ok(LeaderChange {
            leader_id,
            voters,
            granting_voters,
        })
    }

    fn voters(&mut self, version: i16) -> Result<Vec<NodeId>, BatchError> {
        let count = (self.unsigned()? as usize).saturating_sub(1);
        if count > VOTERS_MAX {
            return Err(BatchError::ControlRecord("too many voters"));
        }
        let mut voters = Vec::with_capacity(count);
        for _ in 0..count {
            voters.push(self.i32()?);
            if version >= 1 {
                self.take::<16>()?;
            }
            self.skip_tags()?;
        }
        Ok(voters)
    }
}

fn put_unsigned(out: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests;
