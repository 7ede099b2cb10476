"""Kafka's messages to bytes and back, from the message definitions that kafka-python ships.

A message is a dict with the names of the definitions, each beginning with a capital. The
definitions are neither Ringlog's nor those of the crate that Ringlog decodes with, so a mistake in
either shows.
"""

import struct
import uuid
from functools import cache

from kafka.protocol.schemas.load_json import load_json

NUMBERS = {
    "bool": ">?", "int8": ">b", "int16": ">h", "uint16": ">H", "int32": ">i", "uint32": ">I",
    "int64": ">q", "float64": ">d",
}
NO_ID = "00000000-0000-0000-0000-000000000000"
VERSION_MAX = 1 << 15


class Malformed(Exception):
    """The bytes are not a message of this kind and version."""


def versions(text):
    """The range that a definition writes as "none", "3", "3+" or "3-5"."""
    if text == "none":
        return range(0)
    if text.endswith("+"):
        return range(int(text[:-1]), VERSION_MAX)
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


class Field:
    """One field of a structure."""

    def __init__(self, definition, message_flexible):
        # Some definitions begin names with a small letter.
        self.name = definition["name"][0].upper() + definition["name"][1:]
        self.type = definition["type"]
        self.versions = versions(definition.get("versions", "0+"))
        self.nullable = versions(definition.get("nullableVersions", "none"))
        self.flexible = versions(definition.get("flexibleVersions", message_flexible))
        self.tagged = versions(definition.get("taggedVersions", "none"))
        self.tag = definition.get("tag")
        self.default_text = definition.get("default")
        self.fields = [Field(each, message_flexible) for each in definition.get("fields", [])]

    def default(self):
        text = self.default_text
        if text == "null":
            return None
        if self.type.startswith("[]"):
            return []
        if self.fields:
            return {}
        if self.type in ("string", "uuid"):
            return text or ("" if self.type == "string" else NO_ID)
        if self.type in ("bytes", "records"):
            return b""
        if self.type == "bool":
            return str(text).lower() == "true"
        return int(str(text or 0), 0)


class Message:
    """A request or response of one API: `DescribeClusterRequest`."""

    def __init__(self, name):
        definition = load_json(name)
        self.name = name
        self.api_key = definition.get("apiKey")
        self.flexible = versions(definition["flexibleVersions"])
        flexible = definition["flexibleVersions"]
        self.fields = [Field(each, flexible) for each in definition["fields"]]

    def encode(self, content, version, unknown_tags=False):
        writer = Writer(version, version in self.flexible, unknown_tags)
        writer.structure(self.fields, content, self.name)
        return bytes(writer.out)

    def decode(self, content, version):
        reader = Reader(content, version, version in self.flexible)
        found = reader.structure(self.fields)
        if reader.place != len(content):
            raise Malformed(f"{len(content) - reader.place} bytes are left after {self.name}")
        return found


@cache
def message(name):
    return Message(name)


def unsigned_varint(number):
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


