"""Where things stand in a request's head, from its request line to its blank line. Pure; nothing is decoded.

A header is found as gor finds it: the first of its name, whatever its case, its value without the blanks around it.
A query parameter, too (gor's `PathParam`): the first `&name=` of the whole target, else the first `?name=`; its value
ends at the next `&`. So of `?id=1&id=2` the second counts: hash limiters would choose other requests otherwise.
"""

from __future__ import annotations

Span = tuple[int, int]  # start and end

_BLANKS = b" \t"


class Header:
    """One header by its name, to be looked for in many heads."""

    def __init__(self, name: bytes) -> None:
        self._start = b"\r\n" + name.lower() + b":"

    def span(self, head: bytes) -> Span | None:
        """Where its value stands; an empty value has its place, too."""
        found = head.lower().find(self._start)
        if found < 0:
            return None
        start = found + len(self._start)
        end = head.index(b"\r\n", start)
        value = head[start:end]
        bare = value.lstrip(_BLANKS)
        start = end - len(bare)
        return start, start + len(bare.rstrip(_BLANKS))

    def value(self, head: bytes) -> bytes:
        """Its value; b"" when it is absent or empty, which gor does not tell apart."""
        span = self.span(head)
        return head[span[0] : span[1]] if span else b""


def replaced(text: bytes, span: Span, new: bytes) -> bytes:
    """The text with something else in place of one span."""
    return text[: span[0]] + new + text[span[1] :]


def method(head: bytes) -> bytes:
    """The method of a head that begins with a request line."""
    return head[: head.index(b" ")]


def target_span(head: bytes) -> Span:
    """Where the target stands in a head that begins with a request line: path and query, as a rule."""
    start = head.index(b" ") + 1
    return start, head.rindex(b" ", start, head.index(b"\r\n"))


def target(head: bytes) -> bytes:
    """The target of a head that begins with a request line."""
    start, end = target_span(head)
    return head[start:end]


def parameter_span(target: bytes, name: bytes) -> Span | None:
    """Where the value of a query parameter stands in a target."""
    start = target.find(b"&" + name + b"=")
    if start < 0:
        start = target.find(b"?" + name + b"=")
    if start < 0:
        return None
    start += len(name) + 2
    end = target.find(b"&", start)
    return start, end if end >= 0 else len(target)
