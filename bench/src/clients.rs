//! The load generator's own reactors, and the topic of a run.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use anyhow::{Result, anyhow};
use ringlog::client::{Admin, Client, ClientError, ClientOptions, NewTopic, OffsetSpec};
use ringlog::io::{self, Reactor, ReactorOptions};
use ringlog::types::ErrorCode;

use crate::options::AckClass;

/// Start of the names of the load generator's threads.
pub(crate) const THREAD_NAME: &str = "client";
/// How long a run waits for a broker that does not answer.
const API_TIMEOUT: Duration = Duration::from_secs(30);

/// Starts `count` client threads. They are not pinned: on a small machine they share the cores with
/// an embedded broker, and the kernel places them best.
pub(crate) fn start<F, Fut, T>(count: usize, body: F) -> Result<io::Shards<T>>
where
    F: Fn(Reactor) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = T> + 'static,
    T: Send + 'static,
{
    io::preflight()?;
    let options = ReactorOptions {
        name: THREAD_NAME.to_owned(),
        shard_count: count,
        cpus: Vec::new(),
        // What a client burns while it waits is taken from the broker.
        spin_before_park: Duration::ZERO,
        ..ReactorOptions::default()
    };
    Ok(io::start(options, body)?)
}

/// Runs `body` on a client thread and waits for it.
pub(crate) fn run<F, Fut, T>(body: F) -> Result<T>
where
    F: Fn(Reactor) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Result<T>> + 'static,
    T: Send + 'static,
{
    let results = start(1, body)?.join();
    let first = results.into_iter().next();
    first.ok_or_else(|| anyhow!("the client thread has given no result"))??
}

/// The client's errors stay on its thread; what they say goes on.
pub(crate) fn failed(error: ClientError) -> anyhow::Error {
    anyhow!("{error}")
}

pub(crate) async fn connect(
    reactor: &Reactor,
    bootstrap_server: &str,
    in_flight_max: usize,
) -> Result<Client> {
    let options = ClientOptions {
        client_id: "ringlog-bench".to_owned(),
        in_flight_max,
        api_timeout: API_TIMEOUT,
        allow_auto_create_topics: false,
        ..ClientOptions::new(bootstrap_server)
    };
    Client::connect(reactor, options).await.map_err(failed)
}

/// Creates the topic of a run. The class is asked for by our own key; a broker that does not know
/// it is Kafka, whose class K is the default and whose class P is `flush.messages=1`.
pub(crate) fn create_topic(
    bootstrap_server: &str,
    name: &str,
    partition_count: usize,
    class: Option<AckClass>,
) -> Result<()> {
    let (bootstrap_server, name) = (bootstrap_server.to_owned(), name.to_owned());
    run(move |reactor| {
        let (bootstrap_server, name) = (bootstrap_server.clone(), name.clone());
        async move {
            let client = connect(&reactor, &bootstrap_server, 1).await?;
            let admin = Admin::new(&client);
            let own = class.map(|class| ("flush.before.ack", class.flushes_before_ack()));
            let created = create(&admin, &name, partition_count, own).await;
            let is_foreign = own.is_some()
                && created.as_ref().err().and_then(ClientError::code)
                    == Some(ErrorCode::InvalidConfig);
            if is_foreign {
                let kafkas = (class == Some(AckClass::P)).then_some(("flush.messages", "1"));
                create(&admin, &name, partition_count, kafkas)
                    .await
                    .map_err(failed)?;
            } else {
                created.map_err(failed)?;
            }
            wait_for_leaders(&admin, &name, partition_count).await
        }
    })
}

/// A new topic's leaders can be named before they lead, and refuse for a moment: a run would begin
/// with refused batches. ListOffsets is answered by leaders only, and repeated until it is.
async fn wait_for_leaders(admin: &Admin, topic: &str, partition_count: usize) -> Result<()> {
    let all = 0..i32::try_from(partition_count)?;
    let specs: Vec<_> = all.map(|index| (index, OffsetSpec::Latest)).collect();
    let offsets = admin.list_offsets(topic, &specs).await;
    offsets.map(drop).map_err(failed)
}

async fn create(
    admin: &Admin,
    name: &str,
    partition_count: usize,
    config: Option<(&str, &str)>,
) -> Result<(), ClientError> {
    let config = config.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let topic = NewTopic {
        name: name.to_owned(),
        partition_count: i32::try_from(partition_count).ok(),
        replication_factor: None,
        configs: BTreeMap::from_iter(config),
    };
    let results = admin.create_topics(&[topic], false).await?;
    results
        .into_iter()
        .try_for_each(|topic| topic.result.map(drop))
}

/// Deletes the topic of a run.
pub(crate) fn delete_topic(bootstrap_server: &str, name: &str) -> Result<()> {
    let (bootstrap_server, name) = (bootstrap_server.to_owned(), name.to_owned());
    run(move |reactor| {
        let (bootstrap_server, name) = (bootstrap_server.clone(), name.clone());
        async move {
            let client = connect(&reactor, &bootstrap_server, 1).await?;
            let deleted = Admin::new(&client).delete_topics(&[&name]).await;
            for topic in deleted.map_err(failed)? {
                topic.result.map_err(failed)?;
            }
            Ok(())
        }
    })
}
