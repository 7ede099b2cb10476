//! The per-core driver.
