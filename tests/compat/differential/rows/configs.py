"""DescribeConfigs (32), AlterConfigs (33), IncrementalAlterConfigs (44),
ListConfigResources (74)."""

from differential.rows.table import table
from differential.world import LOCAL_NODE_ID

UNKNOWN, TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP = 0, 2, 4, 8, 16, 32
SET, DELETE, APPEND, SUBTRACT = range(4)
NODE = str(LOCAL_NODE_ID)
# Keys that every broker of Kafka's kind has; lists of all of them differ and are not asked for.
TOPIC_KEYS = (
    "cleanup.policy", "compression.type", "delete.retention.ms", "file.delete.delay.ms",
    "flush.messages", "flush.ms", "index.interval.bytes", "max.compaction.lag.ms",
    "max.message.bytes", "message.timestamp.after.max.ms", "message.timestamp.before.max.ms",
    "message.timestamp.type", "min.cleanable.dirty.ratio", "min.insync.replicas", "preallocate",
    "retention.bytes", "retention.ms", "segment.bytes", "segment.index.bytes", "segment.jitter.ms",
    "segment.ms", "unclean.leader.election.enable",
)
BROKER_KEYS = (
    "log.retention.ms", "log.retention.hours", "log.retention.bytes", "log.segment.bytes",
    "compression.type", "message.max.bytes", "num.partitions", "auto.create.topics.enable",
    "log.cleanup.policy", "node.id", "min.insync.replicas", "default.replication.factor",
    "socket.request.max.bytes", "connections.max.idle.ms", "fetch.max.bytes",
    "log.message.timestamp.type", "num.network.threads",
)

# ---- DescribeConfigs ----

row = table("DescribeConfigs", 1, 4)


def described(kind, name, keys=TOPIC_KEYS[:5], **more):
    keys = None if keys is None else list(keys)
    return {"Resources": [{"ResourceType": kind, "ResourceName": name, "ConfigurationKeys": keys}],
            **more}


row("a topic", lambda w: described(TOPIC, w.topic()))
for key in TOPIC_KEYS:
    row(f"a topic's {key}", lambda w, k=key: described(
        TOPIC, w.topic(), [k], IncludeSynonyms=True, IncludeDocumentation=False))
row("with documentation", lambda w: described(
    TOPIC, w.topic(), TOPIC_KEYS[:2], IncludeDocumentation=True), since=3)
row("with what was set", lambda w: described(TOPIC, w.topic(configs={
    "cleanup.policy": "compact", "retention.ms": "1234", "compression.type": "lz4",
}), ("cleanup.policy", "retention.ms", "compression.type"), IncludeSynonyms=True))
row("without synonyms", lambda w: described(TOPIC, w.topic(configs={"retention.ms": "1234"}),
                                            ("retention.ms", "segment.bytes")))
row("an unknown key", lambda w: described(TOPIC, w.topic(), ["no.such.key", "retention.ms"]))
row("a key twice", lambda w: described(TOPIC, w.topic(), ["retention.ms"] * 2))
row("no keys", lambda w: described(TOPIC, w.topic(), []))
row("an unknown topic", lambda w: described(TOPIC, w.name("nowhere")))
row("an illegal name", lambda w: described(TOPIC, "not/legal"))
row("an empty name", lambda w: described(TOPIC, ""))
for key in BROKER_KEYS:
    row(f"a broker's {key}", lambda w, k=key: described(
        BROKER, NODE, [k], IncludeSynonyms=True), alone=True)
row("the brokers' defaults", lambda w: described(BROKER, "", BROKER_KEYS), alone=True)
row("an unknown broker", lambda w: described(BROKER, "99"))
row("a broker that is no number", lambda w: described(BROKER, "one"))
row("a broker's loggers, unknown broker", lambda w: described(BROKER_LOGGER, "99"))
row("client metrics", lambda w: described(CLIENT_METRICS, "row-metrics", None))
row("client metrics without name", lambda w: described(CLIENT_METRICS, "", None))
row("a group without name", lambda w: described(GROUP, "", None))
for kind in (UNKNOWN, 1, 3, 64, 127, -1):
    row(f"resource type {kind}", lambda w, k=kind: described(k, "row"))
