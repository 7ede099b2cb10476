//! A start on a spoilt directory, on the simulator's disk, and another one after a stop, a kill or
//! a loss of power.
//!
//! Input: settings, then what [`crate::directory`] makes a directory of.

use std::path::Path;
use std::rc::Rc;

use ringlog::batch::{
    BatchBuilder, BatchHeader, BatchIter, BatchOptions, CrcCheck, HEAD_SIZE, ScanEnd,
};
use ringlog::io::Reactor;
use ringlog::io::sim::{MachineId, SimOptions, Simulation};
use ringlog::log::{
    AppendPlan, BatchToAppend, DirectoryOptions, Log, LogConfig, LogDirectory, LogError, OpenLog,
    PARTITION_METADATA, ReadRequest, TailBudget,
};
use ringlog::log_state::decode_partition_metadata;
use ringlog::types::{Offset, TopicId, TopicPartition};

use crate::directory::{Directory, directory};
use crate::input::Input;

const DATA: &str = "/data";

/// Batches that are appended to what was found.
const APPENDED_COUNT: usize = 3;

/// Steps of the simulated world until something hangs.
const STEP_COUNT_MAX: u64 = 200_000;

/// What the directory is opened with.
#[derive(Clone)]
struct Settings {
    config: LogConfig,
    topic_id: TopicId,
    ending: Ending,
    /// A time and an offset to look for.
    sought: i64,
}

/// What befalls the log when it was appended to.
#[derive(Clone, Copy)]
enum Ending {
    Stop,
    Kill,
    PowerCut,
}

pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let flags = input.u8();
    let settings = Settings {
        config: LogConfig {
            flush_before_ack: flags & 1 != 0,
            segment_size_max: if flags & 2 != 0 { 4096 } else { 1 << 20 },
            unflushed_bytes_max: if flags & 4 != 0 { 4096 } else { 64 << 20 },
            index_interval_bytes: if flags & 8 != 0 { 64 } else { 4096 },
            ..LogConfig::default()
        },
        ending: match flags >> 6 {
            0 | 1 => Ending::Stop,
            2 => Ending::Kill,
            _ => Ending::PowerCut,
        },
        sought: if flags & 16 != 0 { input.i64() } else { 0 },
        topic_id: TopicId::default(),
    };
    let files = directory(&mut input);
    start(&files, settings);
}

fn start(files: &Directory, mut settings: Settings) {
    let metadata = files.get(PARTITION_METADATA);
    let metadata = metadata.and_then(|text| str::from_utf8(text).ok());
    let topic_id = metadata.and_then(|text| decode_partition_metadata(text).ok());
    settings.topic_id = topic_id.unwrap_or(TopicId([7; 16]));
    let sim = Simulation::new(SimOptions {
        step_count_max: STEP_COUNT_MAX,
        ..SimOptions::with_seed(1)
    });
    for (name, contents) in files {
        let path = Path::new(DATA).join("t-0").join(name);
        sim.put_file(MachineId::FIRST, &path, contents)
            .expect("room on the disk");
    }
    let (again, ending) = (settings.clone(), settings.ending);
    let left = sim.run(MachineId::FIRST, move |reactor| async move {
        let made = reactor.disk().create_dir_all(Path::new(DATA)).await;
        made.expect("a directory can be made");
        let (directory, log) = open(&reactor, &settings).await?;
        let found = read_all(&log).await;
        look_around(&log, settings.sought).await;
        append_some(&reactor, &log).await;
        let left = contents(&log).await;
        assert!(
            left.batches.starts_with(&found),
            "an append has changed what was there"
        );
        if let Ending::Stop = ending {
            directory.stop().await.expect("a log stops on a sound disk");
        }
        Ok(left)
    });
    if let Ending::PowerCut = ending {
        sim.power_cut(MachineId::FIRST);
    }
    let found = sim.run(MachineId::FIRST, move |reactor| async move {
        let (_directory, log) = open(&reactor, &again).await?;
        Ok(contents(&log).await)
    });
    match (left, found) {
        (Ok(left), Ok(found)) => assert_eq!(found, left, "a restart has changed the log"),
        // What cannot be opened is not touched, and cannot be opened the next time.
        (Err(LogError::Corrupt { .. }), Err(LogError::Corrupt { .. })) => {}
        (Err(LogError::Corrupt { fault, .. }), Ok(_)) => panic!("{fault}, and then not"),
        (Err(_), _) => {}
        (Ok(_), Err(error)) => panic!("what was open does not open again: {error}"),
    }
}

