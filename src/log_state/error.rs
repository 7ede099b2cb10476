//! What can be wrong with the contents of a small file.

/// Why the contents of a file beside the segments cannot be used. The caller names the file.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FormatError {
    #[error("version {0} is not known")]
    Version(i64),
    #[error("stored CRC {stored:#010x}, computed {computed:#010x}")]
    Crc { stored: u32, computed: u32 },
    #[error("the file ends in the middle of {0}")]
    Truncated(&'static str),
    #[error("line {line}: {fault}")]
    Line { line: usize, fault: String },
    #[error("{0}")]
    Content(String),
}
