//! Reading whole batches: from the tail, or from disk through the offset index.
//!
//! # Non-obvious
//! - Nothing is read from disk that is not written: what is not, is in the tail.
//! - Every batch that is returned from disk has a good CRC and continues the one before it: a
//!   client cannot see that the bytes before the CRC (offset, length) have changed, nor that
//!   records are missing ([`Continuity`]). Kafka leaves it all to clients.
//! - An entry of the index that does not lead to the batch it names is no damage of the log: the
//!   entry before it leads there, too.

use std::cell::RefCell;
use std::rc::Rc;

use bytes::Bytes;

use super::continuity::Continuity;
use super::log::LogInner;
use super::read_types::{ReadBatches, ReadOutcome, ReadRequest, ReadSource};
use super::segment::{Segment, align_down, extension, segment_path};
use super::segment_index::{IndexStart, SegmentIndex};
use super::{Landmark, LogError};
use crate::batch::{BatchHeader, HEADER_SIZE};
use crate::io::{File, IoClass, OpenOptions, Permit, Semaphore, Task};
use crate::types::Offset;

/// Bytes that [`Log::read_cold`](super::Log::read_cold) returns at most, but for a first batch that
/// is larger.
pub const COLD_READ_SIZE: usize = 1 << 20;

/// Bytes that it reads at least, if there are so many: what it returns keeps them all.
pub const COLD_READ_SIZE_MIN: usize = 128 << 10;

/// One read of the disk, at most and at least.
const READ_SIZE: u64 = COLD_READ_SIZE as u64;
const SMALL_READ_SIZE: u64 = COLD_READ_SIZE_MIN as u64;

/// Sequential readers of one log whose place is remembered.
const READ_AHEAD_MAX: usize = 4;

/// Largest index file that is read: that of `segment.index.bytes` and more.
const INDEX_FILE_SIZE_MAX: usize = 256 << 20;

/// Where a sequential reader of cold data goes on, with the bytes that it will want.
pub(super) struct ReadAhead {
    next_offset: Offset,
    segment_base_offset: Offset,
    position: u64,
    data: Option<Rc<AheadData>>,
}

/// What is being read ahead, or is there; taken by its reader, or when others are newer.
pub(super) type AheadData = RefCell<Option<Task<std::io::Result<Bytes>>>>;

impl ReadAhead {
    pub(super) fn is_of(&self, segment_base_offset: Offset) -> bool {
        self.segment_base_offset == segment_base_offset
    }
}

/// See [`Log::read`](super::Log::read).
pub(super) fn read(
    log: &LogInner,
    request: &ReadRequest,
    taken_size_max: usize,
) -> Result<ReadOutcome, LogError> {
    log.check_readable()?;
    let (log_start_offset, log_end_offset) = {
        let state = log.state.borrow();
        (state.log_start_offset, state.log_end_offset)
    };
    if request.offset < log_start_offset || request.offset > log_end_offset {
        return Err(LogError::OffsetOutOfRange {
            offset: request.offset,
            log_start_offset,
            end: log_end_offset,
        });
    }
    let empty = ReadOutcome::Batches(ReadBatches::empty(request.offset));
    if request.offset >= request.end_bound.min(log_end_offset) {
        return Ok(empty);
    }
    let core = log.core.borrow();
    if core.tail.contains(request.offset) {
        return Ok(ReadOutcome::Batches(
            core.tail.read(request, taken_size_max),
        ));
    }
    Ok(ReadOutcome::Cold)
}

/// What a read holds of the bytes that several reads may hold together.
pub(super) struct Turn<'a> {
    turns: Option<&'a Semaphore>,
    permit: Option<Permit>,
}

impl<'a> Turn<'a> {
    /// Of a read that nothing bounds.
    pub(super) fn unbounded() -> Turn<'a> {
        Turn {
            turns: None,
            permit: None,
        }
    }

    /// See [`Log::read_cold_in_turn`](super::Log::read_cold_in_turn).
    pub(super) async fn begin(turns: &'a Semaphore, request: &ReadRequest) -> Turn<'a> {
        let mut turn = Turn {
            turns: Some(turns),
            permit: None,
        };
        turn.grow_to(read_size_for(request) as usize).await;
        turn
    }

    /// Waits until so many bytes may be read, while nothing is held.
    async fn grow_to(&mut self, size: usize) {
        let Some(turns) = self.turns else { return };
        let wanted = size.min(turns.capacity());
        if self
            .permit
            .as_ref()
            .is_none_or(|permit| permit.amount() < wanted)
        {
            // First given back: two that wait for each other would wait for ever.
            self.permit = None;
            self.permit = Some(turns.acquire(wanted).await);
        }
    }

    pub(super) fn into_permit(self) -> Option<Permit> {
        self.permit
    }
}

