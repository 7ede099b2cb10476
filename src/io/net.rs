//! Connections.

use std::cell::Cell;
use std::io::Result;
use std::net::SocketAddr;
use std::rc::Rc;

use bytes::{Bytes, BytesMut};

use super::{sim, uring};

/// A listening socket; lives on the shard that made it.
pub struct Listener {
    pub(in crate::io) side: ListenerSide,
}

pub(in crate::io) enum ListenerSide {
    Uring(uring::UringListener),
    Sim(sim::SimListener),
}

impl Listener {
    /// The next connection. Errors (EMFILE, ECONNABORTED, ...) are the caller's to survive.
    pub async fn accept(&self) -> Result<Accepted> {
        match &self.side {
            ListenerSide::Uring(listener) => Ok(Accepted::Uring(listener.accept().await?)),
            ListenerSide::Sim(listener) => Ok(Accepted::Sim(listener.accept().await?)),
        }
    }

    /// The address with the port that was really bound.
    pub fn local_address(&self) -> SocketAddr {
        match &self.side {
            ListenerSide::Uring(listener) => listener.local_address(),
            ListenerSide::Sim(listener) => listener.local_address(),
        }
    }
}

/// An accepted connection that belongs to no shard yet. `Send`: it may go to any shard, which
/// makes it its own with [`Reactor::adopt`](super::Reactor::adopt). Dropping it closes it.
pub enum Accepted {
    Uring(uring::UringSocket),
    Sim(sim::SimSocket),
}

impl Accepted {
    /// Who has connected; `None` when the connection has gone already.
    pub fn peer_address(&self) -> Option<SocketAddr> {
        match self {
            Accepted::Uring(socket) => Some(socket.peer_address()),
            Accepted::Sim(socket) => socket.peer_address(),
        }
    }
}

/// Sizes of a connection's buffers in the kernel, bytes; `None` leaves them to the kernel, which
/// adapts them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SocketBuffers {
    /// SO_SNDBUF.
    pub send_size: Option<usize>,
    /// SO_RCVBUF.
    pub receive_size: Option<usize>,
}

/// A connection of this shard.
pub struct Stream {
    pub(in crate::io) side: StreamSide,
}

pub(in crate::io) enum StreamSide {
    Uring(uring::UringStream),
    Sim(sim::SimStream),
}

impl Stream {
    pub fn peer_address(&self) -> SocketAddr {
        match &self.side {
            StreamSide::Uring(stream) => stream.peer_address(),
            StreamSide::Sim(stream) => stream.peer_address(),
        }
    }

    /// Reading, writing and closing, each for a task of its own. The connection is closed when the
    /// reader and the writer are both gone.
    pub fn split(self) -> Result<(Reader, Writer, Closer)> {
        match self.side {
            StreamSide::Uring(stream) => {
                let (reader, writer, closer) = stream.split()?;
                Ok((
                    Reader {
                        side: ReaderSide::Uring(reader),
                    },
                    Writer {
                        side: WriterSide::Uring(writer),
                    },
                    Closer {
                        side: CloserSide::Uring(closer),
                    },
                ))
            }
            StreamSide::Sim(stream) => {
                let (reader, writer, closer) = stream.split();
                Ok((
                    Reader {
                        side: ReaderSide::Sim(reader),
                    },
                    Writer {
                        side: WriterSide::Sim(writer),
                    },
                    Closer {
                        side: CloserSide::Sim(closer),
                    },
                ))
            }
        }
    }
}

/// The reading half of a connection.
pub struct Reader {
    side: ReaderSide,
}

enum ReaderSide {
    Uring(uring::UringReader),
    Sim(sim::SimReader),
}

impl Reader {
    /// Appends what has arrived to `into`, waiting for at least one byte, taking at most
    /// `size_max` (which must not be 0). Returns how many bytes; 0 is the end of the stream.
    /// Dropping the future loses no bytes.
    pub async fn read(&mut self, into: &mut BytesMut, size_max: usize) -> Result<usize> {
        assert!(
            size_max > 0,
            "a read of no bytes cannot be told from the end of the stream"
        );
        match &mut self.side {
            ReaderSide::Uring(reader) => reader.read(into, size_max).await,
            ReaderSide::Sim(reader) => reader.read(into, size_max).await,
        }
    }
}

/// How many bytes of a connection its socket has taken: whether a peer reads at all.
#[derive(Clone, Default)]
pub struct SentBytes(Rc<Cell<u64>>);

impl SentBytes {
    pub fn get(&self) -> u64 {
        self.0.get()
    }

    pub(in crate::io) fn add(&self, size: usize) {
        self.0.set(self.0.get() + size as u64);
    }
}

/// The writing half of a connection.
pub struct Writer {
    side: WriterSide,
}

enum WriterSide {
    Uring(uring::UringWriter),
    Sim(sim::SimWriter),
}

impl Writer {
    /// Sends all pieces in order, as few large vectored writes. Waits for room as long as the peer
    /// lets it; after an error nothing more can be sent.
    pub async fn send(&mut self, pieces: &[Bytes]) -> Result<()> {
        match &mut self.side {
            WriterSide::Uring(writer) => writer.send(pieces).await,
            WriterSide::Sim(writer) => writer.send(pieces).await,
        }
    }

    /// Counts what the socket has taken, also while a send waits for room.
    pub fn sent_bytes(&self) -> SentBytes {
        match &self.side {
            WriterSide::Uring(writer) => writer.sent_bytes(),
            WriterSide::Sim(writer) => writer.sent_bytes(),
        }
    }

    /// Tells the peer that nothing more will come.
    pub fn finish(&mut self) -> Result<()> {
        match &mut self.side {
            WriterSide::Uring(writer) => writer.finish(),
            WriterSide::Sim(writer) => writer.finish(),
        }
    }
}

/// Ends a connection from outside its reader and writer, which then see the end or an error.
#[derive(Clone)]
pub struct Closer {
    side: CloserSide,
}

#[derive(Clone)]
enum CloserSide {
    Uring(uring::UringCloser),
    Sim(sim::SimCloser),
}

impl Closer {
    pub fn close(&self) {
        match &self.side {
            CloserSide::Uring(closer) => closer.close(),
            CloserSide::Sim(closer) => closer.close(),
        }
    }
}
