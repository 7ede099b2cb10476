//! Several log directories: new partitions spread, each is found wherever it lies, and what is
//! wrong with one keeps the others going.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::MetadataResponsePartition;
use kafka_protocol::messages::{DeleteTopicsRequest, MetadataRequest};
use nix::sys::signal::Signal;
use ringlog::types::ErrorCode;
use tempfile::TempDir;

use crate::broker::{TestBroker, directory};
use crate::process::{BrokerProcess, Failed, start_in_vain};
use crate::records::batch;
use crate::small_disk::SmallDisk;
use crate::topics::{
    ACKS_ALL, FETCH_VERSION, FetchOptions, PRODUCE_VERSION, Topic, code, create, fetch_in, produce,
    produce_in, topic_name, values, works,
};
use crate::wire::Wire;

const METADATA_VERSION: i16 = 12;

const PARTITIONS: i32 = 4;

/// Two log directories of one broker.
pub(crate) struct Two {
    above: TempDir,
    first: PathBuf,
    second: PathBuf,
}

impl Two {
    fn new() -> Two {
        let above = directory();
        let [first, second] = ["first", "second"].map(|name| above.path().join(name));
        Two {
            above,
            first,
            second,
        }
    }

    /// Each on a disk of its own.
    pub(crate) fn on([first, second]: [&SmallDisk; 2]) -> Two {
        Two {
            above: directory(),
            first: first.path().join("data"),
            second: second.path().join("data"),
        }
    }

    /// Where there is room for what else a test needs.
    pub(crate) fn above(&self) -> &Path {
        self.above.path()
    }

    pub(crate) fn first(&self) -> PathBuf {
        self.first.clone()
    }

    /// The second directory is gone, as if its disk were not mounted.
    fn put_aside(&self) {
        std::fs::rename(self.second(), self.above.path().join("aside")).unwrap();
    }

    fn bring_back(&self) {
        std::fs::rename(self.above.path().join("aside"), self.second()).unwrap();
    }

    /// Where the second directory was there is something that cannot be one.
    fn make_unusable(&self) {
        self.put_aside();
        std::fs::write(self.second(), "no directory").unwrap();
    }

    fn make_usable(&self) {
        std::fs::remove_file(self.second()).unwrap();
        self.bring_back();
    }

    pub(crate) fn second(&self) -> PathBuf {
        self.second.clone()
    }

    pub(crate) fn setting(&self) -> String {
        self.setting_of(&[&self.first(), &self.second()])
    }

    fn setting_of(&self, paths: &[&Path]) -> String {
        let paths: Vec<_> = paths.iter().map(|path| path.to_str().unwrap()).collect();
        format!("log.dirs={}", paths.join(","))
    }

    pub(crate) fn start(&self) -> BrokerProcess {
        BrokerProcess::start(self.above.path(), &[&self.setting()])
    }

    fn in_vain(&self, paths: &[&Path]) -> Failed {
        start_in_vain(self.above.path(), &[&self.setting_of(paths)], || Ok(()))
    }

    /// The partitions of topic `t` that lie in a directory.
    pub(crate) fn partitions_in(path: &Path) -> BTreeSet<i32> {
        let entries = std::fs::read_dir(path).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let numbers = names.filter_map(|name| name.strip_prefix("t-")?.parse().ok());
        numbers.collect()
    }
}

pub(crate) fn stop(mut broker: BrokerProcess) {
    broker.signal(Signal::SIGTERM);
    assert!(broker.wait().success(), "no clean stop");
}

/// A topic `t` with a record in each partition.
fn filled(wire: &mut Wire) -> Topic {
    let topic = create(wire, "t", PARTITIONS, &[]);
    for partition in 0..PARTITIONS {
        let records = batch(&[format!("of {partition}")]);
        assert_eq!(produce(wire, &topic, partition, &records), 0);
    }
    topic
}

fn holds(wire: &mut Wire, topic: &Topic, partition: i32) {
    assert_eq!(values(wire, topic, partition), [format!("of {partition}")]);
}

/// Every request for a partition is answered with KAFKA_STORAGE_ERROR, and the metadata says that
/// it has no leader.
pub(crate) fn is_offline(wire: &mut Wire, topic: &Topic, partition: i32) {
    let storage_error = code(ErrorCode::KafkaStorageError);
    let records = batch(&["refused"]);
    let produced = produce_in(wire, PRODUCE_VERSION, ACKS_ALL, topic, partition, &records);
    assert_eq!(produced.error_code, storage_error, "{partition}");
    let options = FetchOptions::default();
    let fetched = fetch_in(wire, FETCH_VERSION, topic, (partition, 0), options);
    assert_eq!(fetched.error_code, storage_error, "{partition}");
    let described = describe(wire, topic, partition);
    assert_eq!(described.error_code, code(ErrorCode::LeaderNotAvailable));
    assert_eq!(described.leader_id.0, -1);
    assert_eq!(described.offline_replicas, described.replica_nodes);
}

