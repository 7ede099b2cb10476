//! Reading, on the shard that owns the partitions and on the one that waits.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::future::Future;
use std::rc::Rc;

use bytes::Bytes;

use super::broken_promise::{self, BrokenPromise};
use super::core::{Core, ReplyTo, Shard, handle};
use super::message::{FetchItem, FetchLimits, FetchOutcome, Message, RecordsRange, Reply, Request};
use super::ranges::{COPIED_SIZE_MAX, copied};
use super::watchers::Watcher;
use crate::io::{Notify, Task, oneshot};
use crate::log::{
    COLD_READ_SIZE, COLD_READ_SIZE_MIN, Log, LogError, ReadBatches, ReadOutcome, ReadRequest,
    ReadSource, Rest,
};
use crate::metrics::Counter;
use crate::types::{ErrorCode, Offset, ShardId, TopicIdPartition};

/// Bytes that a shard reads from disk for clients at the same time, until what is kept of them is
/// counted as memory of answers. The device is given 4 MiB at a time (`ReactorOptions`).
pub(super) const COLD_READS_SIZE_MAX: usize = 8 << 20;

/// A fetch of this shard that waits for more. Dropping it takes its watches away.
pub struct FetchWait {
    core: Rc<Core>,
    fetch: u64,
    woken: Rc<Woken>,
}

/// Who has woken a fetch since it last looked.
#[derive(Default)]
pub(super) struct Woken {
    by: RefCell<BTreeSet<ShardId>>,
    notify: Notify,
}

impl Woken {
    pub(super) fn wake(&self, by: ShardId) {
        self.by.borrow_mut().insert(by);
        self.notify.notify_all();
    }
}

impl FetchWait {
    /// The next owner of a watched partition that has more to read.
    pub async fn woken(&self) -> ShardId {
        loop {
            let notified = self.woken.notify.notified();
            if let Some(by) = self.woken.by.borrow_mut().pop_first() {
                return by;
            }
            notified.await;
        }
    }
}

impl Drop for FetchWait {
    fn drop(&mut self) {
        self.core.fetch_waits.borrow_mut().remove(&self.fetch);
        for shard in self.core.shard_ids() {
            self.core
                .peers
                .tell(shard, Message::Unwatch { fetch: self.fetch });
        }
    }
}

impl Shard {
    /// Begins a wait: give it to the readings that are to set watches.
    pub fn fetch_wait(&self) -> FetchWait {
        let fetch = self.core.next_fetch.get();
        self.core.next_fetch.set(fetch + 1);
        let woken = Rc::new(Woken::default());
        self.core
            .fetch_waits
            .borrow_mut()
            .insert(fetch, Rc::clone(&woken));
        FetchWait {
            core: Rc::clone(&self.core),
            fetch,
            woken,
        }
    }

    /// Which shard owns a partition.
    pub fn owner(&self, partition: TopicIdPartition) -> ShardId {
        self.core.owner(partition)
    }

    /// Reads from partitions that one shard owns: one outcome an item, in their order. With `wait`,
    /// the owner sets its watches before it reads. Asked when this returns; the future gives `None`
    /// when the broker stops.
    pub fn fetch(
        &self,
        owner: ShardId,
        items: Vec<FetchItem>,
        limits: FetchLimits,
        wait: Option<&FetchWait>,
    ) -> impl Future<Output = Option<Vec<FetchOutcome>>> + use<> {
        let watch = wait.map(|wait| wait.fetch);
        let asked = self.core.ask(
            owner,
            Request::Fetch {
                items,
                limits,
                watch,
            },
        );
        async move {
            match asked.await {
                Some(Reply::Fetch(outcomes)) => Some(outcomes),
                _ => None,
            }
        }
    }
}

