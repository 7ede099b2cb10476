"""What is tried with every client. A scenario is a function that raises when something is wrong."""

import itertools
import re
import time
from dataclasses import replace

from driver import clients, process, wire
from driver.records import Mismatch, Record, check, check_equal, compare, odd, odd_text, plain

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
# acks, idempotent: idempotence needs acks=all.
ACKS = (("0", False), ("1", False), ("all", False), ("all", True))
MATRIX_COUNT = 120
BULK_COUNT = 10_000
BULK_PARTITION_COUNT = 4
TOPICS_GONE_TIMEOUT_S = 30
# Kafka's error codes.
OFFSET_OUT_OF_RANGE, UNKNOWN_TOPIC_OR_PARTITION, MESSAGE_TOO_LARGE = 1, 3, 10
INVALID_TOPIC, TOPIC_ALREADY_EXISTS = 17, 36
# librdkafka's own: it was told to fail instead of going elsewhere.
AUTO_OFFSET_RESET = -140
# Below so many records a client may find that compressing a batch does not pay.
WORTH_COMPRESSING_COUNT = 10


class Bed:
    """The broker under test and the clients that write to it and read from it."""

    def __init__(self, address, run_id):
        self.address = address
        self.run_id = run_id
        self.numbers = itertools.count()
        self.confluent = clients.Confluent(address)
        self.kcat = clients.Kcat(address)

    def name(self, word):
        return f"compat-{self.run_id}-{next(self.numbers)}-{word}"

    def topics(self, words, partition_count):
        """Creates a topic for each word and gives the names.

        Kafka acknowledges a creation before its broker leads the partitions, and acks=0 is not
        retried: so each is asked first.
        """
        names = [self.name(word) for word in words]
        created = self.confluent.admin("create", topics=dict.fromkeys(names, partition_count))
        check_equal(created, dict.fromkeys(names, 0), "creating topics")
        for name, partition in itertools.product(names, range(partition_count)):
            wire.wait_until_led(self.address, name, partition)
        return names

    def topic(self, word, partition_count=1):
        return self.topics([word], partition_count)[0]

    def readers(self, writer):
        """Who reads back: the writer itself, confluent-kafka, kcat."""
        return [writer] + [r for r in (self.confluent, self.kcat) if r.name != writer.name]

    def read_back(self, topic, written, readers):
        counts = {}
        for record in written:
            counts[record.partition] = counts.get(record.partition, 0) + 1
        for reader in readers:
            try:
                compare(written, reader.consume(topic, counts), reader.see)
            except (AssertionError, process.ClientFailed) as failed:
                raise Mismatch(f"read by {reader.name}: {failed}") from failed


def check_stored(bed, topic, partition_count, codec, idempotent):
    """The batches as they are stored: the codec asked for, a producer id only if idempotent."""
    for partition in range(partition_count):
        stored = wire.batches(bed.address, topic, partition)
        found = {batch.codec for batch in stored}
        check(found <= {codec, "none"} and codec in found, f"stored with {found}, not {codec}")
        for batch in stored:
            check(
                batch.codec == codec or batch.record_count < WORTH_COMPRESSING_COUNT,
                f"a batch of {batch.record_count} records is not compressed",
            )
            check_equal(batch.producer_id >= 0, idempotent, "batch with a producer id")


def combination(bed, writer, topic, codec, acks, idempotent):
    written = plain(MATRIX_COUNT, writer.partition_count)
    writer.produce(topic, written, codec, acks, idempotent)
    readers = bed.readers(writer)
    if writer.slow and not idempotent:
        readers = readers[1:]
    bed.read_back(topic, written, readers)
    check_stored(bed, topic, writer.partition_count, codec, idempotent)


def matrix(bed, writer, quick):
    """Every codec with every acks, idempotent or not."""
    pairs = [
        (codec, acks) for codec in CODECS for acks in ACKS
        if not quick or codec == "none" or acks == ("all", True)
    ]
    label = lambda codec, acks: f"{codec} acks={acks[0]}{' idempotent' if acks[1] else ''}"
    words = [re.sub("[^a-z0-9]+", "-", label(*pair)) for pair in pairs]
    topics = bed.topics(words, writer.partition_count)
    for topic, (codec, acks) in zip(topics, pairs):
        yield label(codec, acks), lambda t=topic, c=codec, a=acks: combination(
            bed, writer, t, c, *a
        )


def contents(bed, writer):
    """Nulls, empties, binary, headers, sizes up to 900 KB, times: kept byte for byte."""
    topic = bed.topic("contents", writer.partition_count)
    written = [record for record in odd(writer.partition_count) if writer.can_write(record)]
    if isinstance(writer, clients.Java):
        written = [record for record in odd_text() if writer.can_write(record)]
    check(len(written) >= 5, f"only {len(written)} records to write")
    writer.produce(topic, written, "none", "all", True)
    bed.read_back(topic, written, bed.readers(writer))


