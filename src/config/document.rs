//! The table as a document for operators: `docs/configuration.md`.

use std::fmt::Write;

use super::kafka_names::{self, Group, Rest};
use super::key::{Key, Scope, Support};
use super::table::{self, Theme};

const HEAD: &str = "\
# Configuration

Made from the table in `src/config/table/`, which the broker itself reads: a test fails when this
file is stale, and writes it with `UPDATE=1 cargo test --test configuration_doc`.

The names are Kafka's where Kafka has the key; those of Ringlog alone are marked *own*. A broker
reads a `server.properties` (`ringlog start -c FILE`), then `-o KEY=VALUE` of its command line,
which wins. A name that neither Ringlog nor Kafka has ends the start with a sentence.

What counts for a topic is, in this order:

1. the topic's own setting (`ringlog config alter --topic T --set KEY=VALUE`, or at its creation);
2. the broker's setting, changed while it runs (`ringlog config alter --broker ID --set ...`);
3. the setting for all brokers, changed while they run (`ringlog config alter --broker default`);
4. the broker's file and command line;
5. the default.

`ringlog config describe --topic T` says which it was; so does Kafka's `kafka-configs`. A change
is durable and in effect on every core when it is answered. A topic's settings may always be
changed; of the broker's those marked *dynamic*, the others need a restart. A setting that the
broker's file no longer allows after a restart does not count: the log names it, and the next one
in the order above does.
";

/// The whole document, Markdown.
pub fn document() -> String {
    let mut text = HEAD.to_owned();
    for theme in table::themes() {
        add_theme(&mut text, theme);
    }
    text.push_str(
        "\n## Kafka's other keys\n\nThe rest of Kafka 4.1's broker keys, and some of earlier \
         releases that files still have. They are accepted with a warning each, but for those \
         that are refused.\n",
    );
    for group in kafka_names::GROUPS {
        add_group(&mut text, group);
    }
    text
}

fn add_theme(text: &mut String, theme: &Theme) {
    let _ = writeln!(text, "\n## {}", theme.title);
    let is_broker = |key: &&Key| key.scope == Scope::Broker;
    for (title, of_brokers) in [("Broker", true), ("Topic", false)] {
        let mut keys = theme
            .keys
            .iter()
            .filter(|key| is_broker(key) == of_brokers)
            .peekable();
        if keys.peek().is_none() {
            continue;
        }
        let _ = writeln!(text, "\n| {title} | Values | Default | What it does |");
        text.push_str("|---|---|---|---|\n");
        for key in keys {
            add_key(text, key);
        }
    }
}

fn add_key(text: &mut String, key: &Key) {
    let mut name = format!("`{}`", key.name);
    for alias in key.aliases {
        let _ = write!(name, ", `{alias}`");
    }
    let marks = [
        (key.own, "*own*"),
        (key.dynamic && key.scope == Scope::Broker, "*dynamic*"),
    ];
    for (_, mark) in marks.iter().filter(|(applies, _)| *applies) {
        let _ = write!(name, " {mark}");
    }
    let _ = writeln!(
        text,
        "| {name} | {} {} | {} | {}{} |",
        key.kind.name(),
        key.valid,
        default(key),
        key.doc,
        limits(key)
    );
}

/// The default, and where a topic's comes from.
fn default(key: &Key) -> String {
    let own = match key.default {
        None => "not set".to_owned(),
        Some("") => "empty".to_owned(),
        Some(default) => format!("`{}`", default.replace(',', ", ")),
    };
    let Scope::Topic(synonyms) = key.scope else {
        return own;
    };
    match synonyms {
        [] => own,
        synonyms => {
            let names: Vec<_> = synonyms.iter().map(|s| format!("`{}`", s.name)).collect();
            format!("{own}, from {}", names.join(" or "))
        }
    }
}

/// What of the key is not built.
fn limits(key: &Key) -> String {
    match key.support {
        Support::Full => String::new(),
        Support::Stored(missing) => format!(" **Kept without effect so far: {missing}.**"),
        Support::Only(built, reason) => {
            let built: Vec<_> = built.iter().map(|value| format!("`{value}`")).collect();
            format!(" **Only {} so far: {reason}.**", built.join(", "))
        }
    }
}

fn add_group(text: &mut String, group: &Group) {
    let what = match group.rest {
        Rest::NotNeeded => "Not needed",
        Rest::NotBuilt => "Not built",
        Rest::Refused => "Refused",
    };
    let names: Vec<_> = group.names.iter().map(|name| format!("`{name}`")).collect();
    let _ = writeln!(
        text,
        "\n### {}\n\n{what}: {}.\n\n{}",
        group.title,
        group.reason,
        names.join(", ")
    );
}