impl Core {
    /// Sends a request to a shard; to this one it is a plain call.
    pub(super) fn ask(
        self: &Rc<Core>,
        to: ShardId,
        request: Request,
    ) -> crate::io::OneshotReceiver<Reply> {
        let here = self.reactor.shard();
        if to != here {
            return self.peers.call(to, request);
        }
        let (sender, receiver) = oneshot();
        handle(self, ReplyTo::Here(sender), here, request);
        receiver
    }
}

/// What became of one partition without waiting.
enum Started {
    Done(FetchOutcome),
    /// Fills in the records of the outcome.
    Cold(
        FetchOutcome,
        TopicIdPartition,
        Task<Result<ReadBatches, ErrorCode>>,
    ),
}

/// Reads the items that this shard owns. What is in memory is answered at once; what is on disk is
/// read by all partitions at the same time.
pub(super) fn start(
    core: &Rc<Core>,
    to: ReplyTo,
    items: Vec<FetchItem>,
    limits: FetchLimits,
    watch: Option<(ShardId, u64)>,
) {
    if let Some((shard, fetch)) = watch {
        let mut watchers = core.watchers.borrow_mut();
        for item in &items {
            watchers.watch(Watcher { shard, fetch }, item.partition);
        }
    }
    let mut left = Left::new(limits);
    let started: Vec<Started> = items
        .iter()
        .map(|item| read_one(core, item, &mut left))
        .collect();
    if started.iter().all(|one| matches!(one, Started::Done(_))) {
        let outcomes = started.into_iter().map(|one| match one {
            Started::Done(outcome) | Started::Cold(outcome, ..) => outcome,
        });
        core.answer(to, Reply::Fetch(outcomes.collect()));
        return;
    }
    let waiting = Rc::clone(core);
    let finish = async move {
        let mut outcomes = Vec::with_capacity(started.len());
        for one in started {
            outcomes.push(match one {
                Started::Done(outcome) => outcome,
                Started::Cold(outcome, partition, reading) => match reading.await {
                    Ok(batches) => {
                        count_bytes(&waiting, batches.source, &batches.pieces);
                        filled(&waiting, outcome, partition, batches)
                    }
                    Err(error) => FetchOutcome { error, ..outcome },
                },
            });
        }
        waiting.answer(to, Reply::Fetch(outcomes));
    };
    core.reactor.spawn(finish).detach();
}

/// What the answer may still take.
struct Left {
    /// `None` once it is used up by a partition before.
    size: Option<usize>,
    taken: usize,
    /// Of records to be read from disk.
    cold: Option<usize>,
    /// Of records that were read from disk.
    held: Rc<Cell<usize>>,
}

impl Left {
    fn new(limits: FetchLimits) -> Left {
        Left {
            size: Some(limits.size_max),
            taken: limits.taken_size_max,
            cold: Some(limits.cold_size_max),
            held: Rc::new(Cell::new(limits.cold_size_max)),
        }
    }
}

/// Takes from what is left; `None` when nothing is.
fn spend(left: usize, size: usize) -> Option<usize> {
    left.checked_sub(size).filter(|&left| left > 0)
}

