//! What a log knows without a disk: its producers, its leader epochs, and the formats of the small
//! files beside the segments. No IO, no clock: the partition's state machine and the simulator use
//! it as it is.
//!
//! | file on disk | here |
//! |---|---|
//! | `<offset>.snapshot` | [`ProducerState::encode_snapshot`], [`ProducerState::decode_snapshot`] |
//! | `<offset>.index`, `<offset>.timeindex` | [`OffsetIndexEntry`], [`TimeIndexEntry`] |
//! | `<offset>.txnindex` | [`AbortedTransaction`] |
//! | `leader-epoch-checkpoint` | [`LeaderEpochCache::encode`], [`LeaderEpochCache::decode`] |
//! | `recovery-point-offset-checkpoint` and its like | [`encode_offsets`], [`decode_offsets`] |
//! | `partition.metadata` | [`encode_partition_metadata`], [`decode_partition_metadata`] |
//! | `meta.properties` | [`MetaProperties`], [`format_version`] |
//! | `ringlog-checkpoint` | [`RecoveryCheckpoint`] |
//!
//! All but the last are Kafka's, byte for byte; `docs/disk-format.md` draws them.

mod checkpoint_text;
mod error;
mod format_version;
mod index_entry;
mod leader_epoch_cache;
mod producer_entry;
mod producer_state;
mod recovery_checkpoint;
mod state;

pub use checkpoint_text::{
    MetaProperties, decode_offsets, decode_partition_metadata, encode_offsets,
    encode_partition_metadata,
};
pub use error::FormatError;
pub use format_version::{FORMAT_VERSION, format_version};
pub use index_entry::{AbortedTransaction, OffsetIndexEntry, TimeIndexEntry};
pub use leader_epoch_cache::{EpochEntry, LeaderEpochCache};
pub use producer_entry::{BatchMetadata, ProducerEntry};
pub use producer_state::{ProducerBatch, ProducerState, SequenceCheck};
pub use recovery_checkpoint::{CHECKPOINT_SIZE_MAX, RecoveryCheckpoint};
pub use state::LogState;
