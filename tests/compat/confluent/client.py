"""confluent-kafka (librdkafka) as a process for the tests of foreign clients.

usage: client.py version|produce|consume|admin

The protocol is the one of every client that can hold arbitrary bytes; docs/clients.md writes it
down: the first line of standard input is a JSON object of options, each further line a record;
standard output has one JSON object per line.
"""

import base64
import json
import sys

import confluent_kafka
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka import admin

OPERATION_TIMEOUT_S = 30
# The first poll that brings nothing is reported as waiting.
POLL_TIMEOUT_S = 1
QUEUE_COUNT_MAX = 100_000
STARTS = {"earliest": confluent_kafka.OFFSET_BEGINNING, "latest": confluent_kafka.OFFSET_END}


def decode(text):
    return None if text is None else base64.b64decode(text)


def encode(content):
    return None if content is None else base64.b64encode(content).decode()


def emit(answer):
    print(json.dumps(answer), flush=True)


def produce(options, lines):
    """Sends the records and prints what became of each, in the order of the input."""
    settings = {
        "bootstrap.servers": options["bootstrap"],
        "compression.codec": options["codec"],
        "acks": options["acks"],
        "enable.idempotence": options["idempotent"],
        "queue.buffering.max.messages": QUEUE_COUNT_MAX,
    }
    if options.get("max_bytes"):
        settings["message.max.bytes"] = options["max_bytes"]
    producer = Producer(settings)
    deliveries = []
    for index, line in enumerate(lines):
        record = json.loads(line)
        deliveries.append(None)

        def delivered(error, message, index=index):
            code = error.code() if error else 0
            deliveries[index] = {"p": message.partition(), "o": message.offset(), "error": code}

        producer.produce(
            options["topic"],
            value=decode(record["v"]),
            key=decode(record["k"]),
            partition=record["p"],
            timestamp=record["t"] or 0,
            headers=[(name, decode(value)) for name, value in record["h"]] or None,
            on_delivery=delivered,
        )
        producer.poll(0)
    left = producer.flush(OPERATION_TIMEOUT_S)
    assert left == 0, f"{left} records were not delivered in {OPERATION_TIMEOUT_S} s"
    for delivery in deliveries:
        print(json.dumps(delivery))


def seen(message):
    kind, timestamp = message.timestamp()
    assert kind == confluent_kafka.TIMESTAMP_CREATE_TIME, f"timestamp type {kind}"
    return {
        "p": message.partition(),
        "o": message.offset(),
        "t": timestamp,
        "k": encode(message.key()),
        "v": encode(message.value()),
        "h": [[name, encode(value)] for name, value in message.headers() or []],
    }


def start_of(consumer, topic, partition, start):
    """The place to assign: a name, an offset, or the first record at or after a time."""
    if isinstance(start, dict):
        at = TopicPartition(topic, partition, start["timestamp"])
        return consumer.offsets_for_times([at], timeout=OPERATION_TIMEOUT_S)[0]
    return TopicPartition(topic, partition, STARTS.get(start, start))


def consume(options, _lines):
    """Reads by assignment until every partition has given its count."""
    consumer = Consumer({
        "bootstrap.servers": options["bootstrap"],
        "group.id": "unused-by-assignment",
        "enable.auto.commit": False,
        "auto.offset.reset": "error",
        "check.crcs": True,
    })
    ranges = {int(partition): wanted for partition, wanted in options["partitions"].items()}
    missing = {partition: wanted["count"] for partition, wanted in ranges.items()}
    consumer.assign([
        start_of(consumer, options["topic"], partition, wanted["start"])
        for partition, wanted in ranges.items()
    ])
    waited = False
    while sum(missing.values()) > 0:
        messages = consumer.consume(500, timeout=POLL_TIMEOUT_S)
        if not messages and not waited:
            waited = True
            emit({"waiting": True})
        for message in messages:
            if message.error():
                emit({"error": message.error().code()})
                return
            if missing[message.partition()] > 0:
                missing[message.partition()] -= 1
                print(json.dumps(seen(message)))
    consumer.close()


def settle(futures):
    """The error code by topic, 0 for none, of an admin operation's futures."""
    codes = {}
    for topic, future in futures.items():
        try:
            future.result(timeout=OPERATION_TIMEOUT_S)
            codes[topic] = 0
        except KafkaException as failed:
            codes[topic] = failed.args[0].code()
    return codes


