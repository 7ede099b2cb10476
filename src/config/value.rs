//! Values: parsed by a key's type and checked against its valid values.
//!
//! The reasons of a refusal are worded as Kafka's `ConfigDef` words them: clients show them.

use std::fmt;

use super::key::{Key, Kind, Support, Valid};

/// Bytes of the text of a value, at most: what a string of the protocol's older versions can hold,
/// so that every client can be told.
pub const VALUE_SIZE_MAX: usize = i16::MAX as usize;

/// A checked value. Numbers of all widths are `Number`; their range is that of the key's type.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    Boolean(bool),
    Number(i64),
    Double(f64),
    Text(String),
    List(Vec<String>),
    Password(Secret),
}

/// Text that neither `Debug` nor `Display` shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[hidden]")
    }
}

impl fmt::Display for Value {
    /// As it would be written in the file; a password as `[hidden]`, as in Kafka.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Boolean(value) => write!(f, "{value}"),
            Value::Number(value) => write!(f, "{value}"),
            // As Java writes it: with a decimal point.
            Value::Double(value) => write!(f, "{value:?}"),
            Value::Text(value) => write!(f, "{value}"),
            Value::List(values) => write!(f, "{}", values.join(",")),
            Value::Password(secret) => write!(f, "{secret:?}"),
        }
    }
}

impl Value {
    /// Parses and checks the text of a value for `key`; white space around it does not count.
    ///
    /// The error is the reason alone (`Value must be at least 1048576`).
    pub fn parse(key: &Key, text: &str) -> Result<Value, String> {
        let text = text.trim();
        if text.len() > VALUE_SIZE_MAX {
            return Err(format!(
                "Value must be no longer than {VALUE_SIZE_MAX} bytes"
            ));
        }
        let value = match key.kind {
            Kind::Boolean => boolean(text)?,
            Kind::Short => number(text, i64::from(i16::MIN), i64::from(i16::MAX), key.kind)?,
            Kind::Int => number(text, i64::from(i32::MIN), i64::from(i32::MAX), key.kind)?,
            Kind::Long => number(text, i64::MIN, i64::MAX, key.kind)?,
            Kind::Double => match text.parse::<f64>() {
                Ok(value) if value.is_finite() => Value::Double(value),
                _ => return Err(not_a_number(key.kind)),
            },
            Kind::String => Value::Text(text.to_owned()),
            Kind::List | Kind::StringList => Value::List(list(text)),
            Kind::Password => Value::Password(Secret(text.to_owned())),
        };
        check(key, &value)?;
        check_built(key.support, &value)?;
        Ok(value)
    }
}

fn boolean(text: &str) -> Result<Value, String> {
    if text.eq_ignore_ascii_case("true") {
        Ok(Value::Boolean(true))
    } else if text.eq_ignore_ascii_case("false") {
        Ok(Value::Boolean(false))
    } else {
        Err("Expected value to be either true or false".to_owned())
    }
}

fn number(text: &str, low: i64, high: i64, kind: Kind) -> Result<Value, String> {
    match text.parse::<i64>() {
        Ok(value) if (low..=high).contains(&value) => Ok(Value::Number(value)),
        _ => Err(not_a_number(kind)),
    }
}

fn not_a_number(kind: Kind) -> String {
    format!("Not a number of type {}", kind.name())
}

fn list(text: &str) -> Vec<String> {
    if text.is_empty() {
        return Vec::new();
    }
    text.split(',').map(|item| item.trim().to_owned()).collect()
}

fn check(key: &Key, value: &Value) -> Result<(), String> {
    match (key.valid, value) {
        (Valid::Any, _) => Ok(()),
        (Valid::AtLeast(low) | Valid::Between(low, _), Value::Number(number)) if *number < low => {
            Err(format!("Value must be at least {low}"))
        }
        (Valid::Between(_, high), Value::Number(number)) if *number > high => {
            Err(format!("Value must be no more than {high}"))
        }
        (Valid::AtLeast(low) | Valid::Between(low, _), Value::Double(number))
            if *number < low as f64 =>
        {
            Err(format!("Value must be at least {low}"))
        }
        (Valid::Between(_, high), Value::Double(number)) if *number > high as f64 => {
            Err(format!("Value must be no more than {high}"))
        }
        (Valid::BetweenOr(low, high, other), Value::Number(number))
            if !(low..=high).contains(number) && *number != other =>
        {
            Err(format!(
                "Value must be between {low} and {high} or equal to {other}"
            ))
        }
        (Valid::OneOf(words), Value::Text(text)) if !words.contains(&text.as_str()) => {
            Err(format!("String must be one of: {}", words.join(", ")))
        }
        (Valid::ListOf(words), Value::List(items))
            if items.iter().any(|item| !words.contains(&item.as_str())) =>
        {
            Err(format!("String must be one of: {}", words.join(", ")))
        }
        (Valid::ReplicaList, Value::List(items)) if !is_replica_list(items) => Err(format!(
            "{} must be the literal '*' or a list of replicas in the following format: \
             [partitionId]:[brokerId],[partitionId]:[brokerId],...",
            key.name
        )),
        _ => Ok(()),
    }
}

/// As Kafka's `ThrottledReplicaListValidator` has it.
fn is_replica_list(items: &[String]) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let is_replica = |item: &String| {
        item.split_once(':')
            .is_some_and(|(partition, broker)| is_number(partition) && is_number(broker))
    };
    matches!(items, [all] if all == "*") || items.iter().all(is_replica)
}

fn check_built(support: Support, value: &Value) -> Result<(), String> {
    let Support::Only(built, reason) = support else {
        return Ok(());
    };
    if built.contains(&value.to_string().as_str()) {
        return Ok(());
    }
    Err(format!(
        "Ringlog supports only {} so far: {reason}",
        built.join(", ")
    ))
}
