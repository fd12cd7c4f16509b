"""JSON read within a bound of memory: a packed body of 20 KB may become 8 MB of `{},`, and these 200 MB of objects."""

from __future__ import annotations

import json
import sys
from typing import Any

from launcher.replay.comparison.bodies import Undecodable

MAX_PARSED_BYTES = 48 * 1024**2  # 5 MB of JSON as apps write it, six to eight times as much once it is read
_MOST_TIMES = 48  # as many bytes as it has been
_LONGEST_INTEGER = 4300  # digits, CPython's own bound: 3.10 has none before 3.10.7, and it can be turned off

# Bytes of CPython 3.11's objects, by sys.getsizeof and tracemalloc. Texts come on top, by their characters.
_ARRAY = 88  # with room for four
_OBJECT = 72
_FIRST_KEY = 120  # with room for five
_FURTHER_KEY = 60  # beyond five: keys that come again are the same object
_VALUE = 36  # a number, or what a text needs besides its characters; a place in its array


def parsed(content: bytes, max_bytes: int = MAX_PARSED_BYTES) -> Any:
    """The JSON value. Raises ValueError for what is none, or too deep; Undecodable for what would take more memory.

    It may take up to twice `max_bytes` where each key, or each text, is another one."""
    text = content.decode(json.detect_encoding(content), "surrogatepass")
    if len(content) * _MOST_TIMES > max_bytes and _parsed_bytes(content, text) > max_bytes:
        raise Undecodable("too large")
    try:
        return json.loads(text, parse_int=_READ_INTEGER)
    except RecursionError:
        raise ValueError("too deep") from None


def _parsed_bytes(content: bytes, text: str) -> int:
    """About what it takes to read it, with the text itself."""
    objects, arrays, keys, values = (content.count(sign) for sign in (b"{", b"[", b":", b","))
    widest = 4 if b"\\ud" in content or b"\\uD" in content else 2 if b"\\u" in content else 1  # PEP 393
    text_bytes = sys.getsizeof(text)
    return (
        text_bytes + max(text_bytes, widest * len(text))
        + _ARRAY * arrays + _VALUE * values
        + _OBJECT * objects + _FIRST_KEY * min(objects, keys) + _FURTHER_KEY * max(keys - 5 * objects, 0)
    )  # fmt: skip


def _integer(digits: str) -> int:
    """Reading takes quadratic time."""
    if len(digits) > _LONGEST_INTEGER:
        raise ValueError("an integer has too many digits")
    return int(digits)


def _is_bounded() -> bool:
    """Whether Python itself has the bound."""
    limit: int = sys.get_int_max_str_digits() if hasattr(sys, "get_int_max_str_digits") else 0
    return 0 < limit <= _LONGEST_INTEGER


_READ_INTEGER = None if _is_bounded() else _integer  # None: quicker
