//! The two indexes of a segment against its batches: what `--index-sanity-check` and
//! `--verify-index-only` of Kafka's DumpLogSegments look at.

use std::path::{Path, PathBuf};

use super::report::{Report, Severity};
use crate::batch::BatchHeader;
use crate::log_state::{OffsetIndexEntry, TimeIndexEntry};
use crate::types::{Offset, Timestamp};

/// Entries of one file that are complained about, before the rest is only counted.
const FINDINGS_MAX: u64 = 10;

/// The entries of one index file, looked at as the batches of its segment go by.
pub(super) struct IndexCheck {
    path: PathBuf,
    base_offset: Offset,
    entries: Vec<Entry>,
    /// The first entry that has not been met.
    next: usize,
    /// Largest timestamp of the batches so far.
    max_timestamp: Timestamp,
    fault_count: u64,
    is_settled: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Entry {
    Offset(OffsetIndexEntry),
    Time(TimeIndexEntry),
}

impl Entry {
    fn is_zero(self) -> bool {
        match self {
            Entry::Offset(entry) => entry.relative_offset == 0 && entry.position == 0,
            Entry::Time(entry) => entry.relative_offset == 0 && entry.timestamp == 0,
        }
    }

    fn grows_from(self, last: Entry) -> bool {
        match (last, self) {
            (Entry::Offset(last), Entry::Offset(entry)) => {
                entry.relative_offset > last.relative_offset && entry.position > last.position
            }
            (Entry::Time(last), Entry::Time(entry)) => {
                entry.timestamp > last.timestamp && entry.relative_offset >= last.relative_offset
            }
            _ => unreachable!("a file has one kind of entries"),
        }
    }
}

impl IndexCheck {
    /// The entries of a `.index` file. Zeros behind them, or entries for batches that are not
    /// there, are wrong in a settled one; others end so while a broker runs, and after a crash.
    pub(super) fn of_offsets(
        (path, bytes): (&Path, &[u8]),
        base_offset: Offset,
        is_settled: bool,
        report: &mut Report<'_>,
    ) -> IndexCheck {
        let chunks = bytes.as_chunks::<{ OffsetIndexEntry::SIZE }>().0;
        let entries = chunks.iter().map(OffsetIndexEntry::decode);
        let mut check = IndexCheck::new(path, base_offset, is_settled);
        check.load(entries.map(Entry::Offset));
        check.look_behind(bytes, OffsetIndexEntry::SIZE, report);
        check
    }

    /// The entries of a `.timeindex` file.
    pub(super) fn of_times(
        (path, bytes): (&Path, &[u8]),
        base_offset: Offset,
        is_settled: bool,
        report: &mut Report<'_>,
    ) -> IndexCheck {
        let chunks = bytes.as_chunks::<{ TimeIndexEntry::SIZE }>().0;
        let entries = chunks.iter().map(TimeIndexEntry::decode);
        let mut check = IndexCheck::new(path, base_offset, is_settled);
        check.load(entries.map(Entry::Time));
        check.look_behind(bytes, TimeIndexEntry::SIZE, report);
        check
    }

    fn new(path: &Path, base_offset: Offset, is_settled: bool) -> IndexCheck {
        IndexCheck {
            path: path.to_owned(),
            base_offset,
            entries: Vec::new(),
            next: 0,
            max_timestamp: -1,
            fault_count: 0,
            is_settled,
        }
    }

    /// Takes entries as long as they grow.
    fn load(&mut self, entries: impl Iterator<Item = Entry>) {
        for entry in entries {
            let grows = |&last: &Entry| entry.grows_from(last);
            if entry.is_zero() || !self.entries.last().is_none_or(grows) {
                return;
            }
            self.entries.push(entry);
        }
    }

    /// Behind the entries there may be zeros, and nothing else.
    fn look_behind(&mut self, bytes: &[u8], entry_size: usize, report: &mut Report<'_>) {
        let kept_size = self.entries.len() * entry_size;
        let behind = &bytes[kept_size..];
        let are_zeros = behind.iter().all(|&byte| byte == 0);
        if behind.is_empty() || (are_zeros && !self.is_settled) {
            return;
        }
        let text = if are_zeros {
            format!("{} bytes of zeros behind the entries", behind.len())
        } else if behind.len() < entry_size {
            "the file ends inside an entry".to_owned()
        } else {
            let count = self.entries.len();
            format!("entry {count} does not grow from the one before")
        };
        report.add(Severity::Problem, &self.path, Some(kept_size as u64), text);
    }

    /// How many entries the file has.
    pub(super) fn entry_count(&self) -> usize {
        self.entries.len()
    }

    /// Takes in the next batch of the segment.
    pub(super) fn batch(&mut self, position: u64, batch: &BatchHeader, report: &mut Report<'_>) {
        self.max_timestamp = self.max_timestamp.max(batch.max_timestamp);
        while let Some(&entry) = self.entries.get(self.next) {
            let fault = match entry {
                Entry::Offset(entry) => match u64::from(entry.position) {
                    later if later > position => return,
                    same if same == position => self.wrong_offset(entry, batch),
                    inside => Some(format!("no batch begins at byte {inside} of the segment")),
                },
                Entry::Time(entry) => {
                    let offset = self.base_offset + i64::from(entry.relative_offset);
                    if offset > batch.last_offset() {
                        return;
                    }
                    self.wrong_time(entry, offset)
                }
            };
            if let Some(fault) = fault {
                self.fault(Severity::Problem, fault, report);
            }
            self.next += 1;
        }
    }

    fn wrong_offset(&self, entry: OffsetIndexEntry, batch: &BatchHeader) -> Option<String> {
        let offset = self.base_offset + i64::from(entry.relative_offset);
        let last = batch.last_offset();
        (offset != last)
            .then(|| format!("offset {offset}, but the batch at its position ends with {last}"))
    }

    fn wrong_time(&self, entry: TimeIndexEntry, offset: Offset) -> Option<String> {
        let (said, found) = (entry.timestamp, self.max_timestamp);
        (said != found).then(|| {
            format!("timestamp {said}, but up to and with offset {offset} the largest is {found}")
        })
    }

    /// There are no more batches.
    pub(super) fn finish(mut self, report: &mut Report<'_>) {
        let left = self.entries.len() - self.next;
        if left > 0 {
            let text = format!("{left} entries, from this one on, are for no batch that is there");
            let severity = match self.is_settled {
                true => Severity::Problem,
                false => Severity::Note,
            };
            self.fault(severity, text, report);
        }
        let unsaid = self.fault_count.saturating_sub(FINDINGS_MAX);
        if unsaid > 0 {
            report.problem(&self.path, format!("{unsaid} more entries are wrong"));
        }
    }

    fn fault(&mut self, severity: Severity, fault: String, report: &mut Report<'_>) {
        self.fault_count += 1;
        if self.fault_count <= FINDINGS_MAX {
            let text = format!("entry {}: {fault}", self.next);
            report.add(severity, &self.path, None, text);
        }
    }
}
