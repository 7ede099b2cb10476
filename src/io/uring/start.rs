//! The threads of the shards: how they start, where they run, how they end.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use glommio::{CpuSet, LocalExecutor, LocalExecutorBuilder, Placement, PoolPlacement};

use super::errors::os_error;
use super::handle::Handle;
use super::memory::bound_kept_memory;
use super::preflight::allowed_cpus;
use super::workers::raise_worker_limit;
use crate::io::reactor::Side;
use crate::io::{Reactor, ReactorOptions};
use crate::types::ShardId;

/// The longest that an executor sleeps: bounds what a lost wake-up can cost.
const HEARTBEAT: Duration = Duration::from_millis(10);
/// Memory registered with the rings of each shard; the least that glommio takes. It is pinned, and
/// only small reads use it.
const REGISTERED_MEMORY_SIZE: usize = 64 << 10;
/// Entries in each of a shard's rings: how many operations one turn of the reactor can submit.
const RING_DEPTH: usize = 256;
/// Threads of a shard for blocking calls: fsync, names, small files.
const BLOCKING_THREAD_COUNT: usize = 4;
/// How long the other shards get to end by themselves after one has panicked.
const PANIC_GRACE: Duration = Duration::from_secs(5);

/// Why the shards were not started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("the thread of shard {shard} cannot be started: {source}")]
    Thread {
        shard: ShardId,
        source: std::io::Error,
    },
    #[error("the reactor of shard {shard} cannot be started: {source}")]
    Reactor {
        shard: ShardId,
        source: std::io::Error,
    },
}

/// How a shard ended otherwise than with its result.
#[derive(Debug, thiserror::Error)]
pub enum ShardError {
    #[error("shard {shard} panicked: {message}")]
    Panicked { shard: ShardId, message: String },
    #[error(
        "shard {shard} was still running {} s after another one had panicked",
        PANIC_GRACE.as_secs()
    )]
    LeftRunning { shard: ShardId },
}

/// Shards that were started together.
#[must_use = "join it: the process must not end under its shards"]
pub struct Shards<T> {
    threads: Vec<JoinHandle<()>>,
    outcomes: mpsc::Receiver<(ShardId, Result<T, ShardError>)>,
}

/// What a shard's thread is told when all reactors are there.
struct Go;

/// Starts `options.shard_count` threads with a reactor each, and runs `body` on every one. When one
/// reactor cannot start, no body runs. A shard ends when its body has returned and its last disk
/// operations are over; other tasks end with it.
pub fn start<F, Fut, T>(options: ReactorOptions, body: F) -> Result<Shards<T>, StartError>
where
    F: Fn(Reactor) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = T> + 'static,
    T: Send + 'static,
{
    bound_kept_memory();
    let epoch = Instant::now();
    let (made_sender, made) = mpsc::channel();
    let (outcome_sender, outcomes) = mpsc::channel();
    let mut threads = Vec::with_capacity(options.shard_count);
    let mut starters = Vec::with_capacity(options.shard_count);
    for index in 0..options.shard_count {
        let shard = ShardId(u16::try_from(index).expect("shards are numbered by 16 bits"));
        let (go_sender, go) = mpsc::channel::<Go>();
        let (options, body) = (options.clone(), body.clone());
        let (made_sender, outcome_sender) = (made_sender.clone(), outcome_sender.clone());
        let thread = Builder::new()
            .name(format!("{}-{index}", options.name))
            .spawn(move || {
                let made = make_executor(&options, index);
                let (executor, made) = match made {
                    Ok(executor) => (Some(executor), Ok(())),
                    Err(error) => (None, Err(error)),
                };
                // The receiver stays until all have reported; then it is told to go, or dropped.
                let _ = made_sender.send((shard, made));
                let (Some(executor), Ok(Go)) = (executor, go.recv()) else {
                    return;
                };
                let budget = options.background_bytes_in_flight_max;
                let shard_count = options.shard_count;
                let new_handle = move || Handle::new(shard, shard_count, epoch, budget);
                let outcome = run(executor, shard, new_handle, body);
                let _ = outcome_sender.send((shard, outcome));
            })
            .map_err(|source| StartError::Thread { shard, source })?;
        threads.push(thread);
        starters.push(go_sender);
    }
    for _ in 0..options.shard_count {
        let (shard, made) = made.recv().expect("every thread reports once");
        made.map_err(|source| StartError::Reactor { shard, source })?;
    }
    for starter in starters {
        let _ = starter.send(Go);
    }
    Ok(Shards { threads, outcomes })
}

