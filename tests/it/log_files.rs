//! `ringlog log dump` and `ringlog log verify`, on what a broker leaves and on what Kafka left.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::Signal;
use ringlog::batch::Codec;
use serde_json::Value;

use crate::broker::directory;
use crate::process::BrokerProcess;
use crate::records::compressed;
use crate::topics::{create, produce};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/segments");

pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    stderr: String,
}

/// Runs `ringlog log`.
pub(crate) fn log(command: &str, options: &[&str], path: &Path) -> Ran {
    let output = Command::new(env!("CARGO_BIN_EXE_ringlog"))
        .args(["log", command])
        .args(options)
        .arg(path)
        .output()
        .expect("the binary can be run");
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The lines of a dump that are of this type.
fn dumped(options: &[&str], path: &Path, kind: &str) -> Vec<Value> {
    let options = [options, &["--json"]].concat();
    let ran = log("dump", &options, path);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let lines = ran.stdout.lines();
    lines
        .map(|line| serde_json::from_str::<Value>(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .filter(|line| line["type"] == kind)
        .collect()
}

/// Every file below a directory, with what is in it and when it was changed.
fn everything(directory: &Path) -> BTreeMap<PathBuf, (Vec<u8>, std::time::SystemTime)> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let changed = path.metadata().unwrap().modified().unwrap();
        if path.is_dir() {
            found.extend(everything(&path));
            found.insert(path, (Vec::new(), changed));
        } else {
            let contents = std::fs::read(&path).unwrap();
            found.insert(path, (contents, changed));
        }
    }
    found
}

/// Starts a broker with one topic and a batch of every codec in it; gives the values.
fn filled(directory: &Path) -> (BrokerProcess, Vec<String>) {
    let broker = BrokerProcess::start(directory, &[]);
    let mut wire = broker.connect();
    let topic = create(&mut wire, "t", 1, &[]);
    let mut values = Vec::new();
    for codec in Codec::ALL {
        let of_batch: Vec<_> = (0..50).map(|n| format!("{} {n}", codec.name())).collect();
        produce(&mut wire, &topic, 0, &compressed(&of_batch, codec));
        values.extend(of_batch);
    }
    (broker, values)
}

fn segment(directory: &Path) -> PathBuf {
    directory.join("t-0/00000000000000000000.log")
}

#[test]
fn a_dump_shows_every_record_of_every_codec() {
    let directory = directory();
    let (mut broker, values) = filled(directory.path());
    broker.kill();
    let path = segment(directory.path());
    let batches = dumped(&[], &path, "batch");
    let codecs: Vec<_> = batches
        .iter()
        .map(|batch| &batch["compresscodec"])
        .collect();
    assert_eq!(codecs, ["none", "gzip", "snappy", "lz4", "zstd"]);
    assert!(batches.iter().all(|batch| batch["isvalid"] == true));
    let records = dumped(&["--records"], &path, "record");
    let payloads: Vec<_> = records.iter().map(|record| &record["payload"]).collect();
    assert_eq!(payloads, values.iter().collect::<Vec<_>>());
    let offsets: Vec<_> = records
        .iter()
        .map(|record| record["offset"].as_i64())
        .collect();
    assert_eq!(offsets, (0..250).map(Some).collect::<Vec<_>>());

    let two_batches = batches[2]["position"].to_string();
    let few = dumped(&["--max-bytes", &two_batches], &path, "batch");
    assert_eq!(few, batches[..2]);

    let text = log("dump", &["--records"], &path).stdout;
    assert!(
        text.contains("baseOffset: 0 lastOffset: 49 count: 50 "),
        "{text}"
    );
    assert!(text.contains("| offset: 249 CreateTime: "), "{text}");
    assert!(text.contains(" key: none payload: zstd 49\n"), "{text}");
}

#[test]
fn a_dump_shows_a_bad_crc_and_goes_on() {
    let directory = directory();
    let (mut broker, _) = filled(directory.path());
    broker.kill();
    let path = segment(directory.path());
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[70] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let ran = log("dump", &[], &path);
    assert_eq!(ran.code, Some(1));
    let valid = ran.stdout.matches("isvalid: true").count();
    assert_eq!(
        (ran.stdout.matches("isvalid: false").count(), valid),
        (1, 4)
    );
}

#[test]
fn a_dump_reads_the_small_files_too() {
    let directory = directory();
    let (mut broker, _) = filled(directory.path());
    broker.signal(Signal::SIGTERM);
    broker.wait();
    let points = dumped(&[], directory.path(), "offset");
    let of_topic = points.iter().find(|point| point["topic"] == "t").unwrap();
    assert_eq!(
        (&of_topic["partition"], &of_topic["offset"]),
        (&0.into(), &250.into())
    );
    let checkpoints = dumped(&[], &directory.path().join("t-0"), "checkpoint");
    assert!(checkpoints.iter().any(|slot| slot["recoveryPoint"] == 250));

    let indexed = Path::new(GOLDEN).join("indexed-0");
    let entries = dumped(
        &[],
        &indexed.join("00000000000000000060.index"),
        "indexEntry",
    );
    assert_eq!(
        (&entries[0]["offset"], &entries[0]["position"]),
        (&65.into(), &558.into())
    );
    assert!(!dumped(&[], &indexed, "timeIndexEntry").is_empty());
    let epochs = dumped(&[], &indexed, "leaderEpoch");
    assert_eq!(
        (&epochs[1]["leaderEpoch"], &epochs[1]["startOffset"]),
        (&2.into(), &110.into())
    );
    let producers = dumped(
        &[],
        &indexed.join("00000000000000000060.snapshot"),
        "producer",
    );
    assert_eq!(
        (&producers[0]["lastSequence"], &producers[0]["lastOffset"]),
        (&59.into(), &59.into())
    );
}

#[test]
fn kafkas_segments_are_read_compressed_and_transactional_ones() {
    let plain = dumped(
        &["--records"],
        &Path::new(GOLDEN).join("codec-none-0"),
        "record",
    );
    assert_eq!(plain.len(), 41);
    for codec in ["gzip", "snappy", "lz4", "zstd"] {
        let directory = Path::new(GOLDEN).join(format!("codec-{codec}-0"));
        let records = dumped(&["--records"], &directory, "record");
        for (record, plain) in records.iter().zip(&plain) {
            for field in ["offset", "key", "payload", "headers"] {
                assert_eq!(record[field], plain[field], "{codec}");
            }
        }
        assert_eq!(records.len(), 41, "{codec}");
    }
    let transactions = dumped(&["--records"], &Path::new(GOLDEN).join("txn-0"), "record");
    let is_marker = |record: &&Value| record["endTxnMarker"] == "COMMIT";
    assert!(transactions.iter().filter(is_marker).count() > 1);
    let ran = log("verify", &["--deep"], Path::new(GOLDEN));
    assert_eq!(ran.code, Some(0), "{}", ran.stdout);
    assert!(ran.stdout.contains("records: 368 "), "{}", ran.stdout);
}

#[test]
fn a_running_broker_is_not_verified() {
    let directory = directory();
    let (broker, _) = filled(directory.path());
    for path in [directory.path().to_owned(), directory.path().join("t-0")] {
        let ran = log("verify", &[], &path);
        assert_eq!(ran.code, Some(1));
        assert!(ran.stderr.contains("a broker is running"), "{}", ran.stderr);
    }
    drop(broker);
}

#[test]
fn verification_finds_nothing_after_a_kill_or_a_stop_and_writes_nothing() {
    let directory = directory();
    let (mut broker, _) = filled(directory.path());
    broker.kill();
    for stops in [false, true] {
        if stops {
            let mut broker = BrokerProcess::start(directory.path(), &[]);
            broker.signal(Signal::SIGTERM);
            broker.wait();
        }
        let before = everything(directory.path());
        let ran = log("verify", &["--deep"], directory.path());
        assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
        assert!(
            ran.stdout.contains("problems: 0 notes: 0"),
            "{}",
            ran.stdout
        );
        assert!(
            everything(directory.path()) == before,
            "something was written"
        );
    }
}

#[test]
fn verification_names_the_byte_that_is_wrong() {
    let directory = directory();
    let (mut broker, _) = filled(directory.path());
    broker.signal(Signal::SIGTERM);
    broker.wait();
    let path = segment(directory.path());
    let mut bytes = std::fs::read(&path).unwrap();
    let position = dumped(&[], &path, "batch")[3]["position"].as_u64().unwrap();
    bytes[position as usize + 80] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let before = everything(directory.path());
    let ran = log("verify", &[], directory.path());
    assert_eq!(ran.code, Some(1));
    let told = format!(
        "problem: {}: byte {position}: corrupt: stored CRC",
        path.display()
    );
    assert!(ran.stdout.contains(&told), "{}", ran.stdout);
    assert!(
        everything(directory.path()) == before,
        "something was written"
    );
}
