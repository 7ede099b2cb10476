//! Requests in flight, and the end of each batch.

use std::rc::Rc;

use super::accumulator::Partition;
use super::batch::{Acknowledged, Batch};
use super::options::Acks;
use super::request::{Answers, Sent, Verdict, request_parts, version_max};
use super::sender::{Shared, Wake};
use crate::client::connection::{Answer, Connection};
use crate::client::error::ClientError;
use crate::io::Permit;
use crate::protocol::ApiKey;
use crate::protocol::messages::ProduceRequest;
use crate::types::TopicId;

impl Shared {
    /// Hands a request to the connection, and its answer to a task.
    pub(super) fn send(self: &Rc<Self>, connection: &Connection, slot: Permit, batches: Vec<Sent>) {
        let version = match connection.version(ApiKey::Produce, version_max(&batches)) {
            Ok(version) => version,
            Err(error) => return self.settle_all(batches, || Verdict::GiveUp(error.clone())),
        };
        let timeout = self.client.options().request_timeout;
        let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        let parts = request_parts(&batches, self.options.acks.code(), timeout_ms);
        let encode = |correlation_id, client_id: &str| {
            parts.encode(version, correlation_id, Some(client_id))
        };
        let retry = |error: ClientError| Verdict::Retry(error);
        let shared = Rc::clone(self);
        if self.options.acks == Acks::None {
            match connection.send_unanswered(encode) {
                Err(error) => self.settle_all(batches, || retry(error.clone())),
                Ok(written) => {
                    let connection = connection.clone();
                    let task = async move {
                        let is_written = connection.is_written(written, timeout).await;
                        drop(slot);
                        shared.settle_written(&connection, batches, is_written);
                    };
                    self.reactor.spawn(task).detach();
                }
            }
            return;
        }
        match connection.send(slot, ApiKey::Produce, timeout, encode) {
            Err(error) => self.settle_all(batches, || retry(error.clone())),
            Ok(answer) => {
                let connection = connection.clone();
                let task = async move {
                    shared.receive(&connection, version, batches, answer).await;
                };
                self.reactor.spawn(task).detach();
            }
        }
    }

    /// The end of a request without an answer.
    fn settle_written(&self, connection: &Connection, batches: Vec<Sent>, is_written: bool) {
        let error = || connection.ended().unwrap_or(ClientError::Closed);
        self.settle_all(batches, || match is_written {
            true => Verdict::Acknowledged(Acknowledged {
                base_offset: -1,
                log_append_time: None,
            }),
            false => Verdict::Retry(error()),
        });
    }

    /// Waits for the answer to a request and settles its batches.
    async fn receive(
        &self,
        connection: &Connection,
        version: i16,
        batches: Vec<Sent>,
        answer: Answer,
    ) {
        let ids: Vec<TopicId> = batches
            .iter()
            .map(|sent| sent.partition.topic.id.get())
            .collect();
        let response = match answer.await {
            Ok(frame) => connection.decode::<ProduceRequest>(version, frame),
            Err(error) => Err(error),
        };
        let response = match response {
            Ok(response) => response,
            Err(error) => return self.settle_all(batches, || Verdict::Retry(error.clone())),
        };
        let mut answers = Answers::new(&response, version);
        let mut has_failed = false;
        for (sent, id) in batches.into_iter().zip(ids) {
            let verdict = answers.verdict(&sent, id).unwrap_or_else(|| {
                let error = ClientError::Malformed {
                    peer: connection.peer(),
                    api: ApiKey::Produce,
                    reason: "a partition is missing".into(),
                };
                // Without it nothing else of this broker can be relied on.
                connection.close(error.clone());
                Verdict::Retry(error)
            });
            has_failed |= !matches!(verdict, Verdict::Acknowledged(_));
            self.rule(sent, verdict);
        }
        if has_failed {
            self.refresh(self.reactor.now(), &mut Wake::default());
        }
        self.work.notify_all();
    }

    fn settle_all(&self, batches: Vec<Sent>, verdict: impl Fn() -> Verdict) {
        for sent in batches {
            self.rule(sent, verdict());
        }
        self.work.notify_all();
    }

    /// Carries out the verdict on a batch that was in flight.
    fn rule(&self, sent: Sent, verdict: Verdict) {
        let Sent {
            partition,
            mut batch,
            ..
        } = sent;
        let verdict = match verdict {
            Verdict::Retry(_) | Verdict::Restart(_) if self.is_closed.get() => {
                Verdict::GiveUp(ClientError::Closed)
            }
            verdict => verdict,
        };
        let mut queue = partition.queue.borrow_mut();
        let must_restart = matches!(verdict, Verdict::Restart(_));
        match verdict {
            Verdict::Acknowledged(acknowledged) => {
                queue.acknowledge(&batch);
                drop(queue);
                self.settle(&partition, batch, Ok(acknowledged));
            }
            Verdict::Retry(error) | Verdict::Restart(error) => {
                batch.last_fault = Some(error.to_string().into());
                queue.retry(batch, must_restart, &self.reactor);
                drop(queue);
                self.activate(&partition, true);
            }
            Verdict::GiveUp(error) => {
                queue.give_up(&batch);
                drop(queue);
                self.settle(&partition, batch, Err(error));
            }
        }
    }

    /// The end of a batch.
    pub(super) fn settle(
        &self,
        partition: &Partition,
        batch: Batch,
        result: Result<Acknowledged, ClientError>,
    ) {
        let now = self.reactor.now();
        batch.settle(
            &partition.topic.name,
            result,
            now,
            self.options.on_batch.as_deref(),
        );
        let outstanding_count = self.outstanding_count.get() - 1;
        self.outstanding_count.set(outstanding_count);
        if outstanding_count == 0 {
            self.idle.notify_all();
        }
    }

    /// Gives up everything that is not in flight.
    pub(super) fn give_up_waiting(&self, error: &ClientError) {
        let topics = self.topics.borrow();
        for state in topics.values() {
            for partition in &*state.partitions.borrow() {
                // Settled outside the borrow: a callback may look at the producer.
                let batches = std::mem::take(&mut partition.queue.borrow_mut().batches);
                for batch in batches {
                    self.settle(partition, batch, Err(error.clone()));
                }
            }
        }
    }

    /// The producer was closed: what waits is given up, and so is what is in flight.
    pub(super) fn shut_down(&self) {
        self.give_up_waiting(&ClientError::Closed);
        let brokers = std::mem::take(&mut *self.brokers.borrow_mut());
        for connection in brokers.into_values().filter_map(|broker| broker.connection) {
            connection.close(ClientError::Closed);
        }
    }
}
