"""Produce (0) and InitProducerId (22)."""

import gzip

from differential.batch import (
    CONTROL, GZIP, HOUR_MS, LZ4, NOW, PLAIN, SNAPPY, TRANSACTIONAL, ZSTD, batch, old_message,
)
from differential.rows.table import table
from differential.world import SILENCE_TIMEOUT_S, UNKNOWN_ID

row = table("Produce", 3, 13)

THREE = ((b"a", b"1"), (b"b", b"2"), (b"c", b"3"))


def to(world, name, records, partition=0, acks=-1, **more):
    """A request of one batch to one partition."""
    topic = world.named(name) if name.startswith("row-") else {"Name": name, "TopicId": UNKNOWN_ID}
    parts = [{"Index": partition, "Records": records}]
    return {"Acks": acks, "TimeoutMs": 10_000, "TopicData": [{**topic, "PartitionData": parts}],
            **more}


def wrong(name, make, **how):
    """A batch into a new topic, and what is in the log then. `make` is given the world."""

    def act(world):
        topic = world.topic()
        world.ask(to(world, topic, make(world)))
        end(world, topic)

    row(name, act=act, **how)


def end(world, topic):
    body = {"ReplicaId": -1, "Topics": [
        {"Name": topic, "Partitions": [{"PartitionIndex": 0, "Timestamp": -1}]}
    ]}
    world.also("ListOffsets", 5, body)


def stored(world, topic, offset=0):
    """The batches from an offset on, as they are stored."""
    body = {"ReplicaId": -1, "MaxWaitMs": 0, "MinBytes": 0, "Topics": [
        {"Topic": topic, "Partitions": [
            {"Partition": 0, "FetchOffset": offset, "PartitionMaxBytes": 1 << 20}
        ]}
    ]}
    world.also("Fetch", 11, body)


row("one record", lambda w: to(w, w.topic(), batch()))


def keeps(name, make, configs=None, **how):
    """Accepted, and read back as it is stored."""

    def act(world):
        topic = world.topic(configs=configs)
        world.ask(to(world, topic, make(world)))
        stored(world, topic)

    row(name, act=act, **how)


keeps("stored as it came", lambda w: batch(THREE))
keeps("null key and value, headers", lambda w: batch(
    ((None, None), (b"", b"", ((b"h", None), (b"h", b""), (b"", b"x")))),
))
for codec, word in ((GZIP, "gzip"), (SNAPPY, "snappy"), (LZ4, "lz4")):
    keeps(f"compressed with {word}", lambda w, c=codec: batch(THREE, codec=c))
keeps("compressed with zstd", lambda w: batch(THREE, codec=ZSTD), since=7)
wrong("zstd before it was there", lambda w: batch(THREE, codec=ZSTD), until=6)
keeps("leader epoch of the client", lambda w: batch(leader_epoch=77))
keeps("times out of order", lambda w: batch(THREE, time_deltas=[5, 0, 3]))
keeps("very old", lambda w: batch(at=1))
keeps("no time", lambda w: batch(at=-1))
keeps("the broker's time", lambda w: batch(THREE),
      configs={"message.timestamp.type": "LogAppendTime"})
keeps("compressed by the broker", lambda w: batch(THREE), configs={"compression.type": "gzip"})
keeps("decompressed by the broker", lambda w: batch(THREE, codec=GZIP),
      configs={"compression.type": "uncompressed"})
keeps("recompressed by the broker", lambda w: batch(THREE, codec=GZIP),
      configs={"compression.type": "lz4"})
keeps("the codec of the topic already", lambda w: batch(THREE, codec=LZ4),
      configs={"compression.type": "lz4"})
keeps("keys on a compacted topic", lambda w: batch(THREE), configs={"cleanup.policy": "compact"})


def twice(world):
    topic = world.topic(partitions=2)
    both = [{"Index": index, "Records": batch()} for index in (0, 1, 2)]
    body = to(world, topic, b"")
    body["TopicData"][0]["PartitionData"] = both
    world.ask(body)
    world.ask(body)


row("several partitions, one unknown", act=twice)


def several_topics(world):
    body = to(world, world.topic("one"), batch())
    body["TopicData"] += to(world, world.topic("two"), batch(bad_crc=True))["TopicData"]
    world.ask(body)