/// See [`Log::read_cold`](super::Log::read_cold).
pub(super) async fn read_cold(
    log: &Rc<LogInner>,
    request: ReadRequest,
    turn: &mut Turn<'_>,
) -> Result<ReadBatches, LogError> {
    log.directory.reached(Landmark::ColdRead);
    let mut search_from = request.offset;
    loop {
        if let ReadOutcome::Batches(batches) = read(log, &request, usize::MAX)? {
            return Ok(batches);
        }
        let segment = log.core.borrow().segment_of(search_from);
        let Some(segment) = segment else {
            return Err(LogError::OffsetOutOfRange {
                offset: request.offset,
                log_start_offset: log.state.borrow().log_start_offset,
                end: request.end_bound,
            });
        };
        let lease = segment.lease();
        let found = read_segment(log, &segment, &request, turn).await;
        drop(lease);
        match found {
            Ok(Some(batches)) => return Ok(batches),
            Ok(None) => {}
            // The log has lost it since it was found: what is there now? What was open has stayed
            // as it was.
            Err(LogError::Io { .. }) if segment.is_dropped.get() => {
                search_from = request.offset;
                continue;
            }
            Err(error) => {
                log.directory.note_corruption(&error);
                return Err(error);
            }
        }
        // Nothing at or behind the offset is left in this segment (compaction leaves such gaps).
        let next = log
            .core
            .borrow()
            .segments
            .range(segment.base_offset + 1..)
            .next()
            .map(|(&b, _)| b);
        match next {
            Some(base_offset) if base_offset < request.end_bound => search_from = base_offset,
            _ => return Ok(ReadBatches::empty(request.offset)),
        }
    }
}

/// What is read, for whom.
struct Source<'a> {
    log: &'a Rc<LogInner>,
    segment: &'a Rc<Segment>,
    file: File,
    request: &'a ReadRequest,
}

/// Where a read is in its segment.
#[derive(Clone, Copy)]
struct Place {
    position: u64,
    read_size: u64,
    /// The reader goes on where a read before ended.
    is_sequential: bool,
    continuity: Continuity,
}

/// Reads in one segment; `None` when all its batches end before the offset.
async fn read_segment(
    log: &Rc<LogInner>,
    segment: &Rc<Segment>,
    request: &ReadRequest,
    turn: &mut Turn<'_>,
) -> Result<Option<ReadBatches>, LogError> {
    let source = Source {
        log,
        segment,
        file: open(log, segment).await?,
        request,
    };
    let read_size = read_size_for(request);
    if let Some(ahead) = take_read_ahead(log, segment, request.offset) {
        let place = Place {
            position: ahead.position,
            read_size,
            is_sequential: true,
            continuity: Continuity::at(log, segment, ahead.next_offset),
        };
        let data = ahead.data.and_then(|data| data.take());
        return read_from(&source, turn, place, data).await;
    }
    let index = load_index(log, segment).await?;
    let place_at = |start: IndexStart| Place {
        position: start.position,
        read_size,
        is_sequential: false,
        continuity: Continuity::at_index(log, segment, start),
    };
    let start = index.borrow().start_of(request.offset);
    let found = read_from(&source, turn, place_at(start), None).await;
    if start.position == 0 || !matches!(found, Err(LogError::Corrupt { .. })) {
        return found;
    }
    // The index may be what is damaged.
    let before = index.borrow().start_before(start.position);
    let again = read_from(&source, turn, place_at(before), None).await;
    if again.is_ok() {
        let path = segment_path(&log.path, segment.base_offset, extension::INDEX);
        let fault = format!("no batch at {} that fits its entry", start.position);
        log.directory
            .note_corruption(&LogError::corrupt(&path, start.position, fault));
    }
    again
}

