//! Settings of topics and brokers: described and changed.

use super::admin::Admin;
use super::connection::Connection;
use super::error::ClientError;
use crate::config::ConfigSource;
use crate::protocol::messages::describe_configs_request::DescribeConfigsResource;
use crate::protocol::messages::describe_configs_response::DescribeConfigsResourceResult;
use crate::protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use crate::protocol::messages::{DescribeConfigsRequest, IncrementalAlterConfigsRequest};
use crate::protocol::{ApiKey, StrBytes};
use crate::types::NodeId;

/// What has settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigTarget {
    Topic(String),
    Broker(NodeId),
    /// What is set for all brokers.
    AllBrokers,
}

impl ConfigTarget {
    /// `ConfigResource.Type` of Kafka, and the name.
    fn on_wire(&self) -> (i8, StrBytes) {
        match self {
            ConfigTarget::Topic(name) => (2, StrBytes::from_string(name.clone())),
            ConfigTarget::Broker(id) => (4, StrBytes::from_string(id.to_string())),
            ConfigTarget::AllBrokers => (4, StrBytes::default()),
        }
    }
}

impl std::fmt::Display for ConfigTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ConfigTarget::Topic(name) => write!(f, "topic `{name}`"),
            ConfigTarget::Broker(id) => write!(f, "broker {id}"),
            ConfigTarget::AllBrokers => write!(f, "all brokers"),
        }
    }
}

/// A key as a broker describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigEntry {
    pub name: String,
    /// `None`: not set, or never shown.
    pub value: Option<String>,
    /// `None`: one that this client does not know.
    pub source: Option<ConfigSource>,
    pub is_read_only: bool,
    pub is_sensitive: bool,
    /// What is set of it, the one that counts first.
    pub synonyms: Vec<ConfigSynonym>,
    pub documentation: Option<String>,
}

/// What is set under a name, somewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigSynonym {
    pub name: String,
    pub value: Option<String>,
    pub source: Option<ConfigSource>,
}

/// What happens with a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigEdit {
    Set(String),
    /// Its default again.
    Delete,
    /// To a list.
    Append(String),
    /// From a list.
    Subtract(String),
}

impl ConfigEdit {
    /// `AlterConfigOp.OpType` of Kafka, and the value.
    fn on_wire(&self) -> (i8, Option<&str>) {
        match self {
            ConfigEdit::Set(value) => (0, Some(value)),
            ConfigEdit::Delete => (1, None),
            ConfigEdit::Append(value) => (2, Some(value)),
            ConfigEdit::Subtract(value) => (3, Some(value)),
        }
    }
}

impl Admin {
    /// The settings of a topic or broker, by name; `names` says which, `None`: all.
    pub async fn describe_configs(
        &self,
        target: &ConfigTarget,
        names: Option<&[&str]>,
    ) -> Result<Vec<ConfigEntry>, ClientError> {
        let (resource_type, name) = target.on_wire();
        let keys = names.map(|names| {
            let names = names.iter();
            names
                .map(|name| StrBytes::from_string((*name).to_owned()))
                .collect()
        });
        let resource = DescribeConfigsResource::default()
            .with_resource_type(resource_type)
            .with_resource_name(name)
            .with_configuration_keys(keys);
        let request = DescribeConfigsRequest::default()
            .with_resources(vec![resource])
            .with_include_synonyms(true);
        let request = &request;
        let response = self
            .retry(|| async move {
                let connection = self.connection_for(target).await?;
                let version = connection.version(ApiKey::DescribeConfigs, i16::MAX)?;
                let mut request = request.clone();
                request.include_documentation = version >= 3;
                connection.call(version, &request).await
            })
            .await?;
        let mut entries = Vec::new();
        for result in response.results {
            let message = result.error_message.as_deref();
            ClientError::check(result.error_code, || target.to_string(), message)?;
            entries.extend(result.configs.into_iter().map(entry));
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    /// Changes settings of a topic or broker: all of them, or with an error none.
    pub async fn alter_configs(
        &self,
        target: &ConfigTarget,
        edits: &[(String, ConfigEdit)],
        validate_only: bool,
    ) -> Result<(), ClientError> {
        let (resource_type, name) = target.on_wire();
        let configs = edits.iter().map(|(name, edit)| {
            let (operation, value) = edit.on_wire();
            AlterableConfig::default()
                .with_name(StrBytes::from_string(name.clone()))
                .with_config_operation(operation)
                .with_value(value.map(|value| StrBytes::from_string(value.to_owned())))
        });
        let resource = AlterConfigsResource::default()
            .with_resource_type(resource_type)
            .with_resource_name(name)
            .with_configs(configs.collect());
        let request = IncrementalAlterConfigsRequest::default()
            .with_resources(vec![resource])
            .with_validate_only(validate_only);
        let request = &request;
        let response = self
            .retry(|| async move {
                let connection = self.connection_for(target).await?;
                let version = connection.version(ApiKey::IncrementalAlterConfigs, i16::MAX)?;
                connection.call(version, request).await
            })
            .await?;
        for result in response.responses {
            let message = result.error_message.as_deref();
            ClientError::check(result.error_code, || target.to_string(), message)?;
        }
        Ok(())
    }

    /// A broker answers for itself alone; for the rest any of them does.
    async fn connection_for(&self, target: &ConfigTarget) -> Result<Connection, ClientError> {
        match target {
            ConfigTarget::Broker(id) => self.client.connection(*id).await,
            ConfigTarget::Topic(_) | ConfigTarget::AllBrokers => self.controller().await,
        }
    }
}

fn entry(config: DescribeConfigsResourceResult) -> ConfigEntry {
    let text = |value: Option<StrBytes>| value.map(|value| value.to_string());
    let synonyms = config.synonyms.into_iter().map(|synonym| ConfigSynonym {
        name: synonym.name.to_string(),
        value: text(synonym.value),
        source: ConfigSource::from_number(synonym.source),
    });
    ConfigEntry {
        name: config.name.to_string(),
        value: text(config.value),
        source: ConfigSource::from_number(config.config_source),
        is_read_only: config.read_only,
        is_sensitive: config.is_sensitive,
        synonyms: synonyms.collect(),
        documentation: text(config.documentation),
    }
}
