//! The clients of a seed: all in one process on a machine of their own, which outlives the brokers.
//!
//! | file | who |
//! |---|---|
//! | `admin` | creates, deletes, lists; knows what must be there |
//! | `growth` | adds partitions |
//! | `settings` | changes settings of topics and of all brokers |
//! | `producer` | our own client's producer: all acks, idempotent or not, five in flight |
//! | `lane` | frames by hand: the same idempotent batch again and again, also after restarts |
//! | `reader` | long polls by assignment, from anywhere |
//! | `interrupter` | half requests, connections cut |
//! | `inspector` | at the end: everything that must be there |
//! | `damaged` | the same where the disk has damaged something |

mod admin;
mod cast;
mod damaged;
mod growth;
mod inspector;
mod interrupter;
mod lane;
mod producer;
mod reader;
mod settings;

pub(super) use cast::{Cast, run_clients};
pub(super) use inspector::inspect;
