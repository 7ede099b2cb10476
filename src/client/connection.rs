//! One socket to one broker: pipelined requests, answers in order.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};

use super::cluster_view::BrokerAddress;
use super::error::ClientError;
use super::options::ClientOptions;
use crate::io::{
    Closer, Notify, OneshotReceiver, OneshotSender, Permit, Reactor, Reader, Semaphore, Stream,
    Writer, oneshot,
};
use crate::protocol::layout::Versions;
use crate::protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};
use crate::protocol::{
    ApiKey, EncodeError, FRAME_PREFIX_SIZE, StrBytes, decode_response, encode_request,
    response_correlation_id, response_frame_size,
};
use crate::types::{ErrorCode, Monotonic};
use kafka_protocol::protocol::Request;

/// Largest response that is read, bytes: two full fetches of the default `fetch.max.bytes`.
const RESPONSE_SIZE_MAX: usize = 128 << 20;

/// Most bytes taken from the socket at once, and fewest asked for.
const READ_SIZE_MAX: usize = 1 << 20;
const READ_SIZE_MIN: usize = 64 << 10;

/// Where the error code of an ApiVersions response stands: behind the correlation id.
const API_VERSIONS_ERROR_POSITION: usize = 4;

/// A connection after its handshake. Clones share it; it closes when the last one is dropped.
#[derive(Clone)]
pub struct Connection {
    handle: Rc<Handle>,
}

/// Closes the connection when the user's last clone goes, while its tasks still hold [`Shared`].
struct Handle {
    shared: Rc<Shared>,
    versions: Vec<(ApiKey, Versions)>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.end(ClientError::Closed);
    }
}

struct Shared {
    reactor: Reactor,
    /// `host:port`, for messages.
    peer: Arc<str>,
    client_id: String,
    request_timeout: Duration,
    closer: Closer,
    slots: Semaphore,
    /// There is something to write, or the connection has ended.
    work: Notify,
    state: RefCell<State>,
}

struct State {
    next_correlation_id: i32,
    outgoing: VecDeque<Outgoing>,
    /// In the order of sending, which is that of the answers.
    in_flight: VecDeque<InFlight>,
    /// Whether a task watches the deadlines.
    is_watched: bool,
    ended: Option<ClientError>,
}

struct Outgoing {
    pieces: Vec<Bytes>,
    /// For a request without an answer: told when it is written.
    written: Option<OneshotSender<()>>,
}

struct InFlight {
    correlation_id: i32,
    api: ApiKey,
    timeout: Duration,
    deadline: Monotonic,
    answer: OneshotSender<Result<Bytes, ClientError>>,
    _slot: Permit,
}

impl Connection {
    /// Connects to the first of the host's addresses that answers and asks for its API versions.
    pub async fn open(
        reactor: &Reactor,
        address: &BrokerAddress,
        options: &ClientOptions,
    ) -> Result<Connection, ClientError> {
        let peer: Arc<str> = address.to_string().into();
        let failed = |reason: std::io::Error| ClientError::Connection {
            peer: Arc::clone(&peer),
            reason: reason.to_string().into(),
        };
        let resolved = reactor.resolve(&address.host, address.port).await;
        let mut last = std::io::Error::other("the host name has no address");
        for socket_address in resolved.map_err(failed)? {
            let connected = reactor.connect(socket_address, options.connect_timeout);
            match connected.await {
                Ok(stream) => return Connection::start(reactor, stream, peer, options).await,
                Err(error) => last = error,
            }
        }
        Err(failed(last))
    }

    async fn start(
        reactor: &Reactor,
        stream: Stream,
        peer: Arc<str>,
        options: &ClientOptions,
    ) -> Result<Connection, ClientError> {
        let (reader, writer, closer) = stream.split().map_err(|error| ClientError::Connection {
            peer: Arc::clone(&peer),
            reason: error.to_string().into(),
        })?;
        let shared = Rc::new(Shared {
            reactor: reactor.clone(),
            peer,
            client_id: options.client_id.clone(),
            request_timeout: options.request_timeout,
            closer,
            slots: Semaphore::new(options.in_flight_max),
            work: Notify::new(),
            state: RefCell::new(State {
                next_correlation_id: 0,
                outgoing: VecDeque::new(),
                in_flight: VecDeque::new(),
                is_watched: false,
                ended: None,
            }),
        });
        reactor
            .spawn(read_loop(Rc::clone(&shared), reader))
            .detach();
        reactor
            .spawn(write_loop(Rc::clone(&shared), writer))
            .detach();
        // From here on an early return drops the handle and with it the connection.
        let mut handle = Handle {
            shared,
            versions: Vec::new(),
        };
        handle.versions = handshake(&handle.shared).await?;
        Ok(Connection {
            handle: Rc::new(handle),
        })
    }

