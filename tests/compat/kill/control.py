"""What the driver and its clients tell each other while they run: numbers in a mapped file.

Each number has one writer. A reader of it may see it a moment late, never torn: they are aligned
words of eight bytes.
"""

import mmap
import struct
from pathlib import Path

WORD = struct.Struct("<q")
# Written by the driver.
DEPTH, ROUND = 0, 1
HEAD_COUNT = 2


class Control:
    """The words: two of the driver, one of each reader, two of each producer."""

    def __init__(self, directory, readers, producers):
        self.readers = readers
        self.producers = producers
        path = Path(directory) / "control"
        size = WORD.size * (HEAD_COUNT + readers + 2 * producers)
        if not path.exists():
            path.write_bytes(bytes(size))
        with open(path, "r+b") as file:
            self.words = mmap.mmap(file.fileno(), size)

    def get(self, index):
        return WORD.unpack_from(self.words, WORD.size * index)[0]

    def set(self, index, value):
        WORD.pack_into(self.words, WORD.size * index, value)

    def looked_back(self, reader):
        """The last round in which a reader has seen again all that it had seen before."""
        return self.get(HEAD_COUNT + reader)

    def set_looked_back(self, reader, number):
        self.set(HEAD_COUNT + reader, number)

    def counts(self, producer):
        """Records handed over, and acknowledged."""
        first = HEAD_COUNT + self.readers + 2 * producer
        return self.get(first), self.get(first + 1)

    def set_counts(self, producer, sent, acknowledged):
        first = HEAD_COUNT + self.readers + 2 * producer
        self.set(first, sent)
        self.set(first + 1, acknowledged)
