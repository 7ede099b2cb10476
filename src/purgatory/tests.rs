//! Tests of the purgatory.
