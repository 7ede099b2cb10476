//! `ringlog log dump`: what Kafka's DumpLogSegments prints, with the same names, of files of ours
//! and of Kafka's.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::args::DumpArgs;
use super::disk_files::DiskFiles;
use super::line::{Line, Style, bytes_value};
use super::small_files;
use crate::batch::{
    BatchHeader, BatchView, Codec, ControlRecord, DECOMPRESSED_SIZE_MAX, Decompressor, Record,
    RecordIter, ScanEnd, TimestampType,
};
use crate::cli::output::Output;
use crate::inspect::{BatchWalk, FileKind, Files, StoredBatch, read_small_file, written_at_most};
use crate::log_state::RecoveryCheckpoint;
use crate::types::Offset;

/// Prints every file that is named, and what is known in every directory. What cannot be read as
/// what it is called is said in its place; in the end it is an error.
pub(super) fn run(args: &DumpArgs) -> Result<()> {
    let mut dump = Dump {
        args,
        style: if args.json { Style::Json } else { Style::Text },
        out: Output::new(),
        decompressor: Decompressor::new(),
        fault_count: 0,
    };
    for path in &args.paths {
        let is_dir = std::fs::metadata(path)
            .with_context(|| format!("{} cannot be read", path.display()))?
            .is_dir();
        if is_dir {
            dump.directory(path, true)?;
        } else {
            dump.file(path)?;
        }
    }
    dump.out.flush()?;
    match dump.fault_count {
        0 => Ok(()),
        count => bail!("{count} things could not be read as what they should be; see `fault`"),
    }
}

struct Dump<'a> {
    args: &'a DumpArgs,
    style: Style,
    out: Output,
    decompressor: Decompressor,
    fault_count: u64,
}

impl Dump<'_> {
    /// All known files of a directory, and of the partitions in it.
    fn directory(&mut self, path: &Path, descends: bool) -> Result<()> {
        let failed = || format!("{} cannot be read", path.display());
        for entry in DiskFiles.list(path).with_context(failed)? {
            let inside = path.join(&entry.name);
            if entry.is_dir && descends {
                self.directory(&inside, false)?;
            } else if !entry.is_dir && FileKind::of(&entry.name).is_some() {
                self.file(&inside)?;
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &Path) -> Result<()> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let Some(kind) = FileKind::of(&name) else {
            bail!(
                "{}: no file of a log is called so; known are .log, .index, .timeindex, \
                 .txnindex, .snapshot, .checkpoint and the checkpoints of a directory",
                path.display()
            );
        };
        if self.style == Style::Text {
            writeln!(self.out, "Dumping {}", path.display())?;
        }
        let dumped = match kind {
            FileKind::Segment { base_offset } => self.segment(path, base_offset),
            kind => self.small_file(path, kind),
        };
        dumped.map_err(|error| match error.downcast::<std::io::Error>() {
            // Not the file's: whoever read our output has enough.
            Ok(error) if error.kind() == std::io::ErrorKind::BrokenPipe => error.into(),
            Ok(error) => anyhow::Error::new(error).context(format!("{}", path.display())),
            Err(error) => error,
        })
    }

    /// Prints a line; in JSON it also says the file.
    fn print(&mut self, path: &Path, line: Line) -> Result<()> {
        let line = match self.style {
            Style::Text => line,
            Style::Json => line.with("file", path.display().to_string()),
        };
        Ok(line.print(self.style, &mut self.out)?)
    }

    fn fault(&mut self, path: &Path, position: Option<u64>, fault: &str) -> Result<()> {
        self.fault_count += 1;
        let line = Line::new("fault").with("fault", fault);
        let line = match position {
            Some(position) => line.with("position", position),
            None => line,
        };
        self.print(path, line)
    }

    fn segment(&mut self, path: &Path, base_offset: Offset) -> Result<()> {
        let file = DiskFiles.open(path)?;
        if self.style == Style::Text {
            writeln!(self.out, "Log starting offset: {base_offset}")?;
        }
        let is_recycled = written_at_most(&*file, base_offset)?.is_some();
        let mut walk = BatchWalk::new(&*file, 0);
        let mut position = 0;
        while let Some(batch) = walk.next_batch()? {
            let end = batch.position + batch.header.size_in_bytes() as u64;
            if end > self.args.max_bytes {
                return Ok(());
            }
            if is_recycled && batch.header.base_offset < base_offset {
                return self.recycled(path, position, file.size());
            }
            position = end;
            self.fault_count += u64::from(batch.crc.is_err());
            self.print(path, batch_line(&batch))?;
            if self.args.records {
                match &batch.view {
                    Some(view) => self.records(path, view)?,
                    None => self.fault(path, Some(batch.position), "too large for its records")?,
                }
            }
        }
        match walk.end() {
            None | Some(ScanEnd::Complete) => Ok(()),
            Some(_) if position >= self.args.max_bytes => Ok(()),
            Some(_) if is_recycled => self.recycled(path, position, file.size()),
            Some(ScanEnd::Zeros) => {
                let line = Line::new("zeros").with("zerosFrom", position);
                self.print(path, line.with("size", file.size()))
            }
            Some(ScanEnd::Truncated { needed }) => {
                let left = file.size() - position;
                let fault = format!("a batch of {needed} bytes, of which {left} are there");
                self.fault(path, Some(position), &fault)
            }
            Some(ScanEnd::Corrupt(error)) => self.fault(path, Some(position), &error.to_string()),
        }
    }

    /// What follows is of the segment that had the file before, or torn.
    fn recycled(&mut self, path: &Path, position: u64, size: u64) -> Result<()> {
        let line = Line::new("recycled").with("recycledFrom", position);
        self.print(path, line.with("size", size))
    }

    fn records(&mut self, path: &Path, batch: &BatchView<'_>) -> Result<()> {
        // A damaged batch is shown as far as it can be read.
        let records = match self.decompressor.records(batch, DECOMPRESSED_SIZE_MAX) {
            Ok(records) => records,
            Err(error) => return self.fault(path, None, &error.to_string()),
        };
        for (index, record) in RecordIter::new(batch.header(), &records).enumerate() {
            match record {
                Ok(record) => {
                    if self.style == Style::Text {
                        write!(self.out, "| ")?;
                    }
                    self.print(path, record_line(batch.header(), &record, index))?;
                }
                Err(error) => return self.fault(path, None, &error.to_string()),
            }
        }
        Ok(())
    }

    fn small_file(&mut self, path: &Path, kind: FileKind) -> Result<()> {
        let bytes = read_small_file(&DiskFiles, path)?;
        let lines = match kind {
            FileKind::RecoveryCheckpoint => return self.recovery_checkpoint(path, &bytes),
            kind => small_files::lines(kind, &bytes),
        };
        match lines {
            Ok(lines) => lines
                .into_iter()
                .try_for_each(|line| self.print(path, line)),
            Err(error) => self.fault(path, None, &error.to_string()),
        }
    }

    /// Both slots; producers and epochs of the newer one.
    fn recovery_checkpoint(&mut self, path: &Path, bytes: &[u8]) -> Result<()> {
        let newest = RecoveryCheckpoint::newest(bytes);
        let (first, second) = bytes.split_at(bytes.len() / 2);
        for (slot, bytes) in [first, second].into_iter().enumerate() {
            match RecoveryCheckpoint::decode(bytes) {
                Ok(checkpoint) => {
                    self.print(path, small_files::checkpoint_line(slot, &checkpoint))?
                }
                // One is empty until the second checkpoint, and torn after a crash.
                Err(error) if newest.is_some() => {
                    let line = Line::new("checkpoint").with("slot", slot);
                    self.print(path, line.with("unused", error.to_string()))?;
                }
                Err(error) => self.fault(path, None, &format!("slot {slot}: {error}"))?,
            }
        }
        let Some((checkpoint, _)) = newest else {
            return Ok(());
        };
        for line in small_files::epoch_lines(&checkpoint.state.epochs) {
            self.print(path, line)?;
        }
        for entry in checkpoint.state.producers.iter() {
            self.print(path, small_files::producer_line(entry))?;
        }
        Ok(())
    }
}

