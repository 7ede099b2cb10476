//! The task that polls, and what it does with the answers.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use futures_lite::future::or;

use super::assignment::Assignment;
use super::fetched::FetchedPartition;
use super::fetcher_handle::start_position;
use super::options::{FetchOptions, OffsetReset, StartOffset};
use super::session::{Plan, Session, Told};
use crate::batch::CrcCheck;
use crate::client::backoff::Backoff;
use crate::client::connection::Connection;
use crate::client::error::ClientError;
use crate::client::routing::Client;
use crate::io::{Notify, Reactor};
use crate::protocol::messages::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic};
use crate::protocol::messages::fetch_response::PartitionData;
use crate::protocol::messages::{FetchRequest, FetchResponse, TopicName};
use crate::protocol::{ApiKey, StrBytes, from_uuid, to_uuid};
use crate::types::{ErrorCode, Monotonic, NodeId, Offset, TopicId, TopicPartition};

/// First version in which topics go by id alone.
const TOPIC_IDS_FROM: i16 = 13;

/// After so many refusals in a row a topic that the cluster does not know is given up.
const UNKNOWN_TOPIC_ATTEMPTS_MAX: u32 = 8;

/// How long a broker has to hear that a session is over; it ends by itself some time later.
const SESSION_END_TIMEOUT: Duration = Duration::from_secs(1);

/// What the handle of a fetcher and its task share.
pub(super) struct Shared {
    pub(super) client: Client,
    reactor: Reactor,
    options: FetchOptions,
    pub(super) assignment: RefCell<Assignment>,
    brokers: RefCell<BTreeMap<NodeId, Broker>>,
    /// Answers that nobody has taken yet.
    arrivals: RefCell<VecDeque<Arrival>>,
    buffered_size: Cell<usize>,
    pub(super) arrived: Notify,
    pub(super) work: Notify,
    is_closed: Cell<bool>,
    /// After that, whenever one broker less is busy.
    parted: Notify,
}

struct Arrival {
    partition: TopicPartition,
    fetched: Result<FetchedPartition, ClientError>,
}

struct Broker {
    connection: Option<Connection>,
    session: Session,
    /// A poll is under way, or the session is being ended.
    is_busy: bool,
    retry_at: Monotonic,
    backoff: Backoff,
}

/// A partition of one poll.
pub(super) struct Wanted {
    pub(super) partition: TopicPartition,
    pub(super) topic_id: TopicId,
    /// Of the assignment.
    pub(super) number: u64,
    pub(super) position: Offset,
}

impl Shared {
    pub(super) fn new(client: &Client, options: FetchOptions) -> Rc<Shared> {
        Rc::new(Shared {
            client: client.clone(),
            reactor: client.reactor().clone(),
            options,
            assignment: RefCell::default(),
            brokers: RefCell::default(),
            arrivals: RefCell::default(),
            buffered_size: Cell::new(0),
            arrived: Notify::new(),
            work: Notify::new(),
            is_closed: Cell::new(false),
            parted: Notify::new(),
        })
    }

    /// The oldest arrival.
    pub(super) fn take(&self) -> Option<Result<FetchedPartition, ClientError>> {
        let arrival = self.arrivals.borrow_mut().pop_front()?;
        let before = self.buffered_size.get();
        let after = before - arrival.size();
        self.buffered_size.set(after);
        let max = self.options.buffered_size_max;
        if before >= max && after < max {
            self.work.notify_all();
        }
        Some(arrival.fetched)
    }

    /// Drops what has arrived for a partition.
    pub(super) fn forget(&self, partition: &TopicPartition) {
        let mut arrivals = self.arrivals.borrow_mut();
        arrivals.retain(|arrival| arrival.partition != *partition);
        self.buffered_size
            .set(arrivals.iter().map(Arrival::size).sum());
    }

    /// Ends the sessions and the connections, in tasks of their own; those with a poll under way
    /// behind that.
    pub(super) fn close(self: &Rc<Self>) {
        self.is_closed.set(true);
        for (&node, broker) in &mut *self.brokers.borrow_mut() {
            if let Some(connection) = broker.connection.take() {
                broker.is_busy = true;
                let session = std::mem::take(&mut broker.session);
                self.part_from(node, connection, session);
            }
        }
        self.work.notify_all();
    }

    /// [`Shared::close`], and waits until it is done.
    pub(super) async fn close_and_wait(self: &Rc<Self>) {
        self.close();
        loop {
            let parted = self.parted.notified();
            if !self.brokers.borrow().values().any(|broker| broker.is_busy) {
                return;
            }
            parted.await;
        }
    }

