"""Frames of Kafka's protocol, and plain connections that carry them. Batches come from aiokafka,
whose builder and CRC are compiled."""

import socket
import struct
import time

from aiokafka.record.default_records import DefaultRecordBatchBuilder

CLIENT_ID = b"stress"
TIMEOUT_S = 60
PRODUCE, FETCH, API_VERSIONS, CREATE_TOPICS = 0, 1, 18, 19
CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
# Bytes that the builder may gather: it wants to know.
BATCH_SIZE_MAX = 1 << 30


def text(content):
    return struct.pack(">h", len(content)) + content.encode()


def frame(api, version, body, correlation_id=1):
    """A request with its size prefix and a header of version 1."""
    header = struct.pack(">hhi", api, version, correlation_id)
    request = header + struct.pack(">h", len(CLIENT_ID)) + CLIENT_ID + body
    return struct.pack(">i", len(request)) + request


def batch(values, codec="none"):
    """A record batch of these values, by no producer in particular."""
    builder = DefaultRecordBatchBuilder(
        magic=2, compression_type=CODECS[codec], is_transactional=0, producer_id=-1,
        producer_epoch=-1, base_sequence=-1, batch_size=BATCH_SIZE_MAX,
    )
    now = int(time.time() * 1000)
    for index, value in enumerate(values):
        builder.append(index, timestamp=now, key=None, value=value, headers=[])
    return bytes(builder.build())


def produce(topic, batches, acks=-1):
    """Produce version 7: `batches` by partition."""
    body = struct.pack(">hhi", -1, acks, 30_000) + struct.pack(">i", 1) + text(topic)
    body += struct.pack(">i", len(batches))
    for partition, records in batches.items():
        body += struct.pack(">ii", partition, len(records)) + records
    return frame(PRODUCE, 7, body)


def produce_errors(answer):
    """The error code by partition of an answer to `produce`."""
    place = 4 + 4
    (size,) = struct.unpack_from(">h", answer, place)
    place += 2 + size
    (count,) = struct.unpack_from(">i", answer, place)
    rows = (struct.unpack_from(">ih", answer, place + 4 + 30 * at) for at in range(count))
    return dict(rows)


def fetch(topic, partitions, offset=0, size_max=50 << 20, wait_ms=500):
    """Fetch version 4 of these partitions."""
    body = struct.pack(">iiiib", -1, wait_ms, 1, size_max, 0) + struct.pack(">i", 1) + text(topic)
    body += struct.pack(">i", len(partitions))
    for partition in partitions:
        body += struct.pack(">iqi", partition, offset, size_max)
    return frame(FETCH, 4, body)


def api_versions():
    return frame(API_VERSIONS, 0, b"")


def create_topic(connection, topic, partition_count, configs=None):
    """CreateTopics version 4."""
    body = struct.pack(">i", 1) + text(topic) + struct.pack(">ihi", partition_count, 1, 0)
    configs = configs or {}
    body += struct.pack(">i", len(configs))
    for key, value in configs.items():
        body += text(key) + text(str(value))
    body += struct.pack(">ib", 60_000, 0)
    answer = connection.ask(frame(CREATE_TOPICS, 4, body))
    place = 4 + 4 + 4 + 2 + len(topic)
    (error,) = struct.unpack_from(">h", answer, place)
    assert error == 0, f"CreateTopics of {topic}: error {error}"


class Closed(ConnectionError):
    """The broker closed the connection."""


class Connection:
    """A blocking connection."""

    def __init__(self, address, receive_buffer=None, timeout=TIMEOUT_S):
        host, _, port = address.rpartition(":")
        self.socket = socket.socket()
        self.socket.settimeout(timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.connect((host, int(port)))

    def send(self, content):
        self.socket.sendall(content)

    def receive(self):
        """One answer, without its size prefix."""
        (size,) = struct.unpack(">i", self.exactly(4))
        return self.exactly(size)

    def exactly(self, size):
        content = bytearray(size)
        view = memoryview(content)
        while view:
            count = self.socket.recv_into(view)
            if count == 0:
                raise Closed("the broker closed the connection")
            view = view[count:]
        return bytes(content)

    def ask(self, request):
        self.send(request)
        return self.receive()

    def close(self):
        self.socket.close()
