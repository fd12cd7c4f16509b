"""What of HTTP/1.x decides where a request ends: heads, chunk lines, trailers. Pure functions over bytes.

They judge as strictly as llhttp 9.4 with its default flags, and more strictly where it guesses. A pattern can match a
text in one way only, and what follows a repetition cannot also continue it: so a match takes linear time without the
possessive quantifiers that Python 3.10 lacks.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

# Beyond these nobody's request lies, and each costs time in which nobody else is served. Servers draw lines, too, and
# not the same ones: Apache's LimitRequestFields has 100, and Node leaves out what comes after 2,000.
MAX_HEADER_LINES = 1000
_MAX_MARKED_LINES = 64
_MAX_CONNECTION_OPTIONS = 64
_MAX_CODING_BYTES = 1024  # of Transfer-Encoding's value
_TOO_MANY = "too-many-headers"

_SLASH = 0x2F
_LEAST_LINE_BYTES = 4  # "a:" and its end
_MARKED_LINE_BYTES = 256  # a tuple of four, with its two bytes and two numbers: 203 by tracemalloc

# What llhttp takes for HTTP/1.x: METHODS_HTTP1 in its src/llhttp/constants.ts (9.4). It is case-sensitive, and knows
# PRI only as the start of HTTP/2, and the methods of RTSP (DESCRIBE, PLAY...) only before RTSP/1.0.
METHODS = frozenset(
    b"DELETE GET HEAD POST PUT CONNECT OPTIONS TRACE PATCH LINK UNLINK COPY LOCK MKCOL MOVE PROPFIND PROPPATCH SEARCH "
    b"UNLOCK BIND REBIND UNBIND ACL REPORT MKACTIVITY CHECKOUT MERGE M-SEARCH NOTIFY SUBSCRIBE UNSUBSCRIBE MKCALENDAR "
    b"PURGE QUERY SOURCE".split()
)
MAX_LENGTH = 2**63 - 1  # bytes in a body or a chunk; beyond it implementations overflow, each in its own way
_MAX_LENGTH_DIGITS = len(str(MAX_LENGTH))

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"  # RFC 9110 §5.6.2
_TEXT = rb"[\t -~\x80-\xff]"  # in field values and quoted pairs: no control character but the tab
_QUOTED = rb'"[\t !#-\[\]-~\x80-\xff]*(?:\\' + _TEXT + rb'[\t !#-\[\]-~\x80-\xff]*)*"'  # RFC 9110 §5.6.4

# The headers that matter here: those that frame, those of one hop, which copies go without, and the loop guard. The
# first letter is told apart from the rest, because that is what most lines fail on.
FRAMING_NAMES = frozenset({b"content-length", b"transfer-encoding", b"connection", b"proxy-connection", b"upgrade"})
_CONNECTION_NAMES = frozenset({b"connection", b"proxy-connection"})  # llhttp reads the latter, too
LOOP_GUARD = b"X-Traffic-Duplicator"
_MARKED_NAME = (
    rb"(?:[Cc](?i:onnection|ontent-length)|[Tt](?i:ransfer-encoding)|[Pp](?i:roxy-connection)|[Uu](?i:pgrade)|"
    rb"[Kk](?i:eep-alive)|[Ee](?i:xpect)|[Xx]-(?i:traffic-duplicator))"
)
_MARKED_LINE = rb"(" + _MARKED_NAME + rb"):(" + _TEXT + rb"*)\r\n"
_PLAIN_LINE = rb"(?!(?=[CcTtPpUuKkEeXx])" + _MARKED_NAME + rb":)" + _TOKEN + rb":" + _TEXT + rb"*\r\n"
_PLAIN_LINES = rb"(?:" + _PLAIN_LINE + rb")*"

# The request line, the headers that don't matter, and the first that does with those after it: this one match judges
# nearly every head. Groups: method, target, minor version, name, value.
_HEAD = re.compile(
    rb"([A-Z-]+) ([!-~]+) HTTP/1\.([01])\r\n" + _PLAIN_LINES + rb"(?:" + _MARKED_LINE + _PLAIN_LINES + rb")?"
)
_MORE_HEADERS = re.compile(_MARKED_LINE + _PLAIN_LINES)

_HOST = rb"[0-9A-Za-z\-._~%!$&'()*+,;=:\[\]]+"
_ABSOLUTE_FORM = rb"[A-Za-z]+://" + _HOST + rb"(?:[/?][!-~]*)?"  # RFC 9112 §3.2.2; no user information
_AUTHORITY_FORM = _HOST + rb":[0-9]{1,5}"  # §3.2.3
_RARE_TARGET = re.compile(_ABSOLUTE_FORM + rb"|\*")
_CONNECT_TARGET = re.compile(_AUTHORITY_FORM)

# chunked comes last and once; as in llhttp, no tab after it.
_CHUNKED = re.compile(
    rb"[ \t]*(?:(?!(?i:chunked)[ \t]*,)" + _TOKEN + rb"[ \t]*,[ \t]*)*(?i:chunked) *"
)  # fmt: skip
CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})(?:;" + _TOKEN + rb"(?:=(?:" + _TOKEN + rb"|" + _QUOTED + rb"))?)*\r\n")
TRAILER_LINE = re.compile(  # a header that frames is no trailer: RFC 9110 §6.5.1
    rb"(?!(?i:" + b"|".join(sorted(FRAMING_NAMES)) + rb"):)" + _TOKEN + rb":" + _TEXT + rb"*\r\n"
)

# Why a head is refused, for the log: the first pattern that is found tells, and the last finds always.
_HEAD_FAULTS = tuple(
    (reason, re.compile(pattern))
    for reason, pattern in (
        ("http-2", rb"\APRI \* HTTP/2"),
        ("bare-cr", rb"\r(?!\n)"),
        ("bare-lf", rb"(?<!\r)\n"),
        ("not-http", rb"\A(?![^\r]* HTTP/[0-9]\.[0-9]\r)"),
        ("bad-version", rb"\A(?![^\r]* HTTP/1\.[01]\r)"),
        ("bad-method", rb"\A(?!(?:" + b"|".join(sorted(METHODS)) + rb") )"),
        ("bad-request-line", rb"\A(?![A-Z-]+ [^ \t\r]+ HTTP/1\.[01]\r)"),
        ("bad-target", rb"\ACONNECT (?!" + _AUTHORITY_FORM + rb" )"),
        ("bad-target", rb"\A(?!CONNECT |[A-Z-]+ (?:/[!-~]*|\*|" + _ABSOLUTE_FORM + rb") )"),
        ("obs-fold", rb"\n[ \t]"),
        ("space-before-colon", rb"\n" + _TOKEN + rb"[ \t]+:"),
        ("bad-header-name", rb"\n(?!" + _TOKEN + rb":|\r|\Z)"),
        ("control-character", rb""),
    )
)


class MarkedLine(NamedTuple):
    """A header that matters here, and where in the head its line is."""

    name: bytes  # in lower case
    value: bytes  # with the spaces around it
    start: int
    end: int


class Framing(NamedTuple):
    """What a head says of the bytes after it."""

    body_length: int | None  # None: chunked
    switches: bool
    is_last: bool


@dataclass(slots=True)
class Head:
    """The head of a request: its lines are sound, each by itself, and they agree on where it ends."""

    raw: bytes  # from the request line to the empty line, as sent
    method: bytes
    target: bytes
    body_length: int | None  # 0: no body; None: chunked, the length is not known yet
    switches: bool  # it has an Upgrade header or is a CONNECT: the protocol may be another one afterwards
    is_last: bool = field(default=False, compare=False)  # the client sends no request after this one
    marked: Sequence[MarkedLine] = field(default=(), compare=False)

    @property
    def held_bytes(self) -> int:
        """The memory that it takes, but for what every head does: a small line that is marked takes many times its
        own bytes, and a head may have thousands."""
        return len(self.raw) + sum(len(line.value) + _MARKED_LINE_BYTES for line in self.marked)


def read_head(data: bytes, start: int, limit: int) -> Head | str | None:
    """The head that begins at `start`: None unless it is complete before `limit` and its lines are sound; the reason,
    as in `Unframed`, if they don't agree on where the request ends."""
    match = _HEAD.match(data, start, limit)
    if match is None:
        return None
    method, target, minor, name, value = match.groups()
    is_usual = target[0] == _SLASH and method != b"CONNECT"
    if method not in METHODS or not (is_usual or _is_rare_target(method, target)):
        return None
    end = match.end()
    marked: list[MarkedLine] = []
    if name is not None:
        marked.append(MarkedLine(name.lower(), value, match.start(4) - start, match.end(5) + 2 - start))
    while not data.startswith(b"\r\n", end, limit):
        match = _MORE_HEADERS.match(data, end, limit)
        if match is None:
            return None
        if len(marked) == _MAX_MARKED_LINES:
            return _TOO_MANY if data.find(b"\r\n\r\n", end, limit) >= 0 else None
        marked.append(MarkedLine(match[1].lower(), match[2], match.start(1) - start, match.end(2) + 2 - start))
        end = match.end()
    if end - start > MAX_HEADER_LINES * _LEAST_LINE_BYTES and data.count(b"\n", start, end) > MAX_HEADER_LINES + 1:
        return _TOO_MANY
    if is_usual and not marked:
        return Head(data[start : end + 2], method, target, 0, False, minor == b"0")
    framing = judge_framing(method, minor, marked)
    if isinstance(framing, str):
        return framing
    length, switches, is_last = framing
    return Head(data[start : end + 2], method, target, length, switches, is_last, marked)


