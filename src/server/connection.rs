//! One connection: a reader that hands requests to the dispatcher, and a writer that sends the
//! answers in the order of the requests.
//!
//! # Non-obvious
//! - The reader goes on with the next request as soon as this one's messages to other shards are
//!   enqueued; it never waits for an answer. Order of effects is kept by the mesh (FIFO), order of
//!   answers by the queue between reader and writer.
//! - Memory for a frame is taken from the shard's budget before the frame is read, and given back
//!   when its answer has been sent.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use futures_lite::future;

use super::dispatch::{self, Arrival, CloseReason, Dispatched, ReplyFuture, SharedClock, lap};
use super::frame_buffer::FrameBuffer;
use super::node::Node;
use crate::io::{Closer, Notify, Permit, Reader, Stream, Writer};
use crate::metrics::{Counter, Distribution, Gauge, Stage};
use crate::protocol::{FRAME_PREFIX_SIZE, OrderingClass, request_frame_size};
use crate::types::Monotonic;

/// Requests of one connection that were read and not yet answered.
const REQUESTS_IN_FLIGHT_MAX: usize = 128;

/// Ready answers are sent together up to this many bytes.
const GATHER_SIZE_MAX: usize = 1 << 20;

/// A request that began to arrive must have arrived whole after this time.
const REQUEST_ARRIVAL_TIME_MAX: Duration = Duration::from_secs(30);

/// What the reaper looks at, and how it ends a connection.
pub(super) struct ConnectionState {
    pub(super) peer: SocketAddr,
    closer: Closer,
    last_activity: Cell<Monotonic>,
    mid_request: Cell<bool>,
    queue: RefCell<VecDeque<Queued>>,
    changed: Notify,
    reader_done: Cell<bool>,
    stop_reading: Cell<bool>,
    /// Requests that were read and whose answers are not sent yet.
    unanswered: Cell<usize>,
}

struct Queued {
    reply: ReplyFuture,
    clock: SharedClock,
    memory: Permit,
}

impl ConnectionState {
    /// Why the connection should be closed now, if it should.
    pub(super) fn overdue(
        &self,
        now: Monotonic,
        idle_max: Option<Duration>,
    ) -> Option<&'static str> {
        let quiet = now.since(self.last_activity.get());
        if self.mid_request.get() && quiet > REQUEST_ARRIVAL_TIME_MAX {
            return Some("a request began to arrive and did not go on");
        }
        let is_idle = self.unanswered.get() == 0 && idle_max.is_some_and(|max| quiet > max);
        is_idle.then_some("idle")
    }

    /// Answers what was read, reads nothing more, and then ends.
    pub(super) fn stop_reading(&self) {
        self.stop_reading.set(true);
        self.changed.notify_all();
    }

    async fn told_to_stop_reading(&self) {
        loop {
            let changed = self.changed.notified();
            if self.stop_reading.get() {
                return;
            }
            changed.await;
        }
    }

    async fn fewer_unanswered_than(&self, count: usize) {
        loop {
            let changed = self.changed.notified();
            if self.unanswered.get() < count || self.stop_reading.get() {
                return;
            }
            changed.await;
        }
    }

    fn answered(&self, count: usize) {
        self.unanswered.set(self.unanswered.get() - count);
        self.changed.notify_all();
    }

    pub(super) fn close(&self) {
        self.closer.close();
    }
}

/// Serves a connection until it ends.
pub(super) async fn serve(node: Rc<Node>, stream: Stream) {
    let peer = stream.peer_address();
    let (reader, writer, closer) = match stream.split() {
        Ok(halves) => halves,
        Err(error) => {
            tracing::warn!(%peer, %error, "connection closed: its socket cannot be used");
            return;
        }
    };
    let state = Rc::new(ConnectionState {
        peer,
        closer,
        last_activity: Cell::new(node.reactor.now()),
        mid_request: Cell::new(false),
        queue: RefCell::new(VecDeque::new()),
        changed: Notify::new(),
        reader_done: Cell::new(false),
        stop_reading: Cell::new(false),
        unanswered: Cell::new(0),
    });
    let registration = node.connections.register(Rc::clone(&state));
    let metrics = node.shard.metrics();
    metrics.increment(Counter::ConnectionsAccepted);
    metrics.adjust(Gauge::Connections, 1);
    let sending = node
        .reactor
        .spawn(send_replies(Rc::clone(&node), Rc::clone(&state), writer));
    let end = read_requests(&node, &state, reader).await;
    state.reader_done.set(true);
    state.changed.notify_all();
    if let Err(reason) = end {
        // What was answered before still goes out.
        reason.log(peer);
        if reason.is_malformed() {
            node.shard.metrics().increment(Counter::RequestsMalformed);
        }
    }
    sending.await;
    metrics.adjust(Gauge::Connections, -1);
    metrics.increment(Counter::ConnectionsClosed);
    drop(registration);
}

