//! Fetch responses with records by reference. The crate's encoder copies records; it is the oracle
//! of the differential test.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::protocol::Encodable;

use super::StrBytes;
use super::codec::{EncodeError, put_response_header};
use super::frame::RequestHeader;
use super::gather::{FramePiece, Gather};
use super::messages::fetch_response::{NodeEndpoint, PartitionData};
use crate::types::{ErrorCode, TopicId};

/// A Fetch response of any version from 4 on; what a version does not have is left out.
#[derive(Clone, PartialEq, Debug)]
pub struct FetchResponseParts {
    pub throttle_time_ms: i32,
    pub error: ErrorCode,
    /// 0 outside of a session.
    pub session_id: i32,
    pub topics: Vec<FetchTopicParts>,
    /// From v16 on, for leaders named in `current_leader`.
    pub node_endpoints: Vec<NodeEndpoint>,
}

/// A topic of a [`FetchResponseParts`]: the name goes out up to v12, the id from v13 on.
#[derive(Clone, PartialEq, Debug)]
pub struct FetchTopicParts {
    pub topic: StrBytes,
    pub topic_id: TopicId,
    pub partitions: Vec<FetchedPartition>,
}

/// A partition of a [`FetchTopicParts`].
#[derive(Clone, PartialEq, Debug)]
pub struct FetchedPartition {
    /// All but the records: its `records` and unknown tags are not looked at.
    pub data: PartitionData,
    /// The batches, in pieces wherever they lie; none is an empty record set.
    pub records: Vec<Bytes>,
    /// Bytes of more batches, which the sender fills in behind `records`.
    pub gap_size: usize,
}

/// A partition's fields take about this much, bytes; more is no harm.
const PARTITION_SIZE_HINT: usize = 64;

impl FetchResponseParts {
    /// The frame as pieces in order, size prefix included. Records are not copied. Gaps are in the
    /// order of the partitions that have one.
    pub fn encode(&self, header: &RequestHeader) -> Result<Vec<FramePiece>, EncodeError> {
        let (key, version) = (header.api_key, header.api_version);
        let partition_count = self.topics.iter().map(|topic| topic.partitions.len());
        let partition_count = partition_count.sum::<usize>();
        let size_hint = PARTITION_SIZE_HINT * (1 + self.topics.len() + partition_count);
        let mut frame = BytesMut::with_capacity(size_hint);
        put_response_header(&mut frame, key, version, header.correlation_id);
        let mut out = Gather::new(frame, key.row().is_flexible(version));
        self.put_body(&mut out, version)
            .and_then(|()| out.finish())
            .map_err(|reason| EncodeError::new(key, version, reason))
    }

    fn put_body(&self, out: &mut Gather, version: i16) -> Result<(), String> {
        out.buffer().put_i32(self.throttle_time_ms);
        if version >= 7 {
            out.buffer().put_i16(self.error.code());
            out.buffer().put_i32(self.session_id);
        }
        out.put_length(Some(self.topics.len()))?;
        for topic in &self.topics {
            topic.put(out, version)?;
        }
        if version >= 16 && !self.node_endpoints.is_empty() {
            put_node_endpoints(out, version, &self.node_endpoints)
        } else {
            out.put_no_tags();
            Ok(())
        }
    }
}

impl FetchTopicParts {
    fn put(&self, out: &mut Gather, version: i16) -> Result<(), String> {
        if version >= 13 {
            out.buffer().put_slice(&self.topic_id.0);
        } else {
            out.put_string(Some(&self.topic))?;
        }
        out.put_length(Some(self.partitions.len()))?;
        for partition in &self.partitions {
            partition.put(out, version)?;
        }
        out.put_no_tags();
        Ok(())
    }
}

impl FetchedPartition {
    fn put(&self, out: &mut Gather, version: i16) -> Result<(), String> {
        let data = &self.data;
        out.buffer().put_i32(data.partition_index);
        out.buffer().put_i16(data.error_code);
        out.buffer().put_i64(data.high_watermark);
        out.buffer().put_i64(data.last_stable_offset);
        if version >= 5 {
            out.buffer().put_i64(data.log_start_offset);
        }
        out.put_length(data.aborted_transactions.as_ref().map(Vec::len))?;
        for aborted in data.aborted_transactions.iter().flatten() {
            out.buffer().put_i64(*aborted.producer_id);
            out.buffer().put_i64(aborted.first_offset);
            out.put_no_tags();
        }
        if version >= 11 {
            out.buffer().put_i32(*data.preferred_read_replica);
        }
        out.put_records(&self.records, self.gap_size)?;
        if version >= 12 {
            self.put_tags(out, version)
        } else {
            Ok(())
        }
    }

    /// Tags 0, 1, 2, each only when it says something.
    fn put_tags(&self, out: &mut Gather, version: i16) -> Result<(), String> {
        let data = &self.data;
        let diverging = data.diverging_epoch != Default::default();
        let leader = data.current_leader != Default::default();
        let snapshot = data.snapshot_id != Default::default();
        out.put_varint(u32::from(diverging) + u32::from(leader) + u32::from(snapshot));
        if diverging {
            put_tag(out, version, 0, &data.diverging_epoch)?;
        }
        if leader {
            put_tag(out, version, 1, &data.current_leader)?;
        }
        if snapshot {
            put_tag(out, version, 2, &data.snapshot_id)?;
        }
        Ok(())
    }
}

fn put_tag<T: Encodable>(
    out: &mut Gather,
    version: i16,
    tag: u32,
    value: &T,
) -> Result<(), String> {
    let size = value
        .compute_size(version)
        .map_err(|error| error.to_string())?;
    out.put_varint(tag);
    out.put_varint(u32::try_from(size).map_err(|error| error.to_string())?);
    value
        .encode(out.buffer(), version)
        .map_err(|error| error.to_string())
}

/// A tagged section with one field, tag 0: an array of structures.
fn put_node_endpoints(
    out: &mut Gather,
    version: i16,
    endpoints: &[NodeEndpoint],
) -> Result<(), String> {
    let mut content = Gather::new(BytesMut::new(), true);
    content.put_length(Some(endpoints.len()))?;
    for endpoint in endpoints {
        let encoded = endpoint.encode(content.buffer(), version);
        encoded.map_err(|error| error.to_string())?;
    }
    let content = std::mem::take(content.buffer());
    out.put_varint(1);
    out.put_varint(0);
    out.put_varint(u32::try_from(content.len()).map_err(|error| error.to_string())?);
    out.buffer().put_slice(&content);
    Ok(())
}
