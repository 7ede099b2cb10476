//! Hostile bytes for everything that reads bytes which others wrote. Each module is a target: `run`
//! takes one input and panics at what must never be.
//!
//! | target | what it reads | what must hold |
//! |---|---|---|
//! | [`request`] | a request, or a whole frame | memory as promised; it comes back the same |
//! | [`batch`] | a batch of a Produce request | bounded memory; what is stored is sound |
//! | [`files`] | the small files, a directory at rest | what is read is what is written |
//! | [`recovery`] | a partition's directory, spoilt | a log or an error; sound batches |
//! | [`start`] | a whole log directory, ours or Kafka's | it serves or says why; so the next time |
//! | [`response`] | a response; our client's conversations | memory as promised; an end |
//!
//! The first bytes of an input choose (an API and version, a file, settings), the rest is content,
//! so that the mutations of real bytes stay close to real ones. `src/bin/seeds.rs` makes the first
//! inputs from the golden files. The workspace above has this as its test `fuzz`, which runs the
//! committed inputs without a fuzzer.

use std::path::Path;

pub mod batch;
mod client;
#[cfg(test)]
mod corpora;
mod directory;
pub mod files;
mod input;
mod memory;
pub mod recovery;
pub mod request;
pub mod response;
mod seal;
pub mod start;

/// The root of the repository, whichever of the two workspaces this is built in.
fn repository() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    match env!("CARGO_PKG_NAME") {
        "ringlog" => here,
        _ => here.parent().expect("fuzz/ is in the repository"),
    }
}

/// Runs `$function::<R>` for the request type of an API.
macro_rules! for_request_type {
    ($key:expr, $function:ident $arguments:tt) => {{
        use ringlog::protocol::{ApiKey, messages::*};
        match $key {
            ApiKey::Produce => $function::<ProduceRequest>$arguments,
            ApiKey::Fetch => $function::<FetchRequest>$arguments,
            ApiKey::ListOffsets => $function::<ListOffsetsRequest>$arguments,
            ApiKey::Metadata => $function::<MetadataRequest>$arguments,
            ApiKey::FindCoordinator => $function::<FindCoordinatorRequest>$arguments,
            ApiKey::ApiVersions => $function::<ApiVersionsRequest>$arguments,
            ApiKey::CreateTopics => $function::<CreateTopicsRequest>$arguments,
            ApiKey::DeleteTopics => $function::<DeleteTopicsRequest>$arguments,
            ApiKey::DeleteRecords => $function::<DeleteRecordsRequest>$arguments,
            ApiKey::InitProducerId => $function::<InitProducerIdRequest>$arguments,
            ApiKey::OffsetForLeaderEpoch => $function::<OffsetForLeaderEpochRequest>$arguments,
            ApiKey::DescribeConfigs => $function::<DescribeConfigsRequest>$arguments,
            ApiKey::AlterConfigs => $function::<AlterConfigsRequest>$arguments,
            ApiKey::IncrementalAlterConfigs => {
                $function::<IncrementalAlterConfigsRequest>$arguments
            }
            ApiKey::DescribeLogDirs => $function::<DescribeLogDirsRequest>$arguments,
            ApiKey::CreatePartitions => $function::<CreatePartitionsRequest>$arguments,
            ApiKey::DescribeCluster => $function::<DescribeClusterRequest>$arguments,
            ApiKey::DescribeProducers => $function::<DescribeProducersRequest>$arguments,
            ApiKey::ListConfigResources => $function::<ListConfigResourcesRequest>$arguments,
            ApiKey::DescribeTopicPartitions => {
                $function::<DescribeTopicPartitionsRequest>$arguments
            }
        }
    }};
}
pub(crate) use for_request_type;
