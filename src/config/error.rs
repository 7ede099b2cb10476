//! What is wrong with a configuration, in one sentence that says where, what, and what to do.

use std::fmt;

/// Where a setting was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// A line of the properties file, from 1.
    File { name: String, line: usize },
    /// `-o key=value` on the command line.
    Override,
    /// Nowhere in particular: it follows from several settings or from a default.
    Whole,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::File { name, line } => write!(f, "{name}:{line}"),
            Place::Override => write!(f, "-o"),
            Place::Whole => write!(f, "configuration"),
        }
    }
}

/// One mistake.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{place}: {reason}")]
    Syntax { place: Place, reason: String },
    #[error("{place}: unknown key `{key}`; {advice}")]
    UnknownKey {
        place: Place,
        key: String,
        advice: String,
    },
    #[error("{place}: {key}={value}: {reason}; {advice}")]
    InvalidValue {
        place: Place,
        key: String,
        value: String,
        reason: String,
        advice: String,
    },
}

/// All mistakes of a configuration, one a line; never empty.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

impl From<ConfigError> for ConfigErrors {
    fn from(error: ConfigError) -> ConfigErrors {
        ConfigErrors(vec![error])
    }
}

/// Why a topic's settings are refused: the message of an `INVALID_CONFIG` (40) answer, worded as
/// Kafka words it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidTopicConfig {
    #[error("Unknown topic config name: {}", shortened(name))]
    UnknownName { name: String },
    #[error("Null value not supported for topic configs: {}", shortened(name))]
    NullValue { name: String },
    #[error(
        "Invalid value {} for configuration {name}: {reason}",
        shortened(value)
    )]
    InvalidValue {
        name: String,
        value: String,
        reason: String,
    },
    /// Two keys that do not go together.
    #[error("conflict topic config setting {low} ({low_value}) > {high} ({high_value})")]
    Conflict {
        low: &'static str,
        low_value: i64,
        high: &'static str,
        high_value: i64,
    },
}

/// Why a change of a running broker's settings is refused, worded as Kafka words it
/// (`DynamicBrokerConfig`).
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidBrokerConfig {
    /// Kafka keeps such names, for its plugins; here nothing could ever read them.
    #[error("Unknown config name: {}; {advice}", shortened(name))]
    UnknownName { name: String, advice: String },
    /// The names of all of them.
    #[error("Cannot update these configs dynamically: Set({})", shortened(names))]
    NotDynamic { names: String },
    #[error(
        "Invalid value {} for configuration {name}: {reason}",
        shortened(value)
    )]
    InvalidValue {
        name: String,
        value: String,
        reason: String,
    },
}

/// Characters of what a client wrote that a message repeats.
const SHOWN_CHARACTERS_MAX: usize = 1000;

/// A client's own text in a message to it: a message must fit a string of the protocol's older
/// versions, and nobody reads that much.
fn shortened(text: &str) -> std::borrow::Cow<'_, str> {
    match text.char_indices().nth(SHOWN_CHARACTERS_MAX) {
        None => text.into(),
        Some((end, _)) => format!("{}...", &text[..end]).into(),
    }
}
