//! A start that takes over a log directory of Kafka's, killed or without power at any moment: what
//! it leaves is Kafka's or ours, and the next start ends it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;
use kafka_protocol::messages::{ListOffsetsRequest, MetadataRequest};
use ringlog::config::BrokerConfig;
use ringlog::io::StopSignal;
use ringlog::io::sim::{DiskFault, MachineId, ProcessId, SimOptions, Simulation};
use ringlog::server::{BrokerPlan, run_shard};
use ringlog::shard::ShardError;

use crate::frames::{Frames, start_broker};

/// Written by a real Kafka: `tests/data/README.md`.
const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/kafka-4.1.1");

const DATA: &str = "/data";
const KAFKAS_METADATA: &str = "__cluster_metadata-0";

/// Crashes of one run of the test.
const CRASH_COUNT: u64 = 150;

/// What each partition holds: its start, its end.
const EXPECTED: [(&str, i32, i64, i64); 5] = [
    ("__consumer_offsets", 0, 0, 5),
    ("compacted", 0, 0, 60),
    ("cut", 0, 6, 12),
    ("plain", 0, 0, 48),
    ("plain", 1, 0, 48),
];

/// All files of the sample by their paths in it.
fn sample() -> BTreeMap<PathBuf, Vec<u8>> {
    fn add(files: &mut BTreeMap<PathBuf, Vec<u8>>, path: &Path) {
        for entry in std::fs::read_dir(path).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                add(files, &path);
            } else {
                let name = path.strip_prefix(SAMPLE).unwrap().to_owned();
                files.insert(name, std::fs::read(&path).unwrap());
            }
        }
    }
    let mut files = BTreeMap::new();
    add(&mut files, Path::new(SAMPLE));
    files
}

fn world(seed: u64, files: &BTreeMap<PathBuf, Vec<u8>>) -> Simulation {
    let sim = Simulation::new(SimOptions::with_seed(seed));
    for (name, contents) in files {
        let path = Path::new(DATA).join(name);
        sim.put_file(MachineId::FIRST, &path, contents).unwrap();
    }
    sim
}

/// Whether a broker serves, and why it does not.
type Started = Arc<Mutex<Option<Result<(), ShardError>>>>;

/// A broker that is about to start.
fn start(sim: &Simulation) -> (ProcessId, Started) {
    let settings = ["listeners=PLAINTEXT://127.0.0.1:9092", "log.dirs=/data"];
    let config = BrokerConfig::load(None, &settings.map(str::to_owned)).unwrap();
    let started = Started::default();
    let serves = Arc::clone(&started);
    let report = move |info: Result<_, _>| {
        *serves.lock().unwrap() = Some(info.map(|_| ()));
    };
    let plan = BrokerPlan::new(config, 1, StopSignal::new(), Arc::new(report));
    let process = sim.start(MachineId::FIRST, 1, move |reactor| {
        let plan = plan.clone();
        // What goes wrong is reported.
        async move { drop(run_shard(reactor, plan).await) }
    });
    (process, started)
}

/// What a crash has left.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Left {
    Kafkas,
    UnderWay,
    Ours,
}

/// Whose the directory is. While it is Kafka's, each of its files is as it was.
fn check_crash(sim: &Simulation, files: &BTreeMap<PathBuf, Vec<u8>>) -> Left {
    let read = |name: &Path| sim.file_contents(MachineId::FIRST, &Path::new(DATA).join(name));
    let left = match read(Path::new("meta.properties")) {
        None => Left::UnderWay,
        Some(text) if text.windows(14).any(|part| part == b"ringlog.format") => Left::Ours,
        Some(_) => Left::Kafkas,
    };
    if left == Left::Kafkas {
        for (name, contents) in files {
            assert!(
                read(name).as_ref() == Some(contents),
                "{} changed",
                name.display()
            );
        }
    }
    left
}

/// Kafka's own metadata is kept, to the byte.
fn check_kept(sim: &Simulation, files: &BTreeMap<PathBuf, Vec<u8>>) {
    for (name, contents) in files {
        let name = name.to_str().unwrap();
        let kept = match name.strip_prefix(KAFKAS_METADATA) {
            Some(below) => format!("{KAFKAS_METADATA}.kafka{below}"),
            None if name == "meta.properties" => "meta.properties.kafka".to_owned(),
            None => continue,
        };
        let found = sim.file_contents(MachineId::FIRST, &Path::new(DATA).join(&kept));
        assert!(found.as_ref() == Some(contents), "{kept}");
    }
}

