//! What is printed: for people, or as JSON with the same fields.

use std::fmt::{self, Display, Formatter, Write as _};

use anyhow::Result;

use crate::checker::Faults;
use crate::host::{CpuTimes, HostFacts};
use crate::latency_log::LatencySummary;
use crate::raw::RawReport;
use crate::stages::{self, StageReport};

/// CPU time of each side.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub(crate) struct CpuReport {
    /// Milliseconds, user and system, for 10^6 bytes of record values.
    pub(crate) broker_ms_per_mb: Option<f64>,
    pub(crate) broker_cores: Option<f64>,
    pub(crate) client_ms_per_mb: f64,
    pub(crate) client_cores: f64,
    /// Share of the machine's time that its host gave to others.
    pub(crate) steal_percent: f64,
}

impl CpuReport {
    pub(crate) fn new(cpu: CpuTimes, bytes: u64, elapsed_s: f64, steal_percent: f64) -> CpuReport {
        let per_mb = |seconds: f64| 1e3 * seconds / (bytes.max(1) as f64 / 1e6);
        let cores = |seconds: f64| seconds / elapsed_s.max(1e-9);
        CpuReport {
            broker_ms_per_mb: cpu.broker.map(per_mb),
            broker_cores: cpu.broker.map(cores),
            client_ms_per_mb: per_mb(cpu.client),
            client_cores: cores(cpu.client),
            steal_percent,
        }
    }
}

/// How records were moved. MB is 10^6 bytes of record values.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub(crate) struct RateReport {
    pub(crate) elapsed_s: f64,
    pub(crate) records: u64,
    pub(crate) records_per_s: f64,
    pub(crate) mb_per_s: f64,
    /// Least, median and largest of whole seconds.
    pub(crate) mb_per_s_of_seconds: Option<[f64; 3]>,
}

impl RateReport {
    pub(crate) fn new(records: u64, bytes: u64, elapsed_s: f64, windows: &[f64]) -> RateReport {
        let mut windows = windows.to_vec();
        windows.sort_by(f64::total_cmp);
        let middle = windows.get(windows.len() / 2).copied();
        let ends = windows.first().zip(windows.last());
        let per_second = |amount: f64| amount / elapsed_s.max(1e-9);
        RateReport {
            elapsed_s,
            records,
            records_per_s: per_second(records as f64),
            mb_per_s: per_second(bytes as f64 / 1e6),
            mb_per_s_of_seconds: middle
                .zip(ends)
                .map(|(median, (least, largest))| [*least, median, *largest]),
        }
    }
}

/// `bench produce`.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub(crate) struct ProduceReport {
    pub(crate) broker: String,
    /// P, K, or the broker's default.
    pub(crate) class: String,
    pub(crate) settings: ProduceSettings,
    pub(crate) rate: RateReport,
    /// From sending a batch to its acknowledgement, by batch, us.
    pub(crate) batch_us: LatencySummary,
    /// To the acknowledgement, by record, us: from when it was due at a fixed rate, otherwise from
    /// when its batch was opened in the client.
    pub(crate) record_us: LatencySummary,
    pub(crate) records_per_batch: f64,
    /// Where the embedded broker's time for Produce requests went, warm-up included.
    pub(crate) broker_stages: Vec<StageReport>,
    pub(crate) cpu: CpuReport,
    pub(crate) raw: RawReport,
    /// The rate over the bare disk's, and over the limit of disk and loopback.
    pub(crate) share_of_disk: Option<f64>,
    pub(crate) share_of_limit: Option<f64>,
    pub(crate) host: HostFacts,
    /// Why the run ended before its time.
    pub(crate) ended_by: Option<String>,
    pub(crate) verified: Option<ConsumeReport>,
    /// Where the data was left.
    pub(crate) kept: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub(crate) struct ProduceSettings {
    pub(crate) acks: String,
    pub(crate) partitions: usize,
    pub(crate) record_size: usize,
    pub(crate) batch_size: usize,
    pub(crate) linger_ms: u64,
    pub(crate) compression: &'static str,
    pub(crate) producers: usize,
    pub(crate) in_flight: usize,
    pub(crate) idempotent: bool,
    pub(crate) rate: Option<u64>,
    pub(crate) keys: Option<u32>,
    pub(crate) spread: bool,
    pub(crate) warmup_s: f64,
}

/// `bench consume`, and `bench produce --verify`.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub(crate) struct ConsumeReport {
    pub(crate) broker: String,
    pub(crate) topic: String,
    /// Read from a broker that was restarted before.
    pub(crate) is_cold: bool,
    /// Records and CRCs were looked at.
    pub(crate) is_checked: bool,
    pub(crate) rate: RateReport,
    pub(crate) cpu: CpuReport,
    pub(crate) faults: Faults,
    pub(crate) loopback_mb_per_s: Option<f64>,
    /// `None` in the report of a writing run, which has them.
    pub(crate) host: Option<HostFacts>,
}

