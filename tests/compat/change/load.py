"""Who writes and reads while topics change: threads around confluent-kafka, and processes of other
clients that write some records at a time."""

import threading
import time

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from driver.reader import Stored
from driver.records import Record

# Records that a writer has handed over and that are neither acknowledged nor refused.
DEPTH = 100
POLL_S = 0.005
FLUSH_TIMEOUT_S = 60
# Of a topic that went away: what is on its way to it must not stay for long.
MESSAGE_TIMEOUT_MS = 10_000
# Records that one process of another client writes.
BATCH_COUNT = 200
BODY = b"; a body, so that a batch is more than its head" * 2


class Lives:
    """Which life of the topic it is, and what was acknowledged for sure in each."""

    def __init__(self):
        self.lock = threading.Lock()
        self.generation = 0
        self.is_up = False
        self.sure = {}

    def begin(self):
        with self.lock:
            self.generation += 1
            self.is_up = True
            self.sure[self.generation] = []

    def end(self):
        with self.lock:
            self.is_up = False

    def acknowledged(self, generation, partition, offset, value):
        """Sure only if the life it was meant for was there before it and is there still."""
        with self.lock:
            if self.is_up and generation == self.generation:
                self.sure[generation].append((partition, offset, value))

    def sure_count(self):
        with self.lock:
            return len(self.sure[self.generation])


class Task(threading.Thread):
    """A thread that ends when it is told to; what it raises is raised by `finish`."""

    def __init__(self):
        super().__init__(daemon=True)
        self.is_over = threading.Event()
        self.failure = None

    def run(self):
        try:
            self.act()
        # Whatever it is, the test must not go on as if all were well.
        except BaseException as failed:  # noqa: BLE001
            self.failure = failed

    def act(self):
        raise NotImplementedError

    def finish(self):
        self.is_over.set()
        self.join()
        self.check()

    def check(self):
        if self.failure:
            raise self.failure


class Writer(Task):
    """An idempotent producer of confluent-kafka that lets its queue never run dry.

    `lives` is given for the topic that comes and goes: there records may be refused, and a producer
    whose sequence broke over it is replaced, as an application must.
    """

    def __init__(self, address, topic, name, lives=None):
        super().__init__()
        self.address, self.topic, self.name, self.lives = address, topic, name, lives
        self.number = 0
        self.open_count = 0
        self.acknowledged = []
        self.refused_count = 0
        self.replaced_count = 0
        self.producer = self.connect()

    def connect(self):
        self.fatal = None
        return Producer({
            "bootstrap.servers": self.address,
            "enable.idempotence": True,
            "linger.ms": 2,
            "sticky.partitioning.linger.ms": 0,
            "retry.backoff.ms": 20,
            "topic.metadata.refresh.interval.ms": 500,
            "topic.metadata.propagation.max.ms": 1000,
            "message.timeout.ms": MESSAGE_TIMEOUT_MS if self.lives else 10 * MESSAGE_TIMEOUT_MS,
            "log_level": 2,
            "error_cb": self.failed,
        })

    def failed(self, error):
        if error.fatal():
            self.fatal = str(error)

    def act(self):
        while not self.is_over.is_set():
            while self.open_count < DEPTH and not self.fatal and self.send():
                pass
            self.producer.poll(POLL_S)
            if self.fatal:
                self.replace()
        self.flush()

    def send(self):
        """Hands one record over; whether the producer took it."""
        generation = self.lives.generation if self.lives else 0
        value = b"%d %s %d " % (generation, self.name.encode(), self.number) + BODY
        self.number += 1
        self.open_count += 1

        def done(error, message):
            self.open_count -= 1
            if error:
                self.refused_count += 1
            elif self.lives:
                self.lives.acknowledged(generation, message.partition(), message.offset(), value)
            else:
                self.acknowledged.append((message.partition(), message.offset(), value))

        try:
            self.producer.produce(self.topic, value, on_delivery=done)
        except KafkaException:
            # It knows already that there is no such topic.
            if not self.lives:
                raise
            self.open_count -= 1
            self.refused_count += 1
            return False
        return True

    def replace(self):
        if not self.lives:
            raise AssertionError(f"{self.name}: {self.fatal}")
        self.flush()
        self.replaced_count += 1
        self.producer = self.connect()

    def flush(self):
        left = self.producer.flush(FLUSH_TIMEOUT_S)
        assert left == 0, f"{self.name}: {left} records without an answer in {FLUSH_TIMEOUT_S} s"


class Batches(Task):
    """Another client, a process for some records: all of them must be acknowledged."""

    def __init__(self, client, topic, partition_count):
        super().__init__()
        self.client, self.topic, self.partition_count = client, topic, partition_count
        self.acknowledged = []

    def act(self):
        number = 0
        while not self.is_over.is_set():
            records = [
                Record(
                    each % self.partition_count(), None,
                    b"0 %s %d " % (self.client.name.encode(), each) + BODY,
                )
                for each in range(number, number + BATCH_COUNT)
            ]
            number += BATCH_COUNT
            answers = self.client.deliver(self.topic, records, idempotent=True)
            for record, answer in zip(records, answers, strict=True):
                assert answer["error"] == 0, f"{self.client.name}: {answer}"
                place = answer["p"], answer["o"]
                self.acknowledged.append((*place, record.value))


class Follower(Task):
    """A reader by assignment that is there all the time. It takes partitions up as they come."""

    def __init__(self, address, topic, partition_count, may_vanish=False):
        super().__init__()
        self.topic, self.partition_count, self.may_vanish = topic, partition_count, may_vanish
        self.assigned_count = 0
        self.seen = []
        self.consumer = Consumer({
            "bootstrap.servers": address, "group.id": "unused-by-assignment",
            "enable.auto.commit": False, "auto.offset.reset": "earliest", "check.crcs": True,
            "allow.auto.create.topics": False, "topic.metadata.refresh.interval.ms": 500,
            "topic.metadata.propagation.max.ms": 1000, "log_level": 2,
        })

    def act(self):
        while not self.is_over.is_set():
            self.take_up()
            self.poll()
        self.consumer.close()

    def take_up(self):
        count = self.partition_count()
        new = range(self.assigned_count, count)
        if new:
            self.consumer.incremental_assign([TopicPartition(self.topic, p, 0) for p in new])
            self.assigned_count = count

    def poll(self):
        for message in self.consumer.consume(500, timeout=0.05):
            if message.error():
                assert self.may_vanish, f"reading {self.topic}: {message.error()}"
                continue
            self.seen.append(Stored(message.partition(), message.offset(), message.value()))

    def wait_for(self, count, deadline_s):
        """Until it has seen so many records."""
        deadline = time.monotonic() + deadline_s
        while len(self.seen) < count:
            self.check()
            if time.monotonic() > deadline:
                raise AssertionError(
                    f"the reader of {self.topic} has {len(self.seen)} of {count} records"
                )
            time.sleep(POLL_S)
