//! Connections.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use ringlog::io::{Listener, Reactor, Reader, Stream, Task};
use ringlog::types::ShardId;

use crate::cases::{Case, Context, PATIENCE, case, pattern};

/// Too short for what it is given to.
const SHORT: Duration = Duration::from_millis(1);

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(1, every_size_is_echoed),
        case!(1, thousands_of_pieces_are_gathered_in_order),
        case!(1, each_direction_ends_by_itself),
        case!(1, a_closer_wakes_a_blocked_reader),
        case!(1, a_dropped_connection_is_the_end_for_the_peer),
        case!(1, a_slow_reader_holds_the_sender_back),
        case!(1, sending_to_a_peer_that_has_gone_fails),
        case!(1, a_dropped_read_loses_no_bytes),
        case!(1, a_dropped_accept_loses_no_connection),
        case!(1, a_read_takes_no_more_than_it_may),
        case!(1, where_nobody_listens_a_connection_is_refused),
        case!(1, a_port_in_use_is_refused_and_free_again_after),
        case!(1, literal_addresses_resolve),
        case!(2, a_connection_accepted_here_is_served_there),
    ]
}

async fn listen(reactor: &Reactor) -> Listener {
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    reactor.listen(address).await.unwrap()
}

/// Both ends of one connection: who connected, who accepted.
async fn pair(reactor: &Reactor) -> (Stream, Stream) {
    let listener = listen(reactor).await;
    let address = listener.local_address();
    let connected = reactor.connect(address, PATIENCE).await.unwrap();
    let accepted = listener.accept().await.unwrap();
    assert_eq!(connected.peer_address(), address);
    (connected, reactor.adopt(accepted).unwrap())
}

async fn read_exact(reader: &mut Reader, size: usize) -> BytesMut {
    let mut bytes = BytesMut::new();
    while bytes.len() < size {
        let left = size - bytes.len();
        let read = reader.read(&mut bytes, left).await.unwrap();
        assert!(read > 0, "the stream ended after {} bytes", bytes.len());
    }
    bytes
}

/// Sends back what comes until the end, in reads of odd sizes.
fn echo(reactor: &Reactor, stream: Stream) -> Task<usize> {
    reactor.spawn(async move {
        let (mut reader, mut writer, _closer) = stream.split().unwrap();
        let mut echoed = 0;
        for size_max in [1, 7, 1000, 70_000, 3, 4096].into_iter().cycle() {
            let mut bytes = BytesMut::new();
            let size = reader.read(&mut bytes, size_max).await.unwrap();
            assert_eq!(bytes.len(), size);
            if size == 0 {
                break;
            }
            echoed += size;
            writer.send(&[bytes.freeze()]).await.unwrap();
        }
        writer.finish().unwrap();
        echoed
    })
}

async fn every_size_is_echoed(reactor: Reactor, _context: Context) {
    for size in [0, 1, 2, 100, 2047, 2048, 2049, 65_536, 1_000_003, 4 << 20] {
        let (client, server) = pair(&reactor).await;
        let echoing = echo(&reactor, server);
        let (mut reader, mut writer, _closer) = client.split().unwrap();
        let sent = Bytes::from(pattern(size, size));
        let sending = sent.clone();
        let sender = reactor.spawn(async move {
            let middle = sending.len() / 3;
            writer.send(&[sending.slice(..middle)]).await.unwrap();
            writer.send(&[sending.slice(middle..)]).await.unwrap();
            writer.finish().unwrap();
            writer
        });
        let received = read_exact(&mut reader, size).await;
        assert!(received == sent, "other bytes came back of {size}");
        let end = reader.read(&mut BytesMut::new(), 1).await.unwrap();
        assert_eq!(end, 0, "more came back than {size}");
        assert_eq!(echoing.await, size);
        drop(sender.await);
    }
}

async fn thousands_of_pieces_are_gathered_in_order(reactor: Reactor, _context: Context) {
    let (client, server) = pair(&reactor).await;
    let mut position = 0;
    let pieces: Vec<Bytes> = (0..3000)
        .map(|index| {
            // Every seventh is empty, as are the first and the last.
            let size = if index % 7 == 0 || index == 2999 {
                0
            } else {
                index % 997
            };
            let piece = Bytes::from(pattern(position, size));
            position += size;
            piece
        })
        .collect();
    let (_reader, mut writer, _closer) = client.split().unwrap();
    let sending = reactor.spawn(async move {
        writer.send(&[]).await.unwrap();
        writer.send(&[Bytes::new()]).await.unwrap();
        writer.send(&pieces).await.unwrap();
        writer
    });
    let (mut reader, _writer, _closer) = server.split().unwrap();
    let received = read_exact(&mut reader, position).await;
    assert!(received == pattern(0, position));
    drop(sending.await);
}