fn make_executor(options: &ReactorOptions, index: usize) -> std::io::Result<LocalExecutor> {
    let placement = match options.cpus.get(index % options.cpus.len().max(1)) {
        Some(&cpu) => Placement::Fixed(cpu),
        None => all_allowed_cpus(),
    };
    LocalExecutorBuilder::new(placement)
        .spin_before_park(options.spin_before_park)
        .io_memory(REGISTERED_MEMORY_SIZE)
        .ring_depth(RING_DEPTH)
        .blocking_thread_pool_placement(PoolPlacement::Unbound(BLOCKING_THREAD_COUNT))
        .make()
        .map_err(os_error)
}

/// Not pinned, but bound all the same: glommio spins only on an executor that is bound.
fn all_allowed_cpus() -> Placement {
    let allowed = allowed_cpus();
    match CpuSet::online() {
        Ok(online) => {
            let cpus = online.filter(|location| allowed.contains(&location.cpu));
            if cpus.is_empty() {
                Placement::Unbound
            } else {
                Placement::Fenced(cpus)
            }
        }
        Err(_) => Placement::Unbound,
    }
}

fn run<F, Fut, T>(
    executor: LocalExecutor,
    shard: ShardId,
    new_handle: impl FnOnce() -> Handle,
    body: F,
) -> Result<T, ShardError>
where
    F: Fn(Reactor) -> Fut,
    Fut: Future<Output = T> + 'static,
    T: 'static,
{
    let ended = catch_unwind(AssertUnwindSafe(|| {
        executor.run(async move {
            raise_worker_limit();
            let handle = new_handle();
            let beating = handle.clone();
            handle.spawn(Box::pin(async move {
                loop {
                    beating.sleep(HEARTBEAT).await;
                }
            }));
            let reactor = Reactor {
                side: Side::Uring(handle.clone()),
            };
            let result = body(reactor).await;
            handle.wind_up().await;
            handle.let_go();
            result
        })
    }));
    ended.map_err(|panic| {
        // What the panic has left of the executor is not touched again.
        std::mem::forget(executor);
        ShardError::Panicked {
            shard,
            message: message_of(panic.as_ref()),
        }
    })
}

fn message_of(panic: &(dyn Any + Send)) -> String {
    if let Some(text) = panic.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = panic.downcast_ref::<String>() {
        text.clone()
    } else {
        "(no message)".to_owned()
    }
}

impl<T> Shards<T> {
    /// Waits for all shards; the results in their order. When one has panicked (the release profile
    /// aborts instead), the others are waited for only for a short time.
    pub fn join(self) -> Vec<Result<T, ShardError>> {
        let mut results: Vec<Option<Result<T, ShardError>>> = Vec::new();
        results.resize_with(self.threads.len(), || None);
        let mut deadline: Option<Instant> = None;
        for _ in 0..self.threads.len() {
            let outcome = match deadline {
                None => self.outcomes.recv().ok(),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    self.outcomes.recv_timeout(left).ok()
                }
            };
            let Some((shard, outcome)) = outcome else {
                break;
            };
            if outcome.is_err() && deadline.is_none() {
                deadline = Some(Instant::now() + PANIC_GRACE);
            }
            results[shard.index()] = Some(outcome);
        }
        let ended = results.into_iter().zip(self.threads).enumerate();
        ended
            .map(|(index, (result, thread))| match result {
                Some(result) => {
                    // It only drops its executor by now. Its own panic is in the result.
                    let _ = thread.join();
                    result
                }
                None => Err(ShardError::LeftRunning {
                    shard: ShardId(index as u16),
                }),
            })
            .collect()
    }
}
