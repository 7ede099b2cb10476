//! From a frame to the handler of its API.

use std::cell::Cell;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;

use bytes::Bytes;

use super::answer::Answer;
use super::handlers;
use super::node::Node;
use crate::metadata::Endpoint;
use crate::metrics::{Stage, StageClock};
use crate::protocol::{
    ApiKey, EncodeError, FrameError, Incoming, MalformedFrame, OrderingClass, RequestHeader,
    parse_request, unknown_version_reply,
};
use crate::types::{ErrorCode, Monotonic};

/// The answer to a request. It runs when all earlier requests of the connection are answered.
pub(super) type ReplyFuture = Pin<Box<dyn Future<Output = Result<Answer, CloseReason>>>>;

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
    #[error("records of an answer were gone before they were sent: {0}")]
    RecordsGone(ErrorCode),
    #[error("the broker is stopping")]
    Stopping,
}

impl CloseReason {
    /// Whether the client sent what cannot be understood.
    pub(super) fn is_malformed(&self) -> bool {
        matches!(self, CloseReason::Frame(_) | CloseReason::Malformed { .. })
    }

    /// The one line in the log. A peer that went away is no event.
    pub(super) fn log(&self, peer: SocketAddr) {
        match self {
            CloseReason::Io(error) => tracing::debug!(%peer, %error, "connection ended"),
            CloseReason::Stopping => tracing::debug!(%peer, "connection ended: {self}"),
            _ => tracing::warn!(%peer, "connection closed: {self}"),
        }
    }
}

/// When a request came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    /// Its first bytes were there.
    pub(super) began: Monotonic,
    /// There was memory for it.
    pub(super) admitted: Monotonic,
    /// Its last byte was there.
    pub(super) complete: Monotonic,
}

/// A request's stage clock, shared by those who handle it one after the other.
pub(super) type SharedClock = Rc<Cell<StageClock>>;

/// A request on its way to its handler.
pub(super) struct Call {
    pub(super) node: Rc<Node>,
    pub(super) header: RequestHeader,
    pub(super) clock: SharedClock,
    /// The place in `listeners` of the one that the request came by.
    pub(super) listener: usize,
}

impl Call {
    /// Where this client reaches the broker: the advertised address of the listener that it came
    /// by, if it has one.
    pub(super) fn endpoint(&self) -> Option<&Endpoint> {
        self.node.endpoints[self.listener].as_ref()
    }

    /// A stage of this request has ended.
    pub(super) fn lap(&self, stage: Stage) {
        lap(&self.node, &self.clock, stage);
    }
}

/// A stage of a request has ended on this shard.
pub(super) fn lap(node: &Node, clock: &SharedClock, stage: Stage) {
    let mut running = clock.get();
    running.lap(node.shard.metrics(), stage, node.reactor.now());
    clock.set(running);
}

/// A request whose messages to other shards are enqueued.
pub(super) struct Dispatched {
    pub(super) reply: ReplyFuture,
    pub(super) clock: SharedClock,
    pub(super) ordering: OrderingClass,
}

/// Parses the header, finds the handler and starts it.
pub(super) async fn dispatch(
    node: &Rc<Node>,
    listener: usize,
    frame: Bytes,
    arrival: Arrival,
) -> Result<Dispatched, CloseReason> {
    match parse_request(frame)? {
        Incoming::UnknownApiVersions { correlation_id } => Ok(Dispatched {
            reply: ready(unknown_version_reply(correlation_id)),
            clock: start_clock(node, ApiKey::ApiVersions, arrival),
            ordering: OrderingClass::OnDispatch,
        }),
        Incoming::Request { header, body } => {
            let ordering = header.api_key.row().ordering;
            let clock = start_clock(node, header.api_key, arrival);
            let call = Call {
                node: Rc::clone(node),
                header,
                clock: Rc::clone(&clock),
                listener,
            };
            Ok(Dispatched {
                reply: handlers::handle(call, body).await?,
                clock,
                ordering,
            })
        }
    }
}

fn start_clock(node: &Node, key: ApiKey, arrival: Arrival) -> SharedClock {
    let metrics = node.shard.metrics();
    let mut clock = StageClock::start(key.code(), arrival.began);
    clock.lap(metrics, Stage::Admit, arrival.admitted);
    clock.lap(metrics, Stage::ReadFrame, arrival.complete);
    Rc::new(Cell::new(clock))
}

/// An answer that is known already.
pub(super) fn ready(answer: impl Into<Answer>) -> ReplyFuture {
    Box::pin(std::future::ready(Ok(answer.into())))
}
