//! The broker as its clients see it: listeners, connections, dispatch, one handler file an API.
//!
//! Shard 0 accepts connections and hands each to the shard with the fewest; from then on a
//! connection lives on one shard, which reads its requests, asks the shards that own the
//! partitions, and answers in order. [`Broker`] starts all shards on this machine;
//! [`run_shard`] is what one shard does, on either side of [`crate::io`].

mod acceptor;
mod answer;
mod broker;
mod connection;
mod connections;
mod descriptor_share;
mod dispatch;
mod frame_buffer;
mod handlers;
mod listeners;
mod monitor;
mod node;
mod request_memory;
mod shard_body;

pub use broker::{Broker, BrokerInfo, StartError};
pub use shard_body::{BrokerPlan, run_shard};
