//! The bytes of a metadata record.
//!
//! `u8` frame version (1), uvarint record type, uvarint record version (0), then the fields in the
//! order of their declaration: integers as zigzag varints, ids as 16 bytes, strings and lists with
//! a uvarint count before them, an optional one with the count plus one (0 is "none").
//! A field is never taken away and never changes its meaning under the same version.
//!
//! A partition has version 1 as soon as one of its replicas has a directory; its directories' ids
//! follow, one for each replica.

use std::sync::Arc;

use super::record::{
    ConfigRecord, ConfigResource, ConfigResourceType, Endpoint, FeatureRecord, MetadataRecord,
    PartitionRecord, ProducerIdsRecord, RegisterBroker, RemoveTopicRecord, TopicRecord,
};
use crate::types::{DirectoryId, TopicId};

const FRAME_VERSION: u8 = 1;

/// The version of every record type but [`PARTITION`].
const RECORD_VERSION: u64 = 0;

/// Of a partition with directories.
const PARTITION_VERSION_DIRECTORIES: u64 = 1;

const TOPIC: u64 = 1;
const PARTITION: u64 = 2;
const REMOVE_TOPIC: u64 = 3;
const CONFIG: u64 = 4;
const PRODUCER_IDS: u64 = 5;
const REGISTER_BROKER: u64 = 6;
const FEATURE: u64 = 7;

/// Why bytes are not a metadata record of this release.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RecordError {
    #[error("metadata record ends in the middle of a field")]
    Truncated,
    #[error("metadata record has {0} bytes after its last field")]
    TrailingBytes(usize),
    #[error("metadata frame version {0} is unknown: written by a newer release?")]
    UnknownFrame(u8),
    #[error("metadata record type {0} is unknown: written by a newer release?")]
    UnknownType(u64),
    #[error("version {version} of metadata record type {kind} is unknown: a newer release's?")]
    UnknownVersion { kind: u64, version: u64 },
    #[error("metadata record field {0} has an impossible value")]
    Invalid(&'static str),
}

impl MetadataRecord {
    /// The record's bytes: the value of a record in the metadata log.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer(vec![FRAME_VERSION]);
        match self {
            MetadataRecord::Topic(record) => {
                out.kind(TOPIC);
                out.id(&record.topic_id.0);
                out.string(&record.name);
            }
            MetadataRecord::Partition(record) => out.partition(record),
            MetadataRecord::RemoveTopic(record) => {
                out.kind(REMOVE_TOPIC);
                out.id(&record.topic_id.0);
            }
            MetadataRecord::Config(record) => {
                out.kind(CONFIG);
                out.unsigned(record.resource.resource_type as u64);
                out.string(&record.resource.name);
                out.string(&record.key);
                out.optional_string(record.value.as_deref());
            }
            MetadataRecord::ProducerIds(record) => {
                out.kind(PRODUCER_IDS);
                out.signed(record.next_producer_id);
            }
            MetadataRecord::RegisterBroker(record) => out.register_broker(record),
            MetadataRecord::Feature(record) => {
                out.kind(FEATURE);
                out.string(&record.name);
                out.signed(i64::from(record.level));
            }
        }
        out.0
    }

    /// The record in `bytes`, which must hold it and nothing else. Never reserves more memory than
    /// `bytes` has.
    pub fn decode(bytes: &[u8]) -> Result<MetadataRecord, RecordError> {
        let mut input = Reader(bytes);
        let frame = input.byte()?;
        if frame != FRAME_VERSION {
            return Err(RecordError::UnknownFrame(frame));
        }
        let kind = input.unsigned()?;
        if !(TOPIC..=FEATURE).contains(&kind) {
            return Err(RecordError::UnknownType(kind));
        }
        let version = input.unsigned()?;
        let known = match kind {
            PARTITION => PARTITION_VERSION_DIRECTORIES,
            _ => RECORD_VERSION,
        };
        if version > known {
            return Err(RecordError::UnknownVersion { kind, version });
        }
        let record = input.record(kind, version)?;
        match input.0.len() {
            0 => Ok(record),
            left => Err(RecordError::TrailingBytes(left)),
        }
    }
}

