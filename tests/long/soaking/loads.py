"""The clients of the soak, each a process of its own.

usage: loads.py KIND OPTIONS (a JSON object), until the file `stop` appears in its directory

What a client must not see (a record refused for good, offsets with a gap) ends it with 1.
"""

import json
import random
import socket
import sys
import time
import uuid
from collections import Counter
from pathlib import Path

from confluent_kafka import (
    OFFSET_END, Consumer, KafkaError, KafkaException, Producer, TopicPartition,
)
from confluent_kafka.admin import (
    AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions, NewTopic,
    ResourceType,
)

DELIVERY_TIMEOUT_MS = 600_000
RECORD = b"a record of the soak; " * 50
# Of the producers, records a second each.
RATE = 400
TURN_S = 0.1
# Of the churn: topics that are there at once, and partitions of one.
TOPICS_MAX, TOPIC_PARTITIONS_MAX = 8, 6
CONNECTIONS_AT_ONCE = 60
# After this time a call of the churn is given up by its client, as when the broker was away; one that
# is not given up either ends the load.
CALL_TIMEOUT_S, ANSWER_TIMEOUT_S = 20, 40
# How long one that comes and goes stays.
CONNECTION_S_MAX = 5.0
# A reader begins anew after so many records.
READ_COUNT = 20_000
PRODUCERS = [
    {"acks": "all", "enable.idempotence": True, "compression.type": "lz4"},
    {"acks": "1", "compression.type": "zstd"},
    {"acks": "0", "compression.type": "none"},
    {"acks": "all", "compression.type": "gzip", "linger.ms": 50},
]


class Soak:
    def __init__(self, options):
        self.address = options["address"]
        self.directory = Path(options["directory"])
        self.topic = options["topic"]
        self.partitions = options["partitions"]

    def goes_on(self):
        return not (self.directory / "stop").exists()

    def client(self, **more):
        return {
            "bootstrap.servers": self.address, "log_level": 2, "reconnect.backoff.max.ms": 500,
            **more,
        }


def produce(soak):
    """Producers of several kinds at a fixed rate."""
    failures = []

    def delivered(error, _):
        if error is not None:
            failures.append(str(error))

    producers = [
        Producer(soak.client(**{"delivery.timeout.ms": DELIVERY_TIMEOUT_MS, **kind}))
        for kind in PRODUCERS
    ]
    while soak.goes_on():
        for producer, kind in zip(producers, PRODUCERS):
            # Without acknowledgements a record may go with its connection.
            told = None if kind["acks"] == "0" else delivered
            for _ in range(int(RATE * TURN_S)):
                partition = random.randrange(soak.partitions)
                content = RECORD[: random.randrange(len(RECORD))]
                try:
                    producer.produce(soak.topic, content, partition=partition, on_delivery=told)
                except BufferError:
                    break
            producer.poll(0)
        if failures:
            sys.exit(f"{len(failures)} records were refused: {failures[0]}")
        time.sleep(TURN_S)
    for producer in producers:
        producer.flush(60)


def consume(soak):
    """From the start of what is there to the end, and again; offsets without a gap."""
    rng = random.Random()
    while soak.goes_on():
        consumer = Consumer(soak.client(**{
            "group.id": "unused-by-assignment", "enable.auto.commit": False,
            "auto.offset.reset": "earliest", "check.crcs": True,
        }))
        consumer.assign([
            TopicPartition(soak.topic, partition, 0) for partition in range(soak.partitions)
        ])
        last, count, until = {}, 0, rng.randrange(READ_COUNT)
        while soak.goes_on() and count < until:
            for message in consumer.consume(500, 0.2):
                if message.error():
                    if message.error().code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                        sys.exit(f"the topic is gone: {message.error()}")
                    continue
                partition, offset = message.partition(), message.offset()
                # Retention may have taken what comes next: then it goes on at the start.
                if offset <= last.get(partition, -1):
                    sys.exit(f"partition {partition}: {offset} after {last[partition]}")
                last[partition] = offset
                count += 1
        consumer.close()


