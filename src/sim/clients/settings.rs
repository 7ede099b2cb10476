//! Settings changed while everybody writes and reads. What a change may do to what clients are
//! promised is noted before it is sent; what it promises, when it is acknowledged. One whose fate
//! is unknown may be carried out at any time, whatever its topic's name stands for then.

use super::cast::Cast;
use crate::client::{Admin, ClientError, ConfigEdit, ConfigTarget};
use crate::sim::checker::Invariant;
use crate::sim::ledger::Ledger;
use crate::sim::tally::State;
use crate::types::ErrorCode;

const CODECS: [&str; 6] = ["producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"];
const TIMESTAMP_TYPES: [&str; 2] = ["CreateTime", "LogAppendTime"];

/// What a change touches, besides how things are done.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Touches {
    Nothing,
    /// Which batches are taken.
    Limits,
    /// What is kept.
    Retention,
    /// Into class P, or out of it.
    Class {
        is_power_safe: bool,
    },
}

/// One setting of a topic.
pub(super) async fn change_topic(cast: &Cast, admin: &Admin, name: &str) {
    let ledger = &cast.ledger;
    let (key, edit, touches) = draw_for_topic(ledger);
    match touches {
        Touches::Nothing => {}
        Touches::Limits => ledger.may_refuse.set(true),
        Touches::Retention => ledger.topics.borrow_mut().retention_begins(name),
        Touches::Class { .. } => ledger.topics.borrow_mut().class_changed(name, false),
    }
    let target = ConfigTarget::Topic(name.to_owned());
    let is_acknowledged = alter(cast, admin, &target, (key, edit)).await;
    let Touches::Class { is_power_safe } = touches else {
        return;
    };
    let mut topics = ledger.topics.borrow_mut();
    match (is_acknowledged, is_power_safe) {
        (true, true) => {
            topics.class_changed(name, true);
            ledger.reached(State::ClassEntered);
        }
        (true, false) => ledger.reached(State::ClassLeft),
        (false, true) => {}
        (false, false) => topics.class_change_strayed(name),
    }
}

/// One setting of all brokers. Which class a topic without a setting of its own is in stays as it
/// is.
pub(super) async fn change_brokers(cast: &Cast, admin: &Admin) {
    let ledger = &cast.ledger;
    let (key, value, touches) = match ledger.below(5) {
        0 => (
            "compression.type",
            one_of(ledger, &CODECS),
            Touches::Nothing,
        ),
        1 => (
            "log.message.timestamp.type",
            one_of(ledger, &TIMESTAMP_TYPES),
            Touches::Nothing,
        ),
        2 => (
            "message.max.bytes",
            between(ledger, 400, 8_000),
            Touches::Limits,
        ),
        3 => (
            "log.index.interval.bytes",
            between(ledger, 64, 4_000),
            Touches::Nothing,
        ),
        _ => (
            "log.flush.interval.messages",
            between(ledger, 2, 60),
            Touches::Nothing,
        ),
    };
    if touches == Touches::Limits {
        ledger.may_refuse.set(true);
    }
    let edit = set_or_delete(ledger, value);
    alter(cast, admin, &ConfigTarget::AllBrokers, (key, edit)).await;
}

fn draw_for_topic(ledger: &Ledger) -> (&'static str, ConfigEdit, Touches) {
    let (key, value, touches) = match ledger.below(10) {
        0 | 1 => {
            let is_power_safe = ledger.one_in(2);
            let edit = ConfigEdit::Set(is_power_safe.to_string());
            return ("flush.before.ack", edit, Touches::Class { is_power_safe });
        }
        2 => (
            "retention.ms",
            between(ledger, 20, 3_000),
            Touches::Retention,
        ),
        3 => (
            "retention.bytes",
            between(ledger, 500, 40_000),
            Touches::Retention,
        ),
        4 => (
            "compression.type",
            one_of(ledger, &CODECS),
            Touches::Nothing,
        ),
        5 => (
            "max.message.bytes",
            between(ledger, 400, 8_000),
            Touches::Limits,
        ),
        6 => (
            "message.timestamp.type",
            one_of(ledger, &TIMESTAMP_TYPES),
            Touches::Nothing,
        ),
        7 => (
            "message.timestamp.before.max.ms",
            between(ledger, 1, 2_000),
            Touches::Limits,
        ),
        8 => ("segment.ms", between(ledger, 20, 2_000), Touches::Nothing),
        _ => (
            "segment.index.bytes",
            between(ledger, 36, 400),
            Touches::Nothing,
        ),
    };
    (key, set_or_delete(ledger, value), touches)
}

fn set_or_delete(ledger: &Ledger, value: String) -> ConfigEdit {
    match ledger.one_in(3) {
        true => ConfigEdit::Delete,
        false => ConfigEdit::Set(value),
    }
}

fn one_of(ledger: &Ledger, words: &[&str]) -> String {
    words[ledger.below(words.len() as u64) as usize].to_owned()
}

fn between(ledger: &Ledger, low: u64, high: u64) -> String {
    (low + ledger.below(high - low + 1)).to_string()
}

/// Whether the change was acknowledged. Then it is also what is described.
async fn alter(
    cast: &Cast,
    admin: &Admin,
    target: &ConfigTarget,
    (key, edit): (&str, ConfigEdit),
) -> bool {
    let ledger = &cast.ledger;
    let edits = [(key.to_owned(), edit.clone())];
    let altered = admin.alter_configs(target, &edits, false).await;
    cast.note(|| format!("sets {key} of {target} to {edit:?}: {altered:?}"));
    let code = altered.as_ref().err().and_then(ClientError::code);
    if code == Some(ErrorCode::InvalidConfig) {
        let text = format!("{key} of {target} cannot be {edit:?}: {altered:?}");
        ledger.violated(Invariant::NotRefused.broken(text));
    }
    if altered.is_err() {
        ledger.has_stray_settings.set(true);
        ledger.reached(State::SettingsUnknown);
        return false;
    }
    ledger.reached(State::SettingsChanged);
    let described = admin.describe_configs(target, Some(&[key])).await;
    if let (ConfigEdit::Set(value), Ok(entries)) = (&edit, described)
        && !ledger.has_stray_settings.get()
    {
        let shown = entries.first().and_then(|entry| entry.value.as_ref());
        if shown != Some(value) {
            let text = format!("{key} of {target} was set to {value}, it is {shown:?}");
            ledger.violated(Invariant::Settings.broken(text));
        }
    }
    true
}
