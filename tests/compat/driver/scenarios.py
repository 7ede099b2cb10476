"""What is tried with every client. A scenario is a function that raises when something is wrong."""

import itertools
import json
import re
import tempfile
import time
from dataclasses import dataclass, replace
from typing import Callable

from driver import clients, process, wire
from driver.records import (
    Mismatch, Record, check, check_equal, compare, mixed, odd, odd_text, plain,
)

# acks, idempotent: idempotence needs acks=all.
ACKS = (("0", False), ("1", False), ("all", False), ("all", True))
MATRIX_COUNT = 120
BULK_COUNT = 10_000
BULK_PARTITION_COUNT = 4
TOPICS_GONE_TIMEOUT_S = 30
TOPICS_LISTED_TIMEOUT_S = 30
# Kafka's error codes.
OFFSET_OUT_OF_RANGE, UNKNOWN_TOPIC_OR_PARTITION, MESSAGE_TOO_LARGE = 1, 3, 10
INVALID_TOPIC, TOPIC_ALREADY_EXISTS, INVALID_PARTITIONS, INVALID_CONFIG = 17, 36, 37, 40
# Kafka's API keys.
DELETE_RECORDS, DESCRIBE_CONFIGS, ALTER_CONFIGS, DESCRIBE_LOG_DIRS = 21, 32, 33, 35
CREATE_PARTITIONS, INCREMENTAL_ALTER_CONFIGS = 37, 44
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
        self.served = wire.served(address)

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
        others = [r for r in (self.confluent, self.kcat) if r.name != writer.name]
        return [writer, *others] if writer.reads else others

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
        (codec, acks) for codec in writer.codecs for acks in ACKS
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
    writer.produce(topic, written, writer.codecs[-1], "all", True)
    bed.read_back(topic, written, bed.readers(writer))
    if not writer.reads:
        return
    last = [record for record in written if record.partition == 1]
    for start in (1, 1234, len(last) - 1):
        got = writer.consume(topic, {1: len(last) - start}, start)
        check_equal(got[0].offset, start, "first offset")
        compare(last[start:], got, writer.see)


def exchange(bed, writer, codec, reader):
    """10,000 records, odd ones among them, written by one client and read by another."""
    topic = bed.topic("exchange", BULK_PARTITION_COUNT)
    written = mixed(BULK_COUNT, BULK_PARTITION_COUNT)
    written = [record for record in written if writer.can_write(record)]
    writer.produce(topic, written, codec, "all", True)
    bed.read_back(topic, written, [reader])


def exchanges(bed, writer, quick):
    """Each codec with another reader, in turn; quick: the last codec only."""
    kinds = (
        clients.Aiokafka, clients.KafkaPython, clients.Rdkafka, clients.Franz, clients.Confluent,
    )
    others = [kind(bed.address) for kind in kinds if kind.name != writer.name]
    for index, codec in enumerate(writer.codecs):
        reader = others[(index + len(writer.name)) % len(others)]
        if not quick or codec == writer.codecs[-1]:
            name = f"10,000 odd ones, {codec}, read by {reader.name}"
            yield name, lambda c=codec, r=reader: exchange(bed, writer, c, r)


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
        "earliest": 0, "latest": 6,
        base - 1: 0, base: 0, base + 1: 1, base + 100: 1, base + 101: 4, base + 300: 4,
    }
    if client.knows_max_timestamp:
        wanted["max_timestamp"] = 4
    # Where no record is late enough: Kafka answers -1, some clients ask again for the end.
    wanted[base + 301] = 6 if client.shows_end else -1
    for at, offset in wanted.items():
        found = client.admin("offsets", topic=topic, at=at)
        check_equal(found, {"0": offset}, f"offset at {at}")
    if client.reads:
        got = client.consume(topic, {0: 2}, {"timestamp": base + 101})
        compare(written[4:], got, client.see)


def wait_until_listed(client, counts):
    """Waits until the topics have so many partitions: Kafka acknowledges a change before its broker
    knows of it."""
    deadline = time.monotonic() + TOPICS_LISTED_TIMEOUT_S
    while True:
        listed = client.admin("list")
        found = {name: listed.get(name) for name in counts}
        if found == counts:
            return
        if time.monotonic() > deadline:
            raise Mismatch(f"partitions listed: {found}, wanted {counts}")


def administration(bed, client):
    """Topics come, are listed, are refused for Kafka's reasons, go, and come back empty."""
    one, three = bed.name("one"), bed.name("three")
    both = {one: 1, three: 3}
    check_equal(client.admin("create", topics=both), {one: 0, three: 0}, "create")
    wait_until_listed(client, both)
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
    bed.read_back(one, plain(2, 1), bed.readers(client)[:1])
    cluster = client.admin("cluster")
    check(cluster["controller"] in cluster["brokers"], f"the controller is no broker: {cluster}")
    check(bool(cluster["cluster_id"]), "no cluster id")


