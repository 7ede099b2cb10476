//! Connections as the front sees them.

use std::future::poll_fn;
use std::io::{Error, ErrorKind, Result};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::super::Handle;
use super::super::world::SharedWorld;
use super::state::{EndId, Network, Parting};
use crate::io::SentBytes;

/// Pieces up to this size in all travel as one packet.
const GATHERED_SIZE_MAX: usize = 16 << 10;

impl Handle {
    pub(in crate::io) async fn listen(&self, address: SocketAddr) -> Result<SimListener> {
        let (process, machine) = (self.process(), self.machine());
        let (id, address) = self
            .world()
            .lock()
            .network
            .listen(process, machine, address)?;
        Ok(SimListener {
            world: self.world().clone(),
            id,
            address,
        })
    }

    pub(in crate::io) fn adopt(&self, socket: SimSocket) -> Result<SimStream> {
        let peer_address = self.world().lock().network.peer_address(socket.end.id);
        let peer_address = peer_address.ok_or_else(|| Error::from(ErrorKind::ConnectionReset))?;
        Ok(SimStream {
            end: socket.end,
            peer_address,
        })
    }

    pub(in crate::io) async fn connect(
        &self,
        address: SocketAddr,
        timeout: Duration,
    ) -> Result<SimStream> {
        let (process, machine) = (self.process(), self.machine());
        let (round_trip, is_reachable, is_refused) = {
            let mut world = self.world().lock();
            let target = world.network.machine_of(machine, address.ip());
            let target = target.filter(|target| {
                !world.network.is_blocked(machine, *target)
                    && !world.network.is_blocked(*target, machine)
            });
            let there = world
                .network
                .draw_latency(machine, target.unwrap_or(machine));
            let refused_probability = world.plan.connection_refused;
            let is_refused = world.network.draw(refused_probability);
            (
                Duration::from_nanos(2 * there),
                target.is_some(),
                is_refused,
            )
        };
        if !is_reachable || round_trip > timeout {
            self.sleep(timeout).await;
            let message = format!("no answer from {address} within {timeout:?}");
            return Err(Error::new(ErrorKind::TimedOut, message));
        }
        self.sleep(round_trip).await;
        let mut world = self.world().lock();
        if is_refused {
            world.counts.connections_refused += 1;
            let message = format!("connection to {address} refused");
            return Err(Error::new(ErrorKind::ConnectionRefused, message));
        }
        let id = world.network.connect(process, machine, address)?;
        drop(world);
        let end = EndHandle {
            world: self.world().clone(),
            id,
        };
        Ok(SimStream {
            end,
            peer_address: address,
        })
    }

    pub(in crate::io) fn host_name(&self) -> String {
        self.machine().address().to_string()
    }

    pub(in crate::io) async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>> {
        let ip = match host {
            "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
            _ => host.parse().map_err(|_| {
                Error::new(
                    ErrorKind::NotFound,
                    format!("{host} is not a literal address"),
                )
            })?,
        };
        Ok(vec![SocketAddr::new(ip, port)])
    }
}

/// Owns an end: dropping it closes the end.
struct EndHandle {
    world: SharedWorld,
    id: EndId,
}

impl Drop for EndHandle {
    fn drop(&mut self) {
        Network::close(&mut self.world.lock(), self.id, Parting::InOrder);
    }
}

/// A listening socket.
pub struct SimListener {
    world: SharedWorld,
    id: u64,
    address: SocketAddr,
}

impl SimListener {
    pub(in crate::io) async fn accept(&self) -> Result<SimSocket> {
        let id = poll_fn(|cx| self.world.lock().network.poll_accept(self.id, cx)).await;
        Ok(SimSocket {
            end: EndHandle {
                world: self.world.clone(),
                id,
            },
        })
    }

    pub(in crate::io) fn local_address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for SimListener {
    fn drop(&mut self) {
        Network::close_listener(&mut self.world.lock(), self.id);
    }
}

/// An accepted connection of no shard yet.
pub struct SimSocket {
    end: EndHandle,
}

/// A connection of a shard.
pub struct SimStream {
    end: EndHandle,
    peer_address: SocketAddr,
}

impl SimSocket {
    pub(in crate::io) fn peer_address(&self) -> Option<SocketAddr> {
        self.end.world.lock().network.peer_address(self.end.id)
    }
}

impl SimStream {
    pub(in crate::io) fn peer_address(&self) -> SocketAddr {
        self.peer_address
    }

    pub(in crate::io) fn split(self) -> (SimReader, SimWriter, SimCloser) {
        let closer = SimCloser {
            world: self.end.world.clone(),
            id: self.end.id,
        };
        let end = Rc::new(self.end);
        (
            SimReader {
                end: Rc::clone(&end),
            },
            SimWriter {
                end,
                sent: SentBytes::default(),
            },
            closer,
        )
    }
}

/// The reading half.
pub struct SimReader {
    end: Rc<EndHandle>,
}

impl SimReader {
    pub(in crate::io) async fn read(
        &mut self,
        into: &mut BytesMut,
        size_max: usize,
    ) -> Result<usize> {
        let end = &self.end;
        poll_fn(|cx| {
            end.world
                .lock()
                .network
                .poll_read(end.id, into, size_max, cx)
        })
        .await
    }
}

/// The writing half.
pub struct SimWriter {
    end: Rc<EndHandle>,
    sent: SentBytes,
}

impl SimWriter {
    pub(in crate::io) async fn send(&mut self, pieces: &[Bytes]) -> Result<()> {
        let size: usize = pieces.iter().map(Bytes::len).sum();
        if pieces.len() > 1 && size <= GATHERED_SIZE_MAX {
            let gathered = Bytes::from(pieces.concat());
            return self.send_piece(gathered).await;
        }
        for piece in pieces {
            self.send_piece(piece.clone()).await?;
        }
        Ok(())
    }

    async fn send_piece(&mut self, mut piece: Bytes) -> Result<()> {
        let end = &self.end;
        while !piece.is_empty() {
            let sent = poll_fn(|cx| -> Poll<Result<usize>> {
                Network::poll_send(&mut end.world.lock(), end.id, &piece, cx)
            });
            let size = sent.await?;
            self.sent.add(size);
            piece = piece.split_off(size);
        }
        Ok(())
    }

    pub(in crate::io) fn sent_bytes(&self) -> SentBytes {
        self.sent.clone()
    }

    pub(in crate::io) fn finish(&mut self) -> Result<()> {
        Network::finish(&mut self.end.world.lock(), self.end.id)
    }
}

/// Ends a connection from outside.
#[derive(Clone)]
pub struct SimCloser {
    world: SharedWorld,
    id: EndId,
}

impl SimCloser {
    pub(in crate::io) fn close(&self) {
        Network::shut(&mut self.world.lock(), self.id);
    }
}
