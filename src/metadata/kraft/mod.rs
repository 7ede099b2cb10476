//! The metadata of a Kafka in KRaft mode, as far as it has to be understood to take its log
//! directory over (decision 9): its records, what they add up to, and the same in our own.
//!
//! A value in Kafka's metadata log is a frame version (1), the record's type and version as
//! uvarints, and a flexible message (Kafka's `metadata/src/main/resources/common/metadata`).
//!
//! # Non-obvious
//!
//! - What has no meaning here is refused, never left out: a topic without its ACLs would be open to
//!   everybody. That goes for record types that are not known, too.
//! - Between Begin and End of a metadata transaction (KIP-868) nothing counts until the End.
//! - Kafka takes the leader of a node that stops away: after a clean stop leaders are -1.

mod image;
mod reader;
mod record;
#[cfg(test)]
mod tests;
mod translate;

pub use image::KraftImage;
pub use record::KraftError;
pub use translate::{NotTranslatable, translate};