row("nothing", lambda w: {"Resources": []})


def two_resources(world):
    body = described(TOPIC, world.topic("one"))
    body["Resources"] += described(TOPIC, world.topic("two"), ["retention.ms"])["Resources"]
    body["Resources"] += described(TOPIC, world.name("nowhere"))["Resources"]
    world.ask(body)


row("several resources", act=two_resources)


def same_resource(world):
    body = described(TOPIC, world.topic())
    body["Resources"] *= 2
    world.ask(body)


row("the same resource twice", act=same_resource)

# ---- IncrementalAlterConfigs ----

changes = table("IncrementalAlterConfigs", 0, 1)


def changed(kind, name, *operations, validate_only=False):
    """Each operation is (key, operation, value)."""
    configs = [{"Name": key, "ConfigOperation": op, "Value": value}
               for key, op, value in operations]
    return {"Resources": [{"ResourceType": kind, "ResourceName": name, "Configs": configs}],
            "ValidateOnly": validate_only}


def shown(world, kind, name, keys):
    world.settled()
    world.also("DescribeConfigs", 4, described(kind, name, sorted(keys), IncludeSynonyms=True))


def change(name, *operations, before=None, validate_only=False):
    """Changes a topic's configs, and shows the keys afterwards."""

    def act(world):
        topic = world.topic(configs=before)
        world.ask(changed(TOPIC, topic, *operations, validate_only=validate_only))
        keys = {key for key, _, _ in operations} | set(before or ())
        shown(world, TOPIC, topic, keys)

    changes(name, act=act)


RETENTION = {"retention.ms": "1000"}
BOTH = {"cleanup.policy": "compact,delete"}
changes("set one", lambda w: changed(TOPIC, w.topic(), ("retention.ms", SET, "1000")))
change("set", ("retention.ms", SET, "1000"), ("segment.bytes", SET, "1048576"))
change("set again", ("retention.ms", SET, "2000"), before=RETENTION)
change("set what is set", ("retention.ms", SET, "1000"), before=RETENTION)
change("set to null", ("retention.ms", SET, None), before=RETENTION)
change("delete", ("retention.ms", DELETE, None), before=RETENTION)
change("delete with a value", ("retention.ms", DELETE, "5"), before=RETENTION)
change("delete what is not set", ("retention.ms", DELETE, None))
change("append", ("cleanup.policy", APPEND, "compact"))
change("append what is there", ("cleanup.policy", APPEND, "delete"))
change("append two", ("cleanup.policy", APPEND, "compact,delete"))
change("append to what is no list", ("retention.ms", APPEND, "5"))
change("append nothing", ("cleanup.policy", APPEND, None))
change("append an illegal value", ("cleanup.policy", APPEND, "hoard"))
change("subtract", ("cleanup.policy", SUBTRACT, "compact"), before=BOTH)
change("subtract what is not there", ("cleanup.policy", SUBTRACT, "compact"))
change("subtract the last", ("cleanup.policy", SUBTRACT, "delete"))
change("subtract from what is no list", ("retention.ms", SUBTRACT, "5"))
change("operation 4", ("retention.ms", 4, "5"))
change("operation -1", ("retention.ms", -1, "5"))
change("an unknown key", ("no.such.key", SET, "1"))
change("delete an unknown key", ("no.such.key", DELETE, None))
change("a bad value", ("retention.ms", SET, "soon"))
change("a value out of range", ("retention.ms", SET, "-2"))
change("an empty value", ("retention.ms", SET, ""))
change("one good, one bad", ("retention.ms", SET, "1000"), ("segment.bytes", SET, "x"))
change("a key twice", ("retention.ms", SET, "1000"), ("retention.ms", SET, "2000"))
change("a key set and deleted", ("retention.ms", SET, "1000"), ("retention.ms", DELETE, None))
change("validate only", ("retention.ms", SET, "1000"), validate_only=True)
change("validate only, refused", ("retention.ms", SET, "-2"), validate_only=True)
change("nothing to change")
changes("an unknown topic", lambda w: changed(
    TOPIC, w.name("nowhere"), ("retention.ms", SET, "1")))