def bulk(bed, writer):
    """10,000 records, then reading from offsets inside batches."""
    topic = bed.topic("bulk", BULK_PARTITION_COUNT)
    written = plain(BULK_COUNT, BULK_PARTITION_COUNT, 300)
    writer.produce(topic, written, "zstd", "all", True)
    bed.read_back(topic, written, bed.readers(writer))
    last = [record for record in written if record.partition == 1]
    for start in (1, 1234, len(last) - 1):
        got = writer.consume(topic, {1: len(last) - start}, start)
        check_equal(got[0].offset, start, "first offset")
        compare(last[start:], got, writer.see)


def long_poll(bed, client):
    """A consumer at the end of the log gets what is written after it began to wait."""
    topic = bed.topic("long-poll")
    first, second = plain(2, 1)
    bed.confluent.produce(topic, [first])
    waiting = client.wait_at(topic, 1, 1)
    try:
        bed.confluent.deliver(topic, [second])
        compare([second], client.waited_for(waiting), client.see)
    finally:
        waiting.close()


def auto_creation(bed, writer):
    """Writing to a topic that is not there makes it."""
    topic = bed.name("auto")
    written = [replace(record, partition=0) for record in plain(3, 1)]
    writer.produce(topic, written, "none", "all", False)
    bed.read_back(topic, written, [bed.confluent])
    check(topic in bed.confluent.admin("list"), "the topic is not listed")


def by_time(bed):
    """A topic whose times go up and down: (topic, records, base time)."""
    base = int(time.time() * 1000) - 3_600_000
    times = [base + shift for shift in (0, 100, 100, 50, 300, 200)]
    topic = bed.topic("times")
    written = [Record(0, b"k", str(t).encode(), (), t) for t in times]
    for record in written:
        bed.confluent.deliver(topic, [record])
    return topic, written, base


def offsets(bed, client):
    """Offsets by place and by time, and consuming from a time."""
    topic, written, base = by_time(bed)
    wanted = {
        "earliest": 0, "latest": 6, "max_timestamp": 4,
        base - 1: 0, base: 0, base + 1: 1, base + 100: 1, base + 101: 4, base + 300: 4,
    }
    # Where no record is late enough: Kafka answers -1, kadm asks again for the end.
    wanted[base + 301] = 6 if isinstance(client, clients.Franz) else -1
    for at, offset in wanted.items():
        found = client.admin("offsets", topic=topic, at=at)
        check_equal(found, {"0": offset}, f"offset at {at}")
    got = client.consume(topic, {0: 2}, {"timestamp": base + 101})
    compare(written[4:], got, client.see)


def administration(bed, client):
    """Topics come, are listed, are refused for Kafka's reasons, go, and come back empty."""
    one, three = bed.name("one"), bed.name("three")
    both = {one: 1, three: 3}
    check_equal(client.admin("create", topics=both), {one: 0, three: 0}, "create")
    listed = client.admin("list")
    check_equal({name: listed.get(name) for name in both}, both, "partitions listed")
    again = client.admin("create", topics={one: 1, "not/legal": 1})
    check_equal(again, {one: TOPIC_ALREADY_EXISTS, "not/legal": INVALID_TOPIC}, "refusals")
    client.produce(one, plain(5, 1))
    check_equal(client.admin("delete", topics=both), {one: 0, three: 0}, "delete")
    deadline = time.monotonic() + TOPICS_GONE_TIMEOUT_S
    while set(client.admin("list")) & set(both):
        check(time.monotonic() < deadline, "deleted topics are still listed")
    gone = client.admin("delete", topics={one: 1})
    check_equal(gone, {one: UNKNOWN_TOPIC_OR_PARTITION}, "delete again")
    check_equal(client.admin("create", topics={one: 1}), {one: 0}, "create again")
    client.produce(one, plain(2, 1))
    bed.read_back(one, plain(2, 1), [client])
    cluster = client.admin("cluster")
    check(cluster["controller"] in cluster["brokers"], f"the controller is no broker: {cluster}")
    check(bool(cluster["cluster_id"]), "no cluster id")


def refusals(bed, client):
    """A record over message.max.bytes and an offset past the end have Kafka's errors."""
    topic = bed.topic("refusals")
    small = plain(1, 1)
    large = [Record(0, b"k", b"v" * 1_500_000)]
    delivered = client.deliver(topic, large, max_bytes=3_000_000)
    check_equal(delivered[0]["error"], MESSAGE_TOO_LARGE, "error of a record of 1.5 MB")
    client.produce(topic, small)
    bed.read_back(topic, small, [client])
    got = client.read(topic, {0: 1}, 1000)
    is_confluent = isinstance(client, clients.Confluent)
    wanted = AUTO_OFFSET_RESET if is_confluent else OFFSET_OUT_OF_RANGE
    check_equal([a for a in got if "waiting" not in a], [{"error": wanted}], "reading at 1000")


