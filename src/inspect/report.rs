//! What a verification finds.

use std::path::{Path, PathBuf};

use crate::types::TopicPartition;

/// How bad something is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Severity {
    /// Usual after a crash, or without consequence.
    Note,
    /// Not as it was written.
    Problem,
}

/// One thing that was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    pub severity: Severity,
    pub path: PathBuf,
    /// The byte, of a thing that has a place in its file.
    pub position: Option<u64>,
    /// A sentence.
    pub text: String,
}

/// What was looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Summary {
    pub partition_count: u64,
    pub segment_count: u64,
    pub batch_count: u64,
    pub record_count: u64,
    /// Bytes of valid batches.
    pub byte_count: u64,
    pub problem_count: u64,
    pub note_count: u64,
}

/// Counts, and hands each finding on as it comes.
pub struct Report<'a> {
    pub summary: Summary,
    sink: &'a mut dyn FnMut(Finding),
}

impl<'a> Report<'a> {
    pub fn new(sink: &'a mut dyn FnMut(Finding)) -> Report<'a> {
        Report {
            summary: Summary::default(),
            sink,
        }
    }

    pub fn add(
        &mut self,
        severity: Severity,
        path: &Path,
        position: Option<u64>,
        text: impl Into<String>,
    ) {
        match severity {
            Severity::Note => self.summary.note_count += 1,
            Severity::Problem => self.summary.problem_count += 1,
        }
        (self.sink)(Finding {
            severity,
            path: path.to_owned(),
            position,
            text: text.into(),
        });
    }

    pub(super) fn problem(&mut self, path: &Path, text: impl Into<String>) {
        self.add(Severity::Problem, path, None, text);
    }

    pub(super) fn note(&mut self, path: &Path, text: impl Into<String>) {
        self.add(Severity::Note, path, None, text);
    }
}

/// The partition that the name of a directory says, `<topic>-<n>`.
pub(super) fn parse_directory_name(name: &str) -> Option<TopicPartition> {
    let (topic, partition) = name.rsplit_once('-')?;
    let is_number = !partition.is_empty() && partition.bytes().all(|byte| byte.is_ascii_digit());
    (is_number && !topic.is_empty())
        .then(|| partition.parse().ok())
        .flatten()
        .map(|partition| TopicPartition::new(topic, partition))
}
