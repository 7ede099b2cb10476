//! `listeners`: bound, and what clients are told of each.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::config::BrokerConfig;
use crate::io::{Listener, Reactor, SocketBuffers};
use crate::metadata::Endpoint;
use crate::shard::ShardError;

/// `SecurityProtocol.PLAINTEXT`, the only one that is built.
const PLAINTEXT: i16 = 0;

/// How long a port may still be in use: the sockets of a process that was killed can go a little
/// later than the process.
pub(super) const PORT_WAIT_MAX: Duration = Duration::from_secs(2);

const PORT_RETRY_PAUSE: Duration = Duration::from_millis(20);

/// Binds all of `listeners`, in their order.
pub(super) async fn bind_all(
    reactor: &Reactor,
    config: &BrokerConfig,
) -> Result<Vec<Listener>, ShardError> {
    let buffers = SocketBuffers {
        send_size: config.socket_send_buffer_bytes,
        receive_size: config.socket_receive_buffer_bytes,
    };
    let mut bound = Vec::with_capacity(config.listeners.len());
    for listener in &config.listeners {
        let address = (listener.host.as_str(), listener.port);
        let one = bind(reactor, address, buffers, PORT_WAIT_MAX).await;
        bound.push(one.map_err(|reason| ShardError::Listen {
            listener: listener.to_string(),
            reason,
        })?);
    }
    Ok(bound)
}

/// Listens on an address of this host, every one if the host is empty, and waits so long for its
/// port; the error says why not, and what to do.
pub(super) async fn bind(
    reactor: &Reactor,
    (host, port): (&str, u16),
    buffers: SocketBuffers,
    wait_max: Duration,
) -> Result<Listener, String> {
    let foreign = |error: std::io::Error| format!("{error}; name an address of this host");
    if host.is_empty() {
        let every = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
        match listen(reactor, every, buffers, wait_max).await {
            // A machine without IPv6.
            Err(error) if error.kind() != ErrorKind::AddrInUse => {}
            bound => return bound.map_err(|_| in_use()),
        }
    }
    let addresses = match host {
        "" => vec![SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))],
        host => reactor.resolve(host, port).await.map_err(foreign)?,
    };
    // As Java does: `localhost` is 127.0.0.1 where it is ::1 too.
    let first_ipv4 = addresses.iter().find(|address| address.is_ipv4());
    let Some(&address) = first_ipv4.or(addresses.first()) else {
        return Err("it has no address; name one of this host".to_owned());
    };
    let bound = listen(reactor, address, buffers, wait_max).await;
    bound.map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => in_use(),
        _ => foreign(error),
    })
}

async fn listen(
    reactor: &Reactor,
    address: SocketAddr,
    buffers: SocketBuffers,
    wait_max: Duration,
) -> std::io::Result<Listener> {
    let deadline = reactor.now() + wait_max;
    loop {
        match reactor.listen_with(address, buffers).await {
            Err(error) if error.kind() == ErrorKind::AddrInUse && reactor.now() < deadline => {
                reactor.sleep(PORT_RETRY_PAUSE).await;
            }
            bound => return bound,
        }
    }
}

fn in_use() -> String {
    "the port is in use; stop what listens there or choose another".to_owned()
}

/// What clients are told of each listener: its advertised host and port, where these are empty or 0
/// the machine's name and the port that was bound. `None` for one that is not advertised.
pub(super) fn endpoints(
    reactor: &Reactor,
    config: &BrokerConfig,
    bound: &[SocketAddr],
) -> Arc<[Option<Endpoint>]> {
    let endpoints = config.listeners.iter().zip(bound).map(|(listener, bound)| {
        let mut advertised = config.advertised_listeners.iter();
        let advertised = advertised.find(|advertised| advertised.name == listener.name)?;
        let host = match advertised.host.as_str() {
            "" => reactor.host_name(),
            host => host.to_owned(),
        };
        let port = match advertised.port {
            0 => bound.port(),
            port => port,
        };
        Some(Endpoint {
            listener: listener.name.as_str().into(),
            host: host.into(),
            port,
            security_protocol: PLAINTEXT,
        })
    });
    endpoints.collect()
}

/// `max.connections.per.ip.overrides` with its names looked up.
pub(super) async fn ip_overrides(
    reactor: &Reactor,
    config: &BrokerConfig,
) -> Result<BTreeMap<IpAddr, usize>, ShardError> {
    let mut overrides = BTreeMap::new();
    for (host, count) in &config.max_connections_per_ip_overrides {
        let addresses = reactor.resolve(host, 0).await;
        let addresses = addresses.map_err(|error| ShardError::Overrides {
            host: host.clone(),
            reason: error.to_string(),
        })?;
        let of_host = addresses.iter().map(|a| (a.ip().to_canonical(), *count));
        overrides.extend(of_host);
    }
    Ok(overrides)
}
