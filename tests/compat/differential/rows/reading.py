"""Fetch (1), ListOffsets (2), OffsetForLeaderEpoch (23), DeleteRecords (21)."""

from differential.batch import GZIP, NOW, PLAIN, batch
from differential.rows.table import table
from differential.world import UNKNOWN_ID

row = table("Fetch", 4, 18)

# Three batches: offsets 0, 1-3, 4.
FILLED = (batch(), batch(PLAIN * 3), batch(((b"last", b"record"),)))
NEVER = -6


def fetch(world, name, offset=0, *, partition=0, size=1 << 20, topics=None, wait=0, least=0,
          **more):
    """A Fetch of one partition; `more` are fields of the request, or of the partition in lower
    case: current_leader_epoch, last_fetched_epoch, log_start_offset."""
    inner = {"CurrentLeaderEpoch": more.pop("epoch", -1),
             "LastFetchedEpoch": more.pop("fetched_epoch", -1),
             "LogStartOffset": more.pop("log_start", -1)}
    part = {"Partition": partition, "FetchOffset": offset, "PartitionMaxBytes": size, **inner}
    named = world.named(name)
    topic = {"Topic": named["Name"], "TopicId": named["TopicId"], "Partitions": [part]}
    return {"MaxWaitMs": wait, "MinBytes": least, "Topics": [topic] if topics is None else topics,
            **more}


def filled(world):
    return world.topic(records=FILLED)


row("from the start", lambda w: fetch(w, filled(w)))
row("from within a batch", lambda w: fetch(w, filled(w), 2))
row("the last record", lambda w: fetch(w, filled(w), 4))
row("at the end", lambda w: fetch(w, filled(w), 5))
row("at the end, waiting in vain", lambda w: fetch(w, filled(w), 5, wait=50, least=1))
row("past the end", lambda w: fetch(w, filled(w), 6))
row("far past the end", lambda w: fetch(w, filled(w), 2**63 - 1))
row("offset -1", lambda w: fetch(w, filled(w), -1))
row("an empty partition", lambda w: fetch(w, w.topic()))
row("partition size 1: the first batch all the same", lambda w: fetch(w, filled(w), size=1))
row("partition size 0", lambda w: fetch(w, filled(w), size=0))
row("partition size below 0", lambda w: fetch(w, filled(w), size=-1))
row("size 1: the first batch all the same", lambda w: fetch(w, filled(w), MaxBytes=1))
row("size 0", lambda w: fetch(w, filled(w), MaxBytes=0))
row("size below 0", lambda w: fetch(w, filled(w), MaxBytes=-1))
row("size of two batches", lambda w: fetch(w, filled(w), size=len(FILLED[0] + FILLED[1])))
row("read_committed", lambda w: fetch(w, filled(w), IsolationLevel=1))
row("isolation level 2", lambda w: fetch(w, filled(w), IsolationLevel=2))
row("more wanted than is there", lambda w: fetch(w, filled(w), wait=50, least=1 << 20))
row("wait below 0", lambda w: fetch(w, filled(w), 5, wait=-1, least=1))
row("unknown topic", lambda w: fetch(w, w.name("nowhere")))
row("unknown partition", lambda w: fetch(w, filled(w), partition=1))
row("partition below 0", lambda w: fetch(w, filled(w), partition=-1))
row("no topics", lambda w: {"MaxWaitMs": 0, "MinBytes": 0})
row("no topics, waiting in vain", lambda w: {"MaxWaitMs": 50, "MinBytes": 1})
row("no topic id", lambda w: fetch(w, "", topics=[
    {"Partitions": [{"Partition": 0, "FetchOffset": 0, "PartitionMaxBytes": 100}]}]), since=13)
row("illegal name", lambda w: fetch(w, "", topics=[
    {"Topic": "not/legal", "Partitions": [
        {"Partition": 0, "FetchOffset": 0, "PartitionMaxBytes": 100}]}]), until=12)
row("the leader epoch", lambda w: fetch(w, filled(w), epoch=0), since=9)
row("a future leader epoch", lambda w: fetch(w, filled(w), epoch=9), since=9)
row("leader epoch -2", lambda w: fetch(w, filled(w), epoch=-2), since=9)
row("last epoch as it is", lambda w: fetch(w, filled(w), 5, fetched_epoch=0), since=12)
row("last epoch in the future", lambda w: fetch(w, filled(w), 5, fetched_epoch=3), since=12)
row("another cluster id", lambda w: fetch(w, filled(w), ClusterId="not this one"), since=12)
row("rack of the client", lambda w: fetch(w, filled(w), RackId="somewhere"), since=11)
row("a compressed batch", lambda w: fetch(w, w.topic(records=[batch(PLAIN * 9, codec=GZIP)]), 4))


def doubled(world):
    body = fetch(world, filled(world))
    body["Topics"] *= 2
    world.ask(body)


row("the same partition twice", act=doubled)