changes("an illegal name", lambda w: changed(TOPIC, "not/legal", ("retention.ms", SET, "1")))
changes("an empty name", lambda w: changed(TOPIC, "", ("retention.ms", SET, "1")))
changes("an unknown broker", lambda w: changed(BROKER, "99", ("log.retention.ms", SET, "9999999")))
changes("a broker that is no number", lambda w: changed(
    BROKER, "one", ("log.retention.ms", SET, "9999999")))
for kind in (UNKNOWN, 1, 3, 64, -1):
    changes(f"resource type {kind}", lambda w, k=kind: changed(
        k, "row", ("retention.ms", SET, "1000")))
changes("nothing", lambda w: {"Resources": []})


def change_two(world):
    body = changed(TOPIC, world.topic("one"), ("retention.ms", SET, "1000"))
    body["Resources"] += changed(TOPIC, world.topic("two"), ("retention.ms", SET, "x"))["Resources"]
    world.ask(body)


changes("several topics, one refused", act=change_two)


def change_twice(world):
    body = changed(TOPIC, world.topic(), ("retention.ms", SET, "1000"))
    body["Resources"] *= 2
    world.ask(body)


changes("the same topic twice", act=change_twice)


def change_broker(name, node, *operations, validate_only=False):
    """Changes a broker's configs (node "": all brokers'), shows them, and takes them back."""

    def act(world):
        world.ask(changed(BROKER, node, *operations, validate_only=validate_only))
        keys = {key for key, _, _ in operations}
        shown(world, BROKER, NODE, keys)
        undone = changed(BROKER, node, *((key, DELETE, None) for key in keys))
        world.call("IncrementalAlterConfigs", 1, undone)

    changes(name, act=act, alone=True)


for word, node in (("a broker", NODE), ("all brokers", "")):
    change_broker(f"{word}: set", node, ("log.retention.ms", SET, "98765432"))
    change_broker(f"{word}: set several", node, ("message.max.bytes", SET, "2000000"),
                  ("log.segment.bytes", SET, "2097152"))
    change_broker(f"{word}: a bad value", node, ("log.retention.ms", SET, "soon"))
    change_broker(f"{word}: an unknown key", node, ("no.such.key", SET, "1"))
    change_broker(f"{word}: a key that needs a restart", node, ("num.partitions", SET, "2"))
    change_broker(f"{word}: the node id", node, ("node.id", SET, "7"))
    change_broker(f"{word}: a topic's key", node, ("retention.ms", SET, "98765432"))
    change_broker(f"{word}: validate only", node, ("log.retention.ms", SET, "98765432"),
                  validate_only=True)
    change_broker(f"{word}: append", node, ("log.cleanup.policy", APPEND, "compact"))
    change_broker(f"{word}: delete", node, ("log.retention.ms", DELETE, None))


def inherited(world):
    """What a topic without a value of its own takes from the brokers."""
    topic = world.topic()
    own = world.topic("own", configs=RETENTION)
    world.ask(changed(BROKER, "", ("log.retention.ms", SET, "98765432")))
    for each in (topic, own):
        shown(world, TOPIC, each, ["retention.ms"])
    world.ask(changed(BROKER, NODE, ("log.retention.ms", SET, "12345678")))
    for each in (topic, own):
        shown(world, TOPIC, each, ["retention.ms"])
    for node in ("", NODE):
        world.ask(changed(BROKER, node, ("log.retention.ms", DELETE, None)))
    shown(world, TOPIC, topic, ["retention.ms"])


changes("a topic inherits a broker's value", act=inherited, alone=True)

# ---- AlterConfigs ----

replaces = table("AlterConfigs", 0, 2)