fn describe(wire: &mut Wire, topic: &Topic, partition: i32) -> MetadataResponsePartition {
    let asked = MetadataRequestTopic::default().with_name(Some(topic_name(&topic.name)));
    let request = MetadataRequest::default().with_topics(Some(vec![asked]));
    let mut answer = wire.call(METADATA_VERSION, &request);
    let partitions = &mut answer.topics[0].partitions;
    let index = partitions
        .iter()
        .position(|p| p.partition_index == partition);
    partitions.swap_remove(index.expect("it is listed"))
}

fn delete(wire: &mut Wire, topic: &Topic) {
    let state = DeleteTopicState::default().with_name(Some(topic_name(&topic.name)));
    let request = DeleteTopicsRequest::default()
        .with_timeout_ms(30_000)
        .with_topics(vec![state]);
    assert_eq!(wire.call(6, &request).responses[0].error_code, 0);
}

#[test]
fn partitions_spread_over_both_and_are_found_after_a_stop_and_after_a_kill() {
    let two = Two::new();
    let broker = two.start();
    let topic = filled(&mut broker.connect());
    let (first, second) = (two.first(), two.second());
    let (in_first, in_second) = (Two::partitions_in(&first), Two::partitions_in(&second));
    assert_eq!((in_first.len(), in_second.len()), (2, 2));
    assert!(in_first.is_disjoint(&in_second));
    stop(broker);
    for path in [&first, &second] {
        assert!(path.join(".kafka_cleanshutdown").exists());
        let entries = std::fs::read_to_string(path.join("recovery-point-offset-checkpoint"));
        let lines: Vec<_> = entries.unwrap().lines().map(str::to_owned).collect();
        let mine = Two::partitions_in(path);
        let named = |partition: &i32| lines.contains(&format!("t {partition} 1"));
        assert!(mine.iter().all(named), "{lines:?}");
        assert_eq!(
            lines.iter().filter(|line| line.starts_with("t ")).count(),
            2
        );
    }
    let mut broker = two.start();
    (0..PARTITIONS).for_each(|partition| holds(&mut broker.connect(), &topic, partition));
    broker.kill();
    let broker = two.start();
    (0..PARTITIONS).for_each(|partition| holds(&mut broker.connect(), &topic, partition));
    assert_eq!(Two::partitions_in(&first), in_first);
    assert_eq!(Two::partitions_in(&second), in_second);
}

#[test]
fn a_partition_that_was_moved_is_found_and_stays_where_it_is() {
    let two = Two::new();
    let broker = two.start();
    let topic = filled(&mut broker.connect());
    stop(broker);
    let moved = Two::partitions_in(&two.second());
    for partition in &moved {
        let name = format!("t-{partition}");
        std::fs::rename(two.second().join(&name), two.first().join(&name)).unwrap();
    }
    let broker = two.start();
    let mut wire = broker.connect();
    (0..PARTITIONS).for_each(|partition| holds(&mut wire, &topic, partition));
    assert_eq!(Two::partitions_in(&two.second()), BTreeSet::new());
    // The metadata has them there now: without the other directory they are served, too.
    stop(broker);
    let broker = BrokerProcess::start(&two.first(), &[]);
    let mut wire = broker.connect();
    (0..PARTITIONS).for_each(|partition| holds(&mut wire, &topic, partition));
}

#[test]
fn a_directory_that_cannot_be_used_takes_only_its_partitions_away() {
    let two = Two::new();
    let broker = two.start();
    let topic = filled(&mut broker.connect());
    let (online, offline) = (
        Two::partitions_in(&two.first()),
        Two::partitions_in(&two.second()),
    );
    stop(broker);
    two.make_unusable();
    let broker = two.start();
    let mut wire = broker.connect();
    online
        .iter()
        .for_each(|&partition| holds(&mut wire, &topic, partition));
    offline
        .iter()
        .for_each(|&partition| is_offline(&mut wire, &topic, partition));
    works(&mut wire, "new");
    stop(broker);
    // It is back.
    two.make_usable();
    let broker = two.start();
    let mut wire = broker.connect();
    (0..PARTITIONS).for_each(|partition| holds(&mut wire, &topic, partition));
}

#[test]
fn nothing_is_made_anew_in_place_of_a_directory_that_is_empty_or_not_named_any_more() {
    let two = Two::new();
    let broker = two.start();
    let topic = filled(&mut broker.connect());
    let lost = Two::partitions_in(&two.second());
    stop(broker);
    two.put_aside();
    let broker = two.start();
    let mut wire = broker.connect();
    lost.iter()
        .for_each(|&partition| is_offline(&mut wire, &topic, partition));
    assert_eq!(Two::partitions_in(&two.second()), BTreeSet::new());
    stop(broker);
    std::fs::remove_dir_all(two.second()).unwrap();
    two.bring_back();
    let broker = two.start();
    let mut wire = broker.connect();
    (0..PARTITIONS).for_each(|partition| holds(&mut wire, &topic, partition));
}

