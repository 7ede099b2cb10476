//! DescribeConfigs, AlterConfigs, IncrementalAlterConfigs, ListConfigResources.

use kafka_protocol::messages::{
    alter_configs_request as alter, alter_configs_response as altered,
    describe_configs_request as describe, describe_configs_response as described,
    incremental_alter_configs_request as incremental,
    incremental_alter_configs_response as incremented, list_config_resources_request as list,
    list_config_resources_response as listed,
};

use super::dsl::Kind::{Array, Bool, Int8, Int16, Int32, Str, Structs};
use super::dsl::{Struct, field};

pub const DESCRIBE_CONFIGS_REQUEST: Struct = Struct {
    name: "DescribeConfigsRequest",
    memory_size: size_of::<describe::DescribeConfigsRequest>(),
    fields: &[
        field("resources", Structs(&DESCRIBE_CONFIGS_RESOURCE)),
        field("include_synonyms", Bool).since(1),
        field("include_documentation", Bool).since(3),
    ],
};

const DESCRIBE_CONFIGS_RESOURCE: Struct = Struct {
    name: "DescribeConfigsResource",
    memory_size: size_of::<describe::DescribeConfigsResource>(),
    fields: &[
        field("resource_type", Int8),
        field("resource_name", Str),
        field("configuration_keys", Array(&Str)).nullable(),
    ],
};

pub const DESCRIBE_CONFIGS_RESPONSE: Struct = Struct {
    name: "DescribeConfigsResponse",
    memory_size: size_of::<described::DescribeConfigsResponse>(),
    fields: &[
        field("throttle_time_ms", Int32),
        field("results", Structs(&DESCRIBE_CONFIGS_RESULT)),
    ],
};

const DESCRIBE_CONFIGS_RESULT: Struct = Struct {
    name: "DescribeConfigsResult",
    memory_size: size_of::<described::DescribeConfigsResult>(),
    fields: &[
        field("error_code", Int16),
        field("error_message", Str).nullable(),
        field("resource_type", Int8),
        field("resource_name", Str),
        field("configs", Structs(&DESCRIBE_CONFIGS_RESOURCE_RESULT)),
    ],
};

const DESCRIBE_CONFIGS_RESOURCE_RESULT: Struct = Struct {
    name: "DescribeConfigsResourceResult",
    memory_size: size_of::<described::DescribeConfigsResourceResult>(),
    fields: &[
        field("name", Str),
        field("value", Str).nullable(),
        field("read_only", Bool),
        field("config_source", Int8).since(1),
        field("is_sensitive", Bool),
        field("synonyms", Structs(&DESCRIBE_CONFIGS_SYNONYM)).since(1),
        field("config_type", Int8).since(3),
        field("documentation", Str).since(3).nullable(),
    ],
};

const DESCRIBE_CONFIGS_SYNONYM: Struct = Struct {
    name: "DescribeConfigsSynonym",
    memory_size: size_of::<described::DescribeConfigsSynonym>(),
    fields: &[
        field("name", Str),
        field("value", Str).nullable(),
        field("source", Int8),
    ],
};

pub const ALTER_CONFIGS_REQUEST: Struct = Struct {
    name: "AlterConfigsRequest",
    memory_size: size_of::<alter::AlterConfigsRequest>(),
    fields: &[
        field("resources", Structs(&ALTER_CONFIGS_RESOURCE)),
        field("validate_only", Bool),
    ],
};

const ALTER_CONFIGS_RESOURCE: Struct = Struct {
    name: "AlterConfigsResource",
    memory_size: size_of::<alter::AlterConfigsResource>(),
    fields: &[
        field("resource_type", Int8),
        field("resource_name", Str),
        field("configs", Structs(&ALTERABLE_CONFIG)),
    ],
};

const ALTERABLE_CONFIG: Struct = Struct {
    name: "AlterableConfig",
    memory_size: size_of::<alter::AlterableConfig>(),
    fields: &[field("name", Str), field("value", Str).nullable()],
};

pub const ALTER_CONFIGS_RESPONSE: Struct = Struct {
    name: "AlterConfigsResponse",
    memory_size: size_of::<altered::AlterConfigsResponse>(),
    fields: &[
        field("throttle_time_ms", Int32),
        field("responses", Structs(&ALTER_CONFIGS_RESOURCE_RESPONSE)),
    ],
};

const ALTER_CONFIGS_RESOURCE_RESPONSE: Struct = Struct {
    name: "AlterConfigsResourceResponse",
    memory_size: size_of::<altered::AlterConfigsResourceResponse>(),
    fields: &[
        field("error_code", Int16),
        field("error_message", Str).nullable(),
        field("resource_type", Int8),
        field("resource_name", Str),
    ],
};

pub const INCREMENTAL_ALTER_CONFIGS_REQUEST: Struct = Struct {
    name: "IncrementalAlterConfigsRequest",
    memory_size: size_of::<incremental::IncrementalAlterConfigsRequest>(),
    fields: &[
        field("resources", Structs(&INCREMENTAL_RESOURCE)),
        field("validate_only", Bool),
    ],
};

const INCREMENTAL_RESOURCE: Struct = Struct {
    name: "IncrementalAlterConfigsResource",
    memory_size: size_of::<incremental::AlterConfigsResource>(),
    fields: &[
        field("resource_type", Int8),
        field("resource_name", Str),
        field("configs", Structs(&INCREMENTAL_CONFIG)),
    ],
};

const INCREMENTAL_CONFIG: Struct = Struct {
    name: "IncrementalAlterableConfig",
    memory_size: size_of::<incremental::AlterableConfig>(),
    fields: &[
        field("name", Str),
        field("config_operation", Int8),
        field("value", Str).nullable(),
    ],
};

pub const INCREMENTAL_ALTER_CONFIGS_RESPONSE: Struct = Struct {
    name: "IncrementalAlterConfigsResponse",
    memory_size: size_of::<incremented::IncrementalAlterConfigsResponse>(),
    fields: &[
        field("throttle_time_ms", Int32),
        field("responses", Structs(&INCREMENTAL_RESOURCE_RESPONSE)),
    ],
};

const INCREMENTAL_RESOURCE_RESPONSE: Struct = Struct {
    name: "IncrementalAlterConfigsResourceResponse",
    memory_size: size_of::<incremented::AlterConfigsResourceResponse>(),
    fields: &[
        field("error_code", Int16),
        field("error_message", Str).nullable(),
        field("resource_type", Int8),
        field("resource_name", Str),
    ],
};

pub const LIST_CONFIG_RESOURCES_REQUEST: Struct = Struct {
    name: "ListConfigResourcesRequest",
    memory_size: size_of::<list::ListConfigResourcesRequest>(),
    fields: &[field("resource_types", Array(&Int8)).since(1)],
};

pub const LIST_CONFIG_RESOURCES_RESPONSE: Struct = Struct {
    name: "ListConfigResourcesResponse",
    memory_size: size_of::<listed::ListConfigResourcesResponse>(),
    fields: &[
        field("throttle_time_ms", Int32),
        field("error_code", Int16),
        field("config_resources", Structs(&LISTED_CONFIG_RESOURCE)),
    ],
};

const LISTED_CONFIG_RESOURCE: Struct = Struct {
    name: "ConfigResource",
    memory_size: size_of::<listed::ConfigResource>(),
    fields: &[
        field("resource_name", Str),
        field("resource_type", Int8).since(1),
    ],
};
