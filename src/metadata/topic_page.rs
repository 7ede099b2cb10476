//! Topics a page at a time, in the order of their names (KIP-966; Kafka's
//! `DescribeTopicPartitionsRequestHandler` and `KRaftMetadataCache`).

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use super::image::{MetadataImage, TopicImage};

/// Where a page begins, and where the next one does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicCursor {
    pub topic: String,
    pub partition: i32,
}

/// Some topics with some of their partitions.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TopicPage {
    pub topics: Vec<PagedTopic>,
    /// `None`: there is nothing behind this page.
    pub next: Option<TopicCursor>,
}

/// A topic of a page.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PagedTopic {
    pub name: String,
    /// `None`: there is no such topic.
    pub topic: Option<Arc<TopicImage>>,
    /// Those that are in the page, by their number.
    pub partitions: Range<usize>,
}

/// Why a cursor is refused: the client gets INVALID_REQUEST.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CursorError {
    #[error("the cursor's topic is not among those that are asked for")]
    TopicNotAsked,
    #[error("the cursor's partition is negative")]
    NegativePartition,
}

impl MetadataImage {
    /// The page that begins at `cursor`, of all topics (`names` is empty) or of these. A page has
    /// at least one partition and at most `partition_limit`, if there are any; a topic that does
    /// not exist counts as none.
    ///
    /// A topic of the cursor that is gone is passed over; a partition behind the topic's last is
    /// none.
    pub fn topic_page(
        &self,
        names: &[String],
        cursor: Option<&TopicCursor>,
        partition_limit: usize,
    ) -> Result<TopicPage, CursorError> {
        let from = cursor.map_or("", |cursor| cursor.topic.as_str());
        let is_behind = |name: &&str| *name >= from;
        let asked: BTreeSet<&str> = match names.is_empty() {
            true => self
                .topics()
                .map(|topic| &*topic.name)
                .filter(is_behind)
                .collect(),
            false => names.iter().map(String::as_str).filter(is_behind).collect(),
        };
        let mut start = 0;
        if let Some(cursor) = cursor {
            if !names.is_empty() && !asked.contains(from) {
                return Err(CursorError::TopicNotAsked);
            }
            start =
                usize::try_from(cursor.partition).map_err(|_| CursorError::NegativePartition)?;
        }
        Ok(self.fill_page(&asked, (from, start), partition_limit.max(1)))
    }

    fn fill_page(
        &self,
        asked: &BTreeSet<&str>,
        (from, start): (&str, usize),
        mut room: usize,
    ) -> TopicPage {
        let mut page = TopicPage::default();
        for &name in asked {
            let cursor = |partition: usize| {
                let partition = i32::try_from(partition).expect("partition numbers are i32");
                let topic = name.to_owned();
                Some(TopicCursor { topic, partition })
            };
            if room == 0 {
                page.next = cursor(0);
                return page;
            }
            let topic = self.topic_by_name(name);
            let count = topic.map_or(0, |topic| topic.partitions.len());
            let first = if name == from { start.min(count) } else { 0 };
            let end = count.min(first + room);
            page.topics.push(PagedTopic {
                name: name.to_owned(),
                topic: topic.cloned(),
                partitions: first..end,
            });
            if end < count {
                page.next = cursor(end);
                return page;
            }
            room -= end - first;
        }
        page
    }
}