    /// Tells a broker that its session is over, so that it does not keep it for nobody (as Kafka's
    /// `AbstractFetch.maybeCloseFetchSessions`).
    fn part_from(self: &Rc<Self>, node: NodeId, connection: Connection, session: Session) {
        let shared = Rc::clone(self);
        let part = async move {
            if let Some(plan) = session.end()
                && let Ok(version) = connection.version(ApiKey::Fetch, i16::MAX)
            {
                let request = shared.request(version, &plan, &[]);
                let request = request.with_max_wait_ms(0).with_min_bytes(0);
                // Whatever comes of it, the connection ends.
                let ended = connection.call_within(version, &request, SESSION_END_TIMEOUT);
                drop(ended.await);
            }
            connection.close(ClientError::Closed);
            if let Some(broker) = shared.brokers.borrow_mut().get_mut(&node) {
                broker.is_busy = false;
            }
            shared.parted.notify_all();
        };
        self.reactor.spawn(part).detach();
    }

    /// Runs until the fetcher is dropped.
    pub(super) async fn run(self: Rc<Self>) {
        let refreshed = self.client.refreshed();
        while !self.is_closed.get() {
            let events = or(self.work.notified(), refreshed.notified());
            match self.step(self.reactor.now()) {
                Some(at) => or(events, self.reactor.sleep(at - self.reactor.now())).await,
                None => events.await,
            }
        }
    }

    /// Starts a poll at each leader that has none; returns when to look again by itself.
    fn step(self: &Rc<Self>, now: Monotonic) -> Option<Monotonic> {
        self.client.refresh_if_old();
        if self.buffered_size.get() >= self.options.buffered_size_max {
            return None;
        }
        let mut wakes_at: Option<Monotonic> = None;
        let mut wake = |at: Monotonic| wakes_at = Some(wakes_at.map_or(at, |known| known.min(at)));
        for (leader, wanted) in self.wanted(now, &mut wake) {
            let mut brokers = self.brokers.borrow_mut();
            let broker = brokers.entry(leader).or_insert_with(|| Broker {
                connection: None,
                session: Session::default(),
                is_busy: false,
                retry_at: now,
                backoff: self.client.reconnect_backoff(),
            });
            if broker.is_busy {
                continue;
            }
            if broker.retry_at > now {
                wake(broker.retry_at);
                continue;
            }
            broker.is_busy = true;
            let connection = broker.connection.take();
            let session = std::mem::take(&mut broker.session);
            let poll = poll(Rc::clone(self), leader, (connection, session), wanted);
            self.reactor.spawn(poll).detach();
        }
        wakes_at
    }

    /// The partitions to ask for now, by leader.
    fn wanted(
        &self,
        now: Monotonic,
        wake: &mut impl FnMut(Monotonic),
    ) -> BTreeMap<NodeId, Vec<Wanted>> {
        let view = self.client.view();
        let mut by_leader: BTreeMap<NodeId, Vec<Wanted>> = BTreeMap::new();
        let mut leaderless = Vec::new();
        let mut assignment = self.assignment.borrow_mut();
        for partition in assignment.in_turn() {
            let assigned = &assignment.partitions[&partition];
            if assigned.is_resetting {
                continue;
            }
            if assigned.retry_at > now {
                wake(assigned.retry_at);
                continue;
            }
            let topic = view.topics.get(&partition.topic);
            let wanted = Wanted {
                topic_id: topic.map_or(TopicId::ZERO, |topic| topic.topic_id),
                number: assigned.number,
                position: assigned.position,
                partition,
            };
            match view.leader(&wanted.partition.topic, wanted.partition.partition) {
                Some(leader) => by_leader.entry(leader).or_default().push(wanted),
                None => {
                    let code = topic
                        .map(|topic| topic.error)
                        .filter(|code| code.is_error());
                    leaderless.push((wanted, code.unwrap_or(ErrorCode::LeaderNotAvailable)));
                }
            }
        }
        drop(assignment);
        for (wanted, code) in leaderless {
            self.refused(&wanted, code);
        }
        by_leader
    }

    fn request(&self, version: i16, plan: &Plan, wanted: &[Wanted]) -> FetchRequest {
        let mut topics: Vec<FetchTopic> = Vec::new();
        for part in plan.named.iter().map(|&index| &wanted[index]) {
            let name = &*part.partition.topic;
            let partition = FetchPartition::default()
                .with_partition(part.partition.partition)
                .with_fetch_offset(part.position)
                .with_partition_max_bytes(self.options.partition_max_bytes);
            let id = to_uuid(part.topic_id);
            let by_id = version >= TOPIC_IDS_FROM;
            let same = |topic: &&mut FetchTopic| match by_id {
                true => topic.topic_id == id,
                false => topic.topic.0.as_str() == name,
            };
            if let Some(topic) = topics.iter_mut().find(same) {
                topic.partitions.push(partition);
                continue;
            }
            let topic = FetchTopic::default().with_partitions(vec![partition]);
            topics.push(match by_id {
                true => topic.with_topic_id(id),
                false => topic.with_topic(TopicName(StrBytes::from_string(name.to_owned()))),
            });
        }
        let max_wait_ms = i32::try_from(self.options.max_wait.as_millis()).unwrap_or(i32::MAX);
        FetchRequest::default()
            .with_max_wait_ms(max_wait_ms)
            .with_min_bytes(self.options.min_bytes)
            .with_max_bytes(self.options.max_bytes)
            .with_isolation_level(self.options.isolation.code())
            .with_session_id(plan.session_id)
            .with_session_epoch(plan.session_epoch)
            .with_topics(topics)
            .with_forgotten_topics_data(forgotten(version, plan))
    }

