//! The head of a request.

use super::response::Status;

/// Header lines of one request.
const HEADER_COUNT_MAX: usize = 64;

/// What may be done with a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Method {
    Get,
    /// As GET, and only the head of the answer is sent.
    Head,
}

/// A request; bodies are not read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    pub method: Method,
    /// Without the query.
    pub path: String,
}

/// Parses what has arrived; `None` as long as the head is not whole. The error is what the client
/// is answered.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<Request>, Status> {
    let mut headers = [httparse::EMPTY_HEADER; HEADER_COUNT_MAX];
    let mut parsed = httparse::Request::new(&mut headers);
    match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(Status::HeadTooLarge),
        Err(_) => return Err(Status::BadRequest),
    }
    let method = match parsed.method {
        Some("GET") => Method::Get,
        Some("HEAD") => Method::Head,
        _ => return Err(Status::MethodNotAllowed),
    };
    let target = parsed.path.ok_or(Status::BadRequest)?;
    let path = target.split('?').next().unwrap_or_default().to_owned();
    Ok(Some(Request { method, path }))
}
