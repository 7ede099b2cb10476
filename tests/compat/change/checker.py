"""What must hold when topics change under load. A value is `GENERATION WRITER NUMBER body`: the life
of the topic that its writer meant, and that writer's own count."""

from dataclasses import replace

from driver.reader import Stored

# Enough to see what kind of fault it is.
FINDINGS_SHOWN_MAX = 20


def head(value):
    """Generation, writer and number of a value."""
    generation, writer, number = value.split(b" ", 3)[:3]
    return int(generation), writer.decode(), int(number)


def check_kept(acknowledged, stored):
    """Of a topic that stays: everything acknowledged is in its place, nothing is there twice, each
    writer's records of a partition are in its order, and offsets go up one by one.

    `acknowledged`: (partition, offset, value); offset -1 where the acknowledgement was of a retry
    and did not say. `stored`: what was read, partition by partition, in the order read.
    """
    findings, last, places, newest = [], {}, {}, {}
    for record in stored:
        before = last.get(record.partition, -1)
        if record.offset != before + 1:
            findings.append(f"partition {record.partition}: {record.offset} follows {before}")
        last[record.partition] = record.offset
        _, writer, number = head(record.value)
        if record.value in places:
            findings.append(f"record {number} of {writer} is there twice")
        elif number <= newest.get((record.partition, writer), -1):
            findings.append(f"record {number} of {writer} is out of order")
        newest[record.partition, writer] = number
        places[record.value] = record
    for partition, offset, value in acknowledged:
        _, writer, number = head(value)
        name = f"record {number} of {writer}, acknowledged at {partition}, {offset},"
        found = places.get(value)
        if found is None:
            findings.append(f"{name} is missing")
        elif found.partition != partition or offset not in (-1, found.offset):
            findings.append(f"{name} is at {found.partition}, {found.offset}")
    return findings


def check_followed(seen, stored):
    """Of a reader that was there all the time: it has seen what is stored, without a gap."""
    findings = []
    wanted = {(record.partition, record.offset): record.value for record in stored}
    places = {(record.partition, record.offset): record.value for record in seen}
    if len(places) != len(seen):
        findings.append(f"the reader saw {len(seen) - len(places)} records twice")
    for (partition, offset), value in wanted.items():
        if (partition, offset) not in places:
            findings.append(f"the reader never saw partition {partition}, offset {offset}")
        elif places[partition, offset] != value:
            findings.append(f"the reader saw another record at {partition}, {offset}")
    return findings


def check_returned(sure, read):
    """Of a topic that goes and comes back: each life has what was acknowledged in it, and nothing
    of an earlier one.

    `sure`: by generation the (partition, offset, value) handed over and acknowledged between the
    answer to its creation and the request of its deletion. `read`: by generation what a reader
    found that began after those and ended before the deletion.
    """
    findings = []
    home = {value: generation for generation, each in sure.items() for _, _, value in each}
    for generation, stored in read.items():
        places = {record.value: record for record in stored}
        for record in stored:
            owner = home.get(record.value, generation)
            if owner != generation or head(record.value)[0] > generation:
                findings.append(
                    f"life {generation} has {head(record.value)}, acknowledged in life {owner}"
                )
        for partition, offset, value in sure.get(generation, ()):
            found = places.get(value)
            if found is None:
                findings.append(f"life {generation} has lost {head(value)}, acknowledged in it")
            elif found.partition != partition or offset not in (-1, found.offset):
                findings.append(f"{head(value)} was acknowledged at {partition}, {offset}")
    return findings


def check_never_back(sure, seen):
    """Of a reader that stays over the lives of a topic: after a record of one life there is none of
    an earlier one in the same partition."""
    findings, newest = [], {}
    home = {value: generation for generation, each in sure.items() for _, _, value in each}
    for record in seen:
        generation = home.get(record.value)
        if generation is None:
            continue
        if generation < newest.get(record.partition, 0):
            findings.append(f"{head(record.value)} was read after life {newest[record.partition]}")
        newest[record.partition] = max(generation, newest.get(record.partition, 0))
    return findings


def broken(acknowledged, stored, sure, read):
    """Pairs of a name and what the checks say of records spoilt so: each must say something."""
    middle = len(stored) // 2
    lost = stored[:middle] + stored[middle + 1 :]
    doubled = [*stored, replace(stored[-1], offset=stored[-1].offset + 1)]
    swapped = [*stored[:-2], stored[-1], stored[-2]]
    yield "a gap", check_kept([], lost)
    yield "an acknowledged record lost", check_kept(acknowledged, stored[:-1])
    yield "a record twice", check_kept([], doubled)
    yield "two swapped", check_kept([], swapped)
    yield "a record that the reader missed", check_followed(lost, stored)
    first, last = min(sure), max(read)
    partition, offset, value = sure[first][0]
    stale = Stored(partition, offset, value)
    spoilt = {**read, last: [*read[last], stale]}
    yield "a record of an earlier life", check_returned(sure, spoilt)
    yield "a life that has lost its records", check_returned(sure, {**read, first: []})
    newest = [r for r in read[last] if r.partition == partition]
    yield "a reader that goes back", check_never_back(sure, [*newest, stale])
