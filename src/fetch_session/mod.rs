//! Incremental fetch sessions (KIP-227): a client names its partitions once and then only what
//! changes; the broker answers only for those that have something to say.
//!
//! A [`SessionCache`] is one shard's: it decides who gets a session and who loses one.
//! [`SessionCache::begin`] turns an incremental request into one that names every partition of its
//! session, so that whoever reads needs to know of no session; [`IncrementalFetch::finish`] says
//! which partitions of the answer the client must see.
//!
//! # Non-obvious
//! - A session's epoch moves on when a request begins, so that a repeated request is seen to be
//!   one; it is looked at again at the end, when another connection may have been faster.
//! - The order of a session's partitions is the order in which they are read: one that brought
//!   records goes to the end, so that the first do not starve the others.

mod cache;
mod session;
#[cfg(test)]
mod tests;

pub use cache::{
    EVICTION_AGE_MIN, FINAL_EPOCH, FetchContext, INITIAL_EPOCH, IncrementalFetch, PARTITIONS_MAX,
    SessionCache,
};
pub use session::{FetchSession, PartitionAnswer};
