"""The clients of a run: processes of idempotent producers, and readers that check meanwhile."""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from control import DEPTH, ROUND, Control

HERE = Path(__file__).resolve().parent
# Acknowledged records, all producers together, that show that writing works.
PROGRESS_COUNT = 500
PROGRESS_TIMEOUT_S = 120
READERS_TIMEOUT_S = 120
FINISH_TIMEOUT_S = 400
POLL_S = 0.005


class Failed(Exception):
    """The run is over: a client has found something, or nothing goes on."""


class Load:
    """The processes, and the words that they share with the driver."""

    def __init__(self, wanted, address, topic):
        self.wanted = wanted
        self.directory = Path(tempfile.mkdtemp(prefix="ringlog-kills-"))
        self.control = Control(self.directory, wanted.readers, wanted.producers)
        self.options = {
            "address": address, "topic": topic, "directory": str(self.directory),
            "partitions": wanted.partitions, "in_flight": wanted.in_flight, "seed": wanted.seed,
            "batch": wanted.batch, "depth": wanted.depth, "size": wanted.size,
            "producers": wanted.producers, "readers": wanted.readers,
        }
        self.set_depth(wanted.depth)
        self.producers = [
            self.run("producers.py", list(range(first, wanted.producers, wanted.processes)))
            for first in range(wanted.processes)
        ]
        self.readers = [self.run("readers.py", each) for each in range(wanted.readers)]

    def run(self, program, mine):
        given = json.dumps({**self.options, "mine": mine})
        command = [sys.executable, str(HERE / program), given]
        return subprocess.Popen(command, stdin=subprocess.DEVNULL)

    def set_depth(self, count):
        """Records that each producer keeps open from now on."""
        self.control.set(DEPTH, count)

    def counters(self):
        return [self.control.counts(each) for each in range(self.wanted.producers)]

    def acknowledged(self):
        return sum(acknowledged for _, acknowledged in self.counters())

    def unacknowledged(self):
        """Requests sent or being sent, and records handed over, without acknowledgement."""
        open_counts = [sent - acknowledged for sent, acknowledged in self.counters()]
        most = self.wanted.in_flight
        requests = sum(min(most, -(-count // self.wanted.batch)) for count in open_counts)
        return requests, sum(open_counts)

    def wait_until(self, condition, seconds, what):
        deadline = time.monotonic() + seconds
        while not condition():
            for process in (*self.producers, *self.readers):
                if process.poll() is not None:
                    name = Path(process.args[1]).name
                    raise Failed(f"{name} ended with {process.returncode}")
            if time.monotonic() > deadline:
                raise Failed(f"in {seconds} s not: {what}")
            time.sleep(POLL_S)

    def wait_for_progress(self):
        wanted = self.acknowledged() + PROGRESS_COUNT
        self.wait_until(
            lambda: self.acknowledged() >= wanted, PROGRESS_TIMEOUT_S,
            f"{PROGRESS_COUNT} records acknowledged",
        )

    def wait_for_unacknowledged(self, count):
        self.wait_until(
            lambda: self.unacknowledged()[0] >= count, PROGRESS_TIMEOUT_S,
            f"{count} requests unacknowledged",
        )

    def wait_for_at_most(self, count):
        """Until what is left of deeper queues has gone."""
        self.wait_until(
            lambda: self.unacknowledged()[1] <= count, PROGRESS_TIMEOUT_S,
            f"no more than {count} records unacknowledged",
        )

    def look_back(self):
        """Every reader sees again what it had seen before."""
        number = self.control.get(ROUND) + 1
        self.control.set(ROUND, number)
        self.wait_until(
            lambda: all(
                self.control.looked_back(each) >= number for each in range(self.wanted.readers)
            ),
            READERS_TIMEOUT_S, "every reader has again what it had read before",
        )

    def finish_producers(self):
        """Lets everything through and returns the reports of all producers."""
        (self.directory / "stop").touch()
        for process in self.producers:
            if process.wait(FINISH_TIMEOUT_S) != 0:
                raise Failed("a process of producers failed")
        self.producers = []
        return [
            json.loads((self.directory / f"producer-{each}").read_text())
            for each in range(self.wanted.producers)
        ]

    def finish_readers(self):
        """Digests of what each reader has seen, by partition and offset."""
        (self.directory / "stop-readers").touch()
        for process in self.readers:
            if process.wait(READERS_TIMEOUT_S) != 0:
                raise Failed("a reader has found something")
        self.readers = []
        return [
            json.loads((self.directory / f"reader-{each}").read_text())
            for each in range(self.wanted.readers)
        ]

    def close(self):
        for process in (*self.producers, *self.readers):
            process.kill()
            process.wait()
        shutil.rmtree(self.directory)