    /// `host:port`
    pub fn peer(&self) -> Arc<str> {
        Arc::clone(&self.handle.shared.peer)
    }

    /// Why the connection has ended; `None` while it lives.
    pub fn ended(&self) -> Option<ClientError> {
        self.handle.shared.state.borrow().ended.clone()
    }

    /// The newest version of `api` that both sides speak and that is at most `max`.
    pub fn version(&self, api: ApiKey, max: i16) -> Result<i16, ClientError> {
        let ours = api.row().decoded;
        let theirs = self.handle.versions.iter().find(|(key, _)| *key == api);
        let newest = theirs.map(|(_, theirs)| {
            let newest = theirs.max.min(ours.max).min(max);
            (newest >= theirs.min.max(ours.min)).then_some(newest)
        });
        newest.flatten().ok_or_else(|| self.lacks(api))
    }

    /// That the broker has no version of an API in which what is to be said can be said.
    pub(super) fn lacks(&self, api: ApiKey) -> ClientError {
        ClientError::UnsupportedApi {
            peer: self.peer(),
            api,
        }
    }

    /// Sends a request and waits for its answer, within `request.timeout.ms`. Waits for a free
    /// slot first when `max.in.flight.requests.per.connection` are under way.
    pub async fn call<R: Request>(
        &self,
        version: i16,
        request: &R,
    ) -> Result<R::Response, ClientError> {
        self.call_within(version, request, self.handle.shared.request_timeout)
            .await
    }

    /// As [`Connection::call`], with a deadline of its own: for long polls.
    pub async fn call_within<R: Request>(
        &self,
        version: i16,
        request: &R,
        timeout: Duration,
    ) -> Result<R::Response, ClientError> {
        let shared = &self.handle.shared;
        let slot = shared.slots.acquire(1).await;
        let api = api_of::<R>();
        let answer = shared.send(slot, api, timeout, |correlation_id, client_id| {
            let frame = encode_request(version, correlation_id, Some(client_id), request)?;
            Ok(vec![frame])
        })?;
        self.decode::<R>(version, answer.await?)
    }

    /// Decodes what an [`Answer`] gave. Bytes that are not a response end the connection.
    pub(super) fn decode<R: Request>(
        &self,
        version: i16,
        frame: Bytes,
    ) -> Result<R::Response, ClientError> {
        self.handle.shared.decode::<R>(version, frame)
    }

    /// A slot for one request in flight, if one is free.
    pub(super) fn try_slot(&self) -> Option<Permit> {
        self.handle.shared.slots.try_acquire(1)
    }

    /// Queues a request that was encoded by `encode(correlation_id, client_id)`, at once: requests
    /// leave in the order of these calls.
    pub(super) fn send(
        &self,
        slot: Permit,
        api: ApiKey,
        timeout: Duration,
        encode: impl FnOnce(i32, &str) -> Result<Vec<Bytes>, EncodeError>,
    ) -> Result<Answer, ClientError> {
        self.handle.shared.send(slot, api, timeout, encode)
    }

    /// Queues a request that has no answer (Produce with acks=0); completes when it is written.
    pub(super) fn send_unanswered(
        &self,
        encode: impl FnOnce(i32, &str) -> Result<Vec<Bytes>, EncodeError>,
    ) -> Result<OneshotReceiver<()>, ClientError> {
        let shared = &self.handle.shared;
        let (sender, receiver) = oneshot();
        shared.enqueue(encode, |_| None, Some(sender))?;
        Ok(receiver)
    }

    /// Whether a request without an answer is written. If that takes longer than `timeout` the
    /// connection ends: nobody says so where the broker is gone without a word.
    pub(super) async fn is_written(&self, request: OneshotReceiver<()>, timeout: Duration) -> bool {
        let shared = &self.handle.shared;
        match shared.reactor.timeout(timeout, request).await {
            Some(written) => written.is_some(),
            None => {
                let ms = timeout.as_millis();
                self.close(shared.broken(format_args!("it took no request for {ms} ms")));
                false
            }
        }
    }

    /// Ends the connection for every clone; what is in flight fails with `reason`.
    pub fn close(&self, reason: ClientError) {
        self.handle.shared.end(reason);
    }
}

