//! `ringlog completions`: what a shell needs to complete our commands and options.

use std::io::Write;

use anyhow::Result;
use clap::{Args, Command, ValueEnum};
use clap_complete::{Shell, generate};

use super::output::Output;

#[derive(Args, Clone, Debug)]
pub(super) struct CompletionsArgs {
    /// For which shell
    shell: KnownShell,
}

/// The shells that are documented and tried.
#[derive(ValueEnum, Clone, Copy, Debug)]
enum KnownShell {
    Bash,
    Zsh,
    Fish,
}

impl From<KnownShell> for Shell {
    fn from(shell: KnownShell) -> Shell {
        match shell {
            KnownShell::Bash => Shell::Bash,
            KnownShell::Zsh => Shell::Zsh,
            KnownShell::Fish => Shell::Fish,
        }
    }
}

/// Prints the script for a shell; `command` is the whole command line.
pub(super) fn run(args: &CompletionsArgs, mut command: Command) -> Result<()> {
    let name = command.get_name().to_owned();
    // In memory first: the generator panics when its reader has gone.
    let mut script = Vec::new();
    generate(Shell::from(args.shell), &mut command, name, &mut script);
    let mut out = Output::new();
    out.write_all(&script)?;
    out.flush()?;
    Ok(())
}
