"""Metadata (3), CreateTopics (19), DeleteTopics (20), CreatePartitions (37),
DescribeTopicPartitions (75), DescribeLogDirs (35), DescribeProducers (61)."""

from differential.batch import batch
from differential.rows.table import table
from differential.world import LOCAL_NODE_ID, UNKNOWN_ID

UNKNOWN_NODE_ID = 99
ILLEGAL_NAMES = ("not/legal", "", ".", "..", "with space", "ü", "a" * 250, "nul\0")

# ---- Metadata ----

row = table("Metadata", 0, 13)


def metadata(*names, create=False, **more):
    topics = [{"Name": name} for name in names]
    return {"Topics": topics, "AllowAutoTopicCreation": create, **more}


row("one topic", lambda w: metadata(w.topic(partitions=2)))
row("two topics", lambda w: metadata(w.topic("one"), w.topic("two")))
row("the same topic twice", lambda w: metadata(*[w.topic()] * 2))


def everything(world):
    world.topic()
    world.ask({"Topics": [] if world.version == 0 else None, "AllowAutoTopicCreation": False})


row("all topics", act=everything)
row("no topics", lambda w: metadata(), since=1)
row("null topics before they were allowed", lambda w: {"Topics": []}, until=0,
    change=lambda body: b"\xff" * 4)
row("unknown topic", lambda w: metadata(w.name("nowhere")), since=4)
row("unknown and known", lambda w: metadata(w.name("nowhere"), w.topic()), since=4)
for index, illegal in enumerate(ILLEGAL_NAMES):
    row(f"illegal name {index}", lambda w, n=illegal: metadata(n))
    row(f"illegal name {index}, to be created", lambda w, n=illegal: metadata(n, create=True))
row("authorized operations of topics", lambda w: metadata(
    w.topic(), IncludeTopicAuthorizedOperations=True), since=8)
row("authorized operations of the cluster", lambda w: metadata(
    w.topic(), IncludeClusterAuthorizedOperations=True), since=8, until=10)


def made_by_asking(world):
    """Asked for until it is there: Kafka's first answer is that it is not."""
    name = world.name("made")
    world.ask(metadata(name, create=True))
    world.learn(name)
    world.ask(metadata(name, create=True))


row("a topic made by asking", act=made_by_asking)


def collision(world):
    topic = world.topic("a.b")
    world.names[topic.replace(".", "_")] = "<a_b>"
    world.ask(metadata(topic.replace(".", "_"), create=True))


row("a name that collides, to be created", act=collision)


def by_id(world, **topic):
    return {"Topics": [topic], "AllowAutoTopicCreation": False}


row("by id", lambda w: by_id(w, Name=None, TopicId=w.id_of(w.topic())), since=10)
row("by unknown id", lambda w: by_id(w, Name=None, TopicId=UNKNOWN_ID), since=10)
row("by neither name nor id", lambda w: by_id(w, Name=None), since=10)


def by_both(world):
    topic = world.topic()
    world.ask(by_id(world, Name=topic, TopicId=world.id_of(topic)))


row("by name and id", act=by_both, since=10)
row("by name and unknown id", lambda w: by_id(w, Name=w.topic(), TopicId=UNKNOWN_ID), since=10)
row("by known and unknown id", lambda w: {"Topics": [
    {"Name": None, "TopicId": w.id_of(w.topic())}, {"Name": None, "TopicId": UNKNOWN_ID},
]}, since=12)
row("by id and by name", lambda w: {"Topics": [
    {"Name": None, "TopicId": w.id_of(w.topic("one"))}, {"Name": w.topic("two")},
]}, since=12)

# ---- CreateTopics ----

creates = table("CreateTopics", 2, 7)


