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

use super::answer::Answer;
use super::dispatch::{self, Arrival, CloseReason, Dispatched, ReplyFuture, SharedClock, lap};
use super::frame_buffer::FrameBuffer;
use super::node::Node;
use crate::io::{Closer, Notify, Permit, Reader, SentBytes, Stream, Writer};
use crate::metrics::{Counter, Distribution, Gauge, Stage};
use crate::protocol::{FRAME_PREFIX_SIZE, OrderingClass, request_frame_size};
use crate::types::Monotonic;

/// Requests of one connection that were read and not yet answered.
const REQUESTS_IN_FLIGHT_MAX: usize = 128;

/// Ready answers are sent together up to this many bytes.
const GATHER_SIZE_MAX: usize = 1 << 20;

/// A request that began to arrive must have arrived whole after this time, and a large one after
/// the time that it takes at [`REQUEST_RATE_MIN`] more: it holds memory that others wait for.
pub(super) const REQUEST_ARRIVAL_TIME_MAX: Duration = Duration::from_secs(30);

/// Bytes a second.
const REQUEST_RATE_MIN: u32 = 1 << 20;

/// A request of which nothing came for this time goes, while others wait for the memory it holds.
const STALLED_TIME_MAX: Duration = Duration::from_secs(2);

/// What the reaper looks at, and how it ends a connection.
pub(super) struct ConnectionState {
    pub(super) peer: SocketAddr,
    /// The place in `listeners` of the one that it came by.
    listener: usize,
    closer: Closer,
    last_activity: Cell<Monotonic>,
    /// When the request that has begun to arrive must be there; `None` between requests, and while
    /// one waits for memory.
    arrival_deadline: Cell<Option<Monotonic>>,
    /// When something came of the request that holds memory; `None` when none does.
    went_on: Cell<Option<Monotonic>>,
    /// A request is arriving, or waits for memory.
    is_receiving: Cell<bool>,
    queue: RefCell<VecDeque<Queued>>,
    changed: Notify,
    reader_done: Cell<bool>,
    stop_reading: Cell<bool>,
    /// Requests that were read and whose answers are not sent yet.
    unanswered: Cell<usize>,
    /// Something is being sent.
    is_sending: Cell<bool>,
    sent: SentBytes,
    /// What had been sent when a send began or the reaper saw more of it sent, and when that was.
    seen_sent: Cell<(u64, Monotonic)>,
}

/// Why a connection is to be closed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Overdue {
    /// A request began to arrive and did not go on.
    HalfRequest,
    /// The same, earlier: others wait for its memory.
    Stalled,
    /// The client does not read its answers.
    Unread,
    /// Nobody waits for anything.
    Idle,
}

struct Queued {
    reply: ReplyFuture,
    clock: SharedClock,
    memory: Permit,
}

impl ConnectionState {
    /// Why the connection should be closed now, if it should. `others_wait`: for memory.
    pub(super) fn overdue(
        &self,
        now: Monotonic,
        idle_max: Option<Duration>,
        others_wait: bool,
    ) -> Option<Overdue> {
        let is_late = self.arrival_deadline.get().is_some_and(|at| now > at);
        if is_late {
            return Some(Overdue::HalfRequest);
        }
        let went_on = self.went_on.get();
        let is_stalled = went_on.is_some_and(|at| now.since(at) > STALLED_TIME_MAX);
        if others_wait && is_stalled {
            return Some(Overdue::Stalled);
        }
        let idle_max = idle_max?;
        if self.is_sending.get() {
            return (self.unread_time(now) > idle_max).then_some(Overdue::Unread);
        }
        let is_busy = self.is_receiving.get() || self.unanswered.get() > 0;
        let is_idle = !is_busy && self.quiet_time(now) > idle_max;
        is_idle.then_some(Overdue::Idle)
    }

    /// How long the client has taken nothing of what is being sent.
    fn unread_time(&self, now: Monotonic) -> Duration {
        let (seen, since) = self.seen_sent.get();
        let sent = self.sent.get();
        if sent != seen {
            self.seen_sent.set((sent, now));
            return Duration::ZERO;
        }
        now.since(since)
    }

    /// How long nothing has come or gone.
    pub(super) fn quiet_time(&self, now: Monotonic) -> Duration {
        now.since(self.last_activity.get())
    }

