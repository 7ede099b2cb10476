//! Frames made by hand, over one connection: what a client of its own making could send.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_protocol::protocol::Request;

use super::checker::{Invariant, Violation};
use crate::io::{Closer, Reactor, Reader, Writer};
use crate::protocol::{
    FRAME_PREFIX_SIZE, decode_response, encode_request, response_correlation_id,
    response_frame_size,
};

/// Longest that an answer takes before its connection is given up.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(2);

const CONNECT_TIME_MAX: Duration = Duration::from_millis(500);

/// No answer to what is sent here is larger, bytes.
const RESPONSE_SIZE_MAX: usize = 16 << 20;

const READ_SIZE_MAX: usize = 64 << 10;

const CLIENT_ID: &str = "by hand";

/// The connection has ended, or its answer did not come in time: nobody knows what became of the
/// requests in flight.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Lost;

/// A connection that its user drives frame by frame.
pub(super) struct Wire {
    reactor: Reactor,
    reader: Reader,
    writer: Writer,
    closer: Closer,
    received: BytesMut,
    next_correlation_id: i32,
    /// That of the oldest request that was sent and not answered.
    next_answer: i32,
}

impl Wire {
    pub(super) async fn connect(
        reactor: &Reactor,
        address: std::net::SocketAddr,
    ) -> Result<Wire, Lost> {
        let stream = reactor.connect(address, CONNECT_TIME_MAX).await;
        let halves = stream.and_then(crate::io::Stream::split);
        let (reader, writer, closer) = halves.map_err(|_| Lost)?;
        Ok(Wire {
            reactor: reactor.clone(),
            reader,
            writer,
            closer,
            received: BytesMut::new(),
            next_correlation_id: 1,
            next_answer: 1,
        })
    }

    /// The frame of a request; it takes the next correlation id.
    pub(super) fn frame<R: Request>(&mut self, version: i16, request: &R) -> Bytes {
        let correlation_id = self.next_correlation_id;
        self.next_correlation_id += 1;
        encode_request(version, correlation_id, Some(CLIENT_ID), request)
            .expect("a request that the version can say")
    }

    pub(super) async fn write(&mut self, bytes: Bytes) -> Result<(), Lost> {
        let bytes = [bytes];
        let written = self.writer.send(&bytes);
        let reactor = &self.reactor;
        match reactor.timeout(ANSWER_TIME_MAX, written).await {
            Some(Ok(())) => Ok(()),
            Some(Err(_)) | None => Err(Lost),
        }
    }

    pub(super) async fn send<R: Request>(&mut self, version: i16, request: &R) -> Result<(), Lost> {
        let frame = self.frame(version, request);
        self.write(frame).await
    }

    /// The answer to the oldest request. An answer that cannot be read is a violation, which the
    /// outer error tells.
    pub(super) async fn receive<R: Request>(
        &mut self,
        version: i16,
    ) -> Result<Result<R::Response, Lost>, Violation> {
        let reactor = self.reactor.clone();
        let frame = reactor.timeout(ANSWER_TIME_MAX, self.next_frame()).await;
        let Some(Ok(frame)) = frame else {
            return Ok(Err(Lost));
        };
        let correlation_id = response_correlation_id(&frame);
        if !matches!(correlation_id, Ok(id) if id == self.next_answer) {
            return Err(Invariant::Answers.broken(format!(
                "an answer with correlation id {correlation_id:?} instead of {}",
                self.next_answer
            )));
        }
        self.next_answer += 1;
        match decode_response::<R>(version, frame) {
            Ok(response) => Ok(Ok(response)),
            Err(fault) => Err(Invariant::Answers.broken(format!(
                "an answer to API {} cannot be read: {fault}",
                R::KEY
            ))),
        }
    }

    pub(super) async fn call<R: Request>(
        &mut self,
        version: i16,
        request: &R,
    ) -> Result<Result<R::Response, Lost>, Violation> {
        match self.send(version, request).await {
            Ok(()) => self.receive::<R>(version).await,
            Err(Lost) => Ok(Err(Lost)),
        }
    }

    /// Ends the connection in both directions.
    pub(super) fn close(&self) {
        self.closer.close();
    }

    async fn next_frame(&mut self) -> Result<Bytes, Lost> {
        loop {
            if let Some(prefix) = self.received.first_chunk::<FRAME_PREFIX_SIZE>() {
                let size = response_frame_size(*prefix, RESPONSE_SIZE_MAX).map_err(|_| Lost)?;
                if self.received.len() >= FRAME_PREFIX_SIZE + size {
                    let mut frame = self.received.split_to(FRAME_PREFIX_SIZE + size).freeze();
                    return Ok(frame.split_off(FRAME_PREFIX_SIZE));
                }
            }
            match self.reader.read(&mut self.received, READ_SIZE_MAX).await {
                Ok(0) | Err(_) => return Err(Lost),
                Ok(_) => {}
            }
        }
    }
}
