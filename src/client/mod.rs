//! Ringlog's own Kafka client.
