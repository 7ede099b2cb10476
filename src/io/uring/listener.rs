//! Listening and accepting.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::Result;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd};
use std::rc::Rc;

use socket2::{Domain, Protocol, Socket, Type};

use super::errors::os_error;
use super::handle::{Handle, InFlight};
use crate::io::{Notify, SocketBuffers};

/// Connections that the kernel holds for a listener before it accepts them.
const LISTEN_BACKLOG: i32 = 1024;
/// Connections (or errors) accepted ahead of [`UringListener::accept`].
const ACCEPTED_AHEAD_MAX: usize = 16;

/// A listening socket. A task of its own accepts, so that a dropped `accept` loses no connection.
pub struct UringListener {
    handle: Handle,
    address: SocketAddr,
    /// A second descriptor: valid here whatever has become of the accepting task.
    socket: Socket,
    accepted: Rc<AcceptQueue>,
}

#[derive(Default)]
struct AcceptQueue {
    queue: RefCell<VecDeque<Result<UringSocket>>>,
    changed: Notify,
    /// Set while the dropped listener's task goes on; it goes when the port is free.
    closing: Cell<Option<InFlight>>,
    is_closed: Cell<bool>,
}

/// An accepted connection that no executor knows yet: plain, so that it may cross threads.
pub struct UringSocket {
    pub(super) stream: TcpStream,
    pub(super) peer: SocketAddr,
}

impl Handle {
    pub(in crate::io) async fn listen(
        &self,
        address: SocketAddr,
        buffers: SocketBuffers,
    ) -> Result<UringListener> {
        self.listeners_closed().await;
        let socket = Socket::new(
            Domain::for_address(address),
            Type::STREAM,
            Some(Protocol::TCP),
        )?;
        // Not SO_REUSEPORT: with it a second broker would take half of the first one's connections.
        socket.set_reuse_address(true)?;
        if address.is_ipv6() {
            socket.set_only_v6(!address.ip().is_unspecified())?;
        }
        // Accepted sockets inherit them; the window that is offered depends on the receiving one.
        if let Some(size) = buffers.send_size {
            socket.set_send_buffer_size(size)?;
        }
        if let Some(size) = buffers.receive_size {
            socket.set_recv_buffer_size(size)?;
        }
        socket.bind(&address.into())?;
        socket.listen(LISTEN_BACKLOG)?;
        let bound = socket.local_addr()?;
        let bound = bound.as_socket().expect("an IP socket has an IP address");
        let accepting = socket.try_clone()?.into_raw_fd();
        // SAFETY: the descriptor is open and given away.
        let listener = unsafe { glommio::net::TcpListener::from_raw_fd(accepting) };
        let accepted = Rc::new(AcceptQueue::default());
        self.spawn(Box::pin(accept_all(listener, Rc::clone(&accepted))));
        Ok(UringListener {
            handle: self.clone(),
            address: bound,
            socket,
            accepted,
        })
    }
}

async fn accept_all(listener: glommio::net::TcpListener, accepted: Rc<AcceptQueue>) {
    while !accepted.is_closed.get() {
        let changed = accepted.changed.notified();
        if accepted.queue.borrow().len() >= ACCEPTED_AHEAD_MAX {
            changed.await;
            continue;
        }
        let socket = match listener.shared_accept().await {
            Ok(stream) => UringSocket::leave_executor(&stream.bind_to_executor()),
            Err(error) => Err(os_error(error)),
        };
        let has_failed = socket.is_err();
        accepted.queue.borrow_mut().push_back(socket);
        accepted.changed.notify_all();
        if has_failed {
            accepted.emptied().await;
        }
    }
    drop(listener);
    accepted.queue.borrow_mut().clear();
    drop(accepted.closing.take());
}

impl AcceptQueue {
    /// Waits until everything was taken: errors are not collected ahead.
    async fn emptied(&self) {
        loop {
            let changed = self.changed.notified();
            if self.queue.borrow().is_empty() || self.is_closed.get() {
                return;
            }
            changed.await;
        }
    }
}

impl UringListener {
    pub(in crate::io) async fn accept(&self) -> Result<UringSocket> {
        loop {
            let changed = self.accepted.changed.notified();
            let first = self.accepted.queue.borrow_mut().pop_front();
            if let Some(first) = first {
                self.accepted.changed.notify_all();
                return first;
            }
            changed.await;
        }
    }

    pub(in crate::io) fn local_address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for UringListener {
    fn drop(&mut self) {
        let closing = self.handle.listener_closing();
        self.accepted.closing.set(Some(closing));
        self.accepted.is_closed.set(true);
        self.accepted.changed.notify_all();
        // Ends the accept that waits in the ring, if one does.
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

impl UringSocket {
    pub(in crate::io) fn peer_address(&self) -> SocketAddr {
        self.peer
    }

    /// glommio's accepted socket has no owner and shows its descriptor only to an executor; this
    /// takes a second descriptor, the first one closes with glommio's stream.
    fn leave_executor(stream: &glommio::net::TcpStream) -> Result<UringSocket> {
        // SAFETY: the descriptor is open as long as the stream.
        let descriptor = unsafe { BorrowedFd::borrow_raw(stream.as_raw_fd()) };
        let stream = TcpStream::from(descriptor.try_clone_to_owned()?);
        let peer = stream.peer_addr()?;
        Ok(UringSocket { stream, peer })
    }
}
