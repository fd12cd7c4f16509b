"""The 32 bit FNV-1a hash, as Go's `hash/fnv` New32a: gor's hash limiters and its TCP output choose by it. Pure.

https://datatracker.ietf.org/doc/html/draft-eastlake-fnv
"""

from __future__ import annotations

_OFFSET_BASIS = 0x811C9DC5
_PRIME = 0x01000193


def fnv1a(data: bytes) -> int:
    """0 to 2**32 - 1. About 0.08 µs a byte."""
    value = _OFFSET_BASIS
    for byte in data:
        value = (value ^ byte) * _PRIME & 0xFFFFFFFF
    return value
