//! Runs the suite on the real machine.

use std::time::Duration;

use ringlog::io::{ReactorOptions, uring};

use crate::cases::{BACKGROUND_BYTES_MAX, Case, Context, cases};

/// A case that takes longer hangs.
const CASE_DEADLINE: Duration = Duration::from_secs(120);

#[test]
fn the_real_machine_conforms() {
    uring::preflight().expect("these tests need io_uring");
    // Not the system's temporary directory, which may be in memory.
    let root = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("make a directory");
    let mut failures = Vec::new();
    for (index, case) in cases().into_iter().enumerate() {
        let context = Context::new(root.path().join(index.to_string()), case.shard_count);
        failures.extend(run(&case, context));
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

/// Runs one case; what went wrong.
fn run(case: &Case, context: Context) -> Vec<String> {
    let options = ReactorOptions {
        name: "case".to_owned(),
        shard_count: case.shard_count,
        background_bytes_in_flight_max: BACKGROUND_BYTES_MAX,
        ..ReactorOptions::default()
    };
    let body = case.run;
    let shards = uring::start(options, move |reactor| {
        let context = context.clone();
        async move {
            let ended = reactor.timeout(CASE_DEADLINE, body(reactor.clone(), context));
            assert!(ended.await.is_some(), "hangs for {CASE_DEADLINE:?}");
        }
    });
    let shards = shards.expect("start the shards");
    let errors = shards.join().into_iter().filter_map(Result::err);
    errors
        .map(|error| format!("{}: {error}", case.name))
        .collect()
}
