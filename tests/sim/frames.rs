//! A whole broker in a simulation, and a connection to it that sends frames as a test wants them.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::protocol::Request;
use ringlog::config::BrokerConfig;
use ringlog::io::sim::{MachineId, ProcessId, Simulation};
use ringlog::io::{Closer, Reactor, Reader, StopSignal, Writer};
use ringlog::protocol::{
    FRAME_PREFIX_SIZE, decode_response, encode_request, response_correlation_id,
    response_frame_size,
};
use ringlog::server::{BrokerPlan, run_shard};
use ringlog::shard::ShardError;

use crate::exposition::Exposition;

/// No answer of a test is larger, bytes.
const RESPONSE_SIZE_MAX: usize = 64 << 20;

/// When a connection is given up; virtual time.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

pub(crate) const CLIENTS: ([u8; 4], u16) = ([127, 0, 0, 1], 9092);
pub(crate) const PAGES: ([u8; 4], u16) = ([127, 0, 0, 1], 9640);

/// A small broker's settings; the last of a key counts.
const SMALL: &[&str] = &[
    "listeners=PLAINTEXT://127.0.0.1:9092",
    "log.dirs=/data",
    "shard.request.memory.bytes=16777216",
    "socket.request.max.bytes=1048576",
    "log.segment.bytes=1048576",
    "log.unflushed.bytes.max=4194304",
];

/// Starts a broker and runs the world until clients can connect; what stops it.
pub(crate) fn start_broker(sim: &Simulation, shard_count: usize, more: &[&str]) -> StopSignal {
    let settings: Vec<&str> = SMALL.iter().chain(more).copied().collect();
    let well = |end: Result<(), ShardError>| end.expect("the shard ends well");
    let started = launch(sim, shard_count, &settings, well);
    if let Some(error) = started.refusal {
        panic!("the broker does not start: {error}");
    }
    started.stop
}

/// A broker that serves, or has given up.
pub(crate) struct Started {
    pub(crate) process: ProcessId,
    pub(crate) stop: StopSignal,
    /// Why it does not serve.
    pub(crate) refusal: Option<String>,
}

/// Starts a broker with these settings alone and runs the world until clients can connect or it has
/// given up. `on_end` is told how each shard ends.
pub(crate) fn launch(
    sim: &Simulation,
    shard_count: usize,
    settings: &[&str],
    on_end: impl Fn(Result<(), ShardError>) + Clone + 'static,
) -> Started {
    let settings: Vec<String> = settings.iter().map(|&setting| setting.to_owned()).collect();
    let config = BrokerConfig::load(None, &settings).expect("sound settings");
    let stop = StopSignal::new();
    let reported = Arc::new(Mutex::new(None));
    let told = Arc::clone(&reported);
    let report = move |result: Result<_, ShardError>| {
        *told.lock().unwrap() = Some(result.err().map(|error| error.to_string()));
    };
    let plan = BrokerPlan::new(config, shard_count, stop.clone(), Arc::new(report));
    let process = sim.start(MachineId::FIRST, shard_count, move |reactor| {
        let (plan, on_end) = (plan.clone(), on_end.clone());
        async move { on_end(run_shard(reactor, plan).await) }
    });
    sim.run_until(|_| reported.lock().unwrap().is_some());
    let refusal = reported.lock().unwrap().take().flatten();
    Started {
        process,
        stop,
        refusal,
    }
}

/// A connection to the broker.
pub(crate) struct Frames {
    pub(crate) reader: Reader,
    pub(crate) writer: Writer,
    _closer: Closer,
    received: BytesMut,
    next_correlation_id: i32,
}

impl Frames {
    pub(crate) async fn connect(reactor: &Reactor) -> Frames {
        let connected = Frames::try_connect(reactor).await;
        connected.expect("the broker listens")
    }

    /// [`Frames::connect`] to a broker that may have gone.
    pub(crate) async fn try_connect(reactor: &Reactor) -> std::io::Result<Frames> {
        let stream = reactor
            .connect(SocketAddr::from(CLIENTS), CONNECT_TIMEOUT)
            .await?;
        let (reader, writer, closer) = stream.split()?;
        Ok(Frames {
            reader,
            writer,
            _closer: closer,
            received: BytesMut::new(),
            next_correlation_id: 1,
        })
    }

    /// The frame of a request, to be sent as the test wants.
    pub(crate) fn frame<R: Request>(&mut self, version: i16, request: &R) -> Bytes {
        let id = self.next_correlation_id;
        self.next_correlation_id += 1;
        encode_request(version, id, Some("sim"), request).expect("the version can say it")
    }

    pub(crate) async fn send<R: Request>(&mut self, version: i16, request: &R) {
        let frame = self.frame(version, request);
        self.writer.send(&[frame]).await.expect("the broker reads");
    }

    /// The next answer; `None` when the connection has ended.
    pub(crate) async fn receive<R: Request>(&mut self, version: i16) -> Option<R::Response> {
        let frame = self.receive_frame().await?;
        response_correlation_id(&frame).unwrap();
        Some(decode_response::<R>(version, frame).expect("a sound answer"))
    }

    /// The next answer as it is; `None` when the connection has ended.
    pub(crate) async fn receive_frame(&mut self) -> Option<Bytes> {
        self.fill(FRAME_PREFIX_SIZE).await?;
        let prefix = *self.received.first_chunk::<FRAME_PREFIX_SIZE>().unwrap();
        let size = response_frame_size(prefix, RESPONSE_SIZE_MAX).expect("a sound size");
        self.received.advance(FRAME_PREFIX_SIZE);
        self.fill(size).await?;
        Some(self.received.split_to(size).freeze())
    }

    pub(crate) async fn call<R: Request>(&mut self, version: i16, request: &R) -> R::Response {
        self.send(version, request).await;
        self.receive::<R>(version).await.expect("an answer")
    }

    async fn fill(&mut self, size: usize) -> Option<()> {
        while self.received.len() < size {
            let missing = size - self.received.len();
            match self.reader.read(&mut self.received, missing).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
        Some(())
    }
}

/// What `/metrics` says now.
pub(crate) async fn scrape(reactor: &Reactor) -> Exposition {
    let stream = reactor
        .connect(SocketAddr::from(PAGES), CONNECT_TIMEOUT)
        .await;
    let (mut reader, mut writer, _closer) = stream.expect("pages").split().unwrap();
    let request = Bytes::from_static(b"GET /metrics HTTP/1.1\r\n\r\n");
    writer.send(&[request]).await.unwrap();
    let mut answer = BytesMut::new();
    while reader.read(&mut answer, 64 << 10).await.unwrap() > 0 {}
    let answer = std::str::from_utf8(&answer).unwrap();
    let (_, text) = answer.split_once("\r\n\r\n").expect("a head and a body");
    Exposition::parse(text)
}
