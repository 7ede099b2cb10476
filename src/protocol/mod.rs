//! The Kafka wire protocol: API table, layouts, length check, framing.
