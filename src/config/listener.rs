//! `listeners` and `advertised.listeners`: `NAME://host:port`, comma separated.

use std::collections::BTreeMap;
use std::net::IpAddr;

/// One address to listen on, or to tell clients.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listener {
    /// In capitals (`PLAINTEXT`).
    pub name: String,
    /// Host name or address, an IPv6 one without its brackets. Empty: every interface for a
    /// listener, the machine's own host name for an advertised one.
    pub host: String,
    /// 0: any free port; an advertised 0 stands for the port that was bound.
    pub port: u16,
}

impl Listener {
    /// Whether the host means "every interface", which no client can connect to.
    pub fn is_wildcard(&self) -> bool {
        matches!(self.host.as_str(), "" | "0.0.0.0" | "::")
    }
}

impl std::fmt::Display for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            write!(f, "{}://[{}]:{}", self.name, self.host, self.port)
        } else {
            write!(f, "{}://{}:{}", self.name, self.host, self.port)
        }
    }
}

/// A host and a port, where names and security protocols do not matter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HostPort {
    /// Host name or address, an IPv6 one without its brackets; never empty.
    pub host: String,
    /// 0: any free port.
    pub port: u16,
}

impl std::fmt::Display for HostPort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Parses `host:port`; `None` for an empty text.
pub(super) fn parse_host_port(text: &str) -> Result<Option<HostPort>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    match split_host_port(text) {
        Some((host, port)) if !host.is_empty() => Ok(Some(HostPort { host, port })),
        _ => Err(format!(
            "`{text}` is not of the form host:port; an IPv6 address stands in brackets"
        )),
    }
}

/// Parses the entries of a list of listeners; names must differ, and so must ports other than 0
/// unless `shared_ports` (several advertised names may lead through one forwarded port).
pub(super) fn parse(entries: &[String], shared_ports: bool) -> Result<Vec<Listener>, String> {
    let mut listeners: Vec<Listener> = Vec::with_capacity(entries.len());
    for entry in entries {
        let listener = parse_one(entry)
            .ok_or_else(|| format!("`{entry}` is not of the form NAME://host:port"))?;
        for other in &listeners {
            if other.name == listener.name {
                return Err(format!("two listeners are called {}", listener.name));
            }
            let same_port = other.port == listener.port && listener.port != 0;
            if !shared_ports && same_port && !are_of_both_families(other, &listener) {
                return Err(format!(
                    "two listeners have port {}; only an IPv4 and an IPv6 address may share one",
                    listener.port
                ));
            }
        }
        listeners.push(listener);
    }
    if listeners.is_empty() {
        return Err("at least one listener is needed".to_owned());
    }
    Ok(listeners)
}

/// An IPv4 and an IPv6 address, in either order (KIP-797).
fn are_of_both_families(one: &Listener, other: &Listener) -> bool {
    match (one.host.parse::<IpAddr>(), other.host.parse::<IpAddr>()) {
        (Ok(one), Ok(other)) => one.is_ipv4() != other.is_ipv4(),
        _ => false,
    }
}

fn parse_one(entry: &str) -> Option<Listener> {
    let (name, address) = entry.split_once("://")?;
    let named = name
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
    if name.is_empty() || !named {
        return None;
    }
    let (host, port) = split_host_port(address)?;
    Some(Listener {
        name: name.to_ascii_uppercase(),
        host,
        port,
    })
}

fn split_host_port(text: &str) -> Option<(String, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let host = match host.strip_prefix('[') {
        Some(inner) => inner.strip_suffix(']')?,
        None if host.contains(':') => return None,
        None => host,
    };
    if host.contains(['/', ' ', '@', '[', ']']) {
        return None;
    }
    Some((host.to_owned(), port.parse().ok()?))
}

/// Parses `listener.security.protocol.map`: `NAME:PROTOCOL`, comma separated.
pub(super) fn parse_protocols(entries: &[String]) -> Result<BTreeMap<String, String>, String> {
    let mut protocols = BTreeMap::new();
    for entry in entries {
        let (name, protocol) = entry
            .split_once(':')
            .ok_or_else(|| format!("`{entry}` is not of the form NAME:PROTOCOL"))?;
        let name = name.trim().to_ascii_uppercase();
        protocols.insert(name, protocol.trim().to_ascii_uppercase());
    }
    Ok(protocols)
}
