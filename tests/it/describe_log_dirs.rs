//! DescribeLogDirs: what lies where, how large it is, and how much room there is.

use std::collections::BTreeMap;
use std::path::Path;

use kafka_protocol::messages::DescribeLogDirsRequest;
use kafka_protocol::messages::describe_log_dirs_request::DescribableLogDirTopic;
use kafka_protocol::messages::describe_log_dirs_response::DescribeLogDirsResult;
use ringlog::protocol::ApiKey;
use ringlog::types::ErrorCode;

use crate::broker::{TestBroker, directory};
use crate::records::batch;
use crate::topics::{code, create, produce, topic_name, versions};
use crate::wire::Wire;

const VERSION: i16 = 4;

/// From these versions on an answer has an error for the whole request, and sizes of disks.
const ERROR_VERSION_MIN: i16 = 3;
const SPACE_VERSION_MIN: i16 = 4;

fn describe(
    wire: &mut Wire,
    version: i16,
    topics: Option<&[(&str, &[i32])]>,
) -> Vec<DescribeLogDirsResult> {
    let topics = topics.map(|topics| {
        let asked = topics.iter().map(|(name, partitions)| {
            DescribableLogDirTopic::default()
                .with_topic(topic_name(name))
                .with_partitions(partitions.to_vec())
        });
        asked.collect()
    });
    let request = DescribeLogDirsRequest::default().with_topics(topics);
    let response = wire.call(version, &request);
    if version >= ERROR_VERSION_MIN {
        assert_eq!(response.error_code, 0);
    }
    response.results
}

/// Size by topic and partition; nothing lags behind or is on its way.
fn sizes(result: &DescribeLogDirsResult) -> BTreeMap<(String, i32), i64> {
    let mut sizes = BTreeMap::new();
    for topic in &result.topics {
        for partition in &topic.partitions {
            assert!((partition.offset_lag, partition.is_future_key) == (0, false));
            let of = (topic.name.to_string(), partition.partition_index);
            assert_eq!(sizes.insert(of, partition.partition_size), None);
        }
    }
    sizes
}

fn of(name: &str, partition: i32) -> (String, i32) {
    (name.to_owned(), partition)
}

#[test]
fn all_partitions_or_those_that_are_asked_for_with_the_bytes_of_their_records() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    let a = create(&mut wire, "a", 2, &[]);
    create(&mut wire, "b", 1, &[]);
    let records = batch(&["a record"]);
    produce(&mut wire, &a, 1, &records);
    produce(&mut wire, &a, 1, &records);
    let written = 2 * records.len() as i64;
    for version in versions(ApiKey::DescribeLogDirs) {
        let everything = describe(&mut wire, version, None);
        let [log_dir] = &everything[..] else {
            panic!("{everything:?}");
        };
        assert_eq!(log_dir.error_code, 0);
        assert_eq!(Path::new(log_dir.log_dir.as_str()), broker.directory());
        let all = [(of("a", 0), 0), (of("a", 1), written), (of("b", 0), 0)];
        assert_eq!(sizes(log_dir), BTreeMap::from(all), "version {version}");
        if version >= SPACE_VERSION_MIN {
            let (total, usable) = (log_dir.total_bytes, log_dir.usable_bytes);
            assert!(0 < usable && usable <= total, "{usable} of {total}");
        }
        let some = [("a", &[1, 1, 7, -1][..]), ("x", &[0]), ("b", &[])];
        let some = describe(&mut wire, version, Some(&some));
        let one = BTreeMap::from([(of("a", 1), written)]);
        assert_eq!(sizes(&some[0]), one, "version {version}");
        let none = describe(&mut wire, version, Some(&[]));
        assert_eq!((none.len(), none[0].topics.len()), (1, 0));
    }
}

#[test]
fn an_offline_directory_has_its_error_and_the_others_go_on() {
    let above = directory();
    let (first, second) = (above.path().join("first"), above.path().join("second"));
    let setting = format!("log.dirs={},{}", first.display(), second.display());
    let mut broker = TestBroker::start(&[&setting]);
    let mut wire = broker.connect();
    create(&mut wire, "t", 4, &[]);
    let both = describe(&mut wire, VERSION, None);
    let paths: Vec<_> = both
        .iter()
        .map(|log_dir| log_dir.log_dir.as_str())
        .collect();
    assert_eq!(paths, [first.to_str().unwrap(), second.to_str().unwrap()]);
    let (in_first, in_second) = (sizes(&both[0]), sizes(&both[1]));
    assert_eq!((in_first.len(), in_second.len()), (2, 2));
    drop(wire);
    broker.stop();
    std::fs::remove_dir_all(&second).unwrap();
    std::fs::write(&second, "no directory").unwrap();
    broker.start_again(&[&setting]);
    let mut wire = broker.connect();
    for version in versions(ApiKey::DescribeLogDirs) {
        let both = describe(&mut wire, version, None);
        assert_eq!((both[0].error_code, sizes(&both[0])), (0, in_first.clone()));
        let offline = &both[1];
        assert_eq!(offline.error_code, code(ErrorCode::KafkaStorageError));
        assert_eq!(offline.log_dir.as_str(), second.to_str().unwrap());
        assert_eq!(offline.topics, []);
        if version >= SPACE_VERSION_MIN {
            assert_eq!((offline.total_bytes, offline.usable_bytes), (-1, -1));
        }
    }
}
