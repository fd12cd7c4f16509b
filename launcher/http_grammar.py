"""What of HTTP/1.x decides where a request ends: heads, chunk lines, trailers. Pure functions over bytes.

They judge as strictly as llhttp 9.4 with its default flags, and more strictly where it guesses. A pattern can match a
text in one way only, and what follows a repetition cannot also continue it: so a match takes linear time without the
possessive quantifiers that Python 3.10 lacks.
"""

from __future__ import annotations

import re
from typing import NamedTuple

# What llhttp takes for HTTP/1.x: METHODS_HTTP1 in its src/llhttp/constants.ts (9.4). It is case-sensitive, and knows
# PRI only as the start of HTTP/2, and the methods of RTSP (DESCRIBE, PLAY...) only before RTSP/1.0.
METHODS = frozenset(
    b"DELETE GET HEAD POST PUT CONNECT OPTIONS TRACE PATCH LINK UNLINK COPY LOCK MKCOL MOVE PROPFIND PROPPATCH SEARCH "
    b"UNLOCK BIND REBIND UNBIND ACL REPORT MKACTIVITY CHECKOUT MERGE M-SEARCH NOTIFY SUBSCRIBE UNSUBSCRIBE MKCALENDAR "
    b"PURGE QUERY SOURCE".split()
)
MAX_LENGTH = 2**63 - 1  # bytes in a body or a chunk; beyond it implementations overflow, each in its own way

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"  # RFC 9110 §5.6.2
_TEXT = rb"[\t -~\x80-\xff]"  # in field values and quoted pairs: no control character but the tab
_QUOTED = rb'"[\t !#-\[\]-~\x80-\xff]*(?:\\' + _TEXT + rb'[\t !#-\[\]-~\x80-\xff]*)*"'  # RFC 9110 §5.6.4
_FRAMING_NAME = rb"(?i:content-length|transfer-encoding|connection|proxy-connection|upgrade)"
_FRAMING_LINE = rb"(" + _FRAMING_NAME + rb"):(" + _TEXT + rb"*)\r\n"
_PLAIN_LINE = rb"(?!(?=[CcTtPpUu])" + _FRAMING_NAME + rb":)" + _TOKEN + rb":" + _TEXT + rb"*\r\n"
_PLAIN_LINES = rb"(?:" + _PLAIN_LINE + rb")*"

# The request line, the headers that don't matter, and the first that does with those after it: this one match judges
# nearly every head without a body. Groups: method, target, minor version, name, value.
_HEAD = re.compile(
    rb"([A-Z-]+) ([!-~]+) HTTP/1\.([01])\r\n" + _PLAIN_LINES + rb"(?:" + _FRAMING_LINE + _PLAIN_LINES + rb")?"
)
_MORE_HEADERS = re.compile(_FRAMING_LINE + _PLAIN_LINES)

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
TRAILER_LINE = re.compile(_PLAIN_LINE)  # a header that frames is no trailer: RFC 9110 §6.5.1

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


class RequestHead(NamedTuple):
    """A head whose lines are sound, each by itself."""

    end: int  # where in the data
    method: bytes
    target: bytes
    minor: bytes  # b"0" or b"1"
    framing: list[tuple[bytes, bytes]]  # the headers that matter; names in lower case, values with their spaces


class Framing(NamedTuple):
    """What a head says of the bytes after it."""

    body_length: int | None  # None: chunked
    switches: bool  # the protocol may be another after this request
    is_last: bool  # the client sends no request after this one


def scan_head(data: bytes, start: int, limit: int) -> RequestHead | None:
    """The head that begins at `start`, if it is complete before `limit` and its lines are sound."""
    match = _HEAD.match(data, start, limit)
    if match is None:
        return None
    method, target, minor, name, value = match.groups()
    if method not in METHODS or not _is_target(method, target):
        return None
    framing = [] if name is None else [(name.lower(), value)]
    end = match.end()
    while not data.startswith(b"\r\n", end, limit):
        match = _MORE_HEADERS.match(data, end, limit)
        if match is None:
            return None
        framing.append((match[1].lower(), match[2]))
        end = match.end()
    return RequestHead(end + 2, method, target, minor, framing)


def _is_target(method: bytes, target: bytes) -> bool:
    if method == b"CONNECT":
        return _CONNECT_TARGET.fullmatch(target) is not None
    return target.startswith(b"/") or _RARE_TARGET.fullmatch(target) is not None


def head_fault(head: bytes) -> str:
    """Why `scan_head` refuses `head`, which ends in an empty line."""
    return next(reason for reason, pattern in _HEAD_FAULTS if pattern.search(head))


_WITHOUT_A_WORD = {minor: Framing(body_length=0, switches=False, is_last=minor == b"0") for minor in (b"0", b"1")}


def judge_framing(head: RequestHead) -> Framing | str:
    """The framing, or what is wrong with it."""
    if not head.framing and head.method != b"CONNECT":
        return _WITHOUT_A_WORD[head.minor]
    length = coding = None
    options: list[bytes] = []
    switches = head.method == b"CONNECT"
    for name, value in head.framing:
        if name == b"content-length":
            if length is not None:
                return "repeated-content-length"
            length = value.strip(b" \t")
        elif name == b"transfer-encoding":
            if coding is not None:
                return "repeated-transfer-encoding"
            coding = value
        elif name == b"upgrade":
            switches = True
        else:  # Connection and, as llhttp has it, Proxy-Connection
            options.append(value)  # joined at the end: adding each to a growing text would be quadratic
    tokens = [token.strip(b" \t") for token in b",".join(options).lower().split(b",")] if options else []
    is_last = b"close" in tokens or (head.minor == b"0" and b"keep-alive" not in tokens)
    body_length = _body_length(head, length, coding)
    return body_length if isinstance(body_length, str) else Framing(body_length, switches, is_last)


def _body_length(head: RequestHead, length: bytes | None, coding: bytes | None) -> int | str | None:
    """RFC 9112 §6.3 without its leniencies: the length, None for a chunked body, or what is wrong."""
    # RFC 9110 §9.3.6 gives the body of a CONNECT no meaning; llhttp takes it for the first bytes of the tunnel.
    is_connect = head.method == b"CONNECT"
    if coding is not None:
        if length is not None:
            return "both-lengths"
        if is_connect:
            return "connect-with-body"
        if head.minor == b"0":
            return "transfer-encoding-in-http-1-0"  # RFC 9112 §6.1: faulty
        return None if _CHUNKED.fullmatch(coding) else "bad-transfer-encoding"
    if length is None:
        return 0
    if not length.isdigit() or len(length) > len(str(MAX_LENGTH)) or int(length) > MAX_LENGTH:
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
