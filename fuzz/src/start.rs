//! A broker's start on a whole log directory that was spoilt, ours or Kafka's, in the simulator;
//! and the next start on what the first has left.
//!
//! Input: settings, which directory, then edits as [`crate::directory`] makes them.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ringlog::batch::Decompressor;
use ringlog::client::{
    Admin, Client, ClientOptions, FetchOptions, Fetcher, OffsetReset, OffsetSpec, StartOffset,
    TopicView,
};
use ringlog::config::BrokerConfig;
use ringlog::io::sim::{MachineId, ProcessId, SimOptions, Simulation};
use ringlog::io::{Reactor, StopSignal};
use ringlog::server::{BrokerPlan, run_shard};
use ringlog::shard::ShardError;
use ringlog::types::{Offset, PartitionIndex};

use crate::directory::{Directory, edit_all, log_directory};
use crate::input::Input;

const ADDRESS: &str = "127.0.0.1:9092";

const SETTINGS: [&str; 5] = [
    "listeners=PLAINTEXT://127.0.0.1:9092",
    "log.dirs=/data",
    "shard.request.memory.bytes=16777216",
    "socket.request.max.bytes=1048576",
    "log.segment.bytes=1048576",
];

/// Steps of the simulated world until something hangs.
const STEP_COUNT_MAX: u64 = 2_000_000;

/// Answers that a partition is read with at most.
const ANSWERS_MAX: usize = 20;

/// Where a partition starts and ends; `None` when it cannot be asked.
type Ends = BTreeMap<(Arc<str>, PartitionIndex), Option<(Offset, Offset)>>;

/// How a start came out.
type Outcome = Arc<Mutex<Option<Result<(), ShardError>>>>;

struct Broker {
    process: ProcessId,
    stop: StopSignal,
    outcome: Outcome,
}

pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let flags = input.u8();
    let origin = match flags & 1 {
        0 => "kafka-4.1.1",
        _ => "format-1",
    };
    let mut files = log_directory(origin).clone();
    edit_all(&mut files, &mut input);
    let sim = Simulation::new(SimOptions {
        step_count_max: STEP_COUNT_MAX,
        ..SimOptions::with_seed(1)
    });
    for (name, contents) in &files {
        // A file where a directory is to be.
        if sim
            .put_file(MachineId::FIRST, &in_data(name), contents)
            .is_err()
        {
            return;
        }
    }
    let first = live(&sim, flags);
    if first.is_err() && origin == "kafka-4.1.1" {
        check_untouched(&sim, &files);
    }
    let second = live(&sim, 0);
    match (first, second) {
        (Ok(left), Ok(found)) => {
            for (partition, ends) in left.iter().filter(|(_, ends)| ends.is_some()) {
                assert_eq!(
                    found.get(partition),
                    Some(ends),
                    "{partition:?} has changed"
                );
            }
        }
        (Ok(_), Err(error)) => panic!("what had started does not start again: {error}"),
        (Err(first), Ok(_)) => panic!("nothing was done about it, and now it starts: {first}"),
        (Err(_), Err(_)) => {}
    }
}

fn in_data(name: &str) -> std::path::PathBuf {
    Path::new("/data").join(name)
}

/// A broker from its start to its end. What clients see of it, or why it does not start.
fn live(sim: &Simulation, flags: u8) -> Result<Ends, ShardError> {
    let broker = start(sim);
    sim.run_until(|_| broker.outcome.lock().unwrap().is_some());
    let outcome = broker.outcome.lock().unwrap().take();
    outcome.expect("it was told")?;
    let ends = sim.run(
        MachineId::FIRST,
        |reactor| async move { look(&reactor).await },
    );
    match flags >> 6 {
        0 | 1 => {
            broker.stop.set();
            sim.run_until(|sim| !sim.is_running(broker.process));
        }
        2 => sim.kill(broker.process),
        _ => sim.power_cut(MachineId::FIRST),
    }
    // Until the port is free again.
    sim.run_for(Duration::from_secs(1));
    Ok(ends)
}

