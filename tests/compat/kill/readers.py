"""A reader that checks while brokers come and go.

usage: readers.py OPTIONS (a JSON object, made by `load.py`)

It reads all partitions from their beginning, by assignment, and goes on at their ends. In each
round, when the broker is back, it goes back to what it has read before and must find it again: the
same value at each offset, up to where it had come. What it finds wrong it says and ends with 1.
When the file `stop-readers` appears it writes a digest of each value that it has seen.
"""

import json
import random
import sys
from pathlib import Path

from confluent_kafka import Consumer, KafkaError, TopicPartition

# A program of its own: what the checks share with the other tests lies above.
sys.path.append(str(Path(__file__).resolve().parents[1]))
from checker import Fault, Watch  # noqa: E402
from control import ROUND, Control  # noqa: E402

# Records of each partition that a reader looks at again at most in each round. The first reader
# takes the newest ones, which a crash would take; the others begin anywhere among these.
LOOK_BACK_COUNT_MAX = 4000
NEWEST_COUNT = 100
POLL_COUNT, POLL_S = 500, 0.1


class Reader:
    """One consumer of all partitions, and what it has seen."""

    def __init__(self, options):
        self.id = options["mine"]
        self.topic = options["topic"]
        self.random = random.Random(f"{options['seed']} {self.id}")
        self.watch = Watch(options["partitions"])
        self.consumer = Consumer({
            "bootstrap.servers": options["address"], "group.id": "unused-by-assignment",
            "enable.auto.commit": False, "auto.offset.reset": "error", "check.crcs": True,
            "reconnect.backoff.ms": 10, "reconnect.backoff.max.ms": 200, "log_level": 2,
            "fetch.wait.max.ms": 100, "fetch.error.backoff.ms": 20,
        })
        self.assign()

    def assign(self):
        places = enumerate(self.watch.positions)
        self.consumer.assign([TopicPartition(self.topic, *place) for place in places])

    def read(self):
        for message in self.consumer.consume(POLL_COUNT, POLL_S):
            error = message.error()
            if error is None:
                self.watch.saw(message.partition(), message.offset(), message.value())
            elif error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
                raise Fault(f"partition {message.partition()}: what was there is gone: {error}")
            # Others are of a broker that is not there just now. They pass, or the driver's
            # deadlines do.

    def look_back(self):
        """Goes back, and how far it must come again in each partition."""
        ends = self.watch.ends()
        for partition, end in enumerate(ends):
            count = NEWEST_COUNT if self.id == 0 else self.random.randint(0, LOOK_BACK_COUNT_MAX)
            self.watch.positions[partition] = max(0, end - count)
        self.assign()
        return ends

    def has_come_to(self, ends):
        return all(at >= end for at, end in zip(self.watch.positions, ends))


def main():
    options = json.loads(sys.argv[1])
    directory = Path(options["directory"])
    control = Control(directory, options["readers"], options["producers"])
    reader = Reader(options)
    seen_round, ends = 0, []
    try:
        while not (directory / "stop-readers").exists():
            number = control.get(ROUND)
            if number != seen_round:
                seen_round, ends = number, reader.look_back()
            reader.read()
            if reader.has_come_to(ends):
                control.set_looked_back(reader.id, seen_round)
    except Fault as fault:
        sys.exit(f"reader {reader.id}, after round {seen_round}: {fault}")
    (directory / f"reader-{reader.id}").write_text(json.dumps(reader.watch.digests))


if __name__ == "__main__":
    main()
