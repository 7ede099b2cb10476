//! A partition's directory, spoilt as an input says.
//!
//! Input: which directory to begin with, then edits until it ends: a byte for the kind, a byte for
//! the file (by name, in order), and what the kind needs. After each run of edits checksums are
//! wrong unless the edit [`Edit::Seal`] sets them right.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;

use ringlog::log::{CHECKPOINT_FILE, LEADER_EPOCH_CHECKPOINT, PARTITION_METADATA};

use crate::input::Input;
use crate::seal::{seal_batches, seal_checkpoint_file, seal_snapshot};

pub(crate) type Directory = BTreeMap<String, Vec<u8>>;

/// Bytes of a file at most; a segment of a real directory is cut to it.
const FILE_SIZE_MAX: usize = 32 << 10;

/// Edits of one input at most.
const EDITS_MAX: usize = 64;

const EXTENSIONS: [&str; 7] = [
    "log",
    "index",
    "timeindex",
    "snapshot",
    "txnindex",
    "log.deleted",
    "index.cleaned",
];

macro_rules! real_directory {
    ($path:literal, $($name:literal),* $(,)?) => {
        &[$(($name, include_bytes!(concat!("../../tests/", $path, "/", $name)))),*]
    };
}

/// Real directories: ours of class P with several segments, killed; ours of class K; Kafka's with
/// indexes; Kafka's with transactions.
const REAL: [&[(&str, &[u8])]; 4] = [
    real_directory!(
        "data/format-1/power-safe-0",
        "00000000000000000000.index",
        "00000000000000000000.log",
        "00000000000000000000.timeindex",
        "00000000000000000030.index",
        "00000000000000000030.log",
        "00000000000000000030.snapshot",
        "00000000000000000030.timeindex",
        "00000000000000000048.snapshot",
        "00000000000000000060.index",
        "00000000000000000060.log",
        "00000000000000000060.snapshot",
        "00000000000000000060.timeindex",
        "00000000000000000090.log",
        "00000000000000000090.snapshot",
        "leader-epoch-checkpoint",
        "partition.metadata",
        "ringlog-checkpoint",
    ),
    real_directory!(
        "data/format-1/kill-safe-0",
        "00000000000000000000.index",
        "00000000000000000000.log",
        "00000000000000000000.timeindex",
        "00000000000000000048.snapshot",
        "leader-epoch-checkpoint",
        "partition.metadata",
        "ringlog-checkpoint",
    ),
    real_directory!(
        "golden/segments/indexed-0",
        "00000000000000000000.index",
        "00000000000000000000.log",
        "00000000000000000000.timeindex",
        "00000000000000000060.index",
        "00000000000000000060.log",
        "00000000000000000060.snapshot",
        "00000000000000000060.timeindex",
        "00000000000000000110.index",
        "00000000000000000110.log",
        "00000000000000000110.snapshot",
        "00000000000000000110.timeindex",
        "00000000000000000130.snapshot",
        "leader-epoch-checkpoint",
        "partition.metadata",
    ),
    real_directory!(
        "golden/segments/txn-0",
        "00000000000000000000.index",
        "00000000000000000000.log",
        "00000000000000000000.timeindex",
        "00000000000000000033.snapshot",
        "leader-epoch-checkpoint",
        "partition.metadata",
    ),
];

/// The directory that the input describes.
pub(crate) fn directory(input: &mut Input<'_>) -> Directory {
    let mut directory = Directory::new();
    if let Some(real) = REAL.get(usize::from(input.u8() % 5)) {
        for (name, contents) in real.iter() {
            let contents = &contents[..contents.len().min(FILE_SIZE_MAX)];
            directory.insert((*name).to_owned(), contents.to_vec());
        }
    }
    edit_all(&mut directory, input);
    directory
}

/// All files of one of the directories in `tests/data`, by their paths in it.
pub(crate) fn log_directory(name: &str) -> &'static Directory {
    static SAMPLES: OnceLock<BTreeMap<String, Directory>> = OnceLock::new();
    let samples = SAMPLES.get_or_init(|| {
        let data = crate::repository().join("tests/data");
        let read = |name: &str| {
            let mut files = Directory::new();
            add_files(&mut files, &data.join(name), "");
            (name.to_owned(), files)
        };
        ["kafka-4.1.1", "format-1"].map(read).into()
    });
    &samples[name]
}

#[allow(clippy::disallowed_methods, reason = "it reads the repository")]
fn add_files(files: &mut Directory, path: &Path, prefix: &str) {
    for entry in std::fs::read_dir(path).expect("a sample") {
        let entry = entry.expect("a sample");
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            add_files(files, &entry.path(), &format!("{name}/"));
        } else {
            files.insert(name, std::fs::read(entry.path()).expect("a sample"));
        }
    }
}

