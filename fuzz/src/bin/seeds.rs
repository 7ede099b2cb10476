//! Makes the first inputs of the targets from the golden files:
//! `seeds CORPUS_DIRECTORY` writes `CORPUS_DIRECTORY/<target>/seed-*`.

use std::fs;
use std::path::{Path, PathBuf};

use ringlog::batch::Codec;
use ringlog::log_state::RecoveryCheckpoint;
use ringlog::protocol::API_TABLE;
use serde::Deserialize;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden");

#[derive(Deserialize)]
struct Row {
    kind: String,
    key: i16,
    version: i16,
    #[serde(default)]
    body: String,
    #[serde(default)]
    frame: String,
}

struct Seeds {
    corpus: PathBuf,
    count: usize,
}

impl Seeds {
    fn add(&mut self, target: &str, parts: &[&[u8]]) {
        let directory = self.corpus.join(target);
        fs::create_dir_all(&directory).expect("the corpus can be written");
        self.count += 1;
        let path = directory.join(format!("seed-{:05}", self.count));
        fs::write(path, parts.concat()).expect("the corpus can be written");
    }

    /// Messages and frames of the APIs in the table.
    fn messages(&mut self, file: &str) {
        let text = fs::read_to_string(Path::new(GOLDEN).join("corpus").join(file));
        for line in text.expect("the golden corpus").lines() {
            let row: Row = serde_json::from_str(line).expect("a row of the corpus");
            let index = API_TABLE.iter().position(|api| api.key.code() == row.key);
            let Some(index) = index else { continue };
            let mut versions = API_TABLE[index].decoded.iter();
            let Some(version) = versions.position(|version| version == row.version) else {
                continue;
            };
            let (index, version) = (index as u8, version as u8);
            let api = &API_TABLE[usize::from(index)];
            match (row.kind.as_str(), row.frame.is_empty()) {
                ("request", true) => {
                    self.add("request", &[&[0, index, version], &unhex(&row.body)])
                }
                ("request", false) => self.add("request", &[&[1], &unhex(&row.frame)]),
                (_, true) => {
                    let header: &[u8] = match api.response_header_version(row.version) {
                        0 => &[0, 0, 0, 1],
                        _ => &[0, 0, 0, 1, 0],
                    };
                    self.add(
                        "response",
                        &[&[0, index, version], header, &unhex(&row.body)],
                    );
                }
                (_, false) => self.add("response", &[&[0, index, version], &unhex(&row.frame)]),
            }
        }
    }

    /// Batches of real segments, by every codec that a topic may ask for, and small files.
    fn segments(&mut self) {
        let directories = fs::read_dir(Path::new(GOLDEN).join("segments"));
        for directory in directories.expect("the golden segments").flatten() {
            let Ok(files) = fs::read_dir(directory.path()) else {
                continue;
            };
            for file in files.flatten() {
                let bytes = fs::read(file.path()).expect("a golden file");
                let name = file.file_name().into_string().expect("a plain name");
                match name
                    .rsplit_once('.')
                    .map_or(&name[..], |(_, extension)| extension)
                {
                    "log" => self.batches(&bytes),
                    "snapshot" => self.add("files", &[&[1], &bytes]),
                    "leader-epoch-checkpoint" => self.add("files", &[&[6], &bytes]),
                    "metadata" => self.add("files", &[&[10], &bytes]),
                    "index" | "timeindex" => self.add("files", &[&[12], &bytes]),
                    _ => {}
                }
            }
        }
        for (kind, name) in [
            (8, "recovery-point-offset-checkpoint"),
            (10, "meta.properties"),
        ] {
            let bytes = fs::read(Path::new(GOLDEN).join("segments").join(name));
            self.add("files", &[&[kind], &bytes.expect("a golden file")]);
        }
        self.add("files", &[&[3], &RecoveryCheckpoint::default().encode()]);
    }

    fn batches(&mut self, mut log: &[u8]) {
        while let Some(length) = log.get(8..12) {
            let length = u32::from_be_bytes(length.try_into().expect("four bytes")) as usize;
            let Some((batch, rest)) = log.split_at_checked(12 + length) else {
                return;
            };
            log = rest;
            // A producer sends base offset 0.
            let sent = [&[0; 8], &batch[8..]].concat();
            for target in 0..Codec::ALL.len() + 1 {
                let settings = [1 | 2 * (target as u8 % 2), target as u8, 9, 14];
                self.add("batch", &[&settings, &sent]);
            }
        }
    }