fn start(sim: &Simulation) -> Broker {
    let config = BrokerConfig::load(None, &SETTINGS.map(str::to_owned)).expect("sound settings");
    let (stop, outcome) = (StopSignal::new(), Outcome::default());
    let told = Arc::clone(&outcome);
    let report = move |info: Result<_, _>| {
        *told.lock().unwrap() = Some(info.map(drop));
    };
    let plan = BrokerPlan::new(config, 1, stop.clone(), Arc::new(report));
    let process = sim.start(MachineId::FIRST, 1, move |reactor| {
        let plan = plan.clone();
        // What goes wrong at the start is reported.
        async move { drop(run_shard(reactor, plan).await) }
    });
    Broker {
        process,
        stop,
        outcome,
    }
}

/// Asks for everything, and reads it.
async fn look(reactor: &Reactor) -> Ends {
    let options = ClientOptions {
        request_timeout: Duration::from_secs(1),
        api_timeout: Duration::from_secs(3),
        ..ClientOptions::new(ADDRESS)
    };
    let client = Client::connect(reactor, options).await.expect("it listens");
    let topics = Admin::new(&client).describe_topics(None).await;
    let mut ends = Ends::new();
    for topic in topics.expect("it knows its topics") {
        for partition in &topic.partitions {
            let index = partition.partition;
            let found = look_at(reactor, &client, &topic, index).await;
            ends.insert((Arc::clone(&topic.name), index), found);
        }
    }
    ends
}

async fn look_at(
    reactor: &Reactor,
    client: &Client,
    topic: &TopicView,
    index: PartitionIndex,
) -> Option<(Offset, Offset)> {
    let specs = [OffsetSpec::Earliest, OffsetSpec::Latest].map(|spec| (index, spec));
    let mut ends = [0; 2];
    for (end, spec) in ends.iter_mut().zip(specs) {
        let listed = Admin::new(client).list_offsets(&topic.name, &[spec]).await;
        *end = listed.ok()?[0].expect("an offset of a partition");
    }
    let (start, end) = (ends[0], ends[1]);
    assert!(
        0 <= start && start <= end,
        "{}-{index}: {ends:?}",
        topic.name
    );
    let reading = read(client, topic, index, end);
    let _ = reactor.timeout(Duration::from_secs(5), reading).await;
    Some((start, end))
}

/// Reads from the start to the end, or to the first error.
async fn read(client: &Client, topic: &TopicView, index: PartitionIndex, end: Offset) {
    let options = FetchOptions {
        reset: OffsetReset::Earliest,
        max_wait: Duration::from_millis(10),
        ..FetchOptions::default()
    };
    let fetcher = Fetcher::new(client, options);
    let assigned = fetcher.assign(&topic.name, index, StartOffset::Earliest);
    if assigned.await.is_err() {
        return;
    }
    let mut decompressor = Decompressor::new();
    for _ in 0..ANSWERS_MAX {
        let Ok(fetched) = fetcher.next().await else {
            return;
        };
        // A record may be what no producer sends: only the batch was checked.
        let _ = fetched.for_each_record(&mut decompressor, |record| {
            assert!(record.offset >= fetched.fetch_offset && record.offset < end);
            ControlFlow::Continue(())
        });
        if fetched.next_offset >= end {
            return;
        }
    }
}

/// A start that takes nothing over changes nothing of Kafka's.
fn check_untouched(sim: &Simulation, files: &Directory) {
    let read = |name: &str| sim.file_contents(MachineId::FIRST, &in_data(name));
    let is_ours = |text: &[u8]| text.windows(14).any(|part| part == b"ringlog.format");
    match files.get("meta.properties") {
        // Nobody's: a start may go on where another one was taking over.
        None => return,
        Some(text) if is_ours(text) => return,
        Some(_) => {}
    }
    for (name, contents) in files {
        let found = read(name);
        assert!(found.as_ref() == Some(contents), "{name} was changed");
    }
}