    fn received(
        self: &Rc<Self>,
        version: i16,
        session: &mut Session,
        wanted: &[Wanted],
        response: FetchResponse,
    ) {
        let mut is_answered = vec![false; wanted.len()];
        for topic in response.responses {
            let id = from_uuid(topic.topic_id);
            for data in topic.partitions {
                let place = wanted.iter().position(|part| {
                    part.partition.partition == data.partition_index
                        && match version >= TOPIC_IDS_FROM {
                            true => part.topic_id == id,
                            false => *part.partition.topic == *topic.topic.0,
                        }
                });
                let Some(place) = place else {
                    continue;
                };
                let part = &wanted[place];
                is_answered[place] = true;
                let told = Told {
                    high_watermark: data.high_watermark,
                    log_start_offset: data.log_start_offset,
                };
                session.told(&part.partition, told);
                self.received_partition(part, data);
            }
        }
        let silent = wanted.iter().zip(is_answered).filter(|(_, is)| !is);
        for (part, _) in silent {
            if let Some(told) = session.holds(&part.partition) {
                let nothing_new = PartitionData::default()
                    .with_high_watermark(told.high_watermark)
                    .with_log_start_offset(told.log_start_offset);
                self.received_records(part, nothing_new);
            }
        }
    }

    fn received_partition(self: &Rc<Self>, part: &Wanted, data: PartitionData) {
        match ErrorCode::from_code(data.error_code) {
            ErrorCode::None => self.received_records(part, data),
            ErrorCode::OffsetOutOfRange => self.reset(part),
            code => self.refused(part, code),
        }
    }

    fn received_records(&self, part: &Wanted, data: PartitionData) {
        let mut assignment = self.assignment.borrow_mut();
        let Some(assigned) = assignment.get(&part.partition, part.number) else {
            return;
        };
        assigned.backoff.reset();
        let mut fetched = FetchedPartition {
            topic: part.partition.topic.clone(),
            partition: part.partition.partition,
            fetch_offset: part.position,
            next_offset: part.position,
            high_watermark: data.high_watermark,
            log_start_offset: data.log_start_offset,
            records: data.records.unwrap_or_default(),
        };
        let crc_check = match self.options.check_crcs {
            true => CrcCheck::Verify,
            false => CrcCheck::Skip,
        };
        if let Err(error) = fetched.cut(crc_check) {
            drop(assignment);
            return self.fail(part, error);
        }
        assigned.position = fetched.next_offset;
        let is_news = fetched.is_end() && assigned.end_reported != Some(fetched.next_offset);
        if is_news {
            assigned.end_reported = Some(fetched.next_offset);
        }
        drop(assignment);
        if is_news || !fetched.records.is_empty() {
            self.arrive(&part.partition, Ok(fetched));
        }
    }

    /// The position is outside the log.
    fn reset(self: &Rc<Self>, part: &Wanted) {
        let start = match self.options.reset {
            OffsetReset::Earliest => StartOffset::Earliest,
            OffsetReset::Latest => StartOffset::Latest,
            OffsetReset::Error => {
                let subject = format!("{} at offset {}", part.partition, part.position);
                let code = ErrorCode::OffsetOutOfRange;
                return self.fail(part, broker_error(subject, code));
            }
        };
        if let Some(assigned) = self
            .assignment
            .borrow_mut()
            .get(&part.partition, part.number)
        {
            assigned.is_resetting = true;
        }
        let shared = Rc::clone(self);
        let part = Wanted {
            partition: part.partition.clone(),
            ..*part
        };
        let task = async move {
            let TopicPartition { topic, partition } = &part.partition;
            match start_position(&shared.client, topic, *partition, start).await {
                Err(error) => shared.fail(&part, error),
                Ok(position) => {
                    let mut assignment = shared.assignment.borrow_mut();
                    if let Some(assigned) = assignment.get(&part.partition, part.number) {
                        assigned.position = position;
                        assigned.is_resetting = false;
                    }
                }
            }
            shared.work.notify_all();
        };
        self.reactor.spawn(task).detach();
    }

