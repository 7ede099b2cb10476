//! `ringlog sim`: the whole broker in a simulated world, one seed or many.

mod shrink;

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use clap::Args;

use self::shrink::{Attempt, shrink};
use crate::sim::{Fault, Outcome, SeedOptions, Tally, faults_of, run_seed};

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
    /// Leave out a class of faults; several with commas
    #[arg(long, value_name = "FAULT", value_delimiter = ',')]
    without: Vec<Fault>,
    /// Write what happened to a file, a line for each thing (one seed only)
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Do not look for a shorter way to a failure
    #[arg(long)]
    no_shrink: bool,
}

impl SimArgs {
    fn options(&self, seed: u64) -> SeedOptions {
        SeedOptions {
            steps: self.steps,
            keep_trace: self.trace.is_some(),
            without: self.without.iter().copied().collect(),
            ..SeedOptions::new(seed)
        }
    }
}

/// Plays the seeds; the first promise that is not kept ends it.
pub(super) fn run(args: &SimArgs) -> Result<()> {
    if args.trace.is_some() && args.seeds != 1 {
        bail!("--trace is for one seed; leave out --seeds");
    }
    let mut tally = Tally::new();
    let mut last = None;
    for seed in args.seed..args.seed.saturating_add(args.seeds) {
        let options = args.options(seed);
        exit_on_panic(args, options);
        let outcome = run_seed(&options);
        tally.merge(&outcome.tally);
        if let (Some(path), Some(trace)) = (&args.trace, &outcome.trace) {
            std::fs::write(path, trace)
                .with_context(|| format!("the trace cannot be written to {}", path.display()))?;
        }
        if let Some(violation) = &outcome.violation {
            print(&tally, args, &outcome);
            eprintln!("ringlog: seed {seed}: {violation}");
            tell_how_to_replay(args, options);
            bail!("seed {seed} failed");
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
        let faults: Vec<&str> = last.faults.iter().map(Fault::name).collect();
        println!("faults of the seed: {}", faults.join(", "));
        println!("trace hash {:016x}", last.trace_hash);
    }
}

/// Prints the command that plays a failing seed, and the shortest one that does so.
fn tell_how_to_replay(args: &SimArgs, options: SeedOptions) {
    eprintln!("ringlog: replay it with: {}", options.command());
    if args.no_shrink {
        return;
    }
    let failing = Attempt {
        steps: options.steps,
        without: options.without,
    };
    let with = |attempt: &Attempt| SeedOptions {
        steps: attempt.steps,
        without: attempt.without,
        ..options
    };
    let faults = faults_of(&options);
    let shortest = shrink(failing, faults.iter(), |attempt| fails(&with(attempt)));
    let shortest = with(&shortest);
    eprintln!("ringlog: the shortest that fails: {}", shortest.command());
}

/// Plays a seed in a process of its own, which a failing assertion may end.
fn fails(options: &SeedOptions) -> bool {
    let Ok(program) = std::env::current_exe() else {
        return false;
    };
    let mut command = Command::new(program);
    command.args(options.command().split_whitespace().skip(1));
    command.arg("--no-shrink");
    command.stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| !status.success())
}

/// An assertion that fails ends the process as a promise that is not kept does; its message, and
/// the seed behind it, are all that there is to say.
fn exit_on_panic(args: &SimArgs, options: SeedOptions) {
    let args = args.clone();
    std::panic::set_hook(Box::new(move |panic| {
        eprintln!("{panic}");
        eprintln!(
            "ringlog: seed {}: an assertion of the broker does not hold",
            options.seed
        );
        tell_how_to_replay(&args, options);
        std::process::exit(1);
    }));
}
