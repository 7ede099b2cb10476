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
        ".*", r".*\.Configs\.flush\.before\.ack",
        "a key of Ringlog's own: docs/durability.md",
    ),
    Difference(
        ".*", r".*\.Configs\.min\.insync\.replicas\.(ConfigSource|Synonyms)",
        "Kafka's controller sets it for all brokers once eligible leader replicas are on",
    ),
    Difference(
        rows("DescribeConfigs", "a broker's num.network.threads", "the brokers' defaults") +
        "|IncrementalAlterConfigs: .*: (an unknown key|a topic's key)", r"\d\.Results\.1?\.Configs$",
        "keys that are not built are not shown, nor what Kafka's controller sets by itself",
    ),
    Difference(
        rows("AlterConfigs", "all brokers: what was set goes"), r"\d\.",
        "Kafka refuses, for that setting of its controller would go, too",
    ),
    Difference(
        rows("DescribeConfigs", "with documentation"), r".*\.Documentation$",
        "what is not built is not promised",
    ),
    Difference(
        rows("DescribeConfigs", "a broker's node.id") + "|IncrementalAlterConfigs: .*: the node id",
        r".*\.node\.id\.Synonyms", "broker.id is an alias",
    ),
    Difference(
        rows("IncrementalAlterConfigs", "operation 4", "operation -1") +
        "|IncrementalAlterConfigs: .*: (an unknown key|a topic's key)" +
        "|" + rows("AlterConfigs", "the same topic twice"), r"\d",
        "docs/decisions/0012-settings-of-a-running-broker.md",
    ),
    Difference(
        rows("Fetch", "the same partition twice"), r"0\.Responses",
        "docs/decisions/0005-fetch-sessions.md",
    ),
    Difference(
        "DeleteRecords: .*", r"\d\.Topics\.[^.]+\.Partitions\.[^.]+\.(Offset|LeaderEpoch|Timestamp)$",
        "ListOffsets of the largest timestamp: Kafka gives the offset of a record that is deleted, "
        "here it is one that can be read",
    ),
    Difference(
        rows("Fetch", "partition size below 0", "size below 0", "isolation level 2"), r"0\.",
        "docs/decisions/0014-where-administration-differs.md",
    ),
    Difference(
        rows("ListOffsets", "isolation level 2"), r"0\.",
        "docs/decisions/0014-where-administration-differs.md",
    ),
    Difference(
        rows("CreateTopics", "config unclean.leader.election.enable=true"), r"\d\.",
        "docs/decisions/0014-where-administration-differs.md",
    ),
    Difference(
        "ListConfigResources: .*", r"0\.ConfigResources",
        "docs/decisions/0014-where-administration-differs.md: there are no loggers",
    ),
    Difference(
        rows("InitProducerId", "transactional id", "transactional id, timeout 0",
             "transactional id, timeout too long") + "|" +
        rows("Produce", "transactional, in no transaction"), r"0\.",
        "docs/decisions/0014-where-administration-differs.md: there are no transactions",
    ),
)
# Nothing is to be mended.
OPEN = ()
