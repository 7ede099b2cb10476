//! Produce requests with records by reference, for our own client. The crate's encoder copies
//! records; it is the oracle of the differential test.

use bytes::{BufMut, Bytes, BytesMut};

use super::StrBytes;
use super::api::ApiKey;
use super::codec::{EncodeError, put_request_header};
use super::gather::Gather;
use crate::types::{PartitionIndex, TopicId};

/// A Produce request of any version from 3 on.
#[derive(Clone, PartialEq, Debug)]
pub struct ProduceRequestParts {
    pub transactional_id: Option<StrBytes>,
    /// 0, 1 or -1.
    pub acks: i16,
    pub timeout_ms: i32,
    pub topics: Vec<ProduceTopicParts>,
}

/// A topic of a [`ProduceRequestParts`]: the name goes out up to v12, the id from v13 on.
#[derive(Clone, PartialEq, Debug)]
pub struct ProduceTopicParts {
    pub topic: StrBytes,
    pub topic_id: TopicId,
    pub partitions: Vec<ProducedPartition>,
}

/// A partition of a [`ProduceTopicParts`].
#[derive(Clone, PartialEq, Debug)]
pub struct ProducedPartition {
    pub partition: PartitionIndex,
    /// One batch, in pieces wherever they lie.
    pub records: Vec<Bytes>,
}

/// A partition's fields take about this much, bytes; more is no harm.
const PARTITION_SIZE_HINT: usize = 16;

impl ProduceRequestParts {
    /// The frame as pieces in order, size prefix included. Records are not copied. `version` must
    /// be one that the table decodes (assertion).
    pub fn encode(
        &self,
        version: i16,
        correlation_id: i32,
        client_id: Option<&str>,
    ) -> Result<Vec<Bytes>, EncodeError> {
        let key = ApiKey::Produce;
        assert!(
            key.row().decoded.contains(version),
            "{key} has no version {version}"
        );
        let partition_count = self.topics.iter().map(|topic| topic.partitions.len());
        let partition_count = partition_count.sum::<usize>();
        let size_hint = PARTITION_SIZE_HINT * (8 + 4 * self.topics.len() + partition_count);
        let mut frame = BytesMut::with_capacity(size_hint);
        put_request_header(&mut frame, key, version, correlation_id, client_id);
        let mut out = Gather::new(frame, key.row().is_flexible(version));
        self.put_body(&mut out, version)
            .and_then(|()| out.finish_whole())
            .map_err(|reason| EncodeError::new(key, version, reason))
    }

    fn put_body(&self, out: &mut Gather, version: i16) -> Result<(), String> {
        out.put_string(self.transactional_id.as_deref())?;
        out.buffer().put_i16(self.acks);
        out.buffer().put_i32(self.timeout_ms);
        out.put_length(Some(self.topics.len()))?;
        for topic in &self.topics {
            if version >= 13 {
                out.buffer().put_slice(&topic.topic_id.0);
            } else {
                out.put_string(Some(&topic.topic))?;
            }
            out.put_length(Some(topic.partitions.len()))?;
            for partition in &topic.partitions {
                out.buffer().put_i32(partition.partition);
                out.put_records(&partition.records, 0)?;
                out.put_no_tags();
            }
            out.put_no_tags();
        }
        out.put_no_tags();
        Ok(())
    }
}