class Writer:
    """Writes one message. `unknown_tags`: every tagged section gets one field that nobody knows."""

    def __init__(self, version, flexible, unknown_tags=False):
        self.version = version
        self.flexible = flexible
        self.unknown_tags = unknown_tags
        self.out = bytearray()

    def structure(self, fields, content, where):
        unknown = set(content) - {field.name for field in fields}
        assert not unknown, f"{where} has no fields {sorted(unknown)}"
        tagged = []
        for field in fields:
            if self.version not in field.versions:
                continue
            value = content.get(field.name, field.default())
            if self.version in field.tagged:
                if value != field.default():
                    tagged.append((field, value))
            else:
                self.field(field, value)
        if self.flexible:
            self.tagged_section(tagged)

    def tagged_section(self, tagged):
        self.out += unsigned_varint(len(tagged) + self.unknown_tags)
        for field, value in sorted(tagged, key=lambda pair: pair[0].tag):
            inner = Writer(self.version, self.flexible)
            inner.field(field, value)
            self.out += unsigned_varint(field.tag) + unsigned_varint(len(inner.out)) + inner.out
        if self.unknown_tags:
            self.out += unsigned_varint(10_001) + unsigned_varint(3) + b"new"

    def field(self, field, value):
        compact = self.flexible and self.version in field.flexible
        if field.type.startswith("[]"):
            self.length(None if value is None else len(value), compact, ">i")
            for each in value or ():
                self.one(field.type[2:], field, each, compact)
        else:
            self.one(field.type, field, value, compact)

    def one(self, kind, field, value, compact):
        if kind in NUMBERS:
            self.out += struct.pack(NUMBERS[kind], value)
        elif kind == "uuid":
            self.out += uuid.UUID(value or NO_ID).bytes
        elif kind == "string":
            content = None if value is None else value.encode(errors="surrogateescape")
            self.sized(content, compact, ">h")
        elif kind in ("bytes", "records"):
            self.sized(value, compact, ">i")
        else:
            if self.version in field.nullable and not field.type.startswith("[]"):
                self.out += struct.pack(">b", -1 if value is None else 1)
            if value is not None:
                self.structure(field.fields, value, field.name)

    def sized(self, content, compact, code):
        self.length(None if content is None else len(content), compact, code)
        self.out += content or b""

    def length(self, count, compact, code):
        if compact:
            self.out += unsigned_varint(0 if count is None else count + 1)
        else:
            self.out += struct.pack(code, -1 if count is None else count)


class Reader:
    """Reads one message."""

    def __init__(self, content, version, flexible):
        self.content = content
        self.place = 0
        self.version = version
        self.flexible = flexible

    def take(self, size):
        if size < 0 or self.place + size > len(self.content):
            raise Malformed(f"{size} bytes wanted at {self.place} of {len(self.content)}")
        self.place += size
        return self.content[self.place - size : self.place]

    def number(self, code):
        return struct.unpack(code, self.take(struct.calcsize(code)))[0]

    def varint(self):
        found = 0
        for shift in range(0, 35, 7):
            byte = self.take(1)[0]
            found |= (byte & 0x7F) << shift
            if byte < 0x80:
                return found
        raise Malformed("a varint of more than five bytes")

    def structure(self, fields):
        found = {}
        tagged = {}
        for field in fields:
            if self.version not in field.versions:
                continue
            if self.version in field.tagged:
                tagged[field.tag] = field
                found[field.name] = field.default()
            else:
                found[field.name] = self.field(field)
        if self.flexible:
            self.tagged_section(tagged, found)
        return found

    def tagged_section(self, tagged, found):
        before = -1
        for _ in range(self.varint()):
            tag, size = self.varint(), self.varint()
            if tag <= before:
                raise Malformed(f"tag {tag} after {before}")
            before = tag
            inner = Reader(self.take(size), self.version, self.flexible)
            if tag in tagged:
                found[tagged[tag].name] = inner.field(tagged[tag])
            else:
                found[f"unknown tag {tag}"] = inner.content.hex()

    def field(self, field):
        compact = self.flexible and self.version in field.flexible
        if field.type.startswith("[]"):
            count = self.length(compact, ">i")
            if count is None:
                return self.null(field)
            return [self.one(field.type[2:], field, compact) for _ in range(count)]
        return self.one(field.type, field, compact)

    def null(self, field):
        if self.version not in field.nullable:
            raise Malformed(f"{field.name} is null")
        return None

    def one(self, kind, field, compact):
        if kind in NUMBERS:
            return self.number(NUMBERS[kind])
        if kind == "uuid":
            return str(uuid.UUID(bytes=self.take(16)))
        if kind in ("string", "bytes", "records"):
            size = self.length(compact, ">h" if kind == "string" else ">i")
            if size is None:
                return self.null(field)
            content = self.take(size)
            return content.decode() if kind == "string" else content
        if self.version in field.nullable and not field.type.startswith("[]"):
            if self.number(">b") < 0:
                return None
        return self.structure(field.fields)

    def length(self, compact, code):
        count = self.varint() - 1 if compact else self.number(code)
        return None if count == -1 else count