def several(world):
    one, two = filled(world), world.topic("two", 2, FILLED)
    body = fetch(world, one)
    body["Topics"] += fetch(world, two)["Topics"]
    body["Topics"][1]["Partitions"] *= 2
    body["Topics"][1]["Partitions"][1] = {
        **body["Topics"][1]["Partitions"][0], "Partition": 1, "FetchOffset": 7,
    }
    world.ask(body)


row("several topics, one partition out of range", act=several)


# ---- sessions (KIP-227) ----

row("a session with nothing", lambda w: {
    "MaxWaitMs": 0, "MinBytes": 0, "SessionId": 0, "SessionEpoch": 0}, since=7)
row("an unknown session", lambda w: fetch(
    w, filled(w), SessionId=123_456, SessionEpoch=1), since=7)
row("an unknown session, to be closed", lambda w: fetch(
    w, filled(w), SessionId=123_456, SessionEpoch=-1), since=7)
row("an unknown session, to be opened", lambda w: fetch(
    w, filled(w), SessionId=123_456, SessionEpoch=0), since=7)
row("no session, epoch 1", lambda w: fetch(w, filled(w), SessionId=0, SessionEpoch=1), since=7)
row("no session, epoch -2", lambda w: fetch(w, filled(w), SessionId=0, SessionEpoch=-2), since=7)


def opened(world, name):
    answer = world.ask(fetch(world, name, SessionId=0, SessionEpoch=0))
    return answer.get("SessionId", 0)


def session(name, *steps):
    """A session is opened on a topic of two partitions, with one of them; each step is a function
    from (world, topic, session id) to the next request."""

    def act(world):
        topic = world.topic(partitions=2, records=FILLED)
        session_id = opened(world, topic)
        for step in steps:
            world.ask(step(world, topic, session_id))

    row(name, act=act, since=7)


def nothing_new(epoch, **more):
    return lambda world, topic, session_id: {
        "MaxWaitMs": 0, "MinBytes": 0, "SessionId": session_id, "SessionEpoch": epoch, **more}


def at(epoch, offset, partition=0, **more):
    return lambda world, topic, session_id: fetch(
        world, topic, offset, partition=partition, SessionId=session_id, SessionEpoch=epoch, **more)


def forgets(epoch, partition=0):
    def step(world, topic, session_id):
        named = world.named(topic)
        return nothing_new(epoch, ForgottenTopicsData=[
            {"Topic": named["Name"], "TopicId": named["TopicId"], "Partitions": [partition]}
        ])(world, topic, session_id)

    return step


def writes(records, step):
    """`step`, after records were written."""

    def act(world, topic, session_id):
        world.write(topic, records)
        return step(world, topic, session_id)

    return act


session("opened, nothing new", nothing_new(1), nothing_new(2))
session("read on", at(1, 5), nothing_new(2), writes(batch(), nothing_new(3)), at(4, 6))
session("the epoch again", at(1, 5), at(1, 5))
session("an epoch too far", at(2, 5), at(1, 5))
session("a partition more", at(1, 0, partition=1), nothing_new(2))
session("a partition that is unknown", at(1, 0, partition=5), nothing_new(2))
session("an offset out of range, told again", at(1, 99), nothing_new(2), at(3, 5), nothing_new(4))
session("a partition less", forgets(1), nothing_new(2))
session("forgetting what was never there", forgets(1, partition=7), nothing_new(2))
session("closed", at(-1, 0), nothing_new(1))
session("opened anew under its id", at(0, 0), nothing_new(1))

# ---- ListOffsets ----

listed = table("ListOffsets", 1, 10)


def at_time(world, name, timestamp, partition=0, epoch=-1, **more):
    part = {"PartitionIndex": partition, "Timestamp": timestamp, "CurrentLeaderEpoch": epoch}
    return {"ReplicaId": -1, "Topics": [{"Name": name, "Partitions": [part]}], **more}


def timed(world):
    """Times NOW-3000, NOW-1000, NOW-2000 in one batch of offsets 1-3, others around it."""
    times = batch(PLAIN * 3, at=NOW - 3000, time_deltas=[0, 2000, 1000])
    return world.topic(records=(batch(at=NOW - 5000), times, batch(at=NOW - 4000)))


listed("the end", lambda w: at_time(w, timed(w), -1))
for special in range(-2, -9, -1):
    listed(f"timestamp {special}", lambda w, s=special: at_time(w, timed(w), s))
listed("timestamp -2^63", lambda w: at_time(w, timed(w), -2**63))
for shift in (-9000, -5000, -4999, -3000, -2500, -2000, -1500, -1000, -999):
    listed(f"first at NOW {shift}", lambda w, s=shift: at_time(w, timed(w), NOW + s))
listed("time 0", lambda w: at_time(w, timed(w), 0))
listed("time 2^63-1", lambda w: at_time(w, timed(w), 2**63 - 1))
for special in (-1, -2, -3, NOW):
    word = "a time" if special == NOW else special
    listed(f"timestamp {word} of an empty partition", lambda w, s=special: at_time(w, w.topic(), s))
listed("times compressed", lambda w: at_time(w, w.topic(records=[batch(
    PLAIN * 3, codec=GZIP, at=NOW - 3000, time_deltas=[0, 2000, 1000])]), NOW - 2000))
