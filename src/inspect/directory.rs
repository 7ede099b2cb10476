//! A whole log directory: its own small files, then every partition.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Result};
use std::path::Path;

use super::files::{Files, read_small_file};
use super::partition::{PartitionOptions, verify};
use super::report::{Report, parse_directory_name};
use crate::log::FLUSH_FAILED_PREFIX;
use crate::log_state::{
    FORMAT_VERSION, FormatError, MetaProperties, decode_offsets, format_version,
};
use crate::types::{Offset, TopicPartition};

const META_PROPERTIES: &str = "meta.properties";
const CLEAN_SHUTDOWN_MARKER: &str = ".kafka_cleanshutdown";
const RECOVERY_POINTS: &str = "recovery-point-offset-checkpoint";
const LOG_STARTS: &str = "log-start-offset-checkpoint";

/// Directories that hold no live partition, by how their names end: deleted, put aside, and
/// Kafka's moves between directories that are not complete.
const OUT_OF_USE_SUFFIXES: [&str; 3] = ["-delete", "-stray", "-future"];

/// Reads a whole log directory and reports what is not as it should be. An error is one of reading
/// the directory itself.
pub fn verify_log_directory(
    files: &dyn Files,
    directory: &Path,
    is_deep: bool,
    report: &mut Report<'_>,
) -> Result<()> {
    let entries = files.list(directory)?;
    let has = |name: &str| entries.iter().any(|entry| entry.name == name);
    check_identity(files, directory, report)?;
    let recovery_points = read_offsets(files, directory, RECOVERY_POINTS, report)?;
    let log_starts = read_offsets(files, directory, LOG_STARTS, report)?;
    for entry in &entries {
        let path = directory.join(&entry.name);
        if entry.name.starts_with(FLUSH_FAILED_PREFIX) {
            report.problem(
                &path,
                "a flush failed here: what was read may not be on the disk",
            );
        }
        if !entry.is_dir
            || OUT_OF_USE_SUFFIXES
                .iter()
                .any(|end| entry.name.ends_with(end))
        {
            continue;
        }
        let Some(partition) = parse_directory_name(&entry.name) else {
            continue;
        };
        let options = PartitionOptions {
            was_stopped_cleanly: has(CLEAN_SHUTDOWN_MARKER),
            recovery_point: recovery_points.get(&partition).copied().unwrap_or(0),
            is_deep,
        };
        let end = match verify(files, &path, &options, report) {
            Ok(end) => end,
            // One that cannot be read keeps nobody from the others.
            Err(error) => {
                report.problem(&path, error.to_string());
                continue;
            }
        };
        for (name, offsets) in [
            (RECOVERY_POINTS, &recovery_points),
            (LOG_STARTS, &log_starts),
        ] {
            if let Some(&offset) = offsets.get(&partition)
                && offset > end
            {
                let text = format!("{partition}: {offset} is behind the end {end}");
                report.problem(&directory.join(name), text);
            }
        }
    }
    Ok(())
}

fn check_identity(files: &dyn Files, directory: &Path, report: &mut Report<'_>) -> Result<()> {
    let path = directory.join(META_PROPERTIES);
    let fault = match read_small_file(files, &path) {
        Ok(bytes) => match read_identity(&String::from_utf8_lossy(&bytes)) {
            Ok(None | Some(..=FORMAT_VERSION)) => return Ok(()),
            Ok(Some(newer)) => format!("format {newer} is a newer release's; use that one"),
            Err(error) => error.to_string(),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => "is missing".to_owned(),
        Err(error) => return Err(error),
    };
    report.problem(&path, fault);
    Ok(())
}

/// The format of a directory whose identity can be read; `None` in one of Kafka's.
fn read_identity(text: &str) -> std::result::Result<Option<u32>, FormatError> {
    MetaProperties::decode(text)?;
    format_version(text)
}

/// A checkpoint of the directory; one that is not there says nothing.
fn read_offsets(
    files: &dyn Files,
    directory: &Path,
    name: &str,
    report: &mut Report<'_>,
) -> Result<BTreeMap<TopicPartition, Offset>> {
    let path = directory.join(name);
    let bytes = match read_small_file(files, &path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(error),
    };
    let decoded = decode_offsets(&String::from_utf8_lossy(&bytes));
    if let Err(error) = &decoded {
        report.problem(&path, error.to_string());
    }
    Ok(decoded.unwrap_or_default())
}
