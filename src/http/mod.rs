//! HTTP/1.1 on the shard's own reactor, as much as the broker's local pages need: one small request
//! a connection, one answer, closed. Framing is the `httparse` crate's.
//!
//! - [`serve`]: accepts and answers until it is dropped; every bound has a name in `server.rs`.
//! - [`Request`], [`Response`]: what a page sees and gives.
//!
//! # Non-obvious
//! - It runs beside requests of clients on shard 0. Nothing here waits without a limit, and at most
//!   [`CONNECTIONS_MAX`] connections are open: more wait in the kernel's queue.
//! - There is no authentication: it listens on the loopback interface unless told otherwise.

mod request;
mod response;
mod server;
#[cfg(test)]
mod tests;

pub use request::{Method, Request};
pub use response::{Response, Status};
pub use server::{CONNECTIONS_MAX, HEAD_SIZE_MAX, Handler, REQUEST_TIME_MAX, serve};
