//! Ringlog: a Kafka-wire-compatible event log. One process per machine, one thread per core, one
//! io_uring reactor per thread, partitions sharded to cores.
//!
//! # Code map, by floor
//!
//! A module imports only from lower floors (`tests/tidy.rs` checks it).
//!
//! | floor | module | what is in it |
//! |---|---|---|
//! | 0 | [`types`] | newtypes of the field: offsets, epochs, ids, error codes, time |
//! | 1 | [`batch`] | record batch v2: view, validation, iteration, builder, compression |
//! | 1 | [`config`] | the one table of configuration keys, file parsing, errors |
//! | 1 | [`metrics`] | counters, histograms, the named stages of a request |
//! | 2 | [`io`] | the only door to the outside: disk, network, mesh, clock, tasks |
//! | 2 | [`protocol`] | API table, field layouts, length check, framing |
//! | 2 | [`log_state`] | what a log knows without a disk: producers, epochs, index formats |
//! | 3 | [`log`] | segments, appender, reader, indexes, recovery |
//! | 3 | [`fetch_session`] | incremental fetch sessions, and who gets one |
//! | 3 | [`metadata`] | metadata records, image, delta |
//! | 3 | [`purgatory`] | delayed operations |
//! | 3 | [`client`] | connection, producer, fetcher, admin calls |
//! | 3 | [`http`] | small requests of local pages: metrics, status |
//! | 4 | [`partition`] | leader state machine: sequences, high watermark |
//! | 4 | [`controller`] | topics, producer ids: requests to metadata records |
//! | 4 | [`inspect`] | log files at rest: what dump and verification read |
//! | 5 | [`shard`] | the per-core driver that runs the machines' effects |
//! | 6 | [`server`] | listeners, connections, dispatch, one handler file an API |
//! | 7 | [`sim`] | the whole broker in a simulated world, its clients, the checker |
//! | 8 | [`cli`] | the `ringlog` command line |

pub mod batch;
pub mod cli;
pub mod client;
pub mod config;
pub mod controller;
pub mod fetch_session;
pub mod http;
pub mod inspect;
pub mod io;
pub mod log;
pub mod log_state;
pub mod metadata;
pub mod metrics;
pub mod partition;
pub mod protocol;
pub mod purgatory;
pub mod server;
pub mod shard;
pub mod sim;
pub mod types;