def configs(bed, client):
    """A topic's configs are shown, changed, and refused where they are wrong."""
    topic = bed.topic("configs")
    changed = {"retention.ms": "123456", "cleanup.policy": "compact"}
    asked = {"topic": topic, "names": sorted(changed)}
    before = {"cleanup.policy": "delete", "retention.ms": "604800000"}
    check_equal(client.admin("configs", **asked), before, "configs before")
    done = client.admin("set_configs", topic=topic, configs=changed)
    check_equal(done, {"error": 0}, "changing configs")
    check_equal(client.admin("configs", **asked), changed, "configs after")
    for wrong in ({"retention.ms": "soon"}, {"no.such.key": "1"}):
        done = client.admin("set_configs", topic=topic, configs=wrong)
        if client.tells_config_errors:
            check_equal(done, {"error": INVALID_CONFIG}, f"setting {wrong}")
        check_equal(client.admin("configs", **asked), changed, f"configs after {wrong}")


def more_partitions(bed, client):
    """Partitions are added, and are there to be written; fewer are refused."""
    topic = bed.topic("grows")
    client.produce(topic, plain(2, 1))
    done = client.admin("add_partitions", topic=topic, count=3)
    check_equal(done, {"error": 0}, "adding partitions")
    wait_until_listed(client, {topic: 3})
    for partition in range(3):
        wire.wait_until_led(bed.address, topic, partition)
    written = [replace(record, partition=2) for record in plain(5, 1)]
    client.deliver(topic, written)
    bed.read_back(topic, [*plain(2, 1), *written], bed.readers(client)[:1])
    for count in (3, 1):
        done = client.admin("add_partitions", topic=topic, count=count)
        check_equal(done, {"error": INVALID_PARTITIONS}, f"{count} partitions")


def deleted_records(bed, client):
    """Records before an offset go; the earliest offset says so."""
    topic = bed.topic("records")
    client.produce(topic, plain(10, 1))
    done = client.admin("delete_records", topic=topic, offset=4)
    check_equal(done, {"low_watermark": 4}, "deleting records")
    check_equal(client.admin("offsets", topic=topic, at="earliest"), {"0": 4}, "earliest offset")
    check_equal(client.admin("offsets", topic=topic, at="latest"), {"0": 10}, "latest offset")
    for reader in bed.readers(client)[:1]:
        compare(plain(10, 1)[4:], reader.consume(topic, {0: 6}), reader.see)


def refusals(bed, client):
    """A record over message.max.bytes and an offset past the end have Kafka's errors."""
    topic = bed.topic("refusals")
    small = plain(1, 1)
    large = [Record(0, b"k", b"v" * 1_500_000)]
    delivered = client.deliver(topic, large, max_bytes=3_000_000)
    check_equal(delivered[0]["error"], MESSAGE_TOO_LARGE, "error of a record of 1.5 MB")
    if not client.reads:
        return
    client.produce(topic, small)
    bed.read_back(topic, small, [client])
    got = client.read(topic, {0: 1}, 1000)
    is_librdkafka = isinstance(client, (clients.Confluent, clients.Rdkafka))
    wanted = AUTO_OFFSET_RESET if is_librdkafka else OFFSET_OUT_OF_RANGE
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
    wait_until_listed(bed.confluent, {made: 3})
    check(made in java.tool("TopicCommand", *java.at(), "--list").split(), "not listed")
    java.tool(*command, "--delete")
    deadline = time.monotonic() + TOPICS_GONE_TIMEOUT_S
    while made in bed.confluent.admin("list"):
        check(time.monotonic() < deadline, "the deleted topic is still listed")


def java_configs(bed, java):
    """ConfigCommand: a topic's config is set, shown, refused and taken back."""
    topic = bed.topic("configs")
    command = ("kafka.admin.ConfigCommand", *java.at(), "--entity-type", "topics",
               "--entity-name", topic)
    said = java.core_tool(*command, "--alter", "--add-config", "retention.ms=123456")
    check(f"Completed updating config for topic {topic}" in said, f"it said {said}")
    shown = java.core_tool(*command, "--describe")
    check("retention.ms=123456" in shown, f"described as {shown}")
    try:
        java.core_tool(*command, "--alter", "--add-config", "retention.ms=soon")
    except process.ClientFailed as refused:
        check("InvalidConfigurationException" in str(refused), f"refused with {refused}")
    else:
        raise Mismatch("a bad value was accepted")
    java.core_tool(*command, "--alter", "--delete-config", "retention.ms")
    shown = java.core_tool(*command, "--describe")
    check("retention.ms" not in shown, f"described as {shown}")


def java_partitions(bed, java):
    """TopicCommand adds partitions and describes them."""
    topic = bed.topic("grows")
    command = ("TopicCommand", *java.at(), "--topic", topic)
    java.tool(*command, "--alter", "--partitions", 3)
    described = java.tool(*command, "--describe")
    check("PartitionCount: 3" in described, f"described as {described}")
    check(described.count("Leader: ") == 3, f"described as {described}")


