"""What becomes of a request's head in its copy: the headers of one hop are left out, and the loop guard is added.

All else stays byte for byte: order, case, duplicates, target.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from launcher.http_grammar import LOOP_GUARD, Head, MarkedLine
from launcher.records import UNDROPPABLE_HEADERS

# Without these a copy means the same, and with them the replayer's connection would end, or wait: RFC 9110 §7.6.1.
# Each is one that http_grammar marks.
_ONE_HOP_HEADERS = frozenset({b"connection", b"keep-alive", b"expect", b"proxy-connection", b"upgrade"})

_GUARD_NAME = LOOP_GUARD.lower()
_GUARD_AND_END = LOOP_GUARD + b": 1\r\n\r\n"
_USUAL_OPTIONS = frozenset({b" close", b" keep-alive"})  # of Connection: nearly all there are
_NEVER_NOMINATED = {b"", b"close", b"keep-alive", b"upgrade", *(name.encode() for name in UNDROPPABLE_HEADERS)}


class HeadCopier:
    """Makes heads of copies. It leaves out `drop_headers`, too."""

    def __init__(self, drop_headers: Sequence[str] = ()) -> None:
        self._dropped_lines = tuple({b"\n%s:" % name.lower().encode() for name in drop_headers})

    def __call__(self, head: Head) -> bytes:
        """The copy's head."""
        raw = head.raw
        if head.marked:
            raw = _without_hop(raw, head.marked)
        if self._dropped_lines:
            raw = _without_lines(raw, self._dropped_lines)
        return raw[:-2] + _GUARD_AND_END


def is_copy(head: Head) -> bool:
    """Whether it has the loop guard: it is a copy of ours already."""
    return any(line.name == _GUARD_NAME for line in head.marked)


def _without_hop(raw: bytes, marked: Sequence[MarkedLine]) -> bytes:
    """The head without what concerns one hop only."""
    hop = [line for line in marked if line.name in _ONE_HOP_HEADERS]
    if not hop:
        return raw
    if len(hop) == 1 and hop[0].value in _USUAL_OPTIONS:
        line = hop[0]
        return raw[: line.start] + raw[line.end :]
    nominated = _nominated_headers(hop)
    raw = _without(raw, [(line.start, line.end) for line in hop])
    if nominated:
        request_line, *lines = raw.split(b"\r\n")  # a Connection header may spell even the request line
        raw = b"\r\n".join([request_line, *(line for line in lines if _name(line) not in nominated)])
    return raw


def _without_lines(raw: bytes, starts: Sequence[bytes]) -> bytes:
    """The head without the lines that begin so, from the end of the line before, in lower case. Searching for a few
    fixed texts is many times faster than one regular expression that is tried at every character."""
    lowered = raw.lower()
    cuts = []
    for start in starts:
        found = lowered.find(start)
        while found >= 0:
            end = lowered.index(b"\n", found + 1)
            cuts.append((found + 1, end + 1))
            found = lowered.find(start, end)
    return _without(raw, sorted(cuts))


def _without(raw: bytes, cuts: Sequence[tuple[int, int]]) -> bytes:
    """`raw` without these parts, which are in order."""
    if not cuts:
        return raw
    kept, position = [], 0
    for begin, end in cuts:
        kept.append(raw[position:begin])
        position = end
    return b"".join([*kept, raw[position:]])


def _name(line: bytes) -> bytes:
    return line.partition(b":")[0].lower()


def _nominated_headers(hop: Iterable[MarkedLine]) -> set[bytes]:
    """Headers that a Connection header names as meant for this hop alone: RFC 9110 §7.6.1."""
    values = [line.value for line in hop if line.name == b"connection"]
    tokens = {token.strip(b" \t") for value in values for token in value.lower().split(b",")}
    return tokens - _NEVER_NOMINATED
