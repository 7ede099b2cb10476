//! Finds records that are lost, doubled, reordered, damaged or in the wrong partition.

use std::collections::BTreeMap;

use crate::payload::PayloadHeader;

/// Faults that are described one by one; the rest is only counted.
const DESCRIBED_MAX: usize = 10;

/// How many records each producer of a run wrote to each partition: what must be there.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Written {
    pub(crate) run: u32,
    /// `[producer][partition]`
    pub(crate) counts: Vec<Vec<u64>>,
}

/// What was wrong with the records that were read.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Faults {
    /// Written, and not there.
    pub(crate) lost: u64,
    /// There again.
    pub(crate) doubled: u64,
    /// There, behind a later one of the same producer.
    pub(crate) reordered: u64,
    /// Wrong CRC, or not a record of this program.
    pub(crate) damaged: u64,
    /// In another partition than it was sent to.
    pub(crate) misplaced: u64,
    /// The first ones in words.
    pub(crate) described: Vec<String>,
}

impl Faults {
    pub(crate) fn count(&self) -> u64 {
        self.lost + self.doubled + self.reordered + self.damaged + self.misplaced
    }

    fn describe(&mut self, text: impl FnOnce() -> String) {
        if self.described.len() < DESCRIBED_MAX {
            self.described.push(text());
        }
    }

    /// Adds what another checker found.
    pub(crate) fn merge(&mut self, other: Faults) {
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.reordered += other.reordered;
        self.damaged += other.damaged;
        self.misplaced += other.misplaced;
        for text in other.described {
            self.describe(|| text);
        }
    }
}

/// The records of one producer in one partition.
#[derive(Default)]
struct Sequence {
    /// Behind the highest that was seen.
    next: u64,
    /// Not seen, though later ones were: first to behind the last.
    gaps: BTreeMap<u64, u64>,
}

enum Seen {
    InOrder,
    Late,
    Again,
}

impl Sequence {
    fn see(&mut self, sequence: u64) -> Seen {
        if sequence >= self.next {
            if sequence > self.next {
                self.gaps.insert(self.next, sequence);
            }
            self.next = sequence + 1;
            return Seen::InOrder;
        }
        let gap = self.gaps.range(..=sequence).next_back();
        let Some((&first, &end)) = gap.filter(|(_, end)| **end > sequence) else {
            return Seen::Again;
        };
        self.gaps.remove(&first);
        if first < sequence {
            self.gaps.insert(first, sequence);
        }
        if sequence + 1 < end {
            self.gaps.insert(sequence + 1, end);
        }
        Seen::Late
    }
}

/// Which records these are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Source {
    partition: u32,
    run: u32,
    producer: u32,
}

/// Takes the records of some partitions in the order of their offsets.
#[derive(Default)]
pub(crate) struct Checker {
    sequences: BTreeMap<Source, Sequence>,
    faults: Faults,
}

impl Checker {
    /// A record's value, or none.
    pub(crate) fn record(&mut self, partition: u32, offset: i64, value: Option<&[u8]>) {
        let header = match PayloadHeader::read(value.unwrap_or_default()) {
            Ok(header) => header,
            Err(fault) => {
                self.faults.damaged += 1;
                let text = || format!("partition {partition} offset {offset}: {fault}");
                return self.faults.describe(text);
            }
        };
        let PayloadHeader {
            producer, sequence, ..
        } = header;
        let what = || {
            format!(
                "partition {partition} offset {offset}: record {sequence} of producer {producer}"
            )
        };
        if header.partition != partition {
            self.faults.misplaced += 1;
            let sent_to = header.partition;
            return self
                .faults
                .describe(|| format!("{} was sent to partition {sent_to}", what()));
        }
        let source = Source {
            partition,
            run: header.run,
            producer,
        };
        match self.sequences.entry(source).or_default().see(sequence) {
            Seen::InOrder => {}
            Seen::Late => {
                self.faults.reordered += 1;
                self.faults
                    .describe(|| format!("{} stands behind later ones", what()));
            }
            Seen::Again => {
                self.faults.doubled += 1;
                self.faults
                    .describe(|| format!("{} is there a second time", what()));
            }
        }
    }

    /// The faults, with what is missing in `partitions`: gaps, and when it is known what was
    /// written, the rest.
    pub(crate) fn finish(mut self, partitions: &[u32], written: Option<&Written>) -> Faults {
        if let Some(written) = written {
            for (producer, counts) in written.counts.iter().enumerate() {
                for &partition in partitions {
                    let source = Source {
                        partition,
                        run: written.run,
                        producer: producer as u32,
                    };
                    let count = counts.get(partition as usize).copied().unwrap_or(0);
                    let sequence = self.sequences.entry(source).or_default();
                    if sequence.next < count {
                        sequence.gaps.insert(sequence.next, count);
                        sequence.next = count;
                    }
                }
            }
        }
        for (source, sequence) in &self.sequences {
            for (first, end) in &sequence.gaps {
                self.faults.lost += end - first;
                let Source {
                    partition,
                    producer,
                    ..
                } = source;
                let last = end - 1;
                self.faults.describe(|| {
                    format!(
                        "partition {partition}: records {first} to {last} of producer {producer} \
                         are lost"
                    )
                });
            }
        }
        self.faults
    }
}

#[cfg(test)]
mod tests;