fn read_one(core: &Rc<Core>, item: &FetchItem, left: &mut Left) -> Started {
    let replica = match core.serving(&item.partition) {
        Ok(replica) => replica,
        Err(error) => return Started::Done(FetchOutcome::failed(error)),
    };
    let outcome = replica.fetch_bounds(item);
    if outcome.error.is_error() || outcome.diverging_epoch.is_some() {
        return Started::Done(outcome);
    }
    let is_at_end = item.fetch_offset >= outcome.last_stable_offset;
    let Some(answer_left) = left.size else {
        return Started::Done(outcome);
    };
    if is_at_end {
        return Started::Done(outcome);
    }
    let request = ReadRequest {
        offset: item.fetch_offset,
        size_max: item.size_max.min(answer_left),
        end_bound: outcome.last_stable_offset,
    };
    match replica.log().read_taking(request, left.taken) {
        Ok(ReadOutcome::Batches(batches)) => {
            left.size = spend(answer_left, batches.size);
            count_bytes(core, batches.source, &batches.pieces);
            let outcome = filled(core, outcome, item.partition, batches);
            left.taken = left.taken.saturating_sub(outcome.taken_size());
            Started::Done(outcome)
        }
        Ok(ReadOutcome::Cold) => {
            let Some(cold_left) = left.cold else {
                return Started::Done(outcome);
            };
            let request = ReadRequest {
                size_max: request.size_max.min(cold_left.max(COLD_READ_SIZE_MIN)),
                ..request
            };
            let expected = request.size_max.min(COLD_READ_SIZE);
            left.cold = spend(cold_left, expected);
            left.size = spend(answer_left, expected);
            let (log, held) = (replica.log().clone(), Rc::clone(&left.held));
            let reader = Rc::clone(core);
            let reading = core.reactor.spawn(async move {
                if reader.breaks(BrokenPromise::NeverReadsCold) {
                    std::future::pending::<()>().await;
                }
                let held = |batches| held_or_promised(batches, request.offset, &held);
                let read = read_in_turn(&reader, &log, request, held).await;
                read.map_err(|error| {
                    // Damage was told when it was found, once.
                    if !matches!(error, LogError::Corrupt { .. }) {
                        tracing::warn!(partition = %log.partition(), %error, "a read failed");
                    }
                    reader.report_unreadable(&error);
                    error.error_code()
                })
            });
            Started::Cold(outcome, item.partition, reading)
        }
        Err(error) => Started::Done(FetchOutcome {
            error: error.error_code(),
            ..outcome
        }),
    }
}

/// Reads from disk in its turn, and lets `keep` take of it what is counted elsewhere: the rest is
/// gone before the next one reads. The disk may be faster than who looks at what it brings.
pub(super) async fn read_in_turn<T>(
    core: &Core,
    log: &Log,
    request: ReadRequest,
    keep: impl FnOnce(ReadBatches) -> T,
) -> Result<T, LogError> {
    let (batches, _permit) = log.read_cold_in_turn(request, &core.cold_reads).await?;
    Ok(keep(batches))
}

/// Lets go of what was read when it is more than the answer may hold. It is known to be sound, and
/// how large it is: it is read again when the answer comes to it.
fn held_or_promised(batches: ReadBatches, offset: Offset, left: &Cell<usize>) -> ReadBatches {
    let size = batches.size;
    if size == 0 {
        return batches;
    }
    let Some(after) = left.get().checked_sub(size) else {
        return ReadBatches {
            pieces: Vec::new(),
            rest: Some(Rest { offset, size }),
            ..batches
        };
    };
    left.set(after);
    ReadBatches {
        pieces: match size <= COPIED_SIZE_MAX {
            true => vec![copied(&batches.pieces, 0, size)],
            false => batches.pieces,
        },
        ..batches
    }
}

fn filled(
    core: &Core,
    bounds: FetchOutcome,
    partition: TopicIdPartition,
    mut batches: ReadBatches,
) -> FetchOutcome {
    if core.broken.promise.is_some() {
        broken_promise::at_fetch(core, &mut batches.pieces);
    }
    let is_from_disk = batches.source == ReadSource::Disk;
    let rest = batches.rest.map(|rest| RecordsRange {
        partition,
        offset: rest.offset,
        skipped_size: 0,
        end_offset: batches.next_offset,
        size: rest.size,
        // From disk come more bytes than one read only if it is one batch.
        preferred_size: if is_from_disk { rest.size } else { 0 },
    });
    FetchOutcome {
        is_from_disk,
        records: batches.pieces,
        rest,
        ..bounds
    }
}

/// Which path has served the pieces.
pub(super) fn count_bytes(core: &Core, source: ReadSource, pieces: &[Bytes]) {
    let counter = match source {
        ReadSource::Memory => Counter::FetchedBytesMemory,
        ReadSource::Disk => Counter::FetchedBytesDirect,
    };
    let size: usize = pieces.iter().map(Bytes::len).sum();
    core.metrics.add(counter, size as u64);
}
