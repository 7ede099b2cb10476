"""What must hold after the kills: nothing acknowledged missing, doubled, changed or reordered."""

from driver.reader import Stored

# Enough to see what kind of fault it is.
FINDINGS_SHOWN_MAX = 20


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
