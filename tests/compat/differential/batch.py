"""Record batches, whole and spoilt, and what is seen of those that come back."""

import gzip
import struct
import time
import zlib

from kafka.codec import (
    gzip_encode, lz4_decode, lz4_encode, snappy_decode, snappy_encode, zstd_decode, zstd_encode,
)

NONE, GZIP, SNAPPY, LZ4, ZSTD = range(5)
CODECS = {
    GZIP: (gzip_encode, gzip.decompress), SNAPPY: (snappy_encode, snappy_decode),
    LZ4: (lz4_encode, lz4_decode), ZSTD: (zstd_encode, zstd_decode),
}
TRANSACTIONAL, CONTROL = 0x10, 0x20
HEADER = struct.Struct(">qiibIhiqqqhii")
# Of the fields before the CRC, and of those that it covers.
BEFORE_CRC, CRC_END = 17, 21
# All times of a run are told relative to this one, milliseconds.
NOW = int(time.time() * 1000)
HOUR_MS = 3_600_000


def crc_table():
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


CRC_TABLE = crc_table()


def crc32c(content):
    crc = 0xFFFFFFFF
    for byte in content:
        crc = CRC_TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def varint(number):
    """A signed one, zigzag."""
    number = number << 1 ^ number >> 63
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def sized(content):
    return varint(-1) if content is None else varint(len(content)) + content


def record(delta, key, value, headers=(), time_delta=0):
    body = b"\0" + varint(time_delta) + varint(delta) + sized(key) + sized(value)
    body += varint(len(headers))
    for name, content in headers:
        body += sized(name) + sized(content)
    return varint(len(body)) + body


PLAIN = ((b"key", b"value"),)


def batch(
    records=PLAIN, *, base_offset=0, magic=2, codec=NONE, attributes=0, at=None, deltas=None,
    producer=(-1, -1, -1), count=None, last_delta=None, leader_epoch=-1, bad_crc=False,
    payload=None, time_deltas=None,
):
    """One batch of the records, pairs of key and value. `at` is its time, `producer` id, epoch and
    base sequence; `payload` stands instead of the records' bytes, `deltas` instead of 0, 1, 2...
    """
    at = NOW if at is None else at
    n = len(records)
    deltas = range(n) if deltas is None else deltas
    time_deltas = [0] * n if time_deltas is None else time_deltas
    content = b"".join(
        record(delta, key, value, headers[0] if headers else (), time_delta)
        for delta, (key, value, *headers), time_delta in zip(deltas, records, time_deltas)
    )
    if codec in CODECS:
        content = CODECS[codec][0](content)
    content = content if payload is None else payload
    producer_id, epoch, sequence = producer
    covered = struct.pack(
        ">hiqqqhii", attributes | codec, n - 1 if last_delta is None else last_delta, at,
        at + max(time_deltas, default=0), producer_id, epoch, sequence,
        n if count is None else count,
    )
    covered += content
    crc = crc32c(covered) ^ bad_crc
    size = 4 + 1 + 4 + len(covered)
    return struct.pack(">qiibI", base_offset, size, leader_epoch, magic, crc) + covered


def old_message(magic, key=b"key", value=b"value"):
    """One message of the formats before batches: magic 0 or 1."""
    body = struct.pack(">bb", magic, 0)
    if magic == 1:
        body += struct.pack(">q", NOW)
    for content in (key, value):
        body += struct.pack(">i", len(content)) + content
    body = struct.pack(">I", zlib.crc32(body)) + body
    return struct.pack(">qi", 0, len(body)) + body


def seen(content):
    """What a Fetch brought: one dict a batch, times relative to NOW. The rest of a batch that was
    cut off is left out."""
    batches = []
    place = 0
    while content and place + HEADER.size <= len(content):
        (base_offset, size, leader_epoch, magic, crc, attributes, last_delta, first, latest,
         producer_id, epoch, sequence, count) = HEADER.unpack_from(content, place)
        end = place + 12 + size
        if end > len(content):
            break
        body = content[place + HEADER.size : end]
        codec = attributes & 7
        decompress = CODECS[codec][1] if codec in CODECS else bytes
        batches.append({
            "base_offset": base_offset, "leader_epoch": leader_epoch, "magic": magic,
            "attributes": attributes, "last_offset_delta": last_delta,
            "first_time": relative(first), "max_time": relative(latest),
            "has_producer": producer_id >= 0,
            "producer_epoch": epoch, "base_sequence": sequence, "count": count,
            "crc_is_right": crc == crc32c(content[place + CRC_END : end]),
            "records": decompress(body).hex(),
        })
        place = end
    return batches


def relative(at):
    """A time for the recording. Rows write at NOW, before it, or more than half an hour later: what
    lies between is the broker's own clock."""
    if at < NOW - 1000 * HOUR_MS:
        return at
    if NOW < at < NOW + HOUR_MS / 2:
        return "during the run"
    return f"NOW {at - NOW:+}"
