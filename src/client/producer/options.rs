//! What a producer is made with. Names and defaults are Kafka 4's.

use std::rc::Rc;
use std::time::Duration;

use super::batch::BatchReport;
use crate::batch::Compression;
use crate::client::error::ClientError;

/// Most requests in flight with which a broker can tell repetitions of an idempotent producer: it
/// remembers five batches.
const IDEMPOTENT_IN_FLIGHT_MAX: usize = 5;

/// Who must have a batch before it is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Acks {
    /// Nobody: there is no answer, and no offset is known.
    None,
    Leader,
    /// All in-sync replicas.
    #[default]
    All,
}

impl Acks {
    /// The number on the wire.
    pub fn code(self) -> i16 {
        match self {
            Acks::None => 0,
            Acks::Leader => 1,
            Acks::All => -1,
        }
    }
}

/// Called on the producer's shard; must not block.
pub type OnBatch = Rc<dyn Fn(&BatchReport<'_>)>;

/// Options of a [`Producer`](super::Producer).
#[derive(Clone)]
pub struct ProducerOptions {
    /// `acks`
    pub acks: Acks,
    /// `batch.size`: bytes at which a batch is full, before compression.
    pub batch_size: usize,
    /// `linger.ms`: how long a batch that is not full waits for more.
    pub linger: Duration,
    /// `compression.type`
    pub compression: Compression,
    /// `buffer.memory`: bytes of all batches that are not yet acknowledged.
    pub buffer_memory: usize,
    /// `max.request.size`: bytes of batches in one request, and of one record.
    pub request_size_max: usize,
    /// `delivery.timeout.ms`: from the first record of a batch to giving it up. A batch that is in
    /// flight then waits for its answer, so that its fate is known.
    pub delivery_timeout: Duration,
    /// `enable.idempotence`: needs [`Acks::All`].
    pub is_idempotent: bool,
    /// `partitioner.adaptive.partitioning.enable`: records without a key go rather to where less is
    /// queued (KIP-794), instead of to all partitions alike.
    pub is_adaptive: bool,
    /// `partitioner.availability.timeout.ms`: a broker that has taken nothing for so long, while
    /// batches were ready for it, gets no records without a key. `ZERO`: no such limit.
    pub availability_timeout: Duration,
    /// Called for each batch that is acknowledged or given up.
    pub on_batch: Option<OnBatch>,
}

impl Default for ProducerOptions {
    fn default() -> ProducerOptions {
        ProducerOptions {
            acks: Acks::All,
            batch_size: 16 << 10,
            linger: Duration::from_millis(5),
            compression: Compression::default(),
            buffer_memory: 32 << 20,
            request_size_max: 1 << 20,
            delivery_timeout: Duration::from_secs(120),
            is_idempotent: true,
            is_adaptive: true,
            availability_timeout: Duration::ZERO,
            on_batch: None,
        }
    }
}

impl ProducerOptions {
    pub(super) fn check(&self, in_flight_max: usize) -> Result<(), ClientError> {
        let fault = if self.is_idempotent && self.acks != Acks::All {
            "enable.idempotence needs acks=all"
        } else if self.is_idempotent && in_flight_max > IDEMPOTENT_IN_FLIGHT_MAX {
            "enable.idempotence allows at most 5 requests in flight"
        } else if self.batch_size == 0 || self.request_size_max == 0 {
            "batch.size and max.request.size must be above 0"
        } else if in_flight_max == 0 {
            "max.in.flight.requests.per.connection must be above 0"
        } else {
            return Ok(());
        };
        Err(ClientError::Invalid(fault.into()))
    }
}
