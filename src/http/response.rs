//! An answer.

use bytes::Bytes;

/// How it went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    Ok,
    BadRequest,
    NotFound,
    MethodNotAllowed,
    HeadTooLarge,
    /// The broker is starting or stopping.
    Unavailable,
}

impl Status {
    /// Code and reason, as in the first line of an answer.
    pub fn line(self) -> &'static str {
        match self {
            Status::Ok => "200 OK",
            Status::BadRequest => "400 Bad Request",
            Status::NotFound => "404 Not Found",
            Status::MethodNotAllowed => "405 Method Not Allowed",
            Status::HeadTooLarge => "431 Request Header Fields Too Large",
            Status::Unavailable => "503 Service Unavailable",
        }
    }
}

/// A whole answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Response {
    pub status: Status,
    pub content_type: &'static str,
    pub body: Bytes,
}

impl Response {
    /// A page.
    pub fn ok(content_type: &'static str, body: impl Into<Bytes>) -> Response {
        Response {
            status: Status::Ok,
            content_type,
            body: body.into(),
        }
    }

    /// A refusal, with a sentence for whoever reads it.
    pub fn refused(status: Status, sentence: &str) -> Response {
        Response {
            status,
            content_type: "text/plain; charset=utf-8",
            body: Bytes::from(format!("{sentence}\n")),
        }
    }

    /// The answer as sent, in two pieces: head, body.
    pub(super) fn encode(self) -> [Bytes; 2] {
        let allow = match self.status {
            Status::MethodNotAllowed => "Allow: GET, HEAD\r\n",
            _ => "",
        };
        let head = format!(
            "HTTP/1.1 {}\r\nContent-Type: {}\r\nContent-Length: {}\r\n{allow}\
             Connection: close\r\n\r\n",
            self.status.line(),
            self.content_type,
            self.body.len(),
        );
        [Bytes::from(head), self.body]
    }
}
