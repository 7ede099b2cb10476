"""The foreign clients behind one face: produce, consume by assignment, and what each shows."""

import base64
import json
import re
from itertools import groupby
from pathlib import Path

from driver import process
from driver.broker import ROOT
from driver.records import Record

TOOLS = ROOT / "target" / "compat"
HERE = Path(__file__).resolve().parents[1]
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
# Not in any record that kcat writes.
RECORD_END, KEY_END = b"<<end-of-record-6b0d>>", b"<<end-of-key-6b0d>>"
# Not in any record that the Java tools show.
FIELD, LINE = "\x1f", "\x1e\n"
NULL = "(null)"


class Client:
    """What the scenarios know of a client."""

    name = ""
    # The partitions of the topics that it fills.
    partition_count = 3
    # A client that starts slowly reads back one combination of a codec, not all four.
    slow = False
    # A client that can read by assignment, without a group.
    reads = True
    codecs = CODECS
    # AlterConfigs, or IncrementalAlterConfigs.
    alters_with = 44
    # Whether it can ask for the offset of the latest time.
    knows_max_timestamp = True
    # Whether it says that a config was refused.
    tells_config_errors = True
    # A client that shows the end where no record is late enough; the others say -1.
    shows_end = False

    def __init__(self, address):
        self.address = address

    def can_write(self, record):
        return True

    def see(self, record):
        """What this client shows of a record when it reads it."""
        return record.partition, record.key, record.value, record.headers, record.timestamp


def encode(content):
    return None if content is None else base64.b64encode(content).decode()


def decode(text):
    return None if text is None else base64.b64decode(text)


class JsonLines(Client):
    """A client with a program of ours around it, which speaks JSON lines (docs/clients.md)."""

    def command(self):
        raise NotImplementedError

    def version(self):
        return process.run([*self.command(), "version"]).decode().strip()

    def call(self, verb, options, rest=()):
        given = process.lines([{"bootstrap": self.address, **options}, *rest])
        answer = process.run([*self.command(), verb], given)
        return [json.loads(line) for line in answer.splitlines()]

    def deliver(self, topic, records, codec="none", acks="all", idempotent=False, max_bytes=0):
        """What became of each record: partition, offset, error code."""
        options = {
            "topic": topic, "codec": codec, "acks": acks, "idempotent": idempotent,
            "max_bytes": max_bytes,
        }
        given = [
            {
                "p": record.partition, "k": encode(record.key), "v": encode(record.value),
                "h": [[name, encode(value)] for name, value in record.headers],
                "t": record.timestamp or 0,
            }
            for record in records
        ]
        return self.call("produce", options, given)

    def produce(self, topic, records, codec="none", acks="all", idempotent=False):
        next_offsets = {}
        deliveries = self.deliver(topic, records, codec, acks, idempotent)
        for record, delivery in zip(records, deliveries, strict=True):
            assert delivery["error"] == 0, f"{record.key!r} was not delivered: {delivery}"
            wanted = next_offsets.get(record.partition, 0)
            next_offsets[record.partition] = wanted + 1
            if acks != "0":
                assert (delivery["p"], delivery["o"]) == (record.partition, wanted), (
                    f"acknowledged as {delivery}, wanted offset {wanted}"
                )

    def consume_options(self, topic, counts, start):
        ranges = {partition: {"start": start, "count": n} for partition, n in counts.items()}
        return {"topic": topic, "partitions": ranges}

    def read(self, topic, counts, start="earliest"):
        """Everything that consuming printed, errors included."""
        return self.call("consume", self.consume_options(topic, counts, start))

    def consume(self, topic, counts, start="earliest"):
        return self.records(self.read(topic, counts, start))

    def records(self, answers):
        records = []
        for answer in answers:
            assert "error" not in answer, f"consuming failed: {answer}"
            if "waiting" not in answer:
                headers = tuple((name, decode(value)) for name, value in answer["h"])
                records.append(Record(
                    answer["p"], decode(answer["k"]), decode(answer["v"]), headers,
                    answer["t"], answer["o"],
                ))
        return records

    def wait_at(self, topic, offset, count):
        """A consumer that found nothing at `offset` and waits for `count` records."""
        options = self.consume_options(topic, {0: count}, offset)
        given = process.lines([{"bootstrap": self.address, **options}])
        waiting = process.Waiting([*self.command(), "consume"], given)
        waiting.until("stdout", b"waiting")
        return waiting

    def waited_for(self, waiting):
        return self.records(json.loads(line) for line in waiting.rest().splitlines())

    def admin(self, operation, **options):
        return self.call("admin", {"op": operation, **options})[0]