def _is_rare_target(method: bytes, target: bytes) -> bool:
    return (_CONNECT_TARGET if method == b"CONNECT" else _RARE_TARGET).fullmatch(target) is not None


def head_fault(head: bytes) -> str:
    """Why `read_head` finds no sound lines in `head`, which ends in an empty line."""
    if head.count(b"\n") > MAX_HEADER_LINES + 2:  # the request's line, and the empty one
        return _TOO_MANY
    return next(reason for reason, pattern in _HEAD_FAULTS if pattern.search(head))


def judge_framing(method: bytes, minor: bytes, marked: Sequence[MarkedLine]) -> Framing | str:
    """The framing, or what is wrong with it."""
    length = coding = None
    options: list[bytes] = []
    switches = method == b"CONNECT"
    for line in marked:
        name = line[0]
        if name == b"content-length":
            if length is not None:
                return "repeated-content-length"
            length = line[1].strip(b" \t")
        elif name in _CONNECTION_NAMES:
            options.append(line[1])  # joined at the end: adding each to a growing text would be quadratic
        elif name == b"transfer-encoding":
            if coding is not None:
                return "repeated-transfer-encoding"
            coding = line[1]
        elif name == b"upgrade":
            switches = True
    is_last = minor == b"0"
    if options:
        tokens = [token.strip(b" \t") for token in b",".join(options).lower().split(b",", _MAX_CONNECTION_OPTIONS)]
        if len(tokens) > _MAX_CONNECTION_OPTIONS:
            return "too-many-connection-options"
        is_last = b"close" in tokens or (is_last and b"keep-alive" not in tokens)
    body_length = _body_length(method, minor, length, coding)
    return body_length if isinstance(body_length, str) else Framing(body_length, switches, is_last)