def new(name, partitions=1, factor=1, assignments=(), configs=(), **more):
    """A request for one topic; `assignments` are lists of brokers, from 0 on, or pairs."""
    pairs = [each if isinstance(each, tuple) else (index, each)
             for index, each in enumerate(assignments)]
    topic = {
        "Name": name, "NumPartitions": partitions, "ReplicationFactor": factor,
        "Assignments": [{"PartitionIndex": p, "BrokerIds": ids} for p, ids in pairs],
        "Configs": [{"Name": key, "Value": value} for key, value in configs],
    }
    return {"Topics": [topic], "TimeoutMs": 10_000, **more}


def creation(name, *given, shows=True, **how):
    """Creates a topic; then Metadata shows what there is."""
    options = {key: how.pop(key) for key in ("since", "until", "alone") if key in how}

    def act(world):
        topic = world.name("new")
        answer = world.ask(new(topic, *given, **how))
        made = answer["Topics"] and answer["Topics"][0]["ErrorCode"] == 0
        world.settled()
        if made and not how.get("ValidateOnly"):
            world.learn(topic)
        world.also("Metadata", 12, metadata(topic))

    creates(name, act=act, **options)


creates("one topic", lambda w: new(w.name("new")), whole=True)
creation("three partitions", 3)
creation("default partitions", -1, until=7)
creation("default replication factor", 1, -1)
creation("all defaults", -1, -1)
for count in (0, -2, -(2**31)):
    creation(f"{count} partitions", count)
for factor in (0, -2, 2, 32_767):
    creation(f"replication factor {factor}", 1, factor)
creation("validate only", 3, 1, ValidateOnly=True)
creation("validate only, refused", 0, 1, ValidateOnly=True)
creation("assigned", -1, -1, ([LOCAL_NODE_ID], [LOCAL_NODE_ID]))
creation("assigned and a count", 2, -1, ([LOCAL_NODE_ID], [LOCAL_NODE_ID]))
creation("assigned and a factor", -1, 1, ([LOCAL_NODE_ID],))
creation("assigned to an unknown node", -1, -1, ([UNKNOWN_NODE_ID],))
creation("assigned to a node twice", -1, -1, ([LOCAL_NODE_ID, LOCAL_NODE_ID],))
creation("assigned to no node", -1, -1, ([],))
creation("assigned with a gap", -1, -1, ((0, [LOCAL_NODE_ID]), (2, [LOCAL_NODE_ID])))
creation("assigned from 1 on", -1, -1, ((1, [LOCAL_NODE_ID]),))
creation("assigned below 0", -1, -1, ((-1, [LOCAL_NODE_ID]),))
creation("assigned twice", -1, -1, ((0, [LOCAL_NODE_ID]), (0, [LOCAL_NODE_ID])))

GOOD_CONFIGS = (
    ("retention.ms", "1000"), ("retention.ms", "-1"), ("retention.bytes", "-1"),
    ("segment.bytes", "1048576"), ("cleanup.policy", "compact"),
    ("cleanup.policy", "compact,delete"), ("cleanup.policy", "delete"),
    ("compression.type", "zstd"), ("max.message.bytes", "0"), ("flush.messages", "1"),
    ("message.timestamp.type", "LogAppendTime"), ("min.insync.replicas", "1"),
    ("unclean.leader.election.enable", "true"), ("retention.ms", " 5 "),
)
BAD_CONFIGS = (
    ("no.such.key", "1"), ("retention.ms", "-2"), ("retention.ms", "soon"), ("retention.ms", ""),
    ("retention.ms", None), ("retention.ms", "9223372036854775808"), ("segment.bytes", "13"),
    ("cleanup.policy", "hoard"), ("compression.type", "rar"), ("max.message.bytes", "-1"),
    ("message.timestamp.type", "Sometime"), ("min.insync.replicas", "0"),
    ("unclean.leader.election.enable", "maybe"), ("", "1"), ("log.retention.ms", "1"),
    ("flush.messages", "0"), ("preallocate", "perhaps"),
)
for key, value in GOOD_CONFIGS:
    creation(f"config {key}={value}", 1, 1, (), ((key, value),))
