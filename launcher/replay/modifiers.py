"""gor's modifier: what leaves requests out, and what changes them for all outputs alike. Pure.

One table, in the order in which gor works (`HTTPModifier.Rewrite`): the method filter, what is set, the other filters,
what is rewritten. So filters see what was set before, and never what is rewritten after them.

Unlike gor, which lets methods outside its nine pass without a look, every request is judged; a record that holds none
can't be, so it passes only if there is no filter. What is not changed stays byte for byte: order, case, duplicates.
"""

from __future__ import annotations

import binascii
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from launcher.fnv1a import fnv1a
from launcher.go_regexp import GoRegexp, compile_go
from launcher.replay import heads
from launcher.replay.requests import RequestError, has_request_line, header_setter, split_record

Step = Callable[[bytes], bytes | None]  # a head -> the head that goes on; None leaves the request out
Modify = Callable[[bytes], bytes | None]  # the same of a whole record

_PERCENT = 100


# ---- filters -------------------------------------------------------------------------------------------------------


def _allow_method(values: Sequence[str]) -> Step:
    allowed = frozenset(map(os.fsencode, values))
    return lambda head: head if heads.method(head) in allowed else None


def _allow_url(values: Sequence[str]) -> Step:
    patterns = [compile_go(value) for value in values]

    def step(head: bytes) -> bytes | None:
        target = heads.target(head)
        return head if any(pattern.is_match(target) for pattern in patterns) else None

    return step


def _disallow_url(values: Sequence[str]) -> Step:
    patterns = [compile_go(value) for value in values]

    def step(head: bytes) -> bytes | None:
        target = heads.target(head)
        return None if any(pattern.is_match(target) for pattern in patterns) else head

    return step


def _allow_header(values: Sequence[str]) -> Step:
    rules = [_header_rule(value) for value in values]

    def step(head: bytes) -> bytes | None:
        for header, pattern in rules:
            value = header.value(head)
            if not value or not pattern.is_match(value):
                return None
        return head

    return step


def _disallow_header(values: Sequence[str]) -> Step:
    rules = [_header_rule(value) for value in values]

    def step(head: bytes) -> bytes | None:
        for header, pattern in rules:
            value = header.value(head)
            if value and pattern.is_match(value):
                return None
        return head

    return step


def _header_rule(text: str) -> tuple[heads.Header, GoRegexp]:
    name, _, pattern = text.partition(":")
    return heads.Header(os.fsencode(name)), compile_go(pattern.strip())


_BASIC = re.compile(rb"basic +", re.IGNORECASE)  # RFC 9110 §11.1: a scheme has no case
_BASE64_PREFIX = re.compile(rb"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{2}==)?")


def _basic_auth_filter(values: Sequence[str]) -> Step:
    """What has no Basic credentials passes, in spite of what gor's help says."""
    patterns = [compile_go(value) for value in values]
    authorization = heads.Header(b"Authorization")

    def step(head: bytes) -> bytes | None:
        value = authorization.value(head)
        scheme = _BASIC.match(value)
        if scheme:
            # Of what is no base64, Go decodes the part before it.
            encoded = _BASE64_PREFIX.match(value, scheme.end())
            credentials = binascii.a2b_base64(encoded[0]) if encoded else b""
            if not all(pattern.is_match(credentials) for pattern in patterns):
                return None
        return head

    return step


def _header_limiter(values: Sequence[str]) -> Step:
    rules = [(heads.Header(os.fsencode(name)), percent) for name, percent in map(_share, values)]

    def step(head: bytes) -> bytes | None:
        for header, percent in rules:
            value = header.value(head)
            if value and fnv1a(value) % _PERCENT >= percent:
                return None
        return head

    return step


def _param_limiter(values: Sequence[str]) -> Step:
    rules = [(os.fsencode(name), percent) for name, percent in map(_share, values)]

    def step(head: bytes) -> bytes | None:
        target = heads.target(head)
        for name, percent in rules:
            span = heads.parameter_span(target, name)
            if span and fnv1a(target[span[0] : span[1]]) % _PERCENT >= percent:
                return None
        return head

    return step


def _share(text: str) -> tuple[str, int]:
    """`NAME:25%`, the form in which `gor.values` hands it on."""
    name, _, percent = text.partition(":")
    return name, int(percent.removesuffix("%"))