    /// The request that is arriving must be there in time.
    fn expect_arrival(&self, now: Monotonic, size: usize) {
        let by_rate = Duration::from_secs(size as u64) / REQUEST_RATE_MIN;
        let deadline = now + REQUEST_ARRIVAL_TIME_MAX + by_rate;
        self.arrival_deadline.set(Some(deadline));
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
pub(super) async fn serve(node: Rc<Node>, stream: Stream, listener: usize) {
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
        listener,
        closer,
        last_activity: Cell::new(node.reactor.now()),
        arrival_deadline: Cell::new(None),
        went_on: Cell::new(None),
        is_receiving: Cell::new(false),
        queue: RefCell::new(VecDeque::new()),
        changed: Notify::new(),
        reader_done: Cell::new(false),
        stop_reading: Cell::new(false),
        unanswered: Cell::new(0),
        is_sending: Cell::new(false),
        sent: writer.sent_bytes(),
        seen_sent: Cell::new((0, node.reactor.now())),
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
        // Who stops answers what it has read; half a request was not read.
        let next = future::or(read_request(node, state, &mut frames, &mut reader), async {
            state.told_to_stop_reading().await;
            Ok(None)
        });
        let Some(Received {
            frame,
            memory,
            arrival,
        }) = next.await?
        else {
            return Ok(());
        };
        let Dispatched {
            reply,
            clock,
            ordering,
        } = dispatch::dispatch(node, state.listener, frame, arrival).await?;
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

/// A request as it came.
struct Received {
    frame: Bytes,
    memory: Permit,
    arrival: Arrival,
}

/// Reads the next request when there is memory for it; `None` at the end of the stream.
async fn read_request(
    node: &Node,
    state: &ConnectionState,
    frames: &mut FrameBuffer,
    reader: &mut Reader,
) -> Result<Option<Received>, CloseReason> {
    if !frames.begins(reader).await.map_err(CloseReason::Io)? {
        return Ok(None);
    }
    let began = node.reactor.now();
    state.is_receiving.set(true);
    state.expect_arrival(began, 0);
    let prefix = frames.prefix(reader).await.map_err(CloseReason::Io)?;
    let size = request_frame_size(prefix, node.config.socket_request_max_bytes)?;
    state.arrival_deadline.set(None);
    let memory = match node.request_memory.try_acquire(size) {
        Some(memory) => memory,
        None => {
            node.shard.metrics().increment(Counter::AdmissionWaits);
            node.request_memory.acquire(size).await
        }
    };
    let admitted = node.reactor.now();
    state.expect_arrival(admitted, size);
    state.went_on.set(Some(admitted));
    let went_on = || state.went_on.set(Some(node.reactor.now()));
    let frame = frames.frame(reader, size, went_on).await;
    let frame = frame.map_err(CloseReason::Io)?;
    state.went_on.set(None);
    state.arrival_deadline.set(None);
    state.is_receiving.set(false);
    let complete = node.reactor.now();
    state.last_activity.set(complete);
    let metrics = node.shard.metrics();
    metrics.add(Counter::ReceivedBytes, (FRAME_PREFIX_SIZE + size) as u64);
    Ok(Some(Received {
        frame,
        memory,
        arrival: Arrival {
            began,
            admitted,
            complete,
        },
    }))
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
    let mut answer = reply.await?;
    lap(node, &clock, Stage::ReplyQueue);
    let mut answered = vec![(clock, memory)];
    let mut failed = None;
    while !answer.has_ranges() && answer.ready_size() < GATHER_SIZE_MAX {
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
                answer.append(more);
                answered.push((next.clock, next.memory));
            }
            Some(Err(reason)) => {
                failed = Some(reason);
                break;
            }
        }
    }
    send(node, state, answer, writer).await?;
    for (clock, _) in &answered {
        lap(node, clock, Stage::Send);
        clock.get().finish(node.shard.metrics(), node.reactor.now());
    }
    failed.map_or(Ok(answered.len()), Err)
}

/// Sends an answer, window by window.
async fn send(
    node: &Node,
    state: &ConnectionState,
    mut answer: Answer,
    writer: &mut Writer,
) -> Result<(), CloseReason> {
    while let Some(window) = answer.next_window(node).await? {
        let now = node.reactor.now();
        state.seen_sent.set((state.sent.get(), now));
        state.is_sending.set(true);
        let sent = writer.send(&window.pieces).await;
        state.is_sending.set(false);
        sent.map_err(CloseReason::Io)?;
        let size: usize = window.pieces.iter().map(Bytes::len).sum();
        let metrics = node.shard.metrics();
        metrics.add(Counter::SentBytes, size as u64);
        metrics.record(Distribution::SendSize, size as u64);
    }
    Ok(())
}

async fn poll_once(reply: &mut ReplyFuture) -> Option<Result<Answer, CloseReason>> {
    future::poll_once(Pin::new(reply)).await
}
