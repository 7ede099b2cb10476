//! The state machine of a partition's leader.
