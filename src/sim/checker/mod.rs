//! What must hold, whatever a seed does: kept outside of the simulated world, told by the clients
//! what they sent, what was acknowledged and what they read.
//!
//! | file | what is in it |
//! |---|---|
//! | `records` | what was sent: who, in which order, with what promise, and the bytes of a record |
//! | `partition` | which record is at which offset, and what must survive |
//! | `invariant` | the promises by name |
//! | `damage` | what a damaged disk may do to a partition |
//! | `topics` | which topics there are, by name and id; deleted ones stay deleted |
//!
//! Every check returns the promise that is not kept, with a sentence that says what is wrong.

mod damage;
mod invariant;
mod partition;
mod records;
mod topics;

pub(super) use damage::Damage;
pub use invariant::{Invariant, Violation};
pub(super) use partition::Survives;
pub(super) use records::{Guarantee, Record, RecordRegistry};
pub(super) use topics::{Lifecycle, NameState, Seen, TopicListing, Topics};