def kcat_modes(bed, kcat):
    """kcat's own ways: -L, -Q, from a time, the last records, until the end, keys by partition."""
    topic, written, base = by_time(bed)
    listed = process.run(["kcat", "-b", bed.address, "-L", "-t", topic]).decode()
    check(f'topic "{topic}" with 1 partitions' in listed, f"-L: {listed}")
    for at, offset in ((base + 101, 4), (-2, 0), (-1, 6)):
        query = ["kcat", "-b", bed.address, "-Q", "-t", f"{topic}:0:{at}"]
        answer = process.run(query).decode()
        check_equal(answer.strip(), f"{topic} [0] offset {offset}", f"-Q at {at}")
    for start, first in (({"timestamp": base + 101}, 4), (-2, 4), (3, 3)):
        command = kcat.consume_command(topic, start, "-p", 0, "-e")
        compare(written[first:], kcat.parse(process.run(command)), kcat.see)
    keyed = bed.topic("keyed", 3)
    lines = "".join(f"key-{index % 10}:{index}\n" for index in range(200)).encode()
    process.run(["kcat", "-b", bed.address, "-P", "-t", keyed, "-K", ":"], lines)
    got = kcat.parse(process.run(kcat.consume_command(keyed, "earliest", "-e")))
    check_equal(sorted(int(r.value) for r in got), list(range(200)), "values")
    homes = {(r.key, r.partition) for r in got}
    check_equal(len(homes), 10, "a key lives in one partition: keys with their partitions")


def performance(bed, java, codec, acks):
    """ProducerPerformance: every number it says it sent is there, once and in order."""
    topic = bed.topic("performance")
    said = java.tool(
        "ProducerPerformance", "--topic", topic, "--num-records", 20_000, "--throughput", -1,
        "--payload-monotonic", "--producer-props", f"bootstrap.servers={bed.address}",
        f"acks={acks}", f"compression.type={codec}",
    )
    check("20000 records sent" in said, f"it said {said}")
    got = bed.confluent.consume(topic, {0: 20_000})
    check_equal([int(record.value) for record in got], list(range(20_000)), "numbers")
    check_stored(bed, topic, 1, codec, acks == "all")


def java_tools(bed, java):
    """TopicCommand and GetOffsetShell."""
    topic, _, base = by_time(bed)
    for at, offset in (("earliest", 0), ("latest", 6), ("max-timestamp", 4), (base + 101, 4)):
        shown = java.tool(
            "GetOffsetShell", *java.at(), "--topic-partitions", f"{topic}:0", "--time", at
        )
        check_equal(shown.strip(), f"{topic}:0:{offset}", f"GetOffsetShell at {at}")
    made = bed.name("made")
    command = ("TopicCommand", *java.at(), "--topic", made)
    check_equal(java.tool(*command, "--create", "--partitions", 3).strip(),
                f"Created topic {made}.", "create")
    check_equal(bed.confluent.admin("list").get(made), 3, "partitions")
    check(made in java.tool("TopicCommand", *java.at(), "--list").split(), "not listed")
    java.tool(*command, "--delete")
    deadline = time.monotonic() + TOPICS_GONE_TIMEOUT_S
    while made in bed.confluent.admin("list"):
        check(time.monotonic() < deadline, "the deleted topic is still listed")


def of(bed, client, quick):
    """The scenarios of one client: pairs of a name and a function."""
    yield from matrix(bed, client, quick)
    yield "nulls, headers, sizes to 900 KB", lambda: contents(bed, client)
    if isinstance(client, clients.Java):
        pairs = [("none", "all"), ("lz4", "1"), ("zstd", "0")]
        for codec, acks in pairs[: 1 if quick else None]:
            name = f"ProducerPerformance {codec} acks={acks}"
            yield name, lambda c=codec, a=acks: performance(bed, client, c, a)
        yield "TopicCommand, GetOffsetShell", lambda: java_tools(bed, client)
        return
    yield "10,000 records, offsets in batches", lambda: bulk(bed, client)
    yield "long poll at the end", lambda: long_poll(bed, client)
    yield "topic made by writing", lambda: auto_creation(bed, client)
    if isinstance(client, clients.Kcat):
        yield "-L, -Q, s@time, -e, keys", lambda: kcat_modes(bed, client)
        return
    yield "offsets by place and time", lambda: offsets(bed, client)
    yield "topics: create, list, delete", lambda: administration(bed, client)
    yield "refusals", lambda: refusals(bed, client)
