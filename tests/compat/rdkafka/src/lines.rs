//! JSON lines in and out.

use std::collections::BTreeMap;
use std::io::{BufRead, StdinLock};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Failure;

/// Bytes or null: base64 in JSON.
#[derive(Debug, Default)]
pub struct Content(pub Option<Vec<u8>>);

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Content, D::Error> {
        let text: Option<String> = Option::deserialize(deserializer)?;
        let bytes = text.map(|text| STANDARD.decode(text)).transpose();
        bytes.map(Content).map_err(serde::de::Error::custom)
    }
}

impl Serialize for Content {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = self.0.as_ref().map(|bytes| STANDARD.encode(bytes));
        text.serialize(serializer)
    }
}

/// One record, as written or as read.
#[derive(Debug, Serialize, Deserialize)]
pub struct Record {
    #[serde(rename = "p")]
    pub partition: i32,
    #[serde(rename = "o", default)]
    pub offset: i64,
    #[serde(rename = "t", default)]
    pub timestamp: i64,
    #[serde(rename = "k")]
    pub key: Content,
    #[serde(rename = "v")]
    pub value: Content,
    #[serde(rename = "h", default)]
    pub headers: Vec<(String, Content)>,
}

/// The options of every command: those of the others stay at nothing.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Options {
    pub bootstrap: String,
    pub topic: String,
    pub codec: String,
    pub acks: String,
    pub idempotent: bool,
    pub max_bytes: i32,
    pub partitions: BTreeMap<i32, Range>,
    pub op: String,
    pub topics: BTreeMap<String, i32>,
    pub at: serde_json::Value,
    pub names: Vec<String>,
    pub configs: BTreeMap<String, String>,
    pub count: usize,
    pub offset: i64,
}

/// What to read of a partition.
#[derive(Debug, Deserialize)]
pub struct Range {
    /// "earliest", an offset, or {"timestamp": milliseconds}.
    pub start: serde_json::Value,
    pub count: usize,
}

/// Standard input, line by line.
pub struct Input(StdinLock<'static>);

impl Input {
    pub fn open() -> Input {
        Input(std::io::stdin().lock())
    }

    /// The next line; `None` at the end.
    pub fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, Failure> {
        let mut line = String::new();
        if self.0.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        Ok(Some(serde_json::from_str(&line)?))
    }

    pub fn options(&mut self) -> Result<Options, Failure> {
        self.next()?
            .ok_or_else(|| "no options on standard input".into())
    }
}
