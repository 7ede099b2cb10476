//! `ringlog topic`: create, list, describe, alter, add partitions, delete, delete records,
//! describe producers.

use std::collections::BTreeMap;
use std::io::Write;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};

use super::config::EditArgs;
use super::delete_records::{self, DeleteRecordsArgs};
use super::describe_producers::{self, DescribeProducersArgs};
use super::output::Output;
use super::session::{self, ServerArgs, Session};
use super::topic_sizes::Sizes;
use super::topic_text;
use crate::client::{Admin, ClientError, ConfigTarget, NewTopic, TopicResult};
use crate::types::{ErrorCode, TopicId};

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
    List {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Print id, partitions, leaders and replicas
    Describe(DescribeArgs),
    /// Give topics more partitions; records with keys go elsewhere from then on
    AddPartitions(AddPartitionsArgs),
    /// Change settings of a topic
    Alter(AlterArgs),
    /// Delete topics and everything in them
    Delete(DeleteArgs),
    /// Delete the oldest records of one partition
    DeleteRecords(DeleteRecordsArgs),
    /// Print the idempotent producers that one partition remembers
    DescribeProducers(DescribeProducersArgs),
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

#[derive(Args, Clone, Debug)]
struct DescribeArgs {
    /// All topics when none is named
    topics: Vec<String>,
    /// Also the bytes of records of each replica, in the order of the replicas
    #[arg(long)]
    sizes: bool,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

#[derive(Args, Clone, Debug)]
struct AddPartitionsArgs {
    #[arg(required = true)]
    topics: Vec<String>,
    /// How many partitions each topic has then, with those that it has
    #[arg(short, long, value_parser = clap::value_parser!(i32).range(1..))]
    partitions: i32,
    /// Only say whether it could be done
    #[arg(long)]
    validate_only: bool,
}

#[derive(Args, Clone, Debug)]
struct DeleteArgs {
    #[arg(required_unless_present = "ids")]
    topics: Vec<String>,
    /// A topic by its id, as `topic describe` prints it; may be given several times
    #[arg(long = "id", value_name = "TOPIC_ID", value_parser = topic_id)]
    // It may begin with a hyphen.
    #[arg(allow_hyphen_values = true)]
    ids: Vec<TopicId>,
}

fn topic_id(text: &str) -> Result<TopicId, String> {
    TopicId::parse(text).ok_or_else(|| "22 characters of URL-safe base64".to_owned())
}

#[derive(Args, Clone, Debug)]
struct AlterArgs {
    topic: String,
    #[command(flatten)]
    edits: EditArgs,
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
        Action::List { json } => {
            for topic in admin.describe_topics(None).await? {
                topic_text::list_line(&mut out, &topic, *json)?;
            }
        }
        Action::Describe(args) => describe(&admin, args, &mut out).await?,
        Action::AddPartitions(args) => {
            let names = args.topics.iter().map(String::as_str);
            let grown: Vec<_> = names.map(|name| (name, args.partitions)).collect();
            let results = admin.create_partitions(&grown, args.validate_only).await?;
            all_done(results, None)?;
        }
        Action::Alter(args) => {
            let target = ConfigTarget::Topic(args.topic.clone());
            args.edits.apply(&admin, &target, &mut out).await?;
        }
        Action::Delete(args) => delete(&admin, args).await?,
        Action::DeleteRecords(args) => delete_records::run(&admin, args, &mut out).await?,
        Action::DescribeProducers(args) => {
            describe_producers::run(&admin, args, &mut out).await?;
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

async fn describe(admin: &Admin, args: &DescribeArgs, out: &mut Output) -> Result<()> {
    let names: Vec<&str> = args.topics.iter().map(String::as_str).collect();
    let names = (!names.is_empty()).then_some(&names[..]);
    let described = admin.describe_topics(names).await?;
    let sizes = match args.sizes {
        true => Some(Sizes::ask(admin).await?),
        false => None,
    };
    for topic in &described {
        topic_text::describe(out, topic, sizes.as_ref(), args.json)?;
    }
    out.flush()?;
    match described.iter().find(|topic| topic.error.is_error()) {
        Some(bad) => bail!("topic `{}`: {}", bad.name, bad.error),
        None => Ok(()),
    }
}

async fn delete(admin: &Admin, args: &DeleteArgs) -> Result<()> {
    let mut results = Vec::new();
    if !args.topics.is_empty() {
        let names: Vec<&str> = args.topics.iter().map(String::as_str).collect();
        results.extend(admin.delete_topics(&names).await?);
    }
    if !args.ids.is_empty() {
        results.extend(admin.delete_topics_by_id(&args.ids).await?);
    }
    all_done(results, None)
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