def _body_length(method: bytes, minor: bytes, length: bytes | None, coding: bytes | None) -> int | str | None:
    """RFC 9112 §6.3 without its leniencies: the length, None for a chunked body, or what is wrong."""
    # RFC 9110 §9.3.6 gives the body of a CONNECT no meaning; llhttp takes it for the first bytes of the tunnel.
    is_connect = method == b"CONNECT"
    if coding is not None:
        if length is not None:
            return "both-lengths"
        if is_connect:
            return "connect-with-body"
        if minor == b"0":
            return "transfer-encoding-in-http-1-0"  # RFC 9112 §6.1: faulty
        is_chunked = len(coding) <= _MAX_CODING_BYTES and _CHUNKED.fullmatch(coding)
        return None if is_chunked else "bad-transfer-encoding"
    if length is None:
        return 0
    if not length.isdigit() or len(length) > _MAX_LENGTH_DIGITS or int(length) > MAX_LENGTH:
        return "bad-content-length"
    return "connect-with-body" if is_connect and int(length) else int(length)


def skip_whole_chunks(data: bytes, start: int, max_line_bytes: int) -> int:
    """Past the chunks from `start` on that are sound and end in `data`, the last chunk not among them."""
    while match := CHUNK_LINE.match(data, start, start + max_line_bytes):
        size = int(match[1], 16)
        end = match.end() + size
        if not size or not data.startswith(b"\r\n", end):
            break
        start = end + 2
    return start


def chunk_line_fault(line: bytes) -> str:
    """Why `line` is no `CHUNK_LINE`."""
    return "bad-chunk-extension" if re.match(rb"[0-9A-Fa-f]{1,16};", line) else "bad-chunk-size"