    /// A code that may go away by itself postpones the partition, any other one ends it.
    fn refused(&self, part: &Wanted, code: ErrorCode) {
        let is_unknown = matches!(
            code,
            ErrorCode::UnknownTopicOrPartition | ErrorCode::UnknownTopicId
        );
        let mut assignment = self.assignment.borrow_mut();
        let Some(assigned) = assignment.get(&part.partition, part.number) else {
            return;
        };
        let is_given_up = is_unknown && assigned.backoff.attempts() >= UNKNOWN_TOPIC_ATTEMPTS_MAX;
        if !code.is_retriable() || is_given_up {
            drop(assignment);
            return self.fail(part, broker_error(part.partition.to_string(), code));
        }
        assigned.retry_at = self.reactor.now() + assigned.backoff.next(&self.reactor);
        drop(assignment);
        self.client.start_refresh();
        self.work.notify_all();
    }

    /// Ends the reading of a partition.
    fn fail(&self, part: &Wanted, error: ClientError) {
        let mut assignment = self.assignment.borrow_mut();
        if assignment.get(&part.partition, part.number).is_some() {
            assignment.partitions.remove(&part.partition);
            drop(assignment);
            self.arrive(&part.partition, Err(error));
        }
    }

    fn arrive(&self, partition: &TopicPartition, fetched: Result<FetchedPartition, ClientError>) {
        let arrival = Arrival {
            partition: partition.clone(),
            fetched,
        };
        self.buffered_size
            .set(self.buffered_size.get() + arrival.size());
        self.arrivals.borrow_mut().push_back(arrival);
        self.arrived.notify_all();
    }

    /// The end of a poll.
    fn polled(
        self: &Rc<Self>,
        leader: NodeId,
        mut session: Session,
        result: Result<Connection, ClientError>,
    ) {
        if result.is_err() {
            session.restart();
        }
        let mut brokers = self.brokers.borrow_mut();
        let broker = brokers
            .get_mut(&leader)
            .expect("brokers are never forgotten");
        if let Ok(connection) = &result
            && self.is_closed.get()
        {
            return self.part_from(leader, connection.clone(), session);
        }
        broker.is_busy = false;
        broker.session = session;
        match result {
            Ok(connection) => {
                broker.backoff.reset();
                broker.connection = Some(connection);
            }
            Err(_) => {
                broker.retry_at = self.reactor.now() + broker.backoff.next(&self.reactor);
                self.client.start_refresh();
            }
        }
        self.parted.notify_all();
        self.work.notify_all();
    }
}

impl Arrival {
    fn size(&self) -> usize {
        self.fetched
            .as_ref()
            .map_or(0, |fetched| fetched.records.len())
    }
}

fn broker_error(subject: String, code: ErrorCode) -> ClientError {
    ClientError::Broker {
        subject: subject.into(),
        code,
        message: None,
    }
}

/// One poll, on its connection or a new one.
async fn poll(
    shared: Rc<Shared>,
    leader: NodeId,
    (connection, mut session): (Option<Connection>, Session),
    wanted: Vec<Wanted>,
) {
    let session = &mut session;
    let result = async {
        let connection = match connection.filter(|connection| connection.ended().is_none()) {
            Some(connection) => connection,
            None => shared.client.open(leader).await?,
        };
        let has_ids = wanted.iter().all(|part| part.topic_id != TopicId::ZERO);
        let max = if has_ids {
            i16::MAX
        } else {
            TOPIC_IDS_FROM - 1
        };
        let version = connection.version(ApiKey::Fetch, max)?;
        let plan = session.plan(version, version >= TOPIC_IDS_FROM, &wanted);
        let request = shared.request(version, &plan, &wanted);
        let timeout = shared.client.options().request_timeout + shared.options.max_wait;
        let response = connection.call_within(version, &request, timeout).await?;
        if session.refused(ErrorCode::from_code(response.error_code)) {
            // The next poll opens another one.
            return Ok(connection);
        }
        ClientError::check(response.error_code, || "fetch".into(), None)?;
        session.answered(response.session_id);
        shared.received(version, session, &wanted, response);
        Ok(connection)
    };
    let result = result.await;
    shared.polled(leader, std::mem::take(session), result);
}

/// What a request says that is not wanted any more.
fn forgotten(version: i16, plan: &Plan) -> Vec<ForgottenTopic> {
    let topics = plan.forgotten.iter().map(|(partition, id)| {
        let topic = ForgottenTopic::default().with_partitions(vec![partition.partition]);
        match version >= TOPIC_IDS_FROM {
            true => topic.with_topic_id(to_uuid(*id)),
            false => {
                let name = StrBytes::from_string(partition.topic.to_string());
                topic.with_topic(TopicName(name))
            }
        }
    });
    topics.collect()
}