# ---- what changes requests -----------------------------------------------------------------------------------------


def _set_header(values: Sequence[str]) -> Step:
    setters = [header_setter(name, value) for name, value in map(set_header_rule, values)]

    def step(head: bytes) -> bytes:
        for set_header in setters:
            head = set_header(head)
        return head

    return step


def set_header_rule(text: str) -> tuple[bytes, bytes]:
    """The name and the value of one `--http-set-header`."""
    name, _, value = text.partition(":")
    return os.fsencode(name.strip()), os.fsencode(value.strip())


def _set_param(values: Sequence[str]) -> Step:
    rules = [(os.fsencode(name.strip()), os.fsencode(value.strip())) for name, value in map(_at_equals, values)]

    def step(head: bytes) -> bytes:
        span = heads.target_span(head)
        target = head[span[0] : span[1]]
        if target == b"*" or head.startswith(b"CONNECT "):
            return head  # there is no query: RFC 9112 §3.2.3 and §3.2.4
        for name, value in rules:
            place = heads.parameter_span(target, name)
            if place:
                target = heads.replaced(target, place, value)
            else:
                target += (b"&" if b"?" in target else b"?") + name + b"=" + value
        return heads.replaced(head, span, target)

    return step


def _at_equals(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value


def _rewrite_url(values: Sequence[str]) -> Step:
    """The first rule that matches, and no other."""
    rules = [(compile_go(pattern), os.fsencode(new)) for pattern, _, new in (text.partition(":") for text in values)]

    def step(head: bytes) -> bytes:
        span = heads.target_span(head)
        target = head[span[0] : span[1]]
        for pattern, new in rules:
            if pattern.is_match(target):
                return heads.replaced(head, span, pattern.replace_all(target, new))
        return head

    return step


def _rewrite_header(values: Sequence[str]) -> Step:
    """Every rule, each on what the rules before it have made."""
    rules = [_rewrite_header_rule(text) for text in values]

    def step(head: bytes) -> bytes:
        for header, pattern, new in rules:
            span = header.span(head)
            value = head[span[0] : span[1]] if span else b""
            if span and value and pattern.is_match(value):
                head = heads.replaced(head, span, pattern.replace_all(value, new))
        return head

    return step


def _rewrite_header_rule(text: str) -> tuple[heads.Header, GoRegexp, bytes]:
    name, _, rest = text.partition(":")
    pattern, _, new = rest.strip().partition(",")
    return heads.Header(os.fsencode(name)), compile_go(pattern), os.fsencode(new)


# ---- the table -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Modifier:
    """One option: `make` turns all its values into one step."""

    option: str
    make: Callable[[Sequence[str]], Step]
    is_filter: bool = True


MODIFIERS = (
    Modifier("http-allow-method", _allow_method),
    Modifier("http-set-header", _set_header, is_filter=False),
    Modifier("http-set-param", _set_param, is_filter=False),
    Modifier("http-allow-url", _allow_url),
    Modifier("http-disallow-url", _disallow_url),
    Modifier("http-allow-header", _allow_header),
    Modifier("http-disallow-header", _disallow_header),
    Modifier("http-basic-auth-filter", _basic_auth_filter),
    Modifier("http-header-limiter", _header_limiter),
    Modifier("http-param-limiter", _param_limiter),
    Modifier("http-rewrite-url", _rewrite_url, is_filter=False),
    Modifier("http-rewrite-header", _rewrite_header, is_filter=False),
)


def build_modify(options: Mapping[str, Sequence[str]]) -> Modify | None:
    """What the options ask to be done with each request record; None if that is nothing.

    The values are as `gor.values` has checked them. Raises GoSyntaxError for an expression that they
    let through.
    """
    chosen = [modifier for modifier in MODIFIERS if options.get(modifier.option)]
    if not chosen:
        return None
    steps = [modifier.make(options[modifier.option]) for modifier in chosen]
    has_filter = any(modifier.is_filter for modifier in chosen)

    def modify(record: bytes) -> bytes | None:
        try:
            start, end = split_record(record)
        except RequestError:
            return None if has_filter else record
        head = before = record[start:end]
        if not has_request_line(head):
            return None if has_filter else record
        for step in steps:
            changed = step(head)
            if changed is None:
                return None
            head = changed
        return record if head is before else b"".join((record[:start], head, memoryview(record)[end:]))

    return modify
