//! The sessions of one shard: who gets one, and who loses one for it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use super::session::{FetchSession, PartitionAnswer, next_epoch};
use crate::protocol::messages::FetchRequest;
use crate::protocol::messages::fetch_request::FetchTopic;
use crate::types::{ErrorCode, Monotonic};

/// A session that was not used for so long goes for any new one, and one that is not as old never
/// goes for a larger one (Kafka's `MIN_INCREMENTAL_FETCH_SESSION_EVICTION_MS`).
pub const EVICTION_AGE_MIN: Duration = Duration::from_secs(120);

/// Partitions of all sessions of a shard, about 100 bytes each. Whoever would need more gets no
/// session, or loses its own.
pub const PARTITIONS_MAX: usize = 1 << 18;

/// The epoch of a request that opens a session.
pub const INITIAL_EPOCH: i32 = 0;

/// The epoch of a request without a session, or that closes one.
pub const FINAL_EPOCH: i32 = -1;

/// No session.
const NO_SESSION: i32 = 0;

/// From this version on topics are named by id.
const TOPIC_ID_VERSION_MIN: i16 = 13;

/// The sessions of one shard. Which sessions go for a new one is as in Kafka's
/// `FetchSessionCacheShard.tryEvict`; followers, which come before clients there, have none yet.
#[derive(Debug)]
pub struct SessionCache {
    slots: usize,
    partitions_max: usize,
    /// Those that this shard gives out; no other does.
    ids: Range<i32>,
    sessions: BTreeMap<i32, Entry>,
    by_last_use: BTreeSet<(Monotonic, i32)>,
    /// By size: those that were used when they were older than [`EVICTION_AGE_MIN`].
    evictable: BTreeSet<(usize, i32)>,
    partition_count: usize,
    eviction_count: u64,
}

#[derive(Debug)]
struct Entry {
    session: Rc<RefCell<FetchSession>>,
    created_at: Monotonic,
    last_used_at: Monotonic,
    /// As it is counted.
    partition_count: usize,
}

/// What a Fetch request is to its shard's sessions.
#[derive(Debug)]
pub enum FetchContext {
    /// The whole request is answered, with session id 0.
    Sessionless,
    /// The whole request is answered, and a session made of it if there is room
    /// ([`SessionCache::open`]).
    Full,
    /// The request names all partitions of its session now.
    Incremental(IncrementalFetch),
}

/// A request of a session, until it is answered.
#[derive(Debug)]
pub struct IncrementalFetch {
    id: i32,
    /// Of the session, unless somebody else has gone on with it.
    epoch: i32,
    session: Rc<RefCell<FetchSession>>,
}

impl IncrementalFetch {
    pub fn session_id(&self) -> i32 {
        self.id
    }

    /// Which partitions of the answer the client must see; the answers are those of the request's
    /// partitions, in their order. `INVALID_FETCH_SESSION_EPOCH` when another request of the same
    /// session has begun meanwhile.
    pub fn finish(
        &self,
        answers: impl Iterator<Item = PartitionAnswer>,
    ) -> Result<Vec<bool>, ErrorCode> {
        let mut session = self.session.borrow_mut();
        match session.epoch == self.epoch {
            true => Ok(session.answer(answers)),
            false => Err(ErrorCode::InvalidFetchSessionEpoch),
        }
    }
}

impl SessionCache {
    /// Room for `slots` sessions with ids from `ids`, which no other shard has.
    pub fn new(slots: usize, ids: Range<i32>) -> SessionCache {
        assert!(ids.start > NO_SESSION && ids.len() > slots, "too few ids");
        SessionCache {
            slots,
            partitions_max: PARTITIONS_MAX,
            ids,
            sessions: BTreeMap::new(),
            by_last_use: BTreeSet::new(),
            evictable: BTreeSet::new(),
            partition_count: 0,
            eviction_count: 0,
        }
    }

    /// The share of `shard` in `slots` and in the ids of a broker.
    pub fn of_shard(slots: usize, shard: usize, shard_count: usize) -> SessionCache {
        let own = slots / shard_count + usize::from(shard < slots % shard_count);
        let count = i32::MAX / i32::try_from(shard_count).expect("not that many shards");
        let start = count * i32::try_from(shard).expect("below their count");
        // However many are allowed, a free id is found at once.
        let slots = own.min(count as usize / 2);
        SessionCache::new(slots, start.max(1)..start + count)
    }

    #[cfg(test)]
    pub(super) fn with_partitions_max(mut self, partitions_max: usize) -> SessionCache {
        self.partitions_max = partitions_max;
        self
    }

    pub fn session_count(&self) -> usize {
        self.sessions.len()
    }

    /// Of all sessions.
    pub fn partition_count(&self) -> usize {
        self.partition_count
    }

    /// Sessions that had to go for others since this was last asked.
    pub fn take_evictions(&mut self) -> u64 {
        std::mem::take(&mut self.eviction_count)
    }

    /// Whether a request names a session that is not here: then it may be on another shard.
    pub fn lacks(&self, request: &FetchRequest) -> bool {
        request.session_id != NO_SESSION && !self.sessions.contains_key(&request.session_id)
    }

