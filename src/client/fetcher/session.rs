//! The client's side of an incremental fetch session (KIP-227): what the broker knows of the
//! partitions that are read from it, so that a poll names only what has changed. As Kafka's
//! `FetchSessionHandler`.

use std::collections::{BTreeMap, BTreeSet};

use super::poll::Wanted;
use crate::types::{ErrorCode, Offset, TopicId, TopicPartition};

/// First version of Fetch with sessions.
const SESSIONS_FROM: i16 = 7;

/// Opens a session.
const INITIAL_EPOCH: i32 = 0;

/// No session, and none wanted.
const FINAL_EPOCH: i32 = -1;

/// No session.
const NO_SESSION: i32 = 0;

/// A session with one broker, or the wish for one. Used by one poll at a time.
#[derive(Debug, Default)]
pub(super) struct Session {
    id: i32,
    /// Of the next request.
    epoch: i32,
    /// Whether its requests name topics by id; both ways may not be mixed.
    names_by_id: bool,
    /// What the broker knows.
    partitions: BTreeMap<TopicPartition, Known>,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    topic_id: TopicId,
    position: Offset,
    told: Told,
}

/// What the broker has told last of a partition: it does not say it again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Told {
    pub(super) high_watermark: Offset,
    pub(super) log_start_offset: Offset,
}

/// What a request says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) session_id: i32,
    pub(super) session_epoch: i32,
    /// Places of the wanted partitions that are named.
    pub(super) named: Vec<usize>,
    pub(super) forgotten: Vec<(TopicPartition, TopicId)>,
}

impl Session {
    /// What to ask for, so that the broker reads all that is wanted and nothing else.
    pub(super) fn plan(&mut self, version: i16, names_by_id: bool, wanted: &[Wanted]) -> Plan {
        if version < SESSIONS_FROM {
            return Plan {
                session_id: NO_SESSION,
                session_epoch: FINAL_EPOCH,
                named: (0..wanted.len()).collect(),
                forgotten: Vec::new(),
            };
        }
        if self.names_by_id != names_by_id {
            self.restart();
        }
        self.names_by_id = names_by_id;
        if self.epoch == INITIAL_EPOCH {
            self.partitions.clear();
        }
        let forgotten = self.forget_others(wanted);
        let mut named = Vec::new();
        for (index, part) in wanted.iter().enumerate() {
            let known = self.partitions.get_mut(&part.partition);
            match known {
                Some(known) if known.position == part.position => {}
                Some(known) => {
                    known.position = part.position;
                    named.push(index);
                }
                None => {
                    let known = Known {
                        topic_id: part.topic_id,
                        position: part.position,
                        told: Told {
                            high_watermark: -1,
                            log_start_offset: -1,
                        },
                    };
                    self.partitions.insert(part.partition.clone(), known);
                    named.push(index);
                }
            }
        }
        Plan {
            session_id: self.id,
            session_epoch: self.epoch,
            named,
            forgotten,
        }
    }

    /// Takes out what is not wanted any more, and topics that were made anew.
    fn forget_others(&mut self, wanted: &[Wanted]) -> Vec<(TopicPartition, TopicId)> {
        let kept: BTreeSet<_> = wanted
            .iter()
            .map(|part| (&part.partition, part.topic_id))
            .collect();
        let gone = self.partitions.extract_if(.., |partition, known| {
            !kept.contains(&(partition, known.topic_id))
        });
        gone.map(|(partition, known)| (partition, known.topic_id))
            .collect()
    }

    /// How the broker is told that nobody reads any more, if it keeps a session.
    pub(super) fn end(&self) -> Option<Plan> {
        (self.id != NO_SESSION).then(|| Plan {
            session_id: self.id,
            session_epoch: FINAL_EPOCH,
            named: Vec::new(),
            forgotten: Vec::new(),
        })
    }

    /// The answer to the last plan: `session_id` is the broker's.
    pub(super) fn answered(&mut self, session_id: i32) {
        self.id = session_id;
        self.epoch = match session_id {
            // None was made, or it is closed.
            NO_SESSION => INITIAL_EPOCH,
            _ => self.epoch.checked_add(1).unwrap_or(1),
        };
    }

    /// Whether an error of the whole answer is about the session; the next plan then opens one.
    pub(super) fn refused(&mut self, error: ErrorCode) -> bool {
        match error {
            ErrorCode::FetchSessionIdNotFound => self.id = NO_SESSION,
            ErrorCode::InvalidFetchSessionEpoch | ErrorCode::FetchSessionTopicIdError => {}
            _ => return false,
        }
        // A full request that is refused as such is somebody else's matter.
        let was_within = self.epoch != INITIAL_EPOCH;
        self.restart();
        was_within
    }

    /// The next request closes the session and opens another.
    pub(super) fn restart(&mut self) {
        self.epoch = INITIAL_EPOCH;
    }

    /// Notes what the broker has told of a partition.
    pub(super) fn told(&mut self, partition: &TopicPartition, told: Told) {
        if let Some(known) = self.partitions.get_mut(partition) {
            known.told = told;
        }
    }

    /// What holds of a partition that is not in an answer; `None` when nothing was told yet.
    pub(super) fn holds(&self, partition: &TopicPartition) -> Option<Told> {
        let told = self.partitions.get(partition)?.told;
        (told.high_watermark >= 0).then_some(told)
    }
}

#[cfg(test)]
mod tests;