def replaced(kind, name, *pairs, validate_only=False):
    configs = [{"Name": key, "Value": value} for key, value in pairs]
    return {"Resources": [{"ResourceType": kind, "ResourceName": name, "Configs": configs}],
            "ValidateOnly": validate_only}


def replace(name, *pairs, before=None, validate_only=False):
    """Replaces a topic's configs, and shows the keys afterwards."""

    def act(world):
        topic = world.topic(configs=before)
        world.ask(replaced(TOPIC, topic, *pairs, validate_only=validate_only))
        shown(world, TOPIC, topic, {key for key, _ in pairs} | set(before or ()))

    replaces(name, act=act)


SEGMENT = {"segment.bytes": "2097152"}
replaces("one", lambda w: replaced(TOPIC, w.topic(), ("retention.ms", "1000")))
replace("what was set goes", ("retention.ms", "1000"), before=SEGMENT)
replace("nothing: all goes", before=SEGMENT)
replace("a null value", ("retention.ms", None), before=SEGMENT)
replace("a bad value", ("retention.ms", "soon"), before=SEGMENT)
replace("an unknown key", ("no.such.key", "1"), before=SEGMENT)
replace("a key twice", ("retention.ms", "1000"), ("retention.ms", "2000"), before=SEGMENT)
replace("validate only", ("retention.ms", "1000"), before=SEGMENT, validate_only=True)
replace("validate only, refused", ("retention.ms", "-2"), before=SEGMENT, validate_only=True)
replaces("an unknown topic", lambda w: replaced(TOPIC, w.name("nowhere"), ("retention.ms", "1")))
replaces("an illegal name", lambda w: replaced(TOPIC, "not/legal", ("retention.ms", "1")))
replaces("an empty name", lambda w: replaced(TOPIC, "", ("retention.ms", "1")))
replaces("an unknown broker", lambda w: replaced(BROKER, "99", ("log.retention.ms", "9999999")))
for kind in (UNKNOWN, 1, 3, 64):
    replaces(f"resource type {kind}", lambda w, k=kind: replaced(k, "row", ("retention.ms", "1")))
replaces("nothing", lambda w: {"Resources": []})


def replace_twice(world):
    body = replaced(TOPIC, world.topic(), ("retention.ms", "1000"))
    body["Resources"] *= 2
    world.ask(body)


replaces("the same topic twice", act=replace_twice)


def replace_broker(name, node, *pairs):
    def act(world):
        world.call("IncrementalAlterConfigs", 1, changed(
            BROKER, node, ("message.max.bytes", SET, "2000000")))
        world.ask(replaced(BROKER, node, *pairs))
        keys = {key for key, _ in pairs} | {"message.max.bytes"}
        shown(world, BROKER, NODE, keys)
        world.call("IncrementalAlterConfigs", 1, changed(
            BROKER, node, *((key, DELETE, None) for key in keys)))

    replaces(name, act=act, alone=True)


for word, node in (("a broker", NODE), ("all brokers", "")):
    replace_broker(f"{word}: what was set goes", node, ("log.retention.ms", "98765432"))
    replace_broker(f"{word}: a bad value", node, ("log.retention.ms", "soon"))

# ---- ListConfigResources ----

lists = table("ListConfigResources", 0, 1)


def listed(*kinds):
    return {"ResourceTypes": list(kinds)}


def with_topic(*kinds):
    def act(world):
        world.topic()
        world.ask(listed(*kinds))

    return act


lists("as clients ask", lambda w: listed())
lists("topics", act=with_topic(TOPIC), since=1)
lists("brokers", act=with_topic(BROKER), since=1)
lists("topics and brokers", act=with_topic(TOPIC, BROKER), since=1)
lists("topics twice", act=with_topic(TOPIC, TOPIC), since=1)
lists("loggers", act=with_topic(BROKER_LOGGER), since=1)
lists("client metrics", act=with_topic(CLIENT_METRICS), since=1)
lists("groups", act=with_topic(GROUP), since=1)
for kind in (UNKNOWN, 1, 3, 64, -1):
    lists(f"resource type {kind}", act=with_topic(kind), since=1)