    /// Begins a request of `api_version`: one that opens a session or has none is left as it is,
    /// and a session that it names is closed; one within a session gets all its partitions.
    ///
    /// `FETCH_SESSION_ID_NOT_FOUND`, `INVALID_FETCH_SESSION_EPOCH`, or
    /// `FETCH_SESSION_TOPIC_ID_ERROR` when the session's topics go by id and the request's by name,
    /// or the other way round.
    pub fn begin(
        &mut self,
        now: Monotonic,
        api_version: i16,
        request: &mut FetchRequest,
    ) -> Result<FetchContext, ErrorCode> {
        let id = request.session_id;
        match request.session_epoch {
            FINAL_EPOCH => {
                self.remove(id);
                return Ok(FetchContext::Sessionless);
            }
            INITIAL_EPOCH => {
                self.remove(id);
                return Ok(FetchContext::Full);
            }
            _ => {}
        }
        let entry = self.sessions.get(&id);
        let entry = entry.ok_or(ErrorCode::FetchSessionIdNotFound)?;
        let session = Rc::clone(&entry.session);
        let mut updated = session.borrow_mut();
        if updated.epoch != request.session_epoch {
            return Err(ErrorCode::InvalidFetchSessionEpoch);
        }
        if updated.uses_topic_ids != (api_version >= TOPIC_ID_VERSION_MIN) {
            return Err(ErrorCode::FetchSessionTopicIdError);
        }
        updated.update(&request.topics, &request.forgotten_topics_data);
        let size = updated.partition_count();
        if size == 0 {
            self.remove(id);
            return Ok(FetchContext::Sessionless);
        }
        if self.partition_count - entry.partition_count + size > self.partitions_max {
            self.remove(id);
            self.eviction_count += 1;
            return Err(ErrorCode::FetchSessionIdNotFound);
        }
        updated.epoch = next_epoch(updated.epoch);
        request.topics = updated.topics();
        let epoch = updated.epoch;
        drop(updated);
        self.touch(id, now, size);
        Ok(FetchContext::Incremental(IncrementalFetch {
            id,
            epoch,
            session,
        }))
    }

    /// Makes a session of a full request that was answered, if there is room: its id, or 0. A new
    /// session takes the place of one that was not used for [`EVICTION_AGE_MIN`], or of the
    /// smallest that is older than that and has fewer partitions. `random` chooses the id.
    pub fn open(
        &mut self,
        now: Monotonic,
        random: u64,
        api_version: i16,
        topics: &[FetchTopic],
        answers: impl Iterator<Item = PartitionAnswer>,
    ) -> i32 {
        let size = topics.iter().map(|topic| topic.partitions.len()).sum();
        if !self.make_room(now, size) {
            return NO_SESSION;
        }
        let session = FetchSession::new(topics, api_version >= TOPIC_ID_VERSION_MIN, answers);
        let id = self.free_id(random);
        self.insert(now, id, session);
        id
    }

    /// Gives a session to another shard. Whoever uses it now is told at its end that somebody else
    /// went on with it.
    pub fn give_away(&mut self, id: i32) -> Option<FetchSession> {
        let session = self.remove(id)?;
        let given = session.borrow().clone();
        session.borrow_mut().epoch = FINAL_EPOCH;
        Some(given)
    }

    /// Takes in a session of another shard, under the same id, if there is room for it.
    pub fn take_in(&mut self, now: Monotonic, id: i32, session: FetchSession) {
        if !self.sessions.contains_key(&id) && self.make_room(now, session.partition_count()) {
            self.insert(now, id, session);
        }
    }

    fn insert(&mut self, now: Monotonic, id: i32, session: FetchSession) {
        let size = session.partition_count();
        let entry = Entry {
            session: Rc::new(RefCell::new(session)),
            created_at: now,
            last_used_at: now,
            partition_count: size,
        };
        let before = self.sessions.insert(id, entry);
        assert!(before.is_none(), "session {id} is there already");
        self.partition_count += size;
        self.by_last_use.insert((now, id));
    }

    /// Counts a use of a session that has `size` partitions now.
    fn touch(&mut self, id: i32, now: Monotonic, size: usize) {
        let entry = self.sessions.get_mut(&id).expect("it was just found");
        self.by_last_use.remove(&(entry.last_used_at, id));
        self.evictable.remove(&(entry.partition_count, id));
        self.partition_count = self.partition_count - entry.partition_count + size;
        entry.last_used_at = now;
        entry.partition_count = size;
        self.by_last_use.insert((now, id));
        if now.since(entry.created_at) > EVICTION_AGE_MIN {
            self.evictable.insert((size, id));
        }
    }

    /// Whether there is a slot for a session with `size` partitions, or one could be made.
    fn make_room(&mut self, now: Monotonic, size: usize) -> bool {
        if self.slots == 0 || self.partition_count.saturating_add(size) > self.partitions_max {
            return false;
        }
        if self.sessions.len() < self.slots {
            return true;
        }
        let (last_used_at, longest_unused) = self.by_last_use.first().expect("they are full");
        let evicted = match now.since(*last_used_at) > EVICTION_AGE_MIN {
            true => *longest_unused,
            false => match self.evictable.first() {
                Some(&(smallest, id)) if smallest < size => id,
                _ => return false,
            },
        };
        self.remove(evicted);
        self.eviction_count += 1;
        true
    }

    fn remove(&mut self, id: i32) -> Option<Rc<RefCell<FetchSession>>> {
        let entry = self.sessions.remove(&id)?;
        self.by_last_use.remove(&(entry.last_used_at, id));
        self.evictable.remove(&(entry.partition_count, id));
        self.partition_count -= entry.partition_count;
        Some(entry.session)
    }

    /// The first free id from a random one on.
    fn free_id(&self, random: u64) -> i32 {
        let count = self.ids.len() as u64;
        let offset = (random % count) as i32;
        let from_there = self.ids.start + offset..self.ids.end;
        let mut ids = from_there.chain(self.ids.clone());
        let free = ids.find(|id| !self.sessions.contains_key(id));
        free.expect("there are more ids than sessions")
    }
}
