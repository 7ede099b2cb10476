//! Kafka's small text files.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::FormatError;
use super::format_version::{FORMAT_KEY, FORMAT_VERSION};
use crate::types::{DirectoryId, NodeId, Offset, TopicId, TopicPartition};

/// The text of a per-directory checkpoint (`recovery-point-offset-checkpoint`,
/// `log-start-offset-checkpoint`, `replication-offset-checkpoint`).
pub fn encode_offsets<'a>(
    offsets: impl ExactSizeIterator<Item = (&'a TopicPartition, Offset)>,
) -> String {
    let mut text = format!("0\n{}\n", offsets.len());
    for (partition, offset) in offsets {
        let _ = writeln!(text, "{} {} {offset}", partition.topic, partition.partition);
    }
    text
}

/// Reads the text of a per-directory checkpoint. An empty file, as Kafka makes it before its first
/// checkpoint, holds nothing.
pub fn decode_offsets(text: &str) -> Result<BTreeMap<TopicPartition, Offset>, FormatError> {
    let mut offsets = BTreeMap::new();
    parse_checkpoint(text, |fields| {
        let [topic, partition, offset] = fields[..] else {
            return Err("topic, partition and offset were expected".to_owned());
        };
        let partition = partition
            .parse()
            .map_err(|_| format!("{partition:?} is no partition"))?;
        let offset = offset
            .parse()
            .map_err(|_| format!("{offset:?} is no offset"))?;
        offsets.insert(TopicPartition::new(topic, partition), offset);
        Ok(())
    })?;
    Ok(offsets)
}

/// Walks a checkpoint file: version 0, number of entries, one entry a line.
pub(super) fn parse_checkpoint<'a>(
    text: &'a str,
    mut entry: impl FnMut(Vec<&'a str>) -> Result<(), String>,
) -> Result<(), FormatError> {
    let mut lines = text.lines();
    let Some(version) = lines.next() else {
        return Ok(());
    };
    let version: i64 = parse_number(version, 1)?;
    if version != 0 {
        return Err(FormatError::Version(version));
    }
    let count = parse_number(lines.next().ok_or(FormatError::Truncated("the header"))?, 2)?;
    let mut found = 0;
    for (index, line) in lines.enumerate() {
        let fields = line.split_whitespace().collect();
        entry(fields).map_err(|fault| FormatError::Line {
            line: index + 3,
            fault,
        })?;
        found += 1;
    }
    if found != count {
        return Err(FormatError::Content(format!(
            "{count} entries were promised, {found} are there"
        )));
    }
    Ok(())
}

fn parse_number(text: &str, line: usize) -> Result<i64, FormatError> {
    text.trim().parse().map_err(|_| FormatError::Line {
        line,
        fault: format!("{text:?} is no number"),
    })
}

/// The text of `partition.metadata` (KIP-516).
pub fn encode_partition_metadata(topic_id: TopicId) -> String {
    format!("version: 0\ntopic_id: {topic_id}")
}

/// Reads the topic id out of `partition.metadata`.
pub fn decode_partition_metadata(text: &str) -> Result<TopicId, FormatError> {
    let mut lines = text.lines();
    let version = lines
        .next()
        .and_then(|line| line.strip_prefix("version: "))
        .ok_or(FormatError::Truncated("the version"))?;
    let version = parse_number(version, 1)?;
    if version != 0 {
        return Err(FormatError::Version(version));
    }
    let topic_id = lines
        .next()
        .and_then(|line| line.strip_prefix("topic_id: "))
        .ok_or(FormatError::Truncated("the topic id"))?;
    TopicId::parse(topic_id.trim()).ok_or_else(|| FormatError::Line {
        line: 2,
        fault: format!("{topic_id:?} is no topic id"),
    })
}

/// `meta.properties`: whose log directory this is (version 1, KIP-858).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MetaProperties {
    pub cluster_id: String,
    pub node_id: NodeId,
    /// Of this one directory.
    pub directory_id: DirectoryId,
}

impl MetaProperties {
    /// The text of the file, as Kafka reads it, with the version of our formats.
    pub fn encode(&self) -> String {
        format!(
            "version=1\ncluster.id={}\nnode.id={}\ndirectory.id={}\n\
             {FORMAT_KEY}={FORMAT_VERSION}\n",
            self.cluster_id, self.node_id, self.directory_id
        )
    }

    /// Reads a file of Kafka's or ours: `key=value` lines in any order, `#` comments.
    pub fn decode(text: &str) -> Result<MetaProperties, FormatError> {
        let mut values = BTreeMap::new();
        for line in text.lines().map(str::trim) {
            if !line.is_empty()
                && !line.starts_with('#')
                && let Some((key, value)) = line.split_once('=')
            {
                values.insert(key.trim(), value.trim());
            }
        }
        let get = |key: &str| {
            values
                .get(key)
                .copied()
                .ok_or_else(|| FormatError::Content(format!("{key} is missing")))
        };
        let wrong = |key: &str, value: &str| {
            FormatError::Content(format!("{key}={value} cannot be understood"))
        };
        let version = get("version")?;
        if version != "1" {
            return Err(FormatError::Version(version.parse().unwrap_or(-1)));
        }
        let (node_id, directory_id) = (get("node.id")?, get("directory.id")?);
        Ok(MetaProperties {
            cluster_id: get("cluster.id")?.to_owned(),
            node_id: node_id.parse().map_err(|_| wrong("node.id", node_id))?,
            directory_id: DirectoryId::parse(directory_id)
                .ok_or_else(|| wrong("directory.id", directory_id))?,
        })
    }
}

#[cfg(test)]
mod tests;
