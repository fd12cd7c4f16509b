"""One copied request, in the form that both replayers know.

A record is gor's header line, `1 <id> <unix ns> <latency>\n`, and then the raw request (gor's `protocol.go`,
`payloadHeader`). The built-in replayer gets records length-prefixed on its standard input: four bytes, big-endian,
then as many bytes. gor gets each as one line of hex, because a middleware's output is gor's only live input.

The first frame into a built-in replayer is no record but its settings, as JSON: they may hold credentials, and an
argv can be read by every process of the same user. An empty frame ends the records: what follows it, if anything,
is one more frame of JSON that says how long the replayer may still drain.
"""

from __future__ import annotations

import struct
import time
import uuid

LENGTH_PREFIX = struct.Struct(">I")
REQUEST_TYPE = b"1"  # gor: 1 request, 2 original response, 3 replayed response
UNKNOWN_LATENCY = b"-1"  # what gor writes for requests: the answer's latency is not known yet

# A copy can't do without these: they say whose the request is, and where it ends.
UNDROPPABLE_HEADERS = frozenset({"host", "content-length", "transfer-encoding"})

_id_prefix = uuid.uuid4().hex[:12].encode()
_id_serial = 0


def new_record(head: bytes, body: bytes | bytearray) -> bytes:
    """One request as a record; the identity is 24 hex digits, as gor's own, unique on this machine."""
    global _id_serial
    _id_serial += 1
    return b"%s %s%012x %d %s\n%s%s" % (
        REQUEST_TYPE, _id_prefix, _id_serial, time.time_ns(), UNKNOWN_LATENCY, head, body
    )


def request_of(record: bytes) -> bytes:
    """The raw request of a record. Raises ValueError for bytes that are no request record."""
    header, newline, request = record.partition(b"\n")
    if not newline or not header.startswith(REQUEST_TYPE + b" "):
        raise ValueError("a record starts with gor's header line, `1 <id> <unix ns> <latency>`")
    return request


def frame(payload: bytes) -> bytes:
    """`payload` behind its length, for the built-in replayer's pipe."""
    return LENGTH_PREFIX.pack(len(payload)) + payload
