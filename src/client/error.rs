//! What can go wrong for a user of the client, each in one sentence.

use std::sync::Arc;
use std::time::Duration;

use crate::protocol::ApiKey;
use crate::types::{ErrorCode, NodeId};

/// An error of the client. Cheap to clone: one broken connection fails all that is in flight on it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// No address of the list could be connected to.
    #[error("cannot reach a broker at {servers}: {reason}")]
    Unreachable { servers: Arc<str>, reason: Arc<str> },
    /// A connection that could not be opened, or ended with requests in flight.
    #[error("connection to {peer}: {reason}")]
    Connection { peer: Arc<str>, reason: Arc<str> },
    #[error("{peer} did not answer {api} within {} ms", .timeout.as_millis())]
    RequestTimeout {
        peer: Arc<str>,
        api: ApiKey,
        timeout: Duration,
    },
    /// The broker and we have no version of this API in common.
    #[error("{peer} has no version of {api} that this client speaks")]
    UnsupportedApi { peer: Arc<str>, api: ApiKey },
    /// Bytes that are not a response. The connection was closed.
    #[error("{peer} answered {api} with bytes that cannot be read: {reason}")]
    Malformed {
        peer: Arc<str>,
        api: ApiKey,
        reason: Arc<str>,
    },
    /// What a broker answered; `subject` is the topic, partition or request it is about.
    #[error("{subject}: {code}{}", after_colon(.message))]
    Broker {
        subject: Arc<str>,
        code: ErrorCode,
        message: Option<Arc<str>>,
    },
    #[error("the cluster's metadata names no broker {0}")]
    UnknownBroker(NodeId),
    #[error("{topic} has {count} partitions, there is no partition {partition}")]
    UnknownPartition {
        topic: Arc<str>,
        partition: i32,
        count: usize,
    },
    /// The last reason is why it was not delivered earlier.
    #[error("not delivered within {} ms (last reason: {reason})", .timeout.as_millis())]
    DeliveryTimeout { timeout: Duration, reason: Arc<str> },
    #[error("no room in buffer.memory within {} ms", .0.as_millis())]
    BufferFull(Duration),
    #[error("a record of {size} bytes exceeds max.request.size ({max})")]
    RecordTooLarge { size: usize, max: usize },
    /// A fetched batch that is damaged.
    #[error("{subject}: damaged batch: {reason}")]
    Corrupt { subject: Arc<str>, reason: Arc<str> },
    /// An option or an argument that makes no sense.
    #[error("{0}")]
    Invalid(Arc<str>),
    #[error("the client was closed")]
    Closed,
}

fn after_colon(message: &Option<Arc<str>>) -> String {
    match message {
        Some(message) => format!(": {message}"),
        None => String::new(),
    }
}

impl ClientError {
    /// Whether the same call may succeed later.
    pub fn is_retriable(&self) -> bool {
        match self {
            ClientError::Unreachable { .. }
            | ClientError::Connection { .. }
            | ClientError::RequestTimeout { .. }
            | ClientError::Malformed { .. }
            | ClientError::UnknownBroker(_) => true,
            ClientError::Broker { code, .. } => code.is_retriable(),
            ClientError::UnsupportedApi { .. }
            | ClientError::UnknownPartition { .. }
            | ClientError::DeliveryTimeout { .. }
            | ClientError::BufferFull(_)
            | ClientError::RecordTooLarge { .. }
            | ClientError::Corrupt { .. }
            | ClientError::Invalid(_)
            | ClientError::Closed => false,
        }
    }

    /// The broker's error code, if a broker answered with one.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            ClientError::Broker { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// `Ok` for code 0, otherwise [`ClientError::Broker`] about `subject`.
    pub(super) fn check(
        code: i16,
        subject: impl FnOnce() -> String,
        message: Option<&str>,
    ) -> Result<(), ClientError> {
        if code == 0 {
            return Ok(());
        }
        Err(ClientError::Broker {
            subject: subject().into(),
            code: ErrorCode::from_code(code),
            message: message.map(Arc::from),
        })
    }
}