/// `bench latency`. All in us.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub(crate) struct LatencyReport {
    pub(crate) broker: String,
    pub(crate) class: String,
    pub(crate) acks: String,
    pub(crate) record_size: usize,
    /// From handing over a record to its acknowledgement.
    pub(crate) acknowledged_us: LatencySummary,
    /// From handing over a record to reading it, behind its acknowledgement.
    pub(crate) consumed_us: LatencySummary,
    /// A round trip of the same client to a thread that only echoes.
    pub(crate) echo_us: Option<LatencySummary>,
    /// 4 KiB to already-written blocks, and with a flush.
    pub(crate) write_us: Option<LatencySummary>,
    pub(crate) write_flush_us: Option<LatencySummary>,
    pub(crate) steal_percent: f64,
    pub(crate) host: HostFacts,
}

/// Prints a report.
pub(crate) fn print<R: Display + serde::Serialize>(report: &R, as_json: bool) -> Result<()> {
    match as_json {
        true => println!("{}", serde_json::to_string_pretty(report)?),
        false => println!("{report}"),
    }
    Ok(())
}

/// One line: a name and what is said of it.
fn line(f: &mut Formatter<'_>, name: &str, text: impl Display) -> fmt::Result {
    writeln!(f, "{name:<14}{text}")
}

impl Display for ProduceReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let of = &self.settings;
        line(f, "broker", &self.broker)?;
        let (count, size) = (of.partitions, of.record_size);
        line(
            f,
            "topic",
            format_args!(
                "{count} partitions, class {}, records of {size} B",
                self.class
            ),
        )?;
        line(f, "producers", of)?;
        writeln!(f)?;
        self.rate.fmt_lines(f)?;
        if let Some(why) = &self.ended_by {
            line(f, "ended by", why)?;
        }
        latency_head(f)?;
        latency_line(f, "batch", &self.batch_us)?;
        latency_line(f, "record", &self.record_us)?;
        line(
            f,
            "batches",
            format_args!(
                "{} of {:.1} records",
                thousands(self.batch_us.count),
                self.records_per_batch
            ),
        )?;
        line(f, "CPU", self.cpu)?;
        writeln!(f)?;
        stages::lines(f, &self.broker_stages)?;
        self.raw_lines(f)?;
        host_lines(f, &self.host)?;
        if let Some(verified) = &self.verified {
            writeln!(f, "\nread back")?;
            write!(f, "{verified}")?;
        }
        if let Some(kept) = &self.kept {
            line(f, "kept", kept)?;
        }
        Ok(())
    }
}

impl ProduceReport {
    fn raw_lines(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if !self.raw.disk_mb_per_s.is_empty() {
            let rates: Vec<String> = self
                .raw
                .disk_mb_per_s
                .iter()
                .map(|rate| format!("{rate:.0}"))
                .collect();
            let mut text = format!(
                "{} MB/s O_DIRECT before and after (1 MiB, 16 in flight)",
                rates.join(", ")
            );
            if let Some(share) = self.share_of_disk {
                write!(text, "; this run: {:.0} %", 100.0 * share)?;
            }
            line(f, "bare disk", text)?;
        }
        if let Some(append) = &self.raw.append_128k_us {
            let (p50, p99) = (append.p50, append.p99);
            line(
                f,
                "",
                format_args!("128 KiB and a flush: p50 {p50:.0} us, p99 {p99:.0} us"),
            )?;
        }
        if let Some(rate) = self.raw.loopback_mb_per_s {
            let mut text = format!("{rate:.0} MB/s TCP");
            if let Some(share) = self.share_of_limit {
                write!(
                    text,
                    "; of the smaller one of disk and loopback: {:.0} %",
                    100.0 * share
                )?;
            }
            line(f, "loopback", text)?;
        }
        Ok(())
    }
}

impl Display for ProduceSettings {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}, acks={}", self.producers, self.acks)?;
        if self.idempotent {
            f.write_str(", idempotent")?;
        }
        let (batch_size, linger_ms, in_flight) = (self.batch_size, self.linger_ms, self.in_flight);
        write!(
            f,
            ", batch.size={batch_size} linger.ms={linger_ms}, {in_flight} requests in flight"
        )?;
        if self.compression != "none" {
            write!(f, ", {}", self.compression)?;
        }
        if let Some(keys) = self.keys {
            write!(f, ", {keys} keys")?;
        }
        if self.spread {
            f.write_str(", a new partition for each record")?;
        }
        if let Some(rate) = self.rate {
            write!(f, ", {} records/s", thousands(rate))?;
        }
        Ok(())
    }
}

