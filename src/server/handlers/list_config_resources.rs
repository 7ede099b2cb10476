//! ListConfigResources (74), versions 0-1: what can be configured (KIP-1142).
//!
//! v0 is the former ListClientMetricsResources: there are none. From v1 on the topics and the
//! brokers, or only those of the types asked for. Types that Kafka has and Ringlog does not have
//! resources of (loggers, client metrics, groups) are answered with none; a type that Kafka does
//! not have is UNSUPPORTED_VERSION for the whole request, as there.

use bytes::Bytes;

use crate::metadata::ConfigResourceType;
use crate::protocol::StrBytes;
use crate::protocol::messages::list_config_resources_response::ConfigResource;
use crate::protocol::messages::{ListConfigResourcesRequest, ListConfigResourcesResponse};
use crate::server::dispatch::{Call, CloseReason, ReplyFuture};
use crate::types::ErrorCode;

/// From this version on there are other types than client metrics.
const TYPES_VERSION_MIN: i16 = 1;

const TOPIC: i8 = ConfigResourceType::Topic as i8;
const BROKER: i8 = ConfigResourceType::Broker as i8;

/// `ConfigResource.Type` of Kafka: topics, brokers, loggers, client metrics, groups.
const KNOWN_TYPES: &[i8] = &[TOPIC, BROKER, 8, 16, 32];

pub(super) fn handle(call: &Call, body: Bytes) -> Result<ReplyFuture, CloseReason> {
    let request: ListConfigResourcesRequest = call.decode(body)?;
    if call.header.api_version < TYPES_VERSION_MIN {
        return call.reply_now(&ListConfigResourcesResponse::default());
    }
    let asked = &request.resource_types;
    if asked.iter().any(|number| !KNOWN_TYPES.contains(number)) {
        let error = ErrorCode::UnsupportedVersion;
        call.count_error(error);
        return call
            .reply_now(&ListConfigResourcesResponse::default().with_error_code(error.code()));
    }
    let image = call.node.shard.image();
    let is_asked = |number: i8| asked.is_empty() || asked.contains(&number);
    let mut resources = Vec::new();
    if is_asked(BROKER) {
        let brokers = image.brokers().map(|broker| broker.node_id.to_string());
        resources.extend(brokers.map(|name| resource(BROKER, name)));
    }
    if is_asked(TOPIC) {
        let topics = image.topics().map(|topic| topic.name.to_string());
        resources.extend(topics.map(|name| resource(TOPIC, name)));
    }
    call.reply_now(&ListConfigResourcesResponse::default().with_config_resources(resources))
}

fn resource(number: i8, name: String) -> ConfigResource {
    ConfigResource::default()
        .with_resource_type(number)
        .with_resource_name(StrBytes::from_string(name))
}