/// Reads from a place on, the first of it from what was read ahead.
async fn read_from(
    source: &Source<'_>,
    turn: &mut Turn<'_>,
    mut place: Place,
    mut data: Option<Task<std::io::Result<Bytes>>>,
) -> Result<Option<ReadBatches>, LogError> {
    let (log, segment, request) = (source.log, source.segment, source.request);
    let file = &source.file;
    let path = segment_path(&log.path, segment.base_offset, extension::LOG);
    loop {
        // Only what is written: whole batches if the segment takes no more, or up to the end of
        // what is written of the log.
        let end = segment.written_position.get();
        let is_whole = segment.is_sealed.get() || request.offset < log.core.borrow().written_end;
        place.continuity.extend_to(segment.end_offset.get());
        let position = place.position;
        if position >= end {
            if is_whole && let Err(fault) = place.continuity.end() {
                return Err(LogError::corrupt(&path, end, fault));
            }
            return Ok(None);
        }
        let size = place.read_size.min(end - position) as usize;
        turn.grow_to(size).await;
        let ahead = data.take();
        // What was read ahead may be less than what is wanted now.
        let size_min = if ahead.is_some() { 0 } else { size };
        let read = ahead.unwrap_or_else(|| file.read_at(position, size, IoClass::Background));
        let chunk = read.await.map_err(|error| LogError::io(&path, error))?;
        let found = select(&chunk, request, &mut place.continuity)
            .map_err(|(at, fault)| LogError::corrupt(&path, position + at as u64, fault))?;
        match found {
            Selection::Batches {
                start,
                end,
                next_offset,
            } => {
                place.position += end as u64;
                remember(log, segment, file, next_offset, &place);
                let batches = chunk.slice(start..end);
                return Ok(Some(ReadBatches {
                    size: batches.len(),
                    pieces: vec![batches],
                    rest: None,
                    source: ReadSource::Disk,
                    next_offset,
                }));
            }
            Selection::BeyondBound => return Ok(Some(ReadBatches::empty(request.offset))),
            Selection::More { at, needed } => {
                place.position += at as u64;
                let rest = end - position;
                // A file that ends before the segment does has been cut off, too.
                let is_all =
                    chunk.len() < size_min || chunk.len() as u64 >= rest.min(needed as u64);
                let is_cut_off = at == 0 && is_all;
                if is_cut_off && !is_whole {
                    return Ok(None);
                }
                if is_cut_off || is_too_long(log, segment, place.position, needed as u64).await? {
                    let fault = "a batch is cut off";
                    return Err(LogError::corrupt(&path, place.position, fault));
                }
                place.read_size = place.read_size.max(needed as u64);
            }
        }
    }
}

/// Whether a batch of this size would reach into the next one: its length has changed. Nothing is
/// reserved for it.
pub(super) async fn is_too_long(
    log: &LogInner,
    segment: &Rc<Segment>,
    position: u64,
    size: u64,
) -> Result<bool, LogError> {
    if size <= READ_SIZE {
        return Ok(false);
    }
    let index = load_index(log, segment).await?;
    let next = index.borrow().next_position(position);
    let end = next.unwrap_or(segment.written_position.get());
    Ok(segment.is_sealed.get() && position + size > end)
}

/// What is returned keeps all that was read: no more than is asked for.
fn read_size_for(request: &ReadRequest) -> u64 {
    (request.size_max as u64).clamp(SMALL_READ_SIZE, READ_SIZE)
}

/// What a piece of a segment has for a request.
enum Selection {
    /// Whole batches from byte `start` to `end`.
    Batches {
        start: usize,
        end: usize,
        next_offset: Offset,
    },
    /// The first batch for the request ends behind its bound.
    BeyondBound,
    /// Go on at byte `at`, with at least `needed` bytes.
    More { at: usize, needed: usize },
}

/// Looks for the request's batches in `chunk`, which begins with a batch. Ends before the first
/// that is not sound; when that is the first of all, the error is its byte and what is wrong.
fn select(
    chunk: &[u8],
    request: &ReadRequest,
    continuity: &mut Continuity,
) -> Result<Selection, (usize, String)> {
    let mut at = 0;
    let mut found: Option<(usize, Offset)> = None;
    while let Some(rest) = chunk.get(at..).filter(|rest| rest.len() >= HEADER_SIZE) {
        // It counts once the batch is passed: one that is not all there is looked at again.
        let mut behind = *continuity;
        let header = match follow(rest, &mut behind) {
            Ok(header) => header,
            Err(_) if found.is_some() => break,
            Err(fault) => return Err((at, fault)),
        };
        let size = header.size_in_bytes();
        if header.last_offset() < request.offset {
            *continuity = behind;
            at += size;
            continue;
        }
        let start = found.map_or(at, |(start, _)| start);
        if header.last_offset() >= request.end_bound {
            if found.is_none() {
                return Ok(Selection::BeyondBound);
            }
            break;
        }
        let is_first = found.is_none();
        let Some(bytes) = rest.get(..size) else {
            if is_first {
                return Ok(Selection::More { at, needed: size });
            }
            break;
        };
        if !is_first && at + size - start > request.size_max {
            break;
        }
        match continuity.check_bytes(bytes) {
            Ok(()) => {}
            Err(_) if !is_first => break,
            Err(fault) => return Err((at, fault)),
        }
        *continuity = behind;
        at += size;
        found = Some((start, header.last_offset() + 1));
    }
    match found {
        Some((start, next_offset)) => Ok(Selection::Batches {
            start,
            end: at,
            next_offset,
        }),
        None => Ok(Selection::More {
            at,
            needed: HEADER_SIZE,
        }),
    }
}

