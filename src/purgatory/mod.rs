//! Delayed operations.