async fn each_direction_ends_by_itself(reactor: Reactor, _context: Context) {
    let (client, server) = pair(&reactor).await;
    let (mut client_reader, mut client_writer, _) = client.split().unwrap();
    let (mut server_reader, mut server_writer, _) = server.split().unwrap();
    let request = Bytes::from_static(b"request");
    client_writer.send(&[request]).await.unwrap();
    client_writer.finish().unwrap();
    let read = read_exact(&mut server_reader, 7).await;
    assert_eq!(read, &b"request"[..]);
    let mut rest = BytesMut::new();
    for _ in 0..2 {
        assert_eq!(server_reader.read(&mut rest, 10).await.unwrap(), 0);
    }
    drop(server_reader);
    let reply = Bytes::from_static(b"reply");
    server_writer.send(&[reply]).await.unwrap();
    drop(server_writer);
    let read = read_exact(&mut client_reader, 5).await;
    assert_eq!(read, &b"reply"[..]);
    assert_eq!(client_reader.read(&mut rest, 10).await.unwrap(), 0);
}

async fn a_closer_wakes_a_blocked_reader(reactor: Reactor, _context: Context) {
    let (client, _server) = pair(&reactor).await;
    let (mut reader, writer, closer) = client.split().unwrap();
    let blocked = reactor.spawn(async move { reader.read(&mut BytesMut::new(), 10).await });
    reactor.yield_now().await;
    assert!(!blocked.is_finished());
    closer.clone().close();
    closer.close();
    match reactor.timeout(PATIENCE, blocked).await {
        Some(read) => assert_eq!(read.unwrap_or(0), 0),
        None => panic!("the reader still waits"),
    }
    drop(writer);
    closer.close();
}

async fn a_dropped_connection_is_the_end_for_the_peer(reactor: Reactor, _context: Context) {
    let (client, server) = pair(&reactor).await;
    let (mut reader, _writer, _closer) = client.split().unwrap();
    let (server_reader, mut server_writer, server_closer) = server.split().unwrap();
    server_writer
        .send(&[Bytes::from_static(b"last")])
        .await
        .unwrap();
    drop((server_reader, server_writer));
    let last = read_exact(&mut reader, 4).await;
    assert_eq!(last, &b"last"[..]);
    let mut rest = BytesMut::new();
    let end = reactor.timeout(PATIENCE, reader.read(&mut rest, 10));
    let end = end.await.expect("a closer keeps no connection open");
    assert_eq!(end.unwrap(), 0);
    server_closer.close();
}

async fn a_slow_reader_holds_the_sender_back(reactor: Reactor, _context: Context) {
    // More than any system buffers for one connection.
    const PIECE: usize = 1 << 20;
    const COUNT: usize = 48;
    let (client, server) = pair(&reactor).await;
    let (_reader, mut writer, _closer) = client.split().unwrap();
    let piece = Bytes::from(pattern(0, PIECE));
    let sending = reactor.spawn(async move {
        writer.send(&vec![piece; COUNT]).await.unwrap();
        writer
    });
    let (mut reader, _writer, _closer) = server.split().unwrap();
    let expected = pattern(0, PIECE);
    for index in 0..COUNT {
        if index <= 1 {
            assert!(!sending.is_finished(), "sent without a reader");
        }
        let received = read_exact(&mut reader, PIECE).await;
        assert!(received == expected, "piece {index} is not as sent");
    }
    drop(sending.await);
}

async fn sending_to_a_peer_that_has_gone_fails(reactor: Reactor, _context: Context) {
    let (client, server) = pair(&reactor).await;
    drop(server.split().unwrap());
    let (_reader, mut writer, _closer) = client.split().unwrap();
    let failing = async {
        // The first may still be taken: the news travels.
        while writer.send(&[Bytes::from(vec![1; 100_000])]).await.is_ok() {
            reactor.yield_now().await;
        }
    };
    let failed = reactor.timeout(PATIENCE, failing).await;
    assert!(failed.is_some(), "a peer that has gone still takes bytes");
    let again = writer.send(&[Bytes::from_static(b"more")]).await;
    assert!(again.is_err(), "after an error nothing can be sent");
}

async fn a_dropped_read_loses_no_bytes(reactor: Reactor, _context: Context) {
    const SIZE: usize = 5000;
    let (client, server) = pair(&reactor).await;
    let (_reader, mut writer, _closer) = client.split().unwrap();
    let sleeper = reactor.clone();
    let sending = reactor.spawn(async move {
        let mut position = 0;
        while position < SIZE {
            let size = (position % 301 + 1).min(SIZE - position);
            let piece = Bytes::from(pattern(position, size));
            writer.send(&[piece]).await.unwrap();
            position += size;
            if position % 3 == 0 {
                sleeper.sleep(SHORT).await;
            }
        }
        writer
    });
    let (mut reader, _writer, _closer) = server.split().unwrap();
    let mut received = BytesMut::new();
    while received.len() < SIZE {
        // What a dropped read has read is in the buffer.
        let read = reactor.timeout(SHORT, reader.read(&mut received, 100));
        if let Some(read) = read.await {
            assert!(read.unwrap() > 0);
        }
    }
    assert!(received == pattern(0, SIZE));
    drop(sending.await);
}

