//! Listeners, connections, requests.

use super::super::key::{Key, Kind, Valid};

pub(super) const KEYS: &[Key] = &[
    Key::broker("listeners", Kind::StringList)
        .default("PLAINTEXT://127.0.0.1:9092")
        .doc(
            "Addresses to listen on, `NAME://host:port`, comma separated. No host: every \
             interface. There is no authentication yet, so the default is loopback only.",
        ),
    Key::broker("advertised.listeners", Kind::StringList).doc(
        "Addresses that clients are told, by the names of `listeners`. Not set: as `listeners`.",
    ),
    Key::broker("listener.security.protocol.map", Kind::StringList)
        .default("PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL")
        .doc("Security protocol of each listener name, `NAME:PROTOCOL`; only PLAINTEXT is built."),
    Key::broker("controller.listener.names", Kind::StringList).doc(
        "Names in `listeners` that are for Kafka's controller. Ringlog's needs no listener of its \
         own: these are not opened.",
    ),
    Key::broker("socket.request.max.bytes", Kind::Int)
        .default("104857600")
        .valid(Valid::AtLeast(1))
        .doc(
            "Size of the largest request, without its size prefix; a larger one closes the \
              connection.",
        ),
    Key::broker("connections.max.idle.ms", Kind::Long)
        .default("600000")
        .doc("A connection without a request for this long is closed. Negative: never."),
    Key::broker("max.connections", Kind::Int)
        .dynamic()
        .default("2147483647")
        .valid(Valid::AtLeast(0))
        .doc("Connections of the whole broker; more wait until one has gone."),
    Key::broker("max.connections.per.ip", Kind::Int)
        .dynamic()
        .default("2147483647")
        .valid(Valid::AtLeast(0))
        .doc("Connections from one address; one more is closed at once."),
    Key::broker("max.connections.per.ip.overrides", Kind::String)
        .default("")
        .doc(
            "Other limits for some addresses or host names, `name:count`, comma separated. Names \
             are looked up at start.",
        ),
    Key::broker("socket.send.buffer.bytes", Kind::Int)
        .default("-1")
        .valid(Valid::AtLeast(-1))
        .doc(
            "SO_SNDBUF of connections; -1: the kernel adapts it. Kafka's default is 102400, which \
             holds large answers back.",
        ),
    Key::broker("socket.receive.buffer.bytes", Kind::Int)
        .default("-1")
        .valid(Valid::AtLeast(-1))
        .doc("SO_RCVBUF of connections; -1: the kernel adapts it. Kafka's default is 102400."),
    Key::broker("queued.max.request.bytes", Kind::Long)
        .default("-1")
        .doc(
            "Bytes of requests in flight in the whole broker, beyond which connections are not \
             read; split evenly over the shards, and never more than \
             `shard.request.memory.bytes` each. A larger request passes when it is alone. Below 1: \
             only that limit.",
        ),
    Key::broker("metrics.listener", Kind::String)
        .own()
        .default("127.0.0.1:9640")
        .doc(
            "Where the broker's own pages are served over HTTP, `host:port`: `/metrics` for \
             Prometheus, `/status` as JSON. Empty: nowhere. There is no authentication: whoever \
             reaches it can read them.",
        ),
];
