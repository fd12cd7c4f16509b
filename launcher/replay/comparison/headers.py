"""How two heads differ, in what their authors chose: content type, caching, cookies' names, where a redirect leads.

Only lines that are not the same in both are looked at, mostly Date. Which headers count is listed, not learned: most
of the others name the machine or the moment. Of Set-Cookie names and attributes count, of Location the route.
"""

from __future__ import annotations

import re

from launcher.replay.comparison.endpoints import shape_of

COMPARED = frozenset({
    b"access-control-allow-credentials", b"access-control-allow-headers", b"access-control-allow-methods",
    b"access-control-allow-origin", b"allow", b"cache-control", b"content-disposition", b"content-encoding",
    b"content-language", b"content-security-policy", b"content-type", b"link", b"location", b"retry-after",
    b"set-cookie", b"strict-transport-security", b"vary", b"www-authenticate", b"x-content-type-options",
    b"x-frame-options",
})  # fmt: skip
_UNORDERED = frozenset({b"vary", b"allow", b"access-control-allow-methods", b"access-control-allow-headers"})
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#]*", re.IGNORECASE)

Difference = tuple[str, str]  # where, how


def header(head: bytes, name: bytes) -> bytes:
    """The value of the first such header, `name` in lower case; b"" if there is none."""
    lowered = head.lower()
    start = lowered.find(b"\n" + name + b":")
    if start < 0:
        return b""
    end = head.find(b"\n", start + 1)
    return head[start + len(name) + 2 : end].strip()


def header_differences(baseline: bytes, other: bytes, ignored: frozenset[bytes]) -> set[Difference]:
    """`header:NAME` and how it differs."""
    if baseline == other:  # often: Date changes once a second
        return set()
    ours, theirs = baseline.split(b"\n")[1:], other.split(b"\n")[1:]
    if ours == theirs:
        return set()
    before, after = _chosen(set(ours) - set(theirs), ignored), _chosen(set(theirs) - set(ours), ignored)
    if not before and not after:
        return set()
    all_before, all_after = _chosen(set(ours), ignored), _chosen(set(theirs), ignored)
    found: set[Difference] = set()
    for name in {*before, *after}:
        one, two = all_before.get(name), all_after.get(name)
        if one == two:
            continue
        kind = "extra" if one is None else "missing" if two is None else "value"
        found.add((f"header:{name.decode()}", kind))
    return found


def _chosen(lines: set[bytes], ignored: frozenset[bytes]) -> dict[bytes, set[bytes]]:
    """What counts of the values by name. The same twice, however it is written, is the same once."""
    found: dict[bytes, set[bytes]] = {}
    for line in lines:
        name, _, value = line.partition(b":")
        name = name.strip().lower()
        if name in COMPARED and name not in ignored:
            found.setdefault(name, set()).add(_meaning(name, value.strip()))
    return found


def _meaning(name: bytes, value: bytes) -> bytes:
    """What counts of a value."""
    if name == b"set-cookie":
        cookie, *attributes = value.split(b";")
        names = sorted(attribute.partition(b"=")[0].strip().lower() for attribute in attributes)
        return b";".join([cookie.partition(b"=")[0].strip(), *names])
    if name == b"location":
        return shape_of(_without_origin(value.decode("ascii", "replace"))).encode()
    if name == b"content-type":
        return b";".join(map(_parameter, value.lower().split(b";")))
    if name in _UNORDERED:
        return b",".join(sorted(word.strip().lower() for word in value.split(b",")))
    if name == b"content-security-policy":
        return re.sub(rb"'nonce-[^']*'", b"'nonce'", value)
    return value


def _parameter(text: bytes) -> bytes:
    """One of a content type's, or the type itself, as all would write it."""
    name, equals, value = text.partition(b"=")
    return name.strip() + equals + value.strip().strip(b'"')


def _without_origin(url: str) -> str:
    origin = _ORIGIN.match(url)
    return url[origin.end() :] if origin else url
