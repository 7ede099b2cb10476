//! Each promise of the broker, broken on purpose: its simulation must notice. Beside the rules of
//! durability in `rules` they make the table "Break flags" in docs/reliability.md:
//!
//!     UPDATE=1 cargo test --release --test sim break_flags

use std::panic::catch_unwind;
use std::path::PathBuf;

use ringlog::log::BrokenRule;
use ringlog::shard::{Broken, BrokenPromise};
use ringlog::sim::{Invariant, SeedOptions, run_seed};

use crate::rules;

/// Seeds within which a broken promise must be noticed, and operations of each.
const SEEDS_MAX: u64 = 1_000;
const STEPS: u64 = 300;

/// Where the table is, between two lines.
const DOCUMENT: &str = "docs/reliability.md";
const BEGIN: &str = "<!-- break flags: UPDATE=1 cargo test --release --test sim break_flags -->";
const END: &str = "<!-- end of break flags -->";

/// Which invariants may notice first that a promise is broken.
fn noticing(promise: BrokenPromise) -> &'static [Invariant] {
    use Invariant as I;
    match promise {
        BrokenPromise::RepeatsDuplicates => &[I::Once, I::OriginalOffset, I::InOrder],
        BrokenPromise::MovesDuplicates => &[I::OriginalOffset, I::Unchanged, I::Once],
        BrokenPromise::AcceptsGaps => &[I::InOrder, I::Once],
        BrokenPromise::MiscountsOffsets => &[I::Unchanged, I::Once, I::OriginalOffset],
        BrokenPromise::NamesNoOffset => &[I::Answers, I::OriginalOffset],
        BrokenPromise::RefusesAtRandom => &[I::NotRefused],
        BrokenPromise::TellsOldEnds => &[I::HighWatermark, I::LogStart, I::Kept],
        BrokenPromise::KeepsDeletedRecords => &[I::LogStart],
        BrokenPromise::KeepsDeletedTopics => &[I::Topics, I::DeletedIds],
        BrokenPromise::ForgetsSettings => &[I::Settings],
        BrokenPromise::ServesUnknownIds => &[I::DeletedIds, I::NotRefused],
        BrokenPromise::SkipsBatches => &[I::Contiguous],
        BrokenPromise::FlipsBits => &[I::Sent],
        BrokenPromise::NeverReadsCold => &[I::Liveness],
        BrokenPromise::EndsByItself => &[I::Process],
        // Where the log goes on after the cut, others may notice first.
        BrokenPromise::HidesCuts => &[I::NotCutSilently, I::Unchanged, I::HighWatermark, I::Once],
        BrokenPromise::HidesDamage => &[I::DamageReported],
    }
}

/// The first seed of these that fails, and what noticed it there.
fn found(broken: Broken, mut seeds: impl Iterator<Item = u64>) -> Option<(u64, Invariant)> {
    seeds.find_map(|seed| {
        let options = SeedOptions {
            steps: STEPS,
            broken,
            ..SeedOptions::new(seed)
        };
        let violation = run_seed(&options).violation?;
        Some((seed, violation.invariant))
    })
}

/// The seed of a flag in the table, which was the first that failed when it was written.
fn known_seed(promise: BrokenPromise) -> Option<u64> {
    let document = std::fs::read_to_string(document()).expect("the document is there");
    let begin = format!("| `{promise:?}` |");
    let row = document.lines().find(|line| line.starts_with(&begin))?;
    row.trim_end_matches([' ', '|'])
        .rsplit(' ')
        .next()?
        .parse()
        .ok()
}

fn document() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(DOCUMENT)
}

/// The known seed comes first: mostly it is enough.
#[test]
fn every_broken_promise_is_noticed() {
    let mut faults = Vec::new();
    for promise in BrokenPromise::ALL {
        let broken = Broken {
            promise: Some(promise),
            rule: None,
        };
        let seeds = known_seed(promise).into_iter().chain(0..SEEDS_MAX);
        match found(broken, seeds) {
            Some((_, invariant)) if noticing(promise).contains(&invariant) => {}
            Some((seed, other)) => faults.push(format!("{promise:?}, seed {seed}: {other:?}")),
            None => faults.push(format!("{promise:?} is not noticed")),
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

/// A checker that no break flag makes speak may have gone deaf.
#[test]
fn every_invariant_has_a_break_flag() {
    let noticed: Vec<_> = BrokenPromise::ALL.into_iter().flat_map(noticing).collect();
    // That one is shown by a rule of durability: `broker`.
    let others = [Invariant::Kept];
    let mut all = Invariant::ALL.iter();
    let deaf = all.find(|i| !noticed.contains(i) && !others.contains(i));
    assert_eq!(deaf, None);
}

/// What a rule's test said when it failed, in one line.
fn rule_row(rule: BrokenRule) -> String {
    let own_test = match rule {
        BrokenRule::CutsCorruption => Some("corruption"),
        BrokenRule::LeavesHiddenBytes => Some("two_crashes"),
        BrokenRule::ServesUnchecked => Some("damage"),
        _ => None,
    };
    if let Some(own_test) = own_test {
        return format!("| `{rule:?}` | `tests/sim/{own_test}.rs` | each test |\n");
    }
    let emphasis = rules::emphasis(rule);
    let failed = (0..SEEDS_MAX).find_map(|seed| {
        let run = || rules::run(seed, &emphasis);
        let panic = catch_unwind(run).err()?;
        let text = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        let text = text.unwrap_or_default();
        // Behind it is the configuration.
        let end = text.find(['\n', ';']).unwrap_or(text.len());
        Some((seed, text[..end].to_owned()))
    });
    let (seed, text) = failed.unwrap_or_else(|| panic!("{rule:?} is not noticed"));
    format!("| `{rule:?}` | the log's model: {text} | {seed} |\n")
}

fn promise_row(promise: BrokenPromise) -> String {
    let broken = Broken {
        promise: Some(promise),
        rule: None,
    };
    let found = found(broken, 0..SEEDS_MAX);
    let (seed, invariant) = found.unwrap_or_else(|| panic!("{promise:?} is not noticed"));
    format!(
        "| `{promise:?}` | the broker's simulation: {} | {seed} |\n",
        invariant.name()
    )
}

/// The table names every flag; with `UPDATE=1` it is written anew, seeds and all.
#[test]
fn the_table_of_break_flags_is_complete() {
    let path = document();
    let document = std::fs::read_to_string(&path).expect("the document is there");
    let (before, rest) = document
        .split_once(BEGIN)
        .expect("the table has a beginning");
    let (table, after) = rest.split_once(END).expect("the table has an end");
    if std::env::var_os("UPDATE").is_some() {
        let rules = BrokenRule::ALL.into_iter().map(rule_row);
        let promises = BrokenPromise::ALL.into_iter().map(promise_row);
        let rows: String = rules.chain(promises).collect();
        let head = "| break flag | what notices it | first seed |\n|---|---|---|\n";
        let updated = format!("{before}{BEGIN}\n\n{head}{rows}\n{END}{after}");
        std::fs::write(&path, updated).expect("the document can be written");
        return;
    }
    let rules = BrokenRule::ALL.map(|rule| format!("| `{rule:?}` |"));
    let promises = BrokenPromise::ALL.map(|promise| format!("| `{promise:?}` |"));
    let all = rules.iter().chain(&promises);
    let missing: Vec<_> = all.filter(|row| !table.contains(*row)).collect();
    assert!(
        missing.is_empty(),
        "UPDATE=1 cargo test --release --test sim: {missing:?}"
    );
}
