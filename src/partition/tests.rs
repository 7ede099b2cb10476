//! Tests of the partition leader.