row("several topics, one refused", act=several_topics)
row("no topics", lambda w: {"Acks": -1, "TimeoutMs": 1000})
row("acks 1", lambda w: to(w, w.topic(), batch(), acks=1))
row("acks 2", lambda w: to(w, w.topic(), batch(), acks=2))
row("acks -2", lambda w: to(w, w.topic(), batch(), acks=-2))
row("timeout 0", lambda w: {**to(w, w.topic(), batch()), "TimeoutMs": 0})
row("timeout below 0", lambda w: {**to(w, w.topic(), batch()), "TimeoutMs": -1})


def no_acks(world):
    """acks=0 has no answer; the next request on the connection shows that all is well."""
    topic = world.topic()
    world.ask(to(world, topic, batch(), acks=0), timeout=SILENCE_TIMEOUT_S)
    world.connection.close()
    end(world, topic)


row("acks 0", act=no_acks)
row("acks 0 and an error", lambda w: to(w, w.topic(), batch(bad_crc=True), acks=0))

# ---- batches that are not sound ----

wrong("magic 0", lambda w: old_message(0))
wrong("magic 1", lambda w: old_message(1))
wrong("magic 3", lambda w: batch(magic=3))
wrong("magic -1", lambda w: batch(magic=-1))
wrong("bad CRC", lambda w: batch(bad_crc=True))
wrong("more records than are there", lambda w: batch(count=2))
wrong("fewer records than are there", lambda w: batch(THREE, count=2))
wrong("count 0", lambda w: batch((), count=0))
wrong("count below 0", lambda w: batch(count=-1))
wrong("count 2^31-1", lambda w: batch(count=2**31 - 1, last_delta=2**31 - 2))
wrong("last delta too great", lambda w: batch(last_delta=1))
wrong("last delta too small", lambda w: batch(THREE, last_delta=1))
wrong("last delta below 0", lambda w: batch(last_delta=-1))
wrong("swapped deltas", lambda w: batch(THREE, deltas=(0, 2, 1)))
wrong("base offset 5", lambda w: batch(base_offset=5))
wrong("base offset below 0", lambda w: batch(base_offset=-1))
wrong("two batches", lambda w: batch() + batch(base_offset=1))
wrong("empty records", lambda w: b"")
wrong("half a header", lambda w: batch()[:30])
wrong("half a batch", lambda w: batch()[:-3])
wrong("bytes after the batch", lambda w: batch() + b"abc")
wrong("control batch", lambda w: batch(attributes=CONTROL))
wrong("transactional batch", lambda w: batch(attributes=TRANSACTIONAL, producer=(1, 0, 0)))
wrong("producer id without sequence", lambda w: batch(producer=(1, 0, -1)))
wrong("producer id without epoch", lambda w: batch(producer=(1, -1, 0)))
wrong("sequence without producer id", lambda w: batch(producer=(-1, -1, 0)))
wrong("delete horizon flag", lambda w: batch(attributes=0x40))
wrong("unknown attributes", lambda w: batch(attributes=0x80))
wrong("codec 5", lambda w: batch(codec=5))
wrong("codec 7", lambda w: batch(codec=7))
for codec, word in ((GZIP, "gzip"), (SNAPPY, "snappy"), (LZ4, "lz4")):
    wrong(f"not really {word}", lambda w, c=codec: batch(codec=c, payload=b"nothing like it"))
wrong("not really zstd", lambda w: batch(codec=ZSTD, payload=b"nothing like it"), since=7)
wrong("gzip cut off", lambda w: batch(codec=GZIP, payload=gzip.compress(b"x" * 200)[:-9]))
wrong("garbage for records", lambda w: batch(payload=b"\xff" * 20))


def null_records(world):
    topic = world.topic()
    world.ask(to(world, topic, None), timeout=SILENCE_TIMEOUT_S)
    end(world, topic)


row("null records", act=null_records)


def compacted(world):
    topic = world.topic(configs={"cleanup.policy": "compact"})
    world.ask(to(world, topic, batch((*PLAIN, (None, b"value")))))
    end(world, topic)


row("no key on a compacted topic", act=compacted)

# ---- limits and times ----


def limited(name, configs, make, **how):
    def act(world):
        topic = world.topic(configs=configs)
        world.ask(to(world, topic, make(world)))
        end(world, topic)

    row(name, act=act, **how)


def of_size(size):
    """A batch of just so many bytes, which is more than 61 + 70."""
    fill = size - len(batch(((b"k", b"v" * (size - 100)),))) + size - 100
    return batch(((b"k", b"v" * fill),))


limited("just max.message.bytes", {"max.message.bytes": "1000"}, lambda w: of_size(1000))
limited("over max.message.bytes", {"max.message.bytes": "1000"}, lambda w: of_size(1001))
limited("over max.message.bytes until compressed", {"max.message.bytes": "1000"},
        lambda w: batch(((b"k", b"v" * 3000),), codec=GZIP))
