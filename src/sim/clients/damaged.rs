//! The last look at a partition whose files the disk has damaged: what is not damaged can be read,
//! what is fails for a reason that was told, and nobody gets anything else.

use std::time::Duration;

use super::cast::Cast;
use crate::client::{
    Admin, Client, ClientError, FetchOptions, FetchedPartition, Fetcher, OffsetReset, OffsetSpec,
    StartOffset,
};
use crate::sim::checker::Invariant;
use crate::types::{Offset, PartitionIndex, TopicId};

/// How long a read may take before it counts as failed: a client tries again for ever.
const READ_TIME_MAX: Duration = Duration::from_secs(2);

pub(super) fn is_damaged(cast: &Cast, topic_id: TopicId, partition: PartitionIndex) -> bool {
    let mut topics = cast.ledger.topics.borrow_mut();
    let checker = topics.partition_mut(topic_id, partition);
    checker.is_ok_and(|checker| checker.is_damaged())
}

pub(super) async fn inspect(
    cast: &Cast,
    client: &Client,
    topic_id: TopicId,
    (name, partition): (&str, PartitionIndex),
) {
    let admin = Admin::new(client);
    let ends = [OffsetSpec::Earliest, OffsetSpec::Latest].map(|spec| (partition, spec));
    let mut listed = Vec::new();
    for end in ends {
        match admin.list_offsets(name, &[end]).await {
            Ok(offsets) => listed.push(offsets.first().copied().flatten().unwrap_or(-1)),
            // It is offline as a whole.
            Err(error) => return refused(cast, topic_id, partition, &error.to_string()),
        }
    }
    let [start, end] = listed[..] else { return };
    let mut position = start;
    while position < end && cast.ledger.violation().is_none() {
        let failed = match read(cast, client, (name, partition), position).await {
            Ok(fetched) => {
                cast.ledger.read(topic_id, &fetched);
                position = fetched.next_offset;
                continue;
            }
            Err(failed) => failed,
        };
        let Some(next) = readable_behind(cast, topic_id, partition, position) else {
            let text = format!("offset {position} cannot be read, and is whole: {failed}");
            let mut fault = Invariant::Kept.broken(text);
            fault = cast
                .ledger
                .topics
                .borrow()
                .named(topic_id, partition, fault);
            return cast.ledger.violated(fault);
        };
        refused(cast, topic_id, partition, &failed);
        position = next;
    }
    let mut topics = cast.ledger.topics.borrow_mut();
    let checked = topics
        .partition_mut(topic_id, partition)
        .and_then(|checker| {
            checker.observe_start(start, checker.start_floor())?;
            checker.check_end(end)
        });
    let named = checked.map_err(|fault| topics.named(topic_id, partition, fault));
    drop(topics);
    cast.ledger.check(named);
}

async fn read(
    cast: &Cast,
    client: &Client,
    (name, partition): (&str, PartitionIndex),
    position: Offset,
) -> Result<FetchedPartition, String> {
    let reading = async {
        let options = FetchOptions {
            // Retention may delete meanwhile.
            reset: OffsetReset::Earliest,
            ..FetchOptions::default()
        };
        let fetcher = Fetcher::new(client, options);
        let start = StartOffset::Offset(position);
        fetcher.assign(name, partition, start).await?;
        loop {
            let fetched = fetcher.next().await?;
            if fetched.next_offset > position {
                return Ok::<_, ClientError>(fetched);
            }
        }
    };
    match cast.reactor.timeout(READ_TIME_MAX, reading).await {
        Some(Ok(fetched)) => Ok(fetched),
        Some(Err(error @ ClientError::Corrupt { .. })) => {
            cast.ledger.got_damage(&error);
            Err(error.to_string())
        }
        Some(Err(error)) => Err(error.to_string()),
        None => Err(format!("no answer within {READ_TIME_MAX:?}")),
    }
}

fn readable_behind(
    cast: &Cast,
    topic_id: TopicId,
    partition: PartitionIndex,
    offset: Offset,
) -> Option<Offset> {
    let mut topics = cast.ledger.topics.borrow_mut();
    let checker = topics.partition_mut(topic_id, partition).ok()?;
    checker.readable_behind(offset)
}

/// Something is refused: that must have been told, with file and place.
fn refused(cast: &Cast, topic_id: TopicId, partition: PartitionIndex, why: &str) {
    cast.note(|| format!("{topic_id}-{partition} is damaged: {why}"));
    cast.ledger.note_reports();
    let mut topics = cast.ledger.topics.borrow_mut();
    let checker = topics.partition_mut(topic_id, partition);
    let is_reported = checker.is_ok_and(|checker| checker.is_damage_reported());
    if !is_reported {
        let text = format!("a read is refused, and nobody was told of damage: {why}");
        let fault = Invariant::DamageReported.broken(text);
        cast.ledger
            .violated(topics.named(topic_id, partition, fault));
    }
}
