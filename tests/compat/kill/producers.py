"""A process with many idempotent producers that never let their queues run dry.

usage: producers.py OPTIONS (a JSON object, made by `load.py`)

Each producer numbers its records of each partition from 0. How many it has handed to librdkafka
and how many were acknowledged stands in a file that the driver maps, and there the driver says how
deep the queues are to be; where each acknowledged record went is written when all is over. The
process ends when the file `stop` appears: it lets every record through first.
"""

import json
import sys
from pathlib import Path

from confluent_kafka import Producer

from control import DEPTH, Control

# Longer than all restarts together: nothing may expire.
DELIVERY_TIMEOUT_MS = 3_600_000
FLUSH_TIMEOUT_S = 300
# How long a process whose queues are all full waits for an acknowledgement.
IDLE_S = 0.002
PADDING = b"the records have a body, so that batches are torn somewhere; " * 20


def value(producer_id, number, size):
    """The record `number` of a producer: it says whose it is, and its body follows from that."""
    head = b"%d %d " % (producer_id, number)
    return head + PADDING[number % 61 :][: size + number % 200]


class Numbered:
    """One producer to one partition, with its counters."""

    def __init__(self, options, producer_id, control):
        self.id = producer_id
        self.partition = producer_id % options["partitions"]
        self.options = options
        self.control = control
        self.sent = 0
        self.acknowledged = []
        self.failure = None
        self.producer = Producer({
            "bootstrap.servers": options["address"],
            "enable.idempotence": True,
            "max.in.flight.requests.per.connection": options["in_flight"],
            "batch.num.messages": options["batch"],
            "linger.ms": 0,
            "queue.buffering.max.messages": 2 * options["depth"],
            "delivery.timeout.ms": DELIVERY_TIMEOUT_MS,
            "request.timeout.ms": 10_000,
            "reconnect.backoff.ms": 10,
            "reconnect.backoff.max.ms": 200,
            "retry.backoff.ms": 20,
            # Lost connections are what this is about.
            "log_level": 2,
            "error_cb": self.failed,
        })

    def failed(self, error):
        if error.fatal():
            self.failure = str(error)

    def fill(self):
        """Whether there was something to do."""
        before = self.sent + len(self.acknowledged)
        depth = self.control.get(DEPTH)
        while self.sent - len(self.acknowledged) < depth:
            content = value(self.id, self.sent, self.options["size"])
            self.producer.produce(
                self.options["topic"], content, partition=self.partition,
                on_delivery=self.delivered(self.sent),
            )
            self.sent += 1
        self.producer.poll(0)
        self.count()
        return self.sent + len(self.acknowledged) > before

    def delivered(self, number):
        def done(error, message):
            if error:
                self.failure = f"record {number}: {error}"
            else:
                # None: acknowledged by the answer to a retry, which does not say where.
                offset = message.offset()
                self.acknowledged.append((number, -1 if offset is None else offset))

        return done

    def count(self):
        self.control.set_counts(self.id, self.sent, len(self.acknowledged))


def main():
    options = json.loads(sys.argv[1])
    directory = Path(options["directory"])
    control = Control(directory, options["readers"], options["producers"])
    producers = [Numbered(options, each, control) for each in options["mine"]]
    while not (directory / "stop").exists():
        is_busy = False
        for each in producers:
            is_busy |= each.fill()
            if each.failure:
                sys.exit(f"producer {each.id}: {each.failure}")
        if not is_busy:
            producers[0].producer.poll(IDLE_S)
    for each in producers:
        each.producer.flush(FLUSH_TIMEOUT_S)
        each.count()
        if each.failure or each.sent != len(each.acknowledged):
            sys.exit(
                f"producer {each.id}: {each.sent} sent, {len(each.acknowledged)} acknowledged,"
                f" {each.failure or 'the rest in time neither acknowledged nor refused'}"
            )
    for each in producers:
        report = {"id": each.id, "partition": each.partition, "acknowledged": each.acknowledged}
        (directory / f"producer-{each.id}").write_text(json.dumps(report))


if __name__ == "__main__":
    main()
