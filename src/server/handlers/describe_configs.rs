//! DescribeConfigs (32), versions 1-4: what topics and brokers are set to (KIP-133, KIP-226,
//! KIP-569).
//!
//! A topic shows all of its keys; a broker too, under its id, and under "" what is set for all
//! brokers. From v1 on with the source and, if asked for, every synonym that is set; from v3 on
//! with the type and, if asked for, the documentation, which is Ringlog's own. A name that is asked
//! for and that there is not is left out, as in Kafka.
//!
//! Left out: resources of other types (loggers, client metrics, groups) are INVALID_REQUEST. Kafka
//! refuses a whole request for one type that it does not know; here the other resources are
//! answered.

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::config::{Described, DynamicBrokerConfig, Kind, Overrides, TopicDescription};
use crate::metadata::{ConfigResource, ConfigResourceType, MetadataImage, validate_topic_name};
use crate::protocol::StrBytes;
use crate::protocol::messages::describe_configs_request::DescribeConfigsResource;
use crate::protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use crate::protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse};
use crate::server::dispatch::{Call, CloseReason, ReplyFuture};
use crate::types::ErrorCode;

/// Resources of one request, at most: a few bytes of a request become kilobytes of its answer.
const RESOURCES_MAX: usize = 10_000;

/// From this version on an answer has types and documentation.
const TYPE_VERSION_MIN: i16 = 3;

pub(super) fn handle(call: &Call, body: Bytes) -> Result<ReplyFuture, CloseReason> {
    let request: DescribeConfigsRequest = call.decode(body)?;
    let settings = call.node.shard.broker_settings();
    let describer = Describer {
        node_id: call.node.config.node_id,
        image: &call.node.shard.image(),
        topics: settings.describe_topics(),
        settings: &settings,
        form: Form {
            synonyms: request.include_synonyms,
            documentation: request.include_documentation,
            types: call.header.api_version >= TYPE_VERSION_MIN,
        },
    };
    let results = request
        .resources
        .iter()
        .enumerate()
        .map(|(index, resource)| {
            let described = match index < RESOURCES_MAX {
                true => describer.describe(resource),
                false => Err(invalid(format!(
                    "One request may ask for {RESOURCES_MAX} resources."
                ))),
            };
            let result = DescribeConfigsResult::default()
                .with_resource_type(resource.resource_type)
                .with_resource_name(resource.resource_name.clone());
            match described {
                Ok(configs) => result.with_configs(configs),
                Err((error, message)) => {
                    call.count_error(error);
                    let result = result.with_error_code(error.code());
                    match message {
                        // With nothing to say Kafka's message is empty, not null.
                        None => result,
                        Some(text) => result.with_error_message(Some(StrBytes::from_string(text))),
                    }
                }
            }
        });
    let results = results.collect();
    call.reply_now(&DescribeConfigsResponse::default().with_results(results))
}

type Failure = (ErrorCode, Option<String>);

fn invalid(message: String) -> Failure {
    (ErrorCode::InvalidRequest, Some(message))
}

/// What a client wants to see of each key.
#[derive(Clone, Copy)]
struct Form {
    synonyms: bool,
    documentation: bool,
    types: bool,
}

struct Describer<'a> {
    node_id: i32,
    image: &'a MetadataImage,
    settings: &'a DynamicBrokerConfig,
    topics: TopicDescription,
    form: Form,
}

impl Describer<'_> {
    fn describe(
        &self,
        resource: &DescribeConfigsResource,
    ) -> Result<Vec<DescribeConfigsResourceResult>, Failure> {
        let name = resource.resource_name.as_str();
        let described = match resource.resource_type {
            number if number == ConfigResourceType::Topic as i8 => self.topic(name)?,
            number if number == ConfigResourceType::Broker as i8 => self.broker(name)?,
            number => return Err(invalid(format!("Unknown resource type {number}"))),
        };
        let asked: Option<BTreeSet<&str>> = resource
            .configuration_keys
            .as_ref()
            .filter(|keys| !keys.is_empty())
            .map(|keys| keys.iter().map(|key| key.as_str()).collect());
        let shown = described.into_iter().filter(|one| {
            asked
                .as_ref()
                .is_none_or(|asked| asked.contains(one.key.name))
        });
        Ok(shown.map(|one| self.form.result(one)).collect())
    }

    fn topic(&self, name: &str) -> Result<Vec<Described>, Failure> {
        validate_topic_name(name)
            .map_err(|message| (ErrorCode::InvalidTopicException, Some(message)))?;
        if self.image.topic_by_name(name).is_none() {
            return Err((ErrorCode::UnknownTopicOrPartition, None));
        }
        let overrides = self.image.config(&ConfigResource::topic(name));
        let none = Overrides::new();
        let overrides = overrides.map_or(&none, |set| &**set);
        Ok(self.topics.with(overrides))
    }

    fn broker(&self, name: &str) -> Result<Vec<Described>, Failure> {
        if name.is_empty() {
            return Ok(self.settings.describe_cluster());
        }
        match name.parse::<i32>() {
            Ok(id) if id == self.node_id => Ok(self.settings.describe_broker()),
            Ok(_) => Err(invalid(format!(
                "Unexpected broker id, expected {} or empty string, but received {name}",
                self.node_id
            ))),
            Err(_) => Err(invalid(format!(
                "Broker id must be an integer, but it is: {name}"
            ))),
        }
    }
}

impl Form {
    fn result(self, described: Described) -> DescribeConfigsResourceResult {
        let key = described.key;
        let text = |value: Option<String>| value.map(StrBytes::from_string);
        let mut result = DescribeConfigsResourceResult::default()
            .with_name(StrBytes::from_static_str(key.name))
            .with_value(text(described.value))
            .with_read_only(key.is_read_only())
            .with_config_source(described.source as i8)
            .with_is_sensitive(key.is_sensitive());
        if self.types {
            result.config_type = type_number(key.kind);
            let documentation = || StrBytes::from_static_str(key.doc);
            result.documentation = self.documentation.then(documentation);
        }
        if self.synonyms {
            let synonyms = described.synonyms.into_iter().map(|synonym| {
                DescribeConfigsSynonym::default()
                    .with_name(StrBytes::from_static_str(synonym.name))
                    .with_value(text(synonym.value))
                    .with_source(synonym.source as i8)
            });
            result.synonyms = synonyms.collect();
        }
        result
    }
}

/// `DescribeConfigsResponse.ConfigType` of Kafka.
fn type_number(kind: Kind) -> i8 {
    match kind {
        Kind::Boolean => 1,
        Kind::String | Kind::StringList => 2,
        Kind::Int => 3,
        Kind::Short => 4,
        Kind::Long => 5,
        Kind::Double => 6,
        Kind::List => 7,
        Kind::Password => 9,
    }
}
