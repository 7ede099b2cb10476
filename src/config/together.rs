//! Rules between broker keys.

use super::settings::Settings;

/// What does not go together.
pub(super) struct Mistake {
    /// The key that is reported.
    pub(super) name: &'static str,
    /// The key that it does not go with; for a rule of one key that key.
    pub(super) other: &'static str,
    pub(super) reason: String,
}

/// The first rule that is broken.
pub(super) fn first_mistake(settings: &Settings) -> Option<Mistake> {
    zero_retention(settings)
        .or_else(|| too_small(settings))
        .or_else(|| compaction_lags(settings))
        .or_else(|| nobody_let_in(settings))
}

fn zero_retention(settings: &Settings) -> Option<Mistake> {
    let names = [
        "log.retention.ms",
        "log.retention.minutes",
        "log.retention.hours",
    ];
    let name = names
        .into_iter()
        .find(|name| settings.number_if_set(name) == Some(0))?;
    Some(Mistake {
        name,
        other: name,
        reason: "must be -1 (never) or at least 1".to_owned(),
    })
}

fn too_small(settings: &Settings) -> Option<Mistake> {
    let not_below = [
        ("log.unflushed.bytes.max", "message.max.bytes"),
        ("shard.request.memory.bytes", "socket.request.max.bytes"),
    ];
    let (name, other) = not_below
        .into_iter()
        .find(|(large, small)| settings.number(large) < settings.number(small))?;
    let limit = settings.number(other);
    Some(Mistake {
        name,
        other,
        reason: format!("less than `{other}`, which is {limit}"),
    })
}

fn compaction_lags(settings: &Settings) -> Option<Mistake> {
    let (name, other) = (
        "log.cleaner.min.compaction.lag.ms",
        "log.cleaner.max.compaction.lag.ms",
    );
    let limit = settings.number(other);
    (settings.number(name) > limit).then(|| Mistake {
        name,
        other,
        reason: format!("more than `{other}`, which is {limit}"),
    })
}

fn nobody_let_in(settings: &Settings) -> Option<Mistake> {
    let (name, other) = ("max.connections.per.ip", "max.connections.per.ip.overrides");
    let names_nobody = settings.text(other).split(',').all(|e| e.trim().is_empty());
    (settings.number(name) == 0 && names_nobody).then(|| Mistake {
        name,
        other,
        reason: format!("0 lets nobody in unless `{other}` names who may"),
    })
}
