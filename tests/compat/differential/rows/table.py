"""How the rows of the table are written down."""

from dataclasses import dataclass
from typing import Callable

from differential import schema

ROWS = []
# What a well-formed request of each API is: rows that spoil a request start from it.
NORMAL = {}


@dataclass(frozen=True)
class Row:
    """One row: `act` asks in a World, once for each version. `alone`: nothing runs beside it."""

    api: str
    name: str
    act: Callable
    versions: tuple[int, ...]
    alone: bool = False


def table(api, first, last):
    """The rows of one API, whose versions are `first` to `last` in Kafka 4.1: what comes back adds
    one. `body` is a function from the World to a request's fields. The first row is asked in every
    version, the others where they can differ: the first version and the last, the first with
    compact lengths, and the neighbours of the last."""
    flexible = schema.message(f"{api}Request").flexible.start

    def add(name, body=None, *, act=None, since=first, until=last, alone=False, **how):
        act = act or (lambda world: world.ask(body(world), **how))
        versions = range(since, until + 1)
        if api in NORMAL:
            telling = {since, flexible, until - 1, until}
            versions = sorted(telling.intersection(versions))
        ROWS.append(Row(api, name, act, tuple(versions), alone))
        NORMAL.setdefault(api, (body, range(first, last + 1)))

    return add
