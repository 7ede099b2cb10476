//! From a frame to the handler of its API.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;

use bytes::Bytes;

use super::handlers;
use super::node::Node;
use crate::protocol::{
    ApiKey, EncodeError, FrameError, Incoming, MalformedFrame, OrderingClass, RequestHeader,
    parse_request, unknown_version_reply,
};

/// The answer to a request, as pieces to be sent in order; empty where the protocol has none.
/// It runs when all earlier requests of the connection are answered.
pub(super) type ReplyFuture = Pin<Box<dyn Future<Output = Result<Vec<Bytes>, CloseReason>>>>;

/// Why a connection is closed.
#[derive(Debug, thiserror::Error)]
pub(super) enum CloseReason {
    #[error("{0}")]
    Io(std::io::Error),
    #[error("{0}")]
    Frame(#[from] FrameError),
    #[error("malformed {api} request: {error}")]
    Malformed { api: ApiKey, error: MalformedFrame },
    #[error("the answer cannot be encoded: {0}")]
    Encode(#[from] EncodeError),
    #[error("a Produce request with acks=0 failed: {0}")]
    UnacknowledgedProduce(String),
    #[error("the broker is stopping")]
    Stopping,
}

impl CloseReason {
    /// The one line in the log. A peer that went away is no event.
    pub(super) fn log(&self, peer: SocketAddr) {
        match self {
            CloseReason::Io(error) => tracing::debug!(%peer, %error, "connection ended"),
            CloseReason::Stopping => tracing::debug!(%peer, "connection ended: {self}"),
            _ => tracing::warn!(%peer, "connection closed: {self}"),
        }
    }
}

/// A request on its way to its handler.
pub(super) struct Call {
    pub(super) node: Rc<Node>,
    pub(super) header: RequestHeader,
}

/// A request whose messages to other shards are enqueued.
pub(super) struct Dispatched {
    pub(super) reply: ReplyFuture,
    pub(super) ordering: OrderingClass,
}

/// Parses the header, finds the handler and starts it.
pub(super) fn dispatch(node: &Rc<Node>, frame: Bytes) -> Result<Dispatched, CloseReason> {
    match parse_request(frame)? {
        Incoming::UnknownApiVersions { correlation_id } => Ok(Dispatched {
            reply: ready(vec![unknown_version_reply(correlation_id)]),
            ordering: OrderingClass::OnDispatch,
        }),
        Incoming::Request { header, body } => {
            let ordering = header.api_key.row().ordering;
            let call = Call {
                node: Rc::clone(node),
                header,
            };
            Ok(Dispatched {
                reply: handlers::handle(call, body)?,
                ordering,
            })
        }
    }
}

/// An answer that is known already.
pub(super) fn ready(pieces: Vec<Bytes>) -> ReplyFuture {
    Box::pin(std::future::ready(Ok(pieces)))
}
