//! The load generator. Its subcommands arrive with the broker.
fn main() {}
