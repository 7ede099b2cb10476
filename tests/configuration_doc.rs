//! Documents that are made from tables are as the tables are now. With `UPDATE=1` they
//! are written instead of compared.

#![allow(clippy::disallowed_methods, reason = "a test reads and writes files")]

use std::path::Path;

/// Compares a document with what it should be, or makes it that.
fn check(path: &str, expected: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&file, expected).expect("the document can be written");
        return;
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    let differing = found
        .lines()
        .zip(expected.lines())
        .position(|(a, b)| a != b);
    let line = differing.unwrap_or_else(|| found.lines().count().min(expected.lines().count()));
    assert!(
        found == expected,
        "{path} is stale from line {} on; UPDATE=1 cargo test --test configuration_doc writes it",
        line + 1
    );
}

#[test]
fn the_configuration_is_documented() {
    check("docs/configuration.md", &ringlog::config::document());
}