def tail(soak):
    """Readers that wait at the end: three consumers with fetch sessions of their own."""
    consumers = []
    for _ in range(3):
        consumer = Consumer(soak.client(**{
            "group.id": "unused-by-assignment", "enable.auto.commit": False,
            "auto.offset.reset": "latest",
        }))
        consumer.assign([
            TopicPartition(soak.topic, partition, OFFSET_END)
            for partition in range(soak.partitions)
        ])
        consumers.append(consumer)
    while soak.goes_on():
        for consumer in consumers:
            consumer.consume(1000, 0.1)
    for consumer in consumers:
        consumer.close()


def churn(soak):
    """Topics come and go, grow, and have their settings changed, with records in them."""
    rng = random.Random()
    admin = AdminClient(soak.client())
    producer = Producer(soak.client(**{"acks": "all", "delivery.timeout.ms": 20_000}))
    topics, done = {}, Counter()
    while soak.goes_on():
        # The broker may be away: then it is tried again.
        try:
            done[step(rng, admin, producer, topics)] += 1
        except KafkaException:
            done["failed"] += 1
        (soak.directory / "churn").write_text(json.dumps(done))
        time.sleep(0.3)
    for future in admin.delete_topics(list(topics)).values() if topics else ():
        future.exception(timeout=60)


def step(rng, admin, producer, topics):
    """What was done in the end."""
    wait = lambda futures: [future.result(ANSWER_TIMEOUT_S) for future in futures.values()]
    limit = {"request_timeout": CALL_TIMEOUT_S}
    if len(topics) < TOPICS_MAX:
        name, count = f"churn-{uuid.uuid4().hex[:8]}", rng.randint(1, TOPIC_PARTITIONS_MAX)
        topics[name] = count
        wait(admin.create_topics([NewTopic(name, count)], **limit))
    for name, count in topics.items():
        for partition in range(count):
            try:
                producer.produce(name, RECORD, partition=partition)
            except KafkaException as error:
                # It looks from time to time how many there are.
                if error.args[0].code() != KafkaError._UNKNOWN_PARTITION:
                    raise
    producer.flush(10)
    name = rng.choice(list(topics))
    kind = rng.randrange(4)
    if kind == 0:
        topics[name] += 1
        wait(admin.create_partitions([NewPartitions(name, topics[name])], **limit))
        return "grown"
    if kind == 1:
        entry = ConfigEntry(
            "retention.ms", str(rng.randint(1000, 10**6)),
            incremental_operation=AlterConfigOpType.SET,
        )
        resource = ConfigResource(ResourceType.TOPIC, name, incremental_configs=[entry])
        wait(admin.incremental_alter_configs([resource], **limit))
        return "set"
    if kind == 2 or topics[name] > TOPIC_PARTITIONS_MAX:
        del topics[name]
        wait(admin.delete_topics([name], **limit))
        return "deleted"
    admin.list_topics(timeout=10)
    return "listed"


def connect(soak):
    """Connections that come and go: silent ones, ones with half a request, ones that ask and do not
    read."""
    rng = random.Random()
    host, _, port = soak.address.rpartition(":")
    versions = b"\0\0\0\x0a\0\x12\0\0\0\0\0\7\0\0"
    connections = []
    while soak.goes_on():
        now = time.monotonic()
        for _, connection in (each for each in connections if each[0] < now):
            connection.close()
        connections = [each for each in connections if each[0] >= now]
        while len(connections) < CONNECTIONS_AT_ONCE:
            try:
                connection = socket.create_connection((host, int(port)), timeout=2)
                connection.sendall(rng.choice((b"", versions[:7], versions, versions * 50)))
            except OSError:
                break
            connections.append((now + rng.uniform(0, CONNECTION_S_MAX), connection))
        time.sleep(TURN_S)


KINDS = {each.__name__: each for each in (produce, consume, tail, churn, connect)}


if __name__ == "__main__":
    KINDS[sys.argv[1]](Soak(json.loads(sys.argv[2])))
