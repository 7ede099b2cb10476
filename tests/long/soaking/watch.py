"""What the broker's process and its pages say, once a second, and whether it levels off."""

import re
import statistics
import urllib.request
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

PAGE_TIMEOUT_S = 30
# A timer that fires later than this is a stall. The bound is one of the histogram's buckets.
STALL_S = 0.1
STALL_HISTOGRAM = "ringlog_reactor_stall_time_seconds"
SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$")
BOUND = re.compile(r'le="([^"]+)"')

MEMORY = "resident memory, bytes"

# What has to level off: how far the last third's median may be above the second third's, as a part
# of it and in units of its own. Both count together: small numbers move by a few.
LEVELS = {
    MEMORY: (0.10, 24 << 20),
    "descriptors": (0.10, 50),
    "threads": (0.0, 0),
    # The kernel's own threads of the rings: it starts and ends them as it likes.
    "threads of the rings": (0.10, 16),
    "tasks": (0.10, 100),
    "timers": (0.10, 50),
    "operations under way": (0.10, 50),
    "entries in the rings": (0.10, 100),
    "request memory, bytes": (0.10, 8 << 20),
    "partitions": (0.10, 50),
    "parked fetches": (0.10, 50),
}
GAUGES = {
    "tasks": "ringlog_reactor_tasks", "timers": "ringlog_reactor_timers",
    "operations under way": "ringlog_reactor_operations",
    "request memory, bytes": "ringlog_request_memory_bytes",
    "partitions": "ringlog_partitions",
    "parked fetches": "ringlog_parked_fetches",
}


@dataclass
class Stall:
    """A second in which a timer of a shard fired late."""

    at_s: float
    # The lower end of the highest bucket that counted one.
    late_s: float
    # What the shards' threads waited for a core in that time.
    waited_s: float


@dataclass
class Watch:
    """Samples of one run. A new process is a new `pid`."""

    address: str
    samples: list = field(default_factory=list)
    stalls: list = field(default_factory=list)
    stall_counts: dict = field(default_factory=dict)
    waits: dict = field(default_factory=dict)
    pid: int = 0
    # Of the last process: bytes at its first sample.
    started_pid: int = 0
    started_with: int = 0

    def look(self, at_s, pid):
        """Takes a sample; the broker may be gone meanwhile, then there is none."""
        try:
            page = urllib.request.urlopen(f"http://{self.address}/metrics", timeout=PAGE_TIMEOUT_S)
            sums, stalls = parse(page.read().decode())
            values = {name: sums[gauge] for name, gauge in GAUGES.items()} | of_process(pid)
            waits = shard_waits(pid)
        except OSError:
            self.pid = 0
            return
        if pid == self.pid:
            self.note_stalls(at_s, stalls, waits)
        if pid != self.started_pid:
            self.started_pid, self.started_with = pid, values[MEMORY]
        self.pid, self.stall_counts, self.waits = pid, stalls, waits
        self.samples.append((at_s, values))

    def note_stalls(self, at_s, stalls, waits):
        bounds = sorted(stalls)
        highest = None
        for lower, upper in zip(bounds, bounds[1:]):
            within = stalls[upper] - stalls[lower]
            before = self.stall_counts[upper] - self.stall_counts[lower]
            if lower >= STALL_S and within > before:
                highest = lower
        if highest is not None:
            waited = max(
                (waits[thread] - self.waits.get(thread, 0) for thread in waits), default=0
            )
            self.stalls.append(Stall(at_s, highest, waited))

    def levels(self, duration_s, caches, are_full):
        """Of each value: its name, both medians, what is tolerated, whether it has levelled off.
        The process may have `caches` bytes more than at its start; until they are full its memory
        may grow up to that."""
        thirds = [
            [values for at_s, values in self.samples if start <= at_s < start + duration_s / 3]
            for start in (duration_s / 3, 2 * duration_s / 3)
        ]
        for name, (part, units) in LEVELS.items():
            second, last = (statistics.median(v[name] for v in third) for third in thirds)
            allowed = second * (1 + part) + units
            if name == MEMORY:
                budget = self.started_with + caches
                allowed = min(allowed, budget) if are_full else budget
            yield name, second, last, allowed, last <= allowed


def parse(page):
    """Sums over all labels, and the stall histogram: how many up to each bound."""
    sums, stalls = defaultdict(float), defaultdict(float)
    for line in page.splitlines():
        if line.startswith("#") or not (found := SAMPLE.match(line)):
            continue
        name, labels, value = found.groups()
        sums[name] += float(value)
        if name == f"{STALL_HISTOGRAM}_bucket":
            stalls[float(BOUND.search(labels).group(1))] += float(value)
    return sums, dict(stalls)


def of_process(pid):
    process = Path(f"/proc/{pid}")
    status = dict(
        line.split(":", 1) for line in (process / "status").read_text().splitlines() if ":" in line
    )
    descriptors = list((process / "fd").iterdir())
    names = [each.read_text() for each in process.glob("task/*/comm")]
    of_rings = sum(name.startswith("iou-wrk") for name in names)
    return {
        MEMORY: int(status["VmRSS"].split()[0]) * 1024,
        "threads": len(names) - of_rings,
        "threads of the rings": of_rings,
        "descriptors": len(descriptors),
        "entries in the rings": sum(ring_entries(process, each) for each in descriptors),
    }


def ring_entries(process, descriptor):
    """Submissions that the kernel has not taken and completions that the shard has not, if it is a
    ring."""
    try:
        if "io_uring" not in str(descriptor.readlink()):
            return 0
        text = (process / "fdinfo" / descriptor.name).read_text()
    except OSError:
        return 0
    words = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    tail = lambda name: int(words.get(name, "0").split()[0])
    submissions = (tail("SqTail") - tail("SqHead")) % 2**32
    return submissions + (tail("CqTail") - tail("CqHead")) % 2**32


def shard_waits(pid):
    """Seconds that each shard's thread has waited for a core."""
    waits = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        if (task / "comm").read_text().startswith("shard-"):
            waits[task.name] = int((task / "schedstat").read_text().split()[1]) / 1e9
    return waits
