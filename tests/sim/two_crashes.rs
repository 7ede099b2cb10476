//! A process that is killed at any moment, a start, and then a loss of power: what the start has
//! told readers, and what it has confirmed, stays.
//!
//! The start begins with what the dead process had written and not made durable. Found by seeds of
//! the log's model.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use ringlog::io::Reactor;
use ringlog::io::sim::{MachineId, SimOptions, Simulation};
use ringlog::log::{AppendPlan, BrokenRule, DirectoryOptions, Log, LogConfig, LogDirectory};
use ringlog::types::Offset;

use crate::one_log::{append, directory_options, open_with};

/// Small, so that a log of some records has several.
const SEGMENT_SIZE_MAX: u64 = 4096;

/// Records before the process begins what it is killed in.
const RECORDS: i64 = 20;

/// Steps of the world after which it is killed, at most: by then it is done.
const STEPS_MAX: u64 = 160;
/// Worlds for each such step.
const SEEDS: u64 = 2;
/// The same for a removal, which is cut off at another moment in each.
const REMOVAL_SEEDS: u64 = 8;

/// Opens the log, in class P.
async fn open(reactor: &Reactor) -> (LogDirectory, Log) {
    open_breaking(reactor, None).await
}

/// The same with a rule broken.
async fn open_breaking(reactor: &Reactor, rule: Option<BrokenRule>) -> (LogDirectory, Log) {
    let options = DirectoryOptions {
        broken_rule: rule,
        ..directory_options()
    };
    let made = reactor.disk().create_dir_all(&options.path).await;
    made.unwrap();
    // As a broker does: its log directory's own name lasts.
    reactor.disk().sync_dir("/".as_ref()).await.unwrap();
    let config = LogConfig {
        flush_before_ack: true,
        segment_size_max: SEGMENT_SIZE_MAX,
        ..LogConfig::default()
    };
    open_with(reactor, options, config).await.unwrap()
}

/// Appends records, each confirmed.
async fn fill(reactor: &Reactor, log: &Log, count: i64) {
    for _ in 0..count {
        let plan = AppendPlan {
            size: 1_100,
            last_offset_delta: 0,
            max_timestamp: 0,
        };
        log.prepare_append(&plan, reactor.wall_clock());
        append(log, reactor.wall_clock());
        log.flush_all().await.unwrap();
    }
}

fn bounds(log: &Log) -> (Offset, Offset) {
    let state = log.state();
    (state.log_start_offset, state.log_end_offset)
}

/// Kills a process `steps` after it has begun `act`, starts another that adds `count` records, and
/// takes its power; the bounds that this one had and those that the last start finds.
fn two_crashes<F: Future<Output = ()> + 'static>(
    (seed, steps): (u64, u64),
    records_before: i64,
    act: impl FnOnce(Reactor, Log) -> F + 'static,
    count: i64,
) -> [(Offset, Offset); 2] {
    let sim = Simulation::new(SimOptions::with_seed(seed));
    let has_begun = Rc::new(Cell::new(records_before == 0));
    let begun = Rc::clone(&has_begun);
    let process = sim.start(MachineId::FIRST, 1, {
        let act = Cell::new(Some(act));
        let act = Rc::new(act);
        move |reactor| {
            let (begun, act) = (Rc::clone(&begun), Rc::clone(&act));
            async move {
                let (_directory, log) = open(&reactor).await;
                fill(&reactor, &log, records_before).await;
                begun.set(true);
                let act = act.take().expect("one shard");
                act(reactor.clone(), log).await;
            }
        }
    });
    sim.run_until(|_| has_begun.get());
    sim.run_steps(steps);
    sim.kill(process);
    let told = sim.run(MachineId::FIRST, move |reactor| async move {
        let (_directory, log) = open(&reactor).await;
        fill(&reactor, &log, count).await;
        bounds(&log)
    });
    sim.power_cut(MachineId::FIRST);
    let found = sim.run(MachineId::FIRST, |reactor| async move {
        let (_directory, log) = open(&reactor).await;
        bounds(&log)
    });
    [told, found]
}

fn cases() -> impl Iterator<Item = (u64, u64)> {
    (0..STEPS_MAX).flat_map(|steps| (0..SEEDS).map(move |seed| (seed, steps)))
}

#[test]
fn a_log_start_that_was_told_stays() {
    let mut starts = [0; 2];
    for case in cases() {
        // Beside records: the file that recovery syncs has something to sync, so that this is no
        // flush of the device.
        let raise = |reactor: Reactor, log: Log| async move {
            let raised = log.clone();
            let raising = reactor.spawn(async move { raised.raise_log_start(7).await });
            for _ in 0..10 {
                append(&log, reactor.wall_clock());
                reactor.sleep(Duration::from_micros(40)).await;
            }
            drop(raising.await);
        };
        let [told, found] = two_crashes(case, RECORDS, raise, 0);
        assert_eq!(told, found, "{case:?}");
        starts[usize::from(told.0 == 7)] += 1;
    }
    assert!(starts.iter().all(|&count| count > 0), "{starts:?}");
}

#[test]
fn what_was_truncated_stays_away() {
    let mut ends = [0; 2];
    for case in cases() {
        let truncate = |_, log: Log| async move { drop(log.truncate_to(4).await) };
        let [told, found] = two_crashes(case, RECORDS, truncate, 0);
        assert_eq!(told, found, "{case:?}");
        ends[usize::from(told.1 < RECORDS)] += 1;
    }
    assert!(ends.iter().all(|&count| count > 0), "{ends:?}");
}

