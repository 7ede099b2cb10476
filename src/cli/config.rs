//! `ringlog config`: describe, alter, and the table of keys as a document.

use std::io::Write;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::output::Output;
use super::session::{self, ServerArgs, Session};
use crate::client::{Admin, ConfigEdit, ConfigEntry, ConfigTarget};
use crate::config::ConfigSource;

/// The arguments of `ringlog config`.
#[derive(Args, Clone, Debug)]
pub(super) struct ConfigCommand {
    #[command(flatten)]
    server: ServerArgs,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Clone, Debug)]
enum Action {
    /// Print what is set, a key a line, and where
    Describe(DescribeArgs),
    /// Change settings: all that are given, or none
    Alter(AlterArgs),
}

/// Whose settings.
#[derive(Args, Clone, Debug)]
#[group(required = true, multiple = false)]
struct TargetArgs {
    /// A topic
    #[arg(short, long)]
    topic: Option<String>,
    /// A broker by its id, or `default` for what is set for all brokers
    #[arg(long, value_name = "ID", value_parser = parse_broker)]
    broker: Option<ConfigTarget>,
}

#[derive(Args, Clone, Debug)]
struct DescribeArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Keys that have their default, too
    #[arg(short, long)]
    all: bool,
    /// One JSON object a line, with all that is set of the key and its documentation
    #[arg(long)]
    json: bool,
    /// Only these keys, whatever they are set to
    keys: Vec<String>,
}

#[derive(Args, Clone, Debug)]
struct AlterArgs {
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    edits: EditArgs,
}

/// What is changed.
#[derive(Args, Clone, Debug)]
pub(super) struct EditArgs {
    /// Give a key a value; may be given several times
    #[arg(
        short,
        long = "set",
        visible_alias = "config",
        value_name = "KEY=VALUE"
    )]
    set: Vec<String>,
    /// Let a key have its default again
    #[arg(short, long, value_name = "KEY")]
    delete: Vec<String>,
    /// Append items to a list
    #[arg(long, value_name = "KEY=ITEM,...")]
    append: Vec<String>,
    /// Take items out of a list
    #[arg(long, value_name = "KEY=ITEM,...")]
    subtract: Vec<String>,
    /// Only find out whether it could be done
    #[arg(long)]
    validate_only: bool,
    /// Say as one JSON object what was done
    #[arg(long)]
    json: bool,
}

fn parse_broker(text: &str) -> Result<ConfigTarget, String> {
    match text {
        "default" => Ok(ConfigTarget::AllBrokers),
        text => match text.parse() {
            Ok(id) => Ok(ConfigTarget::Broker(id)),
            Err(_) => Err("a broker's id is a number; `default` is all brokers".to_owned()),
        },
    }
}

impl TargetArgs {
    fn target(&self) -> ConfigTarget {
        match (&self.topic, &self.broker) {
            (Some(topic), _) => ConfigTarget::Topic(topic.clone()),
            (None, Some(broker)) => broker.clone(),
            (None, None) => unreachable!("clap wants one of them"),
        }
    }
}

pub(super) fn run(command: &ConfigCommand) -> Result<()> {
    let action = command.action.clone();
    session::run(&command.server, false, move |session| {
        let action = action.clone();
        async move { act(&session, &action).await }
    })
}

async fn act(session: &Session, action: &Action) -> Result<()> {
    let admin = Admin::new(&session.client);
    let mut out = Output::new();
    match action {
        Action::Describe(args) => describe(&admin, args, &mut out).await?,
        Action::Alter(args) => {
            let target = args.target.target();
            args.edits.apply(&admin, &target, &mut out).await?;
        }
    }
    out.flush()?;
    Ok(())
}