limited("over max.message.bytes once decompressed by the broker",
        {"max.message.bytes": "1000", "compression.type": "uncompressed"},
        lambda w: batch(((b"k", b"v" * 3000),), codec=GZIP))
wrong("two hours ahead", lambda w: batch(at=NOW + 2 * HOUR_MS))
wrong("one record two hours ahead", lambda w: batch(THREE, time_deltas=[0, 2 * HOUR_MS, 0]))
limited("before the limit of a topic", {"message.timestamp.before.max.ms": "60000"},
        lambda w: batch(at=NOW - HOUR_MS))
limited("within the limit of a topic", {"message.timestamp.after.max.ms": str(4 * HOUR_MS)},
        lambda w: batch(at=NOW + 2 * HOUR_MS))
limited("ahead, but the broker sets the time", {"message.timestamp.type": "LogAppendTime"},
        lambda w: batch(at=NOW + 2 * HOUR_MS))

# ---- topics that are not there ----

row("unknown topic", lambda w: to(w, w.name("nowhere"), batch()))
row("unknown partition", lambda w: to(w, w.topic(), batch(), partition=1))
row("partition below 0", lambda w: to(w, w.topic(), batch(), partition=-1))
row("illegal name", lambda w: to(w, "not/legal", batch()), until=12)
row("empty name", lambda w: to(w, "", batch()), until=12)
row("no topic id", lambda w: {"Acks": -1, "TimeoutMs": 1000, "TopicData": [
    {"PartitionData": [{"Index": 0, "Records": batch()}]}]}, since=13)

# ---- idempotent producers ----


def sequence(name, *steps, **how):
    """Batches of one producer: each step is (epoch, sequence) or that and a count of records."""

    def act(world):
        topic = world.topic()
        producer_id = world.producer_id()
        for epoch, first, *count in steps:
            records = PLAIN * (count[0] if count else 1)
            world.ask(to(world, topic, batch(records, producer=(producer_id, epoch, first))))
        end(world, topic)

    row(name, act=act, **how)


sequence("in sequence", (0, 0), (0, 1), (0, 2, 3), (0, 5), since=7)
sequence("one of the last five again", (0, 0), (0, 1, 2), (0, 1, 2), (0, 0), (0, 3))
sequence("older than the last five again", *((0, n) for n in range(7)), (0, 0), (0, 7))
sequence("half of a batch again", (0, 0, 3), (0, 0, 2))
sequence("a gap", (0, 0), (0, 2))
sequence("an unknown producer that begins late", (0, 5), (0, 6))
sequence("an older epoch", (3, 0), (2, 0), (2, 1))
sequence("a newer epoch", (0, 0), (1, 0), (1, 1))
sequence("a newer epoch that begins late", (0, 0), (1, 1))
sequence("sequence starts anew", (0, 2**31 - 1), (0, 0))
sequence("sequence starts anew within a batch", (0, 2**31 - 2, 3), (0, 1))


def other_transaction(world):
    topic = world.topic()
    producer_id = world.producer_id()
    records = batch(attributes=TRANSACTIONAL, producer=(producer_id, 0, 0))
    world.ask(to(world, topic, records, TransactionalId=world.name("transaction")))


row("transactional, in no transaction", act=other_transaction)
row("transactional id, plain batch", lambda w: to(
    w, w.topic(), batch(), TransactionalId=w.name("transaction")))

# ---- InitProducerId ----

init = table("InitProducerId", 0, 5)


def init_body(transactional_id=None, timeout=60_000, **more):
    return {"TransactionalId": transactional_id, "TransactionTimeoutMs": timeout, **more}


init("no transaction", lambda w: init_body())
init("timeout 0", lambda w: init_body(timeout=0))
init("timeout below 0", lambda w: init_body(timeout=-1))
init("empty transactional id", lambda w: init_body(""))
init("transactional id", lambda w: init_body(w.name("transaction")))
init("transactional id, timeout 0", lambda w: init_body(w.name("transaction"), 0))
init("transactional id, timeout too long", lambda w: init_body(w.name("transaction"), 2**31 - 1))
init("id and epoch without transaction", lambda w: init_body(ProducerId=5, ProducerEpoch=1),
     since=3)
init("id without epoch", lambda w: init_body(ProducerId=5), since=3)
init("epoch without id", lambda w: init_body(ProducerEpoch=1), since=3)
init("id without epoch, transactional", lambda w: init_body(
    w.name("transaction"), ProducerId=5), since=3)
