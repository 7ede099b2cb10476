//! What a topic may be called (org.apache.kafka.common.internals.Topic).

/// Where the metadata log lives on disk. Never a topic that a client may create.
pub const CLUSTER_METADATA_TOPIC: &str = "__cluster_metadata";

/// Committed offsets and members of groups.
pub const GROUP_METADATA_TOPIC: &str = "__consumer_offsets";

/// State of transactions.
pub const TRANSACTION_STATE_TOPIC: &str = "__transaction_state";

/// Bytes of the longest name: with `-` and a partition's number it must fit a file name.
pub const MAX_TOPIC_NAME_SIZE: usize = 249;

/// Whether the broker itself writes this topic (`is_internal` of a Metadata response).
pub fn is_internal_topic(name: &str) -> bool {
    name == GROUP_METADATA_TOPIC || name == TRANSACTION_STATE_TOPIC
}

/// Checks a name for a new topic; the error is the sentence that the client gets with
/// `INVALID_TOPIC_EXCEPTION`.
pub fn validate_topic_name(name: &str) -> Result<(), String> {
    let reason = if name.is_empty() {
        "the empty string is not allowed".to_owned()
    } else if name == "." || name == ".." {
        format!("'{name}' is not allowed")
    } else if name.len() > MAX_TOPIC_NAME_SIZE && name.is_ascii() {
        format!(
            "the length of '{name}' is longer than the max allowed length {MAX_TOPIC_NAME_SIZE}"
        )
    } else if !name.bytes().all(is_legal) {
        let legal = "ASCII alphanumerics, '.', '_' and '-'";
        format!("'{name}' contains one or more characters other than {legal}")
    } else {
        return Ok(());
    };
    Err(format!("Topic name is invalid: {reason}"))
}

/// Two names with the same key collide: metrics write `.` as `_`. `None` when the name has neither.
pub fn collision_key(name: &str) -> Option<String> {
    name.contains(['.', '_']).then(|| name.replace('.', "_"))
}

fn is_legal(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}
