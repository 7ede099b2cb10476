//! What the table says of one key.

use std::fmt;

/// The type of a key's value; Kafka's `ConfigDef.Type`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Boolean,
    Short,
    Int,
    Long,
    Double,
    String,
    List,
    /// A list that Kafka's table calls a STRING: clients are told so, and nothing can be appended.
    StringList,
    /// Text that is never shown again.
    Password,
}

impl Kind {
    /// Kafka's name of the type, as in its messages and documents.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Boolean => "BOOLEAN",
            Kind::Short => "SHORT",
            Kind::Int => "INT",
            Kind::Long => "LONG",
            Kind::Double => "DOUBLE",
            Kind::String | Kind::StringList => "STRING",
            Kind::List => "LIST",
            Kind::Password => "PASSWORD",
        }
    }
}

/// Which values of the type are valid.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Valid {
    Any,
    /// A number of at least this.
    AtLeast(i64),
    /// A number between these, both included.
    Between(i64, i64),
    /// A number between the first two, both included, or the third.
    BetweenOr(i64, i64, i64),
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A list of these words.
    ListOf(&'static [&'static str]),
    /// `*`, or a list of replicas: `partition:broker` each.
    ReplicaList,
}

/// A broker key that a topic key takes its default from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Synonym {
    /// The broker key.
    pub name: &'static str,
    /// What a number is multiplied with to get the topic key's unit (hours to ms: 3,600,000).
    pub factor: i64,
}

/// Where a key may be set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope {
    Broker,
    /// By topic, with the broker keys that give the default, the first one that is set wins. With
    /// none set, or no synonyms at all, the key's own default holds.
    Topic(&'static [Synonym]),
}

/// How much of the key is built.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Support {
    /// The broker acts on every valid value.
    Full,
    /// Checked, kept and shown, but nothing acts on it yet; the text says what is missing.
    Stored(&'static str),
    /// Only these of the valid values work; the text says why the others are refused.
    Only(&'static [&'static str], &'static str),
}

/// One row of the table. Made with the constructors and `const` modifiers below.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Key {
    pub name: &'static str,
    /// Other names for the same key (`broker.id` for `node.id`).
    pub aliases: &'static [&'static str],
    pub kind: Kind,
    /// As it would be written in the file; `None` is Kafka's `null`: not set.
    pub default: Option<&'static str>,
    pub valid: Valid,
    pub scope: Scope,
    pub support: Support,
    /// Whether a broker key may be changed while the broker runs, for one broker and for all
    /// (KIP-226; Kafka's update mode `cluster-wide`). A topic key always may.
    pub dynamic: bool,
    /// Whether Kafka has no such key.
    pub own: bool,
    pub doc: &'static str,
}

impl Key {
    /// A broker key of Kafka's.
    pub const fn broker(name: &'static str, kind: Kind) -> Key {
        Key {
            name,
            aliases: &[],
            kind,
            default: None,
            valid: Valid::Any,
            scope: Scope::Broker,
            support: Support::Full,
            dynamic: false,
            own: false,
            doc: "",
        }
    }

    /// A topic key of Kafka's.
    pub const fn topic(name: &'static str, kind: Kind, synonyms: &'static [Synonym]) -> Key {
        let mut key = Key::broker(name, kind);
        key.scope = Scope::Topic(synonyms);
        key.dynamic = true;
        key
    }

    /// The broker key may be changed while the broker runs.
    pub const fn dynamic(mut self) -> Key {
        self.dynamic = true;
        self
    }

    /// The key is Ringlog's own.
    pub const fn own(mut self) -> Key {
        self.own = true;
        self
    }

    pub const fn default(mut self, default: &'static str) -> Key {
        self.default = Some(default);
        self
    }

    pub const fn valid(mut self, valid: Valid) -> Key {
        self.valid = valid;
        self
    }

    pub const fn aliases(mut self, aliases: &'static [&'static str]) -> Key {
        self.aliases = aliases;
        self
    }

    pub const fn support(mut self, support: Support) -> Key {
        self.support = support;
        self
    }

    pub const fn doc(mut self, doc: &'static str) -> Key {
        self.doc = doc;
        self
    }

    /// Whether the file or the topic may call this key `name`.
    pub fn answers_to(&self, name: &str) -> bool {
        self.name == name || self.aliases.contains(&name)
    }

    /// What may be written, in words: `INT of at least 1048576 (default 1073741824)`.
    pub fn expected(&self) -> String {
        match self.default {
            Some(default) => format!("{} {} (default {default})", self.kind.name(), self.valid),
            None => format!("{} {} (not set by default)", self.kind.name(), self.valid),
        }
    }
}

impl fmt::Display for Valid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Valid::Any => write!(f, "value"),
            Valid::AtLeast(low) => write!(f, "of at least {low}"),
            Valid::Between(low, high) => write!(f, "from {low} to {high}"),
            Valid::BetweenOr(low, high, other) => write!(f, "from {low} to {high}, or {other}"),
            Valid::OneOf(words) => write!(f, "that is one of {}", words.join(", ")),
            Valid::ListOf(words) => write!(f, "of any of {}", words.join(", ")),
            Valid::ReplicaList => write!(f, "of partition:broker, or *"),
        }
    }
}

/// A synonym in the topic key's own unit.
pub(super) const fn same(name: &'static str) -> Synonym {
    Synonym { name, factor: 1 }
}

/// A synonym in another unit.
pub(super) const fn times(name: &'static str, factor: i64) -> Synonym {
    Synonym { name, factor }
}
