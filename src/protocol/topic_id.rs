//! Topic ids between our type and the crate's.

use uuid::Uuid;

use crate::types::TopicId;

/// The id as the crate's messages carry it.
pub fn to_uuid(id: TopicId) -> Uuid {
    Uuid::from_bytes(id.0)
}

/// The id that a message carries.
pub fn from_uuid(uuid: Uuid) -> TopicId {
    TopicId(uuid.into_bytes())
}