def list_offsets(options):
    """The offset by partition: the watermarks through a consumer, the rest through ListOffsets."""
    bootstrap, topic, at = options["bootstrap"], options["topic"], options["at"]
    client = admin.AdminClient({"bootstrap.servers": bootstrap})
    listed = client.list_topics(topic, timeout=OPERATION_TIMEOUT_S)
    places = [TopicPartition(topic, partition) for partition in listed.topics[topic].partitions]
    if at in ("earliest", "latest"):
        consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "unused"})
        marks = {
            place.partition: consumer.get_watermark_offsets(place, timeout=OPERATION_TIMEOUT_S)
            for place in places
        }
        consumer.close()
        return {partition: mark[at == "latest"] for partition, mark in marks.items()}
    if at == "max_timestamp":
        spec = admin.OffsetSpec.max_timestamp()
    else:
        spec = admin.OffsetSpec.for_timestamp(at)
    futures = client.list_offsets({place: spec for place in places})
    return {
        place.partition: future.result(timeout=OPERATION_TIMEOUT_S).offset
        for place, future in futures.items()
    }


def administrate(options, _lines):
    """One operation on the cluster or on topics; those on what is in a topic are in `of_topic`."""
    operation = options["op"]
    client = admin.AdminClient({"bootstrap.servers": options["bootstrap"]})
    if operation == "create":
        topics = [
            admin.NewTopic(name, num_partitions=count, replication_factor=1)
            for name, count in options["topics"].items()
        ]
        emit(settle(client.create_topics(topics, operation_timeout=OPERATION_TIMEOUT_S)))
    elif operation == "delete":
        names = list(options["topics"])
        emit(settle(client.delete_topics(names, operation_timeout=OPERATION_TIMEOUT_S)))
    elif operation == "list":
        topics = client.list_topics(timeout=OPERATION_TIMEOUT_S).topics
        emit({name: len(topic.partitions) for name, topic in topics.items()})
    elif operation == "offsets":
        emit(list_offsets(options))
    elif operation == "cluster":
        cluster = client.describe_cluster().result(timeout=OPERATION_TIMEOUT_S)
        emit({
            "brokers": [node.id for node in cluster.nodes],
            "controller": cluster.controller.id,
            "cluster_id": cluster.cluster_id,
        })
    else:
        emit(of_topic(client, operation, options))


def code_of(future):
    """{"error": code} of an admin operation's future."""
    return {"error": settle({"it": future})["it"]}


def of_topic(client, operation, options):
    """configs, set_configs, add_partitions or delete_records."""
    topic = options["topic"]
    resource = admin.ConfigResource(admin.ConfigResource.Type.TOPIC, topic)
    if operation == "configs":
        (future,) = client.describe_configs([resource]).values()
        described = future.result(timeout=OPERATION_TIMEOUT_S)
        return {name: described[name].value for name in options["names"]}
    if operation == "set_configs":
        for name, value in options["configs"].items():
            resource.add_incremental_config(admin.ConfigEntry(
                name, value, incremental_operation=admin.AlterConfigOpType.SET
            ))
        (future,) = client.incremental_alter_configs([resource]).values()
        return code_of(future)
    if operation == "add_partitions":
        (future,) = client.create_partitions(
            [admin.NewPartitions(topic, options["count"])]
        ).values()
        return code_of(future)
    if operation == "delete_records":
        place = TopicPartition(topic, 0, options["offset"])
        (future,) = client.delete_records([place]).values()
        return {"low_watermark": future.result(timeout=OPERATION_TIMEOUT_S).low_watermark}
    raise ValueError(f"no operation called {operation!r}")


def main():
    commands = {"produce": produce, "consume": consume, "admin": administrate}
    command = sys.argv[1] if len(sys.argv) == 2 else None
    if command == "version":
        print(f"{confluent_kafka.version()} (librdkafka {confluent_kafka.libversion()[0]})")
    elif command in commands:
        commands[command](json.loads(sys.stdin.readline()), sys.stdin)
    else:
        sys.exit(__doc__.split("\n\n")[1])


if __name__ == "__main__":
    main()
