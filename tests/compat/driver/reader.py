"""Reading a whole topic by assignment with confluent-kafka, in the process of the test: only under
the interpreter that tests/compat/install has made."""

import time
from dataclasses import dataclass

from confluent_kafka import Consumer, TopicPartition

from driver import wire

READ_TIMEOUT_S = 120
POLL_COUNT_MAX = 1000


@dataclass(frozen=True)
class Stored:
    """One record as it was read."""

    partition: int
    offset: int
    value: bytes


def read_back(address, topic, partition_count):
    """Every record of the topic up to the ends found at the start, partition by partition."""
    for partition in range(partition_count):
        wire.wait_until_led(address, topic, partition)
    consumer = Consumer({
        "bootstrap.servers": address, "group.id": "unused-by-assignment",
        "enable.auto.commit": False, "auto.offset.reset": "error", "check.crcs": True,
        "log_level": 2,
    })
    places = [TopicPartition(topic, partition, 0) for partition in range(partition_count)]
    ends = {p.partition: consumer.get_watermark_offsets(p, timeout=30)[1] for p in places}
    found = {partition: [] for partition in ends}
    consumer.assign([place for place in places if ends[place.partition] > 0])
    deadline = time.monotonic() + READ_TIMEOUT_S
    while any(len(found[partition]) < end for partition, end in ends.items()):
        if time.monotonic() > deadline:
            raise SystemExit(f"reading {topic} stands still below the end offsets {ends}")
        for message in consumer.consume(POLL_COUNT_MAX, timeout=1):
            if message.error():
                raise SystemExit(f"reading {topic}: {message.error()}")
            found[message.partition()].append(
                Stored(message.partition(), message.offset(), message.value())
            )
    consumer.close()
    return [record for partition in sorted(found) for record in found[partition]]
