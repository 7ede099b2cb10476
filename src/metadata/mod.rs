//! Metadata records, image and delta.
