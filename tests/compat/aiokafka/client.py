"""aiokafka as a process for the tests of foreign clients.

usage: client.py version|produce|consume|admin; docs/clients.md has the protocol.
"""

import asyncio
import json
import sys
from pathlib import Path

import aiokafka
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from driver.program import decode, emit, encode, run  # noqa: E402

# The first poll that brings nothing is reported as waiting.
POLL_TIMEOUT_MS = 1000
NO_ACK = {"p": -1, "o": -1, "error": 0}


async def produce(options, lines):
    settings = {
        "bootstrap_servers": options["bootstrap"],
        "compression_type": None if options["codec"] == "none" else options["codec"],
        "acks": "all" if options["acks"] == "all" else int(options["acks"]),
        "enable_idempotence": options["idempotent"],
    }
    if options.get("max_bytes"):
        settings["max_request_size"] = options["max_bytes"]
    async with AIOKafkaProducer(**settings) as producer:
        futures = []
        for line in lines:
            record = json.loads(line)
            futures.append(await producer.send(
                options["topic"], value=decode(record["v"]), key=decode(record["k"]),
                partition=record["p"], timestamp_ms=record["t"] or None,
                headers=[(name, decode(value)) for name, value in record["h"]],
            ))
        await producer.flush()
        for future in futures:
            try:
                done = await future
                # With acks=0 there is nothing to tell.
                answer = {"p": done.partition, "o": done.offset, "error": 0} if done else NO_ACK
            except KafkaError as failed:
                answer = {"p": -1, "o": -1, "error": failed.errno}
            print(json.dumps(answer))


async def start_at(consumer, place, start):
    if start == "earliest":
        await consumer.seek_to_beginning(place)
    elif isinstance(start, dict):
        found = await consumer.offsets_for_times({place: start["timestamp"]})
        consumer.seek(place, found[place].offset)
    else:
        consumer.seek(place, start)


async def consume(options, _lines):
    ranges = {
        TopicPartition(options["topic"], int(partition)): wanted
        for partition, wanted in options["partitions"].items()
    }
    missing = {place: wanted["count"] for place, wanted in ranges.items()}
    consumer = AIOKafkaConsumer(
        bootstrap_servers=options["bootstrap"], group_id=None, enable_auto_commit=False,
        auto_offset_reset="none", check_crcs=True,
    )
    async with consumer:
        consumer.assign(list(ranges))
        for place, wanted in ranges.items():
            await start_at(consumer, place, wanted["start"])
        waited = False
        while sum(missing.values()) > 0:
            try:
                polled = await consumer.getmany(timeout_ms=POLL_TIMEOUT_MS)
            except OffsetOutOfRangeError as failed:
                emit({"error": failed.errno})
                return
            if not any(polled.values()) and not waited:
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


def codes(response, field):
    """The error code by topic of a response of aiokafka's, whose rows are tuples."""
    return {row[0]: row[1] for row in getattr(response, field)}


async def offsets(options):
    topic, at = options["topic"], options["at"]
    async with AIOKafkaConsumer(topic, bootstrap_servers=options["bootstrap"]) as consumer:
        places = [TopicPartition(topic, index) for index in consumer.partitions_for_topic(topic)]
        if at == "earliest":
            found = await consumer.beginning_offsets(places)
        elif at == "latest":
            found = await consumer.end_offsets(places)
        else:
            times = await consumer.offsets_for_times(dict.fromkeys(places, at))
            found = {place: each.offset if each else -1 for place, each in times.items()}
    return {place.partition: offset for place, offset in found.items()}


async def configs(admin, options):
    resource = ConfigResource(ConfigResourceType.TOPIC, options["topic"])
    (described,) = await admin.describe_configs([resource])
    shown = {row[0]: row[1] for row in described.resources[0][4]}
    return {name: shown[name] for name in options["names"]}


async def set_configs(admin, options):
    resource = ConfigResource(ConfigResourceType.TOPIC, options["topic"], options["configs"])
    (altered,) = await admin.alter_configs([resource])
    return {"error": altered.resources[0][0]}


async def on_topics(admin, options):
    """The operations on topics themselves; None for any other."""
    operation = options["op"]
    if operation == "create":
        topics = [NewTopic(name, count, 1) for name, count in options["topics"].items()]
        return codes(await admin.create_topics(topics), "topic_errors")
    if operation == "delete":
        return codes(await admin.delete_topics(list(options["topics"])), "topic_error_codes")
    if operation == "list":
        described = await admin.describe_topics()
        return {topic["topic"]: len(topic["partitions"]) for topic in described}
    if operation == "add_partitions":
        wanted = {options["topic"]: NewPartitions(total_count=options["count"])}
        try:
            await admin.create_partitions(wanted)
        except KafkaError as refused:
            return {"error": refused.errno}
        return {"error": 0}
    return None


async def administrate(options, _lines):
    operation = options["op"]
    admin = AIOKafkaAdminClient(bootstrap_servers=options["bootstrap"])
    await admin.start()
    try:
        answer = await on_topics(admin, options)
        if answer is not None:
            emit(answer)
        elif operation == "offsets":
            emit(await offsets(options))
        elif operation == "cluster":
            cluster = await admin.describe_cluster()
            emit({
                "brokers": [broker["node_id"] for broker in cluster["brokers"]],
                "controller": cluster["controller_id"], "cluster_id": cluster["cluster_id"],
            })
        elif operation == "configs":
            emit(await configs(admin, options))
        elif operation == "set_configs":
            emit(await set_configs(admin, options))
        elif operation == "delete_records":
            place = TopicPartition(options["topic"], 0)
            wanted = {place: RecordsToDelete(before_offset=options["offset"])}
            emit({"low_watermark": (await admin.delete_records(wanted))[place]})
        else:
            raise ValueError(f"no operation called {operation!r}")
    finally:
        await admin.close()


def waited(command):
    return lambda options, lines: asyncio.run(command(options, lines))


if __name__ == "__main__":
    run(aiokafka.__version__, produce=waited(produce), consume=waited(consume),
        admin=waited(administrate))
