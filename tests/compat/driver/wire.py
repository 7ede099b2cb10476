"""Just enough of Kafka's protocol to see a broker answer and to see the batches as they are stored.

No client shows how a record was stored; this reads the headers of the batches with a hand-made
Fetch request, so that a test sees the codec and the producer id.
"""

import socket
import struct
import time
from dataclasses import dataclass

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
TIMEOUT_S = 10
# A new topic's partitions are led by then, even on a machine that is busy with other things.
LED_TIMEOUT_S = 60
FETCH_SIZE_MAX = 50 << 20
API_FETCH, API_VERSIONS = 1, 18
FETCH_VERSION, API_VERSIONS_VERSION = 4, 0
# Attributes of a batch: the lowest three bits are the codec.
CODEC_MASK = 0x07


@dataclass(frozen=True)
class Batch:
    """The header of one stored batch."""

    base_offset: int
    codec: str
    producer_id: int
    record_count: int


class Refused(Exception):
    """The broker answered with an error code."""


def string(text):
    return struct.pack(">h", len(text)) + text.encode()


def split(address):
    host, _, port = address.rpartition(":")
    return host, int(port)


def receive(connection, size):
    content = b""
    while len(content) < size:
        piece = connection.recv(size - len(content))
        if not piece:
            raise ConnectionError("the broker closed the connection")
        content += piece
    return content


def ask(address, api, version, body, timeout=TIMEOUT_S):
    """Sends one request with a header of version 1, returns the response's body."""
    request = struct.pack(">hhi", api, version, 1) + string("compat") + body
    with socket.create_connection(split(address), timeout=timeout) as connection:
        connection.sendall(struct.pack(">i", len(request)) + request)
        (size,) = struct.unpack(">i", receive(connection, 4))
        response = receive(connection, size)
    assert response[:4] == struct.pack(">i", 1), "another correlation id"
    return response[4:]


def answers(address):
    """Whether a broker answers ApiVersions: an open port alone is not enough."""
    try:
        return ask(address, API_VERSIONS, API_VERSIONS_VERSION, b"", 2)[:2] == b"\0\0"
    except (OSError, struct.error):
        return False


def served(address):
    """The keys of the APIs that the broker advertises."""
    answer = ask(address, API_VERSIONS, API_VERSIONS_VERSION, b"")
    (count,) = struct.unpack_from(">i", answer, 2)
    return {struct.unpack_from(">h", answer, 6 + 6 * index)[0] for index in range(count)}


def wait_until_answers(address, seconds, alive=lambda: True):
    """Waits for the broker; False when the time is over or `alive` says that it ended."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and alive():
        if answers(address):
            return True
        time.sleep(0.01)
    return False


def batches(address, topic, partition):
    """The headers of all batches of a partition, from offset 0 on."""
    found = []
    offset = 0
    while True:
        stored = fetch(address, topic, partition, offset)
        if not stored:
            return found
        found += stored
        offset = stored[-1].base_offset + stored[-1].record_count


def wait_until_led(address, topic, partition):
    """Waits until a new partition answers a Fetch."""
    deadline = time.monotonic() + LED_TIMEOUT_S
    while True:
        try:
            fetch(address, topic, partition, 0)
            return
        except Refused:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def fetch(address, topic, partition, offset):
    body = struct.pack(">iiiib", -1, 0, 1, FETCH_SIZE_MAX, 0)
    body += struct.pack(">i", 1) + string(topic)
    body += struct.pack(">iiqi", 1, partition, offset, FETCH_SIZE_MAX)
    response = ask(address, API_FETCH, FETCH_VERSION, body)
    # throttle_time_ms, one topic, its name, one partition: index, error_code, high_watermark,
    # last_stable_offset, aborted transactions, records.
    place = 4 + 4 + 2 + len(topic.encode()) + 4
    _, error, _, _, aborted = struct.unpack_from(">ihqqi", response, place)
    if error != 0:
        raise Refused(f"Fetch of {topic}-{partition} at {offset}: error {error}")
    place += 26 + 16 * max(aborted, 0)
    (size,) = struct.unpack_from(">i", response, place)
    return parse(response[place + 4 : place + 4 + max(size, 0)])


def parse(records):
    """The batches in a Fetch response's records; an incomplete last one is left out."""
    found = []
    place = 0
    while place + 61 <= len(records):
        base_offset, length = struct.unpack_from(">qi", records, place)
        if place + 12 + length > len(records):
            break
        magic = records[place + 16]
        assert magic == 2, f"batch at {base_offset} has magic {magic}"
        (attributes,) = struct.unpack_from(">h", records, place + 21)
        (producer_id,) = struct.unpack_from(">q", records, place + 43)
        (count,) = struct.unpack_from(">i", records, place + 57)
        codec = CODECS[attributes & CODEC_MASK]
        found.append(Batch(base_offset, codec, producer_id, count))
        place += 12 + length
    return found
