"""Records, what the tests write, and the comparison of what was written with what was read."""

import random
import time
from dataclasses import dataclass, replace

# The first records of every corpus are the odd ones; the sizes below are of values, in bytes.
SIZES = (0, 1, 2, 127, 128, 1023, 4095, 4096, 4097, 65_536, 262_144, 900_000)


@dataclass(frozen=True)
class Record:
    """One record. `timestamp` is milliseconds since the epoch, None where the client sets it."""

    partition: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    timestamp: int | None = None
    offset: int | None = None


class Mismatch(AssertionError):
    """What was read is not what was written."""


def show(content):
    """A record for a person, in one line."""
    text = repr(content)
    return text if len(text) <= 300 else f"{text[:300]}... ({len(text)} characters)"


def check(condition, message):
    if not condition:
        raise Mismatch(message)


def check_equal(got, wanted, what):
    check(got == wanted, f"{what}: got {show(got)}, wanted {show(wanted)}")


def by_partition(records):
    partitions = {}
    for record in records:
        partitions.setdefault(record.partition, []).append(record)
    return partitions


def compare(written, read, see):
    """Byte for byte, in order, partition by partition.

    `see` gives what the reader shows of a record, which for some is less than all of it. Offsets
    start at 0 and have no gaps.
    """
    written, read = by_partition(written), by_partition(read)
    check_equal(sorted(read), sorted(written), "partitions")
    for partition, wanted in written.items():
        got = read[partition]
        check_equal(len(got), len(wanted), f"records in partition {partition}")
        offsets = [record.offset for record in got]
        check(
            offsets == list(range(offsets[0], offsets[0] + len(got))),
            f"partition {partition}: offsets with gaps or out of order: {show(offsets)}",
        )
        for index, (one, other) in enumerate(zip(got, wanted)):
            if other.timestamp is None:
                one = replace(one, timestamp=None)
            check_equal(see(one), see(other), f"partition {partition}, record {index}")


def text(seed, size):
    """Compressible bytes, all different by seed, without control characters."""
    words = f"record {seed} of the corpus, again and again; "
    return (words * (size // len(words) + 1)).encode()[:size]


def plain(count, partition_count, size=100):
    """Records that every client can write: text, and the same header on each."""
    header = (("source", b"plain"),)
    return [
        Record(index % partition_count, f"key-{index}".encode(), text(index, size + index % 50),
               header)
        for index in range(count)
    ]


def odd_text():
    """The odd ones among what a console can type; all in partition 0."""
    header = (("a", b"1"), ("a", b"2"), ("none", None))
    return [
        Record(0, None, b"no key", header),
        Record(0, b"no value", None, header),
        Record(0, b"", b"empty key", header),
        Record(0, b"empty value", b"", header),
        Record(0, b"long value", text(1, 900_000), header),
    ]


def odd(partition_count):
    """What a log must keep as it is: nulls, nothing, binary, headers, times out of order."""
    noise = random.Random(7)
    hour_ago = int(time.time() * 1000) - 3_600_000
    binary = bytes(range(256))
    records = [
        Record(0, None, None),
        Record(0, b"", b""),
        Record(0, None, b"value without key"),
        Record(0, b"key without value", None),
        Record(0, binary, binary[::-1]),
        Record(0, "Schlüssel".encode(), "值".encode()),
        Record(0, b"h", b"one header", (("name", b"value"),)),
        Record(0, b"h", b"null header", (("name", None), ("empty", b""))),
        Record(0, b"h", b"twice", (("n", b"1"), ("n", b"2"), ("ünï", binary))),
        Record(0, b"h", b"many", tuple((f"h{i}", text(i, 20)) for i in range(50))),
        Record(0, b"k" * 10_000, b"long key"),
    ]
    records += [Record(0, b"size", noise.randbytes(size)) for size in SIZES]
    shifts = (0, 5, -7, 100, 3, -1000)
    records += [Record(0, b"t", b"time", (), hour_ago + shift) for shift in shifts]
    return [
        replace(record, partition=partition)
        for partition in range(partition_count)
        for record in records
    ]


def mixed(count, partition_count):
    """`count` records: nulls, empties, headers, sizes up to 900 KB among plain ones."""
    one = odd(1)
    records = plain(count, partition_count, 200)
    step = count // len(one)
    for index, record in enumerate(one):
        at = index * step
        records[at] = replace(record, partition=records[at].partition)
    return records


def check_that_compare_sees():
    """`compare` passes what is equal and refuses each way in which it can be wrong."""
    written = [record for record in odd(2) if len(record.value or b"") < 100_000]
    read = [
        replace(record, offset=offset, timestamp=record.timestamp or 1)
        for records in by_partition(written).values() for offset, record in enumerate(records)
    ]
    see = lambda record: replace(record, offset=None)
    compare(written, read, see)
    last = read[-1]
    wrong = {
        "missing": read[:-1],
        "twice": [*read, replace(last, offset=last.offset + 1)],
        "a gap": [*read[:-1], replace(last, offset=last.offset + 1)],
        "swapped": [replace(read[1], offset=0), replace(read[0], offset=1), *read[2:]],
        "null for empty": [replace(read[0], value=b""), *read[1:]],
        "a time": [*read[:-1], replace(last, timestamp=last.timestamp + 1)],
        "a header": [replace(read[0], headers=(("x", None),)), *read[1:]],
        "another partition": [replace(record, partition=0) for record in read],
    }
    for name, spoilt in wrong.items():
        try:
            compare(written, spoilt, see)
        except Mismatch:
            continue
        raise AssertionError(f"the comparison does not see: {name}")