impl Shared {
    fn send(
        self: &Rc<Self>,
        slot: Permit,
        api: ApiKey,
        timeout: Duration,
        encode: impl FnOnce(i32, &str) -> Result<Vec<Bytes>, EncodeError>,
    ) -> Result<Answer, ClientError> {
        let (sender, receiver) = oneshot();
        let deadline = self.reactor.now() + timeout;
        let in_flight = |correlation_id| {
            Some(InFlight {
                correlation_id,
                api,
                timeout,
                deadline,
                answer: sender,
                _slot: slot,
            })
        };
        self.enqueue(encode, in_flight, None)?;
        let is_watched = std::mem::replace(&mut self.state.borrow_mut().is_watched, true);
        if !is_watched {
            self.reactor
                .spawn(watch_deadlines(Rc::clone(self)))
                .detach();
        }
        Ok(Answer { receiver })
    }

    fn enqueue(
        &self,
        encode: impl FnOnce(i32, &str) -> Result<Vec<Bytes>, EncodeError>,
        in_flight: impl FnOnce(i32) -> Option<InFlight>,
        written: Option<OneshotSender<()>>,
    ) -> Result<(), ClientError> {
        let mut state = self.state.borrow_mut();
        if let Some(error) = &state.ended {
            return Err(error.clone());
        }
        let correlation_id = state.next_correlation_id;
        let pieces = encode(correlation_id, &self.client_id)
            .map_err(|error| ClientError::Invalid(error.to_string().into()))?;
        state.next_correlation_id = correlation_id.wrapping_add(1);
        state.in_flight.extend(in_flight(correlation_id));
        state.outgoing.push_back(Outgoing { pieces, written });
        drop(state);
        self.work.notify_all();
        Ok(())
    }

    fn decode<R: Request>(&self, version: i16, frame: Bytes) -> Result<R::Response, ClientError> {
        decode_response::<R>(version, frame).map_err(|fault| {
            let error = ClientError::Malformed {
                peer: Arc::clone(&self.peer),
                api: api_of::<R>(),
                reason: fault.to_string().into(),
            };
            self.end(error.clone());
            error
        })
    }

    fn broken(&self, reason: impl ToString) -> ClientError {
        ClientError::Connection {
            peer: Arc::clone(&self.peer),
            reason: reason.to_string().into(),
        }
    }

    /// Ends the connection once; everything in flight fails with the first reason.
    fn end(&self, reason: ClientError) {
        let mut state = self.state.borrow_mut();
        if state.ended.is_some() {
            return;
        }
        state.ended = Some(reason.clone());
        let in_flight = std::mem::take(&mut state.in_flight);
        let outgoing = std::mem::take(&mut state.outgoing);
        drop(state);
        drop(outgoing);
        for request in in_flight {
            request.answer.send(Err(reason.clone()));
        }
        self.closer.close();
        self.work.notify_all();
    }

    /// Hands the whole frames at the start of `buffer` to the requests that wait for them.
    /// Returns how many bytes the next frame still lacks (0: its size is not known yet).
    fn deliver(&self, buffer: &mut BytesMut) -> Result<usize, ClientError> {
        while let Some(prefix) = buffer.first_chunk::<FRAME_PREFIX_SIZE>() {
            let size = response_frame_size(*prefix, RESPONSE_SIZE_MAX)
                .map_err(|error| self.broken(error))?;
            let missing = (FRAME_PREFIX_SIZE + size).saturating_sub(buffer.len());
            if missing > 0 {
                return Ok(missing);
            }
            buffer.advance(FRAME_PREFIX_SIZE);
            let frame = buffer.split_to(size).freeze();
            let correlation_id =
                response_correlation_id(&frame).map_err(|fault| self.broken(fault))?;
            let request = self.state.borrow_mut().in_flight.pop_front();
            let Some(request) = request else {
                return Err(self.broken("a response that nothing was asked for"));
            };
            if request.correlation_id != correlation_id {
                let expected = request.correlation_id;
                let error = self.broken(format_args!(
                    "response to request {correlation_id} where {expected} was due"
                ));
                request.answer.send(Err(error.clone()));
                return Err(error);
            }
            request.answer.send(Ok(frame));
        }
        Ok(0)
    }
}

/// The answer to one request, still encoded.
pub(super) struct Answer {
    receiver: OneshotReceiver<Result<Bytes, ClientError>>,
}

impl Future for Answer {
    type Output = Result<Bytes, ClientError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = Pin::new(&mut self.receiver).poll(cx);
        answer.map(|answer| answer.unwrap_or(Err(ClientError::Closed)))
    }
}

fn api_of<R: Request>() -> ApiKey {
    ApiKey::from_code(R::KEY).unwrap_or_else(|| panic!("API key {} is not in the table", R::KEY))
}