for key, value in BAD_CONFIGS:
    creation(f"bad config {key}={value}", 1, 1, (), ((key, value),))
creation("a config twice", 1, 1, (), (("retention.ms", "1000"), ("retention.ms", "2000")))
creation("two configs, one bad", 1, 1, (), (("retention.ms", "1000"), ("segment.bytes", "x")))
creation("min.insync.replicas over the factor", 1, 1, (), (("min.insync.replicas", "2"),))
for index, illegal in enumerate(ILLEGAL_NAMES):
    creates(f"illegal name {index}", lambda w, n=illegal: new(n))
creates("the longest name", lambda w: new(w.name("long", "-" * 200)))
creates("exists", lambda w: new(w.topic()))
creates("exists, validate only", lambda w: new(w.topic(), ValidateOnly=True))
creates("no topics", lambda w: {"Topics": [], "TimeoutMs": 1000})


def twice(world):
    body = new(world.name("new"))
    body["Topics"] *= 2
    world.ask(body)


creates("the same name twice", act=twice)


def good_and_bad(world):
    body = new(world.name("good"))
    body["Topics"] += new(world.name("bad"), 0)["Topics"]
    world.ask(body)


creates("one good, one bad", act=good_and_bad)


def create_collision(world):
    topic = world.topic("a.b")
    other = topic.replace(".", "_")
    world.names[other] = "<a_b>"
    world.ask(new(other))


creates("a name that collides", act=create_collision)
creates("two names that collide", act=lambda w: w.ask({**new(w.name("a.b")), "Topics": [
    *new(w.name("a.b"))["Topics"], *new(next(iter(w.names)).replace(".", "_"))["Topics"]]}))
for timeout in (0, -1):
    word = "0" if timeout == 0 else "below 0"
    creation(f"timeout {word}", TimeoutMs=timeout)
    creation(f"timeout {word}, refused", 0, TimeoutMs=timeout)
    creation(f"timeout {word}, validate only", TimeoutMs=timeout, ValidateOnly=True)

# ---- DeleteTopics ----

deletes = table("DeleteTopics", 1, 6)


def gone(world, *names, **more):
    """By name, as each version has it."""
    return {"TopicNames": list(names), "Topics": [{"Name": name} for name in names],
            "TimeoutMs": 10_000, **more}


def then_gone(world):
    topic = world.topic(records=[batch()])
    world.ask(gone(world, topic))
    world.ask(gone(world, topic))
    world.settled()
    world.also("Metadata", 12, metadata(topic))


deletes("by name", lambda w: gone(w, w.topic()))
deletes("by name, again", act=then_gone)
deletes("unknown name", lambda w: gone(w, w.name("nowhere")))
deletes("known and unknown", lambda w: gone(w, w.topic(), w.name("nowhere")))
deletes("the same name twice", lambda w: gone(w, *[w.topic()] * 2))
deletes("no topics", lambda w: gone(w))
for index, illegal in enumerate(ILLEGAL_NAMES[:3]):
    deletes(f"illegal name {index}", lambda w, n=illegal: gone(w, n))


def gone_by_id(world, *ids, name=None):
    return {"Topics": [{"Name": name, "TopicId": each} for each in ids], "TimeoutMs": 10_000}


deletes("by id", lambda w: gone_by_id(w, w.id_of(w.topic())), since=6)
deletes("unknown id", lambda w: gone_by_id(w, UNKNOWN_ID), since=6)
deletes("the same id twice", lambda w: gone_by_id(w, *[w.id_of(w.topic())] * 2), since=6)
deletes("neither name nor id", lambda w: {"Topics": [{}], "TimeoutMs": 1000}, since=6)
deletes("null name, no id", lambda w: {"Topics": [{"Name": None}], "TimeoutMs": 1000}, since=6)


def gone_by_both(world):
    topic = world.topic()
    world.ask(gone_by_id(world, world.id_of(topic), name=topic))
    world.settled()
    world.also("Metadata", 12, metadata(topic))


