use bytes::Bytes;

use super::request::{Method, Request, parse};
use super::response::{Response, Status};

#[test]
fn heads() {
    let get = |path: &str| {
        Ok(Some(Request {
            method: Method::Get,
            path: path.to_owned(),
        }))
    };
    let head = Ok(Some(Request {
        method: Method::Head,
        path: "/x".to_owned(),
    }));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(65));
    let cases = [
        ("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", get("/metrics")),
        ("GET /metrics?name=a HTTP/1.0\r\n\r\n", get("/metrics")),
        ("HEAD /x HTTP/1.1\r\n\r\n", head),
        ("GET /metrics HTTP/1.1\r\nHost: x\r\n", Ok(None)),
        ("", Ok(None)),
        ("POST / HTTP/1.1\r\n\r\n", Err(Status::MethodNotAllowed)),
        ("GET / HTTP/3.7\r\n\r\n", Err(Status::BadRequest)),
        ("\0\0\0\u{17}\0\u{12}\0\u{4}", Err(Status::BadRequest)),
        (&many, Err(Status::HeadTooLarge)),
    ];
    for (text, expected) in cases {
        assert_eq!(parse(text.as_bytes()), expected, "{text:?}");
    }
}

#[test]
fn an_answer_says_how_long_it_is_and_that_it_is_the_last() {
    let [head, body] = Response::ok("text/plain", "four").encode();
    assert_eq!(
        head,
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\
         Connection: close\r\n\r\n"
    );
    assert_eq!(body, Bytes::from("four"));
    let [head, _] = Response::refused(Status::MethodNotAllowed, "no").encode();
    let head = String::from_utf8(head.to_vec()).unwrap();
    assert!(head.contains("\r\nAllow: GET, HEAD\r\n"), "{head}");
}
