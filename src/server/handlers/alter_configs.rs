//! AlterConfigs (33), versions 0-2: all settings of topics and brokers at once.
//!
//! What a resource is not given anew falls back to its default; clients since KIP-339 use
//! IncrementalAlterConfigs. The controller decides, as there; the answer comes when the change is
//! durable and every shard works by it.
//!
//! A resource that stands twice is refused in each place (Kafka 4.1 does not answer at all).

use bytes::Bytes;

use crate::controller::{AlterConfigs, AlterResource, AlterResult, ConfigChange};
use crate::protocol::StrBytes;
use crate::protocol::messages::alter_configs_request::AlterConfigsResource;
use crate::protocol::messages::alter_configs_response::AlterConfigsResourceResponse;
use crate::protocol::messages::{AlterConfigsRequest, AlterConfigsResponse};
use crate::server::dispatch::{Call, CloseReason, ReplyFuture};

pub(super) fn handle(call: Call, body: Bytes) -> Result<ReplyFuture, CloseReason> {
    let request: AlterConfigsRequest = call.decode(body)?;
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
        call.finish(&AlterConfigsResponse::default().with_responses(responses.collect()))
    }))
}

fn resource(resource: &AlterConfigsResource) -> AlterResource {
    let values = resource.configs.iter().map(|config| {
        let value = config.value.as_ref().map(|value| value.to_string());
        (config.name.to_string(), value)
    });
    AlterResource {
        resource_type: resource.resource_type,
        name: resource.resource_name.to_string(),
        change: ConfigChange::Replace(values.collect()),
    }
}

impl Call {
    /// What the controller says to a change; an error of it as a whole is one of each resource.
    pub(super) async fn alter_configs(
        &self,
        asked: AlterConfigs,
    ) -> Result<Vec<AlterResult>, CloseReason> {
        let named: Vec<_> = asked
            .resources
            .iter()
            .map(|resource| (resource.resource_type, resource.name.clone()))
            .collect();
        let altered = self.node.shard.alter_configs(asked).await;
        let results = altered
            .ok_or(CloseReason::Stopping)?
            .unwrap_or_else(|error| {
                let failed = named.into_iter().map(|(resource_type, name)| AlterResult {
                    resource_type,
                    name,
                    error,
                    message: None,
                });
                failed.collect()
            });
        results
            .iter()
            .for_each(|result| self.count_error(result.error));
        Ok(results)
    }
}