/// Spoils files, of one partition or of a whole log directory: then the names are paths in it.
pub(crate) fn edit_all(directory: &mut Directory, input: &mut Input<'_>) {
    for _ in 0..EDITS_MAX {
        if input.is_empty() {
            break;
        }
        edit(directory, input);
    }
}

fn edit(directory: &mut Directory, input: &mut Input<'_>) {
    let kind = input.u8() % 10;
    if kind == 0 {
        return make(directory, input);
    }
    let choice = usize::from(input.u8()) % directory.len().max(1);
    let Some(name) = directory.keys().nth(choice).cloned() else {
        return;
    };
    if kind == 4 {
        let to = new_name(directory, input);
        let contents = directory[&name].clone();
        directory.insert(to, contents);
        return;
    }
    let contents = directory.get_mut(&name).expect("a name of the directory");
    match kind {
        1 => overwrite(contents, input),
        2 => contents.truncate(usize::from(input.u16())),
        3 => {
            directory.remove(&name);
        }
        5 | 6 => seal(&name, contents),
        7 => {
            let size = usize::from(input.u8());
            let room = FILE_SIZE_MAX.saturating_sub(contents.len());
            contents.extend_from_slice(input.take(size.min(room)));
        }
        8 => patch_batch(contents, input),
        _ => {
            let size = (usize::from(input.u16())).min(FILE_SIZE_MAX);
            contents.resize(size.max(contents.len()), 0);
        }
    }
}

fn make(directory: &mut Directory, input: &mut Input<'_>) {
    let name = new_name(directory, input);
    let size = usize::from(input.u16());
    directory.insert(name, input.take(size).to_vec());
}

/// A name, in the directory of one of the files.
fn new_name(directory: &Directory, input: &mut Input<'_>) -> String {
    let own = own_name(input);
    let mut parents: Vec<&str> = directory
        .keys()
        .filter_map(|name| Some(name.rsplit_once('/')?.0))
        .collect();
    parents.dedup();
    if parents.is_empty() {
        return own;
    }
    let parent = parents[usize::from(input.u8()) % parents.len()];
    format!("{parent}/{own}")
}

fn own_name(input: &mut Input<'_>) -> String {
    match usize::from(input.u8()) % (EXTENSIONS.len() + 3) {
        7 => CHECKPOINT_FILE.to_owned(),
        8 => LEADER_EPOCH_CHECKPOINT.to_owned(),
        9 => PARTITION_METADATA.to_owned(),
        extension => {
            // Small offsets for the most part, any at all now and then.
            let offset = match input.u8() {
                255 => input.i64().unsigned_abs(),
                small => u64::from(small),
            };
            format!("{offset:020}.{}", EXTENSIONS[extension])
        }
    }
}

fn overwrite(contents: &mut [u8], input: &mut Input<'_>) {
    let position = usize::from(input.u16());
    let size = usize::from(input.u8());
    let bytes = input.take(size);
    if let Some(target) = contents.get_mut(position..) {
        let size = bytes.len().min(target.len());
        target[..size].copy_from_slice(&bytes[..size]);
    }
}

/// Sets one number in the header of the n-th batch.
fn patch_batch(contents: &mut [u8], input: &mut Input<'_>) {
    const FIELDS: [(usize, usize); 12] = [
        (0, 8),
        (8, 4),
        (12, 4),
        (21, 2),
        (23, 4),
        (27, 8),
        (35, 8),
        (43, 8),
        (51, 2),
        (53, 4),
        (57, 4),
        (16, 1),
    ];
    let (nth, field, value) = (input.u8() % 64, input.u8(), input.i64());
    let (position, size) = FIELDS[usize::from(field) % FIELDS.len()];
    let mut rest = contents;
    for _ in 0..nth {
        let Some(length) = rest.get(8..12) else {
            return;
        };
        let length = u32::from_be_bytes(length.try_into().expect("four bytes")) as usize;
        let Some(behind) = rest.get_mut(12 + length..) else {
            return;
        };
        rest = behind;
    }
    if let Some(target) = rest.get_mut(position..position + size) {
        target.copy_from_slice(&value.to_be_bytes()[8 - size..]);
    }
}

fn seal(name: &str, contents: &mut [u8]) {
    if name.ends_with(CHECKPOINT_FILE) {
        seal_checkpoint_file(contents);
    } else if name.ends_with(".snapshot") {
        seal_snapshot(contents);
    } else {
        seal_batches(contents);
    }
}