async fn a_dropped_accept_loses_no_connection(reactor: Reactor, _context: Context) {
    const COUNT: usize = 40;
    let listener = listen(&reactor).await;
    let address = listener.local_address();
    let connector = reactor.clone();
    let connecting = reactor.spawn(async move {
        let mut streams = Vec::new();
        for _ in 0..COUNT {
            connector.sleep(SHORT).await;
            streams.push(connector.connect(address, PATIENCE).await.unwrap());
        }
        streams
    });
    let mut accepted = Vec::new();
    let accepting = async {
        while accepted.len() < COUNT {
            if let Some(connection) = reactor.timeout(SHORT, listener.accept()).await {
                accepted.push(connection.unwrap());
            }
        }
    };
    let all = reactor.timeout(PATIENCE, accepting).await;
    assert!(all.is_some(), "{} of {COUNT} were accepted", accepted.len());
    assert_eq!(connecting.await.len(), COUNT);
}

async fn a_read_takes_no_more_than_it_may(reactor: Reactor, _context: Context) {
    let (client, server) = pair(&reactor).await;
    let (_reader, mut writer, _closer) = client.split().unwrap();
    let sent = Bytes::from(pattern(0, 10_000));
    writer.send(std::slice::from_ref(&sent)).await.unwrap();
    let (mut reader, _writer, _closer) = server.split().unwrap();
    let mut bytes = BytesMut::with_capacity(1 << 16);
    bytes.extend_from_slice(b"before");
    let mut received = 0;
    for size_max in [1, 2, 2048, 3000, 4949] {
        let mut in_reads = 0;
        while in_reads < size_max {
            let left = size_max - in_reads;
            let size = reader.read(&mut bytes, left).await.unwrap();
            assert!((1..=left).contains(&size), "{size} of at most {left}");
            in_reads += size;
        }
        received += size_max;
        assert_eq!(bytes.len(), 6 + received);
    }
    assert_eq!(bytes[..6], b"before"[..]);
    assert!(bytes[6..] == sent, "appended in order");
}

async fn where_nobody_listens_a_connection_is_refused(reactor: Reactor, _context: Context) {
    let listener = listen(&reactor).await;
    let address = listener.local_address();
    drop(listener);
    // A free port again, once the listener has gone: listening there proves it.
    drop(reactor.listen(address).await.unwrap());
    let _other = listen(&reactor).await;
    let refused = reactor.connect(address, PATIENCE).await.map(drop);
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

async fn a_port_in_use_is_refused_and_free_again_after(reactor: Reactor, _context: Context) {
    let listener = listen(&reactor).await;
    let address = listener.local_address();
    assert_ne!(address.port(), 0);
    let second = reactor.listen(address).await.map(drop);
    assert_eq!(second.unwrap_err().kind(), ErrorKind::AddrInUse);
    drop(listener);
    let again = reactor.listen(address).await.unwrap();
    assert_eq!(again.local_address(), address);
    let (_connected, accepted) = (
        reactor.connect(address, PATIENCE).await.unwrap(),
        again.accept().await.unwrap(),
    );
    drop(accepted);
}

async fn literal_addresses_resolve(reactor: Reactor, _context: Context) {
    let resolved = reactor.resolve("127.0.0.1", 9092).await.unwrap();
    assert_eq!(resolved, [SocketAddr::from(([127, 0, 0, 1], 9092))]);
}

async fn a_connection_accepted_here_is_served_there(reactor: Reactor, context: Context) {
    const COUNT: usize = 10;
    let connections = context.connections.clone().join(&reactor).await;
    if reactor.shard() == ShardId(1) {
        for _ in 0..COUNT {
            let (from, accepted) = connections.receive().await;
            assert_eq!(from, ShardId(0));
            let stream = reactor.adopt(accepted).unwrap();
            assert_eq!(echo(&reactor, stream).await, 100_000);
        }
        return;
    }
    let listener = listen(&reactor).await;
    for _ in 0..COUNT {
        let address = listener.local_address();
        let client = reactor.connect(address, PATIENCE).await.unwrap();
        let (mut reader, mut writer, _closer) = client.split().unwrap();
        let accepted = listener.accept().await.unwrap();
        let sent = Bytes::from(pattern(0, 100_000));
        // Half of it is there before the other shard knows of the connection.
        writer.send(&[sent.slice(..50_000)]).await.unwrap();
        connections.push(ShardId(1), accepted);
        writer.send(&[sent.slice(50_000..)]).await.unwrap();
        writer.finish().unwrap();
        assert!(read_exact(&mut reader, 100_000).await == sent);
    }
}