class Confluent(JsonLines):
    name = "confluent-kafka"

    def command(self):
        return TOOLS / "venv" / "bin" / "python", HERE / "confluent" / "client.py"


class KafkaPython(JsonLines):
    name = "kafka-python"

    def command(self):
        return TOOLS / "venv" / "bin" / "python", HERE / "kafka_python" / "client.py"

    def can_write(self, record):
        """It refuses records with nothing in them, and null headers."""
        nothing = record.key is None and record.value is None
        return not nothing and all(value is not None for _, value in record.headers)


class Aiokafka(JsonLines):
    name = "aiokafka"
    alters_with = 33
    knows_max_timestamp = False

    def command(self):
        return TOOLS / "venv" / "bin" / "python", HERE / "aiokafka" / "client.py"

    def can_write(self, record):
        """It refuses records with nothing in them."""
        return record.key is not None or record.value is not None


class KafkaJs(JsonLines):
    """It reads in groups only: it writes and administrates. Its codecs for lz4 and zstd are native
    modules."""

    name = "kafkajs"
    reads = False
    codecs = ("none", "gzip", "snappy")
    alters_with = 33
    knows_max_timestamp = False
    shows_end = True

    def command(self):
        return "node", TOOLS / "kafkajs" / "client.js"

    def can_write(self, record):
        """It refuses null headers."""
        return all(value is not None for _, value in record.headers)


class Rdkafka(JsonLines):
    name = "rdkafka"
    alters_with = 33
    tells_config_errors = False
    knows_max_timestamp = False

    def command(self):
        return (TOOLS / "rdkafka",)


class Franz(JsonLines):
    name = "franz-go"
    shows_end = True

    def command(self):
        return (TOOLS / "franz",)


class Kcat(Client):
    name = "kcat"

    def version(self):
        said = process.run(["kcat", "-V"]).decode()
        kcat, librdkafka = re.search(r"Version (\S+) .*librdkafka (\S+)", said).groups()
        return f"{kcat} (librdkafka {librdkafka})"

    def can_write(self, record):
        """Headers come from the command line, and a time cannot be given."""
        return record.timestamp is None and all(b"\0" not in (v or b"") for _, v in record.headers)

    def produce(self, topic, records, codec="none", acks="all", idempotent=False):
        """One process for each run of records that one command line can describe.

        Only the order within a partition counts, so partitions go one after the other.
        """

        def described(record):
            # -Z makes every empty key and value null: such records go by themselves.
            return record.partition, record.headers, None in (record.key, record.value)

        for (partition, headers, nulls), run in groupby(sorted(records, key=lambda r: r.partition), described):
            command = [
                "kcat", "-P", "-b", self.address, "-t", topic, "-p", partition, "-z", codec,
                "-X", f"acks={acks}", "-X", f"enable.idempotence={str(idempotent).lower()}",
                "-D", RECORD_END.decode(), "-K", KEY_END.decode(),
            ]
            for name, value in headers:
                given = None if value is None else value.decode(errors="surrogateescape")
                command += ["-H", name if given is None else f"{name}={given}"]
            if nulls:
                command.append("-Z")
            content = [(r.key or b"") + KEY_END + (r.value or b"") for r in run]
            process.run(command, RECORD_END.join(content))

    def consume_command(self, topic, start, *more):
        at = "beginning" if start == "earliest" else start
        if isinstance(start, dict):
            at = f"s@{start['timestamp']}"
        shown = "%p %o %T %K %S %k%s%h\x1e\n"
        return [
            "kcat", "-C", "-q", "-b", self.address, "-t", topic, "-o", at, "-f", shown,
            "-X", "check.crcs=true", *more,
        ]

    def consume(self, topic, counts, start="earliest"):
        """Without -p kcat assigns itself all partitions of the topic."""
        more = ["-c", sum(counts.values())]
        if len(counts) == 1:
            more += ["-p", *counts]
        return self.parse(process.run(self.consume_command(topic, start, *more)))

    def parse(self, output):
        """Lengths before the bytes make the format safe for any key and value."""
        records = []
        while output:
            partition, offset, timestamp, key_size, size, output = output.split(b" ", 5)
            key, output = self.field(int(key_size), output)
            value, output = self.field(int(size), output)
            headers, output = output.split(b"\x1e\n", 1)
            records.append(
                Record(int(partition), key, value, headers, int(timestamp), int(offset))
            )
        return records

    def field(self, size, output):
        return (None, output) if size < 0 else (output[:size], output[size:])

    def see(self, record):
        headers = record.headers
        if isinstance(headers, tuple):
            # It prints a header's value as a C string.
            shown = [b"NULL" if v is None else v.split(b"\0")[0] for _, v in headers]
            pairs = [n.encode() + b"=" + v for (n, _), v in zip(headers, shown)]
            headers = b",".join(pairs)
        return record.partition, record.key, record.value, headers, record.timestamp

    def wait_at(self, topic, offset, count):
        command = self.consume_command(topic, offset, "-p", 0, "-c", count)
        command.remove("-q")
        waiting = process.Waiting(command)
        waiting.until("stderr", b"Reached end of topic")
        return waiting

    def waited_for(self, waiting):
        return self.parse(waiting.rest())