/// What a reader sees of a log.
#[derive(Debug, PartialEq, Eq)]
struct Contents {
    log_start_offset: Offset,
    log_end_offset: Offset,
    /// First and last offset of each.
    batches: Vec<(Offset, Offset)>,
}

fn bounds(log: &Log) -> (Offset, Offset) {
    let state = log.state();
    (state.log_start_offset, state.log_end_offset)
}

async fn contents(log: &Log) -> Contents {
    let (log_start_offset, log_end_offset) = bounds(log);
    Contents {
        log_start_offset,
        log_end_offset,
        batches: read_all(log).await,
    }
}

async fn open(reactor: &Reactor, settings: &Settings) -> Result<(LogDirectory, Log), LogError> {
    let options = DirectoryOptions::new(DATA.into(), TailBudget::new(1 << 20));
    let directory = LogDirectory::open(reactor, options).await?;
    let options = OpenLog {
        partition: TopicPartition::new("t", 0),
        topic_id: settings.topic_id,
        config: settings.config.clone(),
        on_progress: Rc::new(|_| {}),
    };
    let (log, _) = Log::open(&directory, options).await?;
    Ok((directory, log))
}

/// Everything from the log's start to its end, or to the first that is corrupt: whole batches with
/// good CRCs, in order.
async fn read_all(log: &Log) -> Vec<(Offset, Offset)> {
    let (mut offset, end_bound) = bounds(log);
    assert!(
        offset <= end_bound,
        "the log starts at {offset} and ends at {end_bound}"
    );
    let mut found = Vec::new();
    while offset < end_bound {
        let request = ReadRequest {
            offset,
            size_max: 4096,
            end_bound,
        };
        let read = match log.read_cold(request).await {
            Ok(read) => read,
            Err(LogError::Corrupt { .. } | LogError::Io { .. }) => return found,
            Err(error) => panic!("reading at {offset} of {end_bound}: {error}"),
        };
        let bytes = read.pieces.concat();
        assert_eq!(bytes.len(), read.size);
        let mut batches = BatchIter::new(&bytes, CrcCheck::Verify);
        for batch in &mut batches {
            assert!(batch.last_offset() >= offset && batch.last_offset() < end_bound);
            assert!(batch.last_offset() >= batch.base_offset);
            found.push((batch.base_offset, batch.last_offset()));
            offset = batch.last_offset() + 1;
        }
        assert_eq!(
            batches.end(),
            Some(ScanEnd::Complete),
            "what is served is whole"
        );
        assert_eq!(read.next_offset, offset);
        if bytes.is_empty() {
            break;
        }
    }
    let ascends = found.windows(2).all(|pair| pair[0].1 < pair[1].0);
    assert!(ascends, "batches overlap: {found:?}");
    found
}

/// The lookups end, whatever the indexes say.
async fn look_around(log: &Log, sought: i64) {
    let (start, end) = bounds(log);
    if let Ok(Some(found)) = log.offset_for_timestamp(sought, end).await {
        assert!(found.timestamp >= sought && (start..end).contains(&found.offset));
    }
    let _ = log.max_timestamp().await;
    let request = ReadRequest {
        offset: sought,
        size_max: 100,
        end_bound: end,
    };
    let _ = log.read_cold(request).await;
}

/// Appends some batches, as far as there are offsets for them, and flushes.
async fn append_some(reactor: &Reactor, log: &Log) {
    for _ in 0..APPENDED_COUNT {
        if log.state().log_end_offset == Offset::MAX {
            break;
        }
        let now = reactor.wall_clock();
        let mut builder = BatchBuilder::new(BatchOptions::default(), 0);
        builder.append(now, None, Some(&[b'v'; 1_000]), &[]);
        let bytes = builder.close();
        let header = BatchHeader::parse(&bytes).expect("a batch of ours");
        let plan = AppendPlan {
            size: bytes.len(),
            last_offset_delta: 0,
            max_timestamp: now,
        };
        log.prepare_append(&plan, now);
        let epoch = log.state().epochs.latest_epoch().unwrap_or(0);
        let base_offset = log.state().log_end_offset;
        log.state().log_end_offset += 1;
        log.append(BatchToAppend {
            head: header.head(base_offset, epoch),
            body: bytes.slice(HEAD_SIZE..),
            base_offset,
            last_offset: base_offset,
            max_timestamp: now,
        });
    }
    log.flush_all().await.expect("a sound disk takes a flush");
}
