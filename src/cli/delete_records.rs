//! `ringlog topic delete-records`: the oldest records of one partition go.

use std::io::Write;

use anyhow::{Context, Result};
use clap::Args;

use super::output::Output;
use crate::client::Admin;
use crate::types::Offset;

#[derive(Args, Clone, Debug)]
pub(super) struct DeleteRecordsArgs {
    #[arg(long)]
    topic: String,
    #[arg(long, value_parser = clap::value_parser!(i32).range(0..))]
    partition: i32,
    /// The first offset that is kept, or `end` to delete all
    #[arg(long, value_name = "OFFSET", value_parser = before)]
    before: Before,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Up to where records are deleted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Before {
    Offset(Offset),
    /// All that may be read.
    End,
}

fn before(text: &str) -> Result<Before, String> {
    if text == "end" {
        return Ok(Before::End);
    }
    let offset = text.parse().ok().filter(|&offset: &Offset| offset >= 0);
    let offset = offset.ok_or("an offset from 0 on, or `end`")?;
    Ok(Before::Offset(offset))
}

pub(super) async fn run(admin: &Admin, args: &DeleteRecordsArgs, out: &mut Output) -> Result<()> {
    let DeleteRecordsArgs {
        topic, partition, ..
    } = args;
    let offset = match args.before {
        Before::Offset(offset) => Some(offset),
        Before::End => None,
    };
    let deleted = admin.delete_records(topic, &[(*partition, offset)]).await?;
    let start = deleted.into_iter().next();
    let log_start_offset = start.context("one partition was asked for")??;
    if args.json {
        let line = serde_json::json!({
            "topic": topic,
            "partition": partition,
            "log_start_offset": log_start_offset,
        });
        writeln!(out, "{line}")?;
    } else {
        writeln!(
            out,
            "{topic}-{partition} starts at offset {log_start_offset}"
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_or_the_end() {
        assert_eq!(before("0"), Ok(Before::Offset(0)));
        assert_eq!(before("9223372036854775807"), Ok(Before::Offset(i64::MAX)));
        assert_eq!(before("end"), Ok(Before::End));
        for bad in ["-1", "", "x", "9223372036854775808"] {
            assert!(before(bad).is_err(), "{bad}");
        }
    }
}
