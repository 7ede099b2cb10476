"""The kinds of overload. Each is a function that puts the broker under stress for a while, in
`bed.scale` of its full size, and leaves nothing open."""

import itertools
import multiprocessing
import queue
import random
import resource
import socket
import threading
import time
from pathlib import Path

import frames
from frames import Connection
from measure import MIB

# Of a topic whose records need not stay: little is kept, and what goes goes at once.
SHORT_LIVED = {
    "retention.bytes": 64 * MIB, "segment.bytes": 16 * MIB, "file.delete.delay.ms": 0,
}
DESCRIPTORS_LEFT = 400
CONNECTIONS_TOO_MANY = 1000
# A codec that a bomb's topic does not have, so that the broker must unpack it.
OTHER_CODEC = {"gzip": "lz4", "snappy": "lz4", "lz4": "zstd", "zstd": "lz4"}


def run_processes(target, arguments, seconds):
    """Processes that go on until they are told that the time is over; all must end well."""
    is_over = multiprocessing.Event()
    processes = [
        multiprocessing.Process(target=target, args=(*each, is_over), daemon=True)
        for each in arguments
    ]
    for process in processes:
        process.start()
    time.sleep(seconds)
    is_over.set()
    for process in processes:
        process.join(frames.TIMEOUT_S)
        assert process.exitcode == 0, f"a process of the load ended with {process.exitcode}"


def idle(bed):
    """10,000 connections that asked something once and are idle."""
    connections = []
    for _ in range(bed.scaled(10_000)):
        connection = Connection(bed.address)
        connection.send(frames.api_versions())
        connections.append(connection)
    for connection in connections:
        connection.receive()
    bed.note("connections", len(connections))
    bed.hold()
    for connection in connections:
        connection.close()