async fn read_loop(shared: Rc<Shared>, mut reader: Reader) {
    let mut buffer = BytesMut::new();
    let mut missing = 0;
    let reason = loop {
        // A large response gets its memory once instead of by doubling.
        buffer.reserve(missing.max(READ_SIZE_MIN));
        let size = missing.clamp(READ_SIZE_MIN, READ_SIZE_MAX);
        match reader.read(&mut buffer, size).await {
            Ok(0) => break shared.broken("closed by the broker"),
            Ok(_) => {}
            Err(error) => break shared.broken(error),
        }
        match shared.deliver(&mut buffer) {
            Ok(bytes) => missing = bytes,
            Err(error) => break error,
        }
    };
    shared.end(reason);
}

async fn write_loop(shared: Rc<Shared>, mut writer: Writer) {
    loop {
        let woken = shared.work.notified();
        let outgoing = std::mem::take(&mut shared.state.borrow_mut().outgoing);
        if outgoing.is_empty() {
            if shared.state.borrow().ended.is_some() {
                return;
            }
            woken.await;
            continue;
        }
        let mut pieces = Vec::with_capacity(2 * outgoing.len());
        let mut written = Vec::new();
        for mut request in outgoing {
            pieces.append(&mut request.pieces);
            written.extend(request.written);
        }
        if let Err(error) = writer.send(&pieces).await {
            shared.end(shared.broken(error));
            return;
        }
        for sender in written {
            sender.send(());
        }
    }
}

/// Ends the connection when its oldest request has missed its deadline. Runs while something is in
/// flight; the deadlines behind the oldest cannot matter, since answers come in order.
async fn watch_deadlines(shared: Rc<Shared>) {
    loop {
        let now = shared.reactor.now();
        let oldest = {
            let mut state = shared.state.borrow_mut();
            let oldest = state.in_flight.front();
            let oldest = oldest.map(|request| (request.api, request.timeout, request.deadline));
            state.is_watched = oldest.is_some();
            oldest
        };
        let Some((api, timeout, deadline)) = oldest else {
            return;
        };
        if deadline > now {
            shared.reactor.sleep(deadline - now).await;
            continue;
        }
        let peer = Arc::clone(&shared.peer);
        shared.end(ClientError::RequestTimeout { peer, api, timeout });
        return;
    }
}

/// Asks for the broker's versions in our newest version, and if that is too new for it in the one
/// that its refusal names (KIP-511).
async fn handshake(shared: &Rc<Shared>) -> Result<Vec<(ApiKey, Versions)>, ClientError> {
    let api = ApiKey::ApiVersions;
    let mut version = api.row().decoded.max;
    let (answer_version, frame) = loop {
        let frame = ask_versions(shared, version).await?;
        let code = frame
            .get(API_VERSIONS_ERROR_POSITION..)
            .and_then(|rest| rest.first_chunk());
        let is_refused = code
            .is_some_and(|code| i16::from_be_bytes(*code) == ErrorCode::UnsupportedVersion.code());
        if !is_refused {
            break (version, frame);
        }
        if version == 0 {
            let peer = Arc::clone(&shared.peer);
            return Err(ClientError::UnsupportedApi { peer, api });
        }
        // The refusal is in version 0, whatever was asked.
        let refusal = shared.decode::<ApiVersionsRequest>(0, frame)?;
        let known = refusal
            .api_keys
            .iter()
            .find(|known| known.api_key == api.code());
        version = known.map_or(0, |known| known.max_version.clamp(0, version - 1));
    };
    let response = shared.decode::<ApiVersionsRequest>(answer_version, frame)?;
    ClientError::check(response.error_code, || format!("{}", shared.peer), None)?;
    Ok(versions_of(&response))
}

async fn ask_versions(shared: &Rc<Shared>, version: i16) -> Result<Bytes, ClientError> {
    let mut request = ApiVersionsRequest::default();
    if version >= 3 {
        request.client_software_name = StrBytes::from_static_str("ringlog");
        request.client_software_version = StrBytes::from_static_str(env!("CARGO_PKG_VERSION"));
    }
    let slot = shared.slots.acquire(1).await;
    let timeout = shared.request_timeout;
    let answer = shared.send(
        slot,
        ApiKey::ApiVersions,
        timeout,
        |correlation_id, client_id| {
            Ok(vec![encode_request(
                version,
                correlation_id,
                Some(client_id),
                &request,
            )?])
        },
    )?;
    answer.await
}

fn versions_of(response: &ApiVersionsResponse) -> Vec<(ApiKey, Versions)> {
    let listed = response.api_keys.iter();
    listed
        .filter_map(|listed| {
            let key = ApiKey::from_code(listed.api_key)?;
            Some((key, Versions::new(listed.min_version, listed.max_version)))
        })
        .collect()
}