deletes("name and id", act=gone_by_both, since=6)


def gone_by_name_and_id(world):
    topic = world.topic()
    world.ask({"Topics": [{"Name": topic}, {"Name": None, "TopicId": world.id_of(topic)}],
               "TimeoutMs": 10_000})


deletes("a topic by name and once more by id", act=gone_by_name_and_id, since=6)


def made_again(world):
    topic = world.topic(records=[batch()])
    world.ask(gone(world, topic))
    world.call("CreateTopics", 7, new(topic))
    world.settled()
    world.learn(topic)
    world.also("ListOffsets", 5, {"ReplicaId": -1, "Topics": [
        {"Name": topic, "Partitions": [{"PartitionIndex": 0, "Timestamp": -1}]}]})


deletes("made again, empty", act=made_again)


def gone_at_once(name, timeout, *others):
    """With no time to wait for it; then what is there."""

    def act(world):
        topic = world.topic()
        world.ask(gone(world, topic, *map(world.name, others), TimeoutMs=timeout))
        world.settled()
        world.also("Metadata", 12, metadata(topic))

    deletes(name, act=act)


gone_at_once("timeout 0", 0)
gone_at_once("timeout below 0", -1)
gone_at_once("timeout 0, known and unknown", 0, "nowhere")

# ---- CreatePartitions ----

grows = table("CreatePartitions", 0, 3)


def grown(name, count, assignments=None, validate_only=False, timeout=10_000):
    given = None if assignments is None else [{"BrokerIds": ids} for ids in assignments]
    topic = {"Name": name, "Count": count, "Assignments": given}
    return {"Topics": [topic], "TimeoutMs": timeout, "ValidateOnly": validate_only}


def growth(name, *given, partitions=2, **how):
    def act(world):
        topic = world.topic(partitions=partitions)
        world.ask(grown(topic, *given, **how))
        world.settled()
        world.learn(topic)
        world.also("Metadata", 12, metadata(topic))

    grows(name, act=act)


grows("one more", lambda w: grown(w.topic(), 2))
growth("two more", 4)
for count in (2, 1, 0, -1):
    growth(f"{count} of 2", count)
growth("validate only", 3, validate_only=True)
growth("validate only, refused", 1, validate_only=True)
growth("assigned", 4, [[LOCAL_NODE_ID], [LOCAL_NODE_ID]])
growth("too few assigned", 4, [[LOCAL_NODE_ID]])
growth("too many assigned", 3, [[LOCAL_NODE_ID], [LOCAL_NODE_ID]])
growth("none assigned", 3, [])
growth("assigned to an unknown node", 3, [[UNKNOWN_NODE_ID]])
growth("assigned to a node twice", 3, [[LOCAL_NODE_ID, LOCAL_NODE_ID]])
growth("assigned to no node", 3, [[]])
grows("unknown topic", lambda w: grown(w.name("nowhere"), 2))
grows("illegal name", lambda w: grown("not/legal", 2))
grows("no topics", lambda w: {"Topics": [], "TimeoutMs": 1000})
growth("timeout 0", 3, timeout=0)
growth("timeout below 0", 3, timeout=-1)
growth("timeout 0, refused", 1, timeout=0)
growth("timeout 0, validate only", 3, timeout=0, validate_only=True)


def grown_twice(world):
    body = grown(world.topic(), 2)
    body["Topics"] += [{**body["Topics"][0], "Count": 3}]
    world.ask(body)


grows("the same topic twice", act=grown_twice)


def grown_and_not(world):
    body = grown(world.topic("one"), 2)
    body["Topics"] += grown(world.topic("two"), 1)["Topics"]
    world.ask(body)


grows("one good, one bad", act=grown_and_not)


def written_to_new(world):
    topic = world.topic()
    world.ask(grown(topic, 2))
    world.settled()
    world.learn(topic)
    world.write(topic, batch(), partition=1)
    world.also("ListOffsets", 5, {"ReplicaId": -1, "Topics": [
        {"Name": topic, "Partitions": [{"PartitionIndex": 1, "Timestamp": -1}]}]})


