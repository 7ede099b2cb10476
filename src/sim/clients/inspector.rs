//! The last look: every topic that must be there, every partition from its beginning to its end.

use std::time::Duration;

use super::cast::Cast;
use super::{admin, damaged};
use crate::client::{
    Admin, Client, ClientError, FetchOptions, Fetcher, OffsetReset, OffsetSpec, StartOffset,
};
use crate::sim::checker::{Invariant, Lifecycle};
use crate::types::{Offset, TopicId};

/// How often it is looked whether what was acknowledged can be read yet, and how long apart.
const LOOKS_MAX: u32 = 50;
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// Reads and checks everything, on a world in which nothing fails any more.
pub(in crate::sim) async fn inspect(cast: Cast) {
    let client = cast.connect(cast.options(5)).await;
    match inspect_all(&cast, &client).await {
        Ok(()) => {}
        Err(error @ ClientError::Corrupt { .. }) => cast.ledger.got_damage(&error),
        Err(error) => cast.ledger.violated(
            Invariant::Liveness.broken(format!("nothing fails any more, and yet: {error}")),
        ),
    }
}

async fn inspect_all(cast: &Cast, client: &Client) -> Result<(), ClientError> {
    let admin = Admin::new(client);
    admin::list(cast, &admin).await?;
    let alive: Vec<(TopicId, String, usize)> = {
        let topics = cast.ledger.topics.borrow();
        let alive = topics
            .iter()
            .filter(|(_, t)| t.lifecycle == Lifecycle::Alive);
        alive
            .map(|(id, topic)| (id, topic.name.clone(), topic.partition_count))
            .collect()
    };
    for (topic_id, name, partition_count) in alive {
        for partition in 0..partition_count as i32 {
            if damaged::is_damaged(cast, topic_id, partition) {
                damaged::inspect(cast, client, topic_id, (&name, partition)).await;
                continue;
            }
            let end = settled_end(cast, &admin, topic_id, (&name, partition)).await?;
            let (start, end) = read_all(cast, client, topic_id, (&name, partition), end).await?;
            let mut topics = cast.ledger.topics.borrow_mut();
            let checked = topics
                .partition_mut(topic_id, partition)
                .and_then(|checker| {
                    checker.observe_start(start, checker.start_floor())?;
                    checker.check_end(end)
                });
            cast.ledger
                .check(checked.map_err(|fault| topics.named(topic_id, partition, fault)));
        }
    }
    Ok(())
}

/// Where a partition ends once all that was acknowledged can be read, or never will: with acks=1
/// the high watermark comes behind.
async fn settled_end(
    cast: &Cast,
    admin: &Admin,
    topic_id: TopicId,
    (name, partition): (&str, i32),
) -> Result<Offset, ClientError> {
    let mut looks = 0;
    loop {
        let latest = [(partition, OffsetSpec::Latest)];
        let listed = admin.list_offsets(name, &latest).await?;
        let end = listed.first().copied().flatten().unwrap_or(-1);
        let is_settled = {
            let mut topics = cast.ledger.topics.borrow_mut();
            let checker = topics.partition_mut(topic_id, partition);
            checker.and_then(|checker| checker.check_end(end)).is_ok()
        };
        looks += 1;
        if is_settled || looks == LOOKS_MAX {
            return Ok(end);
        }
        cast.reactor.sleep(LOOK_INTERVAL).await;
    }
}

/// Reads from the start up to `end` at least; returns where it began and where it came to, which
/// may be behind `end`: a request of a connection that is long dead may still be carried out.
async fn read_all(
    cast: &Cast,
    client: &Client,
    topic_id: TopicId,
    (name, partition): (&str, i32),
    end: Offset,
) -> Result<(Offset, Offset), ClientError> {
    let options = FetchOptions {
        // Retention may delete meanwhile.
        reset: OffsetReset::Earliest,
        ..FetchOptions::default()
    };
    let fetcher = Fetcher::new(client, options);
    let earliest = StartOffset::Earliest;
    let start = fetcher.assign(name, partition, earliest).await?;
    let mut position = start;
    while position < end {
        let fetched = fetcher.next().await?;
        cast.ledger.read(topic_id, &fetched);
        position = fetched.next_offset;
    }
    Ok((start, position.max(end)))
}
