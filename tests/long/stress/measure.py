"""What is measured while a broker is under stress: its memory, the answers to a connection that has
nothing to do with it, and how much it takes from a producer that is in a hurry. Each in a process
of its own, so that the test's own work does not stand in the way."""

import multiprocessing
import threading
import time
from pathlib import Path

import frames

# The unrelated connection asks so often.
PROBE_INTERVAL_S = 0.005
SAMPLE_INTERVAL_S = 0.02
# Requests that the producer in a hurry has under way, and bytes of each.
IN_FLIGHT = 5
REQUEST_SIZE = 128 << 10
PROBE_TOPIC, RATE_TOPIC = "probe", "rate"
RATE_PARTITION_COUNT = 4
MIB = 1 << 20


def resident_size(pid):
    """Bytes of memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) << 10
    raise RuntimeError(f"process {pid} has ended")


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


class Memory(threading.Thread):
    """The largest resident size of a process while this runs."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid = pid
        self.largest = resident_size(pid)
        self.is_over = threading.Event()

    def run(self):
        while not self.is_over.wait(SAMPLE_INTERVAL_S):
            try:
                self.largest = max(self.largest, resident_size(self.pid))
            except (OSError, RuntimeError):
                return

    def stop(self):
        self.is_over.set()
        self.join()
        return self.largest


def probe(address, is_over, answers):
    """Produces a record with acks=all at a steady pace; puts (time, seconds) of each answer."""
    connection = frames.Connection(address)
    request = frames.produce(PROBE_TOPIC, {0: frames.batch([b"probe"])})
    found = []
    next_at = time.monotonic()
    while not is_over.is_set():
        began = time.monotonic()
        errors = frames.produce_errors(connection.ask(request))
        assert errors == {0: 0}, f"the probe was refused: {errors}"
        found.append((began, time.monotonic() - began))
        next_at = max(next_at + PROBE_INTERVAL_S, time.monotonic())
        time.sleep(max(0, next_at - time.monotonic()))
    answers.put(found)


class Probe:
    """An unrelated connection, from its making to `stop`."""

    def __init__(self, address):
        self.is_over = multiprocessing.Event()
        self.answers = multiprocessing.Queue()
        self.process = multiprocessing.Process(
            target=probe, args=(address, self.is_over, self.answers), daemon=True
        )
        self.process.start()

    def stop(self):
        """The seconds of each answer by the moment it was asked for; fails if one was refused."""
        self.is_over.set()
        found = self.answers.get(timeout=frames.TIMEOUT_S)
        self.process.join()
        return found


def rate(address, seconds):
    """Bytes a second that a producer with requests under way gets acknowledged."""
    connection = frames.Connection(address)
    records = frames.batch([b"x" * 1000] * (REQUEST_SIZE // 1000))
    requests = [
        frames.produce(RATE_TOPIC, {partition: records})
        for partition in range(RATE_PARTITION_COUNT)
    ]
    for at in range(IN_FLIGHT):
        connection.send(requests[at % len(requests)])
    began = time.monotonic()
    count = 0
    while time.monotonic() - began < seconds:
        errors = frames.produce_errors(connection.receive())
        assert set(errors.values()) == {0}, f"the producer was refused: {errors}"
        connection.send(requests[count % len(requests)])
        count += 1
    rate = count * len(records) / (time.monotonic() - began)
    connection.close()
    return rate


def back_after(address, wanted, seconds_max, window_s):
    """Seconds until the rate was `wanted` again in a window; None if it was not."""
    began = time.monotonic()
    while time.monotonic() - began < seconds_max:
        started = time.monotonic()
        if rate(address, window_s) >= wanted:
            return started - began
    return None
