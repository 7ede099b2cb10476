"""What must hold after the kills: nothing acknowledged missing, doubled, changed or reordered; and
what a reader may see while they go on."""

import zlib

from driver.reader import Stored

# Enough to see what kind of fault it is.
FINDINGS_SHOWN_MAX = 20


class Fault(Exception):
    """A reader saw what must not be."""


class Watch:
    """What one reader has seen, and whether the next record may follow.

    A partition is read from its beginning, offset by offset; `positions` are moved back to look at
    something again. An offset has one value for ever. Each producer writes to one partition, and
    its numbers go up one by one.
    """

    def __init__(self, partitions):
        self.positions = [0] * partitions
        # Of each partition, by offset.
        self.digests = [[] for _ in range(partitions)]
        # Of each producer: its partition and its last number.
        self.last = {}

    def ends(self):
        """Where each partition was not read yet."""
        return [len(digests) for digests in self.digests]

    def saw(self, partition, offset, content):
        place = f"partition {partition}, offset {offset}"
        expected = self.positions[partition]
        if offset != expected:
            raise Fault(f"{place}: {expected} should come next")
        digest = zlib.crc32(content)
        known = self.digests[partition]
        if offset < len(known):
            if known[offset] != digest:
                raise Fault(f"{place}: it had another value before: now {content[:40]!r}")
        else:
            self.check_order(place, partition, content)
            known.append(digest)
        self.positions[partition] = offset + 1

    def check_order(self, place, partition, content):
        producer_id, number = (int(word) for word in content.split(b" ", 2)[:2])
        home, last = self.last.get(producer_id, (partition, -1))
        if home != partition or number != last + 1:
            raise Fault(f"{place}: record {number} of producer {producer_id} after {last} in {home}")
        self.last[producer_id] = (partition, number)


def check_seen(digests, stored):
    """A list of sentences, empty if all that a reader saw is there still. `digests`: of its
    [`Watch`]."""
    values = {(record.partition, record.offset): zlib.crc32(record.value) for record in stored}
    findings = []
    for partition, known in enumerate(digests):
        for offset, digest in enumerate(known):
            there = values.get((partition, offset))
            if there != digest:
                what = "is gone" if there is None else "has another value"
                findings.append(f"partition {partition}, offset {offset}: was read and {what}")
    return findings


def check(reports, stored, value_of):
    """A list of sentences, empty if all is well.

    `reports`: of each producer its id, partition and the (number, offset) of every acknowledged
    record; offset -1 where the acknowledgement was of a retry and did not say. `stored`: what was
    read, partition by partition, in the order read. `value_of(id, number)`: what it must hold.
    """
    findings = check_offsets(stored)
    seen = {}
    for record in stored:
        producer_id, number = (int(word) for word in record.value.split(b" ", 2)[:2])
        numbers = seen.setdefault(producer_id, {})
        if number in numbers:
            findings.append(f"producer {producer_id}: record {number} is there twice")
        elif numbers and number < max_number(numbers):
            findings.append(f"producer {producer_id}: record {number} is out of order")
        if record.value != value_of(producer_id, number):
            findings.append(f"producer {producer_id}: record {number} is changed")
        numbers[number] = record
    for report in reports:
        findings += check_acknowledged(report, seen.get(report["id"], {}))
    return findings


def max_number(numbers):
    """The number put in last: a dict keeps its order, and a smaller one was reported."""
    return next(reversed(numbers))


def check_offsets(stored):
    """Offsets of a partition go up one by one."""
    findings, last = [], {}
    for record in stored:
        before = last.get(record.partition, record.offset - 1)
        if record.offset != before + 1:
            findings.append(f"partition {record.partition}: {record.offset} follows {before}")
        last[record.partition] = record.offset
    return findings


def check_acknowledged(report, numbers):
    findings = []
    for number, offset in report["acknowledged"]:
        record = numbers.get(number)
        name = f"producer {report['id']}: record {number}, acknowledged"
        if record is None:
            findings.append(f"{name} at {offset}, is missing")
        elif record.partition != report["partition"]:
            findings.append(f"{name} in {report['partition']}, is in {record.partition}")
        elif offset >= 0 and record.offset != offset:
            findings.append(f"{name} at {offset}, is at {record.offset}")
    return findings


def watch_broken(stored):
    """Pairs of a name and what a reader would see: each must be a fault."""
    middle = len(stored) // 2
    record = stored[middle]
    changed = Stored(record.partition, record.offset, record.value + b"!")
    again = Stored(record.partition, record.offset + 1, record.value)
    return [
        ("a record left out", [*stored[:middle], *stored[middle + 1 :]]),
        ("an offset with two values", [*stored, changed]),
        ("a record that comes twice", [*stored[: middle + 1], again]),
    ]


def watched(stored, partitions):
    """What a reader says of these records, `None` if all is well. One whose offset was there
    before is looked at again."""
    watch = Watch(partitions)
    try:
        for record in stored:
            known = len(watch.digests[record.partition])
            watch.positions[record.partition] = min(known, record.offset)
            watch.saw(record.partition, record.offset, record.value)
    except Fault as fault:
        return str(fault)
    return None


def broken(stored):
    """What was read, spoilt in each way that the check must see: pairs of a name and a list."""
    middle = len(stored) // 2
    record = stored[middle]
    # The next one of the same producer, for the swap.
    owner = record.value.split(b" ")[0]
    other = next(
        place for place in range(middle + 1, len(stored))
        if stored[place].value.split(b" ")[0] == owner
    )
    lost = stored[:middle] + stored[middle + 1 :]
    doubled = stored[: middle + 1] + [record] + stored[middle + 1 :]
    at_end = Stored(record.partition, stored[-1].offset + 1, record.value)
    swapped = list(stored)
    swapped[middle] = Stored(record.partition, record.offset, stored[other].value)
    swapped[other] = Stored(stored[other].partition, stored[other].offset, record.value)
    changed = list(stored)
    flipped = record.value[:-1] + bytes([record.value[-1] ^ 1])
    changed[middle] = Stored(record.partition, record.offset, flipped)
    return [
        ("a record lost", lost), ("a record twice", doubled),
        ("a record again at the end", [*stored, at_end]), ("two swapped", swapped),
        ("a byte changed", changed), ("the last one lost", stored[:-1]),
    ]