/// The next header, if it is one and fits.
fn follow(bytes: &[u8], continuity: &mut Continuity) -> Result<BatchHeader, String> {
    let header = BatchHeader::parse(bytes).map_err(|error| error.to_string())?;
    continuity.follow(&header)?;
    Ok(header)
}

fn take_read_ahead(log: &LogInner, segment: &Segment, offset: Offset) -> Option<ReadAhead> {
    let mut places = log.read_ahead.borrow_mut();
    let at = places.iter().position(|place| {
        place.next_offset == offset && place.segment_base_offset == segment.base_offset
    })?;
    Some(places.remove(at))
}

/// Remembers where a reader will go on; one that has come back to its place before also gets its
/// next bytes read ahead, if so many are written: the disk works while the client takes the last.
fn remember(log: &LogInner, segment: &Segment, file: &File, next_offset: Offset, place: &Place) {
    let position = place.position;
    // Not the unit that the next write begins with.
    let is_written = position + place.read_size <= align_down(segment.written_position.get());
    let is_worth_it = place.is_sequential && is_written && place.read_size <= READ_SIZE;
    let data = is_worth_it.then(|| {
        let reading = file.read_at(position, place.read_size as usize, IoClass::Background);
        let data = Rc::new(AheadData::new(Some(reading)));
        log.directory.keep_ahead(&data);
        data
    });
    let mut places = log.read_ahead.borrow_mut();
    if places.len() == READ_AHEAD_MAX {
        places.remove(0);
    }
    places.push(ReadAhead {
        next_offset,
        segment_base_offset: segment.base_offset,
        position,
        data,
    });
}

/// The segment's file; sealed ones are opened when they are read.
async fn open(log: &LogInner, segment: &Rc<Segment>) -> Result<File, LogError> {
    if let Some(file) = segment.open_file() {
        return Ok(file);
    }
    let _names = log.names.acquire(1).await;
    log.check_readable()?;
    if let Some(file) = segment.open_file() {
        return Ok(file);
    }
    let file = open_by_name(log, segment).await?;
    if segment.is_sealed.get() {
        segment.file.replace(Some(file.clone()));
        log.directory.keep_open(segment);
    }
    Ok(file)
}

/// The file of a sealed segment, opened for this caller alone: the files that readers want stay
/// open.
pub(super) async fn open_apart(log: &LogInner, segment: &Rc<Segment>) -> Result<File, LogError> {
    let _names = log.names.acquire(1).await;
    log.check_open()?;
    open_by_name(log, segment).await
}

/// While names cannot change.
async fn open_by_name(log: &LogInner, segment: &Segment) -> Result<File, LogError> {
    let path = segment_path(&log.path, segment.base_offset, extension::LOG);
    check_in_use(segment, &path)?;
    let disk = log.directory.disk();
    let opened = disk.open(&path, OpenOptions::default()).await;
    opened.map_err(|error| LogError::io(&path, error))
}

/// A dropped segment's name may be another file's by now.
fn check_in_use(segment: &Segment, path: &std::path::Path) -> Result<(), LogError> {
    match segment.is_dropped.get() {
        true => Err(LogError::io(path, std::io::ErrorKind::NotFound.into())),
        false => Ok(()),
    }
}

/// The segment's index, from its files if it is not in memory.
pub(super) async fn load_index(
    log: &LogInner,
    segment: &Rc<Segment>,
) -> Result<Rc<RefCell<SegmentIndex>>, LogError> {
    if let Some(index) = segment.loaded_index() {
        return Ok(index);
    }
    let _names = log.names.acquire(1).await;
    log.check_readable()?;
    let path = segment_path(&log.path, segment.base_offset, extension::INDEX);
    check_in_use(segment, &path)?;
    let disk = log.directory.disk();
    let mut files = [Vec::new(), Vec::new()];
    for (contents, extension) in files
        .iter_mut()
        .zip([extension::INDEX, extension::TIME_INDEX])
    {
        let path = segment_path(&log.path, segment.base_offset, extension);
        let read = disk.read_file(&path, INDEX_FILE_SIZE_MAX).await;
        *contents = read.map_err(|error| LogError::io(&path, error))?;
    }
    let index = SegmentIndex::decode(segment.base_offset, &files[0], &files[1]);
    let index = Rc::new(RefCell::new(index));
    segment.index.replace(Some(Rc::clone(&index)));
    log.directory.keep_index(segment);
    Ok(index)
}