def fill(bed, topic, partition_count, size):
    """`size` bytes in each partition."""
    connection = Connection(bed.address)
    frames.create_topic(connection, topic, partition_count)
    records = frames.batch([random.randbytes(1000) for _ in range(900)])
    request = frames.produce(topic, {each: records for each in range(partition_count)})
    for _ in range(size // len(records)):
        assert set(frames.produce_errors(connection.ask(request)).values()) == {0}
    connection.close()


def readers(bed):
    """1,000 readers that ask for all there is, three times, and take nothing of it."""
    fill(bed, "unread", 4, bed.scaled(128 * MIB))
    connections = []
    request = frames.fetch("unread", range(4)) * 3
    for _ in range(bed.scaled(1_000)):
        connection = Connection(bed.address, receive_buffer=4096)
        connection.send(request)
        connections.append(connection)
    bed.note("readers", len(connections))
    bed.hold()
    for connection in connections:
        connection.close()


def half_open(bed):
    """500 requests of which a part comes and the rest does not."""
    whole = frames.produce("probe", {0: frames.batch([b"x" * (MIB - 200)])})
    connections = []
    for index in range(bed.scaled(500)):
        connection = Connection(bed.address)
        # Some stop in the size, some in the header, some within the records.
        connection.send(whole[: (2, 4, 10, 1000, 300_000)[index % 5]])
        connections.append(connection)
    bed.note("half requests", len(connections))
    # And promises of the largest request: a few of them are the whole budget.
    promise = (bed.request_size_max).to_bytes(4, "big")
    for _ in range(16):
        connection = Connection(bed.address)
        connection.send(promise + whole[4:1000])
        connections.append(connection)
    bed.note("promises of the largest request", 16)
    bed.hold()
    for connection in connections:
        connection.close()


def large(bed):
    """Requests of exactly `socket.request.max.bytes`, by several at a time, and one byte more."""
    connection = Connection(bed.address)
    frames.create_topic(connection, "large", 32, SHORT_LIVED)
    connection.close()
    over = Connection(bed.address)
    over.send((bed.request_size_max + 1).to_bytes(4, "big"))
    assert over.socket.recv(1) == b"", "a request that is too large was not refused"
    over.close()
    run_processes(send_large, [(bed.address, bed.request_size_max)] * 4, bed.seconds)


def send_large(address, size, is_over):
    records = frames.batch([b"x" * (MIB - 100)])
    count = size // len(records)
    assert count <= 32, "one partition for each batch"
    batches = {each: records for each in range(count)}
    missing = size + 4 - len(frames.produce("large", batches))
    # What is left is filled up by a batch with one record, whose size follows the value's.
    batches[count - 1] = grown(records, missing)
    request = frames.produce("large", batches)
    connection = Connection(address)
    while not is_over.is_set():
        errors = frames.produce_errors(connection.ask(request))
        wrong = {p: error for p, error in errors.items() if error != 0 and p != count - 1}
        assert not wrong, f"refused: {wrong}"
    connection.close()


def grown(records, missing):
    """The batch with `missing` bytes of rubbish behind it: it is refused, after it was read."""
    return records + bytes(missing)


def bombs(bed):
    """Batches that unpack to much more than they are, below and above what is allowed."""
    connection = Connection(bed.address)
    requests = []
    for codec in ("gzip", "snappy", "lz4", "zstd"):
        topic = f"bombs-{codec}"
        configs = {
            **SHORT_LIVED, "compression.type": OTHER_CODEC[codec], "max.message.bytes": 12 * MIB,
        }
        frames.create_topic(connection, topic, 1, configs)
        for size in (100 * MIB, 200 * MIB):
            bomb = frames.batch([bytes(size)], codec)
            bed.note(f"{codec} bomb of {size // MIB} MiB, bytes", len(bomb))
            requests.append(frames.produce(topic, {0: bomb}))
    connection.close()
    share = [requests[::2], requests[1::2]]
    run_processes(send_bombs, [(bed.address, each) for each in share], bed.seconds)


def send_bombs(address, requests, is_over):
    connection = Connection(address)
    for request in itertools.cycle(requests):
        if is_over.is_set():
            break
        # Whether it is taken or refused is not the question.
        connection.ask(request)
    connection.close()


def fast(bed):
    """Producers that do not wait for answers, faster than the disk, for 60 s."""
    connection = Connection(bed.address)
    frames.create_topic(connection, "fast", 8, SHORT_LIVED)
    connection.close()
    arguments = [(bed.address, acks, first) for acks in (0, 1) for first in (0, 4)]
    run_processes(send_fast, arguments, 60 * bed.scale if bed.is_long else bed.seconds)


def send_fast(address, acks, first, is_over):
    """As many requests as the broker takes; with acks=1 a second thread takes the answers."""
    connection = Connection(address)
    records = frames.batch([random.randbytes(1000) for _ in range(1000)])
    requests = [
        frames.produce("fast", {partition: records}, acks)
        for partition in range(first, first + 4)
    ]
    sent = queue.SimpleQueue()

    def take():
        while sent.get():
            connection.receive()

    taker = threading.Thread(target=take, daemon=True)
    taker.start()
    for request in itertools.cycle(requests):
        if is_over.is_set():
            break
        connection.send(request)
        if acks:
            sent.put(True)
    sent.put(False)
    taker.join(frames.TIMEOUT_S)
    assert not taker.is_alive(), "answers did not come"
    connection.close()


def descriptors(bed):
    """No descriptors are left, while segments are rolled, which needs some."""
    connection = Connection(bed.address)
    configs = {**SHORT_LIVED, "segment.bytes": MIB, "retention.bytes": 8 * MIB}
    frames.create_topic(connection, "rolling", 8, configs)
    pid = bed.pid
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    used = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (used + DESCRIPTORS_LEFT, limits[1]))
    host, _, port = bed.address.rpartition(":")
    waiting = []
    for _ in range(CONNECTIONS_TOO_MANY):
        # More than can be accepted: the rest waits in the kernel's queue.
        each = socket.socket()
        each.setblocking(False)
        each.connect_ex((host, int(port)))
        waiting.append(each)
    bed.note("descriptors left", DESCRIPTORS_LEFT)
    bed.note("connections asked for", len(waiting))
    try:
        refused = roll(bed, connection)
    finally:
        for each in waiting:
            each.close()
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
    bed.note("requests refused meanwhile", refused)
    roll_once = frames.produce_errors(connection.ask(rolling_request()))
    assert set(roll_once.values()) == {0}, f"with descriptors there again: {roll_once}"
    connection.close()


def rolling_request():
    """Half a segment for each partition."""
    records = frames.batch([random.randbytes(1000) for _ in range(500)])
    return frames.produce("rolling", {each: records for each in range(8)})


def roll(bed, connection):
    """Writes on a connection that was there before; the number of requests with an error."""
    request = rolling_request()
    refused = 0
    ends_at = time.monotonic() + bed.seconds
    while time.monotonic() < ends_at:
        errors = frames.produce_errors(connection.ask(request))
        refused += set(errors.values()) != {0}
    return refused


def partitions(bed):
    """Load on 2,000 partitions."""
    count = bed.scaled(2_000)
    connection = Connection(bed.address)
    for first in range(0, count, 500):
        frames.create_topic(connection, f"many-{first}", min(500, count - first), SHORT_LIVED)
    connection.close()
    bed.note("partitions", count)
    arguments = [(bed.address, first, min(500, count - first)) for first in range(0, count, 500)]
    run_processes(send_to_many, arguments, bed.seconds)


def send_to_many(address, first, count, is_over):
    connection = Connection(address)
    records = frames.batch([b"x" * 1000])
    requests = [
        frames.produce(
            f"many-{first}", {each: records for each in range(at, min(at + 50, count))}
        )
        for at in range(0, count, 50)
    ]
    for request in itertools.cycle(requests):
        if is_over.is_set():
            break
        assert set(frames.produce_errors(connection.ask(request)).values()) == {0}
    connection.close()


ALL = {
    "idle": idle, "readers": readers, "half_open": half_open, "large": large, "bombs": bombs,
    "fast": fast, "descriptors": descriptors, "partitions": partitions,
}