listed("the greatest time twice", lambda w: at_time(w, w.topic(records=[
    batch(at=NOW - 1), batch(PLAIN * 2, at=NOW - 1), batch(at=NOW - 2)]), -3))
listed("read_committed", lambda w: at_time(w, timed(w), -1, IsolationLevel=1), since=2)
listed("isolation level 2", lambda w: at_time(w, timed(w), -1, IsolationLevel=2), since=2)
listed("the leader epoch", lambda w: at_time(w, timed(w), -1, epoch=0), since=4)
listed("a future leader epoch", lambda w: at_time(w, timed(w), -1, epoch=9), since=4)
listed("unknown topic", lambda w: at_time(w, w.name("nowhere"), -1))
listed("illegal name", lambda w: at_time(w, "not/legal", -1))
listed("empty name", lambda w: at_time(w, "", -1))
listed("unknown partition", lambda w: at_time(w, w.topic(), -1, partition=1))
listed("partition below 0", lambda w: at_time(w, w.topic(), -1, partition=-1))
listed("no topics", lambda w: {"ReplicaId": -1})
listed("a topic without partitions", lambda w: {
    "ReplicaId": -1, "Topics": [{"Name": w.topic(), "Partitions": []}]})
listed("a debugging replica", lambda w: {**at_time(w, timed(w), -1), "ReplicaId": -2})
listed("timeout 0", lambda w: at_time(w, timed(w), -1, TimeoutMs=0), since=10)


def listed_twice(world):
    body = at_time(world, timed(world), -1)
    body["Topics"][0]["Partitions"] *= 2
    world.ask(body)


listed("the same partition twice", act=listed_twice)

# ---- OffsetForLeaderEpoch ----

epochs = table("OffsetForLeaderEpoch", 2, 4)


def of_epoch(world, name, epoch, partition=0, current=-1, replica=-1):
    part = {"Partition": partition, "CurrentLeaderEpoch": current, "LeaderEpoch": epoch}
    return {"ReplicaId": replica, "Topics": [{"Topic": name, "Partitions": [part]}]}


for asked in (0, 1, 9, -1, -2, 2**31 - 1):
    epochs(f"epoch {asked}", lambda w, e=asked: of_epoch(w, filled(w), e))
epochs("epoch 0 of an empty partition", lambda w: of_epoch(w, w.topic(), 0))
epochs("the leader epoch", lambda w: of_epoch(w, filled(w), 0, current=0))
epochs("a future leader epoch", lambda w: of_epoch(w, filled(w), 0, current=9))
epochs("unknown topic", lambda w: of_epoch(w, w.name("nowhere"), 0))
epochs("unknown partition", lambda w: of_epoch(w, w.topic(), 0, partition=1))
epochs("partition below 0", lambda w: of_epoch(w, w.topic(), 0, partition=-1))
epochs("illegal name", lambda w: of_epoch(w, "not/legal", 0))
epochs("no topics", lambda w: {"ReplicaId": -1})
epochs("a debugging replica", lambda w: of_epoch(w, filled(w), 0, replica=-2), since=3)


# ---- DeleteRecords ----

deleted = table("DeleteRecords", 0, 2)


def before(world, name, *offsets, partition=0, timeout=10_000):
    parts = [{"PartitionIndex": partition, "Offset": offset} for offset in offsets]
    return {"TimeoutMs": timeout, "Topics": [{"Name": name, "Partitions": parts}]}


def then(name, *offsets, configs=None):
    """Deletes to each offset in turn; then what is there, and reading what is not."""

    def act(world):
        topic = world.topic(records=FILLED, configs=configs)
        for offset in offsets:
            world.ask(before(world, topic, offset))
        world.also("ListOffsets", 5, at_time(world, topic, -2))
        world.also("ListOffsets", 5, at_time(world, topic, -1))
        world.also("ListOffsets", 7, at_time(world, topic, -3))
        for start in (0, 2, 5):
            world.also("Fetch", 11, fetch(world, topic, start))

    deleted(name, act=act)


deleted("to offset 1", lambda w: before(w, filled(w), 1))
then("to the middle of a batch", 2)
then("to the end", 5)
then("to the high watermark", -1)
then("past the end", 6)
then("offset -2", -2)
then("offset 0", 0)
then("back", 4, 1)
then("the same again", 4, 4)
then("a compacted topic", 2, configs={"cleanup.policy": "compact"})
then("a compacted topic with retention", 2, configs={"cleanup.policy": "compact,delete"})
deleted("an empty partition to its end", lambda w: before(w, w.topic(), -1))
deleted("unknown topic", lambda w: before(w, w.name("nowhere"), 0))
deleted("unknown partition", lambda w: before(w, w.topic(), 0, partition=1))
deleted("partition below 0", lambda w: before(w, w.topic(), 0, partition=-1))
deleted("illegal name", lambda w: before(w, "not/legal", 0))
deleted("no topics", lambda w: {"TimeoutMs": 1000})
deleted("timeout 0", lambda w: before(w, filled(w), 2, timeout=0))
