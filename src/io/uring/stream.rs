//! Connections of a shard.
//!
//! Bytes go straight between the socket and the caller's memory with non-blocking calls; glommio
//! only waits. One glommio stream serves both directions: it is borrowed within a poll, never
//! across one, and keeps what waits for reading and for writing apart.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{Error, ErrorKind, IoSlice, Result};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd};
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use futures_lite::{AsyncRead, AsyncWrite};
use glommio::net::TcpStream;
use nix::libc;
use nix::sys::socket::{Shutdown, shutdown};
use socket2::SockRef;

use super::errors::os_error;
use super::handle::Handle;
use super::listener::UringSocket;
use crate::io::SentBytes;

/// What is read through the stack when a connection has been waited for: most requests fit, and an
/// idle connection keeps no buffer.
const FIRST_READ_SIZE: usize = 2 << 10;
/// Room made in the caller's buffer for one read when it has none.
const READ_SIZE: usize = 64 << 10;
/// Pieces in one vectored write (IOV_MAX).
const PIECES_PER_SEND_MAX: usize = 1024;
/// Bytes that are read before completions and other tasks are let in, and at most at once: the
/// kernel copies as much as the socket holds, which are up to 30 MB and 20 ms.
const BYTES_READ_PER_TURN_MAX: usize = 1 << 20;
/// Bytes after which a writer lets other tasks in, although the peer takes more.
const BYTES_PER_TURN_MAX: usize = 4 << 20;

/// A connection of this shard.
pub struct UringStream {
    connection: Rc<Connection>,
    handle: Handle,
    peer: SocketAddr,
}

struct Connection {
    stream: RefCell<TcpStream>,
}

/// The reading half.
pub struct UringReader {
    connection: Rc<Connection>,
    handle: Handle,
    /// Bytes read since others were let in.
    read_in_turn: usize,
    /// The last read took all there was: wait before the next.
    is_drained: bool,
    /// Found after bytes that had to be delivered first.
    failed: Option<Error>,
}

/// The writing half.
pub struct UringWriter {
    connection: Rc<Connection>,
    sent: SentBytes,
    /// A send was given up in the middle or failed: what the peer would see next is not a boundary.
    is_broken: bool,
}

/// Ends the connection, as long as it is there.
#[derive(Clone)]
pub struct UringCloser {
    connection: Weak<Connection>,
}

impl Handle {
    pub(in crate::io) fn adopt(&self, socket: UringSocket) -> Result<UringStream> {
        socket.stream.set_nodelay(true)?;
        // SAFETY: the descriptor is open and given away.
        let stream = unsafe { TcpStream::from_raw_fd(socket.stream.into_raw_fd()) };
        Ok(UringStream::new(self, stream, socket.peer))
    }

    pub(in crate::io) async fn connect(
        &self,
        address: SocketAddr,
        timeout: Duration,
    ) -> Result<UringStream> {
        if timeout.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        let stream = TcpStream::connect_timeout(address, timeout)
            .await
            .map_err(os_error)?;
        stream.set_nodelay(true).map_err(os_error)?;
        Ok(UringStream::new(self, stream, address))
    }
}

impl UringStream {
    fn new(handle: &Handle, stream: TcpStream, peer: SocketAddr) -> UringStream {
        UringStream {
            handle: handle.clone(),
            connection: Rc::new(Connection {
                stream: RefCell::new(stream),
            }),
            peer,
        }
    }

    pub(in crate::io) fn peer_address(&self) -> SocketAddr {
        self.peer
    }

    pub(in crate::io) fn split(self) -> Result<(UringReader, UringWriter, UringCloser)> {
        let reader = UringReader {
            connection: Rc::clone(&self.connection),
            handle: self.handle,
            read_in_turn: 0,
            is_drained: true,
            failed: None,
        };
        let closer = UringCloser {
            connection: Rc::downgrade(&self.connection),
        };
        let writer = UringWriter {
            connection: self.connection,
            sent: SentBytes::default(),
            is_broken: false,
        };
        Ok((reader, writer, closer))
    }
}

