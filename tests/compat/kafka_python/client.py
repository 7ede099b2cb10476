"""kafka-python as a process for the tests of foreign clients.

usage: client.py version|produce|consume|admin; docs/clients.md has the protocol.
"""

import json
import re
import sys
from pathlib import Path

import kafka
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import KafkaError, OffsetOutOfRangeError

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from driver.program import decode, emit, encode, run  # noqa: E402

OPERATION_TIMEOUT_S = 30
# The first poll that brings nothing is reported as waiting.
POLL_TIMEOUT_MS = 1000
MAX_TIMESTAMP = -3


def produce(options, lines):
    settings = {
        "bootstrap_servers": options["bootstrap"],
        "compression_type": None if options["codec"] == "none" else options["codec"],
        "acks": "all" if options["acks"] == "all" else int(options["acks"]),
        "enable_idempotence": options["idempotent"],
    }
    if options.get("max_bytes"):
        settings["max_request_size"] = options["max_bytes"]
    producer = KafkaProducer(**settings)
    futures = []
    for line in lines:
        record = json.loads(line)
        futures.append(producer.send(
            options["topic"], value=decode(record["v"]), key=decode(record["k"]),
            partition=record["p"], timestamp_ms=record["t"] or None,
            headers=[(name, decode(value)) for name, value in record["h"]],
        ))
    producer.flush(OPERATION_TIMEOUT_S)
    for future in futures:
        try:
            done = future.get(OPERATION_TIMEOUT_S)
            answer = {"p": done.partition, "o": done.offset, "error": 0}
        except KafkaError as failed:
            answer = {"p": -1, "o": -1, "error": failed.errno}
        print(json.dumps(answer))
    producer.close()


def start_at(consumer, place, start):
    if start == "earliest":
        consumer.seek_to_beginning(place)
    elif isinstance(start, dict):
        consumer.seek(place, consumer.offsets_for_times({place: start["timestamp"]})[place].offset)
    else:
        consumer.seek(place, start)


def consume(options, _lines):
    consumer = KafkaConsumer(
        bootstrap_servers=options["bootstrap"], group_id=None, enable_auto_commit=False,
        auto_offset_reset="none", check_crcs=True,
    )
    ranges = {
        TopicPartition(options["topic"], int(partition)): wanted
        for partition, wanted in options["partitions"].items()
    }
    missing = {place: wanted["count"] for place, wanted in ranges.items()}
    consumer.assign(list(ranges))
    for place, wanted in ranges.items():
        start_at(consumer, place, wanted["start"])
    waited = False
    while sum(missing.values()) > 0:
        try:
            polled = consumer.poll(timeout_ms=POLL_TIMEOUT_MS)
        except OffsetOutOfRangeError as failed:
            emit({"error": failed.errno})
            return
        if not polled and not waited:
            waited = True
            emit({"waiting": True})
        for place, records in polled.items():
            for record in records[: missing[place]]:
                missing[place] -= 1
                print(json.dumps({
                    "p": record.partition, "o": record.offset, "t": record.timestamp,
                    "k": encode(record.key), "v": encode(record.value),
                    "h": [[name, encode(value)] for name, value in record.headers],
                }))
    consumer.close()


def by_topic(answer):
    """The error code by topic."""
    rows = answer.get("topics") or answer.get("responses") or answer.get("results")
    return {row["name"]: row["error_code"] for row in rows}


def offsets(admin, options):
    bootstrap, topic, at = options["bootstrap"], options["topic"], options["at"]
    consumer = KafkaConsumer(bootstrap_servers=bootstrap)
    places = [TopicPartition(topic, index) for index in consumer.partitions_for_topic(topic)]
    if at == "earliest":
        found = consumer.beginning_offsets(places)
    elif at == "latest":
        found = consumer.end_offsets(places)
    else:
        spec = MAX_TIMESTAMP if at == "max_timestamp" else at
        listed = admin.list_partition_offsets(dict.fromkeys(places, spec))
        found = {place: info.offset for place, info in listed.items()}
    consumer.close()
    return {place.partition: offset for place, offset in found.items()}


def configs(admin, options):
    resource = ConfigResource(ConfigResourceType.TOPIC, options["topic"])
    described = admin.describe_configs([resource], config_filter="all")
    shown = described["topic"][options["topic"]]
    return {name: shown[name]["value"] for name in options["names"]}


def set_configs(admin, options):
    resource = ConfigResource(ConfigResourceType.TOPIC, options["topic"], options["configs"])
    altered = admin.alter_configs([resource], raise_on_unknown=False)
    (said,) = (each for of_type in altered.values() for each in of_type.values())
    # "OK", or the text of an error.
    code = re.match(r"\[Error (\d+)\]", said)
    return {"error": int(code[1]) if code else 0}


def refused(operation, *arguments):
    """What an operation answers; the code of its error where it raises one."""
    try:
        return operation(*arguments)
    except KafkaError as failed:
        return {"error": failed.errno}


def administrate(options, _lines):
    operation = options["op"]
    admin = KafkaAdminClient(bootstrap_servers=options["bootstrap"])
    if operation == "create":
        topics = {
            name: {"num_partitions": count, "replication_factor": 1}
            for name, count in options["topics"].items()
        }
        emit(by_topic(admin.create_topics(topics, raise_errors=False)))
    elif operation == "delete":
        emit(by_topic(admin.delete_topics(list(options["topics"]), raise_errors=False)))
    elif operation == "list":
        described = admin.describe_topics()
        emit({topic["name"]: len(topic["partitions"]) for topic in described})
    elif operation == "offsets":
        emit(offsets(admin, options))
    elif operation == "cluster":
        cluster = admin.describe_cluster()
        emit({
            "brokers": [broker.get("node_id", broker.get("broker_id"))
                        for broker in cluster["brokers"]],
            "controller": cluster["controller_id"], "cluster_id": cluster["cluster_id"],
        })
    elif operation == "configs":
        emit(configs(admin, options))
    elif operation == "set_configs":
        emit(refused(set_configs, admin, options))
    elif operation == "add_partitions":
        grown = admin.create_partitions(
            {options["topic"]: options["count"]}, raise_errors=False
        )
        emit({"error": {row.name: row.error_code for row in grown.results}[options["topic"]]})
    elif operation == "delete_records":
        place = TopicPartition(options["topic"], 0)
        deleted = admin.delete_records({place: options["offset"]})
        emit({"low_watermark": deleted[place]["low_watermark"]})
    else:
        raise ValueError(f"no operation called {operation!r}")


if __name__ == "__main__":
    run(kafka.__version__, produce=produce, consume=consume, admin=administrate)
