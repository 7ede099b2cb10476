//! One thing that is printed: as `name: value` pairs, or as a JSON object.

use std::io::{Result, Write};

use serde_json::Value;

/// Named values in their order.
pub(super) struct Line {
    kind: &'static str,
    fields: Vec<(&'static str, Value)>,
}

/// How lines are printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Style {
    Text,
    Json,
}

impl Line {
    /// `kind` is what the thing is; only JSON says it.
    pub(super) fn new(kind: &'static str) -> Line {
        Line {
            kind,
            fields: Vec::new(),
        }
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<Value>) -> Line {
        self.fields.push((name, value.into()));
        self
    }

    /// A value that may be none.
    pub(super) fn with_option(self, name: &'static str, value: Option<impl Into<Value>>) -> Line {
        self.with(name, value.map_or(Value::Null, Into::into))
    }

    pub(super) fn print(&self, style: Style, out: &mut impl Write) -> Result<()> {
        match style {
            Style::Text => {
                for (index, (name, value)) in self.fields.iter().enumerate() {
                    let space = if index == 0 { "" } else { " " };
                    write!(out, "{space}{name}: {}", text_of(value))?;
                }
            }
            Style::Json => {
                write!(out, "{{\"type\":\"{}\"", self.kind)?;
                for (name, value) in &self.fields {
                    write!(out, ",\"{name}\":{value}")?;
                }
                write!(out, "}}")?;
            }
        }
        writeln!(out)
    }
}

fn text_of(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(values) => {
            let values: Vec<_> = values.iter().map(text_of).collect();
            format!("[{}]", values.join(","))
        }
        Value::Object(fields) => fields.values().map(text_of).collect(),
        other => other.to_string(),
    }
}

/// A key or value: text where it is UTF-8 without control characters other than white space,
/// otherwise an object with its bytes in hexadecimal.
pub(super) fn bytes_value(bytes: &[u8]) -> Value {
    let is_plain = |text: &str| text.chars().all(|c| !c.is_control() || c.is_whitespace());
    match std::str::from_utf8(bytes) {
        Ok(text) if is_plain(text) => Value::from(text),
        _ => {
            let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            serde_json::json!({ "hex": digits })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(line: &Line, style: Style) -> String {
        let mut out = Vec::new();
        line.print(style, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_line_is_text_or_json_in_the_same_order() {
        let line = Line::new("thing")
            .with("offset", 7)
            .with_option("time", None::<i64>)
            .with("keys", vec!["a", "b"])
            .with("value", bytes_value(b"two\nlines"))
            .with("binary", bytes_value(&[0, 255]));
        let text = "offset: 7 time: none keys: [a,b] value: two\nlines binary: 00ff\n";
        assert_eq!(printed(&line, Style::Text), text);
        let json = "{\"type\":\"thing\",\"offset\":7,\"time\":null,\"keys\":[\"a\",\"b\"],\
                    \"value\":\"two\\nlines\",\"binary\":{\"hex\":\"00ff\"}}\n";
        assert_eq!(printed(&line, Style::Json), json);
    }
}