def java_delete_records(bed, java):
    """DeleteRecordsCommand, and GetOffsetShell shows what is left."""
    topic = bed.topic("records")
    bed.confluent.produce(topic, plain(10, 1))
    wanted = {"version": 1, "partitions": [{"topic": topic, "partition": 0, "offset": 4}]}
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(wanted, file)
        file.flush()
        said = java.tool("DeleteRecordsCommand", *java.at(), "--offset-json-file", file.name)
    check(f"partition: {topic}-0\tlow_watermark: 4" in said, f"it said {said}")
    shown = java.tool("GetOffsetShell", *java.at(), "--topic-partitions", f"{topic}:0",
                      "--time", "earliest")
    check_equal(shown.strip(), f"{topic}:0:4", "earliest offset")


def java_log_dirs(bed, java):
    """LogDirsCommand shows the partition with the size of its log."""
    topic = bed.topic("dirs")
    bed.confluent.produce(topic, plain(10, 1))
    shown = java.tool("LogDirsCommand", *java.at(), "--describe", "--topic-list", topic)
    (line,) = [line for line in shown.splitlines() if line.startswith("{")]
    partitions = [
        partition for directory in json.loads(line)["brokers"][0]["logDirs"]
        for partition in directory["partitions"]
    ]
    check_equal([each["partition"] for each in partitions], [f"{topic}-0"], "partitions")
    check(partitions[0]["size"] > 0, f"a log without size: {line}")


def java_api_versions(bed, java):
    """BrokerApiVersionsCommand understands what is advertised."""
    shown = java.tool("BrokerApiVersionsCommand", *java.at())
    for api in ("Produce(0): 0 to 13 [usable: 13]", "Fetch(1): 4 to 18 [usable: 18]",
                "Metadata(3): 0 to 13 [usable: 13]", "ApiVersions(18): 0 to 4 [usable: 4]"):
        check(api in shown, f"no {api!r} in {shown}")


@dataclass(frozen=True)
class Scenario:
    """`needs`: the keys of APIs without which there is nothing to try; `group`: its row in the
    table of docs/clients.md."""

    name: str
    run: Callable[[], None]
    group: str
    needs: tuple[int, ...] = ()


def of_java(bed, java, quick):
    pairs = [("none", "all"), ("lz4", "1"), ("zstd", "0")]
    for codec, acks in pairs[: 1 if quick else None]:
        name = f"ProducerPerformance {codec} acks={acks}"
        act = lambda c=codec, a=acks: performance(bed, java, c, a)
        yield Scenario(name, act, "ProducerPerformance")
    tools = (
        ("TopicCommand, GetOffsetShell", java_tools, ()),
        ("BrokerApiVersionsCommand", java_api_versions, ()),
        ("ConfigCommand", java_configs, (DESCRIBE_CONFIGS, INCREMENTAL_ALTER_CONFIGS)),
        ("TopicCommand --alter, --describe", java_partitions,
         (CREATE_PARTITIONS, DESCRIBE_CONFIGS)),
        ("DeleteRecordsCommand", java_delete_records, (DELETE_RECORDS,)),
        ("LogDirsCommand", java_log_dirs, (DESCRIBE_LOG_DIRS,)),
    )
    for name, act, needs in tools:
        yield Scenario(name, lambda a=act: a(bed, java), name, needs)


def of(bed, client, quick):
    """The scenarios of one client."""
    for name, act in matrix(bed, client, quick):
        yield Scenario(name, act, "codecs and acks, read by several")
    contents_name = "nulls, headers, sizes to 900 KB"
    yield Scenario(contents_name, lambda: contents(bed, client), contents_name)
    if isinstance(client, clients.Java):
        yield from of_java(bed, client, quick)
        return
    common = [
        ("10,000 records, offsets in batches", bulk), ("topic made by writing", auto_creation),
    ]
    if client.reads:
        common.append(("long poll at the end", long_poll))
    for name, act in common:
        yield Scenario(name, lambda a=act: a(bed, client), name)
    for name, act in exchanges(bed, client, quick):
        yield Scenario(name, act, "10,000 odd records, read by another")
    if isinstance(client, clients.Kcat):
        name = "-L, -Q, s@time, -e, keys"
        yield Scenario(name, lambda: kcat_modes(bed, client), name)
        return
    programs = (
        ("offsets by place and time", offsets, ()),
        ("topics: create, list, delete", administration, ()),
        ("refusals", refusals, ()),
        ("configs: show, change, refuse", configs, (DESCRIBE_CONFIGS, client.alters_with)),
        ("partitions added", more_partitions, (CREATE_PARTITIONS,)),
        ("records deleted", deleted_records, (DELETE_RECORDS,)),
    )
    for name, act, needs in programs:
        yield Scenario(name, lambda a=act: a(bed, client), name, needs)