fn batch_line(batch: &StoredBatch<'_>) -> Line {
    let header = &batch.header;
    let codec = header.codec().map_or("unknown", Codec::name);
    Line::new("batch")
        .with("baseOffset", header.base_offset)
        .with("lastOffset", header.last_offset())
        .with("count", header.record_count)
        .with("baseSequence", header.base_sequence)
        .with("lastSequence", header.last_sequence())
        .with("producerId", header.producer_id)
        .with("producerEpoch", header.producer_epoch)
        .with("partitionLeaderEpoch", header.partition_leader_epoch)
        .with("isTransactional", header.is_transactional())
        .with("isControl", header.is_control())
        .with_option("deleteHorizonMs", header.delete_horizon_ms())
        .with("position", batch.position)
        .with("baseTimestamp", header.base_timestamp)
        .with("maxTimestamp", header.max_timestamp)
        .with("timestampType", timestamp_name(header))
        .with("size", header.size_in_bytes())
        .with("magic", 2)
        .with("compresscodec", codec)
        .with("crc", header.crc)
        .with("isvalid", batch.crc.is_ok())
}

fn timestamp_name(header: &BatchHeader) -> &'static str {
    match header.timestamp_type() {
        TimestampType::CreateTime => "CreateTime",
        TimestampType::LogAppendTime => "LogAppendTime",
    }
}

fn record_line(header: &BatchHeader, record: &Record<'_>, index: usize) -> Line {
    let size = |bytes: Option<&[u8]>| bytes.map_or(-1, |bytes| bytes.len() as i64);
    let line = Line::new("record")
        .with("offset", record.offset)
        .with(timestamp_name(header), record.timestamp)
        .with("keySize", size(record.key))
        .with("valueSize", size(record.value));
    let line = match header.base_sequence {
        first @ 0.. => line.with("sequence", first.wrapping_add(index as i32) & i32::MAX),
        _ => line,
    };
    let headers = record.headers.map(|header| {
        let value = header.value.map_or(Value::Null, bytes_value);
        Value::from(vec![bytes_value(header.key), value])
    });
    let line = line.with("headers", Value::Array(headers.collect()));
    if header.is_control() {
        return match ControlRecord::parse(record) {
            Ok(ControlRecord::EndTransaction {
                is_commit,
                coordinator_epoch,
            }) => line
                .with("endTxnMarker", if is_commit { "COMMIT" } else { "ABORT" })
                .with("coordinatorEpoch", coordinator_epoch),
            Ok(ControlRecord::LeaderChange(change)) => line
                .with("leaderChange", change.leader_id)
                .with("voters", change.voters),
            Ok(ControlRecord::Other(kind)) => line.with("controlType", kind),
            Err(error) => line.with("controlFault", error.to_string()),
        };
    }
    line.with_option("key", record.key.map(bytes_value))
        .with_option("payload", record.value.map(bytes_value))
}