class Java(Client):
    """Kafka's own command line tools, from its Maven artifacts."""

    name = "Java tools"
    partition_count = 1
    slow = True

    def version(self):
        (jar,) = (TOOLS / "java").glob("kafka-clients-*.jar")
        return jar.stem.removeprefix("kafka-clients-")

    @staticmethod
    def command(java_class, *arguments):
        return [
            "java", "-Xmx256M", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto",
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", f"{TOOLS / 'java'}/*",
            java_class, *arguments,
        ]

    def tool(self, tool, *arguments, content=b""):
        command = self.command(f"org.apache.kafka.tools.{tool}", *arguments)
        return process.run(command, content).decode()

    def core_tool(self, tool, *arguments):
        """A tool that stands in the broker's jar and needs what is beside it."""
        command = self.command(tool, *arguments)
        command[command.index("-cp") + 1] = f"{TOOLS / 'kafka'}/*"
        return process.run(command).decode()

    def at(self):
        return "--bootstrap-server", self.address

    def can_write(self, record):
        """The console tools are for lines of text."""
        shown = [record.key, record.value, *(value for _, value in record.headers)]
        text = b"".join(each or b"" for each in shown)
        clean = text.isascii() and not any(byte < 0x20 for byte in text)
        in_headers = b"".join(value or b"" for _, value in record.headers)
        return (
            record.timestamp is None and clean and bool(record.headers)
            and not set(in_headers) & set(b",:")
        )

    def produce(self, topic, records, codec="none", acks="all", idempotent=True):
        def show(content):
            return NULL if content is None else content.decode()

        content = []
        for record in records:
            headers = ",".join(f"{name}:{show(value)}" for name, value in record.headers)
            content.append("\t".join((headers, show(record.key), show(record.value))))
        properties = [
            "parse.key=true", "parse.headers=true", f"null.marker={NULL}",
        ]
        self.tool(
            "ConsoleProducer", *self.at(), "--topic", topic, "--compression-codec", codec,
            "--request-required-acks", acks,
            "--producer-property", f"enable.idempotence={str(idempotent).lower()}",
            *(word for each in properties for word in ("--property", each)),
            content="".join(line + "\n" for line in content).encode(),
        )

    def consume(self, topic, counts, start="earliest"):
        ((partition, count),) = counts.items()
        properties = [
            "print.timestamp=true", "print.partition=true", "print.offset=true",
            "print.headers=true", "print.key=true", f"key.separator={FIELD}",
            f"line.separator={LINE}", "headers.separator=,", f"null.literal={NULL}",
        ]
        shown = self.tool(
            "consumer.ConsoleConsumer", *self.at(), "--topic", topic, "--partition", partition,
            "--offset", start, "--max-messages", count,
            *(word for each in properties for word in ("--property", each)),
        )
        return [self.parse(line) for line in shown.split(LINE)[:-1]]

    def parse(self, line):
        timestamp, partition, offset, headers, key, value = line.split(FIELD)
        return Record(
            int(partition.removeprefix("Partition:")), key, value, headers,
            int(timestamp.removeprefix("CreateTime:")), int(offset.removeprefix("Offset:")),
        )

    def see(self, record):
        def show(content):
            return NULL if content is None else content.decode(errors="replace")

        if isinstance(record.headers, str):
            return record.partition, record.key, record.value, record.headers, record.timestamp
        headers = ",".join(f"{name}:{show(value)}" for name, value in record.headers)
        return (
            record.partition, show(record.key), show(record.value), headers or "NO_HEADERS",
            record.timestamp,
        )


ALL = (Kcat, Confluent, Java, Franz, KafkaPython, Aiokafka, KafkaJs, Rdkafka)