    /// Each real directory as it is, with each kind of edit, and as `log verify` reads it.
    fn directories(&mut self) {
        for directory in 0..5 {
            for flags in [1, 14, 27, 128 | 1, 192 | 14] {
                self.add("recovery", &[&[flags, directory]]);
                for kind in 0..10 {
                    for file in [0, 1, 5, 12, 16] {
                        let edit = [kind, file, 0, 70, 4, 0, 0, 0, 9, 5, file];
                        self.add("recovery", &[&[flags, directory], &edit]);
                    }
                }
            }
            // A start of the log behind its end, in the first slot and the second.
            for slot in [0, 16] {
                let start = [1, 17, slot, 28, 8, 0, 0, 0, 0, 0, 0, 0, 255, 5, 17];
                self.add("recovery", &[&[128, directory], &start]);
            }
            self.add("files", &[&[18, 3], &[0; 8], &[directory]]);
        }
    }

    /// Whole log directories as they are, and with each kind of edit at every fifth file.
    fn log_directories(&mut self) {
        for flags in [0, 1, 128, 129, 192, 193] {
            self.add("start", &[&[flags]]);
            self.add("files", &[&[20], &[flags | 2]]);
            for kind in 0..10 {
                for file in (0..60).step_by(5) {
                    let edit = [kind, file, 0, 70, 4, 0, 0, 0, 9, 5, file];
                    self.add("start", &[&[flags], &edit]);
                    self.add("files", &[&[20], &[flags | 2], &edit]);
                }
            }
        }
    }

    /// Configuration files.
    fn configurations(&mut self) {
        for text in [
            "log.dirs=/data\nlisteners=PLAINTEXT://127.0.0.1:9092,X://[::1]:9093\n",
            "# a comment\nlisteners = A://:1\nadvertised.listeners=A://host:2\nnode.id: 3\n",
            "log.segment.bytes=1048576\nlog.retention.ms=-1\ncompression.type=zstd\n\\\n",
        ] {
            self.add("files", &[&[22], text.as_bytes()]);
        }
    }

    /// A client that is answered soundly, then not, a little later each time.
    fn conversations(&mut self) {
        for scenario in 0..3 {
            for sound_count in 0..12 {
                let sound = vec![0; sound_count];
                let edited = [2, 0, 9, 4, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];
                let short = [3, 0, 3, 0, 0, 0, 0, 0, 0, 0];
                self.add("response", &[&[1, scenario], &sound, &edited]);
                self.add("response", &[&[1, scenario], &sound, &short]);
            }
        }
    }

    /// Our own metadata records and Kafka's, out of their logs.
    fn metadata(&mut self) {
        let data = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data");
        for directory in ["kafka-4.1.1", "format-1"] {
            let name = "__cluster_metadata-0/00000000000000000000.log";
            let bytes = fs::read(Path::new(data).join(directory).join(name));
            let bytes = bytes.expect("a golden log");
            self.add("files", &[&[17], &bytes[..bytes.len().min(8 << 10)]]);
            let mut records = Vec::new();
            let batches = ringlog::batch::BatchIter::new(&bytes, ringlog::batch::CrcCheck::Skip);
            for batch in batches {
                for record in ringlog::batch::RecordIter::new(batch.header(), batch.payload()) {
                    let value = record
                        .ok()
                        .and_then(|record| record.value)
                        .unwrap_or_default();
                    if let Ok(size) = u8::try_from(value.len()) {
                        records.push(size);
                        records.extend_from_slice(value);
                    }
                }
            }
            self.add("files", &[&[14], &records]);
        }
    }
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = (0..text.len()).step_by(2);
    digits
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal"))
        .collect()
}

fn main() {
    let corpus = std::env::args()
        .nth(1)
        .expect("usage: seeds CORPUS_DIRECTORY");
    let mut seeds = Seeds {
        corpus: PathBuf::from(corpus),
        count: 0,
    };
    seeds.messages("messages.jsonl");
    seeds.messages("frames.jsonl");
    seeds.segments();
    seeds.metadata();
    seeds.directories();
    seeds.log_directories();
    seeds.configurations();
    seeds.conversations();
}
