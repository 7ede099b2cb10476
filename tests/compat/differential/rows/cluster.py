"""FindCoordinator (10), ApiVersions (18), DescribeCluster (60)."""

from differential.rows.table import table

# ---- ApiVersions ----

row = table("ApiVersions", 0, 4)


def client(name="row", version="1.0"):
    return {"ClientSoftwareName": name, "ClientSoftwareVersion": version}


row("as clients ask", lambda w: client())
for name in ("", "-", "a b", "name-", "na.me", "1", "é", "a" * 1000):
    row(f"software name {name[:9]!r}", lambda w, n=name: client(n), since=3)
for version in ("", ".", "1.0-rc.1", "1.0 ", "v1"):
    row(f"software version {version!r}", lambda w, v=version: client(version=v), since=3)
row("a version too new", lambda w: client(), since=4, wire_version=5, reply_version=0)
row("a version far too new", lambda w: client(), since=4, wire_version=32_767, reply_version=0)
row("version -1", lambda w: client(), until=0, wire_version=-1, reply_version=0)

# ---- FindCoordinator ----

finds = table("FindCoordinator", 0, 6)


def find(*keys, kind=0):
    """Of the keys: versions before 4 take one."""
    return {"Key": keys[0] if keys else "", "KeyType": kind, "CoordinatorKeys": list(keys)}


finds("a group", lambda w: find("row-group"))
finds("an empty group", lambda w: find(""))
finds("type 3", lambda w: find("row-group", kind=3), since=1)
finds("type -1", lambda w: find("row-group", kind=-1), since=1)
finds("several groups", lambda w: find("row-group", "row-other", "row-group"), since=4)
finds("no keys", lambda w: find(), since=4)
finds("a transaction", lambda w: find("row-transaction", kind=1), since=1)
finds("a share group with a malformed key", lambda w: find("row-share", kind=2), since=6)
finds("a share group before it was there", lambda w: find("row-share", kind=2), since=1, until=5)

# ---- DescribeCluster ----

cluster = table("DescribeCluster", 0, 2)
cluster("brokers", lambda w: {})
cluster("authorized operations", lambda w: {"IncludeClusterAuthorizedOperations": True})
cluster("fenced brokers too", lambda w: {"IncludeFencedBrokers": True}, since=2)
for kind in (0, 2, 3, -1):
    cluster(f"endpoint type {kind}", lambda w, k=kind: {"EndpointType": k}, since=1)