#[test]
fn a_topic_recreated_while_its_directory_was_away_has_nothing_of_the_old_one() {
    let two = Two::new();
    let broker = two.start();
    let topic = filled(&mut broker.connect());
    let away = Two::partitions_in(&two.second());
    stop(broker);
    two.make_unusable();
    let broker = two.start();
    let mut wire = broker.connect();
    delete(&mut wire, &topic);
    let again = create(&mut wire, "t", PARTITIONS, &[]);
    for partition in 0..PARTITIONS {
        produce(&mut wire, &again, partition, &batch(&["again"]));
    }
    stop(broker);
    two.make_usable();
    let broker = two.start();
    let mut wire = broker.connect();
    for partition in 0..PARTITIONS {
        assert_eq!(values(&mut wire, &again, partition), ["again"]);
    }
    // What was away is kept, under another name.
    assert_eq!(Two::partitions_in(&two.second()), BTreeSet::new());
    let entries = std::fs::read_dir(two.second()).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let strays = names.filter(|name| name.ends_with("-stray")).count();
    assert_eq!(strays, away.len());
}

#[test]
fn directories_that_do_not_go_together() {
    let two = Two::new();
    let (first, second) = (two.first(), two.second());
    let name = |path: &Path| path.to_str().unwrap().to_owned();
    let broker = two.start();
    filled(&mut broker.connect());
    stop(broker);
    // One under two names.
    let link = two.above.path().join("link");
    std::os::unix::fs::symlink(&first, &link).unwrap();
    let failed = two.in_vain(&[&first, &second, &link]);
    failed.check(&[&name(&link), &name(&first), "name each directory once"]);
    let failed = two.in_vain(&[&first, &first.join("../first")]);
    failed.check(&[&name(&first), "name each directory once"]);
    // The metadata not in the first one.
    let failed = two.in_vain(&[&second, &first]);
    failed.check(&[
        &name(&first),
        &name(&second),
        "name the one with the metadata first",
    ]);
    let unformatted = two.above.path().join("unformatted");
    let failed = two.in_vain(&[&unformatted, &second]);
    failed.check(&[&name(&unformatted), &name(&second), "is its disk mounted"]);
    // One of another broker, and a copy.
    let other = two.above.path().join("other");
    BrokerProcess::start(&other, &[]).kill();
    let failed = two.in_vain(&[&first, &other]);
    failed.check(&[&name(&first), &name(&other), "belongs to cluster"]);
    let properties = std::fs::read(first.join("meta.properties")).unwrap();
    std::fs::create_dir(&unformatted).ok();
    std::fs::write(unformatted.join("meta.properties"), properties).unwrap();
    let failed = two.in_vain(&[&first, &unformatted]);
    failed.check(&[&name(&unformatted), &name(&first), "directory.id", "copy"]);
    // A partition in both.
    let partition = format!("t-{}", Two::partitions_in(&second).first().unwrap());
    std::fs::create_dir(first.join(&partition)).unwrap();
    for file in ["partition.metadata", "ringlog-checkpoint"] {
        let from = second.join(&partition).join(file);
        std::fs::copy(from, first.join(&partition).join(file)).unwrap();
    }
    let failed = two.in_vain(&[&first, &second]);
    let (a, b) = (first.join(&partition), second.join(&partition));
    failed.check(&[&name(&a), &name(&b), "same partition"]);
}

#[test]
fn what_an_operator_sees_of_them() {
    let two = Two::new();
    stop(two.start());
    two.make_unusable();
    let broker = TestBroker::start(&[&two.setting()]);
    let pages = broker.info().metrics_address.expect("it has pages");
    let page = crate::metrics::page(pages);
    let online = |path: &Path| {
        let labels = [("directory", path.to_str().unwrap())];
        page.sum("ringlog_log_directory_online", &labels)
    };
    assert_eq!((online(&two.first()), online(&two.second())), (1.0, 0.0));
    assert!(page.sum("ringlog_log_directory_free_bytes", &[]) > 0.0);
    let status: serde_json::Value =
        serde_json::from_str(&crate::metrics::get(pages, "/status")).unwrap();
    let directories = &status["log_directories"];
    assert_eq!(directories[0]["offline"], serde_json::Value::Null);
    assert!(directories[0]["free_bytes"].as_u64().unwrap() > 0);
    let reason = directories[1]["offline"].as_str().unwrap();
    assert!(reason.contains(two.second().to_str().unwrap()), "{reason}");
}
