//! A partition's log on disk.
//!
//! A [`Log`] lives on one shard; its handle is cheap to clone. A produce step is
//! [`Log::prepare_append`], then the partition's state machine on [`Log::state`], then
//! [`Log::append`], without a wait in between. Records are written and flushed behind that, and
//! [`LogProgress`] tells how far they are. The rules that this floor keeps are those of
//! `docs/durability.md`; `docs/disk-format.md` draws the formats.
//!
//! | question | answered by |
//! |---|---|
//! | what is in memory, and what is still to be written? | `tail` |
//! | which bytes go out in which write? | `writer` |
//! | when is a write durable, and with which flush? | `committer` (rules 1, 5), `zero_ahead` (6) |
//! | how does a segment end, and the next begin? | `roll` |
//! | what need recovery not read? | `checkpoint` (9) |
//! | what happens at start? | `recovery` (4, 7, 8), `replay` |
//! | where is an offset, a time? | `reader`, `segment_index`, `time_lookup` |
//! | what need not be kept, and how does it go? | `retention`, `removal` |
//! | which file does a segment take over, and what is old in it? | `spare`, `written_mark` (7) |
//! | what if Kafka wrote it? | `adoption` |
//! | how is its end taken back? | `truncation` (7) |
//! | a torn end, or corruption? | `remainder`, `judgement` (8) |
//! | is what is read what was written? | `continuity`, `corruption`, `verification` |
//! | what if the disk fails? | `LogDirectory::fail`, `fault` (10) |
//! | what may a simulation break, and count? | `broken_rule`, `landmark` |

mod adoption;
mod append_types;
mod broken_rule;
mod checkpoint;
mod committer;
mod config;
mod continuity;
mod corruption;
mod cut;
mod directory;
mod error;
mod fault;
mod judgement;
mod landmark;
#[allow(
    clippy::module_inception,
    reason = "the type Log has a file of its own"
)]
mod log;
mod read_types;
mod reader;
mod recovery;
mod remainder;
mod removal;
mod replay;
mod retention;
mod roll;
mod segment;
mod segment_index;
mod spare;
mod spare_buffers;
mod stop;
mod tail;
#[cfg(test)]
mod tests;
mod time_lookup;
mod truncation;
mod verification;
mod writer;
mod written_mark;
mod zero_ahead;

pub use adoption::{AdoptionError, KafkasLog, adopt, examine};
pub use append_types::{AppendPlan, BatchToAppend, LogProgress, OnProgress};
pub use broken_rule::BrokenRule;
pub use checkpoint::CHECKPOINT_FILE;
pub use config::LogConfig;
pub use directory::{CheckpointEntry, DirectoryOptions, FLUSH_FAILED_PREFIX, LogDirectory};
pub use error::LogError;
pub use fault::{DirectoryFault, DirectoryState};
pub use judgement::Judgement;
pub use landmark::{DamageReport, Landmark, Landmarks};
pub use log::{Log, OpenLog, RecoveryReport};
pub use read_types::{ReadBatches, ReadOutcome, ReadRequest, ReadSource, Rest, TimestampOffset};
pub use reader::{COLD_READ_SIZE, COLD_READ_SIZE_MIN};
pub use recovery::PARTITION_METADATA;
pub use remainder::{MAGIC_END, Remainder, RestBounds, RestWalk};
pub use replay::{ScanStop, discontinuity, replay_batch};
pub use segment::{extension, parse_segment_name, segment_path};
pub use stop::LEADER_EPOCH_CHECKPOINT;
pub use tail::TailBudget;
pub use verification::VerifyPace;
pub use written_mark::{mark_place, written_at_most};
