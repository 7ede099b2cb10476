//! `ringlog sim`: the whole broker in a simulated world, one seed or many.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::sim::{Outcome, SeedOptions, Tally, run_seed};

#[derive(Args, Clone, Debug)]
pub(super) struct SimArgs {
    /// The seed to play, or the first of several
    #[arg(long, value_name = "N")]
    seed: u64,
    /// How many seeds to play, one after the other
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    seeds: u64,
    /// Operations of clients in a seed
    #[arg(long, value_name = "M", default_value_t = SeedOptions::STEPS_DEFAULT)]
    steps: u64,
    /// Write what happened to a file, a line for each thing (one seed only)
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
}

/// Plays the seeds; the first promise that is not kept ends it.
pub(super) fn run(args: &SimArgs) -> Result<()> {
    if args.trace.is_some() && args.seeds != 1 {
        bail!("--trace is for one seed; leave out --seeds");
    }
    exit_on_panic();
    let mut tally = Tally::new();
    let mut last = None;
    for seed in args.seed..args.seed.saturating_add(args.seeds) {
        let outcome = run_seed(&SeedOptions {
            steps: args.steps,
            keep_trace: args.trace.is_some(),
            ..SeedOptions::new(seed)
        });
        tally.merge(&outcome.tally);
        if let (Some(path), Some(trace)) = (&args.trace, &outcome.trace) {
            std::fs::write(path, trace)
                .with_context(|| format!("the trace cannot be written to {}", path.display()))?;
        }
        if let Some(violation) = &outcome.violation {
            print(&tally, args, &outcome);
            bail!("seed {seed}: {violation}");
        }
        last = Some(outcome);
    }
    match last {
        Some(outcome) => print(&tally, args, &outcome),
        None => bail!("--seeds must be at least 1"),
    }
    Ok(())
}

fn print(tally: &Tally, args: &SimArgs, last: &Outcome) {
    print!("{tally}");
    if args.seeds == 1 {
        println!(
            "seed {}: {} operations of clients on {} brokers in {:.1} s of simulated time, {} \
             steps of the world",
            args.seed,
            last.steps,
            last.lives,
            last.virtual_nanos as f64 / 1e9,
            last.world_steps
        );
        println!("trace hash {:016x}", last.trace_hash);
    }
}

/// An assertion that fails ends the process as a promise that is not kept does; its message, and
/// the seed behind it, are all that there is to say.
fn exit_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        eprintln!("ringlog: an assertion of the broker does not hold");
        std::process::exit(1);
    }));
}
