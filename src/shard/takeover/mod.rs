//! Making the log directory of a Kafka that was stopped cleanly ours, once (decision 9).
//!
//! `plan` reads everything and decides, without changing anything; `steps` carries it out, each
//! step durably before the next:
//!
//! | step | whose it is then | after a crash |
//! |---|---|---|
//! | checkpoints: our `ringlog-checkpoint` beside each log's segments | Kafka's | begins anew |
//! | metadata: our log of it, complete, inside of Kafka's | Kafka's | begins anew |
//! | commit: `meta.properties` is renamed to `meta.properties.kafka` | ours | goes on |
//! | aside: `__cluster_metadata-0` is renamed to `__cluster_metadata-0.kafka` | ours | goes on |
//! | in place: our log of the metadata is renamed to `__cluster_metadata-0` | ours | goes on |
//! | format: `meta.properties` with `ringlog.format` is written | ours | starts as ever |
//!
//! # Non-obvious
//!
//! - Up to the commit Kafka starts as if nothing had been: it passes over files and directories of
//!   these names. From there on it does not start, as it has no `meta.properties`.
//! - Whatever an attempt that ended before the commit has left is made anew: Kafka may have run in
//!   the meantime.

mod error;
mod plan;
mod steps;
mod take_over;
mod trust;

pub(super) use error::{TakeOverError, refusal};
pub(super) use steps::KAFKAS_META_PROPERTIES;
pub(super) use take_over::{finish, take_over};
