//! One file an API. Each opens with the versions it serves, what it does, and what it leaves out.
//!
//! A handler runs in two stages: what happens before it returns happens in the order of the
//! connection's requests (messages to other shards are enqueued there); what it returns is the
//! rest, a future that ends with the answer.

mod alter_configs;
mod api_versions;
mod create_partitions;
mod create_topics;
mod delete_records;
mod delete_topics;
mod describe_cluster;
mod describe_configs;
mod describe_log_dirs;
mod describe_producers;
mod describe_topic_partitions;
mod fetch;
mod find_coordinator;
mod incremental_alter_configs;
mod init_producer_id;
mod list_config_resources;
mod list_offsets;
mod metadata;
mod offset_for_leader_epoch;
mod produce;
mod route;

pub(super) use route::handle;