impl Connection {
    /// Appends what is there without waiting; `None` when nothing is.
    fn receive(&self, into: &mut BytesMut, size_max: usize) -> Result<Option<Received>> {
        if into.capacity() - into.len() < size_max.min(FIRST_READ_SIZE) {
            into.reserve(size_max.min(READ_SIZE));
        }
        let stream = self.stream.borrow();
        // SAFETY: the descriptor is open as long as the stream.
        let descriptor = unsafe { BorrowedFd::borrow_raw(stream.as_raw_fd()) };
        let socket = SockRef::from(&descriptor);
        let spare = into.spare_capacity_mut();
        let asked = spare.len().min(size_max);
        loop {
            match socket.recv_with_flags(&mut spare[..asked], libc::MSG_DONTWAIT) {
                Ok(size) => {
                    // SAFETY: the kernel has filled that many bytes of the spare room.
                    unsafe { into.advance_mut(size) };
                    return Ok(Some(Received {
                        size,
                        was_all: size < asked,
                    }));
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }

    /// Hands over as much as the socket takes now; `None` when it takes nothing.
    fn send(&self, pieces: &[IoSlice<'_>]) -> Result<Option<usize>> {
        let stream = self.stream.borrow();
        // SAFETY: the descriptor is open as long as the stream.
        let descriptor = unsafe { BorrowedFd::borrow_raw(stream.as_raw_fd()) };
        let socket = SockRef::from(&descriptor);
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        loop {
            match socket.send_vectored_with_flags(pieces, flags) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(size) => return Ok(Some(size)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }

    fn shut_down(&self, how: Shutdown) -> Result<()> {
        Ok(shutdown(self.stream.borrow().as_raw_fd(), how)?)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // A poll that still waits in the ring holds the socket open for a while; the peer is told
        // now. A connection that the peer has already reset cannot be shut down, nor need it be.
        let _ = self.shut_down(Shutdown::Both);
    }
}

struct Received {
    size: usize,
    /// Fewer bytes came than there was room for.
    was_all: bool,
}

impl UringReader {
    pub(in crate::io) async fn read(
        &mut self,
        into: &mut BytesMut,
        size_max: usize,
    ) -> Result<usize> {
        if self.read_in_turn >= BYTES_READ_PER_TURN_MAX {
            self.read_in_turn = 0;
            self.handle.yield_now().await;
        }
        let size_max = size_max.min(BYTES_READ_PER_TURN_MAX);
        let size = poll_fn(|cx| self.poll_read(cx, into, size_max)).await?;
        self.read_in_turn += size;
        Ok(size)
    }

    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut BytesMut,
        size_max: usize,
    ) -> Poll<Result<usize>> {
        if let Some(error) = self.failed.take() {
            return Poll::Ready(Err(error));
        }
        if !self.is_drained {
            if let Some(received) = self.connection.receive(into, size_max)? {
                self.is_drained = received.was_all;
                return Poll::Ready(Ok(received.size));
            }
            self.is_drained = true;
        }
        let mut first = [0; FIRST_READ_SIZE];
        let first = &mut first[..size_max.min(FIRST_READ_SIZE)];
        let mut size = {
            let mut stream = self.connection.stream.borrow_mut();
            ready!(Pin::new(&mut *stream).poll_read(cx, first))?
        };
        into.extend_from_slice(&first[..size]);
        self.is_drained = size < first.len();
        if !self.is_drained && size < size_max {
            match self.connection.receive(into, size_max - size) {
                Ok(Some(received)) => {
                    self.is_drained = received.was_all;
                    size += received.size;
                }
                Ok(None) => self.is_drained = true,
                Err(error) => self.failed = Some(error),
            }
        }
        Poll::Ready(Ok(size))
    }
}

impl UringWriter {
    pub(in crate::io) async fn send(&mut self, pieces: &[Bytes]) -> Result<()> {
        if self.is_broken {
            return Err(Error::new(
                ErrorKind::BrokenPipe,
                "an earlier send on this connection was not completed",
            ));
        }
        self.is_broken = true;
        let mut left = Unsent {
            pieces,
            sent_of_first: 0,
        };
        left.advance(0);
        poll_fn(|cx| self.poll_send(cx, &mut left)).await?;
        self.is_broken = false;
        Ok(())
    }

    fn poll_send(&self, cx: &mut Context<'_>, left: &mut Unsent<'_>) -> Poll<Result<()>> {
        let mut sent_in_turn = 0;
        while !left.pieces.is_empty() {
            if sent_in_turn >= BYTES_PER_TURN_MAX {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let sent = match self.connection.send(&left.gather())? {
                Some(sent) => sent,
                // No room. glommio waits for it, and then has to send something itself.
                None => {
                    let mut stream = self.connection.stream.borrow_mut();
                    ready!(Pin::new(&mut *stream).poll_write(cx, left.first()))?
                }
            };
            left.advance(sent);
            self.sent.add(sent);
            sent_in_turn += sent;
        }
        Poll::Ready(Ok(()))
    }

    pub(in crate::io) fn sent_bytes(&self) -> SentBytes {
        self.sent.clone()
    }

    pub(in crate::io) fn finish(&mut self) -> Result<()> {
        self.connection.shut_down(Shutdown::Write)
    }
}

/// What of the pieces has not been sent. The first piece is never empty.
struct Unsent<'a> {
    pieces: &'a [Bytes],
    sent_of_first: usize,
}

impl<'a> Unsent<'a> {
    fn first(&self) -> &'a [u8] {
        &self.pieces[0][self.sent_of_first..]
    }

    fn gather(&self) -> Vec<IoSlice<'a>> {
        let count = self.pieces.len().min(PIECES_PER_SEND_MAX);
        let mut slices = Vec::with_capacity(count);
        slices.push(IoSlice::new(self.first()));
        slices.extend(
            self.pieces[1..count]
                .iter()
                .map(|piece| IoSlice::new(piece)),
        );
        slices
    }

    fn advance(&mut self, size: usize) {
        self.sent_of_first += size;
        while let Some(first) = self.pieces.first()
            && self.sent_of_first >= first.len()
        {
            self.sent_of_first -= first.len();
            self.pieces = &self.pieces[1..];
        }
    }
}

impl UringCloser {
    pub(in crate::io) fn close(&self) {
        if let Some(connection) = self.connection.upgrade() {
            // One that the peer has already reset is as closed as it can be.
            let _ = connection.shut_down(Shutdown::Both);
        }
    }
}
