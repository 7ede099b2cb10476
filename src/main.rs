//! The `ringlog` binary. Its subcommands arrive with the broker.
fn main() {}
