//! What the threads of a load share with the main thread, which watches them.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::host::{CpuMeter, CpuTimes, StealClock};
use crate::interrupt::Interrupt;
use crate::progress::LoadBar;

/// How often the main thread looks: bounds what is lost of the CPU time of threads that end.
const WATCH_INTERVAL: Duration = Duration::from_millis(50);
/// Length of the windows whose rates a report gives.
const WINDOW: Duration = Duration::from_secs(1);

/// The state of a load: threads get ready, start together, and end together.
#[derive(Default)]
pub(crate) struct LoadState {
    ready_count: AtomicUsize,
    is_started: AtomicBool,
    must_stop: AtomicBool,
    finished_count: AtomicUsize,
    is_released: AtomicBool,
    /// Acknowledged or read.
    records: AtomicU64,
    bytes: AtomicU64,
}

impl LoadState {
    pub(crate) fn set_ready(&self) {
        self.ready_count.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn is_started(&self) -> bool {
        self.is_started.load(Ordering::Acquire)
    }

    pub(crate) fn stop(&self) {
        self.must_stop.store(true, Ordering::Release);
    }

    pub(crate) fn must_stop(&self) -> bool {
        self.must_stop.load(Ordering::Acquire)
    }

    /// The thread's work is over. It stays until [`LoadState::is_released`], because its CPU time
    /// ends with it.
    pub(crate) fn set_finished(&self) {
        self.finished_count.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn is_released(&self) -> bool {
        self.is_released.load(Ordering::Acquire)
    }

    pub(crate) fn add(&self, records: u64, bytes: u64) {
        self.records.fetch_add(records, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn records(&self) -> u64 {
        self.records.load(Ordering::Relaxed)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// How long a load goes on, and where it ends before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LoadPlan {
    pub(crate) what: &'static str,
    pub(crate) thread_count: usize,
    /// Not counted.
    pub(crate) warmup: Duration,
    /// From the end of the warm-up; `None`: until the threads finish.
    pub(crate) duration: Option<Duration>,
    /// Bytes at which the work is done, for the progress bar.
    pub(crate) bytes_expected: Option<u64>,
}

/// What the main thread saw from the end of the warm-up to the end of the last thread's work.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watched {
    pub(crate) elapsed: Duration,
    pub(crate) records: u64,
    pub(crate) bytes: u64,
    pub(crate) cpu: CpuTimes,
    pub(crate) steal_percent: f64,
    /// MB/s of each whole second.
    pub(crate) windows: Vec<f64>,
    pub(crate) is_interrupted: bool,
}

struct Mark {
    at: Instant,
    records: u64,
    bytes: u64,
    cpu: CpuTimes,
    steal: StealClock,
}

impl Mark {
    fn now(state: &LoadState, meter: &mut CpuMeter) -> Mark {
        Mark {
            cpu: meter.sample(),
            records: state.records(),
            bytes: state.bytes(),
            at: Instant::now(),
            steal: StealClock::now(),
        }
    }
}

/// Starts the threads when all are ready, and watches them to the end. A thread that fails must
/// call [`LoadState::stop`] and [`LoadState::set_finished`] all the same.
pub(crate) fn watch(
    state: &LoadState,
    plan: LoadPlan,
    meter: &mut CpuMeter,
    interrupt: &Interrupt,
) -> Watched {
    let mut watched = Watched::default();
    let bar = LoadBar::start(plan.what);
    let all = |count: &AtomicUsize| count.load(Ordering::Acquire) >= plan.thread_count;
    while !all(&state.ready_count) && !state.must_stop() {
        std::thread::sleep(WATCH_INTERVAL / 10);
        if interrupt.is_set() {
            state.stop();
        }
    }
    let started = Instant::now();
    state.is_started.store(true, Ordering::Release);
    let mut warm = plan.warmup.is_zero().then(|| Mark::now(state, meter));
    let mut window = (started, 0);
    while !all(&state.finished_count) {
        std::thread::sleep(WATCH_INTERVAL);
        meter.sample();
        if interrupt.is_set() {
            watched.is_interrupted = true;
            state.stop();
        }
        let elapsed = started.elapsed();
        if warm.is_none() && elapsed >= plan.warmup {
            warm = Some(Mark::now(state, meter));
            window = (Instant::now(), state.bytes());
        }
        if plan
            .duration
            .is_some_and(|duration| elapsed >= plan.warmup + duration)
        {
            state.stop();
        }
        show(&bar, state, &plan, elapsed);
        if warm.is_some() && window.0.elapsed() >= WINDOW {
            let bytes = state.bytes();
            let rate = (bytes - window.1) as f64 / 1e6 / window.0.elapsed().as_secs_f64();
            watched.windows.push(rate);
            window = (Instant::now(), bytes);
        }
    }
    let last = Mark::now(state, meter);
    state.is_released.store(true, Ordering::Release);
    if let Some(warm) = warm {
        watched.elapsed = last.at - warm.at;
        watched.records = last.records - warm.records;
        watched.bytes = last.bytes - warm.bytes;
        watched.cpu = last.cpu.since(warm.cpu);
        watched.steal_percent = last.steal.percent_since(warm.steal);
    }
    watched
}

fn show(bar: &LoadBar, state: &LoadState, plan: &LoadPlan, elapsed: Duration) {
    let seconds = elapsed.as_secs_f64().max(1e-3);
    let by_time = plan.duration.map(|duration| {
        let whole = (plan.warmup + duration).as_secs_f64().max(1e-3);
        seconds / whole
    });
    let by_bytes = plan
        .bytes_expected
        .map(|bytes| state.bytes() as f64 / bytes.max(1) as f64);
    let share = by_time.into_iter().chain(by_bytes).fold(0.0, f64::max);
    let (bytes, records) = (state.bytes() as f64, state.records() as f64);
    bar.set(share.min(1.0), bytes / 1e6 / seconds, records / seconds);
}
