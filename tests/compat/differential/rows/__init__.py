"""The table: what is asked. Rows come from one file a theme; those at the end spoil a well-formed
request of every API in the same ways."""

from differential import schema
from differential.rows import cluster, configs, produce, reading, topics  # noqa: F401
from differential.rows.table import NORMAL, ROWS, table

# Answered by a broker, with an error, where another version closes the connection.
ANSWERS_UNKNOWN_VERSIONS = "ApiVersions"


def spoilt(api, body, versions):
    row = table(api, versions[0], versions[-1])
    first_flexible = schema.message(f"{api}Request").flexible.start
    row("any: bytes after the body", body, change=lambda encoded: encoded + b"\x00\x03\xff")
    if first_flexible <= versions[-1]:
        row("any: unknown tagged fields", body, since=max(first_flexible, versions[0]),
            unknown_tags=True)
    if api == ANSWERS_UNKNOWN_VERSIONS:
        return
    if api != "ListConfigResources":
        row("any: the last byte is missing", body, change=lambda encoded: encoded[:-1])
    row("any: a version too new", body, since=versions[-1], wire_version=versions[-1] + 20)
    row("any: version -1", body, since=versions[-1], wire_version=-1)


for api, (body, versions) in list(NORMAL.items()):
    spoilt(api, body, versions)