grows("written to", act=written_to_new)

# ---- DescribeTopicPartitions ----

described = table("DescribeTopicPartitions", 0, 0)


def described_body(*names, limit=2000, cursor=None):
    body = {"Topics": [{"Name": name} for name in names], "ResponsePartitionLimit": limit}
    if cursor:
        body["Cursor"] = {"TopicName": cursor[0], "PartitionIndex": cursor[1]}
    return body


described("one topic", lambda w: described_body(w.topic(partitions=2)))
described("two topics", lambda w: described_body(w.topic("two"), w.topic("one")))
described("unknown topic", lambda w: described_body(w.name("nowhere"), w.topic()))
described("the same topic twice", lambda w: described_body(*[w.topic()] * 2))
for index, illegal in enumerate(ILLEGAL_NAMES):
    described(f"illegal name {index}", lambda w, n=illegal: described_body(n))


def limited(name, limit, cursor=None):
    """Two topics, of two and three partitions; the cursor is ("a" or "b", partition)."""

    def act(world):
        topics = {word: world.topic(word, count) for word, count in (("a", 2), ("b", 3))}
        at = cursor and (topics.get(cursor[0]) or world.name(cursor[0]), cursor[1])
        world.ask(described_body(*topics.values(), limit=limit, cursor=at))

    described(name, act=act)


for limit in (1, 2, 3, 5, 0, -1):
    limited(f"limit {limit}", limit)
limited("from a cursor", 2000, ("a", 1))
limited("from a cursor in the second topic", 2, ("b", 1))
limited("from a cursor past the partitions", 2000, ("a", 5))
limited("from a cursor below 0", 2000, ("a", -1))
limited("from a cursor of no topic asked for", 2000, ("aa", 1))

# ---- DescribeLogDirs ----

dirs = table("DescribeLogDirs", 1, 4)


def in_dirs(*topics):
    return {"Topics": [{"Topic": name, "Partitions": list(parts)} for name, parts in topics]}


def everywhere(world):
    world.topic(records=[batch()])
    world.ask({"Topics": None})


dirs("one partition", lambda w: in_dirs((w.topic(records=[batch()]), [0])))
dirs("two partitions", lambda w: in_dirs((w.topic(partitions=3, records=[batch()]), [0, 1])))
dirs("everything", act=everywhere)
dirs("nothing", lambda w: in_dirs())
dirs("no partitions", lambda w: in_dirs((w.topic(), [])))
dirs("unknown topic", lambda w: in_dirs((w.name("nowhere"), [0])))
dirs("unknown partition", lambda w: in_dirs((w.topic(), [0, 7, -1])))
dirs("the same partition twice", lambda w: in_dirs((w.topic(), [0, 0])))
dirs("illegal name", lambda w: in_dirs(("not/legal", [0])))

# ---- DescribeProducers ----

producers = table("DescribeProducers", 0, 0)


def producers_of(name, *partitions):
    return {"Topics": [{"Name": name, "PartitionIndexes": list(partitions)}]}


def active(world):
    topic = world.topic()
    first, second = world.producer_id(), world.producer_id()
    world.write(topic, batch())
    world.write(topic, batch(producer=(first, 0, 0)))
    world.write(topic, batch(producer=(first, 0, 1)))
    world.write(topic, batch(producer=(second, 2, 0)))
    world.ask(producers_of(topic, 0))


producers("none", lambda w: producers_of(w.topic(records=[batch()]), 0))
producers("two", act=active)
producers("unknown topic", lambda w: producers_of(w.name("nowhere"), 0))
producers("unknown partition", lambda w: producers_of(w.topic(), 0, 1, -1))
producers("the same partition twice", lambda w: producers_of(w.topic(), 0, 0))
producers("illegal name", lambda w: producers_of("not/legal", 0))
producers("no topics", lambda w: {"Topics": []})
