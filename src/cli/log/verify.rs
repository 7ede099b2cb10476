//! `ringlog log verify`: would a start find everything as it was written?

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use nix::libc;

use super::args::VerifyArgs;
use super::disk_files::DiskFiles;
use super::line::{Line, Style};
use crate::cli::output::Output;
use crate::inspect::{
    FileKind, Files, Finding, PartitionOptions, Report, Severity, Summary, read_small_file,
    verify_log_directory, verify_partition,
};
use crate::log_state::decode_offsets;
use crate::types::TopicPartition;

const LOCK_FILE: &str = ".lock";
const CLEAN_SHUTDOWN_MARKER: &str = ".kafka_cleanshutdown";
const RECOVERY_POINTS: &str = "recovery-point-offset-checkpoint";

/// Looks at every directory, prints what is wrong, and a last line of what was looked at. A
/// problem is an error in the end; a note is not.
pub(super) fn run(args: &VerifyArgs) -> Result<()> {
    let style = if args.json { Style::Json } else { Style::Text };
    let mut out = Output::new();
    let mut printed = Ok(());
    let mut sink = |finding: Finding| {
        if printed.is_ok() {
            printed = print_finding(&finding, style, &mut out);
        }
    };
    let mut report = Report::new(&mut sink);
    for directory in &args.directories {
        verify(directory, args.deep, &mut report)
            .with_context(|| format!("{} cannot be verified", directory.display()))?;
    }
    let summary = report.summary;
    printed?;
    summary_line(&summary).print(style, &mut out)?;
    out.flush()?;
    match summary.problem_count {
        0 => Ok(()),
        1 => bail!("1 problem was found"),
        count => bail!("{count} problems were found"),
    }
}

fn verify(directory: &Path, is_deep: bool, report: &mut Report<'_>) -> Result<()> {
    let is_segment = |name: &str| matches!(FileKind::of(name), Some(FileKind::Segment { .. }));
    let entries = DiskFiles.list(directory)?;
    let is_partition = entries
        .iter()
        .any(|entry| is_segment(&entry.name) && entry.name.ends_with(".log"));
    if !is_partition {
        let is_ours = |name: &str| name == "meta.properties" || name == LOCK_FILE;
        if !entries.iter().any(|entry| is_ours(&entry.name)) {
            bail!("it is neither a log directory (no meta.properties) nor a partition's (no .log)");
        }
        let _locked = lock_out_brokers(directory)?;
        return Ok(verify_log_directory(
            &DiskFiles, directory, is_deep, report,
        )?);
    }
    let whole = directory.canonicalize()?;
    let above = whole.parent().unwrap_or(&whole);
    let _locked = lock_out_brokers(above)?;
    let options = PartitionOptions {
        was_stopped_cleanly: above.join(CLEAN_SHUTDOWN_MARKER).exists(),
        recovery_point: recovery_point(above, &whole),
        is_deep,
    };
    Ok(verify_partition(&DiskFiles, directory, &options, report)?)
}

/// What the directory above has for a partition; 0 if it has nothing.
fn recovery_point(above: &Path, partition: &Path) -> i64 {
    let offsets = read_small_file(&DiskFiles, &above.join(RECOVERY_POINTS)).ok();
    let offsets = offsets.and_then(|text| decode_offsets(&String::from_utf8_lossy(&text)).ok());
    let name = partition.file_name().unwrap_or_default().to_string_lossy();
    let Some((topic, index)) = name.rsplit_once('-') else {
        return 0;
    };
    let Ok(index) = index.parse() else {
        return 0;
    };
    let partition = TopicPartition::new(topic, index);
    offsets
        .and_then(|offsets| offsets.get(&partition).copied())
        .unwrap_or(0)
}

/// Refuses a log directory that a broker has, ours or Kafka's. As long as what it gives lives, no
/// broker of ours starts there.
fn lock_out_brokers(directory: &Path) -> Result<Option<File>> {
    let path = directory.join(LOCK_FILE);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("{}", path.display())),
    };
    let is_free = file.try_lock_shared().is_ok() && !is_locked_by_java(&file);
    if !is_free {
        bail!(
            "a broker is running on {}; stop it first",
            directory.display()
        );
    }
    Ok(Some(file))
}

/// Kafka locks by `FileChannel.tryLock`, which is not flock but a lock of the process (fcntl).
fn is_locked_by_java(file: &File) -> bool {
    let mut lock = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    // SAFETY: the descriptor is open and the struct is the call's, for as long as it runs.
    let done = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETLK, &mut lock) };
    done == 0 && lock.l_type != libc::F_UNLCK as libc::c_short
}

fn print_finding(finding: &Finding, style: Style, out: &mut Output) -> std::io::Result<()> {
    let severity = match finding.severity {
        Severity::Note => "note",
        Severity::Problem => "problem",
    };
    let path: &PathBuf = &finding.path;
    if style == Style::Json {
        let line = Line::new(severity)
            .with("file", path.display().to_string())
            .with_option("position", finding.position)
            .with("text", finding.text.as_str());
        return line.print(style, out);
    }
    match finding.position {
        Some(position) => {
            let path = path.display();
            writeln!(out, "{severity}: {path}: byte {position}: {}", finding.text)
        }
        None => writeln!(out, "{severity}: {}: {}", path.display(), finding.text),
    }
}

fn summary_line(summary: &Summary) -> Line {
    Line::new("summary")
        .with("partitions", summary.partition_count)
        .with("segments", summary.segment_count)
        .with("batches", summary.batch_count)
        .with("records", summary.record_count)
        .with("bytes", summary.byte_count)
        .with("problems", summary.problem_count)
        .with("notes", summary.note_count)
}
