//! The client against a broker whose faults are scripted, over the simulated network: what is
//! asserted is what came over the wire and what the user got.

mod connection;
mod fetcher;
mod partitioning;
mod producer;
mod scripted_broker;
