"""What one row of the table works in: a connection, topics of its own, and the answers it got.

An answer is a dict of the response's fields, or of one of: `closed` (the broker closed the
connection), `silent` (nothing came). What differs from run to run is replaced by a word.
"""

import itertools
import socket
import struct
import time

from differential import batch, schema
from driver import wire

ANSWER_TIMEOUT_S = 30
# A row that expects no answer waits so long for one.
SILENCE_TIMEOUT_S = 1.5
READY_TIMEOUT_S = 30
API_VERSIONS_KEY = 18
NUMBERS = itertools.count()
LOCAL_NODE_ID = 1
# ConfigSource of what was set for the topic itself.
SOURCE_TOPIC = 1

# Fields that differ from run to run or from machine to machine, wherever they stand.
MASKED = {
    "FinalizedFeaturesEpoch", "ThrottleTimeMs", "ClusterId", "Host", "Port", "Rack", "LogDir", "TotalBytes", "UsableBytes",
    "LogAppendTimeMs", "LastTimestamp",
}
# Numbers of which only the kind is compared: the value of none, or "some".
SOME = {"ProducerId": -1, "SessionId": 0}
# What a person reads: whether there is a text.
TEXTS = {"ErrorMessage", "BatchIndexErrorMessage"}


class Connection:
    """A connection on which requests are asked one after the other."""

    def __init__(self, address):
        self.address = address
        self.socket = None
        self.correlation_id = 0

    def exchange(self, api_key, version, header_version, body, timeout=ANSWER_TIMEOUT_S):
        """The response with its correlation id taken off; None if the broker closed the connection.
        TimeoutError if nothing comes."""
        self.correlation_id += 1
        header = struct.pack(">hhi", api_key, version, self.correlation_id) + wire.string("row")
        header += b"\0" if header_version == 2 else b""
        return self.send(header + body, timeout)

    def send(self, frame, timeout=ANSWER_TIMEOUT_S):
        if self.socket is None:
            self.socket = socket.create_connection(wire.split(self.address))
        self.socket.settimeout(timeout)
        try:
            self.socket.sendall(struct.pack(">i", len(frame)) + frame)
            (size,) = struct.unpack(">i", wire.receive(self.socket, 4))
            response = wire.receive(self.socket, size)
        except TimeoutError:
            self.close()
            raise
        except ConnectionError:
            self.close()
            return None
        assert response[:4] == frame[4:8], "another correlation id"
        return response[4:]

    def close(self):
        if self.socket:
            self.socket.close()
            self.socket = None