async fn describe(admin: &Admin, args: &DescribeArgs, out: &mut Output) -> Result<()> {
    let keys: Vec<&str> = args.keys.iter().map(String::as_str).collect();
    let asked = (!keys.is_empty()).then_some(&keys[..]);
    let target = args.target.target();
    let mut entries = admin.describe_configs(&target, asked).await?;
    for key in &keys {
        if !entries.iter().any(|entry| entry.name == *key) {
            bail!("{target} has no key `{key}`");
        }
    }
    if !args.all && asked.is_none() {
        entries.retain(|entry| entry.source != Some(ConfigSource::Default));
    }
    for entry in &entries {
        match args.json {
            true => writeln!(out, "{}", entry_json(entry))?,
            false => writeln!(out, "{}", line(entry))?,
        }
    }
    Ok(())
}

/// `key=value`, the source, and what else is set of it.
fn line(entry: &ConfigEntry) -> String {
    let value = entry.value.as_deref().unwrap_or(match entry.is_sensitive {
        true => "(hidden)",
        false => "(not set)",
    });
    let mut line = format!("{}={value}\t{}", entry.name, source_name(entry.source));
    let others = entry.synonyms.iter().skip(1).map(|synonym| {
        let value = synonym.value.as_deref().unwrap_or("(hidden)");
        format!("{}={value} {}", synonym.name, source_name(synonym.source))
    });
    let others: Vec<_> = others.collect();
    if !others.is_empty() {
        line.push_str(&format!("\t(over {})", others.join(", ")));
    }
    line
}

fn source_name(source: Option<ConfigSource>) -> &'static str {
    source.map_or("UNKNOWN", ConfigSource::name)
}

fn entry_json(entry: &ConfigEntry) -> Value {
    let synonyms = entry.synonyms.iter().map(|synonym| {
        json!({
            "name": synonym.name,
            "value": synonym.value,
            "source": source_name(synonym.source),
        })
    });
    json!({
        "name": entry.name,
        "value": entry.value,
        "source": source_name(entry.source),
        "read_only": entry.is_read_only,
        "sensitive": entry.is_sensitive,
        "synonyms": synonyms.collect::<Vec<_>>(),
        "documentation": entry.documentation,
    })
}

impl EditArgs {
    /// Changes the settings of `target`.
    pub(super) async fn apply(
        &self,
        admin: &Admin,
        target: &ConfigTarget,
        out: &mut Output,
    ) -> Result<()> {
        let edits = self.edits()?;
        let done = admin.alter_configs(target, &edits, self.validate_only);
        done.await?;
        if self.json {
            let changes = edits.iter().map(edit_json).collect::<Vec<_>>();
            let said = json!({
                "resource": target.to_string(),
                "validate_only": self.validate_only,
                "changes": changes,
            });
            writeln!(out, "{said}")?;
        }
        Ok(())
    }

    fn edits(&self) -> Result<Vec<(String, ConfigEdit)>> {
        let mut edits = Vec::new();
        let with_value: [(&[String], EditWithValue); 3] = [
            (&self.set, ConfigEdit::Set),
            (&self.append, ConfigEdit::Append),
            (&self.subtract, ConfigEdit::Subtract),
        ];
        for (settings, edit) in with_value {
            for setting in settings {
                let Some((key, value)) = setting.split_once('=') else {
                    bail!("`{setting}` is not KEY=VALUE");
                };
                edits.push((key.trim().to_owned(), edit(value.trim().to_owned())));
            }
        }
        let deleted = self.delete.iter();
        edits.extend(deleted.map(|key| (key.trim().to_owned(), ConfigEdit::Delete)));
        if edits.is_empty() {
            bail!("nothing to change: give --set, --delete, --append or --subtract");
        }
        Ok(edits)
    }
}

/// Which edit a value is for.
type EditWithValue = fn(String) -> ConfigEdit;

fn edit_json((name, edit): &(String, ConfigEdit)) -> Value {
    let (operation, value) = match edit {
        ConfigEdit::Set(value) => ("set", Some(value)),
        ConfigEdit::Delete => ("delete", None),
        ConfigEdit::Append(value) => ("append", Some(value)),
        ConfigEdit::Subtract(value) => ("subtract", Some(value)),
    };
    json!({ "name": name, "operation": operation, "value": value })
}
