//! IncrementalAlterConfigs (44), versions 0-1: single settings of topics and brokers (KIP-339).
//!
//! A key is set, taken away, appended to or subtracted from. The controller decides, with Kafka's
//! codes and messages; the answer comes when the change is durable and every shard works by it.
//! Names that neither Kafka nor Ringlog has are INVALID_CONFIG for brokers too, where Kafka keeps
//! them for its plugins.
//!
//! Left out: resources of other types (loggers, client metrics, groups).

use bytes::Bytes;

use crate::controller::{AlterConfigs, AlterResource, ConfigChange, ConfigOperation};
use crate::protocol::StrBytes;
use crate::protocol::messages::incremental_alter_configs_request::AlterConfigsResource;
use crate::protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use crate::protocol::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};
use crate::server::dispatch::{Call, CloseReason, ReplyFuture};

pub(super) fn handle(call: Call, body: Bytes) -> Result<ReplyFuture, CloseReason> {
    let request: IncrementalAlterConfigsRequest = call.decode(body)?;
    Ok(Box::pin(async move {
        let asked = AlterConfigs {
            resources: request.resources.iter().map(resource).collect(),
            validate_only: request.validate_only,
        };
        let responses = call.alter_configs(asked).await?.into_iter();
        let responses = responses.map(|result| {
            AlterConfigsResourceResponse::default()
                .with_error_code(result.error.code())
                .with_error_message(result.message.map(StrBytes::from_string))
                .with_resource_type(result.resource_type)
                .with_resource_name(StrBytes::from_string(result.name))
        });
        let responses = responses.collect();
        call.finish(&IncrementalAlterConfigsResponse::default().with_responses(responses))
    }))
}

fn resource(resource: &AlterConfigsResource) -> AlterResource {
    let operations = resource.configs.iter().map(|config| ConfigOperation {
        name: config.name.to_string(),
        operation: config.config_operation,
        value: config.value.as_ref().map(|value| value.to_string()),
    });
    AlterResource {
        resource_type: resource.resource_type,
        name: resource.resource_name.to_string(),
        change: ConfigChange::Each(operations.collect()),
    }
}