/// Topics, partitions and where they begin and end.
async fn check_topics(frames: &mut Frames) {
    let request = MetadataRequest::default().with_topics(None);
    let topics: Vec<MetadataResponseTopic> = frames.call(12, &request).await.topics;
    let mut found = Vec::new();
    for topic in &topics {
        let name = topic.name.as_ref().unwrap();
        for index in 0..i32::try_from(topic.partitions.len()).unwrap() {
            let mut ends = [0; 2];
            for (end, timestamp) in ends.iter_mut().zip([-2, -1]) {
                let partition = ListOffsetsPartition::default()
                    .with_partition_index(index)
                    .with_timestamp(timestamp);
                let of_topic = ListOffsetsTopic::default()
                    .with_name(name.clone())
                    .with_partitions(vec![partition]);
                let request = ListOffsetsRequest::default().with_topics(vec![of_topic]);
                let listed = frames.call(7, &request).await;
                let listed = &listed.topics[0].partitions[0];
                assert_eq!(listed.error_code, 0, "{name:?}-{index}");
                *end = listed.offset;
            }
            found.push((name.to_string(), index, ends[0], ends[1]));
        }
    }
    found.sort();
    let expected = EXPECTED.map(|(name, index, start, end)| (name.to_owned(), index, start, end));
    assert_eq!(found, expected);
}

/// Crashes after so many steps of the first start, by a power cut or kill -9; then a start that is
/// left alone.
fn crash_and_start(seed: u64, steps: u64, files: &BTreeMap<PathBuf, Vec<u8>>) -> Left {
    let sim = world(seed, files);
    let (process, _) = start(&sim);
    sim.run_steps(steps);
    match seed % 2 {
        0 => sim.kill(process),
        _ => sim.power_cut(MachineId::FIRST),
    }
    sim.run_for(std::time::Duration::from_secs(1));
    let left = check_crash(&sim, files);
    let stop = start_broker(&sim, 1, &[]);
    sim.run(MachineId::FIRST, |reactor| async move {
        let mut frames = Frames::connect(&reactor).await;
        check_topics(&mut frames).await;
    });
    stop.set();
    sim.run_for(std::time::Duration::from_secs(60));
    assert_eq!(check_crash(&sim, files), Left::Ours);
    check_kept(&sim, files);
    left
}

#[test]
fn a_crash_at_any_step_leaves_kafkas_directory_or_ours() {
    let files = sample();
    let step_count = {
        let sim = world(0, &files);
        let (_, started) = start(&sim);
        sim.run_until(|_| started.lock().unwrap().is_some());
        started.lock().unwrap().take().unwrap().unwrap();
        sim.step_count()
    };
    let mut seen = BTreeMap::new();
    for crash in 0..CRASH_COUNT {
        let steps = step_count * crash / CRASH_COUNT;
        for seed in [2 * crash, 2 * crash + 1] {
            *seen
                .entry(crash_and_start(seed, steps, &files))
                .or_insert(0) += 1;
        }
    }
    let states: Vec<Left> = seen.keys().copied().collect();
    assert_eq!(
        states,
        [Left::Kafkas, Left::UnderWay, Left::Ours],
        "{seen:?}"
    );
}

/// Why a start fails.
fn fails(sim: &Simulation) -> String {
    let (process, started) = start(sim);
    sim.run_until(|sim| !sim.is_running(process));
    let outcome = started.lock().unwrap().take();
    let error = outcome.expect("it says so").expect_err("it fails");
    error.to_string()
}

#[test]
fn after_a_failed_flush_nothing_is_believed_until_the_machine_starts_anew() {
    let files = sample();
    for (seed, failing) in [
        (1, "plain-0/00000000000000000000.log"),
        (2, "__cluster_metadata-0/ringlog/__cluster_metadata-0"),
    ] {
        let sim = world(seed, &files);
        sim.fail_disk(MachineId::FIRST, DiskFault::Flush, 1, move |path| {
            path.to_string_lossy().contains(failing)
        });
        let said = fails(&sim);
        assert!(said.contains("cannot be taken over"), "{said}");
        let said = fails(&sim);
        assert!(said.contains("a flush failed here before"), "{said}");
        assert_eq!(check_crash(&sim, &files), Left::Kafkas);
        sim.power_cut(MachineId::FIRST);
        let stop = start_broker(&sim, 1, &[]);
        sim.run(MachineId::FIRST, |reactor| async move {
            check_topics(&mut Frames::connect(&reactor).await).await;
        });
        stop.set();
        sim.run_for(std::time::Duration::from_secs(60));
    }
}