#[test]
fn what_follows_a_first_start_that_was_killed_is_durable() {
    for case in cases() {
        let [told, found] = two_crashes(case, 0, |_, _| async {}, 3);
        assert_eq!((told, found), ((0, 3), (0, 3)), "{case:?}");
    }
}

/// The ends that three starts find: the first process stops with one record, the second adds two
/// and loses its power, the third adds one and loses its power.
fn two_losses_of_power(rule: Option<BrokenRule>, (seed, steps): (u64, (u64, u64))) -> [Offset; 3] {
    let sim = Simulation::new(SimOptions::with_seed(seed));
    sim.run(MachineId::FIRST, |reactor| async move {
        let (directory, log) = open(&reactor).await;
        fill(&reactor, &log, 1).await;
        directory.stop().await.unwrap();
    });
    let adds = |count: u64, steps: u64| {
        let found = Rc::new(Cell::new(None));
        let end = Rc::clone(&found);
        sim.start(MachineId::FIRST, 1, move |reactor| {
            let end = Rc::clone(&end);
            async move {
                let (_directory, log) = open_breaking(&reactor, rule).await;
                end.set(Some(bounds(&log).1));
                for _ in 0..count {
                    append(&log, reactor.wall_clock());
                }
                reactor.sleep(Duration::from_secs(3600)).await;
            }
        });
        sim.run_until(|_| found.get().is_some());
        sim.run_steps(steps);
        sim.power_cut(MachineId::FIRST);
        found.get().expect("it was awaited")
    };
    let (first, second) = (adds(2, steps.0), adds(1, steps.1));
    let last = sim.run(MachineId::FIRST, move |reactor| async move {
        let (_directory, log) = open_breaking(&reactor, rule).await;
        bounds(&log).1
    });
    [first, second, last]
}

/// How often two records that were lost are there again after one more was appended, of how many
/// times that they were lost.
fn returns_of_the_lost(rule: Option<BrokenRule>) -> (u64, u64) {
    let (mut return_count, mut loss_count) = (0, 0);
    for seed in 0..40 {
        for steps in (0..6).flat_map(|first| (0..6).map(move |second| (first, second))) {
            let [first, second, last] = two_losses_of_power(rule, (seed, steps));
            assert_eq!(first, 1);
            assert!(last >= second, "{seed} {steps:?}: {last} of {second}");
            loss_count += u64::from(second == first);
            return_count += u64::from(last > second + 1);
        }
    }
    (return_count, loss_count)
}

#[test]
fn what_a_lost_size_has_hidden_stays_away() {
    let (return_count, loss_count) = returns_of_the_lost(None);
    assert!(loss_count > 0);
    assert_eq!(return_count, 0);
    let (return_count, _) = returns_of_the_lost(Some(BrokenRule::LeavesHiddenBytes));
    assert!(return_count > 0, "this test would not notice");
}

/// What a crash of a start has left of a log that was being deleted.
#[derive(Default)]
struct Remains {
    /// Nothing under its name.
    gone: u64,
    /// All that it was.
    whole: u64,
}

/// Deletes a log, kills the process after `steps`, lets another remove what it finds put aside for
/// some steps more, and takes its power.
fn deletion_and_loss_of_power((seed, steps): (u64, u64), remains: &mut Remains) {
    let sim = Simulation::new(SimOptions::with_seed(seed));
    let has_begun = Rc::new(Cell::new(false));
    let begun = Rc::clone(&has_begun);
    let process = sim.start(MachineId::FIRST, 1, move |reactor| {
        let begun = Rc::clone(&begun);
        async move {
            let (_directory, log) = open(&reactor).await;
            fill(&reactor, &log, RECORDS).await;
            begun.set(true);
            log.delete().await.unwrap();
        }
    });
    sim.run_until(|_| has_begun.get());
    sim.run_steps(steps);
    sim.kill(process);
    let remover = sim.start(MachineId::FIRST, 1, move |reactor| async move {
        let options = directory_options();
        let directory = LogDirectory::open(&reactor, options).await.unwrap();
        let entries = reactor.disk().list_dir(directory.path()).await.unwrap();
        for entry in entries
            .iter()
            .filter(|entry| entry.name.ends_with("-delete"))
        {
            directory.remove_leftover(directory.path().join(&entry.name));
        }
        reactor.sleep(Duration::from_secs(3600)).await;
    });
    sim.run_steps(40 + 29 * seed);
    sim.kill(remover);
    sim.power_cut(MachineId::FIRST);
    let names = sim.run(MachineId::FIRST, |reactor| async move {
        let log = directory_options().path.join("events-0");
        let entries = reactor.disk().list_dir(&log).await.unwrap_or_default();
        entries
            .into_iter()
            .map(|entry| entry.name)
            .collect::<Vec<_>>()
    });
    let has = |wanted: &str| names.iter().any(|name| name == wanted);
    match names.is_empty() {
        true => remains.gone += 1,
        false => {
            let is_whole = has("partition.metadata") && has("00000000000000000000.log");
            assert!(
                is_whole,
                "seed {seed}, {steps} steps: only {names:?} is left"
            );
            remains.whole += 1;
        }
    }
}

#[test]
fn a_deleted_log_is_whole_or_gone_when_its_removal_is_cut_off() {
    let mut remains = Remains::default();
    for steps in 0..STEPS_MAX {
        for seed in 0..REMOVAL_SEEDS {
            deletion_and_loss_of_power((seed, steps), &mut remains);
        }
    }
    assert!(remains.gone > 0 && remains.whole > 0);
}
