//! Accepting and answering.

use std::future::Future;
use std::io::ErrorKind;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::request::{Method, Request, parse};
use super::response::{Response, Status};
use crate::io::{Accepted, Listener, Reactor, Reader, Semaphore};

/// Connections that are served at a time; more wait in the kernel's queue.
pub const CONNECTIONS_MAX: usize = 16;

/// Bytes of a request's head.
pub const HEAD_SIZE_MAX: usize = 8 << 10;

/// How long one connection may take from its acceptance to its last byte.
pub const REQUEST_TIME_MAX: Duration = Duration::from_secs(5);

/// Read at once.
const READ_SIZE: usize = 2 << 10;

/// How long accepting pauses after an error that will not go away at once (EMFILE, ENFILE, ...).
const ACCEPT_ERROR_PAUSE: Duration = Duration::from_millis(100);

/// Gives the page for a request. It must not wait for the disk: its future may be dropped.
pub type Handler = Rc<dyn Fn(Request) -> Pin<Box<dyn Future<Output = Response>>>>;

/// Serves what comes on `listener` until it is dropped.
pub async fn serve(reactor: Reactor, listener: Listener, handler: Handler) {
    let places = Semaphore::new(CONNECTIONS_MAX);
    loop {
        let place = places.acquire(1).await;
        let accepted = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::debug!(%error, "a connection to metrics.listener was not accepted");
                reactor.sleep(ACCEPT_ERROR_PAUSE).await;
                continue;
            }
        };
        let (serving, handler) = (reactor.clone(), Rc::clone(&handler));
        let connection = async move {
            let answering = answer(&serving, accepted, &handler);
            let outcome = serving.timeout(REQUEST_TIME_MAX, answering).await;
            if let Some(Err(error)) = outcome {
                tracing::debug!(%error, "a connection to metrics.listener ended");
            }
            drop(place);
        };
        reactor.spawn(connection).detach();
    }
}

/// Reads one request and answers it.
async fn answer(reactor: &Reactor, accepted: Accepted, handler: &Handler) -> std::io::Result<()> {
    let (mut reader, mut writer, _closer) = reactor.adopt(accepted)?.split()?;
    let (is_head, response) = match read_request(&mut reader).await? {
        Ok(request) => (request.method == Method::Head, handler(request).await),
        Err(status) => (false, Response::refused(status, refusal(status))),
    };
    let [head, body] = response.encode();
    let body = if is_head { Bytes::new() } else { body };
    writer.send(&[head, body]).await?;
    writer.finish()
}

/// The request, or how its client is refused.
async fn read_request(reader: &mut Reader) -> std::io::Result<Result<Request, Status>> {
    let mut head = BytesMut::new();
    loop {
        let room = (HEAD_SIZE_MAX - head.len()).min(READ_SIZE);
        if room == 0 {
            return Ok(Err(Status::HeadTooLarge));
        }
        if reader.read(&mut head, room).await? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        match parse(&head) {
            Ok(None) => {}
            Ok(Some(request)) => return Ok(Ok(request)),
            Err(status) => return Ok(Err(status)),
        }
    }
}

fn refusal(status: Status) -> &'static str {
    match status {
        Status::MethodNotAllowed => "there are only pages to GET here",
        Status::HeadTooLarge => "the head of the request is too large",
        _ => "that is no HTTP/1.1 request",
    }
}
