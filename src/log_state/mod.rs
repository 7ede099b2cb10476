//! What a log knows without a disk.
