//! Reading sealed segments again, slowly, to find damage before a reader does.
//!
//! # Non-obvious
//! - A segment is leased for one read at a time: nothing waits for the whole of it. One that is
//!   dropped, or that a truncation makes the active one again, is left where it is.
//! - A batch with wrong contents is stepped over by its length; behind a header that cannot be
//!   believed the walk goes on where the index leads next, as a reader would.

use std::rc::Rc;
use std::time::Duration;

use super::LogError;
use super::continuity::Continuity;
use super::log::LogInner;
use super::reader::{self, load_index};
use super::segment::{Segment, extension, segment_path};
use super::segment_index::IndexStart;
use crate::batch::{BatchHeader, HEADER_SIZE};
use crate::io::{File, IoClass, Reactor};
use crate::metrics::Counter;
use crate::types::Offset;

/// One read, but for a batch that is larger: little enough that no flush waits long behind it.
const READ_SIZE: u64 = 128 << 10;

/// How fast the logs of a shard are verified.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VerifyPace {
    /// Not 0.
    pub bytes_per_second: u64,
}

impl VerifyPace {
    /// After a read of `size` bytes, as long as they may take.
    async fn wait(self, reactor: &Reactor, size: u64) {
        let ns = u128::from(size) * 1_000_000_000 / u128::from(self.bytes_per_second.max(1));
        let ns = u64::try_from(ns).unwrap_or(u64::MAX);
        reactor.sleep(Duration::from_nanos(ns)).await;
    }
}

/// See [`Log::verify`](super::Log::verify).
pub(super) async fn verify(log: &Rc<LogInner>, pace: VerifyPace) -> Result<(), LogError> {
    let mut next_base = Offset::MIN;
    loop {
        log.check_open()?;
        let segment = {
            let core = log.core.borrow();
            let next = core.segments.range(next_base..).next();
            next.map(|(_, segment)| Rc::clone(segment))
        };
        let Some(segment) = segment.filter(is_settled) else {
            return Ok(());
        };
        next_base = segment.base_offset + 1;
        match verify_segment(log, &segment, pace).await {
            Err(LogError::Io { .. }) if !is_settled(&segment) => {}
            verified => verified?,
        }
    }
}

/// Whether the file stays as it is, for all that is known now.
fn is_settled(segment: &Rc<Segment>) -> bool {
    segment.is_sealed.get() && !segment.is_dropped.get() && segment.is_all_written()
}

/// A walk through one segment.
struct Walk {
    position: u64,
    continuity: Continuity,
    read_size: u64,
    sound_count: u64,
    /// The last batch was damaged and stepped over by its length, which may be what is wrong.
    is_behind_damage: bool,
}

/// What a walk comes to.
enum Step {
    /// At most this many bytes more are in a batch that is not all there.
    Read { needed: u64 },
    /// The batch at the walk's position is damaged; the next begins there, if its header is right.
    Damage { next: Option<u64>, fault: String },
}

async fn verify_segment(
    log: &Rc<LogInner>,
    segment: &Rc<Segment>,
    pace: VerifyPace,
) -> Result<(), LogError> {
    let path = segment_path(&log.path, segment.base_offset, extension::LOG);
    let file = reader::open_apart(log, segment).await?;
    let end = segment.size.get();
    let start = IndexStart {
        position: 0,
        last_offset: None,
    };
    let mut walk = Walk {
        position: 0,
        continuity: Continuity::at_index(log, segment, start),
        read_size: READ_SIZE,
        sound_count: 0,
        is_behind_damage: false,
    };
    while walk.position < end {
        let size = walk.read_size.min(end - walk.position);
        let Some(chunk) = read(segment, &file, walk.position, size as usize).await else {
            return Ok(());
        };
        let chunk = chunk.map_err(|error| LogError::io(&path, error))?;
        let at = walk.position;
        let step = walk.through(&chunk);
        // A batch that is read again for its size counts once.
        count(log, &mut walk, at);
        walk.read_size = READ_SIZE;
        match step {
            Step::Read { .. } if chunk.len() < size as usize => {
                let error = LogError::corrupt(&path, walk.position, "the file has shrunk");
                log.directory.note_corruption(&error);
                return Ok(());
            }
            Step::Read { needed } => {
                let position = walk.position;
                let is_cut_off = position + needed > end;
                if is_cut_off || reader::is_too_long(log, segment, position, needed).await? {
                    let fault = "a batch is cut off".to_owned();
                    walk.damaged(log, segment, end, (None, fault)).await?;
                } else {
                    walk.read_size = READ_SIZE.max(needed);
                }
            }
            Step::Damage { next, fault } => {
                walk.damaged(log, segment, end, (next, fault)).await?;
            }
        }
        pace.wait(&log.reactor, size).await;
    }
    if let Err(fault) = walk.continuity.end()
        && walk.position == end
    {
        log.directory
            .note_corruption(&LogError::corrupt(&path, end, fault));
    }
    Ok(())
}

