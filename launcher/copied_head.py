"""What becomes of a request's head in its copy: the headers of one hop are left out, and the loop guard is added.

All else stays byte for byte: order, case, duplicates, target.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from launcher.records import UNDROPPABLE_HEADERS

LOOP_GUARD = b"X-Traffic-Duplicator"

# Without these a copy means the same, and with them the replayer's connection would end, or wait: RFC 9110 §7.6.1.
_ONE_HOP_HEADERS = ("Connection", "Keep-Alive", "Expect", "Proxy-Connection", "Upgrade")

_LOOP_GUARD_LINE = b"\n" + LOOP_GUARD.lower() + b":"
_CONNECTION_LINE = re.compile(rb"\nconnection:([^\r\n]*)")
_NEVER_NOMINATED = {b"", b"close", b"keep-alive", b"upgrade", *(name.encode() for name in UNDROPPABLE_HEADERS)}


class HeadCopier:
    """Makes heads of copies. It leaves out `drop_headers`, too."""

    def __init__(self, drop_headers: Sequence[str] = ()) -> None:
        self._dropped_lines = _line_starts(*_ONE_HOP_HEADERS, *drop_headers)

    def __call__(self, head: bytes) -> bytes:
        """The copy's head. `head` is one that the framer has found well-formed."""
        lowered = head.lower()
        nominated = _nominated_headers(lowered)
        head = _without_lines(head, lowered, self._dropped_lines)
        if nominated:
            request_line, *lines = head.split(b"\r\n")  # a Connection header may spell even the request line
            head = b"\r\n".join([request_line, *(line for line in lines if _name(line) not in nominated)])
        return head[:-2] + LOOP_GUARD + b": 1\r\n\r\n"


def is_copy(head: bytes) -> bool:
    """Whether it has the loop guard: it is a copy of ours already."""
    return _LOOP_GUARD_LINE in head.lower()


def _line_starts(*names: str) -> tuple[bytes, ...]:
    """What a line of each header begins with, in lower case, from the end of the line before."""
    return tuple({b"\n%s:" % name.lower().encode() for name in names})


def _without_lines(head: bytes, lowered: bytes, starts: Sequence[bytes]) -> bytes:
    """A head that the framer has found well-formed without the lines that begin so. Searching for a few fixed texts is
    many times faster than one regular expression that is tried at every character."""
    cuts = []
    for start in starts:
        found = lowered.find(start)
        while found >= 0:
            end = lowered.index(b"\n", found + 1)
            cuts.append((found + 1, end + 1))
            found = lowered.find(start, end)
    if not cuts:
        return head
    kept, position = [], 0
    for begin, end in sorted(cuts):
        kept.append(head[position:begin])
        position = end
    return b"".join([*kept, head[position:]])


def _name(line: bytes) -> bytes:
    return line.partition(b":")[0].lower()


def _nominated_headers(lowered: bytes) -> set[bytes]:
    """Headers that a Connection header names as meant for this hop alone: RFC 9110 §7.6.1."""
    if b"\nconnection:" not in lowered:  # mostly: a plain search costs a tenth of the expression's
        return set()
    tokens = {token.strip(b" \t") for line in _CONNECTION_LINE.findall(lowered) for token in line.split(b",")}
    return tokens - _NEVER_NOMINATED
