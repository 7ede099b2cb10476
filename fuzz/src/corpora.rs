//! The committed inputs, each through its target, and a number of mutations of each: what needs
//! neither a fuzzer nor another compiler. `cargo test --test fuzz`.
//!
//! `RINGLOG_FUZZ_ROUNDS=100` takes a hundred times as many mutations, `RINGLOG_FUZZ_SEED` others.
//! What breaks something is written to `fuzz/artifacts`.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use ringlog::io::sim::Random;

/// Inputs are no larger when they are mutated, bytes.
const SIZE_MAX: usize = 4096;

/// Changes of one input at most.
const CHANGES_MAX: u64 = 4;

/// A target, and how many mutations of its inputs a round has: what takes about as long.
type Target = (&'static str, fn(&[u8]), u64);

const TARGETS: [Target; 6] = [
    ("batch", crate::batch::run, 200),
    ("files", crate::files::run, 400),
    ("recovery", crate::recovery::run, 10),
    ("request", crate::request::run, 1_000),
    ("response", crate::response::run, 200),
    ("start", crate::start::run, 1),
];

type Corpus = BTreeMap<PathBuf, Vec<u8>>;

/// One test, since memory is counted for the whole process.
#[test]
fn the_committed_inputs_and_others_like_them_break_nothing() {
    let (seed, rounds) = (number("RINGLOG_FUZZ_SEED"), number("RINGLOG_FUZZ_ROUNDS"));
    let mut broken = Vec::new();
    for (name, run, mutation_count) in TARGETS {
        let corpus = corpus(name);
        assert!(!corpus.is_empty(), "fuzz/corpus/{name} is empty");
        for (path, input) in &corpus {
            if !survives(run, input) {
                broken.push(path.clone());
            }
        }
        let inputs: Vec<&Vec<u8>> = corpus.values().collect();
        let mut random = Random::stream(seed, name, 0);
        for nth in 0..mutation_count * rounds {
            let input = mutated(&inputs, &mut random);
            if !survives(run, &input) {
                broken.push(kept(&format!("{name}-{seed}-{nth}"), &input));
            }
        }
    }
    assert!(
        broken.is_empty(),
        "these inputs break something: {broken:?}"
    );
}

/// A number of the environment, 1 where it is not set.
#[allow(clippy::disallowed_methods, reason = "a switch of the test")]
fn number(key: &str) -> u64 {
    std::env::var(key).map_or(1, |text| text.parse().expect("a number"))
}

fn survives(run: fn(&[u8]), input: &[u8]) -> bool {
    catch_unwind(AssertUnwindSafe(|| run(input))).is_ok()
}

#[allow(clippy::disallowed_methods, reason = "it reads the repository")]
fn corpus(target: &str) -> Corpus {
    let directory = crate::repository().join("fuzz/corpus").join(target);
    let entries = std::fs::read_dir(directory).expect("a corpus of each target");
    let read = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.expect("an input").path();
        let input = std::fs::read(&path).expect("an input");
        (path, input)
    };
    entries.map(read).collect()
}

#[allow(
    clippy::disallowed_methods,
    reason = "it is for whoever looks for the reason"
)]
fn kept(name: &str, input: &[u8]) -> PathBuf {
    let directory = crate::repository().join("fuzz/artifacts");
    std::fs::create_dir_all(&directory).expect("a directory for what is found");
    let path = directory.join(name);
    std::fs::write(&path, input).expect("room for what is found");
    path
}

/// One of the inputs with a few changes.
fn mutated(inputs: &[&Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut input = pick(inputs, random).clone();
    for _ in 0..random.between(1, CHANGES_MAX) {
        let at = random.below(input.len() as u64 + 1) as usize;
        let until = (at + random.between(1, 16) as usize).min(input.len());
        match random.below(6) {
            0 => flip(&mut input[at..until], random),
            1 => overwrite(&mut input[at..until], random),
            2 => drop(input.drain(at..until)),
            3 => {
                let copied = input[at..until].to_vec();
                input.splice(at..at, copied);
            }
            4 => {
                let other = pick(inputs, random);
                let from = random.below(other.len() as u64 + 1) as usize;
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            _ => {
                let count = random.between(1, 16);
                let added: Vec<u8> = (0..count).map(|_| random.next_u64() as u8).collect();
                input.splice(at..at, added);
            }
        }
        input.truncate(SIZE_MAX);
    }
    input
}

fn pick<'a>(inputs: &[&'a Vec<u8>], random: &mut Random) -> &'a Vec<u8> {
    inputs[random.below(inputs.len() as u64) as usize]
}

fn flip(bytes: &mut [u8], random: &mut Random) {
    if let Some(byte) = bytes.first_mut() {
        *byte ^= 1 << random.below(8);
    }
}

/// A number at one of its ends, in one of its sizes.
fn overwrite(bytes: &mut [u8], random: &mut Random) {
    const ENDS: [u64; 6] = [0, 1, u64::MAX, 1 << 63, (1 << 63) - 1, 0x7f];
    let number = ENDS[random.below(ENDS.len() as u64) as usize].to_be_bytes();
    let size = (1 << random.below(4)).min(bytes.len());
    // The first bytes have the sign, the last ones what is small.
    let source = if random.coin() {
        &number[..size]
    } else {
        &number[8 - size..]
    };
    bytes[..size].copy_from_slice(source);
}
