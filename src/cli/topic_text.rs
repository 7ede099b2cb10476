//! How topics are printed: as Kafka's topic tool does, or as JSON, an object a line.

use std::io::{Result, Write};

use serde_json::{Value, json};

use super::topic_sizes::Sizes;
use crate::client::{PartitionView, TopicView};
use crate::types::{NodeId, TopicPartition};

/// One topic of a list.
pub(super) fn list_line(out: &mut impl Write, topic: &TopicView, is_json: bool) -> Result<()> {
    match is_json {
        false => writeln!(out, "{}", topic.name),
        true => writeln!(out, "{}", head(topic)),
    }
}

/// One topic with its partitions; nothing of one that cannot be described, unless it is JSON.
pub(super) fn describe(
    out: &mut impl Write,
    topic: &TopicView,
    sizes: Option<&Sizes>,
    is_json: bool,
) -> Result<()> {
    if is_json {
        return writeln!(out, "{}", whole(topic, sizes));
    }
    if topic.error.is_error() {
        return Ok(());
    }
    write!(
        out,
        "Topic: {}\tTopicId: {}\tPartitionCount: {}\tReplicationFactor: {}",
        topic.name,
        topic.topic_id,
        topic.partitions.len(),
        replication_factor(topic),
    )?;
    if let Some(sizes) = sizes {
        write!(out, "\tSize: {}", topic_size(topic, sizes))?;
    }
    writeln!(out)?;
    for partition in &topic.partitions {
        let leader = partition.leader.map(|leader| leader.to_string());
        write!(
            out,
            "\tPartition: {}\tLeader: {}\tReplicas: {}\tIsr: {}",
            partition.partition,
            leader.as_deref().unwrap_or("none"),
            nodes(&partition.replicas),
            nodes(&partition.isr),
        )?;
        if let Some(sizes) = sizes {
            write!(out, "\tSize: {}", sizes_text(topic, partition, sizes))?;
        }
        writeln!(out)?;
    }
    Ok(())
}

fn head(topic: &TopicView) -> Value {
    if topic.error.is_error() {
        return json!({ "topic": &*topic.name, "error": topic.error.to_string() });
    }
    json!({
        "topic": &*topic.name,
        "topic_id": topic.topic_id.to_string(),
        "is_internal": topic.is_internal,
        "partition_count": topic.partitions.len(),
        "replication_factor": replication_factor(topic),
    })
}

fn whole(topic: &TopicView, sizes: Option<&Sizes>) -> Value {
    let mut object = head(topic);
    if topic.error.is_error() {
        return object;
    }
    if let Some(sizes) = sizes {
        object["size_bytes"] = json!(topic_size(topic, sizes));
    }
    let partitions = topic.partitions.iter().map(|partition| {
        let mut described = json!({
            "partition": partition.partition,
            "leader": partition.leader,
            "leader_epoch": partition.leader_epoch,
            "replicas": partition.replicas,
            "isr": partition.isr,
        });
        if partition.error.is_error() {
            described["error"] = json!(partition.error.to_string());
        }
        if let Some(sizes) = sizes {
            described["sizes"] = sizes_json(topic, partition, sizes);
        }
        described
    });
    object["partitions"] = partitions.collect();
    object
}

fn replication_factor(topic: &TopicView) -> usize {
    let first = topic.partitions.first();
    first.map_or(0, |first| first.replicas.len())
}

/// Of all replicas that are known, bytes.
fn topic_size(topic: &TopicView, sizes: &Sizes) -> u64 {
    let replicas = topic.partitions.iter().flat_map(|partition| {
        let of = of(topic, partition);
        let on_brokers = partition.replicas.iter();
        on_brokers.filter_map(move |&broker| Some(sizes.of(&of, broker)?.size))
    });
    replicas.sum()
}

/// Each replica's size in the order of the replicas; `?` where it is not known.
fn sizes_text(topic: &TopicView, partition: &PartitionView, sizes: &Sizes) -> String {
    let of = of(topic, partition);
    let on_brokers = partition.replicas.iter().map(|&broker| {
        let placed = sizes.of(&of, broker);
        placed.map_or("?".to_owned(), |placed| placed.size.to_string())
    });
    on_brokers.collect::<Vec<_>>().join(",")
}

fn sizes_json(topic: &TopicView, partition: &PartitionView, sizes: &Sizes) -> Value {
    let of = of(topic, partition);
    let on_brokers = partition.replicas.iter().map(|&broker| {
        let placed = sizes.of(&of, broker);
        json!({
            "broker": broker,
            "size_bytes": placed.map(|placed| placed.size),
            "log_dir": placed.map(|placed| &placed.log_dir),
        })
    });
    on_brokers.collect()
}

fn of(topic: &TopicView, partition: &PartitionView) -> TopicPartition {
    TopicPartition::new(&*topic.name, partition.partition)
}

fn nodes(nodes: &[NodeId]) -> String {
    let nodes: Vec<String> = nodes.iter().map(NodeId::to_string).collect();
    nodes.join(",")
}
