//! Where the embedded broker's time went, by the stages of a Produce request.

use std::fmt::{self, Formatter};

use ringlog::metrics::{HistogramSnapshot, Snapshot};
use ringlog::protocol::ApiKey;

/// One stage, or the whole request, us.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub(crate) struct StageReport {
    pub(crate) stage: &'static str,
    pub(crate) requests: u64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
}

/// The row of the whole request.
const WHOLE: &str = "whole request";

impl StageReport {
    fn new(stage: &'static str, times: &HistogramSnapshot) -> StageReport {
        let us = |share| times.quantile(share) as f64 / 1e3;
        StageReport {
            stage,
            requests: times.count(),
            p50_us: us(0.5),
            p99_us: us(0.99),
        }
    }
}

/// In the order of the path, the whole request last; empty when there was none.
pub(crate) fn of_produce(snapshot: &Snapshot) -> Vec<StageReport> {
    let Some(api) = snapshot.apis.get(&ApiKey::Produce.code()) else {
        return Vec::new();
    };
    let stages = api.stages.iter();
    let stages = stages.map(|(stage, times)| StageReport::new(stage.name(), times));
    let whole = StageReport::new(WHOLE, &api.request_time);
    stages.chain([whole]).collect()
}

pub(crate) fn lines(f: &mut Formatter<'_>, stages: &[StageReport]) -> fmt::Result {
    if stages.is_empty() {
        return Ok(());
    }
    writeln!(f, "{:<14}{:>12}{:>12}", "broker, us", "p50", "p99")?;
    for of in stages {
        writeln!(
            f,
            "  {:<12}{:>12.0}{:>12.0}",
            of.stage, of.p50_us, of.p99_us
        )?;
    }
    writeln!(f)
}
