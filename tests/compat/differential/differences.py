"""Where Ringlog's answer is another than Kafka's. PURPOSE: it shall be, and the entry says why. OPEN:
it shall not, and is to be mended.

A difference is allowed only where an entry names it. An entry of PURPOSE that allows nothing any more
fails the run, so that the list stays true; of OPEN it is only told, for then it can go.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Difference:
    """`row` and `path` are regular expressions for the whole row name ("Produce: bad CRC") and for
    the beginning of the place in the answers ("0.Responses.<topic>.PartitionResponses.0")."""

    row: str
    path: str
    why: str

    def allows(self, row, path):
        return re.fullmatch(self.row, row) and re.match(self.path, path)


def rows(api, *names):
    return f"{api}: ({'|'.join(map(re.escape, names))})"


PRODUCED = r"\d\.Responses\.[^.]+\.PartitionResponses\.[^.]+\."
PURPOSE = (
    Difference(
        ".*", r".*\.ErrorMessage$",
        "a sentence where Kafka has none, and none where Kafka says that there was no error",
    ),
    Difference(
        "Produce: .*", PRODUCED + "RecordErrors",
        "the index of the bad record wherever there is one (KIP-467)",
    ),
    Difference(
        "ApiVersions: .*", r"\d\.(Supported|Finalized)Features\.",
        "a feature is told once it is built",
    ),
    Difference(
        rows("Produce", "codec 5", "codec 7", "not really gzip", "not really snappy",
             "not really lz4", "not really zstd", "gzip cut off", "garbage for records"),
        PRODUCED,
        "Kafka answers -1, which clients take for a fault of the broker; here INVALID_RECORD or "
        "CORRUPT_MESSAGE",
    ),
    Difference(
        rows("Produce", "swapped deltas", "bytes after the batch"), r"\d\.",
        "Kafka stores what no consumer reads as it was meant; here it is refused",
    ),
    Difference(
        rows("Produce", "null records"), r"\d",
        "Kafka never answers; here INVALID_RECORD",
    ),
    Difference(
        rows("Metadata", "a topic made by asking", "a name that collides, to be created"),
        r"0\.Topics\.", "docs/decisions/0004-auto-creation-answers-at-once.md",
    ),
    Difference(
        rows("Metadata", "by neither name nor id") + "|" +
        rows("DescribeTopicPartitions", "illegal name 1") + "|" +
        rows("DescribeProducers", "the same partition twice"),
        r"0\.", "docs/decisions/0014-where-administration-differs.md",
    ),
    Difference(
        rows("CreateTopics", "one topic"), r"0\.Topics\.<new>\.Configs\.flush\.before\.ack",
        "a key of Ringlog's own: docs/durability.md",
    ),
)
OPEN = (
    Difference(
        "(Fetch|Produce|DeleteRecords): .*", r".*\.AbortedTransactions$",
        "null, not empty, unless read_committed is asked for",
    ),
    Difference(
        "Produce: .*", PRODUCED + "LogStartOffset$",
        "a batch that the leader refused has the log start offset beside the error",
    ),
    Difference(
        rows("Fetch", "partition size below 0", "size below 0", "isolation level 2"), r"0\.",
        "refused, with UNKNOWN_SERVER_ERROR",
    ),
    Difference(
        rows("CreateTopics", "timeout 0", "timeout below 0"), r"\d\.",
        "created, and REQUEST_TIMED_OUT answered",
    ),
    Difference(
        rows("CreateTopics", "config compression.type=zstd",
             "config unclean.leader.election.enable=true"), r"\d",
        "values that are not built yet",
    ),
    Difference(
        rows("Produce", "compressed by the broker", "decompressed by the broker",
             "recompressed by the broker", "the codec of the topic already",
             "over max.message.bytes once decompressed by the broker"), r"\d",
        "compression.type of a topic is not built yet",
    ),
    Difference(
        rows("ListOffsets", "the same partition twice", "a topic without partitions",
             "isolation level 2"), r"0\.",
        "a partition twice is INVALID_REQUEST, a topic without partitions left out, an unknown "
        "isolation level an error",
    ),
    Difference(
        rows("Metadata", "the same topic twice", "a name that collides, to be created",
             "by id", "by unknown id", "by neither name nor id", "by name and id",
             "by name and unknown id"), r"0(\.|$)",
        "a topic is answered once; ids before version 12 are INVALID_REQUEST; an id counts before a "
        "name",
    ),
    Difference(
        "(Metadata|DescribeCluster): authorized operations.*", r".*AuthorizedOperations$",
        "everything is allowed where there is no authorizer",
    ),
    Difference(
        rows("InitProducerId", "transactional id", "transactional id, timeout 0",
             "transactional id, timeout too long", "id without epoch, transactional"), r"0\.",
        "transactions are not built yet",
    ),
    Difference(
        rows("InitProducerId", "id without epoch", "epoch without id"), r"0\.",
        "INVALID_REQUEST",
    ),
    Difference(
        rows("DeleteTopics", "a topic by name and once more by id"), r"0\.",
        "INVALID_REQUEST for both",
    ),
)
