//! The whole broker in a simulated world: all shards with their real handlers and real logs on
//! [`io::sim`](crate::io::sim), clients that reach it by frames, and a checker of what was
//! promised.
//!
//! [`run_seed`] plays one seed: brokers live one after the other on one disk, each until it is
//! stopped, killed, or its machine loses the power, while the clients go on. In the end nothing
//! fails any more, and everything that was acknowledged must be there.
//!
//! | file | what is in it |
//! |---|---|
//! | `run` | one seed from its beginning to its verdict |
//! | `lives` | the brokers, one after the other, and what befalls them |
//! | `scenario` | what a seed draws before it begins |
//! | `swarm` | which faults a seed has |
//! | `damage` | a disk that rots and lies |
//! | `clients/` | who sends and reads what |
//! | `wire` | frames made by hand |
//! | `checker/` | the invariants |
//! | `ledger` | what clients and driver share |
//! | `tally` | how often each fault fired and each rare state was reached |
//!
//! The test `tests/sim/broker.rs` and `ringlog sim --seed N` run the same code.
//!
//! # Non-obvious
//! - A client that holds an answer from before a power cut must not report it as one from after it:
//!   the driver resets all connections and lets the clients finish what they have before it tells
//!   the checker of the cut; what may wait longer compares `power_cut_count`.
//! - An answer to something that was sent by name counts only if the name stands for the same topic
//!   as when it was sent.

mod checker;
mod clients;
mod damage;
mod ledger;
mod lives;
mod run;
mod scenario;
mod swarm;
mod tally;
mod wire;

pub use checker::{Invariant, Violation};
pub use run::{Outcome, SeedOptions, faults_of, run_seed};
pub use swarm::{Fault, FaultSet};
pub use tally::Tally;
