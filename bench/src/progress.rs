//! The progress bar; nothing when stderr is not a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// How often a phase's spinner turns.
const TICK: Duration = Duration::from_millis(100);

/// A phase of unknown length. Ends when dropped.
pub(crate) struct Phase {
    bar: ProgressBar,
}

impl Phase {
    pub(crate) fn start(what: &'static str) -> Phase {
        let bar = ProgressBar::new_spinner();
        bar.set_message(what);
        bar.enable_steady_tick(TICK);
        Phase { bar }
    }
}

impl Drop for Phase {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// A load that goes from 0 to 1.
pub(crate) struct LoadBar {
    bar: ProgressBar,
}

const STEPS: u64 = 1000;

impl LoadBar {
    pub(crate) fn start(what: &'static str) -> LoadBar {
        let bar = ProgressBar::new(STEPS);
        let style = ProgressStyle::with_template("{prefix} [{bar:30}] {percent:>3}%  {msg}");
        bar.set_style(style.expect("a constant template"));
        bar.set_prefix(what);
        LoadBar { bar }
    }

    /// `share` of the work is done; the rate at present.
    pub(crate) fn set(&self, share: f64, mb_per_s: f64, records_per_s: f64) {
        self.bar.set_position((share * STEPS as f64) as u64);
        let thousands = records_per_s / 1e3;
        self.bar
            .set_message(format!("{mb_per_s:.0} MB/s  {thousands:.0} k records/s"));
    }
}

impl Drop for LoadBar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