async fn read_requests(
    node: &Rc<Node>,
    state: &ConnectionState,
    mut reader: Reader,
) -> Result<(), CloseReason> {
    let mut frames = FrameBuffer::new();
    loop {
        state.fewer_unanswered_than(REQUESTS_IN_FLIGHT_MAX).await;
        let next = future::or(
            async { Some(frames.next_prefix(&mut reader).await) },
            async {
                state.told_to_stop_reading().await;
                None
            },
        );
        let prefix = match next.await {
            Some(Ok(Some(prefix))) => prefix,
            Some(Ok(None)) | None => return Ok(()),
            Some(Err(error)) => return Err(CloseReason::Io(error)),
        };
        let size = request_frame_size(prefix, node.config.socket_request_max_bytes)?;
        state.mid_request.set(frames.is_mid_frame());
        let began = node.reactor.now();
        let memory = match node.request_memory.try_acquire(size) {
            Some(memory) => memory,
            None => {
                node.shard.metrics().increment(Counter::AdmissionWaits);
                node.request_memory.acquire(size).await
            }
        };
        let admitted = node.reactor.now();
        state.last_activity.set(admitted);
        let frame = frames
            .frame(&mut reader, size)
            .await
            .map_err(CloseReason::Io)?;
        state.mid_request.set(false);
        let complete = node.reactor.now();
        state.last_activity.set(complete);
        node.shard
            .metrics()
            .add(Counter::ReceivedBytes, (FRAME_PREFIX_SIZE + size) as u64);
        let arrival = Arrival {
            began,
            admitted,
            complete,
        };
        let Dispatched {
            reply,
            clock,
            ordering,
        } = dispatch::dispatch(node, frame, arrival)?;
        state.unanswered.set(state.unanswered.get() + 1);
        state.queue.borrow_mut().push_back(Queued {
            reply,
            clock,
            memory,
        });
        state.changed.notify_all();
        if ordering == OrderingClass::OnReply {
            state.fewer_unanswered_than(1).await;
        }
    }
}

/// The next queued answer; `None` when the reader has ended and everything is answered.
async fn next_queued(state: &ConnectionState) -> Option<Queued> {
    loop {
        let changed = state.changed.notified();
        if let Some(queued) = state.queue.borrow_mut().pop_front() {
            return Some(queued);
        }
        if state.reader_done.get() {
            return None;
        }
        changed.await;
    }
}

async fn send_replies(node: Rc<Node>, state: Rc<ConnectionState>, mut writer: Writer) {
    let mut carried: Option<Queued> = None;
    loop {
        let first = match carried.take() {
            Some(queued) => queued,
            None => match next_queued(&state).await {
                Some(queued) => queued,
                None => break,
            },
        };
        let sent = send_one_gather(&node, &state, first, &mut carried, &mut writer).await;
        state.last_activity.set(node.reactor.now());
        match sent {
            Ok(count) => state.answered(count),
            Err(reason) => {
                reason.log(state.peer);
                break;
            }
        }
    }
    // Ends the reader too, which may wait for bytes that nobody would answer.
    state.queue.borrow_mut().clear();
    state.stop_reading();
    state.closer.close();
}

/// Awaits one answer, adds those behind it that are ready already, and sends them together.
/// Returns how many.
async fn send_one_gather(
    node: &Node,
    state: &ConnectionState,
    first: Queued,
    carried: &mut Option<Queued>,
    writer: &mut Writer,
) -> Result<usize, CloseReason> {
    let Queued {
        reply,
        clock,
        memory,
    } = first;
    let mut pieces: Vec<Bytes> = reply.await?;
    lap(node, &clock, Stage::ReplyQueue);
    let mut answered = vec![(clock, memory)];
    let mut size: usize = pieces.iter().map(Bytes::len).sum();
    let mut failed = None;
    while size < GATHER_SIZE_MAX {
        let Some(mut next) = state.queue.borrow_mut().pop_front() else {
            break;
        };
        match poll_once(&mut next.reply).await {
            None => {
                *carried = Some(next);
                break;
            }
            Some(Ok(more)) => {
                lap(node, &next.clock, Stage::ReplyQueue);
                size += more.iter().map(Bytes::len).sum::<usize>();
                pieces.extend(more);
                answered.push((next.clock, next.memory));
            }
            Some(Err(reason)) => {
                failed = Some(reason);
                break;
            }
        }
    }
    if !pieces.is_empty() {
        writer.send(&pieces).await.map_err(CloseReason::Io)?;
        let metrics = node.shard.metrics();
        metrics.add(Counter::SentBytes, size as u64);
        metrics.record(Distribution::SendSize, size as u64);
    }
    for (clock, _) in &answered {
        lap(node, clock, Stage::Send);
        clock.get().finish(node.shard.metrics(), node.reactor.now());
    }
    failed.map_or(Ok(answered.len()), Err)
}

async fn poll_once(reply: &mut ReplyFuture) -> Option<Result<Vec<Bytes>, CloseReason>> {
    future::poll_once(Pin::new(reply)).await
}
