//! `ringlog topic`: create, list, describe, delete.

use std::collections::BTreeMap;
use std::io::Write;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};

use super::output::Output;
use super::session::{self, ServerArgs, Session};
use crate::client::{Admin, ClientError, NewTopic, TopicResult, TopicView};
use crate::types::{ErrorCode, NodeId};

/// The arguments of `ringlog topic`.
#[derive(Args, Clone, Debug)]
pub(super) struct TopicArgs {
    #[command(flatten)]
    server: ServerArgs,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Clone, Debug)]
enum Action {
    /// Create topics
    Create(CreateArgs),
    /// Print the names of all topics
    List,
    /// Print id, partitions, leaders and replicas
    Describe {
        /// All topics when none is named
        topics: Vec<String>,
    },
    /// Delete topics and everything in them
    Delete {
        #[arg(required = true)]
        topics: Vec<String>,
    },
}

#[derive(Args, Clone, Debug)]
struct CreateArgs {
    #[arg(required = true)]
    topics: Vec<String>,
    /// How many partitions; num.partitions of the broker when not given
    #[arg(short, long, value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,
    /// How many replicas; default.replication.factor of the broker when not given
    #[arg(short, long, value_parser = clap::value_parser!(i16).range(1..))]
    replication_factor: Option<i16>,
    /// A setting of the topic, with Kafka's name; may be given several times
    #[arg(short, long = "config", value_name = "KEY=VALUE")]
    configs: Vec<String>,
    /// Succeed when the topic is there already
    #[arg(long)]
    if_not_exists: bool,
}

pub(super) fn run(args: &TopicArgs) -> Result<()> {
    let action = args.action.clone();
    session::run(&args.server, false, move |session| {
        let action = action.clone();
        async move { act(&session, &action).await }
    })
}

async fn act(session: &Session, action: &Action) -> Result<()> {
    let admin = Admin::new(&session.client);
    let mut out = Output::new();
    match action {
        Action::Create(args) => create(&admin, args).await?,
        Action::List => {
            for topic in admin.describe_topics(None).await? {
                writeln!(out, "{}", topic.name)?;
            }
        }
        Action::Describe { topics } => {
            let names: Vec<&str> = topics.iter().map(String::as_str).collect();
            let names = (!names.is_empty()).then_some(&names[..]);
            let described = admin.describe_topics(names).await?;
            for topic in &described {
                describe(&mut out, topic)?;
            }
            out.flush()?;
            if let Some(bad) = described.iter().find(|topic| topic.error.is_error()) {
                bail!("topic `{}`: {}", bad.name, bad.error);
            }
        }
        Action::Delete { topics } => {
            let names: Vec<&str> = topics.iter().map(String::as_str).collect();
            all_done(admin.delete_topics(&names).await?, None)?;
        }
    }
    out.flush()?;
    Ok(())
}

async fn create(admin: &Admin, args: &CreateArgs) -> Result<()> {
    let configs = args.configs.iter().map(|setting| {
        let (key, value) = setting
            .split_once('=')
            .with_context(|| format!("`{setting}` is not KEY=VALUE"))?;
        Ok((key.trim().to_owned(), value.trim().to_owned()))
    });
    let configs = configs.collect::<Result<BTreeMap<_, _>>>()?;
    let topics: Vec<NewTopic> = args
        .topics
        .iter()
        .map(|name| NewTopic {
            name: name.clone(),
            partition_count: args.partitions,
            replication_factor: args.replication_factor,
            configs: configs.clone(),
        })
        .collect();
    let accepted = args.if_not_exists.then_some(ErrorCode::TopicAlreadyExists);
    all_done(admin.create_topics(&topics, false).await?, accepted)
}

/// The first failure, if there is one that is not accepted.
fn all_done(results: Vec<TopicResult>, accepted: Option<ErrorCode>) -> Result<()> {
    let failures = results.into_iter().filter_map(|topic| topic.result.err());
    let failures: Vec<ClientError> = failures
        .filter(|error| error.code().is_none() || error.code() != accepted)
        .collect();
    match failures.len() {
        0 => Ok(()),
        1 => bail!("{}", failures[0]),
        count => bail!("{} (and {} more)", failures[0], count - 1),
    }
}

/// As Kafka's topic tool prints it.
fn describe(out: &mut Output, topic: &TopicView) -> Result<()> {
    if topic.error.is_error() {
        return Ok(());
    }
    let replication_factor = topic
        .partitions
        .first()
        .map_or(0, |first| first.replicas.len());
    writeln!(
        out,
        "Topic: {}\tTopicId: {}\tPartitionCount: {}\tReplicationFactor: {replication_factor}",
        topic.name,
        topic.topic_id,
        topic.partitions.len(),
    )?;
    for partition in &topic.partitions {
        let leader = partition
            .leader
            .map_or("none".to_owned(), |leader| leader.to_string());
        writeln!(
            out,
            "\tPartition: {}\tLeader: {leader}\tReplicas: {}\tIsr: {}",
            partition.partition,
            nodes(&partition.replicas),
            nodes(&partition.isr),
        )?;
    }
    Ok(())
}

fn nodes(nodes: &[NodeId]) -> String {
    let nodes: Vec<String> = nodes.iter().map(NodeId::to_string).collect();
    nodes.join(",")
}
