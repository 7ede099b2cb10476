//! A synchronous connection to a broker.

use std::io::{ErrorKind, Read, Write};
use std::marker::PhantomData;
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::protocol::Request;
use ringlog::protocol::{
    FRAME_PREFIX_SIZE, decode_response, encode_request, response_correlation_id,
    response_frame_size,
};
use socket2::{Domain, Socket, Type};

use crate::DEADLINE;

/// No answer of a test is larger, bytes.
const RESPONSE_SIZE_MAX: usize = 64 << 20;

const CLIENT_ID: &str = "it";

/// A connection. Whatever takes longer than [`DEADLINE`] is a failed test.
pub(crate) struct Wire {
    stream: TcpStream,
    next_correlation_id: i32,
}

/// A request that was sent and whose answer was not read yet.
#[must_use = "answers come in order: read this one before the next"]
pub(crate) struct Sent<R> {
    correlation_id: i32,
    version: i16,
    request: PhantomData<R>,
}

/// How reading went that need not give an answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A frame, without its size prefix.
    Frame(Bytes),
    /// The broker closed the connection.
    Closed,
}

impl Wire {
    pub(crate) fn connect(address: SocketAddr) -> Wire {
        let stream = TcpStream::connect(address).expect("the broker accepts connections");
        Wire::over(stream)
    }

    /// Connects from another address of this host: all of 127.0.0.0/8 are.
    pub(crate) fn connect_from(from: IpAddr, address: SocketAddr) -> Wire {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
        socket
            .connect(&address.into())
            .expect("the broker accepts connections");
        Wire::over(socket.into())
    }

    fn over(stream: TcpStream) -> Wire {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        Wire {
            stream,
            next_correlation_id: 1,
        }
    }

    /// Sends a request and reads its answer.
    pub(crate) fn call<R: Request>(&mut self, version: i16, request: &R) -> R::Response {
        let sent = self.send(version, request);
        self.receive(sent)
    }

    /// Sends a request; others may be sent before its answer is read.
    pub(crate) fn send<R: Request>(&mut self, version: i16, request: &R) -> Sent<R> {
        let (frame, sent) = self.frame(version, request);
        self.write(&frame);
        sent
    }

    /// The frame of a request, to be written by [`Wire::write`].
    pub(crate) fn frame<R: Request>(&mut self, version: i16, request: &R) -> (Bytes, Sent<R>) {
        let correlation_id = self.next_correlation_id;
        self.next_correlation_id += 1;
        let frame = encode_request(version, correlation_id, Some(CLIENT_ID), request)
            .expect("the test asks for what the version can say");
        let sent = Sent {
            correlation_id,
            version,
            request: PhantomData,
        };
        (frame, sent)
    }

    /// Reads the answer to a request.
    pub(crate) fn receive<R: Request>(&mut self, sent: Sent<R>) -> R::Response {
        self.try_receive(sent)
            .unwrap_or_else(|| panic!("key {}: the connection was closed", R::KEY))
    }

    /// Reads the answer to a request; `None` when the broker closed the connection instead.
    pub(crate) fn try_receive<R: Request>(&mut self, sent: Sent<R>) -> Option<R::Response> {
        let Outcome::Frame(frame) = self.read() else {
            return None;
        };
        let correlation_id = response_correlation_id(&frame).unwrap();
        assert_eq!(correlation_id, sent.correlation_id, "answers out of order");
        let response = decode_response::<R>(sent.version, frame)
            .unwrap_or_else(|error| panic!("key {} v{}: {error}", R::KEY, sent.version));
        Some(response)
    }

    /// Sends bytes as they are. A connection that the broker has closed takes them too.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        match self.stream.write_all(bytes) {
            Ok(()) => {}
            Err(error) if is_closed(error.kind()) => {}
            Err(error) => panic!("the broker does not read: {error}"),
        }
    }

    /// Says that nothing more will be sent.
    pub(crate) fn end_of_requests(&mut self) {
        // Fails when the broker has closed the connection already.
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Reads one frame, or sees the connection closed.
    pub(crate) fn read(&mut self) -> Outcome {
        let mut prefix = [0; FRAME_PREFIX_SIZE];
        if !self.fill(&mut prefix) {
            return Outcome::Closed;
        }
        let size = response_frame_size(prefix, RESPONSE_SIZE_MAX).expect("a sound frame size");
        let mut frame = vec![0; size];
        if !self.fill(&mut frame) {
            return Outcome::Closed;
        }
        Outcome::Frame(Bytes::from(frame))
    }

    /// Whether an answer, or the end, is there to be read at once.
    pub(crate) fn has_answer(&mut self) -> bool {
        self.stream.set_nonblocking(true).unwrap();
        let peeked = self.stream.peek(&mut [0]);
        self.stream.set_nonblocking(false).unwrap();
        !matches!(peeked, Err(error) if error.kind() == ErrorKind::WouldBlock)
    }

    /// Whether an answer, or the end, comes within a while.
    pub(crate) fn answers_within(&mut self, patience: Duration) -> bool {
        self.stream.set_read_timeout(Some(patience)).unwrap();
        let peeked = self.stream.peek(&mut [0]);
        self.stream.set_read_timeout(Some(DEADLINE)).unwrap();
        !matches!(
            peeked,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
        )
    }

    fn fill(&mut self, buffer: &mut [u8]) -> bool {
        match self.stream.read_exact(buffer) {
            Ok(()) => true,
            Err(error) if is_closed(error.kind()) => false,
            Err(error) => panic!("no answer: {error}"),
        }
    }
}

fn is_closed(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
    )
}
