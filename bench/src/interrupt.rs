//! Ctrl-C: the first one ends the load early, and the report is printed; the second one quits. What
//! is left on disk then is removed by the next run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use signal_hook::consts::{SIGINT, SIGTERM};

/// Exit code after the second signal: 128 and SIGINT, as shells have it.
const QUIT_CODE: i32 = 130;

#[derive(Clone)]
pub(crate) struct Interrupt {
    flag: Arc<AtomicBool>,
}

impl Interrupt {
    pub(crate) fn install() -> Result<Interrupt> {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            let quit = Arc::clone(&flag);
            // In this order: the first signal finds the flag unset, the second one set.
            signal_hook::flag::register_conditional_shutdown(signal, QUIT_CODE, quit)
                .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&flag)))
                .context("cannot handle signals")?;
        }
        Ok(Interrupt { flag })
    }

    pub(crate) fn is_set(&self) -> bool {
        self.flag.load(Ordering::Acquire)
    }
}