/// Reads while the segment cannot go; `None` if it has gone.
async fn read(
    segment: &Rc<Segment>,
    file: &File,
    position: u64,
    size: usize,
) -> Option<std::io::Result<bytes::Bytes>> {
    let _lease = segment.lease();
    if !is_settled(segment) {
        return None;
    }
    let chunk = file.read_at(position, size, IoClass::Background).await;
    is_settled(segment).then_some(chunk)
}

fn count(log: &LogInner, walk: &mut Walk, from: u64) {
    let metrics = log.directory.metrics();
    metrics.add(Counter::VerifiedBytes, walk.position - from);
    metrics.add(
        Counter::VerifiedBatches,
        std::mem::take(&mut walk.sound_count),
    );
}

impl Walk {
    /// Goes over the sound batches at the start of `chunk`, which begins where the walk is.
    fn through(&mut self, chunk: &[u8]) -> Step {
        let mut rest = chunk;
        loop {
            if rest.len() < HEADER_SIZE {
                let needed = if rest.is_empty() { 0 } else { HEADER_SIZE };
                return Step::Read {
                    needed: needed as u64,
                };
            }
            let mut behind = self.continuity;
            let header = match BatchHeader::parse(rest) {
                Ok(header) => header,
                Err(error) => return Step::damage(None, error.to_string()),
            };
            if let Err(fault) = behind.follow(&header) {
                return Step::damage(None, fault);
            }
            let size = header.size_in_bytes();
            let Some((batch, others)) = rest.split_at_checked(size) else {
                return Step::Read {
                    needed: size as u64,
                };
            };
            self.continuity = behind;
            if let Err(fault) = behind.check_bytes(batch) {
                return Step::damage(Some(self.position + size as u64), fault);
            }
            self.position += size as u64;
            self.sound_count += 1;
            self.is_behind_damage = false;
            rest = others;
        }
    }

    /// Notes damage where the walk is and goes behind it: to the next batch, if it is known where
    /// that begins, else to the next that is indexed.
    async fn damaged(
        &mut self,
        log: &Rc<LogInner>,
        segment: &Rc<Segment>,
        end: u64,
        (next, fault): (Option<u64>, String),
    ) -> Result<(), LogError> {
        if next.is_some() || !self.is_behind_damage {
            let path = segment_path(&log.path, segment.base_offset, extension::LOG);
            let error = LogError::corrupt(&path, self.position, fault);
            log.directory.note_corruption(&error);
        }
        self.is_behind_damage = next.is_some();
        if let Some(next) = next {
            self.position = next;
            return Ok(());
        }
        let index = load_index(log, segment).await?;
        let next = index.borrow().next_position(self.position);
        // Behind the last entry nothing more can be found.
        self.position = next.unwrap_or(end + 1);
        if next.is_some() {
            let start = index.borrow().start_before(self.position + 1);
            self.continuity = Continuity::at_index(log, segment, start);
        }
        Ok(())
    }
}

impl Step {
    fn damage(next: Option<u64>, fault: String) -> Step {
        Step::Damage { next, fault }
    }
}