impl RateReport {
    fn fmt_lines(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (records, per_second) = (
            thousands(self.records),
            thousands(self.records_per_s as u64),
        );
        line(
            f,
            "records",
            format_args!("{per_second}/s ({records} in {:.2} s)", self.elapsed_s),
        )?;
        let mut text = format!("{:.1} MB/s", self.mb_per_s);
        if let Some([least, median, largest]) = self.mb_per_s_of_seconds {
            write!(
                text,
                " (by second: {least:.0} / {median:.0} / {largest:.0} least / median / most)"
            )?;
        }
        line(f, "values", text)
    }
}

impl Display for CpuReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.broker_ms_per_mb.zip(self.broker_cores) {
            Some((cost, cores)) => write!(f, "broker {cost:.2} ms/MB ({cores:.2} cores), ")?,
            None => f.write_str("broker unknown (see --broker-pid), ")?,
        }
        let (cost, cores) = (self.client_ms_per_mb, self.client_cores);
        write!(
            f,
            "client {cost:.2} ms/MB ({cores:.2} cores), {:.1} % stolen",
            self.steal_percent
        )
    }
}

impl Display for ConsumeReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        line(f, "broker", &self.broker)?;
        let state = if self.is_cold { ", cold" } else { "" };
        line(f, "topic", format_args!("{}{state}", self.topic))?;
        self.rate.fmt_lines(f)?;
        line(f, "CPU", self.cpu)?;
        if let Some(rate) = self.loopback_mb_per_s {
            let share = 100.0 * self.rate.mb_per_s / rate.max(1e-9);
            line(
                f,
                "loopback",
                format_args!("{rate:.0} MB/s TCP; this run: {share:.0} %"),
            )?;
        }
        let faults = &self.faults;
        let count = thousands(self.rate.records);
        match (faults.count(), self.is_checked) {
            (0, true) => line(
                f,
                "checked",
                format_args!("{count} records: none lost, doubled, reordered or damaged"),
            )?,
            (0, false) => line(f, "checked", "nothing but the count")?,
            _ => line(f, "WRONG", faults)?,
        }
        self.host.iter().try_for_each(|host| host_lines(f, host))
    }
}

impl Display for Faults {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let kinds = [
            (self.lost, "lost"),
            (self.doubled, "doubled"),
            (self.reordered, "reordered"),
            (self.damaged, "damaged"),
            (self.misplaced, "in the wrong partition"),
        ];
        let told = kinds.iter().filter(|(count, _)| *count > 0);
        let told: Vec<String> = told
            .map(|(count, kind)| format!("{} {kind}", thousands(*count)))
            .collect();
        f.write_str(&told.join(", "))?;
        for text in &self.described {
            write!(f, "\n  {text}")?;
        }
        Ok(())
    }
}

impl Display for LatencyReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        line(f, "broker", &self.broker)?;
        let (size, class, acks) = (self.record_size, &self.class, &self.acks);
        line(
            f,
            "records",
            format_args!("of {size} B, one at a time, acks={acks}, class {class}"),
        )?;
        latency_head(f)?;
        latency_line(f, "acknowledged", &self.acknowledged_us)?;
        latency_line(f, "consumed", &self.consumed_us)?;
        let beside = [
            ("echo", &self.echo_us),
            ("write", &self.write_us),
            ("write + flush", &self.write_flush_us),
        ];
        for (name, summary) in beside {
            if let Some(summary) = summary {
                latency_line(f, name, summary)?;
            }
        }
        line(f, "stolen", format_args!("{:.1} %", self.steal_percent))?;
        host_lines(f, &self.host)
    }
}

fn latency_head(f: &mut Formatter<'_>) -> fmt::Result {
    writeln!(
        f,
        "\n{:<14}{:>10}{:>10}{:>10}{:>10}{:>10}",
        "us until", "p50", "p90", "p99", "p99.9", "max"
    )
}

fn latency_line(f: &mut Formatter<'_>, name: &str, of: &LatencySummary) -> fmt::Result {
    let LatencySummary {
        p50,
        p90,
        p99,
        p999,
        max,
        ..
    } = of;
    writeln!(
        f,
        "{name:<14}{p50:>10.0}{p90:>10.0}{p99:>10.0}{p999:>10.0}{max:>10.0}"
    )
}

fn host_lines(f: &mut Formatter<'_>, host: &HostFacts) -> fmt::Result {
    let memory = host.memory_bytes as f64 / f64::from(1 << 30);
    let (model, cores, kernel) = (&host.cpu_model, host.core_count, &host.kernel);
    line(
        f,
        "host",
        format_args!("{cores} cores, {model}, {memory:.0} GiB, Linux {kernel}"),
    )?;
    match &host.file_system {
        Some(file_system) => line(f, "", file_system),
        None => Ok(()),
    }
}

/// `1234567` as `1,234,567`.
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests;