class World:
    """Where one row runs in one version of its API."""

    def __init__(self, address, api, version):
        self.connection = Connection(address)
        self.api = api
        self.version = version
        self.number = next(NUMBERS)
        # What is shown instead of names and ids.
        self.names = {}
        self.ids = {}
        self.answers = []
        self.whole = False
        self.settled_count = 0

    # ---- asking ----

    def ask(self, body, *, whole=False, **how):
        """A request of the row's API and version; its answer is compared. `whole`: with the configs of
        a new topic that were not set."""
        self.whole = whole
        return self.also(self.api, self.version, body, **how)

    def also(self, api, version, body, **how):
        """A request of any API; its answer is compared."""
        answer = self.call(api, version, body, **how)
        self.answers.append({"api": f"{api} v{version}", **self.shown(answer)})
        return answer

    def call(self, api, version, body, *, wire_version=None, reply_version=None, change=None,
             unknown_tags=False, timeout=ANSWER_TIMEOUT_S):
        """A request that is not compared. `wire_version` and `reply_version`: what the header says
        and what the answer is decoded as, where that is another version; `change`: what becomes of
        the encoded body."""
        request = schema.message(f"{api}Request")
        response = schema.message(f"{api}Response")
        encoded = request.encode(body, version, unknown_tags)
        encoded = change(encoded) if change else encoded
        flexible = version in request.flexible
        wire_version = version if wire_version is None else wire_version
        reply_version = version if reply_version is None else reply_version
        try:
            reply = self.connection.exchange(
                request.api_key, wire_version, 2 if flexible else 1, encoded, timeout
            )
        except TimeoutError:
            return {"silent": True}
        if reply is None:
            return {"closed": True}
        if reply_version in response.flexible and request.api_key != API_VERSIONS_KEY:
            assert reply[:1] == b"\0", "a tagged field in the header"
            reply = reply[1:]
        return response.decode(reply, reply_version)

    # ---- topics ----

    def name(self, word, ending=""):
        """A name that no other row has; `<word>` in the recording."""
        name = f"row-{self.number}-{word}{ending}"
        self.names[name] = f"<{word}{ending}>"
        return name

    def topic(self, word="topic", partitions=1, records=(), configs=None, factor=1):
        """Creates a topic, waits until it is led, and writes the batches given to partition 0."""
        name = self.made(self.name(word), partitions, configs, factor)
        self.learn(name)
        for each in records:
            self.write(name, each)
        return name

    def made(self, name, partitions=1, configs=None, factor=1):
        """Creates a topic and waits for nothing more."""
        body = {"TimeoutMs": 10_000, "Topics": [{
            "Name": name, "NumPartitions": partitions, "ReplicationFactor": factor,
            "Configs": [{"Name": key, "Value": value} for key, value in (configs or {}).items()],
        }]}
        created = self.call("CreateTopics", 7, body)["Topics"][0]
        assert created["ErrorCode"] == 0, f"creating a topic: error {created['ErrorCode']}"
        return name

    def learn(self, name):
        """Waits until a topic's partitions are led, and knows its id from then on."""
        deadline = time.monotonic() + READY_TIMEOUT_S
        while True:
            body = {"Topics": [{"Name": name}], "AllowAutoTopicCreation": False}
            topic = self.call("Metadata", 12, body)["Topics"][0]
            if topic["ErrorCode"] == 0 and all(self.is_led(name, p) for p in topic["Partitions"]):
                self.ids[topic["TopicId"]] = f"id of {self.names[name]}"
                return topic["TopicId"]
            assert time.monotonic() < deadline, f"{name} has no leaders: {topic}"
            time.sleep(0.01)

    def settled(self):
        """Waits until the broker knows what was changed: Kafka answers before that, but in order."""
        self.settled_count += 1
        self.learn(self.made(self.name(f"settled-{self.settled_count}")))

    def is_led(self, name, partition):
        if partition["ErrorCode"] != 0:
            return False
        body = {"ReplicaId": -1, "Topics": [{"Name": name, "Partitions": [
            {"PartitionIndex": partition["PartitionIndex"], "Timestamp": -1}
        ]}]}
        answer = self.call("ListOffsets", 5, body)
        return answer["Topics"][0]["Partitions"][0]["ErrorCode"] == 0

    def id_of(self, name):
        (found,) = (i for i, word in self.ids.items() if word == f"id of {self.names[name]}")
        return found

    def named(self, name):
        """A topic by name and id: each version of an API takes what it has."""
        known = f"id of {self.names.get(name)}" in self.ids.values()
        return {"Name": name, "TopicId": self.id_of(name) if known else UNKNOWN_ID}

    def write(self, name, records, partition=0):
        body = {"Acks": -1, "TimeoutMs": 10_000, "TopicData": [
            {"Name": name, "PartitionData": [{"Index": partition, "Records": records}]}
        ]}
        answer = self.call("Produce", 9, body)
        done = answer["Responses"][0]["PartitionResponses"][0]
        assert done["ErrorCode"] == 0, f"writing: {done}"

    def producer_id(self):
        body = {"TransactionalId": None, "TransactionTimeoutMs": 60_000}
        answer = self.call("InitProducerId", 4, body)
        assert answer["ErrorCode"] == 0, f"a producer id: {answer}"
        return answer["ProducerId"]

    # ---- showing ----

    def shown(self, answer, key=None):
        """An answer as it is recorded and compared."""
        if isinstance(answer, dict):
            return {name: self.field(name, value) for name, value in answer.items()}
        if isinstance(answer, list):
            shown = [self.shown(each, key) for each in answer if not self.is_foreign(each)]
            return keyed(shown) if shown and isinstance(shown[0], dict) else shown
        if isinstance(answer, str):
            return self.words(answer)
        return answer

    def field(self, name, value):
        if name in MASKED:
            return "masked"
        if name in SOME and value != SOME[name]:
            return "some"
        if name in TEXTS and value:
            return "a text"
        if name == "Configs" and self.api == "CreateTopics" and not self.whole:
            value = value and [each for each in value if each["ConfigSource"] == SOURCE_TOPIC]
        if name == "Records":
            return value if value is None else batch.seen(value)
        if name == "TopicId":
            return self.id_shown(value)
        if name == "Timestamp":
            return batch.relative(value)
        return self.shown(value, name)

    def id_shown(self, topic_id):
        if topic_id == schema.NO_ID:
            return "no id"
        if topic_id == UNKNOWN_ID:
            return "unknown id"
        return self.ids.get(topic_id, "some id")

    def words(self, text):
        for name, word in sorted(self.names.items(), key=lambda pair: -len(pair[0])):
            text = text.replace(name, word)
        return text

    def is_foreign(self, each):
        """Whether it tells of a topic of another row: lists of all topics have them."""
        if not isinstance(each, dict):
            return False
        name = next((each[key] for key in TOPIC_NAMES if isinstance(each.get(key), str)), "")
        return (name.startswith("row-") or name.startswith("__")) and name not in self.names


def keyed(rows):
    """An array of structures by what they are about: no client relies on their order, and one that
    is missing must not shift the others."""
    for key in KEYS:
        names = [row.get(key) for row in rows]
        if None not in names and len(set(map(str, names))) == len(rows):
            return {str(name): row for name, row in sorted(zip(map(str, names), rows))}
    return sorted(rows, key=repr)


UNKNOWN_ID = "11111111-2222-4333-8444-555555555555"
# What an array's structures are known by.
KEYS = (
    "Name", "Topic", "TopicName", "TopicId", "ResourceName", "PartitionIndex", "Partition", "Index",
    "ApiKey", "Key", "NodeId", "BrokerId", "ProducerId", "BatchIndex", "LogDir",
)
TOPIC_NAMES = ("Name", "Topic", "TopicName", "ResourceName")