struct Writer(Vec<u8>);

impl Writer {
    fn kind(&mut self, kind: u64) {
        self.kind_and_version(kind, RECORD_VERSION);
    }

    fn kind_and_version(&mut self, kind: u64, version: u64) {
        self.unsigned(kind);
        self.unsigned(version);
    }

    fn unsigned(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn signed(&mut self, value: i64) {
        self.unsigned(((value << 1) ^ (value >> 63)) as u64);
    }

    fn id(&mut self, id: &[u8; 16]) {
        self.0.extend_from_slice(id);
    }

    fn string(&mut self, text: &str) {
        self.unsigned(text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
    }

    fn optional_string(&mut self, text: Option<&str>) {
        match text {
            None => self.unsigned(0),
            Some(text) => {
                self.unsigned(text.len() as u64 + 1);
                self.0.extend_from_slice(text.as_bytes());
            }
        }
    }

    fn nodes(&mut self, nodes: &[i32]) {
        self.unsigned(nodes.len() as u64);
        for &node in nodes {
            self.signed(i64::from(node));
        }
    }

    fn partition(&mut self, record: &PartitionRecord) {
        assert_eq!(
            record.directories.len(),
            record.replicas.len(),
            "each replica has a directory, assigned or not"
        );
        let mut directories = record.directories.iter();
        let has_directories = directories.any(|id| *id != DirectoryId::UNASSIGNED);
        match has_directories {
            true => self.kind_and_version(PARTITION, PARTITION_VERSION_DIRECTORIES),
            false => self.kind(PARTITION),
        }
        self.id(&record.topic_id.0);
        self.signed(i64::from(record.partition));
        self.nodes(&record.replicas);
        self.nodes(&record.isr);
        self.signed(i64::from(record.leader));
        self.signed(i64::from(record.leader_epoch));
        self.signed(i64::from(record.partition_epoch));
        if has_directories {
            record.directories.iter().for_each(|id| self.id(&id.0));
        }
    }

    fn register_broker(&mut self, record: &RegisterBroker) {
        self.kind(REGISTER_BROKER);
        self.signed(i64::from(record.node_id));
        self.id(&record.incarnation_id);
        self.signed(record.broker_epoch);
        self.unsigned(record.endpoints.len() as u64);
        for endpoint in &record.endpoints {
            self.string(&endpoint.listener);
            self.string(&endpoint.host);
            self.unsigned(u64::from(endpoint.port));
            self.signed(i64::from(endpoint.security_protocol));
        }
        self.optional_string(record.rack.as_deref());
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn record(&mut self, kind: u64, version: u64) -> Result<MetadataRecord, RecordError> {
        Ok(match kind {
            TOPIC => MetadataRecord::Topic(TopicRecord {
                topic_id: self.topic_id()?,
                name: self.string()?,
            }),
            PARTITION => MetadataRecord::Partition(self.partition(version)?),
            REMOVE_TOPIC => MetadataRecord::RemoveTopic(RemoveTopicRecord {
                topic_id: self.topic_id()?,
            }),
            CONFIG => MetadataRecord::Config(ConfigRecord {
                resource: ConfigResource {
                    resource_type: self.resource_type()?,
                    name: self.string()?,
                },
                key: self.string()?.to_string(),
                value: self.optional_string()?.map(|value| value.to_string()),
            }),
            PRODUCER_IDS => MetadataRecord::ProducerIds(ProducerIdsRecord {
                next_producer_id: self.signed("next_producer_id")?,
            }),
            REGISTER_BROKER => MetadataRecord::RegisterBroker(RegisterBroker {
                node_id: self.signed("node_id")?,
                incarnation_id: self.id()?,
                broker_epoch: self.signed("broker_epoch")?,
                endpoints: self.endpoints()?,
                rack: self.optional_string()?,
            }),
            FEATURE => MetadataRecord::Feature(FeatureRecord {
                name: self.string()?,
                level: self.signed("level")?,
            }),
            _ => return Err(RecordError::UnknownType(kind)),
        })
    }

    fn partition(&mut self, version: u64) -> Result<PartitionRecord, RecordError> {
        let mut record = PartitionRecord {
            topic_id: self.topic_id()?,
            partition: self.signed("partition")?,
            replicas: self.nodes()?,
            isr: self.nodes()?,
            leader: self.signed("leader")?,
            leader_epoch: self.signed("leader_epoch")?,
            partition_epoch: self.signed("partition_epoch")?,
            directories: Vec::new(),
        };
        record.directories = vec![DirectoryId::UNASSIGNED; record.replicas.len()];
        if version >= PARTITION_VERSION_DIRECTORIES {
            for directory in &mut record.directories {
                *directory = DirectoryId(self.id()?);
            }
        }
        Ok(record)
    }

    fn byte(&mut self) -> Result<u8, RecordError> {
        let (&first, rest) = self.0.split_first().ok_or(RecordError::Truncated)?;
        self.0 = rest;
        Ok(first)
    }

    fn bytes(&mut self, size: usize) -> Result<&[u8], RecordError> {
        let (head, rest) = self
            .0
            .split_at_checked(size)
            .ok_or(RecordError::Truncated)?;
        self.0 = rest;
        Ok(head)
    }

    fn unsigned(&mut self) -> Result<u64, RecordError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if (bits << shift) >> shift != bits {
                return Err(RecordError::Invalid("varint"));
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(RecordError::Invalid("varint"))
    }

    fn signed<T: TryFrom<i64>>(&mut self, field: &'static str) -> Result<T, RecordError> {
        let raw = self.unsigned()?;
        let value = (raw >> 1) as i64 ^ -((raw & 1) as i64);
        T::try_from(value).map_err(|_| RecordError::Invalid(field))
    }

    /// How many elements follow; each takes a byte at least, so more than are left is a lie.
    fn count(&mut self) -> Result<usize, RecordError> {
        let count = self.unsigned()?;
        match usize::try_from(count) {
            Ok(count) if count <= self.0.len() => Ok(count),
            _ => Err(RecordError::Truncated),
        }
    }

    fn id(&mut self) -> Result<[u8; 16], RecordError> {
        let mut id = [0; 16];
        id.copy_from_slice(self.bytes(16)?);
        Ok(id)
    }

    fn topic_id(&mut self) -> Result<TopicId, RecordError> {
        Ok(TopicId(self.id()?))
    }

    fn text(&mut self, size: usize) -> Result<Arc<str>, RecordError> {
        let text = std::str::from_utf8(self.bytes(size)?);
        Ok(text.map_err(|_| RecordError::Invalid("utf-8"))?.into())
    }

    fn string(&mut self) -> Result<Arc<str>, RecordError> {
        let size = self.count()?;
        self.text(size)
    }

    fn optional_string(&mut self) -> Result<Option<Arc<str>>, RecordError> {
        match self.unsigned()? {
            0 => Ok(None),
            size => {
                let size = usize::try_from(size - 1).map_err(|_| RecordError::Truncated)?;
                self.text(size).map(Some)
            }
        }
    }

    fn resource_type(&mut self) -> Result<ConfigResourceType, RecordError> {
        match self.unsigned()? {
            2 => Ok(ConfigResourceType::Topic),
            4 => Ok(ConfigResourceType::Broker),
            _ => Err(RecordError::Invalid("resource_type")),
        }
    }

    fn nodes(&mut self) -> Result<Vec<i32>, RecordError> {
        let count = self.count()?;
        (0..count).map(|_| self.signed("node id")).collect()
    }

    fn endpoints(&mut self) -> Result<Vec<Endpoint>, RecordError> {
        let count = self.count()?;
        (0..count)
            .map(|_| {
                Ok(Endpoint {
                    listener: self.string()?,
                    host: self.string()?,
                    port: u16::try_from(self.unsigned()?)
                        .map_err(|_| RecordError::Invalid("port"))?,
                    security_protocol: self.signed("security_protocol")?,
                })
            })
            .collect()
    }
}
